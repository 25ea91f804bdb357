"""LSP and LSPET: one person by hand, the split, and the rules of the kept LSPET set."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from paddle_pose.converting import lsp
from paddle_pose.data import mpii
from paddle_pose.errors import UserError


def write(tmp_path: Path, joints: np.ndarray, digits: int) -> Path:
    savemat(tmp_path / "joints.mat", {"joints": joints})
    (tmp_path / "images").mkdir()
    for number in range(1, joints.shape[-1] + 1):
        (tmp_path / "images" / f"im{number:0{digits}d}.jpg").touch()
    return tmp_path / "joints.mat"


def run(mat: Path, valid: int | None = None) -> lsp.Converted:
    found = lsp.convert(mat, mat.parent / "images", mat.parent / "out", valid=valid, pixel_origin=0)
    found.write()
    return found


def lspet(people: int) -> np.ndarray:
    joints = np.zeros((14, 3, people))
    joints[:, 0] = 10 * np.arange(14)[:, None] + np.arange(people)
    joints[:, 1] = 100 - 5 * np.arange(14)[:, None]
    joints[:, 2] = 1
    return joints


def test_lspet_by_hand(tmp_path: Path, capsys):
    joints = lspet(20)
    joints[5, :, 0] = (-7, -7, 0)  # the left ankle is not placed
    joints[:7, 2, 3] = 0  # seven of fourteen: too few
    root = run(write(tmp_path, joints, 5), valid=2).files
    train = root[tmp_path / "out/annot/train.json"]
    valid = root[tmp_path / "out/annot/valid.json"]
    assert len(train) + len(valid) == 19
    first = next(r for r in (*train, *valid) if r["image"] == "im00001.jpg")
    # LSP's neck (12) is MPII's upper neck (8); 1-based.
    assert first["joints"][8] == [121, 41]
    assert first["joints"][9] == [131, 36]
    assert first["joints"][15] == [10 * 11 + 1, 100 - 55 + 1]
    assert first["joints_vis"] == [1, 1, 1, 1, 1, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1]
    assert first["joints"][5] == [-1, -1]
    # The box is 130 × 65: the scale 1.15 × 130 / 200; the centre 6 × scale above the middle.
    assert first["scale"] == pytest.approx(0.7475)
    assert first["center"] == pytest.approx([1 + 65, 1 + 67.5 - 6 * 0.7475], abs=1e-4)
    truth = mpii.truth(tmp_path / "out", "valid")
    np.testing.assert_allclose(truth.head_size_px, 0.75 * np.hypot(10, 5))
    said = capsys.readouterr().out
    assert "1 person with fewer than 8 joints" in said
    assert "assumed: pixel_origin: joints.mat counts pixels from 0" in said


def test_lsp_has_its_own_split_and_hidden_joints_are_labelled(tmp_path: Path):
    joints = lspet(2000).transpose(1, 0, 2)  # 3 × 14 × N
    joints[2] = 0
    joints[2, 4] = 1  # hidden
    files = run(write(tmp_path, joints, 4)).files
    valid = files[tmp_path / "out/annot/valid.json"]
    assert len(valid) == 1000
    assert [valid[0]["image"], valid[-1]["image"]] == ["im1001.jpg", "im2000.jpg"]
    assert valid[0]["joints_vis"][4] == 1
    assert len(files[tmp_path / "out/annot/train.json"]) == 1000


def test_other_shapes_and_numbers_are_refused(tmp_path: Path):
    mat = write(tmp_path, np.zeros((14, 2, 5)), 5)
    with pytest.raises(UserError, match=r"of shape \(14, 2, 5\), expected 3×14×N"):
        run(mat)
    joints = lspet(5)
    joints[2, 0, 4] = np.nan
    savemat(mat, {"joints": joints})
    with pytest.raises(UserError, match="person 5: a labelled joint is not a finite number"):
        run(mat)
    savemat(mat, {"joints": lspet(5)})
    for valid in (0, 5):
        with pytest.raises(UserError, match=f"--valid {valid}: must be at least 1"):
            run(mat, valid=valid)
    assert not (tmp_path / "out").exists()


def test_the_rules_are_those_of_the_kept_set(reference_data: Path, tmp_path: Path):
    """The kept JSON, turned back into LSPET's array, converts to itself."""
    records = json.loads((reference_data / "data/lspet_mpii/annot/valid.json").read_text())
    joints = np.zeros((14, 3, 10000))
    for record in records:
        number = int(re.search(r"\d+", record["image"])[0]) - 1
        seen = np.array(record["joints_vis"])[list(lsp.MPII_SLOTS)]
        placed = np.array(record["joints"])[list(lsp.MPII_SLOTS)] - 1
        joints[:, :2, number], joints[:, 2, number] = placed * seen[:, None], seen
    mat = tmp_path / "joints.mat"
    savemat(mat, {"joints": joints})
    images = reference_data / "data/lspet_mpii/images"
    found = lsp.convert(mat, images, tmp_path / "out", valid=50, pixel_origin=0)
    new = {r["image"]: r for path, rows in found.files.items() if "annot" in path.parts
           and path.suffix == ".json" for r in rows}  # fmt: skip
    assert len(new) == len(records)
    for record in records:
        assert new[record["image"]]["joints_vis"] == record["joints_vis"]
        # The files round to 1e-6 of a scale and 1e-4 px.
        assert new[record["image"]]["scale"] == pytest.approx(record["scale"], abs=2e-6)
        np.testing.assert_allclose(new[record["image"]]["center"], record["center"], atol=2e-4)
        np.testing.assert_allclose(new[record["image"]]["joints"], record["joints"], atol=2e-4)
