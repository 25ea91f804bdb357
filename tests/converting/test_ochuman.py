"""OCHuman's own file: which people and images go where, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from paddle_pose.commands import convert
from paddle_pose.data import coco, layouts
from paddle_pose.errors import UserError
from paddle_pose.settings import DataSettings
from paddle_pose.skeletons import COCO17
from reproduce.reliability import converter_seeds

MASK = {"outer": [[1, 2, 3, 4, 5, 6]], "inner": []}
NAMES = ["neck", *COCO17.joints[::-1], "head"]  # neither COCO's order nor its number


def person(**fields: object) -> dict:
    joints = [v for place in range(19) for v in (100 + place + 0.12345, 200 + place, place % 4)]
    found = {"bbox": [10, 20, 110.5, 220], "keypoints": joints, "segms": MASK, "max_iou": 0.6}
    return found | fields


def image(number: int, *people: dict) -> dict:
    name = f"{number:06d}"
    return {
        "image_id": name, "file_name": f"{name}.jpg", "width": 400, "height": 300,
        "annotations": list(people),
    }  # fmt: skip


def run(folder: Path, images: list[dict], **fields: object) -> Path:
    file = folder / "ochuman.json"
    file.write_text(json.dumps({"keypoint_names": NAMES, "images": images} | fields))
    convert.main(["ochuman", str(file), "--output", str(folder / "out")])
    return folder / "out"


def test_a_person_by_hand(tmp_path: Path, capsys: pytest.CaptureFixture):
    images = [
        image(7, person(), person(max_iou=1.0), person(keypoints=None)),
        image(3, person(segms=None)),
        image(2, person(bbox=[0, 0, 5, 5])),
    ]
    out = run(tmp_path, images)
    content = json.loads(layouts.annotation_file(out, "val", "ochuman").read_text())
    assert [(i["id"], i["file_name"]) for i in content["images"]] == [
        (1, "000002.jpg"), (2, "000007.jpg"),
    ]  # fmt: skip
    small, whole = content["annotations"]
    assert (small["id"], small["image_id"], whole["id"], whole["image_id"]) == (1, 1, 2, 2)
    assert whole["bbox"] == [10, 20, 100.5, 200]
    assert whole["area"] == 100.5 * 200
    joints = np.array(whole["keypoints"]).reshape(17, 3)
    assert joints[0].tolist() == [117.12345, 217, 2]  # the nose: place 17, seen
    assert joints[:, 2].tolist() == [{0: 0, 1: 2, 2: 2, 3: 1}[p % 4] for p in range(17, 0, -1)]
    assert whole["num_keypoints"] == np.count_nonzero(joints[:, 2])
    said = capsys.readouterr().out
    assert "2 people without joints or mask" in said
    assert "1 person with the very box of another" in said
    assert "assumed: split" in said
    people = coco.load(
        out,
        "val",
        image_size_wh=(192, 256),
        with_images=False,
        stated=DataSettings(dataset="ochuman"),
    )
    assert len(people) == 2


def test_the_first_2500_images_are_for_validation(tmp_path: Path):
    count = sum(layouts.LAYOUTS["ochuman"].images.values())
    out = run(tmp_path, [image(n, person()) for n in range(count)][::-1])
    sizes = {}
    for split in ("val", "test"):
        content = json.loads(layouts.annotation_file(out, split, "ochuman").read_text())
        sizes[split] = len(content["images"])
        assert content["images"][0] == {
            "id": 1, "file_name": "000000.jpg" if split == "val" else "002500.jpg",
            "width": 400, "height": 300,
        }  # fmt: skip
    assert sizes == {"val": 2500, "test": 2231}


@pytest.mark.parametrize(
    ("images", "fields", "message"),
    [
        ([], {"keypoint_names": None}, "expected OCHuman's own file"),
        ([], {"keypoint_names": NAMES[1:-2]}, "lacks nose"),
        ([], {}, "nobody with joints and a mask"),
        ([{"image_id": "1"}], {}, r"images\[0\]: expected an object with a list 'annotations'"),
        ([image(1, {"bbox": []})], {}, "has no 'keypoints'"),
        ([image(1, person(bbox=[9, 9, 1, 1]))], {}, r"\[left, top, right, bottom\]"),
        ([image(1, person(keypoints=[1, 2, 3]))], {}, "expected 57 numbers"),
        ([image(1, person(keypoints=[1, 2, 7] * 19))], {}, "visibility 7"),
        ([image(1, person()), image(1, person())], {}, "is there twice"),
    ],
)
def test_what_is_refused(tmp_path: Path, images: list, fields: dict, message: str):
    with pytest.raises(UserError, match=message):
        run(tmp_path, images, **fields)
    assert not (tmp_path / "out").exists()


def test_the_seed_of_the_fuzzer_converts(tmp_path: Path):
    converter_seeds.ochuman(tmp_path)
    assert converter_seeds.read_ochuman(tmp_path)["boxes"].tolist() == [
        [5, 6, 40, 50], [9, 6, 40, 50],
    ]  # fmt: skip
