"""Predictions files that are wrong in one place, or right in another form."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from predictions_files import made, read
from scipy.io import savemat

from paddle_pose.errors import UserError
from paddle_pose.poses import predictions


@pytest.fixture(scope="module")
def small_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``p.json``."""
    folder = tmp_path_factory.mktemp("small")
    predictions.write_json(made(), folder / "p.json")
    return folder


def changed(path: Path, **changes: object) -> Path:
    """A file of ours; names with ``__`` change the second pose: ``pose__row=1.5``."""
    predictions.write_json(made(), path)
    content = json.loads(path.read_text())
    for name, value in changes.items():
        target = content["poses"][1] if name.startswith("pose__") else content
        target[name.removeprefix("pose__")] = value
    path.write_text(json.dumps(content))
    return path


NUMBERS = [1.0, 2.0, 0.5]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        *(({"pixel_origin": v}, "pixel_origin is") for v in (7, -1, 2, True, "1", 1.5, 0.9, None)),
        ({"pixel_origin": float("inf")}, "pixel_origin is inf, expected 0 or 1"),
        ({"annotation_sha256": 5}, "'annotation_sha256' must be a text, found 5"),
        ({"engine": float("inf")}, "'engine' must be a text, found inf"),
        ({"recipe": None}, "'recipe' must be a text"),
        ({"benchmark": [1]}, "'benchmark' must be an object"),
        ({"poses": {}}, "expected a list of poses"),
        ({"poses": [[{}]]}, "expected a list of poses, each an object"),
        ({"pose__row": 0.9}, "pose 1: row: must be an integer"),
        ({"pose__row": True}, "pose 1: row: must be an integer"),
        ({"pose__row": float("inf")}, "pose 1: row: must be an integer"),
        ({"pose__row": 1 << 63}, "pose 1: row: must be an integer"),
        ({"pose__row": -2}, "row -2; rows begin with 0"),
        ({"pose__image_id": 785.9}, "pose 1: image_id: must be an integer"),
        ({"pose__instance": "x"}, "pose 1: instance: must be an integer"),
        ({"pose__score": True}, "'score' of a pose is not 1 numbers"),
        ({"pose__score": "0.5"}, "'score' of a pose is not 1 numbers"),
        ({"pose__keypoints": [[NUMBERS] * 16]}, "1 joints, expected 16"),
        ({"pose__keypoints": [[NUMBERS]] * 16}, "'keypoints' of a pose is not 3 numbers each"),
        ({"pose__keypoints": [[True, 2, 3]] * 16}, "'keypoints' of a pose is not 3 numbers"),
        ({"pose__keypoints": [["12", 2, 3]] * 16}, "'keypoints' of a pose is not 3 numbers"),
        ({"pose__keypoints": [[1, 2]] * 16}, "'keypoints' of a pose is not 3 numbers"),
        ({"pose__keypoints": [[10**400, 2, 3]] * 16}, "'keypoints' has a number that is too"),
        ({"pose__keypoints": [[1e9, 2, 3]] * 16}, "at most 1,000,000 px"),
        ({"pose__box_xywh": [1, 2, 0, 4]}, "not of positive size"),
        ({"pose__box_xywh": [1, float("inf"), 3, 4]}, "a box_xywh is not finite"),
        ({"pose__box_xywh": [1, 2, 3]}, "'box_xywh' of a pose is not 4 numbers"),
        ({"pose__image": 5}, "pose 1: image must be a text"),
        ({"pose__image": ["a.jpg"]}, "pose 1: image must be a text"),
        ({"pose__image": "../a.jpg"}, "'../a.jpg' is not a relative path inside"),
        ({"pose__image": "/a.jpg"}, "'/a.jpg' is not a relative path inside"),
        ({"pose__image": "a\0.jpg"}, "is not a relative path inside"),
        ({"pose__image": "a" * 5000}, "a file name of 5,000 bytes"),
    ],
)
def test_our_own_file_with_something_wrong(tmp_path: Path, changes: dict, expected: str) -> None:
    with pytest.raises(UserError, match=expected):
        read(changed(tmp_path / "p.json", **changes))


def test_ids_on_some_poses_only(tmp_path: Path) -> None:
    path = changed(tmp_path / "p.json")
    content = json.loads(path.read_text())
    del content["poses"][2]["image_id"]
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match="3 of 4 poses have an image_id; none or all"):
        read(path)


@pytest.mark.parametrize("origin", [7, -1, 1.5, np.inf, np.nan, "1", {"a": 1}, [0, 1]])
def test_an_origin_of_an_array_file_is_0_or_1(tmp_path: Path, origin: object) -> None:
    savemat(tmp_path / "p.mat", {"preds": np.zeros((4, 16, 2)), "pixel_origin": origin})
    with pytest.raises(UserError, match="pixel_origin"):
        read(tmp_path / "p.mat")


def test_hdf5_may_state_its_origin(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "p.h5", "w") as file:
        file.update(preds=np.ones((4, 16, 2)), pixel_origin=1)
    found = read(tmp_path / "p.h5")
    assert (found.file_origin, found.origin_stated) == (1, True)
    assert (found.poses.keypoints[:, :, :2] == 0).all()


@settings(max_examples=40, deadline=None)
@given(
    order=st.permutations(range(4)),
    forms=st.lists(st.sampled_from([int, float, str]), min_size=4, max_size=4),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]),
    indent=st.sampled_from([None, 0, 3]),
)
def test_valid_in_many_forms_is_the_same(
    small_file: Path, order: list[int], forms: list[type], encoding: str, indent: int | None
) -> None:
    content = json.loads((small_file / "p.json").read_text())
    path = small_file / "forms.json"
    for pose, form in zip(content["poses"], forms, strict=True):
        pose["row"], pose["image_id"] = form(pose["row"]), form(pose["image_id"])
    content["poses"] = [content["poses"][place] for place in order]
    path.write_bytes(json.dumps(content, indent=indent).encode(encoding))
    found = predictions.one_each(read(path), path, np.arange(4))
    np.testing.assert_array_equal(found.poses.keypoints, made().poses.keypoints)
    np.testing.assert_array_equal(found.poses.image_ids, made().poses.image_ids)


@settings(max_examples=150, deadline=None)
@given(
    where=st.sampled_from(["file", "pose", "joint"]),
    place=st.integers(0, 7),
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
        max_leaves=8,
    ),
)
def test_whatever_stands_in_a_file_it_is_read_or_one_line(
    small_file: Path, where: str, place: int, value: object
) -> None:
    content = json.loads((small_file / "p.json").read_text())
    pose = content["poses"][1]
    target = {"file": content, "pose": pose, "joint": pose["keypoints"][3]}[where]
    names = sorted(target) if isinstance(target, dict) else range(3)
    target[names[place % len(names)]] = value
    path = small_file / "changed.json"
    path.write_text(json.dumps(content))
    try:
        found = read(path)
    except UserError:
        return
    assert np.isfinite(found.poses.keypoints).all()
    assert found.file_origin in (0, 1)
