"""Reading photos: formats, odd names, broken files, and the file that a name means."""

from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np
import pytest

from paddle_pose.data.image_files import find_image
from paddle_pose.data.images import read_rgb
from paddle_pose.errors import LONGEST_LINE, UserError


def photo(height: int = 60, width: int = 80) -> np.ndarray:
    """A smooth BGR picture: red grows to the right, green downwards, blue is 40."""
    red = np.tile(np.linspace(0, 250, width), (height, 1))
    green = np.tile(np.linspace(0, 250, height)[:, None], (1, width))
    return np.dstack([np.full_like(red, 40), green, red]).astype(np.uint8)


def encoded(ending: str, image: np.ndarray | None = None) -> bytes:
    ok, data = cv2.imencode(ending, photo() if image is None else image)
    assert ok
    return data.tobytes()


def with_segment(jpeg: bytes, payload: bytes) -> bytes:
    """The JPEG with an APP1 segment after its start marker."""
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(payload) + 2) + payload + jpeg[2:]


@pytest.mark.parametrize("name", ["a.png", "a b.PNG", "año/写真 1.PNG", "x.bmp", "x.webp", "y.tif"])
def test_lossless_formats_come_back_as_rgb(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    if path.suffix == ".webp":
        path.write_bytes(cv2.imencode(".webp", photo(), [cv2.IMWRITE_WEBP_QUALITY, 101])[1])
    else:
        path.write_bytes(encoded(path.suffix.lower()))
    image = read_rgb(path)
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, photo()[..., ::-1])


def test_jpeg_is_what_imread_gives(tmp_path: Path) -> None:
    path = tmp_path / "photo.JPG"
    path.write_bytes(encoded(".jpg"))
    np.testing.assert_array_equal(read_rgb(path), cv2.imread(str(path))[..., ::-1])


def test_grey_alpha_and_16_bit_become_three_channels(tmp_path: Path) -> None:
    grey = photo()[..., 1]
    (tmp_path / "grey.jpg").write_bytes(encoded(".jpg", grey))
    image = read_rgb(tmp_path / "grey.jpg")
    assert image.shape == (60, 80, 3)
    assert (image[..., 0] == image[..., 2]).all()

    (tmp_path / "alpha.png").write_bytes(encoded(".png", np.dstack([photo(), grey])))
    np.testing.assert_array_equal(read_rgb(tmp_path / "alpha.png"), photo()[..., ::-1])

    (tmp_path / "deep.png").write_bytes(encoded(".png", photo().astype(np.uint16) * 257))
    np.testing.assert_array_equal(read_rgb(tmp_path / "deep.png"), photo()[..., ::-1])


def test_cmyk_jpeg(tmp_path: Path) -> None:
    pillow = pytest.importorskip("PIL.Image", reason="Pillow writes the CMYK photo")
    pillow.fromarray(photo()[..., ::-1]).convert("CMYK").save(tmp_path / "p.jpg", quality=100)
    difference = read_rgb(tmp_path / "p.jpg").astype(int) - photo()[..., ::-1]
    # Pillow's conversion has no black, so only JPEG's rounding is left (a few levels); inverted or
    # swapped channels would differ by a hundred.
    assert np.abs(difference).mean() < 4


def test_exif_orientation_only_when_asked(tmp_path: Path) -> None:
    # Big-endian TIFF header, one entry: orientation (0x0112), SHORT, 1 value, 6 = turn clockwise.
    tiff = b"MM\x00\x2a\x00\x00\x00\x08" + struct.pack(">HHHIHHI", 1, 0x0112, 3, 1, 6, 0, 0)
    path = tmp_path / "turned.jpg"
    path.write_bytes(with_segment(encoded(".jpg"), b"Exif\x00\x00" + tiff))
    stored = read_rgb(path)
    assert stored.shape == (60, 80, 3)
    np.testing.assert_array_equal(read_rgb(path, apply_exif=True), np.rot90(stored, -1))


@pytest.mark.parametrize("ending", [".jpg", ".png"])
@pytest.mark.parametrize("part", [0.3, 0.6, 0.95])
def test_cut_files_are_refused(tmp_path: Path, ending: str, part: float) -> None:
    data = encoded(ending)
    path = tmp_path / f"cut{ending}"
    path.write_bytes(data[: int(len(data) * part)])
    with pytest.raises(UserError, match=rf"cut{ending}: this image is cut short .* download"):
        read_rgb(path)


def test_end_marker_of_a_thumbnail_or_zeros_at_the_end_do_not_hide_a_cut(tmp_path: Path) -> None:
    data = with_segment(encoded(".jpg"), b"Exif\x00\x00 thumbnail \xff\xd9 ends")
    path = tmp_path / "p.jpg"
    path.write_bytes(data)
    assert read_rgb(path).shape == (60, 80, 3)
    for tail in (b"", bytes(500)):
        path.write_bytes(data[:-300] + tail)
        with pytest.raises(UserError, match="no JPEG end marker"):
            read_rgb(path)


def test_bytes_behind_the_end_are_harmless(tmp_path: Path) -> None:
    for name, tail in (("a.jpg", bytes(10)), ("b.jpg", b"\xff\xd8 more"), ("c.png", b"\n\n")):
        path = tmp_path / name
        path.write_bytes(encoded(path.suffix) + tail)
        assert read_rgb(path).shape == (60, 80, 3)


def test_what_is_no_image_is_named(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("<html>404 not found</html>")
    with pytest.raises(UserError, match=r"text\.jpg: not an image that OpenCV can read"):
        read_rgb(tmp_path / "text.jpg")
    (tmp_path / "empty.jpg").touch()
    with pytest.raises(UserError, match=r"empty\.jpg: this image is cut short \(0 bytes\)"):
        read_rgb(tmp_path / "empty.jpg")
    with pytest.raises(UserError, match=r"none\.jpg: cannot read this image"):
        read_rgb(tmp_path / "none.jpg")
    with pytest.raises(UserError, match="cannot read this image"):
        read_rgb(tmp_path)


def test_find_image_by_case_and_ending(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("exact.jpg", "Upper.JPG", "other.png", "sub/Deep.jpeg", "exact.png"):
        (tmp_path / name).touch()
    assert find_image(tmp_path, "exact.jpg") == tmp_path / "exact.jpg"
    assert find_image(tmp_path, "upper.jpg").name.lower() == "upper.jpg"
    assert find_image(tmp_path, "other.jpg") == tmp_path / "other.png"
    assert find_image(tmp_path, "sub/deep.jpg").name == "Deep.jpeg"


def test_find_image_says_what_is_missing(tmp_path: Path) -> None:
    images = tmp_path / "images"
    with pytest.raises(UserError, match=r"the folder .*images does not exist"):
        find_image(images, "a.jpg")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds no images"):
        find_image(tmp_path / "empty", "a.jpg")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "015601864.jpg").touch()
    with pytest.raises(UserError, match=r"not found among 1 images .* did you mean '015601864"):
        find_image(tmp_path / "full", "015601865.jpg")


def test_every_damaged_byte_of_a_png_is_noticed(tmp_path: Path) -> None:
    """OpenCV alone reads a picture of another size, or with other pixels."""
    data = encoded(".png", photo(6, 8))
    for place in range(8, len(data)):
        damaged = bytearray(data)
        damaged[place] ^= 0x10
        (tmp_path / "x.png").write_bytes(bytes(damaged))
        with pytest.raises(UserError, match=r"x\.png"):
            read_rgb(tmp_path / "x.png")
    for length in range(len(data)):
        (tmp_path / "x.png").write_bytes(data[:length])
        with pytest.raises(UserError, match=r"x\.png"):
            read_rgb(tmp_path / "x.png")
    (tmp_path / "x.png").write_bytes(data + b"more")  # behind the end anything may stand
    assert read_rgb(tmp_path / "x.png").shape == (6, 8, 3)


def test_a_long_list_of_files_is_not_told(tmp_path: Path) -> None:
    for number in range(900):
        (tmp_path / f"{number:012d}.jpg").touch()
    with pytest.raises(UserError, match="not found among 900 images") as caught:
        find_image(tmp_path, "zebra.png")
    assert len(str(caught.value)) <= LONGEST_LINE
