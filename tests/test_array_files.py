"""MATLAB and HDF5 files: as scipy and h5py read them; broken ones in one line."""

from __future__ import annotations

import contextlib
import io
import random
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.io import loadmat, savemat

from paddle_pose.array_files import read_hdf5, read_mat
from paddle_pose.errors import UserError

KINDS = ["f8", "f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"]
WANTED = ("preds", "names")


def mat(content: dict, *, packed: bool = False) -> bytes:
    stream = io.BytesIO()
    savemat(stream, content, do_compression=packed)
    return stream.getvalue()


@settings(max_examples=60, deadline=None)
@given(
    array=st.sampled_from(KINDS).flatmap(
        lambda kind: arrays.arrays(kind, arrays.array_shapes(min_dims=2, max_dims=4, max_side=4))
    ),
    packed=st.booleans(),
)
def test_arrays_are_what_scipy_reads(array: np.ndarray, packed: bool, tmp_path_factory) -> None:
    path = tmp_path_factory.getbasetemp() / "x.mat"
    path.write_bytes(mat({"other": {"a": 1}, "preds": array, "z": "text"}, packed=packed))
    found = read_mat(path, WANTED)
    np.testing.assert_array_equal(found["preds"], loadmat(path)["preds"])
    assert found["preds"].dtype == array.dtype
    assert list(found) == ["other", "preds", "z"]
    assert found["other"] is found["z"] is None


@pytest.mark.parametrize("packed", [False, True])
def test_texts_and_cells_of_texts(tmp_path: Path, packed: bool) -> None:
    names = np.array([["rank", "köpf", "写真"]], dtype=object)
    (tmp_path / "x.mat").write_bytes(mat({"names": names, "preds": "1"}, packed=packed))
    assert read_mat(tmp_path / "x.mat", WANTED) == {"names": ["rank", "köpf", "写真"], "preds": "1"}


def test_mpiis_truth_is_what_scipy_reads(reference_data: Path) -> None:
    for name in ("gt_valid.mat", "gt_valid_5.mat"):
        path = reference_data / "data/mpii/annot" / name
        fields = ("dataset_joints", "jnt_missing", "pos_gt_src", "headboxes_src")
        ours, theirs = read_mat(path, fields), loadmat(path)
        for field in fields[1:]:
            np.testing.assert_array_equal(ours[field], theirs[field])
        assert ours["dataset_joints"] == [str(cell[0]) for cell in theirs["dataset_joints"].flat]


@pytest.mark.parametrize(
    "content",
    [{"preds": {"a": 1}}, {"preds": np.array([[1 + 2j, 0]])}],
)
def test_other_classes_are_refused(tmp_path: Path, content: dict) -> None:
    (tmp_path / "x.mat").write_bytes(mat(content))
    with pytest.raises(UserError, match="'preds' is not a plain array of numbers"):
        read_mat(tmp_path / "x.mat", WANTED)


def test_version_4_is_refused(tmp_path: Path) -> None:
    savemat(tmp_path / "x.mat", {"preds": np.ones((20, 20))}, format="4")
    with pytest.raises(UserError, match="cannot be read as a MATLAB file of version 5 or 7"):
        read_mat(tmp_path / "x.mat", WANTED)


def mutant(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 5])):
        at = rng.randrange(min(len(changed), rng.choice([300, len(changed)])))
        length = rng.choice([1, 2, 4, 8])
        kind = rng.randrange(5)
        if kind == 0:
            changed[at : at + length] = bytes(length)
        elif kind == 1:
            changed[at:at] = changed[at : at + length]
        elif kind == 2:
            changed[at : at + length] = rng.randbytes(length)
        elif kind == 3:
            changed[at : at + 4] = b"\xff\xff\xff\x7f"
        elif len(changed) > 200:
            del changed[at : at + length]
    return bytes(changed)


@pytest.mark.parametrize("packed", [False, True])
def test_damaged_mat_files_are_read_or_one_line(tmp_path: Path, packed: bool) -> None:
    """Byte by byte: such files crashed the process inside scipy's reader."""
    rng = random.Random(11)
    names = np.array([["rank", "rkne"]], dtype=object)
    whole = mat({"preds": np.ones((3, 16, 2)), "names": names, "a": 1}, packed=packed)
    path = tmp_path / "x.mat"
    refused = 0
    for _ in range(400):
        path.write_bytes(mutant(whole, rng))
        try:
            read_mat(path, WANTED)
        except UserError:
            refused += 1
    assert refused > 100


def virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((4, 2), "f8")
    layout[:] = h5py.VirtualSource("other.h5", "preds", (4, 2))
    file.create_virtual_dataset("preds", layout)


NO_ARRAYS = {
    "group": lambda file: file.create_group("preds"),
    "external link": lambda file: file.update(preds=h5py.ExternalLink("/etc/passwd", "/x")),
    "dangling link": lambda file: file.update(preds=h5py.SoftLink("/nowhere")),
    "external data": lambda file: file.create_dataset(
        "preds", (16, 2), "u1", external=[("/etc/passwd", 0, 32)]
    ),
    "virtual": virtual,
    "empty": lambda file: file.update(preds=h5py.Empty("f8")),
    "texts": lambda file: file.update(preds=["a", "b"]),
    "compound": lambda file: file.update(preds=np.zeros(3, [("x", "f8"), ("y", "f8")])),
    "terabyte": lambda file: file.create_dataset("preds", (1 << 40,), chunks=(16,)),
    "complex": lambda file: file.update(preds=np.ones(4, complex)),
}


@pytest.mark.parametrize("kind", NO_ARRAYS)
def test_hdf5_that_is_no_plain_array_is_one_line(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        NO_ARRAYS[kind](file)
    with pytest.raises(UserError, match=r"x\.h5"):
        read_hdf5(path, WANTED)
    assert read_hdf5(path, ["names"]) == {"preds": None}


def test_damaged_hdf5_is_read_or_one_line(tmp_path: Path) -> None:
    rng = random.Random(12)
    with h5py.File(tmp_path / "whole.h5", "w") as file:
        file["preds"] = np.ones((3, 16, 2))
        file.create_dataset("other", data=np.ones((30, 16)), compression="gzip")
    whole = (tmp_path / "whole.h5").read_bytes()
    for _ in range(150):
        (tmp_path / "x.h5").write_bytes(mutant(whole, rng))
        with contextlib.suppress(UserError):
            read_hdf5(tmp_path / "x.h5", WANTED)
