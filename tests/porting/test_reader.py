"""Weights files: what torch wrote is read exactly, what is damaged or hostile is one line.

The ``.pth`` files in fixtures/checkpoints were made once with torch (make_with_torch.py there);
torch itself is not needed here.
"""

from __future__ import annotations

import os
import pickle
import struct
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch_files
from places import CHECKPOINTS
from safetensors.numpy import save_file

from paddle_pose.errors import UserError
from paddle_pose.porting import torch_format
from paddle_pose.porting.reader import read_weights
from paddle_pose.weights import safe_pickle
from paddle_pose.weights.tensors import write_safetensors

FORMATS = ("zip", "legacy")


def ramp(count: int, dtype: str = "float32") -> np.ndarray:
    return (np.arange(count) / 2 - 3.5).astype(dtype)


SHARED = ramp(24)
EXPECTED = {
    "conv": ramp(24).reshape(2, 3, 2, 2),
    "half": ramp(6, "float16"),
    "bfloat16": ramp(6).reshape(2, 3),
    "double": ramp(6, "float64"),
    "int64_scalar": np.array(12345678901),
    "int32": np.arange(-3, 3, dtype=np.int32),
    "int16": np.arange(-3, 3, dtype=np.int16),
    "int8": np.arange(-3, 3, dtype=np.int8),
    "uint8": np.arange(6, dtype=np.uint8),
    "bool": np.array([True, False, True]),
    "transposed": ramp(6).reshape(2, 3).T,
    "channels_last": SHARED.reshape(1, 2, 3, 4),
    "every_second_from_third": SHARED[2::2],
    "window": SHARED.reshape(4, 6)[1:3, 2:5],
    "shared_whole": SHARED,
    "parameter": ramp(4),
    "empty": np.zeros((0, 3), np.float32),
    "scalar": np.array(2.5, np.float32),
}


@pytest.mark.parametrize("layout", FORMATS)
def test_every_type_and_layout_that_torch_wrote(layout):
    weights = read_weights(CHECKPOINTS / f"types_{layout}.pth")

    assert list(weights) == list(EXPECTED)
    for name, expected in EXPECTED.items():
        assert weights[name].dtype == expected.dtype, name
        assert weights[name].shape == expected.shape, name
        assert np.array_equal(weights[name], expected), name  # a copy of bits: no tolerance
    assert "torch" not in sys.modules


@pytest.mark.parametrize("layout", FORMATS)
def test_meta_beside_the_weights_is_plain_data(layout):
    read = torch_format.read_zip if layout == "zip" else torch_format.read_legacy
    meta = read(CHECKPOINTS / f"types_{layout}.pth").root["meta"]

    assert meta["epoch"] == 210
    assert meta["lr"] == [0.1, (1, 2.5), True]
    assert meta["dataset_meta"]["number"] == 3
    assert np.array_equal(meta["dataset_meta"]["columns"], np.arange(6.0).reshape(2, 3))
    assert meta["dataset_meta"]["colors"].dtype == np.uint8


@pytest.mark.parametrize("layout", FORMATS)
def test_training_checkpoint_of_a_parallel_wrapper(layout):
    weights = read_weights(CHECKPOINTS / f"training_{layout}.pth")

    names = ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]
    assert list(weights) == ["0.weight", "0.bias", *(f"1.{name}" for name in names), "2.weight"]
    shapes = {name: array.shape for name, array in weights.items()}
    assert shapes["0.weight"] == (3, 2, 3, 3)
    assert shapes["2.weight"] == (3, 2, 4, 4)
    assert np.array_equal(weights["1.running_mean"], ramp(3) + 4)


@pytest.mark.parametrize("is_legacy", [False, True])
def test_the_writer_of_these_tests_writes_what_torch_writes(is_legacy, tmp_path):
    wanted = {n: a for n, a in EXPECTED.items() if a.dtype.name in torch_files.KINDS}
    torch_files.write(tmp_path / "x.pth", {"state_dict": wanted, "epoch": 1}, is_legacy)
    weights = read_weights(tmp_path / "x.pth")
    by_torch = read_weights(CHECKPOINTS / f"types_{'legacy' if is_legacy else 'zip'}.pth")
    for name in wanted:
        assert np.array_equal(weights[name], by_torch[name]), name
        assert weights[name].dtype == wanted[name].dtype


@pytest.mark.parametrize("prefix", ["module.", "model.module.", "model.", ""])
def test_wrapper_prefixes_are_dropped(prefix, tmp_path):
    state = torch_files.with_prefix({"a.weight": ramp(2), "b": ramp(3)}, prefix)
    torch_files.write(tmp_path / "x.pth", state, True)
    assert list(read_weights(tmp_path / "x.pth")) == ["a.weight", "b"]


def test_a_score_that_is_a_tensor_hides_no_weights(tmp_path):
    state = torch_files.with_prefix({"hg.w": ramp(2)}, "module.")
    content = {"best_acc": np.array(0.8, "f4"), "state_dict": state}
    torch_files.write(tmp_path / "x.pth", content, False)
    assert list(read_weights(tmp_path / "x.pth")) == ["hg.w"]


def test_a_prefix_of_some_names_only_stays(tmp_path):
    torch_files.write(tmp_path / "x.pth", {"module.a": ramp(2), "b": ramp(3)}, False)
    assert list(read_weights(tmp_path / "x.pth")) == ["module.a", "b"]


def test_latest_weights_come_before_the_others(tmp_path):
    content = {name: {"w": np.full(2, value, "f4")} for value, name in enumerate(
        ["best_state_dict", "state_dict", "latest_state_dict"]
    )}  # fmt: skip
    torch_files.write(tmp_path / "x.pth", content, True)
    assert read_weights(tmp_path / "x.pth")["w"][0] == 2
    del content["latest_state_dict"]
    torch_files.write(tmp_path / "x.pth", content, True)
    assert read_weights(tmp_path / "x.pth")["w"][0] == 1


def test_safetensors_in_and_out(tmp_path):
    path = tmp_path / "x.safetensors"
    save_file({"w": ramp(6).reshape(2, 3), "h": ramp(2, "float16"), "n": np.array(3)}, path)
    weights = read_weights(path)
    assert np.array_equal(weights["w"], ramp(6).reshape(2, 3))
    assert weights["h"].dtype == np.float16
    assert weights["n"] == 3
    write_safetensors(path, {"transposed": ramp(6).reshape(2, 3).T, "scalar": np.float32([2])[0]})
    weights = read_weights(path)
    assert np.array_equal(weights["transposed"], ramp(6).reshape(2, 3).T)
    assert weights["scalar"].shape == ()


def test_bfloat16_of_safetensors(tmp_path):
    header = b'{"w":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]}}'
    halves = struct.pack("<HH", 0x3FC0, 0xC060)  # the upper halves of 1.5 and -3.5 in float32
    path = tmp_path / "x.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + halves)
    assert read_weights(path)["w"].tolist() == [1.5, -3.5]


@pytest.mark.parametrize("place", ["alone", "inside"])
def test_bfloat16_of_paddle_is_read_by_value_and_checked(place, tmp_path):
    path = tmp_path / "x.pdparams"
    for bits, values in (([0x3FC0, 0xC060], [1.5, -3.5]), ([0x7FC0, 0], None)):
        state = {"w": np.array(bits, np.uint16)}
        safe_pickle.save_data(path, state if place == "alone" else {"state_dict": state})
        if values:
            assert read_weights(path)["w"].tolist() == values
        else:
            with pytest.raises(UserError, match="'w' is not finite"):
                read_weights(path)


def test_numbers_that_float32_cannot_hold(tmp_path):
    path = tmp_path / "x.safetensors"
    write_safetensors(path, {"w": np.array([1.0, 1e300])})
    with pytest.raises(UserError, match=r"'w' is not finite \(inf at \[1\]\)"):
        read_weights(path)


class Malicious:
    """Unpickled by Python, it would make a file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple:
        return os.system, (f"touch '{self.marker}'",)


@pytest.mark.parametrize("kind", ["zip", "legacy", "pdparams"])
@pytest.mark.parametrize("place", ["first", "last"])
def test_a_program_in_a_file_is_refused_by_name_and_does_not_run(kind, place, tmp_path):
    marker = tmp_path / "marker"
    weights = {"w": ramp(6)}
    bad = {"bad": Malicious(marker)}
    content = {**bad, **weights} if place == "first" else {**weights, **bad}
    path = tmp_path / "x.pth"
    if kind == "pdparams":
        path.write_bytes(pickle.dumps(content, protocol=4))
        pickle.loads(path.read_bytes())  # the attack works on who trusts the file
    else:
        torch_files.write(path, content, kind == "legacy")
        pickle.loads(pickle.dumps(bad))
    assert marker.exists()
    marker.unlink()

    with pytest.raises(UserError, match=rf"x\.pth.*'{os.system.__module__}\.system'") as error:
        read_weights(path)
    assert "\n" not in str(error.value)
    assert not marker.exists()


@pytest.mark.parametrize("protocol", range(5))
@pytest.mark.parametrize("name", ["builtins.eval", "torch.nn.modules.conv.Conv2d", "os.path.join"])
def test_any_name_outside_the_list_is_refused(protocol, name, tmp_path):
    path = tmp_path / "x.pdparams"
    module, _, attribute = name.rpartition(".")
    if protocol == 4:
        start = pickle.PROTO + b"\x04" + b"".join(
            pickle.SHORT_BINUNICODE + bytes([len(text)]) + text.encode()
            for text in (module, attribute)
        ) + pickle.STACK_GLOBAL  # fmt: skip
    else:
        start = pickle.PROTO + bytes([protocol]) + f"c{module}\n{attribute}\n".encode()
    path.write_bytes(start + b".")
    with pytest.raises(UserError, match=name.replace(".", r"\.")):
        safe_pickle.load_arrays(path)


def test_refused_kinds_of_files(tmp_path):
    path = tmp_path / "x.pth"
    for content, message in (
        (b"", "not a weights file"),
        (b"<!DOCTYPE html><html>", "not a weights file"),
        (b"\x80\x04N.", "expected named arrays"),
        (b"\x80\x04}.", "no arrays"),
        (b"\x80\x05\x96\x00\x00\x00\x00\x00\x00\x00\x00.", "BYTEARRAY8"),
    ):
        path.write_bytes(content)
        with pytest.raises(UserError, match=message):
            read_weights(path)
    with pytest.raises(UserError, match="cannot be read"):
        read_weights(tmp_path / "absent.pth")
    with pytest.raises(UserError, match="cannot be read"):
        read_weights(tmp_path)


def test_zip_archives_that_are_no_checkpoints(tmp_path):
    path = tmp_path / "x.pth"
    state = {"w": ramp(4)}
    for member, method, message in (
        ("archive/notes.txt", zipfile.ZIP_STORED, "without data.pkl"),
        ("archive/data.pkl", zipfile.ZIP_DEFLATED, "compressed"),
    ):
        with zipfile.ZipFile(path, "w", method) as archive:
            archive.writestr(member, b"0" * 100)
        with pytest.raises(UserError, match=message):
            read_weights(path)
    for member, content, message in (
        ("archive/constants.pkl", b"", "TorchScript"),
        ("other/data.pkl", b"", "without data.pkl"),
    ):
        torch_files.write(path, state, False)
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr(member, content)
        with pytest.raises(UserError, match=message):
            read_weights(path)


def test_a_storage_shorter_than_its_tensors(tmp_path):
    path, cut = tmp_path / "x.pth", tmp_path / "cut.pth"
    torch_files.write(path, {"w": ramp(6)}, False)
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(cut, "w") as shorter:
        for name in archive.namelist():
            content = archive.read(name)
            shorter.writestr(name, content[:-4] if name.endswith("data/0") else content)
    with pytest.raises(UserError, match="storage '0'"):
        read_weights(cut)


def test_shapes_that_reach_beyond_their_storage(tmp_path):
    class Lying(torch_files.Pickler):
        def save(self, obj, save_persistent_id=True):
            is_shape = isinstance(obj, tuple) and obj == (2, 3)
            super().save((1000, 1000) if is_shape else obj, save_persistent_id)

    path = tmp_path / "x.pth"
    real, torch_files.Pickler = torch_files.Pickler, Lying
    try:
        torch_files.write(path, {"w": ramp(6).reshape(2, 3)}, True)
    finally:
        torch_files.Pickler = real
    with pytest.raises(UserError, match="larger than its storage"):
        read_weights(path)


@pytest.mark.parametrize(
    "name",
    ["types_zip.pth", "types_legacy.pth", "training_legacy.pth", "x.pdparams", "x.safetensors"],
)
def test_damaged_files_give_one_line(name, tmp_path):
    if name.endswith(".pdparams"):
        safe_pickle.save_arrays(tmp_path / name, {"a": ramp(8), "b": ramp(4).reshape(2, 2)})
        whole = (tmp_path / name).read_bytes()
    elif name.endswith(".safetensors"):
        save_file({"a": ramp(8), "b": ramp(4)}, tmp_path / name)
        whole = (tmp_path / name).read_bytes()
    else:
        whole = (CHECKPOINTS / name).read_bytes()
    path = tmp_path / "damaged"
    for part in range(50):
        path.write_bytes(whole[: len(whole) * part // 50])
        with pytest.raises(UserError) as error:
            read_weights(path)
        assert "\n" not in str(error.value)
    rng = np.random.default_rng(0)
    for _ in range(200):
        flipped = bytearray(whole)
        for place in rng.integers(0, len(whole), size=rng.integers(1, 4)):
            flipped[place] ^= 1 << int(rng.integers(0, 8))
        path.write_bytes(flipped)
        try:
            read_weights(path)  # a flipped weight is still a weight
        except UserError as error:
            assert "\n" not in str(error)  # noqa: PT017
