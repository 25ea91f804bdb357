"""Images inside ZIP and tar files: found, read and refused as files in a folder are."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pickle
import random
import shutil
import struct
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from paddle_pose.codecs.heatmap import HeatmapCodec
from paddle_pose.data import coco, image_files, mpii
from paddle_pose.data.archives import archives_of, open_archives
from paddle_pose.data.images import read_image
from paddle_pose.data.loader import evaluation_batches
from paddle_pose.data.records import PersonTable
from paddle_pose.data.top_down import PersonCrops
from paddle_pose.errors import UserError
from paddle_pose.settings import DataSettings


def pack(root: Path, kind: str, prefix: str) -> None:
    """Replace ``root/images`` by archives of that kind, names below ``prefix``."""
    files = sorted((root / "images").iterdir())
    if kind in ("stored", "deflated"):
        method = zipfile.ZIP_STORED if kind == "stored" else zipfile.ZIP_DEFLATED
        with zipfile.ZipFile(root / "images.zip", "w", method) as archive:
            archive.writestr("README.txt", "no image")
            for file in files:
                archive.write(file, prefix + file.name)
    shards = {"tar": ["images.tar"], "shards": ["images-0.tar", "images-1.tar"]}.get(kind, [])
    if kind == "inside":
        shards = ["images/0.tar", "images/1.tar"]
    for number, shard in enumerate(shards):
        with tarfile.open(root / shard, "w") as archive:
            for file in files[number :: len(shards)]:
                archive.add(file, prefix + file.name)
    if kind == "inside":
        for file in files:
            file.unlink()
    else:
        shutil.rmtree(root / "images")


@pytest.fixture
def people(small_people: Path, tmp_path: Path) -> Path:
    """A copy of the rendered people that a test may take apart."""
    return Path(shutil.copytree(small_people, tmp_path / "data"))


def pixels(root: Path, workers: int) -> np.ndarray:
    data = DataSettings(image_size_wh=(64, 64))
    crops = PersonCrops(mpii.load(root, "train"), data, HeatmapCodec())
    batches = evaluation_batches(crops, batch_size=5, num_workers=workers)
    return np.concatenate([batch.images.numpy() for batch in batches])


@pytest.mark.parametrize(
    ("kind", "prefix", "workers"),
    [
        ("stored", "images/", 2),
        ("deflated", "", 2),
        ("tar", "./images/", 2),
        ("shards", "mpii/images/", 2),
        ("inside", "", 0),
    ],
)
def test_crops_are_those_of_a_folder(
    people: Path, small_people: Path, kind: str, prefix: str, workers: int
) -> None:
    pack(people, kind, prefix)
    mpii.require_images(mpii.load(people, "train"))
    np.testing.assert_array_equal(pixels(people, workers), pixels(small_people, 0))


def test_coco_reads_the_official_zip(people: Path) -> None:
    """``images/val2017.zip`` as COCO's site gives it, with its folder inside."""
    name = mpii.load(people, "train").image_names[0]
    whole = read_image(people / "images", name)
    (people / "annotations").mkdir()
    person = {"id": 1, "image_id": 5, "category_id": 1, "bbox": [9, 9, 50, 70], "area": 9.0}
    person |= {"keypoints": [20, 20, 2] * 17, "num_keypoints": 17, "iscrowd": 0}
    image = {"id": 5, "file_name": name, "width": whole.shape[1], "height": whole.shape[0]}
    content = {"images": [image], "annotations": [person], "categories": []}
    file = people / "annotations" / "person_keypoints_val2017.json"
    file.write_text(json.dumps(content))
    with zipfile.ZipFile(people / "val2017.zip", "w") as archive:
        archive.write(people / "images" / name, f"val2017/{name}")
    shutil.rmtree(people / "images")
    for folder in (people, people / "images"):
        folder.mkdir(exist_ok=True)
        if folder != people:
            (people / "val2017.zip").rename(folder / "val2017.zip")
        table = coco.load(people, "val2017", image_size_wh=(48, 64))
        assert table.image_root == folder / "val2017"
        mpii.require_images(table)
        np.testing.assert_array_equal(read_image(table.image_root, name), whole)


def packed(folder: Path, names: dict[str, bytes], kind: str = "zip") -> Path:
    """``folder/images`` for an archive of that kind beside it."""
    if kind == "zip":
        with zipfile.ZipFile(folder / "images.zip", "w") as archive:
            for name, data in names.items():
                archive.writestr(name, data)
    else:
        (folder / "images").mkdir()
        for name, data in names.items():
            (folder / "images" / Path(name).name).write_bytes(data)
        with tarfile.open(folder / "images.tar", "w") as archive:
            archive.add(folder / "images", "images")
        shutil.rmtree(folder / "images")
    return folder / "images"


def test_names_by_case_ending_and_unique_folder(tmp_path: Path) -> None:
    names = {"a/b/One.JPG": b"1", "a/b/sub/two.png": b"2", "a/b/._One.JPG": b"x", "a/c.txt": b"y"}
    root = packed(tmp_path, names)
    for name, data in {"one.jpg": b"1", "sub/two.jpg": b"2", "a/b/One.JPG": b"1"}.items():
        assert image_files.read_bytes(root, name)[0] == data
    assert image_files.missing(root, ["One.JPG", "two.png", "three.jpg"]) == [
        "two.png",  # two folders hold images: only whole paths below the common one are clear
        "three.jpg",
    ]
    with pytest.raises(UserError, match=r"images\.zip: no member 'three\.jpg' among 2 images"):
        image_files.read_bytes(root, "three.jpg")


def test_a_folder_goes_before_an_archive(tmp_path: Path) -> None:
    root = packed(tmp_path, {"a.jpg": b"packed", "b.jpg": b"packed"})
    assert [file.name for file in archives_of(root)] == ["images.zip"]
    root.mkdir()
    (root / "a.jpg").write_bytes(b"file")
    assert archives_of(root) == ()
    assert image_files.read_bytes(root, "a.jpg") == (b"file", str(root / "a.jpg"))


def test_archives_beside_loose_images_are_not_looked_at(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.JPG").write_bytes(b"file")
    (tmp_path / "images" / "notes.zip").write_bytes(b"no archive at all")
    assert archives_of(tmp_path / "images") == ()
    assert image_files.missing(tmp_path / "images", ["a.jpg", "b.jpg"]) == ["b.jpg"]
    assert image_files.read_bytes(tmp_path / "images", "a.jpg")[0] == b"file"


def test_absolute_and_relative_names_go_together(tmp_path: Path) -> None:
    for number, name in enumerate(("/data/a.jpg", "./data/b.jpg")):  # tar -P; tar .
        with tarfile.open(tmp_path / f"images-{number}.tar", "w") as archive:
            member = tarfile.TarInfo(name)
            member.size = 1
            archive.addfile(member, io.BytesIO(b"x"))
    assert image_files.missing(tmp_path / "images", ["a.jpg", "b.jpg"]) == []


def test_a_member_unpacks_to_what_is_announced_and_no_more(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "images.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.jpg", bytes(1 << 20))
    data = bytearray((tmp_path / "images.zip").read_bytes())
    struct.pack_into("<I", data, data.rindex(b"PK\x01\x02") + 24, 1000)  # its whole size
    (tmp_path / "images.zip").write_bytes(bytes(data))
    member = open_archives(tmp_path / "images").find("a.jpg")
    assert member.whole_size == 1000
    with pytest.raises(UserError, match="is damaged"):
        member.read()


def test_a_changed_archive_is_listed_anew_and_lists_travel(tmp_path: Path) -> None:
    root = packed(tmp_path, {"a.jpg": b"1"})
    archives = open_archives(root)
    assert open_archives(root) is archives
    assert pickle.loads(pickle.dumps(archives)).read("a.jpg")[0] == b"1"
    packed(tmp_path, {"a.jpg": b"22", "b.jpg": b"3"})
    assert image_files.read_bytes(root, "b.jpg")[0] == b"3"


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_broken_archives_are_named(tmp_path: Path, kind: str) -> None:
    root = packed(tmp_path, {"images/a.jpg": bytes(range(256)) * 9, "images/b.jpg": b"b"}, kind)
    file = root.with_suffix(f".{kind}")
    good = file.read_bytes()
    file.write_bytes(good[:1500])
    with pytest.raises(UserError, match=rf"images\.{kind}: "):
        image_files.missing(root, ["a.jpg"])
    file.write_bytes(b"<html>404</html>" * 99)
    with pytest.raises(UserError, match=rf"images\.{kind}: not a.* file that can be read"):
        image_files.missing(root, ["a.jpg"])
    file.unlink()
    with pytest.raises(UserError, match=r"no such folder \(nor images\.zip or \.tar"):
        image_files.missing(root, ["a.jpg"])


def test_damaged_members_are_named(tmp_path: Path) -> None:
    root = packed(tmp_path, {"images/a.jpg": b"pixels" * 50})
    file = tmp_path / "images.zip"
    good = file.read_bytes()
    start = good.index(b"pixels")
    for broken, reason in (
        (good[:start] + b"X" + good[start + 1 :], "is damaged"),
        (b"??" + good[2:], "no header where"),
    ):
        file.write_bytes(broken)
        with pytest.raises(UserError, match=rf"images\.zip: member 'images/a\.jpg'.* {reason}"):
            image_files.read_bytes(root, "a.jpg")
    file.write_bytes(good)
    with pytest.raises(UserError, match=r"images\.zip: images/a\.jpg: not an image"):
        read_image(root, "a.jpg")


def test_members_that_cannot_be_read_at_random_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "images.zip", "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("a.jpg", b"1")
    with pytest.raises(UserError, match=r"member 'a\.jpg' .* stored or deflated"):
        open_archives(tmp_path / "images")
    with zipfile.ZipFile(tmp_path / "images.zip", "w") as archive:
        archive.writestr("a.jpg", b"1")
    data = bytearray((tmp_path / "images.zip").read_bytes())
    flags = data.rindex(b"PK\x01\x02") + 8
    struct.pack_into("<H", data, flags, 1)
    (tmp_path / "images.zip").write_bytes(bytes(data))
    with pytest.raises(UserError, match="encrypted"):
        open_archives(tmp_path / "images")
    (tmp_path / "images.zip").unlink()
    with tarfile.open(tmp_path / "images.tar", "w:gz"):
        pass
    with pytest.raises(UserError, match=r"images\.tar: .* \(gunzip\)"):
        open_archives(tmp_path / "images")


def test_missing_people_in_an_archive_stop_a_run(people: Path) -> None:
    table = mpii.load(people, "train")
    gone = table.image_names[3]
    (people / "images" / gone).unlink()
    pack(people, "stored", "images/")
    with pytest.raises(UserError, match=rf"1 of \d+ images are missing: {gone}"):
        mpii.require_images(table)
    assert isinstance(table, PersonTable)


@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_tar_member_of_negative_size_is_refused(tmp_path: Path, kind: bytes) -> None:
    """Older Pythons go back by its size and read for ever."""
    with tarfile.open(tmp_path / "images.tar", "w") as archive:
        for name in ("a.jpg", "b.jpg"):
            member = tarfile.TarInfo(name)
            member.size = 1
            archive.addfile(member, io.BytesIO(b"x"))
    data = bytearray((tmp_path / "images.tar").read_bytes())
    header = data[1024:1536]  # of b.jpg
    header[124:136] = b"\xff" * 10 + (-1024).to_bytes(2, "big", signed=True)  # base-256
    header[156:157] = kind
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    data[1024:1536] = header
    (tmp_path / "images.tar").write_bytes(bytes(data))
    with pytest.raises(UserError, match=r"images\.tar: .*-1024 bytes"):
        open_archives(tmp_path / "images")


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_damaged_archives_are_read_or_one_line(tmp_path: Path, kind: str) -> None:
    rng = random.Random(13)
    root = packed(tmp_path, {f"images/{i}.jpg": bytes(range(99)) for i in range(3)}, kind)
    file = root.with_suffix(f".{kind}")
    whole = file.read_bytes()
    for number in range(150):
        data = bytearray(whole)
        at = rng.randrange(len(data))
        data[at : at + 4] = rng.choice([b"\xff\xff\xff\xff", b"\0\0\0\0", rng.randbytes(4), b""])
        file.write_bytes(bytes(data))
        os.utime(file, ns=(number, number))  # else the list that was made before is taken
        with contextlib.suppress(UserError):
            image_files.read_bytes(root, "1.jpg")


@pytest.mark.parametrize(
    "name", ["../a.jpg", "/etc/passwd", "a/../../b.jpg", "C:\\a.jpg", "a\0.jpg", "x" * 300, ""]
)
def test_names_stay_in_their_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.jpg").write_bytes(b"secret")
    (tmp_path / "images").mkdir()
    for read in (image_files.read_bytes, image_files.find_image):
        with pytest.raises(UserError):
            read(tmp_path / "images", name)
