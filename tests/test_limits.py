"""Every limit of the table is tried, and the docs show the table."""

from __future__ import annotations

import gzip
import io
import json
import time
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest
from places import ROOT
from safetensors.numpy import save_file
from scipy.io import savemat

from paddle_pose import array_files, configs, files, limits, names
from paddle_pose.commands.fitting import require_batch
from paddle_pose.data import archives, images
from paddle_pose.data.boxes import read_boxes
from paddle_pose.errors import UserError
from paddle_pose.limits import LIMITS
from paddle_pose.models.build import build
from paddle_pose.porting.reader import read_file
from paddle_pose.synthetic.dataset import write_dataset

Trial = Callable[[Path, Callable[[int], None]], None]
"""Goes over a limit, in a folder of its own; the second argument lowers the limit first."""


def sparse(path: Path, size: int) -> Path:
    with path.open("wb") as file:
        file.truncate(size)
    return path


def nested(folder: Path, lower: Callable[[int], None]) -> None:
    (folder / "x.json").write_text("[" * 100_000)
    files.read_json(folder / "x.json")


def inflated(folder: Path, lower: Callable[[int], None]) -> None:
    lower(1000)
    data = gzip.compress(b"[" + b" " * 900) + gzip.compress(b" " * 900 + b"]")  # two members
    (folder / "x.json.gz").write_bytes(data)
    files.read_json(folder / "x.json.gz")


def terabyte(folder: Path, lower: Callable[[int], None]) -> None:
    with h5py.File(folder / "x.h5", "w") as file:
        file.create_dataset("preds", (1 << 33, 16, 2), chunks=(1, 16, 2))
    assert (folder / "x.h5").stat().st_size < 10_000
    array_files.read_hdf5(folder / "x.h5", ["preds"])


def many_arrays(folder: Path, lower: Callable[[int], None]) -> None:
    lower(3)
    savemat(folder / "x.mat", {f"a{i}": i for i in range(4)})
    array_files.read_mat(folder / "x.mat", ["a0"])


def many_members(folder: Path, lower: Callable[[int], None]) -> None:
    lower(1)
    with zipfile.ZipFile(folder / "images.zip", "w") as archive:
        for name in ("a.jpg", "b.jpg"):
            archive.writestr(name, b"x")
    archives.open_archives(folder / "images")


def large_member(folder: Path, lower: Callable[[int], None]) -> None:
    lower(1 << 20)
    with zipfile.ZipFile(folder / "images.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.jpg", bytes(2 << 20))
    archives.open_archives(folder / "images").read("a.jpg")


def png_of(width: int, height: int) -> bytes:
    """A PNG with right checksums whose pixels are not there."""
    head = b"".join(n.to_bytes(4, "big") for n in (width, height)) + b"\x08\x02\0\0\0"
    data = b"\x89PNG\r\n\x1a\n"
    for kind, content in ((b"IHDR", head), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")):
        data += len(content).to_bytes(4, "big") + kind + content
        data += zlib.crc32(kind + content).to_bytes(4, "big")
    return data


def many_pixels(folder: Path, lower: Callable[[int], None]) -> None:
    images.decode_rgb(png_of(30_000, 30_000), "x.png")


def far_box(folder: Path, lower: Callable[[int], None]) -> None:
    box = {"image_id": 1, "category_id": 1, "bbox": [0, 0, 1e300, 5], "score": 1.0}
    (folder / "b.json").write_text(json.dumps([box]))
    read_boxes(folder / "b.json")


DOUBLED = "\n".join(["a0: &a0 [0, 1]"] + [f"a{n + 1}: &a{n + 1} [*a{n}, *a{n}]" for n in range(30)])
"""Two billion values in a kilobyte of aliases."""


def long_pickle(folder: Path, lower: Callable[[int], None]) -> None:
    lower(1000)
    (folder / "x.pdparams").write_bytes(b"\x80\x02]q\x01" + b"h\x01a" * 600 + b".")
    read_file(folder / "x.pdparams")


def many_tensors(folder: Path, lower: Callable[[int], None]) -> None:
    lower(3)
    save_file({f"a{n}": np.zeros(1) for n in range(4)}, folder / "x.safetensors")
    read_file(folder / "x.safetensors")


def large_tensors(folder: Path, lower: Callable[[int], None]) -> None:
    lower(1 << 20)
    save_file({"a": np.zeros(1 << 18)}, folder / "x.safetensors")
    read_file(folder / "x.safetensors")


def large_batch(folder: Path, lower: Callable[[int], None]) -> None:
    changes = ["train.batch_size=4096", "data.image_size_wh=[1024,1024]"]
    recipe = configs.chosen("quickstart:newell_hg1_synthetic", None, changes)
    require_batch(recipe, build(recipe.model), "cpu", people=4096, trained=True)


def many_boxes(folder: Path, lower: Callable[[int], None]) -> None:
    app = pytest.importorskip("paddle_pose.serving.app")
    app.inside([[0, 0, 5, 5]] * 101, np.zeros((9, 9, 3), np.uint8))


def recipe_of(text: str) -> Trial:
    """A recipe file with a text."""

    def trial(folder: Path, lower: Callable[[int], None]) -> None:
        (folder / "recipe.yaml").write_text(text)
        configs.load(str(folder / "recipe.yaml"))

    return trial


def changed(assignment: str) -> Trial:
    """A sound recipe but for one value."""
    return lambda *_: configs.chosen("quickstart:newell_hg1_synthetic", None, [assignment])


TRIALS: dict[str, Trial] = {
    "json_bytes": lambda folder, _: files.read_json(sparse(folder / "x.json", (4 << 30) + 1)),
    "inflated_json_bytes": inflated,
    "nesting": nested,
    "file_name_bytes": lambda *_: names.require_inside("a/" + "é" * 200 + ".jpg", "x"),
    "path_bytes": lambda *_: names.require_inside("a/" * 2000 + "b.jpg", "x"),
    "array_bytes": terabyte,
    "array_names": many_arrays,
    "archive_members": many_members,
    "image_file_bytes": large_member,
    "image_pixels": many_pixels,
    "far_px": far_box,
    "page_boxes": many_boxes,
    "pickle_steps": long_pickle,
    "tensors": many_tensors,
    "tensor_bytes": large_tensors,
    "batch_memory": large_batch,
    "name_bytes": lambda *_: names.require_plain("a" * 121, "x"),
    "recipe_bytes": recipe_of("#" * ((1 << 20) + 1)),
    "recipe_values": recipe_of(DOUBLED),
    "parameters": changed("model.features=1000000"),
    "seed": changed("seed=99999999999999999999"),
    "image_side_px": changed("data.image_size_wh=[100000,64]"),
    "rendered_people": lambda folder, _: write_dataset(folder / "r", train_people=10**7),
}
"""One for each key of LIMITS: a limit without a trial fails."""
RANGES_OF_RECIPES = ("seed", "image_side_px")
"""Whose message is that of a recipe's range."""


@pytest.mark.parametrize("key", LIMITS)
def test_what_is_over_a_limit_is_refused_at_once(
    key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lowered = lambda most: monkeypatch.setitem(LIMITS, key, replace(LIMITS[key], most=most))  # noqa: E731
    began = time.process_time()
    with pytest.raises(UserError) as caught:
        TRIALS[key](tmp_path, lowered)
    words = (LIMITS[key].what, LIMITS[key].text)
    if key == "batch_memory":  # says what fits, in GiB
        words = ("need about", "can be had")
    if key in RANGES_OF_RECIPES:
        words = ("must be from", f"{LIMITS[key].most:,}")
    assert all(word in str(caught.value) for word in words)
    assert time.process_time() - began < 5


def test_no_trial_is_left_over() -> None:
    assert TRIALS.keys() == LIMITS.keys()


def test_the_docs_show_the_table() -> None:
    assert (ROOT / "docs/limits.md").read_text("utf-8") == limits.markdown()


def test_a_limit_is_inclusive_and_refuses_nan() -> None:
    limit = LIMITS["nesting"]
    limit.require(limit.most, "x")
    for value in (limit.most + 1, float("nan")):
        with pytest.raises(UserError, match="the limit is 64 levels"):
            limit.require(value, "x")


def test_bombs_take_neither_memory_nor_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gzip that inflates to more than it may, and a .mat that would be 8 GB."""
    packed = zlib.compressobj(9, wbits=31)
    block = b" " * (1 << 20)
    data = b"".join(packed.compress(block) for _ in range(64)) + packed.flush()
    gz = tmp_path / "x.json.gz"
    gz.write_bytes(data)
    monkeypatch.setitem(
        LIMITS, "inflated_json_bytes", replace(LIMITS["inflated_json_bytes"], most=60 << 20)
    )
    stream = io.BytesIO()
    savemat(stream, {"preds": np.zeros((4, 16, 2))})
    matrix = bytearray(stream.getvalue()[128:])
    matrix[4:8] = (1 << 31).to_bytes(4, "little")  # the length that the variable says it has
    mat = tmp_path / "x.mat"
    packed_matrix = zlib.compress(bytes(matrix))
    tag = (15).to_bytes(4, "little") + len(packed_matrix).to_bytes(4, "little")
    mat.write_bytes(stream.getvalue()[:128] + tag + packed_matrix)
    tracemalloc.start()
    for read in (files.read_json, lambda path: array_files.read_mat(path, ["preds"])):
        with pytest.raises(UserError, match="the limit is"):
            read(gz if read is files.read_json else mat)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 32 << 20


@pytest.mark.parametrize("ending", [".jpg", ".bmp", ".webp", ".tif", ".png"])
def test_pixels_are_counted_by_the_header(ending: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = cv2.imencode(ending, np.zeros((60, 80, 3), np.uint8))[1].tobytes()
    monkeypatch.setitem(LIMITS, "image_pixels", replace(LIMITS["image_pixels"], most=4799))
    with pytest.raises(UserError, match="an image of 4,800 pixels; the limit is 4,799 pixels"):
        images.decode_rgb(data, "x")
    if ending == ".jpg":  # bytes that decoders skip hide no header
        with pytest.raises(UserError, match="an image of 4,800 pixels"):
            images.decode_rgb(data[:2] + b"\x00\x01\xff\x00" + data[2:], "x")
