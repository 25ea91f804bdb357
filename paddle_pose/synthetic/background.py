"""What stands around the drawn people: streets, rooms, clutter, things in front of them."""

from __future__ import annotations

import cv2
import numpy as np

_SHIFT_BITS = 4
_Number = float | np.floating


def _noise(
    rng: np.random.Generator, size_wh: tuple[int, int], cells: int, octaves: int
) -> np.ndarray:
    """Smooth float32 noise (H, W) in about -1..1 with ``cells`` bumps across, and finer ones."""
    width, height = size_wh
    total = np.zeros((height, width), np.float32)
    for octave in range(octaves):
        count = cells * 3**octave
        shape = (max(2, count * height // width), max(2, count))
        grid = rng.random(shape, dtype=np.float32) - 0.5
        total += cv2.resize(grid, size_wh, interpolation=cv2.INTER_LINEAR) / 2**octave
    return total


def _colour(
    rng: np.random.Generator, low: float = 40, high: float = 225, saturation: float = 1.0
) -> np.ndarray:
    """A BGR colour: as in most places, rather warm or cold than green or purple."""
    warm, green = saturation * rng.normal(0, (26, 9))
    tint = warm * np.array([-1.0, 0.1, 0.9]) + green * np.array([-0.5, 1.0, -0.5])
    return np.clip(rng.uniform(low, high) + tint, 10, 245).astype(np.float32)


def background(rng: np.random.Generator, size_wh: tuple[int, int]) -> np.ndarray:
    """A street, a room or an abstract mess as float32 (H, W, 3)."""
    width, height = size_wh
    horizon = int(height * rng.uniform(0.4, 0.75))
    ramp = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    image = np.empty((height, width, 3), np.float32)
    image[:] = _colour(rng, 90) * (1 - ramp) + _colour(rng, 90) * ramp
    kind = rng.random()
    if kind < 0.4:
        _street(rng, image, horizon)
    elif kind < 0.8:
        _room(rng, image, horizon)
    for _ in range(int(rng.integers(1, 8))):
        _clutter(rng, image)
    texture = rng.uniform(5, 26) * _noise(rng, size_wh, int(rng.integers(4, 14)), 3)
    texture += rng.uniform(0, 14) * _noise(rng, size_wh, int(rng.integers(20, 60)), 2)
    image += texture[..., None]
    if rng.random() < 0.75:  # out of focus, as behind a person in a photograph
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.7, 2.6))
    return np.clip(image, 0, 255, out=image)


def _fill(image: np.ndarray, corners: np.ndarray, colour: np.ndarray) -> None:
    points = np.rint(np.asarray(corners) * (1 << _SHIFT_BITS)).astype(np.int32)
    cv2.fillPoly(image, [points], colour.tolist(), cv2.LINE_8, _SHIFT_BITS)


def _box(
    image: np.ndarray, x: _Number, y: _Number, w: _Number, h: _Number, colour: np.ndarray
) -> None:
    _fill(image, np.array([[x, y], [x + w, y], [x + w, y + h], [x, y + h]]), colour)


def _street(rng: np.random.Generator, image: np.ndarray, horizon: int) -> None:
    height, width = image.shape[:2]
    x = -rng.uniform(0, 60)
    while x < width:  # houses with rows of windows
        wide, tall = rng.uniform(40, 130), rng.uniform(0.3, 1.1) * horizon
        wall = _colour(rng)
        _box(image, x, horizon - tall, wide, tall, wall)
        pane, step = np.clip(wall * rng.uniform(0.4, 1.4), 0, 255), rng.uniform(14, 26)
        for row in np.arange(horizon - tall + 8, horizon - 12, step * 1.3):
            for column in np.arange(x + 6, x + wide - step * 0.6, step):
                _box(image, column, row, step * 0.5, step * 0.75, pane)
        x += wide * rng.uniform(0.8, 1.5)
    image[horizon:] = _colour(rng, 60, 190)
    for _ in range(int(rng.integers(0, 9))):  # stripes on the ground that run to a vanishing point
        foot, half = rng.uniform(-0.5, 1.5) * width, rng.uniform(4, 30)
        away = np.array([width * rng.uniform(0.3, 0.7), horizon])
        _fill(image, np.array([[foot - half, height], [foot + half, height], away]),
              image[-1, 0] * rng.uniform(0.75, 1.25))  # fmt: skip
    for _ in range(int(rng.integers(0, 4))):
        _tree(rng, image, horizon)


def _tree(rng: np.random.Generator, image: np.ndarray, horizon: int) -> None:
    x, y = rng.uniform(0, image.shape[1]), horizon + rng.uniform(0, 30)
    tall, crown = rng.uniform(60, 150), np.array([50.0, 110, 60]) * rng.uniform(0.5, 1.5)
    _box(image, x - 4, y - tall, rng.uniform(5, 12), tall, np.array([40.0, 60, 80]))
    for _ in range(9):
        place = (int(x + rng.normal(0, tall / 6)), int(y - tall + rng.normal(0, tall / 7)))
        shade = np.clip(crown * rng.uniform(0.75, 1.25), 0, 255).tolist()
        cv2.circle(image, place, int(rng.uniform(0.1, 0.22) * tall), shade, cv2.FILLED)


def _room(rng: np.random.Generator, image: np.ndarray, horizon: int) -> None:
    height, width = image.shape[:2]
    wall, floor = _colour(rng, 80), _colour(rng, 50, 200)
    image[:horizon], image[horizon:] = wall, floor
    pattern = rng.random()
    step = rng.uniform(10, 40)
    if pattern < 0.35:
        for x in np.arange(0, width, step):
            _box(image, x, 0, step * 0.4, horizon, wall * rng.uniform(0.85, 0.97))
    elif pattern < 0.6:
        for row, y in enumerate(np.arange(0, horizon, step * 0.5)):
            cv2.line(image, (0, int(y)), (width, int(y)), (wall * 0.8).tolist(), 1)
            for x in np.arange(step * 0.5 * (row % 2), width, step):
                _box(image, x, y, 1.0, step * 0.5, wall * 0.8)
    vanish = np.array([width * rng.uniform(0.2, 0.8), horizon - height * 0.3])
    for near in np.arange(-width, 2 * width, rng.uniform(25, 70)):  # floor boards
        foot = np.array([near, height])
        at_wall = foot + (vanish - foot) * (height - horizon) / (height - vanish[1])
        cv2.line(image, tuple(foot.astype(int).tolist()), tuple(at_wall.astype(int).tolist()),
                 (floor * 0.8).tolist(), 1, cv2.LINE_AA)  # fmt: skip
    _box(image, 0, horizon - 5, width, 5, np.clip(wall * 1.15, 0, 255))
    for _ in range(int(rng.integers(1, 6))):  # pictures, windows, cupboards
        w, h = rng.uniform(25, 110), rng.uniform(25, 110)
        left = rng.uniform(-20, width - 20)
        top = horizon - h if rng.random() < 0.5 else rng.uniform(0, max(1, horizon - h))
        frame = _colour(rng)
        _box(image, left, top, w, h, frame)
        _box(image, left + 4, top + 4, w - 8, h - 8, np.clip(frame * rng.uniform(0.6, 1.5), 0, 255))
        _box(image, left + w / 2 - 1, top + 4, 2, h - 8, frame)


def _clutter(rng: np.random.Generator, image: np.ndarray) -> None:
    """One random thing: a box, a disc, a rod or a bent limb-like bar of any colour."""
    height, width = image.shape[:2]
    start = rng.uniform(-0.1, 1.1, 2) * (width, height)
    colour, kind = _colour(rng, 30, 235, saturation=2.5), rng.random()
    if kind < 0.3:
        wide, tall, tilt = rng.uniform(8, 70), rng.uniform(8, 90), rng.uniform(0, 180)
        box = cv2.boxPoints((tuple(start.tolist()), (wide, tall), tilt if kind < 0.1 else 0.0))
        _fill(image, box, colour)
        _fill(image, start + 0.7 * (box - start), np.clip(colour * rng.uniform(0.7, 1.3), 0, 255))
    elif kind < 0.5:
        axes = (int(rng.uniform(4, 40)), int(rng.uniform(4, 40)))
        place = (int(start[0]), int(start[1]))
        cv2.ellipse(image, place, axes, rng.uniform(0, 180), 0, 360, colour.tolist(), cv2.FILLED)
    else:
        thick = int(rng.uniform(2, 16))
        for _ in range(2 if kind > 0.7 else 1):
            end = start + rng.normal(0, 0.25 * height, 2)
            first, last = (tuple(point.astype(int).tolist()) for point in (start, end))
            cv2.line(image, first, last, colour.tolist(), thick, cv2.LINE_AA)
            start = end


def foreground(rng: np.random.Generator, image: np.ndarray) -> None:
    """A table edge, fence or bush in front of everybody, along the lower border."""
    height, width = image.shape[:2]
    top, colour = height * rng.uniform(0.74, 0.92), _colour(rng)
    if rng.random() < 0.5:
        x, wide = rng.uniform(-0.2, 0.6) * width, rng.uniform(0.3, 0.7) * width
        _box(image, x, top, wide, height, colour)
        _box(image, x, top, wide, 5, np.clip(colour * 1.2, 0, 255))
        return
    for x in np.arange(rng.uniform(-10, 0), width, rng.uniform(22, 40)):
        _box(image, x, top, 7, height, colour)
    _box(image, 0, top + 8, width, 6, np.clip(colour * 0.9, 0, 255))
