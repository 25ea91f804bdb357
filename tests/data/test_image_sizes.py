"""Pictures are read as they were annotated: turned where EXIF and sizes say so, else refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from paddle_pose.data import image_sizes
from paddle_pose.data.images import decode_as_annotated, read_image
from paddle_pose.data.top_down import read_photo
from paddle_pose.errors import UserError

UPRIGHT_WH = (48, 32)
TURNS = {
    3: Image.Transpose.ROTATE_180,
    6: Image.Transpose.ROTATE_90,  # stored lying; a viewer turns it back
    8: Image.Transpose.ROTATE_270,
    5: Image.Transpose.TRANSPOSE,
}


def picture(size_wh: tuple[int, int]) -> Image.Image:
    """Smooth, so that JPEG keeps it, and different in all four corners."""
    width, height = size_wh
    x, y = np.meshgrid(np.linspace(0, 200, width), np.linspace(0, 100, height))
    return Image.fromarray(np.stack([x, y, (x + y) / 2], -1).astype(np.uint8))


def write(folder: Path, orientation: int, size_wh=UPRIGHT_WH, name: str = "a.jpg") -> Path:
    """A picture of that upright size, stored with an EXIF orientation."""
    image = picture(size_wh)
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = image.transpose(TURNS[orientation]) if orientation in TURNS else image
    stored.save(folder / name, exif=exif, quality=100, subsampling=0)
    return folder / name


@pytest.mark.parametrize("orientation", [5, 6, 8])
@pytest.mark.parametrize("name", ["a.jpg", "a.png"])
def test_a_phones_photo_is_turned_as_it_was_annotated(tmp_path: Path, orientation: int, name: str):
    write(tmp_path, orientation, name=name)
    upright = np.asarray(picture(UPRIGHT_WH), float)
    found = read_image(tmp_path, name, UPRIGHT_WH)
    assert found.shape == upright.shape
    # JPEG at quality 100 without subsampling rounds twice: a few grey values.
    assert np.abs(found - upright).max() <= 4
    stored = read_image(tmp_path, name, UPRIGHT_WH[::-1])
    np.testing.assert_array_equal(stored, read_image(tmp_path, name))
    if name == "a.jpg":
        reduced = read_photo(tmp_path, name, 2, UPRIGHT_WH)
        assert reduced.pixels_HWC.shape[:2] == (16, 24)
        assert reduced.width_px == 48


@pytest.mark.parametrize("size_wh", [(24, 16), (47, 32), (48, 33), (32, 47)])
@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.bmp"])
def test_another_size_is_refused(tmp_path: Path, size_wh: tuple[int, int], name: str):
    picture(UPRIGHT_WH).save(tmp_path / name)
    message = f"the picture is 48×32, the annotation file says {size_wh[0]}×{size_wh[1]}"
    with pytest.raises(UserError, match=message):
        read_image(tmp_path, name, size_wh)
    with pytest.raises(UserError, match=message):
        image_sizes.known(tmp_path, [name], [size_wh], np.array([0]), with_images=True)
    if name == "a.jpg":
        with pytest.raises(UserError, match="was it resized"):
            decode_as_annotated((tmp_path / name).read_bytes(), name, size_wh, reduction=4)


def test_what_the_headers_say_is_said(tmp_path: Path):
    write(tmp_path, 6, name="a.jpg")
    write(tmp_path, 1, name="b.jpg")
    write(tmp_path, 3, name="c.jpg")  # the same size either way
    write(tmp_path, 6, (32, 32), name="d.jpg")
    names = ["a.jpg", "b.jpg", "c.jpg", "d.jpg", "lost.jpg"]
    stated = [UPRIGHT_WH, UPRIGHT_WH, UPRIGHT_WH, (32, 32), (9, 9)]
    sizes, facts = image_sizes.known(tmp_path, names, stated, np.arange(5), with_images=True)
    np.testing.assert_array_equal(sizes, stated)
    assert [fact.line() for fact in facts] == [
        "=> image sizes: 4 of 5 pictures are of the size that the file says, 1 of them when turned "
        "as their EXIF says; the others are looked at when they are read",
        "assumed: pictures with an EXIF turn: 2 are read as stored, as published loaders do; the "
        "sizes leave it open",
    ]
    sizes, facts = image_sizes.known(tmp_path, names, [None] * 5, np.arange(4), with_images=True)
    assert sizes.tolist() == [[32, 48], [48, 32], [48, 32], [32, 32], [0, 0]]
    assert "3 of them with an EXIF turn that is not applied" in facts[0].line()


def test_only_some_headers_are_read_before_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(image_sizes, "CHECKED", 3)
    for number in range(9):
        write(tmp_path, 1, name=f"{number}.jpg")
    names = [f"{number}.jpg" for number in range(9)]
    _, facts = image_sizes.known(tmp_path, names, [UPRIGHT_WH] * 9, np.arange(9), with_images=True)
    assert facts[0].value == {"checked": 3, "turned": 0}


@pytest.mark.parametrize("turn", [3, 6, 8])
def test_a_turned_tiff_is_read_as_it_is_stored(tmp_path: Path, turn: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (6, 9, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = turn
    Image.fromarray(pixels).save(tmp_path / "a.tif", exif=exif)
    assert image_sizes.header_of(tmp_path, "a.tif") == ((9, 6), turn)
    np.testing.assert_array_equal(read_image(tmp_path, "a.tif", (9, 6)), pixels)
    if turn >= 5:
        upright = np.rot90(pixels, -1 if turn == 6 else 1)
        np.testing.assert_array_equal(read_image(tmp_path, "a.tif", (6, 9)), upright)
