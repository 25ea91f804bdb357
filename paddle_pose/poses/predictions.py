"""Predictions on disk: written once after inference, read by every score.

Keypoints are in image pixels, 0-based, here and in ``predictions.json``; ``pred.mat`` is 1-based
as HRNet writes it. Other people's files do not say what they are, so the reader is told.
Version 1 of ``predictions.json`` (crops in place of boxes, one pose a row) is still read.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from paddle_pose.errors import UserError, nearest
from paddle_pose.files import write_bytes, write_text
from paddle_pose.geometry import UNIT_PX
from paddle_pose.poses.poses import Poses
from paddle_pose.settings import same_protocol

FORMAT = "paddle_pose predictions, version 2"
VERSION_1 = "paddle_pose predictions, version 1"

_ARRAY_KEY = "preds"


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
    bad = ~np.isfinite(np.column_stack([flat, predictions.poses.scores])).all(1)
    if bad.any():
        place = int(np.flatnonzero(bad)[0])
        image = f" ({predictions.images[place]})" if predictions.images else ""
        raise UserError(
            f"{path}: row {predictions.poses.rows[place]}{image} has a coordinate or score that is "
            f"not a finite number; {int(bad.sum())} such rows"
        )


def _read_json(path: Path, joints: int, skeleton: str) -> tuple[Predictions, int | None]:
    try:
        content = json.loads(path.read_bytes())
    except json.JSONDecodeError as error:
        raise UserError(f"{path}: broken JSON in line {error.lineno}: {error.msg}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot read this file ({error})") from error
    if not isinstance(content, dict) or content.get("format") not in (FORMAT, VERSION_1):
        raise UserError(f"{path}: not a predictions.json of this project ('{FORMAT}')")
    try:
        lines = content["people" if content["format"] == VERSION_1 else "poses"]
        counts = {len(line["keypoints"]) for line in lines}
        if counts - {joints}:
            raise UserError(f"{path}: {min(counts - {joints})} joints, expected {joints}")
        nowhere = [float("nan")] * 4
        poses = Poses(
            image_ids=np.array([line.get("image_id", -1) for line in lines], np.int64),
            keypoints=np.array([line["keypoints"] for line in lines], np.float64).reshape(
                len(lines), joints, 3
            ),
            scores=np.array([line["score"] for line in lines], np.float64),
            boxes_xywh=np.array([_box_of(line) or nowhere for line in lines], np.float64).reshape(
                len(lines), 4
            ),
            rows=np.array([line["row"] for line in lines], np.int64),
            instances=np.array([line.get("instance", 0) for line in lines], np.int64),
        )
        predictions = Predictions(
            poses,
            skeleton=content["skeleton"],
            images=tuple(line["image"] for line in lines),
            recipe=content["recipe"],
            benchmark=content["benchmark"],
            annotation_sha256=content["annotation_sha256"],
            weights_sha256=content["weights_sha256"],
            engine=content.get("engine", ""),
        )
        return predictions, int(content["pixel_origin"])
    except KeyError as error:
        raise UserError(f"{path}: key {error.args[0]!r} is missing; predict again") from error
    except (TypeError, ValueError, OverflowError) as error:
        raise UserError(f"{path}: not as this project writes it ({error})") from error


def _box_of(line: dict[str, Any]) -> list[float] | None:
    """The box of a pose; version 1 has a crop's centre and size in its place."""
    if "box_xywh" in line:
        return line["box_xywh"]
    size = np.array(line["scale_wh"], np.float64) * UNIT_PX
    return [*(np.array(line["center_xy"], np.float64) - 0.5 * size), *size]


def _foreign(path: Path, array: Any, joints: int, skeleton: str) -> Predictions:
    preds = np.asarray(array)
    if preds.ndim == 3 and preds.shape[2] not in (2, 3) and preds.shape[0] in (2, 3):
        preds = preds.transpose(2, 1, 0)
    numeric = np.issubdtype(preds.dtype, np.number) and not np.iscomplexobj(preds)
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


def _no_array(path: Path, names: list[str]) -> UserError:
    return UserError(f"{path}: no array '{_ARRAY_KEY}'{nearest(_ARRAY_KEY, names)}")


def _read_mat(path: Path, joints: int, skeleton: str) -> tuple[Predictions, int | None]:
    from scipy.io import loadmat

    try:
        content = loadmat(path)
    except NotImplementedError:  # MATLAB 7.3 files are HDF5
        return _read_hdf5(path, joints, skeleton)
    except Exception as error:  # scipy raises many kinds for a file that is not a .mat
        raise UserError(f"{path}: cannot be read as a MATLAB file ({error})") from error
    if _ARRAY_KEY not in content:
        raise _no_array(path, [name for name in content if not name.startswith("__")])
    stated = int(np.squeeze(content["pixel_origin"])) if "pixel_origin" in content else None
    return _foreign(path, content[_ARRAY_KEY], joints, skeleton), stated


def _read_hdf5(path: Path, joints: int, skeleton: str) -> tuple[Predictions, int | None]:
    import h5py

    try:
        with h5py.File(path, "r") as content:
            if _ARRAY_KEY not in content:
                raise _no_array(path, list(content))
            array = content[_ARRAY_KEY][()]
    except OSError as error:
        raise UserError(f"{path}: cannot be read as an HDF5 file ({error})") from error
    return _foreign(path, array, joints, skeleton), None
