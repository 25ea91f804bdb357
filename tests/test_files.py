"""Files: written whole or not at all, found again when a kill left them, JSON without nan."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest

from paddle_pose import files
from paddle_pose.errors import UserError


def test_a_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "er" / "x.bin"
    with files.atomic(path) as file:
        file.write(b"half")
        assert not path.exists()
        assert files.leftovers(tmp_path) == [files.temporary_name(path)] == [Path(file.name)]
    assert path.read_bytes() == b"half"
    assert os.listdir(path.parent) == ["x.bin"]
    assert path.stat().st_mode & 0o777 == 0o666 & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_a_broken_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "x"
    files.write_text(path, "old")
    with pytest.raises(ZeroDivisionError), files.atomic(path) as file:
        file.write(b"%d" % (1 // 0))
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["x"]


def test_what_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file" / "x", tmp_path):
        with pytest.raises(UserError, match=r"^\S+: cannot write this file \([A-Z].+\)$") as raised:
            files.write_text(path, "new")
        assert str(path) in str(raised.value)
    assert os.listdir(tmp_path) == ["file"]
    assert not files.leftovers(tmp_path.parent)


def test_leftovers_are_temporary_files_alone(tmp_path: Path) -> None:
    left = tmp_path / "last" / ".checkpoint.safetensors.4711.tmp"
    for path in (left, tmp_path / "a.1.tmp", tmp_path / ".hidden.tmp", tmp_path / ".lock"):
        path.parent.mkdir(exist_ok=True)
        path.touch()
    assert files.leftovers(tmp_path) == [left]


def test_json_has_null_for_what_it_lacks(tmp_path: Path) -> None:
    value = {"a": [np.float64("nan"), (float("inf"), 1.5)], "ä": {"b": -float("inf")}, "n": 3}
    path = tmp_path / "x.json"
    files.write_json(path, value)
    assert files.read_json(path) == {"a": [None, [None, 1.5]], "ä": {"b": None}, "n": 3}
    assert "ä" in path.read_text("utf-8")
    assert files.json_text([1, float("nan")]) == "[1, null]"


def test_json_is_read_plain_or_packed_with_errors_in_one_line(tmp_path: Path) -> None:
    packed = tmp_path / "x.json.gz"
    packed.write_bytes(gzip.compress(json.dumps([{"a": 1}]).encode()))
    assert files.read_json(packed) == [{"a": 1}]
    assert files.read_json(packed, object_hook=len) == [1]
    with pytest.raises(UserError, match="no such file"):
        files.read_json(tmp_path / "none.json")
    broken = tmp_path / "y.json"
    broken.write_text('{"a":\n 1,}')
    with pytest.raises(UserError, match=r"not valid JSON .* line 2"):
        files.read_json(broken)
    broken.write_bytes(b"\xff")
    with pytest.raises(UserError, match="cannot read this file"):
        files.read_json(broken)


def test_sha256_of_files_longer_than_a_block(tmp_path: Path) -> None:
    content = os.urandom((1 << 20) + 3)
    (tmp_path / "x").write_bytes(content)
    assert files.sha256(tmp_path / "x") == hashlib.sha256(content).hexdigest()
    with pytest.raises(UserError, match="cannot read this file"):
        files.sha256(tmp_path / "none")
