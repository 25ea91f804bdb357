"""Validation while training and val.py on the same weights give the same numbers, to the bit."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from places import ROOT, TINY

from paddle_pose.data import mpii
from paddle_pose.skeletons import MPII16

RECIPE = ("--config", "quickstart:newell_hg1_synthetic", "--device", "cpu", "--num_workers", "0")


def run(*words: object) -> None:
    command = [sys.executable, *map(str, words)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def trained_and_evaluated(root: Path, folder: Path, *extra: str) -> tuple[dict, dict]:
    """Last validation of a run of one epoch, and val.py's scores of its last weights."""
    settings = ("--set", *TINY, "train.epochs=1", "train.validate_every=1", *extra)
    run("train.py", *RECIPE, "--dataset_root", root, "--output_dir", folder / "run", *settings)
    weights = folder / "run/last/model.pdparams"
    run(
        *("val.py", *RECIPE, "--dataset_root", root, "--pretrained_model", weights),
        *("--output_dir", folder / "eval", *settings),
    )
    record = json.loads((folder / "run/record.json").read_text())
    scores = json.loads((folder / "eval/scores.json").read_text())
    assert (
        json.loads((folder / "eval/predictions.json").read_text())["poses"]
        == (json.loads((folder / "run/validation/predictions.json").read_text())["poses"])
    )
    return record["result"]["last"], scores["values"]


def test_mpii(small_people: Path, tmp_path: Path):
    validated, evaluated = trained_and_evaluated(small_people, tmp_path)
    assert validated == evaluated
    assert "Mean@0.11" in evaluated


def write_coco(small_people: Path, root: Path, split: str, name: str) -> None:
    """Rendered people as a COCO file with joints and names of its own.

    Annotations stand in another order than the images, as in COCO's own files.
    """
    table = mpii.load(small_people, split)
    people = []
    for row, person in enumerate(table):
        seen = person.visible > 0
        low, high = person.joints_xy[seen].min(0), person.joints_xy[seen].max(0)
        joints = np.column_stack([np.where(seen[:, None], person.joints_xy, 0), 2 * seen])
        size = (high - low).tolist()
        people.append(
            {"id": row + 1, "image_id": int(table.image_index[row]), "category_id": 1, "iscrowd": 0,
             "bbox": [*low.tolist(), *size], "area": size[0] * size[1],
             "keypoints": joints.ravel().tolist(), "num_keypoints": int(seen.sum())}
        )  # fmt: skip
    import cv2

    images = []
    for number, file in enumerate(table.image_names):
        height, width = cv2.imread(str(small_people / "images" / file)).shape[:2]
        images.append({"id": number, "file_name": file, "width": width, "height": height})
    people = [people[i] for i in np.random.default_rng(0).permutation(len(people))]
    # So wide that a network of one epoch scores something.
    category = {"id": 1, "name": "person", "keypoints": list(MPII16.joints), "skeleton": [],
                "sigmas": [0.8] * 16}  # fmt: skip
    content = {"images": images, "annotations": people, "categories": [category]}
    file = root / "annotations" / f"person_keypoints_{name}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content))


def test_coco(small_people: Path, tmp_path: Path):
    root = tmp_path / "coco"
    write_coco(small_people, root, "train", "train2017")
    write_coco(small_people, root, "valid", "val2017")
    (root / "images").symlink_to(small_people / "images")
    validated, evaluated = trained_and_evaluated(
        root,
        tmp_path,
        *("data.dataset=coco", "data.skeleton=from_file", "train.select_metric=AP"),
        *("data.train_split=train2017", "data.val_split=val2017", "benchmarks.0.metric={kind: "
          "OksProtocol, oks_nms: 0.9, rescore: true, box_threshold: 0.5}"),
    )  # fmt: skip
    assert validated == evaluated
    assert 0 < evaluated["AP"] < 1
