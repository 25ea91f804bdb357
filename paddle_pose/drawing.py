"""Skeletons on photos, grids, heat maps and training curves.

Images are RGB uint8 (H, W, 3); keypoints are in their pixels, 0-based. Nothing is drawn in place.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from paddle_pose.errors import UserError
from paddle_pose.files import atomic, parse_json, read_bytes
from paddle_pose.plain import all_numbers
from paddle_pose.skeletons import Skeleton

SIDE_RGB = {"left": (255, 140, 0), "right": (30, 144, 255), "centre": (60, 200, 90)}
"""Orange is the person's left, blue the right (safe for the colour-blind), green the middle."""

INSTANCE_RGB = ((255, 220, 0), (210, 0, 210))
"""Of a box's owner and of the second person; apart in brightness, too."""

_FRACTION_BITS = 4
_FAR_PX = 1 << 20  # beyond this OpenCV's fixed-point coordinates overflow

DRAWN = 0.2
"""Least score of a joint that is drawn."""


def side_of(joint: str) -> str:
    """``left``, ``right`` or ``centre``, by the joint's name."""
    return next((side for side in ("left", "right") if joint.startswith(side)), "centre")


def draw_pose(
    image_rgb: np.ndarray,
    keypoints: np.ndarray,
    skeleton: Skeleton,
    *,
    min_score: float = DRAWN,
    show_scores: bool = False,
    color: tuple[int, int, int] | None = None,
) -> np.ndarray:
    """A copy of the image with one pose on it, coloured by side.

    Args:
        image_rgb: (H, W, 3) uint8.
        keypoints: (J, 3) x, y, score, or (J, 2) where all joints are drawn.
        skeleton: names the joints and limbs.
        min_score: joints that score less, and their limbs, are left out; so are infinite ones.
        show_scores: write each joint's score beside it.
        color: of the whole pose instead.

    Raises:
        UserError: the number of joints is not the skeleton's.
    """
    keypoints = np.asarray(keypoints, np.float64)
    if keypoints.ndim != 2 or len(keypoints) != len(skeleton) or keypoints.shape[1] not in (2, 3):
        raise UserError(
            f"cannot draw keypoints of shape {keypoints.shape}: skeleton '{skeleton.name}' "
            f"needs ({len(skeleton)}, 3)"
        )
    canvas = np.ascontiguousarray(image_rgb).copy()
    shown = np.all(np.abs(keypoints[:, :2]) < _FAR_PX, axis=1)
    if keypoints.shape[1] == 3:
        shown &= keypoints[:, 2] >= min_score
    if not shown.any():
        return canvas
    extent_px = float(np.ptp(keypoints[shown, :2], axis=0).max())
    thickness = int(np.clip(round(extent_px / 90), 1, 6))
    fixed = np.zeros((len(keypoints), 2), np.int64)
    fixed[shown] = np.round(keypoints[shown, :2] * (1 << _FRACTION_BITS))
    for first, second in skeleton.limbs:
        a, b = skeleton.index(first), skeleton.index(second)
        if shown[a] and shown[b]:
            of_limb = color or SIDE_RGB[limb_side(first, second)]
            _line(canvas, fixed[a], fixed[b], of_limb, thickness)
    for joint in np.flatnonzero(shown):
        by_side = SIDE_RGB[side_of(skeleton.joints[joint])]
        _dot(canvas, fixed[joint], color or by_side, thickness + 1)
    if show_scores and keypoints.shape[1] == 3:
        for joint in np.flatnonzero(shown):
            x, y = np.round(keypoints[joint, :2]).astype(int)
            _text(canvas, f"{keypoints[joint, 2]:.2f}", (int(x) + thickness + 3, int(y) + 4), 0.35)
    return canvas


def limb_side(first: str, second: str) -> str:
    """That of the joint that has one; ``centre`` where both have, and others."""
    sides = {side_of(first), side_of(second)} - {"centre"}
    return sides.pop() if len(sides) == 1 else "centre"


def _line(
    canvas: np.ndarray, a: np.ndarray, b: np.ndarray, color: tuple[int, int, int], thickness: int
) -> None:
    ends = (tuple(map(int, a)), tuple(map(int, b)))
    cv2.line(canvas, *ends, color, thickness, cv2.LINE_AA, _FRACTION_BITS)


def _dot(canvas: np.ndarray, at: np.ndarray, color: tuple[int, int, int], radius: int) -> None:
    center = tuple(map(int, at))
    scaled = radius << _FRACTION_BITS
    cv2.circle(canvas, center, scaled, color, -1, cv2.LINE_AA, _FRACTION_BITS)
    cv2.circle(canvas, center, scaled, (0, 0, 0), 1, cv2.LINE_AA, _FRACTION_BITS)


def _text(canvas: np.ndarray, text: str, at: tuple[int, int], size: float) -> None:
    """White letters with a black edge: readable on any photo."""
    for color, thickness in (((0, 0, 0), 3), ((255, 255, 255), 1)):
        cv2.putText(canvas, text, at, cv2.FONT_HERSHEY_SIMPLEX, size, color, thickness, cv2.LINE_AA)


def number_rgb(number: int) -> tuple[int, int, int]:
    """A colour for a number from 1; those of numbers near one another are far apart."""
    hue, value = (0.1 + number * 0.618034) % 1, 255 if number % 2 else 190
    pixel = np.array([[[hue * 180, 220, value]]]).astype(np.uint8)
    red, green, blue = cv2.cvtColor(pixel, cv2.COLOR_HSV2RGB)[0, 0].tolist()
    return red, green, blue


def write_number(
    canvas: np.ndarray, keypoints: np.ndarray, number: int, *, min_score: float = DRAWN
) -> None:
    """Write a person's number above the highest joint (J, 3) that is drawn, in place."""
    shown = np.abs(keypoints[:, :2]).max(1) < _FAR_PX
    shown &= keypoints[:, 2] >= min_score
    if shown.any():
        x, y = keypoints[shown][keypoints[shown, 1].argmin(), :2]
        _text(canvas, str(number), (int(x) - 5, max(int(y) - 6, 14)), 0.55)


_CAPTION_PX = 22
_GAP_PX = 4


def grid(
    images: Sequence[np.ndarray], columns: int, captions: Sequence[str] | None = None
) -> np.ndarray:
    """Images side by side on white, row by row, each under its caption; (H, W, 3) uint8.

    A cell has the largest width and height; smaller images stand in its middle.
    """
    if not len(images) or columns < 1:
        raise ValueError(f"grid: expected images and columns >= 1, got {len(images)}, {columns}")
    if captions is not None and len(captions) != len(images):
        raise ValueError(f"grid: {len(captions)} captions for {len(images)} images")
    cell_w = max(image.shape[1] for image in images) + _GAP_PX
    cell_h = max(image.shape[0] for image in images) + _GAP_PX + (_CAPTION_PX if captions else 0)
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    canvas = np.full((rows * cell_h + _GAP_PX, columns * cell_w + _GAP_PX, 3), 255, np.uint8)
    for index, image in enumerate(images):
        top = (index // columns) * cell_h + _GAP_PX
        left = (index % columns) * cell_w + _GAP_PX
        if captions:
            at = (left + 2, top + _CAPTION_PX - 7)
            font = cv2.FONT_HERSHEY_SIMPLEX
            cell = canvas[:, left : left + cell_w - _GAP_PX]  # a long caption stays in its cell
            text = np.ascontiguousarray(cell)
            cv2.putText(text, captions[index], (2, at[1]), font, 0.45, (0, 0, 0), 1, cv2.LINE_AA)
            cell[:] = text
            top += _CAPTION_PX
        height, width = image.shape[:2]
        left += (cell_w - _GAP_PX - width) // 2
        canvas[top : top + height, left : left + width] = image
    return canvas


def write_image(path: Path, image_rgb: np.ndarray) -> None:
    """Write PNG or JPEG by the name's ending.

    Args:
        path: written whole or not at all.
        image_rgb: (H, W, 3) uint8.

    Raises:
        UserError: another ending, or the file cannot be written.
    """
    try:
        _, encoded = cv2.imencode(path.suffix, cv2.cvtColor(image_rgb, cv2.COLOR_RGB2BGR))
    except cv2.error as error:
        raise UserError(
            f"{path}: cannot write an image of that ending; use .png or .jpg"
        ) from error
    with atomic(path, lasting=False) as file:  # it can be drawn again
        file.write(encoded.tobytes())


def curves(metrics_jsonl: Path, output: Path) -> None:
    """Loss and score over epochs, from a run's metrics file, as a picture (.png, .svg, .pdf).

    Lines ``{"kind": "train", "epoch", "loss", "pckh"?}`` and ``{"kind": "eval", "epoch", scores}``.

    Raises:
        UserError: the file is missing, damaged before its last line, or has nothing to plot.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    lines = _read_metrics(metrics_jsonl)
    train = [line for line in lines if line.get("kind") == "train"]
    evals = [line for line in lines if line.get("kind") == "eval"]
    if not train and not evals:
        raise UserError(f"{metrics_jsonl}: no train or eval lines to plot")
    figure = Figure(figsize=(10, 4), layout="constrained")
    FigureCanvasAgg(figure)
    loss_axes, score_axes = figure.subplots(1, 2)
    when = _epochs_done(train)
    loss_axes.plot(when, [line["loss"] for line in train], marker=_marker(train))
    loss_axes.set(xlabel="epochs done", ylabel="training loss")
    if any(line.get("loss", 0) > 0 for line in train):
        loss_axes.set_yscale("log")
    scored = [(x, line["pckh"]) for x, line in zip(when, train, strict=True) if line.get("pckh")]
    if scored:
        score_axes.plot(*zip(*scored, strict=True), alpha=0.5, label="training PCKh")
    for name in ("Mean", "Mean@0.1", "AP", "AP75"):
        pairs = [(line["epoch"] + 1, line[name]) for line in evals if name in line]
        if pairs:
            score_axes.plot(*zip(*pairs, strict=True), marker=_marker(pairs), label=f"val {name}")
    if score_axes.lines:
        score_axes.legend()
    score_axes.set(xlabel="epochs done", ylabel="score")
    for axes in (loss_axes, score_axes):
        axes.grid(alpha=0.3)
    with atomic(output) as file:
        figure.savefig(file, dpi=110, format=output.suffix[1:] or "png")


def _marker(points: Sequence) -> str | None:
    return "o" if len(points) < 30 else None


def _epochs_done(train: list[dict]) -> list[float]:
    """Where each line stands in its epoch, by its place among that epoch's lines."""
    count: dict[int, int] = {}
    for line in train:
        count[line["epoch"]] = count.get(line["epoch"], 0) + 1
    seen: dict[int, int] = {}
    when = []
    for line in train:
        epoch = line["epoch"]
        seen[epoch] = seen.get(epoch, 0) + 1
        when.append(epoch + seen[epoch] / count[epoch])
    return when


def _read_metrics(path: Path) -> list[dict]:
    texts = read_bytes(path).splitlines()
    lines = []
    for number, text in enumerate(texts, 1):
        where = f"{path}: line {number}"
        try:
            line = parse_json(text, where)
        except UserError:
            if number == len(texts):  # a run that was killed may leave half a line
                break
            raise
        drawn = isinstance(line, dict) and line.get("kind") in ("train", "eval")
        needs = ("epoch", "loss")[: 1 + (line["kind"] == "train")] if drawn else ()
        if not isinstance(line, dict) or not all_numbers([line.get(name) for name in needs]):
            raise UserError(f"{where}: expected an object with numbers {', '.join(needs)}")
        lines.append(line)
    return lines
