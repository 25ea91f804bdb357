"""A rendered film of people who walk past each other, with their true boxes and joints.

``PYTHONPATH=. python tests/support/crossing_people.py DIR [SEED]`` writes DIR/crossing.mp4 and
DIR/boxes.json, for ``predict.py DIR/crossing.mp4 --track --boxes DIR/boxes.json``.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from paddle_pose.synthetic.background import background
from paddle_pose.synthetic.facets import paint, project
from paddle_pose.synthetic.figure import build
from paddle_pose.synthetic.look import Look
from paddle_pose.synthetic.pose import LEFT, RIGHT, Body, Limb, Pose, assemble
from paddle_pose.synthetic.scene import light_from

SIZE_WH = 480, 300
RATE = 12
CAMERA = 24.0


@dataclass(frozen=True)
class Walker:
    """Somebody who goes from one place to another (x of the picture's width) in all frames."""

    start: float
    end: float
    ground: float  # of the picture's height; who is lower is nearer
    unit_px: float
    body: Body
    look: Look
    phase: float


@dataclass(frozen=True)
class Shot:
    """One frame: (H, W, 3) uint8 RGB, boxes (P, 4) xywh, joints (P, 16, 2), in one order."""

    pixels: np.ndarray
    boxes_xywh: np.ndarray
    joints_xy: np.ndarray


def film(frames: int = 36, people: int = 3, seed: int = 3, *, until: float = 1.0) -> list[Shot]:
    """The frames; the nearest comes from the right and passes before both others.

    ``until``: so much of their way.
    """
    rng = np.random.default_rng(seed)
    scene, light = background(rng, SIZE_WH), light_from(rng)
    ways = [(0.08, 0.80, 0.70, 20.0), (0.60, 0.95, 0.84, 27.0), (0.92, 0.15, 0.985, 35.0)]
    walkers = [
        Walker(*way, Body.sample(rng), Look.sample(rng, scene.mean((0, 1))), rng.uniform(0, 6))
        for way in ways[:people]
    ]
    steps = np.linspace(0, until, frames)
    return [_shot(walkers, scene, light, float(at)) for at in steps]


def _shot(walkers: list[Walker], scene: np.ndarray, light: np.ndarray, at: float) -> Shot:
    image, boxes, joints = scene.copy(), [], []
    for who in walkers:  # the farthest first
        swing = float(np.sin(who.phase + at * 26))
        legs = {
            LEFT: Limb(26 * swing, 3, 8, 10 + 14 * max(0.0, -swing)),
            RIGHT: Limb(-26 * swing, 3, 8, 10 + 14 * max(0.0, swing)),
        }
        arms = {LEFT: Limb(-24 * swing, 9, 12, 22), RIGHT: Limb(24 * swing, 9, 12, 22)}
        yaw = 62.0 if who.end > who.start else -62.0
        figure = assemble(who.body, Pose("walking", pitch=3, arms=arms, legs=legs), yaw, 3.0)
        flat = project(figure.joints, np.zeros(2), who.unit_px, CAMERA)
        x = SIZE_WH[0] * (who.start + (who.end - who.start) * at)
        origin = np.array([x, SIZE_WH[1] * who.ground - flat[:, 1].max()])
        facets = build(figure, who.look)
        colour, cover = paint(facets, origin, who.unit_px, CAMERA, light, SIZE_WH)
        image = image * (1 - cover[..., None]) + colour
        points = project(np.concatenate(facets.corners).reshape(-1, 3), origin, who.unit_px, CAMERA)
        low, high = np.clip(points.min(0), 0, SIZE_WH), np.clip(points.max(0), 0, SIZE_WH)
        boxes.append(np.concatenate([low, high - low]))
        joints.append(flat + origin)
    pixels = np.clip(image, 0, 255).astype(np.uint8)[..., ::-1]
    return Shot(np.ascontiguousarray(pixels), np.array(boxes), np.array(joints))


def write_film(folder: Path, shots: list[Shot]) -> tuple[Path, Path]:
    """``crossing.mp4``, and ``boxes.json`` whose image ids are frames from 1."""
    folder.mkdir(parents=True, exist_ok=True)
    video = folder / "crossing.mp4"
    writer = cv2.VideoWriter(str(video), cv2.VideoWriter.fourcc(*"mp4v"), RATE, SIZE_WH)
    for shot in shots:
        writer.write(shot.pixels[..., ::-1])
    writer.release()
    return video, write_boxes(folder / "boxes.json", shots)


def write_boxes(file: Path, shots: list[Shot]) -> Path:
    """A detector's results, of which each sees everybody, in an order of its own."""
    records = [
        {"image_id": number, "category_id": 1, "bbox": np.roll(shot.boxes_xywh, number, 0)[who]
         .round(2).tolist(), "score": 0.9}
        for number, shot in enumerate(shots, 1) for who in range(len(shot.boxes_xywh))
    ]  # fmt: skip
    file.write_text(json.dumps(records), encoding="utf-8")
    return file


if __name__ == "__main__":
    seeds = [int(word) for word in sys.argv[2:3]]
    print(*write_film(Path(sys.argv[1]), film(seed=(seeds or [3])[0])))
