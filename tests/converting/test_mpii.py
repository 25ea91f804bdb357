"""MPII's official release, built in its own layout, and read back by the MPII loader."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path

import h5py
import numpy as np
import pytest
from mpii_release import EMPTY, image, person, struct, write
from scipy.io import savemat

from paddle_pose.converting import mat_file
from paddle_pose.converting import mpii as converter
from paddle_pose.data import mpii
from paddle_pose.errors import UserError

ALL = {j: (100 + 3 * j, 50 + 7 * j, 1) for j in range(16)}
# Every spelling of is_visible that the release has; the joint is labelled whichever it is.
MIXED = {9: (10.5, 20.25, None), 8: (11, 0, "0"), 0: (-3, 5, 0), 1: (1, 2, "1"), 2: (4, 4, 1)}


@pytest.fixture
def release(tmp_path: Path) -> Path:
    images = [
        image("a.jpg", [person(ALL, x=150, y=120), person({9: (5, 6)}, x=400, y=130)], 1),
        image("b.jpg", [person(MIXED, x=50, y=60)], 2),
        image("c.jpg", None),
        image("d.jpg", [person({}, x=70, y=80), person({3: (1, 1, 1)}, x=71, y=81)], 3),
        image("e.jpg", [person(ALL, x=9, y=8), person(ALL, x=1, y=1, objpos=EMPTY)], 4),
        image("test1.jpg", [{"objpos": struct(x=7.5, y=8), "scale": 2.25}], 5),
        image("test2.jpg", [{"scale": 3}, {"objpos": struct(x=1, y=2), "scale": 1}]),
        image("test3.jpg", [{"objpos": struct(x=3, y=2), "scale": 1}, {"x1": 4}]),
    ]
    single = [[1], [1], [], [], [1], [1], [], [1]]
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").touch()
    return write(tmp_path / "release.mat", images, [1, 1, 1, 1, 1, 0, 0, 0], single)


def convert(release: Path, valid_list: Path | None = None) -> converter.Converted:
    output = release.parent / "out"
    found = converter.convert(release, release.parent / "photos", output, valid_list)
    found.write()
    return found


def listed(release: Path, kind: str) -> Path:
    """Who is validated: the first person of a.jpg, then b.jpg's; in four spellings."""
    path = release.parent / f"list.{kind}"
    if kind == "mat":
        index = {"RELEASE_img_index": [[2, 1]], "RELEASE_person_index": [[1, 1]]}
        savemat(path, {name: np.array(value, np.uint16) for name, value in index.items()})
    elif kind == "h5":
        with h5py.File(path, "w") as file:
            file["index"], file["person"] = [1.0, 0.0], [0.0, 0.0]
            file["imgname"] = np.array([b"b.jpg", b"a.jpg"])
    elif kind == "json":
        rows = [("b.jpg", [50, 60]), ("a.jpg", [150.0, 120.0])]
        path.write_text(json.dumps([{"image": n, "center": c} for n, c in rows]))
    return path


@pytest.mark.parametrize("kind", ["mat", "h5", "json"])
def test_splits_are_the_lists_in_its_order_and_rows(release: Path, kind: str, capsys):
    convert(release, listed(release, kind))
    root = release.parent / "out"
    valid = json.loads((root / "annot/valid.json").read_text())
    assert [record["image"] for record in valid] == ["b.jpg", "a.jpg"]
    assert valid[0].keys() == {"joints_vis", "joints", "image", "scale", "center"}
    assert valid[0]["joints"][9] == [10.5, 20.25]
    assert valid[0]["joints"][0] == [-3, 5]  # below 1, but labelled: as the published truth has it
    assert valid[0]["joints_vis"] == [1, 1, 1, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0]
    assert valid[0]["joints"][3] == [-1, -1]
    train = json.loads((root / "annot/train.json").read_text())
    assert [(r["image"], r["center"]) for r in train] == [("d.jpg", [71, 81]), ("e.jpg", [9, 8])]
    test = json.loads((root / "annot/test.json").read_text())
    assert test[0] == {"image": "test1.jpg", "scale": 2.25, "center": [7.5, 8]}
    said = capsys.readouterr().out
    assert "2 train, 2 valid, 3 test (2 of the test people in single_person)" in said
    assert "on validation images, not validated" in said
    assert "3 people without position or scale" in said
    assert "1 person to train on without any joint" in said
    assert "8 in the release, 7 of them not in" in said


def test_the_loader_reads_it_back(release: Path):
    convert(release, listed(release, "mat"))
    root = release.parent / "out"
    table = mpii.load(root, "valid")
    # 0-based, and the crop as HRNet's loader makes it: 15 × scale lower, 1.25 × larger.
    np.testing.assert_allclose(table.center_xy[1], [149, 120 + 15 * 1.5 - 1])
    np.testing.assert_allclose(table.scale_wh[1], 1.5 * 1.25)
    np.testing.assert_array_equal(table.joints_xy[1][4], [100 + 12 - 1, 50 + 28 - 1])
    np.testing.assert_allclose(table.head_size_px, 0.6 * np.hypot(20, 21))
    truth = mpii.truth(root, "valid")
    np.testing.assert_array_equal(truth.visible.sum(1), [5, 16])
    np.testing.assert_array_equal(truth.joints_xy[0][8], [11, 0])
    np.testing.assert_array_equal(truth.joints_xy[0][5], 0)
    assert len(mpii.load(root, "train")) == 2
    assert len(mpii.load(root, "test")) == 3


def test_same_input_same_bytes(release: Path):
    files = [convert(release, listed(release, "mat")).files for _ in range(2)]
    assert files[0] == files[1]


def test_names_alone_validate_all_on_them_and_say_so(release: Path, capsys):
    names = release.parent / "valid_images.txt"
    names.write_text("a.jpg\nb.jpg\na.jpg\n")
    convert(release, names)
    valid = json.loads((release.parent / "out/annot/valid.json").read_text())
    assert [record["image"] for record in valid] == ["a.jpg", "a.jpg", "b.jpg"]
    assert "assumed: validation_split: valid_images.txt names images, not people" in (
        capsys.readouterr().out
    )


def test_without_a_list_a_video_is_never_in_both(tmp_path: Path, capsys):
    images = [image(f"{n:03}.jpg", [person(ALL, x=n, y=5)], n // 4) for n in range(160)]
    path = write(tmp_path / "r.mat", images, [1] * 160, [[1]] * 160)
    (tmp_path / "photos").mkdir()
    convert(path)
    train, valid = (
        {r["image"] for r in json.loads((tmp_path / f"out/annot/{s}.json").read_text())}
        for s in ("train", "valid")
    )
    assert len(train) + len(valid) == 160
    assert 4 <= len(valid) <= 40
    assert not {int(n[:3]) // 4 for n in train} & {int(n[:3]) // 4 for n in valid}
    assert "not the published split" in capsys.readouterr().out


def _broken(release: Path, **fields) -> Path:
    bad = [image("a.jpg", [person(ALL, x=1, y=2, **fields)]), image("b.jpg", None)]
    return write(release.parent / "bad.mat", bad, [1, 1], [[], []])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"scale": -2}, r"bad.mat: annolist\(1\).annorect\(1\).scale: -2 is not positive"),
        ({"scale": np.nan}, "not a finite number"),
        ({"objpos": struct(x=1)}, r"annorect\(1\).objpos.y: expected a number, found None"),
        ({"annopoints": struct(point=struct(x=1, y=2, id=16))}, r"point\(1\).id: 16 is not"),
        ({"annopoints": struct(point=struct(x="k", y=2, id=1))}, r"point\(1\).x: expected a num"),
        (
            {"annopoints": struct(point=struct(x=1, y=2, id=1, is_visible=3))},
            r"is_visible: 3 is neither 0 nor 1",
        ),
    ],
)
def test_a_broken_struct_is_named(release: Path, fields: dict, message: str):
    with pytest.raises(UserError, match=message):
        convert(_broken(release, **fields))
    assert not (release.parent / "out").exists()


def test_other_files_are_refused(release: Path):
    other = release.parent / "other.mat"
    savemat(other, {"x": 1})
    with pytest.raises(UserError, match="has no struct RELEASE"):
        convert(other)
    other.write_bytes(b"no mat at all")
    with pytest.raises(UserError, match="cannot be read as a MATLAB file"):
        convert(other)
    with pytest.raises(UserError, match="has no RELEASE_img_index"):
        convert(release, release)
    stranger = release.parent / "x.json"
    stranger.write_text('[{"image": "a.jpg", "center": [1, 1]}]')
    with pytest.raises(UserError, match=r"record 0 \(a.jpg\): no such person"):
        convert(release, stranger)
    stranger.write_text('[{"image": "zz.jpg", "center": [1, 1]}]')
    with pytest.raises(UserError, match=r"image zz\.jpg is not in the release"):
        convert(release, stranger)


def test_a_release_of_one_image_and_no_single_person(tmp_path: Path):
    (tmp_path / "photos").mkdir()
    path = write(tmp_path / "r.mat", [image("a.jpg", [person(ALL, x=1, y=2)])], [1], [[1]])
    names = tmp_path / "n.txt"
    names.write_text("a.jpg")
    with pytest.raises(UserError, match="nobody is left for 'train'"):
        convert(path, names)


def test_a_damaged_file_ends_in_one_line(release: Path):
    whole = release.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(4):
        damaged = bytearray(whole)
        for at in rng.integers(128, len(whole), 30):
            damaged[at] = rng.integers(256)
        release.write_bytes(damaged)
        with contextlib.suppress(UserError):
            convert(release)


def test_a_reader_that_crashes_ends_in_one_line():
    """As SciPy's does on some damaged files, with the whole process."""
    with pytest.raises(UserError, match="this MATLAB file is damaged: its reader crashed"):
        mat_file.apart(os._exit, 3)


def test_the_counts_of_the_official_file_are_checked(release: Path, monkeypatch, capsys):
    monkeypatch.setattr(converter, "OFFICIAL_IMAGES", 8)
    convert(release, listed(release, "mat"))
    assert "; NOT the published 22,246 / 2,958 / 11,731" in capsys.readouterr().out
    monkeypatch.setattr(converter, "PUBLISHED", {"train": 2, "valid": 2, "test": 3})
    convert(release, listed(release, "mat"))
    assert "; equal to the published 2 / 2 / 3" in capsys.readouterr().out
