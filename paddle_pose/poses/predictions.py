"""Predictions on disk: written once after inference, read by every score.

Keypoints are in image pixels, 0-based, here and in ``predictions.json``; ``pred.mat`` is 1-based
as HRNet writes it. Other people's files do not say what they are, so the reader is told.
"""

from __future__ import annotations

import io
import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from paddle_pose.errors import UserError, nearest
from paddle_pose.settings import Benchmark

FORMAT = "paddle_pose predictions, version 1"

_ARRAY_KEY = "preds"


@dataclass(frozen=True)
class Predictions:
    """One row per person.

    Attributes:
        rows: (N,) positions in the annotation file (truth) or box file (detections).
        images: N image names; empty in foreign files.
        center_xy, scale_wh: (N, 2) crops, as in PersonRecord; nan in foreign files.
        keypoints: (N, J, 3) x, y in image pixels, 0-based, and score.
        scores: (N,) of the person.
        skeleton: name of the joint set.
        recipe: name of the recipe they were made with; empty in foreign files, as the next four.
        benchmark: the protocol they were made under, as plain data.
        annotation_sha256: digest of the annotation file the people are from.
        weights_sha256: digest of the weights file.
        engine: what ran the network, and its precision; empty where the file does not say.
        image_ids: (N,) as COCO counts them, or None.
        file_origin: 0 or 1, the origin of the coordinates in the file that was read.
        origin_stated: whether the file or the user said so; False where it was assumed.
    """

    rows: np.ndarray
    images: tuple[str, ...]
    center_xy: np.ndarray
    scale_wh: np.ndarray
    keypoints: np.ndarray
    scores: np.ndarray
    skeleton: str
    recipe: str = ""
    benchmark: dict[str, Any] | None = None
    annotation_sha256: str = ""
    weights_sha256: str = ""
    engine: str = ""
    image_ids: np.ndarray | None = None
    file_origin: int = 0
    origin_stated: bool = True

    def __len__(self) -> int:
        return len(self.rows)

    def select(self, keep: np.ndarray) -> Predictions:
        """The people named by an index array."""
        names = ("rows", "center_xy", "scale_wh", "keypoints", "scores")
        return replace(
            self,
            images=tuple(self.images[i] for i in keep) if self.images else (),
            image_ids=None if self.image_ids is None else self.image_ids[keep],
            **{name: getattr(self, name)[keep] for name in names},
        )


def replace_file(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, with its folders; Raises UserError where that fails."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(content)
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True) if path.parent.is_dir() else None
        raise UserError(f"{path}: cannot write this file ({error.strerror})") from error


def write_json(predictions: Predictions, path: Path) -> None:
    """``predictions.json``: where they come from, then one line per person."""
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
    columns = {
        "row": predictions.rows.tolist(),
        "image": predictions.images or [""] * len(predictions),
        "center_xy": predictions.center_xy.tolist(),
        "scale_wh": predictions.scale_wh.tolist(),
        "score": predictions.scores.tolist(),
        "keypoints": predictions.keypoints.tolist(),
    }
    if predictions.image_ids is not None:
        columns["image_id"] = predictions.image_ids.tolist()
    people = (dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))
    text = json.dumps(head, indent=1)[:-2] + ',\n "people": [\n'
    text += ",\n".join(json.dumps(person) for person in people) + "\n]}\n"
    replace_file(path, text.encode())


def write_mat(predictions: Predictions, path: Path) -> None:
    """``pred.mat`` as HRNet writes it: ``preds`` (N, J, 2), 1-based; ``pixel_origin`` says so.

    Source: leoxiaobin/deep-high-resolution-net.pytorch lib/dataset/mpii.py:98 @6f69e46
    """
    from scipy.io import savemat  # scipy.io costs more than reading a json

    stream = io.BytesIO()
    savemat(stream, {_ARRAY_KEY: predictions.keypoints[:, :, :2] + 1.0, "pixel_origin": 1})
    replace_file(path, stream.getvalue())


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
    keypoints = predictions.keypoints
    if origin:
        keypoints = np.concatenate([keypoints[:, :, :2] - 1.0, keypoints[:, :, 2:]], 2)
    return replace(
        predictions,
        keypoints=keypoints,
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
            "give that recipe with --config or leave --config out"
        )
    if benchmark is not None and predictions.benchmark:
        for key in sorted(benchmark.keys() | predictions.benchmark.keys()):
            has, wants = predictions.benchmark.get(key), benchmark.get(key)
            if has != wants:
                name = predictions.benchmark.get("name")
                raise UserError(
                    f"{path}: made under benchmark '{name}' with {key}={has!r}, but "
                    f"'{benchmark.get('name')}' with {key}={wants!r} was asked for; choose it with "
                    "--benchmark or predict again"
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


def for_rows(
    predictions: Predictions, path: Path, rows: np.ndarray, people_in_split: int
) -> Predictions:
    """The predictions of exactly these rows, in their order; Raises UserError where some lack."""
    found, asked = len(predictions), len(rows)
    if not predictions.images and found not in (asked, people_in_split):
        raise UserError(
            f"{path}: {found} people, expected all {people_in_split} of the annotation file"
        )
    order = np.argsort(predictions.rows, kind="stable")
    ordered = predictions.rows[order]
    if (np.diff(ordered) == 0).any():
        raise UserError(f"{path}: row {ordered[:-1][np.diff(ordered) == 0][0]} is there twice")
    place = np.minimum(np.searchsorted(ordered, rows), found - 1)
    lacking = ordered[place] != rows
    if lacking.any():
        raise UserError(
            f"{path}: {found} people, {asked} are asked for; row {rows[lacking][0]} is the first "
            f"that lacks; predict again, or score fewer with --set data.limit={found}"
        )
    return predictions.select(order[place])


def _check_keypoints(path: Path, predictions: Predictions, joints: int) -> None:
    if not len(predictions):
        raise UserError(f"{path}: holds no people")
    if predictions.keypoints.shape[1] != joints:
        found = predictions.keypoints.shape[1]
        raise UserError(f"{path}: {found} joints per person, expected {joints}")
    bad = ~np.isfinite(predictions.keypoints.reshape(len(predictions), -1)).all(1)
    if bad.any():
        place = int(np.flatnonzero(bad)[0])
        image = f" ({predictions.images[place]})" if predictions.images else ""
        raise UserError(
            f"{path}: row {predictions.rows[place]}{image} has a coordinate or score that is not "
            f"a finite number; {int(bad.sum())} such rows"
        )


def _with_defaults(benchmark: dict[str, Any]) -> dict[str, Any]:
    """A protocol as this version writes it: what an older one could not say has its default."""
    if not benchmark:
        return benchmark
    return Benchmark(name="").protocol() | benchmark


def _read_json(path: Path, joints: int, skeleton: str) -> tuple[Predictions, int | None]:
    try:
        content = json.loads(path.read_bytes())
    except json.JSONDecodeError as error:
        raise UserError(f"{path}: broken JSON in line {error.lineno}: {error.msg}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot read this file ({error})") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise UserError(f"{path}: not a predictions.json of this project ('{FORMAT}')")
    try:
        people = content["people"]
        counts = {len(person["keypoints"]) for person in people}
        if counts - {joints}:
            raise UserError(f"{path}: {min(counts - {joints})} joints, expected {joints}")
        ids = [person["image_id"] for person in people if "image_id" in person]
        predictions = Predictions(
            rows=np.array([person["row"] for person in people], np.int64),
            images=tuple(person["image"] for person in people),
            center_xy=np.array([person["center_xy"] for person in people], np.float64),
            scale_wh=np.array([person["scale_wh"] for person in people], np.float64),
            keypoints=np.array([person["keypoints"] for person in people], np.float64).reshape(
                len(people), joints, 3
            ),
            scores=np.array([person["score"] for person in people], np.float64),
            skeleton=content["skeleton"],
            recipe=content["recipe"],
            benchmark=_with_defaults(content["benchmark"]),
            annotation_sha256=content["annotation_sha256"],
            weights_sha256=content["weights_sha256"],
            engine=content.get("engine", ""),
            image_ids=np.array(ids) if ids else None,
        )
        return predictions, int(content["pixel_origin"])
    except KeyError as error:
        raise UserError(f"{path}: key {error.args[0]!r} is missing; predict again") from error
    except (TypeError, ValueError) as error:
        raise UserError(f"{path}: not as this project writes it ({error})") from error


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
    return Predictions(
        rows=np.arange(people),
        images=(),
        center_xy=np.full((people, 2), np.nan),
        scale_wh=np.full((people, 2), np.nan),
        keypoints=np.concatenate([preds[:, :, :2], scores], 2),
        scores=scores.mean((1, 2)),
        skeleton=skeleton,
    )


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
