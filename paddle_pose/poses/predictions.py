"""Predictions on disk: written once after inference, read by every score.

Keypoints are in image pixels, 0-based, here and in ``predictions.json``; ``pred.mat`` is 1-based
as HRNet writes it. Other people's files do not say what they are, so the reader is told.
Version 1 of ``predictions.json`` (crops in place of boxes, one pose a row) is still read.
"""

from __future__ import annotations

import io
import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from paddle_pose.array_files import Named, read_hdf5, read_mat
from paddle_pose.errors import UserError, nearest
from paddle_pose.files import read_json, write_bytes, write_text
from paddle_pose.geometry import UNIT_PX
from paddle_pose.limits import LIMITS
from paddle_pose.names import require_inside
from paddle_pose.plain import all_numbers, finite, integers
from paddle_pose.poses.poses import NO_ROW, Poses
from paddle_pose.poses.protocols import same_protocol

FORMAT = "paddle_pose predictions, version 2"
VERSION_1 = "paddle_pose predictions, version 1"

_ARRAY_KEY = "preds"
_ARRAY_NAMES = (_ARRAY_KEY, "pixel_origin")
_TEXTS = ("skeleton", "recipe", "annotation_sha256", "weights_sha256")


@dataclass(frozen=True)
class Predictions:
    """Poses, and what they were made with.

    Attributes:
        poses: P of them; rows are positions in the annotation file (truth) or box file (detector).
        skeleton: name of the joint set.
        images: P image names; empty in foreign files.
        recipe: name of the recipe they were made with; empty in foreign files, as the next four.
        benchmark: the protocol they were made under, as plain data.
        annotation_sha256: digest of the annotation file the people are from.
        weights_sha256: digest of the weights file.
        engine: what ran the network, and its precision; empty where the file does not say.
        file_origin: 0 or 1, the origin of the coordinates in the file that was read.
        origin_stated: whether the file or the user said so; False where it was assumed.
    """

    poses: Poses
    skeleton: str
    images: tuple[str, ...] = ()
    recipe: str = ""
    benchmark: dict[str, Any] | None = None
    annotation_sha256: str = ""
    weights_sha256: str = ""
    engine: str = ""
    file_origin: int = 0
    origin_stated: bool = True

    def __len__(self) -> int:
        return len(self.poses)

    def select(self, keep: np.ndarray) -> Predictions:
        """The poses named by an index array."""
        images = tuple(self.images[i] for i in keep) if self.images else ()
        return replace(self, poses=self.poses.select(keep), images=images)


def write_json(predictions: Predictions, path: Path) -> None:
    """``predictions.json``: where they come from, then one line per pose."""
    head = {
        "format": FORMAT,
        "recipe": predictions.recipe,
        "benchmark": predictions.benchmark or {},
        "skeleton": predictions.skeleton,
        "annotation_sha256": predictions.annotation_sha256,
        "weights_sha256": predictions.weights_sha256,
        "engine": predictions.engine,
        "pixel_origin": 0,
    }
    poses = predictions.poses
    columns = {
        "image_id": poses.image_ids.tolist(),
        "image": predictions.images or [""] * len(predictions),
        "row": poses.rows.tolist(),
        "instance": poses.instances.tolist(),
        "score": poses.scores.tolist(),
        "box_xywh": [None if np.isnan(box).any() else box.tolist() for box in poses.boxes_xywh],
        "keypoints": poses.keypoints.tolist(),
    }
    lines = (dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))
    text = json.dumps(head, indent=1)[:-2] + ',\n "poses": [\n'
    text += ",\n".join(json.dumps(line) for line in lines) + "\n]}\n"
    write_text(path, text)


def write_mat(predictions: Predictions, path: Path) -> None:
    """``pred.mat`` as HRNet writes it: ``preds`` (N, J, 2), 1-based; ``pixel_origin`` says so.

    Source: leoxiaobin/deep-high-resolution-net.pytorch lib/dataset/mpii.py:98 @6f69e46
    """
    from scipy.io import savemat  # scipy.io costs more than reading a json

    stream = io.BytesIO()
    savemat(stream, {_ARRAY_KEY: predictions.poses.keypoints[:, :, :2] + 1.0, "pixel_origin": 1})
    write_bytes(path, stream.getvalue())


def read(path: Path, pixel_origin: int | None, *, joints: int, skeleton: str) -> Predictions:
    """Our ``predictions.json``, or a ``.mat`` or ``.h5`` with the array ``preds``.

    Args:
        path: the file.
        pixel_origin: 0 or 1: whether its first pixel is (0, 0) or (1, 1). None takes what the
            file says, else 0: a network's coordinates, to which the official evaluation adds 1.
        joints: J that is expected.
        skeleton: its name.

    Raises:
        UserError: unreadable file, wrong shape or joints, non-finite numbers, or an origin other
            than the one the file states.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such predictions file")
    readers = {".json": _read_json, ".mat": _read_mat, ".h5": _read_hdf5, ".hdf5": _read_hdf5}
    if path.suffix.lower() not in readers:
        raise UserError(f"{path}: predictions are read from {', '.join(readers)}")
    predictions, stated = readers[path.suffix.lower()](path, joints, skeleton)
    if stated is not None and pixel_origin not in (None, stated):
        raise UserError(
            f"{path}: --pixel_origin {pixel_origin}, but the file says its coordinates are "
            f"{stated}-based; leave the option out"
        )
    origin = stated if stated is not None else pixel_origin or 0
    if predictions.skeleton != skeleton:
        raise UserError(
            f"{path}: joints of skeleton '{predictions.skeleton}', expected '{skeleton}'"
        )
    _check_keypoints(path, predictions, joints)
    poses = predictions.poses
    if origin:
        keypoints = poses.keypoints
        keypoints = np.concatenate([keypoints[:, :, :2] - 1.0, keypoints[:, :, 2:]], 2)
        poses = replace(poses, keypoints=keypoints)
    return replace(
        predictions,
        poses=poses,
        file_origin=origin,
        origin_stated=stated is not None or pixel_origin is not None,
    )


def require_made_for(
    predictions: Predictions,
    path: Path,
    *,
    recipe: str | None = None,
    benchmark: dict[str, Any] | None = None,
    annotation_sha256: str | None = None,
) -> None:
    """Refuse predictions of another recipe, protocol or annotation file; None asks for nothing.

    A foreign file, which states none of these, passes.

    Raises:
        UserError: naming what the file has and what was asked for.
    """
    if recipe is not None and predictions.recipe not in ("", recipe):
        raise UserError(
            f"{path}: made with recipe '{predictions.recipe}', but '{recipe}' was asked for; "
            "give that recipe (val.py --config) or none"
        )
    if benchmark is not None and predictions.benchmark:
        differs = same_protocol(predictions.benchmark, benchmark)
        if differs is not None:
            key, has, wants = differs
            raise UserError(
                f"{path}: made under benchmark '{predictions.benchmark.get('name')}' with "
                f"{key}={has!r}, but '{benchmark.get('name')}' with {key}={wants!r} was asked for; "
                "choose that one (val.py --benchmark) or predict again"
            )
    if annotation_sha256 is not None and predictions.annotation_sha256 not in (
        "",
        annotation_sha256,
    ):
        raise UserError(
            f"{path}: made for an annotation file with sha256 "
            f"{predictions.annotation_sha256[:12]}…, but this data set's has "
            f"{annotation_sha256[:12]}…; check --dataset_root and data.val_split"
        )


def require_whole(found: Predictions, path: Path, asked: int, people_in_split: int) -> None:
    """Raises UserError for a foreign file of another number of people: its rows are places."""
    if not found.images and len(found) not in (asked, people_in_split):
        raise UserError(
            f"{path}: {len(found)} people, expected all {people_in_split} of the annotation file"
        )


def for_rows(found: Predictions, path: Path, rows: np.ndarray) -> Predictions:
    """All poses of these rows, in their order; Raises UserError where a row has none."""
    has = found.poses.rows
    order = np.argsort(has, kind="stable")
    first, after = (np.searchsorted(has[order], rows, side) for side in ("left", "right"))
    lacking = first == after
    if lacking.any():
        raise UserError(
            f"{path}: {len(found)} people, {len(rows)} are asked for; row "
            f"{rows[lacking][0]} is the first that lacks; predict again, or score fewer "
            f"(val.py --set data.limit={len(found)})"
        )
    return found.select(np.concatenate([order[a:b] for a, b in zip(first, after, strict=True)]))


def one_each(found: Predictions, path: Path, rows: np.ndarray) -> Predictions:
    """``for_rows`` where a row may have one pose only; Raises UserError for a second one."""
    chosen = for_rows(found, path, rows)
    again = chosen.poses.rows[1:][np.diff(chosen.poses.rows) == 0]
    if again.size:
        raise UserError(f"{path}: row {again[0]} is there twice")
    return chosen


def _check_keypoints(path: Path, predictions: Predictions, joints: int) -> None:
    if not len(predictions) and not predictions.recipe:  # ours may have found nobody
        raise UserError(f"{path}: holds no people")
    keypoints = predictions.poses.keypoints
    if keypoints.shape[1] != joints:
        found = keypoints.shape[1]
        raise UserError(f"{path}: {found} joints per person, expected {joints}")
    flat = keypoints.reshape(len(predictions), 3 * joints)
    far = LIMITS["far_px"]
    bad = ~(np.abs(np.column_stack([flat, predictions.poses.scores])) <= far.most).all(1)
    if bad.any():
        place = int(np.flatnonzero(bad)[0])
        image = f" ({predictions.images[place]})" if predictions.images else ""
        raise UserError(
            f"{path}: row {predictions.poses.rows[place]}{image} has a coordinate or score that is "
            f"not a finite number of at most {far.text}; {int(bad.sum())} such rows"
        )


def _read_json(path: Path, joints: int, skeleton: str) -> tuple[Predictions, int | None]:
    content = read_json(path)
    if not isinstance(content, dict) or content.get("format") not in (FORMAT, VERSION_1):
        raise UserError(f"{path}: not a predictions.json of this project ('{FORMAT}')")
    try:
        lines = content["people" if content["format"] == VERSION_1 else "poses"]
        if not isinstance(lines, list) or not all(isinstance(line, dict) for line in lines):
            raise UserError(f"{path}: expected a list of poses, each an object")
        texts = {name: content[name] for name in _TEXTS} | {"engine": content.get("engine", "")}
        for name, text in texts.items():
            if not isinstance(text, str):
                raise UserError(f"{path}: '{name}' must be a text, found {text!r:.80}")
        if not isinstance(content["benchmark"], dict | None):
            raise UserError(f"{path}: 'benchmark' must be an object")
        poses = _poses(path, lines, joints)
        images = tuple(line["image"] for line in lines)
        for row, image in enumerate(images):
            if not isinstance(image, str):
                raise UserError(f"{path}: pose {row}: image must be a text, found {image!r:.80}")
        for image in set(images) - {""}:
            require_inside(image, f"{path}: an image")
        predictions = Predictions(poses, images=images, benchmark=content["benchmark"], **texts)
        return predictions, _origin(content["pixel_origin"], path)
    except KeyError as error:
        raise UserError(f"{path}: key {error.args[0]!r} is missing; predict again") from error


def _poses(path: Path, lines: list[dict[str, Any]], joints: int) -> Poses:
    listed = [line["keypoints"] for line in lines]
    counts = {len(points) if isinstance(points, list) else 0 for points in listed}
    if counts - {joints}:
        raise UserError(f"{path}: {min(counts - {joints})} joints, expected {joints}")
    with_id = sum("image_id" in line for line in lines)
    if with_id not in (0, len(lines)):
        raise UserError(f"{path}: {with_id} of {len(lines)} poses have an image_id; none or all")
    nowhere = [math.nan] * 4
    columns = {
        "keypoints": (joints, 3, listed),
        "score": (1, 1, [[[line["score"]]] for line in lines]),
        "box_xywh": (1, 4, [[_box_of(line) or nowhere] for line in lines]),
    }
    numbers = {}
    for name, (count, size, values) in columns.items():
        shapes = {len(point) if isinstance(point, list) else 0 for pose in values for point in pose}
        if shapes - {size} or not all_numbers(values, 2):
            raise UserError(f"{path}: '{name}' of a pose is not {size} numbers each; predict again")
        try:
            numbers[name] = np.array(values, np.float64).reshape(len(lines), count, size)
        except OverflowError as error:
            raise UserError(f"{path}: '{name}' has a number that is too large") from error
    defaults = {"image_id": -1, "instance": 0}
    ids = {
        name: integers([line.get(name, default) for line in lines], f"{path}: pose", name)
        for name, default in defaults.items()
    }
    rows = integers([line["row"] for line in lines], f"{path}: pose", "row")
    if (rows < NO_ROW).any():
        raise UserError(f"{path}: row {rows.min()}; rows begin with 0, and {NO_ROW} means none")
    boxes = numbers["box_xywh"].reshape(-1, 4)
    if np.isinf(boxes).any() or (boxes[:, 2:] <= 0).any():
        raise UserError(f"{path}: a box_xywh is not finite or not of positive size")
    return Poses(
        image_ids=ids["image_id"],
        keypoints=numbers["keypoints"],
        scores=numbers["score"].reshape(-1),
        boxes_xywh=boxes,
        rows=rows,
        instances=ids["instance"],
    )


def _origin(value: Any, path: Path) -> int:
    """0 or 1, as a file states it: no other number, and no true, text or 1.5."""
    if type(value) not in (int, float) or value not in (0, 1):
        raise UserError(f"{path}: pixel_origin is {value!r:.80}, expected 0 or 1")
    return int(value)


def _box_of(line: dict[str, Any]) -> list[float] | None:
    """The box of a pose; version 1 has a crop's centre and size in its place."""
    if "box_xywh" in line:
        return line["box_xywh"]
    where = "a pose: center_xy and scale_wh"
    center, scale = finite(line["center_xy"], where), finite(line["scale_wh"], where)
    size = np.array(scale) * UNIT_PX
    return [*(np.array(center) - 0.5 * size).tolist(), *size.tolist()]


def _foreign(path: Path, array: Any, joints: int, skeleton: str) -> Predictions:
    preds = np.asarray(array)
    if preds.ndim == 3 and preds.shape[2] not in (2, 3) and preds.shape[0] in (2, 3):
        preds = preds.transpose(2, 1, 0)
    numeric = preds.dtype.kind in "iuf"
    if preds.ndim != 3 or preds.shape[2] not in (2, 3) or not numeric:
        raise UserError(
            f"{path}: '{_ARRAY_KEY}' has shape {np.shape(array)} of {preds.dtype}, expected "
            f"N×{joints}×2, N×{joints}×3 or 2×{joints}×N numbers"
        )
    preds = preds.astype(np.float64)
    people = len(preds)
    scores = preds[:, :, 2:] if preds.shape[2] == 3 else np.ones((*preds.shape[:2], 1))
    poses = Poses(
        image_ids=np.full(people, -1),
        keypoints=np.concatenate([preds[:, :, :2], scores], 2),
        scores=scores.mean((1, 2)),
        boxes_xywh=np.full((people, 4), np.nan),
        rows=np.arange(people),
        instances=np.zeros(people, np.int64),
    )
    return Predictions(poses, skeleton=skeleton)


def _read_mat(path: Path, joints: int, skeleton: str) -> tuple[Predictions, int | None]:
    return _read_arrays(path, read_mat(path, _ARRAY_NAMES), joints, skeleton)


def _read_hdf5(path: Path, joints: int, skeleton: str) -> tuple[Predictions, int | None]:
    return _read_arrays(path, read_hdf5(path, _ARRAY_NAMES), joints, skeleton)


def _read_arrays(
    path: Path, content: Named, joints: int, skeleton: str
) -> tuple[Predictions, int | None]:
    if _ARRAY_KEY not in content:
        raise UserError(f"{path}: no array '{_ARRAY_KEY}'{nearest(_ARRAY_KEY, content)}")
    stated = None
    if "pixel_origin" in content:
        value = content["pixel_origin"]
        single = isinstance(value, np.ndarray) and value.size == 1
        stated = _origin(value.item() if single else value, path)
    return _foreign(path, content[_ARRAY_KEY], joints, skeleton), stated
