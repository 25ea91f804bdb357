"""Rendered pairs: the overlap that was asked for, who hides whom, COCO's form."""

from __future__ import annotations

import hashlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from paddle_pose.data import coco
from paddle_pose.errors import UserError
from paddle_pose.files import read_json
from paddle_pose.skeletons import CROWDPOSE14
from paddle_pose.synthetic import crowd, dataset
from paddle_pose.synthetic.crowd import LEAST_SEEN, iou
from paddle_pose.synthetic.facets import paint

TRAIN, VAL = 32, 8


def write(root: Path, workers: int = 1, **changes: object) -> Path:
    sizes = {"train_people": TRAIN, "val_people": VAL, "layout": "crowd"} | changes
    dataset.write_dataset(root, workers=workers, progress=False, **sizes)
    return root


def digests(root: Path) -> dict[str, str]:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("drawn") / "pairs")


def content(root: Path, split: str = "train") -> dict:
    return read_json(root / "annotations" / f"person_keypoints_{split}.json")


def test_same_bytes_with_any_number_of_workers(drawn: Path, tmp_path: Path) -> None:
    assert digests(write(tmp_path / "pairs", workers=2)) == digests(drawn)


def test_boxes_overlap_as_the_image_says(drawn: Path) -> None:
    found = content(drawn)
    shares = np.array([image["overlap"] for image in found["images"]])
    # Boxes have two decimals and bodies are at least some 30 px wide: 4 × 0.005 / 30 is below 1e-3.
    assert shares.min() > 0.299
    assert shares.max() < 0.901
    assert np.ptp(shares) > 0.3
    for image, share in zip(found["images"], shares, strict=True):
        pair = [p for p in found["annotations"] if p["image_id"] == image["id"]]
        assert [p["behind"] for p in pair] == [0, 1]
        boxes = [np.array(p["bbox"]) for p in pair]
        corners = [np.concatenate([box[:2], box[:2] + box[2:]]) for box in boxes]
        # The share has four decimals, the box two.
        assert abs(iou(*corners) - share) < 1e-3


def test_who_is_behind_has_hidden_joints_and_the_one_in_front_none(drawn: Path) -> None:
    people = content(drawn)["annotations"]
    flags = np.array([p["keypoints"][2::3] for p in people])
    behind = np.array([p["behind"] for p in people]) == 1
    assert (flags[~behind] == 2).all()
    assert set(np.unique(flags[behind])) == {1, 2}
    assert ((flags[behind] == 2).sum(1) >= LEAST_SEEN).all()
    for front, other in zip(people[::2], people[1::2], strict=True):
        x, y, w, h = front["bbox"]
        for px, py, flag in np.reshape(other["keypoints"], (-1, 3)):
            if flag == 1:  # nobody hides what is outside of his box
                assert x - 1 <= px <= x + w + 1
                assert y - 1 <= py <= y + h + 1


@pytest.mark.parametrize("seed", range(4))
def test_a_joint_is_hidden_where_the_one_in_front_is_painted(monkeypatch, seed: int) -> None:
    covers = []

    def painted(*given: object) -> tuple[np.ndarray, np.ndarray]:
        covers.append(paint(*given)[1])
        return paint(*given)

    monkeypatch.setattr(crowd, "paint", painted)
    image, (front, behind) = crowd.draw_pair(np.random.default_rng(seed), 0.6)
    assert image.shape[:2] == front.size_wh[::-1]
    assert not front.hidden.any()
    columns, rows = np.rint(behind.joints_xy).astype(int).T
    in_front = covers[-2]  # the one behind was painted last
    assert (behind.hidden == (in_front[rows, columns] > 0.5)).all()
    for label in (front, behind):
        x, y, w, h = label.box_xywh
        assert (label.joints_xy >= (x, y)).all()
        assert (label.joints_xy <= (x + w, y + h)).all()
        assert 0.1 < label.area_px2 / (w * h) < 0.9


def test_the_coco_loader_reads_it(drawn: Path) -> None:
    for split, people in (("train", TRAIN), ("valid", VAL)):
        table = coco.load(drawn, split, image_size_wh=(64, 96), skeleton_name="crowdpose14")
        assert len(table) == people
        assert table.visible.all()
        high = np.array(cv2.imread(str(table.image_root / table.image_names[0])).shape[1::-1])
        assert (table.joints_xy[table.image_index == 0] < high).all()
    assert content(drawn)["categories"][0]["keypoints"] == list(CROWDPOSE14.joints)


def test_one_layout_replaces_another(drawn: Path, tmp_path: Path) -> None:
    root = write(tmp_path / "set", train_people=2, val_people=2)
    write(root, layout="mpii", train_people=1, val_people=1)
    assert not (root / "annotations").exists()
    write(root, train_people=2, val_people=2, overlaps=(0.5, 0.5))
    assert not (root / "annot").exists()
    assert content(root)["images"][0]["overlap"] == pytest.approx(0.5, abs=1e-3)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"train_people": 3}, "3 training and 8 validation people; the crowd layout draws pairs"),
        ({"overlaps": (0.1, 0.5)}, "overlap 0.1 to 0.5; two numbers from 0.3 to 0.9"),
        ({"overlaps": (0.6, 0.5)}, "the smaller one first"),
        ({"layout": "crowds"}, "layout 'crowds'; did you mean 'crowd'"),
    ],
)
def test_what_cannot_be_drawn_is_refused(tmp_path: Path, changes: dict, match: str) -> None:
    with pytest.raises(UserError, match=match):
        write(tmp_path / "set", **changes)
    assert not list(tmp_path.iterdir())


def test_overlap_is_for_pairs(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit):
        dataset.main(["--output", str(tmp_path / "x"), "--overlap", "0.5", "0.6"])
    assert "--overlap: is for --layout crowd" in capsys.readouterr().err
