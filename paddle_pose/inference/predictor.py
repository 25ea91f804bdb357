"""Poses on one's own photos: the library object behind the commands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from paddle_pose import skeletons
from paddle_pose.codecs.views import View
from paddle_pose.configs import load
from paddle_pose.data.augment import crop_image
from paddle_pose.data.coco import skeleton_of
from paddle_pose.data.coco_category import FROM_FILE
from paddle_pose.data.images import read_rgb
from paddle_pose.errors import UserError
from paddle_pose.files import read_json
from paddle_pose.geometry import box_to_center_scale, crop_matrix
from paddle_pose.inference import engine as engines
from paddle_pose.inference.exported import Exported, make_forward
from paddle_pose.inference.predict import require_scales
from paddle_pose.models.architectures import with_joints
from paddle_pose.models.blocks import PoseNetwork
from paddle_pose.models.build import build
from paddle_pose.porting.loading import Use, load_weights
from paddle_pose.porting.reader import WeightFile, read_file
from paddle_pose.poses.poses import Place, Poses
from paddle_pose.recipes.recipe import Recipe, from_dict, override
from paddle_pose.skeletons import Skeleton, skeleton_named
from paddle_pose.typed import from_plain

_NEAR = 2
"""How many folders up from weights their run folder is."""


class PosePredictor:
    """A network that is ready: ``predictor(image, boxes)`` gives poses.

    Attributes:
        recipe: what the network was trained by.
        benchmark: flip test, scales and decoder.
        skeleton: the joints of its poses.
    """

    def __init__(
        self,
        network: PoseNetwork | Exported,
        recipe: Recipe,
        *,
        benchmark: str | None = None,
        engine: str = "eager",
        precision: str = "float32",
        batch_size: int = engines.PEOPLE_AT_A_TIME,
        skeleton: Skeleton | None = None,
    ) -> None:
        """Prepare a network.

        Args:
            network: of the recipe, with its weights.
            recipe: says how a box becomes a crop and maps become joints.
            benchmark: one of the recipe's protocols; its first by default.
            engine: ``auto``, ``eager`` or ``onednn`` (which takes seconds to compile).
            precision: ``float32`` or ``bfloat16``.
            batch_size: boxes at a time.
            skeleton: the joints, where the recipe takes them from an annotation file
                (``data.coco.skeleton_of`` reads them); else the recipe names them.

        Raises:
            UserError: what is asked for is not to be had here.
        """
        self.recipe, self.benchmark = recipe, recipe.benchmark(benchmark)
        if batch_size < 1:
            raise UserError(f"batch_size {batch_size}: must be at least 1")
        if skeleton is None and recipe.data.skeleton == FROM_FILE:
            raise UserError(
                "data.skeleton: the recipe has it from a file, and neither the weights nor a run "
                "folder around them say it; give skeleton="
            )
        self.skeleton = skeleton or skeleton_named(recipe.data.skeleton)
        if self.benchmark.flip_test:
            self.skeleton.require_pairs(f"flip_test of benchmark '{self.benchmark.name}'")
        require_scales(self.benchmark)
        self._batch_size = batch_size
        self._forward = make_forward(
            network,
            recipe.data,
            flip_test=self.benchmark.flip_test,
            engine=engines.choose(engine, precision, people=batch_size),
            precision=precision,
            batch_size=batch_size,
        )

    @classmethod
    def from_exported(cls, folder: str | Path, **options: Any) -> PosePredictor:
        """A predictor from a folder that ``export.py`` wrote; Raises UserError."""
        network = Exported(Path(folder))
        return cls(network, network.recipe, skeleton=network.skeleton, **options)

    @classmethod
    def from_weights(
        cls, weights: str | Path, recipe: str | Recipe | None = None, **options: Any
    ) -> PosePredictor:
        """A predictor from a weights file.

        Args:
            weights: PyTorch's, Paddle's or our own, in any format.
            recipe: a recipe, ``family:name`` or a ``.yaml`` file; by default the ``recipe.yaml``
                of the run folder that the weights lie in, or what the weights themselves say.
            options: as of the class; ``skeleton`` by default as the weights or their folder say.

        Raises:
            UserError: no such file, no recipe, or weights of another network.
        """
        network, recipe, skeleton = trained(weights, recipe, options.pop("skeleton", None))
        return cls(network, recipe, skeleton=skeleton, **options)

    def __call__(
        self, image: str | Path | np.ndarray, boxes: Sequence[Sequence[float]] | None = None
    ) -> Poses:
        """Poses of the people in some boxes.

        Args:
            image: a file, which is turned upright as its EXIF data says, or (H, W, 3) uint8 RGB.
            boxes: left, top, width, height of each person in image pixels; by default one person
                who fills the image.

        Returns:
            One pose a box, in the order of the boxes; ``image_ids`` are 0, ``rows`` the box.

        Raises:
            UserError: an image that cannot be read, or a box that is none.
        """
        pixels = image if isinstance(image, np.ndarray) else read_rgb(Path(image), apply_exif=True)
        if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8:
            raise UserError(
                f"image: expected (H, W, 3) uint8 RGB, got {pixels.shape} {pixels.dtype}"
            )
        height, width = pixels.shape[:2]
        try:
            given = np.array([[0, 0, width, height]] if boxes is None else boxes, np.float64)
        except (TypeError, ValueError):  # of different lengths, or no numbers
            given = np.zeros((1, 0))
        if not len(given):
            return Poses.none(len(self.skeleton))
        usable = given.ndim == 2 and given.shape[1] == 4 and np.isfinite(given).all()
        if not usable or (given[:, 2:] <= 0).any():
            raise UserError(f"boxes: expected rows of left, top, width, height, got {boxes!r}")
        parts = np.split(
            np.arange(len(given)), np.arange(self._batch_size, len(given), self._batch_size)
        )
        return Poses.joined([self._poses(pixels, given[part], part) for part in parts])

    def _poses(self, pixels: np.ndarray, boxes_xywh: np.ndarray, rows: np.ndarray) -> Poses:
        width, height = self.recipe.data.image_size_wh
        center, scale = box_to_center_scale(boxes_xywh, width / height)
        center, scale = center.astype(np.float64), scale.astype(np.float64)
        place = Place(
            center_xy=center,
            scale_wh=scale,
            image_id=np.zeros(len(rows), np.int64),
            row=rows,
            joints_xy=np.empty((len(rows), 0, 2)),
            visible=np.empty((len(rows), 0)),
        )
        views = []
        for factor in self.benchmark.test_scales:
            crops = [
                crop_image(
                    pixels, crop_matrix(c, s * factor, 0.0, (width, height)), (width, height)
                )
                for c, s in zip(center, scale, strict=True)
            ]
            views.append(View(*self._forward(np.stack(crops)), factor))
        codec = self.recipe.codec
        return codec.decode(views, place, self.benchmark, self.skeleton.flip_order)


class Trained(NamedTuple):
    """A network with its weights, its recipe, and the joints where the recipe names none."""

    network: PoseNetwork
    recipe: Recipe
    skeleton: Skeleton | None


def trained(
    weights: str | Path,
    recipe: str | Recipe | None = None,
    skeleton: Skeleton | None = None,
    assignments: Sequence[str] = (),
    annotations: Path | None = None,
) -> Trained:
    """Read weights as ``PosePredictor.from_weights`` says, by a recipe with KEY=VALUE changes.

    ``annotations``: COCO file with the joints, where neither recipe nor weights name them.
    """
    file = read_file(Path(weights))
    if not isinstance(recipe, Recipe):
        recipe = _recipe_of(file) if recipe is None else load(recipe)
    recipe = override(recipe, assignments)
    if recipe.data.skeleton == FROM_FILE:
        if annotations is not None:
            skeleton = skeleton_of(annotations, FROM_FILE, recipe.data)
        skeleton = skeleton or _skeleton_of(file)
        if skeleton is not None:
            recipe = replace(recipe, model=with_joints(recipe.model, len(skeleton)))
    named = skeleton or skeletons.SKELETONS.get(recipe.data.skeleton)
    network = build(recipe.model)
    found = load_weights(network, file, recipe.model, use=Use(recipe.data, named))
    print("\n".join(found.lines), flush=True)
    return Trained(network, recipe, skeleton)


def _beside(weights: Path, name: str) -> Path | None:
    """A file of the run folder that weights lie in."""
    return next((f for p in list(weights.parents)[:_NEAR] if (f := p / name).is_file()), None)


def _recipe_of(file: WeightFile) -> Recipe:
    beside = _beside(file.path, "recipe.yaml")
    if beside is not None:
        return load(str(beside))
    if file.facts is None:
        raise UserError(
            f"{file.path}: no recipe.yaml beside it, and it does not say its recipe; name it"
        )
    try:
        return from_dict(file.facts.recipe)
    except UserError as error:
        raise UserError(f"{file.path}: its recipe: {error}; name its recipe") from error


def _skeleton_of(file: WeightFile) -> Skeleton | None:
    """The joint set as the weights or the record of their run say it; None where neither does."""
    if file.facts is not None:
        return file.facts.skeleton
    beside = _beside(file.path, "record.json")
    said = read_json(beside) if beside is not None else None
    values = said.get("skeleton") if isinstance(said, dict) else None
    return None if values is None else from_plain(Skeleton, values, f"{beside}: skeleton")
