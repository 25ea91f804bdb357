"""A COCO file's person keypoints alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from paddle_pose.converting import coco
from paddle_pose.data import coco as loader
from paddle_pose.errors import UserError

SEEN = [1, 2, 2, 3, 4, 1]


def content() -> dict:
    def record(id_: int, image: int, **fields) -> dict:
        base = {"id": id_, "image_id": image, "category_id": 1, "keypoints": SEEN, "iscrowd": 0}
        return {**base, "bbox": [0, 0, 9, 9], "area": 40, **fields}

    return {
        "images": [
            {"id": n, "file_name": f"{n}.jpg", "width": 90, "height": 80} for n in (1, 2, 3)
        ],
        "annotations": [
            record(1, 1),
            record(2, 1, keypoints=[0] * 6),
            record(3, 2, iscrowd=1, segmentation={"counts": [1]}),
            record(4, 2, category_id=7),
            record(5, 1, keypoints=None),
        ],
        "categories": [
            {"id": 1, "name": "person", "keypoints": ["a", "b"], "skeleton": [[1, 2]]},
            {"id": 7, "name": "car"},
        ],
    }


def run(tmp_path: Path, value: object, *, for_scoring: bool = False) -> dict:
    file = tmp_path / "in.json"
    file.write_text(json.dumps(value))
    coco.convert(file, tmp_path / "out.json", for_scoring=for_scoring).write()
    return json.loads((tmp_path / "out.json").read_text())


def test_what_one_trains_on(tmp_path: Path, capsys):
    found = run(tmp_path, content())
    assert [r["id"] for r in found["annotations"]] == [1]
    assert found["annotations"] == content()["annotations"][:1]
    assert [i["id"] for i in found["images"]] == [1]
    assert [c["name"] for c in found["categories"]] == ["person"]
    said = capsys.readouterr().out
    assert "1 of 5 annotations on 1 of 3 images; to train on, not to score" in said
    assert "2 people without labelled joints (first: in.json: annotations[1])" in said
    assert "1 crowd" in said
    assert "1 of other categories" in said
    assert "2 images without such people" in said


def test_what_ap_looks_at(tmp_path: Path):
    found = run(tmp_path, content(), for_scoring=True)
    assert [r["id"] for r in found["annotations"]] == [1, 2, 3, 5]
    assert len(found["images"]) == 3


def test_real_counts(reference_data: Path, tmp_path: Path):
    file = reference_data / "data/coco/annotations/person_keypoints_val2017.json"
    coco.convert(file, tmp_path / "out.json", for_scoring=False).write()
    kept = json.loads((tmp_path / "out.json").read_text())
    assert len(kept["annotations"]) == 137  # the data's README
    root = reference_data / "data/coco"
    sizes = {"image_size_wh": (192, 256)}
    before = loader.load(root, "val2017", **sizes)
    after = loader.load(root, "val2017", annotations=tmp_path / "out.json", **sizes)
    assert (before.joints_xy == after.joints_xy).all()
    assert (before.scale_wh == after.scale_wh).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"annotations": None}, "expected an object with lists"),
        ({"categories": [{"id": 1, "name": "person"}]}, "expected one category with keypoints"),
        ({"annotations": [{"id": 3}]}, r"annotations\[0\]: needs category_id and image_id"),
        ({"annotations": []}, "no people with keypoints"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, change: dict, message: str):
    with pytest.raises(UserError, match=message):
        run(tmp_path, {**content(), **change})
    assert not (tmp_path / "out.json").exists()


def test_the_file_that_is_read_is_not_overwritten(tmp_path: Path):
    file = tmp_path / "in.json"
    file.write_text(json.dumps(content()))
    (tmp_path / "link.json").symlink_to(file)
    for output in (file, tmp_path / "link.json"):
        with pytest.raises(UserError, match="written onto a file that is read"):
            coco.convert(file, output, for_scoring=False).write()
    assert json.loads(file.read_text()) == content()
