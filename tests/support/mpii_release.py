"""A small ``RELEASE`` as the official .mat has it: nested structs, empty fields of every kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from scipy.io import savemat

EMPTY = np.zeros((0, 0))


def struct(**fields: Any) -> np.ndarray:
    """A 1 × 1 struct."""
    return structs([fields])


def structs(rows: list[dict[str, Any]]) -> np.ndarray:
    """A 1 × N struct array; what a row lacks is ``[]``, as MATLAB fills it in."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    found = np.empty((1, len(rows)), dtype=[(name, object) for name in names])
    for index, row in enumerate(rows):
        for name in names:
            found[0, index][name] = row.get(name, EMPTY)
    return found


def person(joints: dict[int, tuple], *, x: float, y: float, **fields: Any) -> dict[str, Any]:
    """An annorect: joints id → (x, y) or (x, y, is_visible); a None visibility is ``[]``."""
    points = []
    for joint, (px, py, *seen) in joints.items():
        point = {"x": px, "y": py, "id": joint}
        if seen:
            point["is_visible"] = EMPTY if seen[0] is None else seen[0]
        points.append(point)
    head = {"x1": x - 5, "y1": y - 60, "x2": x + 15, "y2": y - 39}
    annotated = {"annopoints": struct(point=structs(points))} if points else {}
    return {**head, "scale": 1.5, "objpos": struct(x=x, y=y), **annotated, **fields}


def image(name: str, people: list[dict[str, Any]] | None, video: int | None = None) -> dict:
    """An annolist entry; None people is ``[]``."""
    found = EMPTY if people is None else structs(people)
    video = EMPTY if video is None else video
    return {"image": struct(name=name), "annorect": found, "frame_sec": 3, "vididx": video}


def write(path: Path, images: list[dict], train: list[int], single: list[list[int]]) -> Path:
    """The .mat; ``single`` holds 1-based people of each image."""
    cells = np.empty((len(images), 1), dtype=object)
    for index, who in enumerate(single):
        cells[index, 0] = np.array(who, float).reshape(-1, 1) if who else EMPTY
    release = struct(
        annolist=structs(images),
        img_train=np.array([train], np.uint8),
        version="12",
        single_person=cells,
        act=structs([{"act_name": "x", "cat_name": EMPTY, "act_id": -1}] * len(images)),
        video_list=np.array([["a", "b"]], dtype=object),
    )
    savemat(path, {"RELEASE": release})
    return path
