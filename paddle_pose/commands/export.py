"""Weights to files for serving: Paddle Inference, ONNX, INT8."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from paddle_pose.codecs.codec import matrix_of
from paddle_pose.codecs.paf import PafCodec
from paddle_pose.data import record_shards
from paddle_pose.data.archives import ENDINGS
from paddle_pose.data.augment import crop_image
from paddle_pose.data.coco_category import FROM_FILE
from paddle_pose.data.images import decode_as_annotated, read_rgb
from paddle_pose.data.top_down import PersonCrops
from paddle_pose.data.whole_images import whole_input
from paddle_pose.errors import UserError
from paddle_pose.evaluation.evaluator import DataFiles
from paddle_pose.evaluation.task import training_people
from paddle_pose.files import sha256
from paddle_pose.geometry import box_to_center_scale
from paddle_pose.inference import export as exporting
from paddle_pose.inference.exported import Card
from paddle_pose.inference.predictor import trained
from paddle_pose.recipes.checks import require_sound
from paddle_pose.recipes.recipe import Recipe
from paddle_pose.settings import WholeImage
from paddle_pose.skeletons import skeleton_named
from paddle_pose.system import runtime

CALIBRATION_IMAGES = 128
"""Most that are taken of what is given, evenly from the first to the last."""

ANNOTATION_FOLDERS = ("annot", "annotations")


def export(
    recipe: str | Recipe | None,
    weights: str | Path,
    output: str | Path,
    *,
    formats: Sequence[str] = ("paddle", "onnx"),
    calibration: str | Path | None = None,
    annotations: str | Path | None = None,
    licence: str = exporting.NOT_STATED,
    assignments: Sequence[str] = (),
) -> list[Card]:
    """Write ``output/FORMAT/`` for each format, checked against the network; say so.

    Args:
        recipe: what the weights are of: a recipe, ``family:name`` or a ``.yaml`` file; None for
            the one of their run folder, or what the weights themselves say.
        weights: PyTorch's, Paddle's or our own, in any format.
        output: folder to make.
        formats: some of ``paddle``, ``onnx``, ``int8``.
        calibration: for ``int8``: a data set's folder, whose training people are taken, or a
            folder of photos with one person each.
        annotations: COCO file with the joints, for a recipe of ``data.skeleton=from_file`` whose
            weights do not know them.
        licence: of the weights, for ``model.yaml``.
        assignments: ``KEY=VALUE`` that change the recipe.

    Raises:
        UserError: something that cannot be exported; nothing is written then.
    """
    exporting.require_formats(formats)
    if (calibration is not None) != ("int8" in formats):
        raise UserError("--calibration IMAGES and --format int8 go together")
    weights = Path(weights)
    runtime.choose_device("cpu")  # what is compared, and where exported networks run
    stated = None if annotations is None else Path(annotations)
    network, recipe, skeleton = trained(weights, recipe, None, assignments, stated)
    require_sound(recipe)
    if skeleton is None and recipe.data.skeleton == FROM_FILE:
        raise UserError("data.skeleton: the recipe has it from a file; name it by --annotations")
    skeleton = skeleton or skeleton_named(recipe.data.skeleton)
    crops = None
    if calibration is not None:
        crops = calibration_crops(Path(calibration), recipe, stated)
        print(f"=> calibrating on {len(crops)} images of {calibration}", flush=True)
    cards = exporting.export(
        network,
        recipe,
        skeleton,
        Path(output),
        formats,
        weights_sha256=sha256(weights),
        licence=licence,
        calibration=crops,
    )
    for card in cards:
        print(
            f"=> {Path(output) / card.format}: difference from eager {card.difference:.1e} "
            f"({card.measure}; allowed {card.bound:.1e})"
        )
    return cards


def calibration_crops(folder: Path, recipe: Recipe, annotations: Path | None = None) -> np.ndarray:
    """(N, H, W, 3) uint8 RGB test crops; Raises UserError.

    Of a data set: people of its training split, or of the annotations. Of any other folder: its
    photos, each as one box. For a network that sees whole pictures: pictures with people, padded.
    """
    is_whole = isinstance(recipe.codec, PafCodec)
    if is_whole and any((folder / name).is_dir() for name in ANNOTATION_FOLDERS):
        return _whole_pictures(folder, recipe, annotations)
    if any((folder / name).is_dir() for name in ANNOTATION_FOLDERS):
        whole = replace(recipe, data=replace(recipe.data, limit=None))
        table = training_people(whole, DataFiles(folder, annotations))
        samples = PersonCrops(table, recipe.data, recipe.codec, with_targets=False)
        return np.stack([samples[0, i].image_HWC for i in _spread(len(samples))])
    if not folder.is_dir():
        raise UserError(f"--calibration {folder}: not a folder")
    photos = sorted(f for f in folder.rglob("*") if f.suffix.lower() in ENDINGS and f.is_file())
    if not photos:
        raise UserError(f"--calibration {folder}: no photos there, and no annotations")
    chosen = [photos[i] for i in _spread(len(photos))]
    if is_whole:
        return np.stack([_padded(read_rgb(file, apply_exif=True), recipe) for file in chosen])
    return np.stack([_whole_photo(file, recipe) for file in chosen])


def _whole_pictures(folder: Path, recipe: Recipe, annotations: Path | None) -> np.ndarray:
    """Pictures of the training split with somebody to learn."""
    people = record_shards.people(
        folder, recipe.data.train_split, recipe.data, annotations=annotations
    )
    pictures = np.unique(people.image_index[people.main])
    found = []
    for position in _spread(len(pictures)):
        data, where = people.source.photo(int(pictures[position]))
        found.append(_padded(decode_as_annotated(data, where, None)[0], recipe))
    return np.stack(found)


def _padded(pixels: np.ndarray, recipe: Recipe) -> np.ndarray:
    width, height = recipe.data.image_size_wh
    return whole_input(pixels, WholeImage((height, width), "pad"), 1.0, 1)


def _spread(count: int) -> list[int]:
    """At most CALIBRATION_IMAGES positions, evenly."""
    return sorted({*np.linspace(0, count - 1, min(count, CALIBRATION_IMAGES)).astype(int).tolist()})


def _whole_photo(file: Path, recipe: Recipe) -> np.ndarray:
    size_wh, crop = recipe.data.image_size_wh, matrix_of(recipe.codec)
    pixels = read_rgb(file, apply_exif=True)
    height, width = pixels.shape[:2]
    box = np.array([[0, 0, width, height]], np.float64)
    center, scale = box_to_center_scale(box, size_wh[0] / size_wh[1])
    matrix = crop(center[0].astype(np.float64), scale[0].astype(np.float64), 0.0, size_wh)
    return crop_image(pixels, matrix, size_wh)
