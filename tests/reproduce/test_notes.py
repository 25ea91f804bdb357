"""The implementation notes: each detail has both sides and an effect, and our side exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from places import ROOT

NOTES = sorted((ROOT / "reproduce" / "notes").glob("*.md"))
OWN = {  # what has no official counterpart: choices and findings of ours
    "bodyposenet": set(),
    "encodings": set(),
    "coco": {18, 19, 20, 21, 25},
    "hourglass": {22, 23, 24},
    "hrnet": {20, 21},
    "fastpose": {19, 20, 21, 22, 31, 32, 33},
    "lightweight": set(),
    "mipnet": set(),
    "mpii": set(),
    "paddledetection": set(),
}
PLACE = r"[\w./-]+\.(?:py|yaml):\d|line \d"
SIX_BUGS = (  # each by its official place
    *("lib/core/evaluate.py:55", "lib/nms/nms.py:91", "lib/dataset/mpii.py:177"),
    *("`USE_GT_BBOX: true` shipped", "keypoint_hrnet.py:46", "keypoint_coco.py:824"),
)


def items(text: str) -> dict[int, str]:
    """Number → detail, on one line."""
    found = re.finditer(r"^(\d+)\. (.*?)(?=^\d+\. |^#|\Z)", text, re.MULTILINE | re.DOTALL)
    return {int(one[1]): " ".join(one[2].split()) for one in found}


def missing(text: str) -> list[str]:
    """Backticked files of ours, and names in them, that do not exist."""
    found = []
    for path, name in re.findall(r"`([\w/]+\.py)(?:: (\w+))?`", " ".join(text.split())):
        file = next((f for f in (ROOT / "paddle_pose" / path, ROOT / path) if f.is_file()), None)
        if file is None:
            found.append(path)
        elif name and not re.search(rf"(?:def|class) {name}\b", file.read_text(encoding="utf-8")):
            found.append(f"{path}: {name}")
    return found


@pytest.mark.parametrize("note", NOTES, ids=lambda file: file.stem)
def test_details_are_numbered_and_have_both_sides_and_an_effect(note: Path):
    found = items(note.read_text(encoding="utf-8"))
    assert list(found) == list(range(1, len(found) + 1))
    for number, text in found.items():
        if number in OWN[note.stem]:
            continue
        where = f"{note.name} {number}"
        assert re.search(PLACE, text), f"{where}: no official place"
        assert re.search(r"-> [^.]*?`|-> nothing here", text), f"{where}: no place of ours"
        assert re.search(r"[Mm]easured|by users", text), f"{where}: neither an effect nor none"


@pytest.mark.parametrize("note", NOTES, ids=lambda file: file.stem)
def test_our_side_exists(note: Path):
    assert missing(note.read_text(encoding="utf-8")) == []


def test_a_moved_function_is_noticed():
    assert missing("`poses/oks.py: oks_nms` `geometry.py: crop_matrix`") == []
    assert missing("`poses/oks.py: gone` `moved.py`") == ["poses/oks.py: gone", "moved.py"]


@pytest.mark.parametrize("bug", SIX_BUGS)
def test_bugs_of_the_references_stand_in_the_table(bug: str):
    text = (ROOT / "reproduce/notes/hrnet.md").read_text(encoding="utf-8")
    assert bug in text.partition("## Bugs in the references")[2]
