"""One broken file from a sound one: bytes, structure, bombs, encodings; a function of the seed."""

from __future__ import annotations

import copy
import json
import math
import random
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import yaml

MIB = 1 << 20
BOMB_BYTES = 3 << 30
"""What a compressed bomb inflates to: above the 2 GiB that a reader may use."""

Bomb = Callable[[bytes, random.Random], bytes]


@dataclass(frozen=True)
class Mutant:
    """A broken file.

    Attributes:
        data: its bytes.
        how: what was done.
        absurd: whether a value became one of another kind, or one that no measurement has: then a
            score that differs must come with a word.
    """

    data: bytes
    how: str
    absurd: bool = False


def mutant(data: bytes, form: str, draw: random.Random, bombs: tuple[Bomb, ...] = ()) -> Mutant:
    """One mutant of ``data``; ``form``: ``json``, ``yaml`` or ``bytes``."""
    if form == "set":
        return _assignment(data, draw)
    chance = draw.random()
    if bombs and chance < 0.02:
        bomb = draw.choice(bombs)
        return Mutant(bomb(data, draw), bomb.__name__.strip("_"))
    if form == "bytes" or chance < 0.2:
        return Mutant(*_broken_bytes(data, draw))
    if chance < 0.25:
        return _text_bomb(data, form, draw)
    return _restructured(data, form, draw)


def _broken_bytes(data: bytes, draw: random.Random) -> tuple[bytes, str]:
    """Flip, delete, double, zero, cut, splice; half of the time near the start (headers)."""
    spoilt = bytearray(data)
    how = draw.choice(("flip", "byte", "delete", "double", "zero", "cut", "splice", "number"))
    end = min(len(data), 600) if draw.random() < 0.5 else len(data)
    at = draw.randrange(max(end, 1))
    length = min(draw.choice((1, 1, 2, 4, 8, 32, 200)), len(data) - at)
    if how == "flip":
        spoilt[at] ^= 1 << draw.randrange(8)
    elif how == "byte":
        spoilt[at] = draw.randrange(256)
    elif how == "delete":
        del spoilt[at : at + length]
    elif how == "double":
        spoilt[at:at] = spoilt[at : at + length]
    elif how == "zero":
        spoilt[at : at + length] = bytes(length)
    elif how == "cut":
        del spoilt[at:]
    elif how == "splice":
        other = draw.randrange(len(data))
        spoilt[at : at + length] = data[other : other + length]
    else:  # a count or a size in a header
        value = draw.choice((0, 1, 0x7FFFFFFF, 0xFFFFFFFF, 0x80000000, draw.getrandbits(32)))
        spoilt[at : at + 4] = struct.pack(draw.choice("<>") + "I", value)
    return bytes(spoilt), f"{how} {length} at {at}"


def _text_bomb(data: bytes, form: str, draw: random.Random) -> Mutant:
    """Encodings, nesting, digits: texts that a parser itself may trip over."""
    text = data.decode()
    how = draw.choice(("bom", "utf-16", "latin-1", "nesting", "digits", "empty", "twice", "key"))
    if how == "bom":
        return Mutant(b"\xef\xbb\xbf" + data, how)
    if how == "utf-16":
        return Mutant(text.encode(draw.choice(("utf-16", "utf-16-le", "utf-16-be"))), how)
    if how == "latin-1":
        return Mutant(text.replace("a", "é", 1).encode("latin-1", "replace"), how)
    if how == "nesting":
        depth = draw.choice((70, 2_000, 100_000))
        return Mutant(("[" * depth + "]" * depth * draw.randrange(2)).encode(), how)
    if how == "digits":
        places = [i for i, letter in enumerate(text) if letter.isdigit()] or [0]
        at = draw.choice(places)
        return Mutant((text[:at] + "9" * 5_000 + text[at + 1 :]).encode(), how, absurd=True)
    if how == "key" and form == "json" and "{" in text:
        at = draw.choice([i for i, letter in enumerate(text) if letter == "{"])
        name = "k" * draw.choice((1, 300, 5_000))
        return Mutant((text[: at + 1] + f'"{name}": 1, ' + text[at + 1 :]).encode(), how)
    return Mutant(b"" if how == "empty" else data + data, how)


_ABSURD: tuple[Any, ...] = (
    None, True, False, math.nan, math.inf, -math.inf, 1e308, -1e308, 10**30, -(10**19), "", "text",
    "1", [], {}, [[[[[1]]]]], {"a": 1}, "é" * 300, "../x", 1.5,
)  # fmt: skip
_PLAUSIBLE: tuple[Any, ...] = (0, 1, -1, 2, 7, 0.5, 1e-30, 65_536, 2**31)


def _paths(value: Any, path: tuple = (), most: int = 40) -> list[tuple]:
    """Places in nested data; of a long list its first entries and some others."""
    found = [path] if path else []
    if isinstance(value, dict):
        for key in value:
            found += _paths(value[key], (*path, key), most)
    elif isinstance(value, list):
        step = max(len(value) // most, 1)
        for index in range(0, len(value), step):
            found += _paths(value[index], (*path, index), most)
    return found


def _kind(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return str(value)
    if isinstance(value, int | float):
        usual = math.isfinite(value) and abs(value) < 1e18
        return "number" if usual else "no measurement"
    return type(value).__name__


def _restructured(data: bytes, form: str, draw: random.Random) -> Mutant:
    """One value replaced, dropped, renamed or doubled."""
    try:
        content = yaml.safe_load(data) if form == "yaml" else json.loads(data)
    except (ValueError, yaml.YAMLError):  # lines of JSON
        return Mutant(*_broken_bytes(data, draw))
    content = copy.deepcopy(content)
    paths = _paths(content)
    if not paths:
        return Mutant(*_broken_bytes(data, draw))
    depth = draw.choice(sorted({len(path) for path in paths}))  # as often high up as deep down
    path = draw.choice([path for path in paths if len(path) == depth])
    parent = content
    for step in path[:-1]:
        parent = parent[step]
    old, last = parent[path[-1]], path[-1]
    how, absurd = draw.choice(("replace",) * 7 + ("drop", "rename", "double")), False
    if how == "replace":
        new = draw.choice(_ABSURD if draw.random() < 0.75 else _PLAUSIBLE)
        absurd = _kind(new) != _kind(old)
        parent[last] = copy.deepcopy(new)
        how = f"replace by {new!r:.30}"
    elif how == "drop":
        del parent[last]
    elif how == "rename" and isinstance(parent, dict):
        parent[str(last) + draw.choice(("s", "_", " ", "é"))] = parent.pop(last)
    elif isinstance(parent, list):
        parent.insert(last, copy.deepcopy(old))
    else:
        parent[last] = [old]
        absurd = True
    name = ".".join(map(str, path))
    if form == "yaml":
        return Mutant(yaml.safe_dump(content).encode(), f"{name}: {how}", absurd)
    return Mutant(json.dumps(content).encode(), f"{name}: {how}", absurd)


_SET_VALUES = (
    ".nan", ".inf", "-.inf", "-1", "0", "1e308", "99999999999999999999", "1e18", "1000000", "true",
    "null", "text", "''", "[]", "{}", "[.nan]", "[1,.nan]", "[[1]]", "!!int 'abc'", "2001-13-45",
    "!!bool abc", "!!python/object:x.y", "[" * 2000, "{kind: X}", "*a", "&a [*a]", "0.5", "3",
    "2.5", "[1e308, 1e308]", "[-1]", "[100000,100000]", "../../x", "é" * 300, "x\ny", "9" * 5000,
)  # fmt: skip


def _assignment(data: bytes, draw: random.Random) -> Mutant:
    """``KEY=VALUE`` of a key that there is, sometimes one that there is not."""
    key = draw.choice(data.decode().split())
    if draw.random() < 0.08:
        key = draw.choice(
            (key + "s", key + ".0", key.upper(), ".", "", "benchmarks.².name", key[1:])
        )
    text = f"{key}={draw.choice(_SET_VALUES)}"
    return Mutant(text.encode() if draw.random() < 0.98 else key.encode(), text[:60], absurd=True)


# Bombs of single formats.


def inflating(total: int = BOMB_BYTES, letter: bytes = b" ") -> bytes:
    """Raw deflate of so many equal bytes: one block, repeated."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packer.compress(letter * MIB) + packer.flush(zlib.Z_FULL_FLUSH)
    return block * (total // MIB) + zlib.compressobj(9, zlib.DEFLATED, -15).flush()


def gzip_bomb(data: bytes, draw: random.Random) -> bytes:
    """A ``.json.gz`` of 3 GiB of spaces."""
    return b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + inflating() + bytes(8)


def zip_bomb(data: bytes, draw: random.Random) -> bytes:
    """The first member inflates to 3 GiB; its header says so, or says what it was."""
    packed, name = inflating(), b"a.jpg"
    said = draw.choice((BOMB_BYTES, 1000))
    common = struct.pack("<HHHHHIIIHH", 20, 0, 8, 0, 33, 0, len(packed), said, len(name), 0)
    local = b"PK\x03\x04" + common + name + packed
    central = b"PK\x01\x02" + b"\x14\0" + common + struct.pack("<HHHII", 0, 0, 0, 0, 0) + name
    end = struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, 1, 1, len(central), len(local), 0)
    return local + central + end


def mat_bomb(data: bytes, draw: random.Random) -> bytes:
    """A MATLAB file whose one compressed element inflates to 3 GiB."""
    element = b"\x78\x9c" + inflating(letter=b"\0")
    return data[:128] + struct.pack("<II", 15, len(element)) + element


def huge_jpeg(data: bytes, draw: random.Random) -> bytes:
    """A JPEG whose frame header claims up to 65,000 × 65,000 pixels."""
    at = next(i for i in range(len(data)) if data[i : i + 2] in (b"\xff\xc0", b"\xff\xc2"))
    return data[: at + 5] + struct.pack(">HH", *_huge(draw)) + data[at + 9 :]


def huge_png(data: bytes, draw: random.Random) -> bytes:
    """A PNG that claims so, with a right checksum."""
    header = b"IHDR" + struct.pack(">II", *_huge(draw)) + data[24:29]
    return data[:12] + header + struct.pack(">I", zlib.crc32(header)) + data[33:]


def huge_bmp(data: bytes, draw: random.Random) -> bytes:
    """A BMP that claims so."""
    return data[:18] + struct.pack("<ii", *_huge(draw)) + data[26:]


def _huge(draw: random.Random) -> tuple[int, int]:
    return draw.choice((20_000, 30_000, 65_000)), draw.choice((1, 30_000, 65_000))


def pickle_bomb(data: bytes, draw: random.Random) -> bytes:
    """A pickle of deep lists, or of 3,000 copies of a dict of 20,000 entries."""
    if draw.random() < 0.5:
        return b"\x80\x02" + b"]" * draw.choice((2_000, 1_000_000)) + b"a" * 1_999 + b"."
    entries = b"".join(b"M" + struct.pack("<H", i) + b"K\x01" for i in range(20_000))
    copies = b"ccollections\nOrderedDict\nh\x00\x85R" * 3_000
    return b"\x80\x02](}q\x00(" + entries + b"u" + copies + b"e."


def hdf5_bomb(data: bytes, draw: random.Random) -> bytes:
    """A data set that claims a terabyte, or a group, a link or text in its place."""
    import io

    import h5py
    import numpy as np

    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        kind = draw.randrange(5)
        if kind == 0:
            file.create_dataset("preds", (10**6, 10**5, 2), np.float64, chunks=(1, 100, 2))
        elif kind == 1:
            file.create_group("preds")
        elif kind == 2:
            file["preds"] = h5py.ExternalLink("nowhere.h5", "x")
        elif kind == 3:
            file["preds"] = "text"
        else:
            file["preds"] = h5py.SoftLink("/preds")
    return stream.getvalue()


def safetensors_bomb(data: bytes, draw: random.Random) -> bytes:
    """A header of 100,000 brackets, or one that claims a terabyte."""
    claim = {"a": {"dtype": "F32", "shape": [10**12], "data_offsets": [0, 4 * 10**12]}}
    head = b"[" * 100_000 if draw.random() < 0.5 else json.dumps(claim).encode()
    return struct.pack("<Q", len(head)) + head + bytes(16)


def yaml_bomb(data: bytes, draw: random.Random) -> bytes:
    """Aliases of aliases: 10⁹ items in 300 bytes."""
    lines = ["a0: &a0 [x,x,x,x,x,x,x,x,x,x]"]
    lines += [f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
    return data + "\n".join(lines).encode() + b"\n"
