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
from paddle_pose.errors import LONGEST_LINE, UserError, nearest


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


@pytest.mark.parametrize("name", ["x" * 250 + ".jpg", "\u00e9" * 125 + ".jpg"])
def test_a_file_of_the_longest_name_is_written(tmp_path: Path, name: str) -> None:
    with files.atomic(tmp_path / name) as file:
        assert files.leftovers(tmp_path) == [Path(file.name)]
        file.write(b"x")
    assert [path.name for path in tmp_path.iterdir()] == [name]
    other = files.temporary_name(tmp_path / f"{name[:-1]}x")
    assert other != files.temporary_name(tmp_path / name)


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


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"]
)
@pytest.mark.parametrize("packed", [False, True])
def test_json_is_read_in_any_unicode_encoding(tmp_path: Path, encoding: str, packed: bool) -> None:
    value = [{"name": "é写", "brackets": "[" * 99}]
    data = json.dumps(value, ensure_ascii=False).encode(encoding)
    path = tmp_path / ("x.json.gz" if packed else "x.json")
    path.write_bytes(gzip.compress(data) if packed else data)
    assert files.read_json(path) == value


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"[" * 100_000, "nested 100,000 levels; the limit is 64 levels"),
        (b'{"a":' * 3000 + b"1" + b"}" * 3000, "nested 3,000 levels"),
        (b'["' + b'\\"' * 100_000 + b"[" * 99, "not valid JSON"),
        (b"[" + b"1" * 5000 + b"]", "holds an integer of too many digits"),
        (b'{"a": "\xe9"}', "it is not text"),
        (b"\xff\xfe[", "it is not text"),
        (b"", "not valid JSON"),
        (b"\xef\xbb\xbf", "not valid JSON"),
    ],
)
def test_json_that_cannot_be_read_is_one_short_line(
    tmp_path: Path, data: bytes, expected: str
) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(data)
    with pytest.raises(UserError, match=expected) as caught:
        files.read_json(path)
    assert "x.json" in str(caught.value)
    with pytest.raises(UserError):
        files.read_json(tmp_path)
    with pytest.raises(UserError):
        files.read_json(tmp_path / "a\0b.json")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x1f\x8b",
        b"text",
        gzip.compress(b"[1]", mtime=0)[:-3],
        gzip.compress(b"[1]", mtime=0) + b"text",
    ],
)
def test_broken_gzip_is_one_line(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.json.gz").write_bytes(data)
    with pytest.raises(UserError, match=r"x\.json\.gz"):
        files.read_json(tmp_path / "x.json.gz")


def test_a_message_is_short_and_can_be_printed() -> None:
    line = str(UserError("a\nb " + "x" * 3000 + " \ud800\x1b[31m; do this"))
    assert len(line) <= LONGEST_LINE + 20
    assert line.startswith("a b xxx")
    assert line.endswith(r"\ud800\x1b[31m; do this")
    assert "(1000 in all)" in nearest("zzz", [str(number) for number in range(1000)])


def test_sha256_of_files_longer_than_a_block(tmp_path: Path) -> None:
    content = os.urandom((1 << 20) + 3)
    (tmp_path / "x").write_bytes(content)
    assert files.sha256(tmp_path / "x") == hashlib.sha256(content).hexdigest()
    with pytest.raises(UserError, match="cannot read this file"):
        files.sha256(tmp_path / "none")


def test_compression_is_told_by_content(tmp_path: Path) -> None:
    file, packed = tmp_path / "x.json", gzip.compress(b'{"a": 1}' * 1)
    file.write_bytes(packed)
    assert files.read_json(file) == {"a": 1}
    file.with_suffix(".gz").write_bytes(b'{"a": 1}')
    assert files.read_json(file.with_suffix(".gz")) == {"a": 1}
    file.write_bytes(packed[:-6])
    with pytest.raises(UserError, match="ended before the end-of-stream"):
        files.read_json(file)
