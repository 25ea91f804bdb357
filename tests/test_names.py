"""Names that become paths stay in their folders; nothing is written onto what is read."""

from __future__ import annotations

import os

import pytest

from paddle_pose.errors import UserError
from paddle_pose.names import (
    require_apart,
    require_inside,
    require_not_read,
    require_plain,
    say_replaced,
)

PLAIN = ["w32_mpii_256x256", "a", "run-1.2+x", "_x", "größe", "2024"]
NOT_PLAIN = [
    *("", ".", "..", "../../x", "a/b", "a\\b", "/etc/x", "a..b", ".hidden", "-rf", "a b", "a\n"),
    *("a\0", "C:x", "~", "$HOME", "x" * 121),
]
INSIDE = ["a.jpg", "val2017/a.jpg", "a b.jpg", "a..jpg", "..a.jpg", "déjà.png", "a:b.jpg"]
OUTSIDE = [
    *("", ".", "..", "../a.jpg", "x/../../a.jpg", "/a.jpg", "\\a.jpg", "..\\a.jpg", "C:\\a.jpg"),
    *("c:/a.jpg", "a\0.jpg", "x" * 256, "x/" + "y" * 256, "//host/a.jpg", "é" * 128),
]


def test_plain_names():
    assert [require_plain(name, "name") for name in PLAIN] == PLAIN
    for name in NOT_PLAIN:
        with pytest.raises(UserError, match=r"^name: "):
            require_plain(name, "name")


def test_names_inside():
    assert [require_inside(name, "file") for name in INSIDE] == INSIDE
    for name in OUTSIDE:
        with pytest.raises(UserError, match=r"^file: "):
            require_inside(name, "file")


@pytest.fixture
def read(tmp_path):
    """A file that is read."""
    (tmp_path / "in").mkdir()
    file = tmp_path / "in" / "a.png"
    file.write_bytes(b"photo")
    return file


def test_no_output_is_an_input_by_any_path(read, tmp_path, monkeypatch):
    link, folder_link, hard = tmp_path / "link.png", tmp_path / "other", tmp_path / "hard.png"
    link.symlink_to(read)
    folder_link.symlink_to(read.parent)
    os.link(read, hard)
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path)
    same = [
        *(read, link, hard, folder_link / "a.png", read.relative_to(tmp_path)),
        tmp_path / "sub" / ".." / "in" / "a.png",
    ]
    for output in same:
        with pytest.raises(UserError, match="onto a file that is read"):
            require_not_read([tmp_path / "new.png", output], [None, read])
        with pytest.raises(UserError, match="onto a file that is read"):
            require_not_read([read], [output])
    absent = tmp_path / "absent.json"
    with pytest.raises(UserError, match="onto a file that is read"):
        require_not_read([tmp_path / "sub" / ".." / "absent.json"], [absent])
    require_not_read([tmp_path / "new.png", read.with_name("b.png")], [read, None])


def test_folders_apart(tmp_path):
    data = tmp_path / "run" / "data"
    data.mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "run")
    for folder in (data, tmp_path / "run", tmp_path / "link", data / ".." / "data"):
        with pytest.raises(UserError, match=r"--output_dir .* lies there"):
            require_apart(folder, [None, data], "--output_dir")
    for folder in (data / "out", tmp_path / "ru", tmp_path / "run" / "dat", tmp_path / "run2"):
        require_apart(folder, [data], "--output_dir")


def test_replacing_is_said_once_and_only_when_it_happens(read, tmp_path, capsys):
    say_replaced([tmp_path / "new.png"])
    assert capsys.readouterr().out == ""
    say_replaced([read, tmp_path / "new.png", read])
    assert capsys.readouterr().out == f"=> replacing {read} and 1 more\n"
