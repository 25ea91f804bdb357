"""Predictions on disk: what is written comes back, and what does not belong is refused."""

from __future__ import annotations

import json
import time
from dataclasses import fields, replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from predictions_files import BENCHMARK, made, read
from scipy.io import loadmat, savemat

from paddle_pose import files
from paddle_pose.errors import UserError
from paddle_pose.poses import predictions
from paddle_pose.poses.poses import NO_ROW, Poses


def test_json_comes_back_exactly(tmp_path: Path) -> None:
    before = made(engine="onednn bfloat16")
    predictions.write_json(before, tmp_path / "new/folder/predictions.json")
    after = read(tmp_path / "new/folder/predictions.json")
    for item in fields(Poses):
        np.testing.assert_array_equal(
            getattr(after.poses, item.name), getattr(before.poses, item.name)
        )
    for name in ("images", "skeleton", "recipe", "benchmark", "annotation_sha256", "engine"):
        assert getattr(after, name) == getattr(before, name)
    assert (after.file_origin, after.origin_stated) == (0, True)


def test_mat_is_the_official_one_and_says_its_origin(tmp_path: Path) -> None:
    before = made()
    predictions.write_mat(before, tmp_path / "pred.mat")
    stored = loadmat(tmp_path / "pred.mat")["preds"]
    assert stored.shape == (4, 16, 2)
    np.testing.assert_array_equal(stored, before.poses.keypoints[:, :, :2] + 1.0)
    after = read(tmp_path / "pred.mat")
    # Adding and taking away 1 rounds twice at up to 1,001: 2 × 2^-44.
    back = {"atol": 2.0**-43, "rtol": 0}
    np.testing.assert_allclose(
        after.poses.keypoints[:, :, :2], before.poses.keypoints[:, :, :2], **back
    )
    assert (after.file_origin, after.origin_stated) == (1, True)


@pytest.mark.parametrize("kind", ["mat", "mat transposed", "mat scores", "h5", "mat 7.3"])
def test_foreign_files_in_every_shape(tmp_path: Path, kind: str) -> None:
    expected = made(5).poses.keypoints
    array = expected if "scores" in kind else expected[:, :, :2]
    array = array.transpose(2, 1, 0) if "transposed" in kind or "7.3" in kind else array
    path = tmp_path / ("preds." + kind[:3].strip())
    if kind in ("h5", "mat 7.3"):
        block = 512 if "7.3" in kind else 0  # MATLAB puts its own header before HDF5's
        with h5py.File(path, "w", userblock_size=block) as file:
            file["preds"] = array
        if block:
            header = b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM"
            with path.open("r+b") as file:
                file.write(header)
    else:
        savemat(path, {"preds": array})
    for origin in (None, 0, 1):
        found = read(path, origin)
        np.testing.assert_array_equal(
            found.poses.keypoints[:, :, :2], expected[:, :, :2] - (origin or 0)
        )
        assert found.origin_stated == (origin is not None)
        scores = expected[:, :, 2] if "scores" in kind else np.ones((5, 16))
        np.testing.assert_array_equal(found.poses.keypoints[:, :, 2], scores)


def test_an_origin_against_the_files_own_is_refused(tmp_path: Path) -> None:
    predictions.write_json(made(), tmp_path / "p.json")
    predictions.write_mat(made(), tmp_path / "p.mat")
    read(tmp_path / "p.json", 0)
    with pytest.raises(UserError, match=r"--pixel_origin 1, but the file says .* 0-based"):
        read(tmp_path / "p.json", 1)
    with pytest.raises(UserError, match=r"--pixel_origin 0, but the file says .* 1-based"):
        read(tmp_path / "p.mat", 0)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"preds": np.zeros((4, 17, 2))}, "17 joints per person, expected 16"),
        ({"preds": np.zeros((4, 16))}, "expected N×16×2"),
        ({"preds": np.zeros((4, 16, 5))}, "expected N×16×2"),
        ({"preds": np.zeros((0, 16, 2))}, "holds no people"),
        ({"pred": np.zeros((4, 16, 2))}, "no array 'preds'; did you mean 'pred'"),
        ({"preds": np.array([["a", "b"]], dtype=object)}, "expected N×16×2"),
    ],
)
def test_foreign_files_that_do_not_fit(tmp_path: Path, content: dict, expected: str) -> None:
    savemat(tmp_path / "p.mat", content)
    with pytest.raises(UserError, match=expected):
        read(tmp_path / "p.mat")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_not_finite_name_the_row(tmp_path: Path, value: float) -> None:
    before = made()
    before.poses.keypoints[2, 5, 1] = value
    predictions.write_json(before, tmp_path / "p.json")
    with pytest.raises(UserError, match=r"row 2 \(a\.jpg\) has a coordinate"):
        read(tmp_path / "p.json")
    savemat(tmp_path / "p.mat", {"preds": before.poses.keypoints})
    with pytest.raises(UserError, match="row 2 has a coordinate"):
        read(tmp_path / "p.mat")


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("p.json", '{"format":\n', "not valid JSON .* line 2"),
        ("p.json", '[{"keypoints": []}]', "not a predictions.json of this project"),
        ("p.json", b'{"a": "\xe9"}', "cannot read this file"),
        ("p.mat", "text", "cannot be read as a MATLAB file"),
        ("p.h5", "text", "cannot be read as an HDF5 file"),
        ("p.txt", "text", r"read from \.json, \.mat"),
    ],
)
def test_unreadable_files(tmp_path: Path, name: str, text: str | bytes, expected: str) -> None:
    (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError, match=expected):
        read(tmp_path / name)
    with pytest.raises(UserError, match="no such predictions file"):
        read(tmp_path / "other.json")


def test_our_own_file_with_something_missing(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    predictions.write_json(made(), path)
    content = json.loads(path.read_text())
    del content["poses"][1]["score"]
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match="key 'score' is missing"):
        read(path)
    content["poses"] = [{**person, "keypoints": [[1, 2, 3]] * 15} for person in content["poses"]]
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match="15 joints, expected 16"):
        read(path)
    predictions.write_json(made(), path)
    path.write_text(path.read_text().replace("mpii16", "coco17"))
    with pytest.raises(UserError, match="skeleton 'coco17', expected 'mpii16'"):
        read(path)


def test_predictions_of_something_else_are_refused() -> None:
    file = Path("p.json")
    same = {"recipe": "hg", "benchmark": BENCHMARK, "annotation_sha256": "ab" * 32}
    predictions.require_made_for(made(), file, **same)
    predictions.require_made_for(made(), file)
    foreign = made(recipe="", benchmark=None, annotation_sha256="")
    predictions.require_made_for(foreign, file, **same)
    with pytest.raises(UserError, match="recipe 'hg', but 'hrnet' was asked"):
        predictions.require_made_for(made(), file, recipe="hrnet")
    other = {**BENCHMARK, "name": "raw", "flip_test": False}
    with pytest.raises(
        UserError, match=r"'mpii_val' with flip_test=True, .*'raw' with flip_test=F"
    ):
        predictions.require_made_for(made(), file, benchmark=other)
    with pytest.raises(UserError, match="abababababab…, but this data set's has cdcdcdcdcdcd…"):
        predictions.require_made_for(made(), file, annotation_sha256="cd" * 32)


def test_a_key_that_an_older_version_did_not_write_has_its_default(tmp_path: Path) -> None:
    file = tmp_path / "old.json"
    older = {"name": "mpii_val", "flip_test": True, "decoder": "quarter_offset"}
    predictions.write_json(made(benchmark=older), file)
    content = json.loads(file.read_text())
    del content["engine"]
    file.write_text(json.dumps(content))
    found = read(file)
    predictions.require_made_for(found, file, benchmark=BENCHMARK)
    assert found.engine == ""
    other = {**BENCHMARK, "test_scales": [0.9, 1.1]}
    with pytest.raises(UserError, match=r"test_scales=\[1.0\], but"):
        predictions.require_made_for(found, file, benchmark=other)


def test_version_1_is_read(tmp_path: Path) -> None:
    """Written by hand as the first version wrote it: a crop's centre and size, COCO's keys too."""
    file = tmp_path / "predictions.json"
    coco_keys = {"oks_nms": 0.0, "soft_oks_nms": False, "rescore": False, "box_threshold": 0.0}
    person = {
        "row": 3, "image": "a.jpg", "center_xy": [100.0, 50.0], "scale_wh": [1.0, 2.0],
        "score": 0.4, "keypoints": [[1.5, 2.5, 0.5]] * 16, "image_id": 7,
    }  # fmt: skip
    head = {
        "format": "paddle_pose predictions, version 1", "recipe": "hg", "skeleton": "mpii16",
        "benchmark": {**BENCHMARK, **coco_keys}, "annotation_sha256": "ab" * 32,
        "weights_sha256": "", "engine": "eager float32", "pixel_origin": 0,
    }  # fmt: skip
    file.write_text(json.dumps({**head, "people": [person]}))
    found = read(file)
    predictions.require_made_for(found, file, recipe="hg", benchmark=BENCHMARK)
    poses = found.poses
    assert (poses.rows, poses.image_ids, poses.instances, poses.scores) == (3, 7, 0, 0.4)
    # Size 200 × (1, 2) around (100, 50).
    assert poses.boxes_xywh.tolist() == [[0.0, -150.0, 200.0, 400.0]]
    assert poses.keypoints.tolist() == [person["keypoints"]]


def test_a_row_may_have_several_poses_and_a_pose_no_row(tmp_path: Path) -> None:
    before = made()
    poses = replace(before.poses, rows=np.array([1, 0, 1, NO_ROW]))
    poses = replace(poses, instances=np.array([0, 0, 1, 0]))
    poses.boxes_xywh[3] = np.nan
    predictions.write_json(replace(before, poses=poses), tmp_path / "p.json")
    found = read(tmp_path / "p.json")
    assert np.isnan(found.poses.boxes_xywh[3]).all()
    both = predictions.for_rows(found, Path("p"), np.array([0, 1]))
    assert both.poses.rows.tolist() == [0, 1, 1]
    assert both.poses.instances.tolist() == [0, 0, 1]
    with pytest.raises(UserError, match="row 1 is there twice"):
        predictions.one_each(found, Path("p"), np.array([0, 1]))


def test_rows_are_found_wherever_they_are() -> None:
    shuffled = made().select(np.array([2, 0, 3, 1]))
    found = predictions.one_each(shuffled, Path("p"), np.array([0, 1, 2]))
    np.testing.assert_array_equal(found.poses.keypoints, made().poses.keypoints[:3])
    assert found.images == ("a.jpg", "b.jpg", "a.jpg")
    with pytest.raises(UserError, match=r"4 people, 6 are asked for; row 4 .*data\.limit=4"):
        predictions.for_rows(made(), Path("p"), np.arange(6))


def test_foreign_predictions_must_be_of_everybody(tmp_path: Path) -> None:
    savemat(tmp_path / "p.mat", {"preds": made(5).poses.keypoints})
    found = read(tmp_path / "p.mat")
    predictions.require_whole(found, tmp_path, 3, 5)
    assert len(predictions.for_rows(found, tmp_path, np.arange(3))) == 3
    for asked in (2958, 3):
        with pytest.raises(UserError, match="5 people, expected all 2958"):
            predictions.require_whole(found, tmp_path, asked, 2958)


def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "predictions.json"
    predictions.write_json(made(), path)
    before = path.read_bytes()

    def no_space(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", no_space)
    with pytest.raises(UserError, match=r"cannot write this file .No space left"):
        predictions.write_json(made(3), path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["predictions.json"]


def test_a_file_in_the_folders_place_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "output").touch()
    with pytest.raises(UserError, match="cannot write this file"):
        predictions.write_json(made(), tmp_path / "output" / "predictions.json")


def test_2958_people_are_read_in_well_under_a_second(tmp_path: Path) -> None:
    predictions.write_json(made(2958), tmp_path / "p.json")
    start = time.process_time()
    read(tmp_path / "p.json")
    assert time.process_time() - start < 0.8  # measured 0.12 s
