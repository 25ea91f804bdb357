"""Poses on one's own photos: the library object behind the commands."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, cast

import cv2
import numpy as np

from paddle_pose import skeletons
from paddle_pose.codecs.codec import maps_of, matrix_of
from paddle_pose.codecs.heatmap import HeatmapCodec
from paddle_pose.codecs.paf import PafCodec
from paddle_pose.codecs.pairs import PairCodec
from paddle_pose.codecs.views import View
from paddle_pose.codecs.whole_images import WholeCodec
from paddle_pose.configs import load
from paddle_pose.data.coco import skeleton_of
from paddle_pose.data.coco_category import FROM_FILE
from paddle_pose.errors import UserError
from paddle_pose.files import read_json
from paddle_pose.inference import engine as engines
from paddle_pose.inference.bottom_up import choose, fitting, forward_of, whole_picture
from paddle_pose.inference.boxes import outside
from paddle_pose.inference.exported import Exported
from paddle_pose.inference.people import (
    FoundPoses,
    People,
    around,
    cut_out,
    draw_maps,
    require_boxes,
    windows,
)
from paddle_pose.inference.pixels import Picture, rgb_of
from paddle_pose.inference.predict import require_scales
from paddle_pose.inference.streams import or_onednn
from paddle_pose.models.architectures import with_joints
from paddle_pose.models.blocks import PoseNetwork
from paddle_pose.models.build import build
from paddle_pose.porting.loading import Use, load_weights
from paddle_pose.porting.reader import WeightFile, read_file
from paddle_pose.poses.poses import Poses
from paddle_pose.recipes.recipe import Recipe, from_dict, override
from paddle_pose.skeletons import Skeleton, skeleton_named
from paddle_pose.typed import from_plain

PACKAGED = Path(__file__).parents[1] / "weights_files" / "small_person.safetensors"

Boxes = Sequence[Sequence[float]] | Sequence[float] | np.ndarray
"""Left, top, width, height of people, or of one."""

_PANEL_PX = 160
"""Smaller crops are drawn larger under their heat maps, by whole factors: the names fit."""

_NEAR = 2
"""How many folders up from weights their run folder is."""


def packaged_weights() -> Path:
    """Weights that are part of the package; Raises UserError where they are not."""
    if not PACKAGED.is_file():
        raise UserError(
            f"no weights given, and {PACKAGED} is not there; give --weights FILE "
            "(with --config RECIPE) or --exported DIR; in Python from_weights(FILE, RECIPE)"
        )
    return PACKAGED


class PosePredictor:
    """A network that is ready: ``predictor(image, boxes)`` gives poses.

    Attributes:
        recipe: what the network was trained by.
        benchmark: flip test, scales and decoder.
        skeleton: the joints of its poses.
        batch_size: boxes at a time.
        instances: poses a box: its owner's, and with 2 the second person's after it.
        whole: it finds everybody in whole pictures, one at a time, and takes no boxes.
    """

    def __init__(
        self,
        network: PoseNetwork | Exported,
        recipe: Recipe,
        *,
        benchmark: str | None = None,
        engine: str = "auto",
        precision: str = "float32",
        batch_size: int = engines.PEOPLE_AT_A_TIME,
        skeleton: Skeleton | None = None,
        instances: int = 1,
    ) -> None:
        """Prepare a network.

        Args:
            network: of the recipe, with its weights.
            recipe: says how a box becomes a crop and maps become joints.
            benchmark: one of the recipe's protocols; its first by default.
            engine: ``eager``; ``onednn`` or ``openvino``, which take seconds to compile and then
                are faster; by default ``auto``: eager, except for batches of 30 people or more.
            precision: ``float32`` or ``bfloat16``.
            batch_size: boxes at a time.
            skeleton: the joints, where the recipe takes them from an annotation file
                (``data.coco.skeleton_of`` reads them); else the recipe names them.
            instances: 1, or 2 of a network for two people in a box.

        Raises:
            UserError: what is asked for is not to be had here.
        """
        if skeleton is not None and isinstance(recipe.codec, PafCodec):
            recipe = replace(recipe, codec=recipe.codec.of(skeleton))
        self.recipe, self.benchmark = recipe, recipe.benchmark(benchmark)
        if benchmark is None:
            self.benchmark = fitting(self.benchmark, network, recipe.data)
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
        if instances != 1 and (instances != 2 or not isinstance(recipe.codec, PairCodec)):
            raise UserError(
                f"instances {instances}: recipe '{recipe.name}' finds one person in a box; two are "
                "found by a network of mipnet (python -m paddle_pose recipes lists all)"
            )
        self.whole = self.benchmark.whole is not None
        self.batch_size, self.instances = 1 if self.whole else batch_size, instances
        options = {"precision": precision, "batch_size": self.batch_size}
        self._forward = or_onednn(
            engine,
            choose(engine, precision, self.benchmark, people=batch_size),
            lambda kind: forward_of(network, recipe.data, self.benchmark, engine=kind, **options),
        )

    @classmethod
    def from_exported(cls, folder: str | Path, **options: Any) -> PosePredictor:
        """A predictor from a folder that ``export.py`` wrote; Raises UserError."""
        network = Exported(Path(folder))
        return cls(network, network.recipe, skeleton=network.skeleton, **options)

    @classmethod
    def from_weights(
        cls,
        weights: str | Path | None = None,
        recipe: str | Recipe | None = None,
        engine: str = "auto",
        **options: Any,
    ) -> PosePredictor:
        """A predictor from a weights file.

        Args:
            weights: PyTorch's, Paddle's or our own, in any format; by default what is packaged: a
                small network for one clearly visible person.
            recipe: a recipe, ``family:name`` or a ``.yaml`` file; by default the ``recipe.yaml``
                of the run folder that the weights lie in, or what the weights themselves say.
            engine: as of the class.
            options: as of the class; ``skeleton`` by default as the weights or their folder say.

        Raises:
            UserError: no such file, no recipe, or weights of another network.
        """
        weights = packaged_weights() if weights is None else weights
        network, recipe, skeleton = trained(weights, recipe, options.pop("skeleton", None))
        return cls(network, recipe, skeleton=skeleton, engine=engine, **options)

    def __call__(
        self,
        image: Picture | Sequence[Picture],
        boxes: Boxes | Sequence[Boxes | None] | None = None,
        *,
        channel_order: str = "rgb",
    ) -> FoundPoses:
        """Poses of the people in some boxes.

        Args:
            image: a file, one of Pillow's images, (H, W, 3) uint8 pixels, or a list of these. Files
                and Pillow's images are turned upright as their EXIF data says.
            boxes: left, top, width, height of each person in image pixels, or of one; by default
                one person, whom a first look at the whole image finds and a second one looks at
                closer. Of a list of images a list of such. None for a network that finds
                everybody.
            channel_order: of arrays; ``bgr`` for those of ``cv2.imread``.

        Returns:
            One pose a box, in the order of the boxes: ``keypoints``, ``scores``, ``joint_names``,
            ``boxes_xywh`` of the crops; ``image_ids`` are the positions in the list (0), ``rows``
            the boxes (-1 of a network that finds everybody). They have ``draw(image)``,
            ``to_coco()`` and ``of_image(position)``.

        Raises:
            UserError: an image that cannot be read, or a box that is none.
        """
        several = isinstance(image, list | tuple)
        images: Sequence[Any] = image if isinstance(image, list | tuple) else [image]
        given: Any = boxes if several else [boxes]
        if given is None:
            given = [None] * len(images)
        if len(given) != len(images):
            raise UserError(f"boxes: of {len(given)} images, for {len(images)}")

        def cut(image_id: int, nearer: np.ndarray | None = None) -> People:
            try:
                pixels = rgb_of(images[image_id], channel_order)
                if nearer is not None:
                    return self.closer(pixels, nearer, image_id)
                return self.people(pixels, given[image_id], image_id)
            except UserError as error:
                raise UserError(f"images[{image_id}]: {error}" if several else str(error)) from None

        sought = [n for n, where in enumerate(given) if where is None and not self.whole]
        first = self._in_batches(map(cut, sought))
        first = first.select(first.instances == 0)
        seen = {i: first.keypoints[first.image_ids == i] for i in sought}
        people = (cut(image_id, seen.get(image_id)) for image_id in range(len(images)))
        return FoundPoses.of(self._in_batches(people), self.skeleton)

    def _in_batches(self, cut: Iterable[People]) -> Poses:
        """Poses of the people of many images, in their order."""
        parts, waiting, size = [Poses.none(len(self.skeleton))], None, self.batch_size
        for people in cut:
            waiting = people if waiting is None else People.joined([waiting, people])
            while len(waiting) >= size:
                parts.append(self.found(waiting.part(slice(size)))[0])
                waiting = waiting.part(slice(size, None))
        if waiting is not None and len(waiting):
            parts.append(self.found(waiting)[0])
        return Poses.joined(parts)

    def draw_heatmaps(self, image: Picture, box: Sequence[float] | None = None) -> np.ndarray:
        """A grid of the person's crop under each joint's heat map, (H, W, 3) uint8 RGB.

        ``image`` and ``box`` as of a call; of one person. Raises UserError.
        """
        pixels = rgb_of(image)
        people = self.people(pixels, box)
        if box is None:
            poses = self.found(people)[0]
            people = self.closer(pixels, poses.keypoints[poses.instances == 0])
        if len(people) != 1:
            raise UserError(f"draw_heatmaps: expected one box, got {len(people)}")
        maps = self.found(people, maps=True)[1]
        factor = -(-_PANEL_PX // self.recipe.data.image_size_wh[0])
        crop = cv2.resize(people.crops[0][0], None, fx=factor, fy=factor)
        return draw_maps(crop, np.asarray(maps)[0], self.skeleton)

    def people(
        self,
        pixels: np.ndarray,
        boxes: Boxes | None = None,
        image_id: int = 0,
    ) -> People:
        """The boxes of (H, W, 3) uint8 RGB pixels, cut out for ``found``; threads may call it.

        Without boxes they are what a first look takes: the whole image, and parts of it.
        """
        whole, scales = self.benchmark.whole, self.benchmark.test_scales
        if whole is not None:
            codec = cast(WholeCodec, self.recipe.codec)
            if boxes is not None:
                raise UserError(
                    f"boxes: recipe '{self.recipe.name}' finds everybody in the whole picture by "
                    "itself; leave them out"
                )
            return whole_picture(pixels, whole, scales, codec.stride, image_id)
        height, width = pixels.shape[:2]
        given = windows((width, height)) if boxes is None else require_boxes(boxes)
        for row in np.flatnonzero(outside(given, pixels))[:1]:
            box = ", ".join(f"{value:g}" for value in given[row])
            raise UserError(f"boxes[{row}] ({box}) lies outside of the {width}×{height} image")
        size_wh = self.recipe.data.image_size_wh
        return cut_out(pixels, given, size_wh, scales, image_id, matrix_of(self.recipe.codec))

    def closer(self, pixels: np.ndarray, joints_KJ3: np.ndarray, image_id: int = 0) -> People:
        """The one person whose joints a first look found, cut out for a second one."""
        box = around(joints_KJ3, (pixels.shape[1], pixels.shape[0]))
        size_wh, matrix = self.recipe.data.image_size_wh, matrix_of(self.recipe.codec)
        return cut_out(pixels, box, size_wh, self.benchmark.test_scales, image_id, matrix)

    def views(self, people: People) -> list[View]:
        """What the network gives for one batch."""
        scales = self.benchmark.test_scales
        return [View(*self._forward(c), s) for c, s in zip(people.crops, scales, strict=True)]

    def decoded(self, views: Sequence[View], people: People) -> Poses:
        """Poses as the codec reads them; Raises UserError where they are no numbers."""
        place, order = people.place, self.skeleton.flip_order
        poses = self.recipe.codec.decode(views, place, self.benchmark, order)
        maps = (one for view in views for one in view.outputs.values()) if self.whole else ()
        if not all(np.isfinite(one).all() for one in (poses.keypoints, *maps)):
            raise UserError("the network gives what are no numbers: are its weights damaged?")
        return poses

    def found(self, people: People, *, maps: bool = False) -> tuple[Poses, np.ndarray | None]:
        """Poses of one batch, and (B, J, h, w) heat maps if they are asked for.

        Raises:
            UserError: the network gives what are no numbers, or has no heat maps.
        """
        views = self.views(people)
        codec, order = self.recipe.codec, self.skeleton.flip_order
        poses = self.decoded(views, people)
        if self.whole:
            return poses, None
        poses = poses.select(poses.instances < self.instances)
        boxes = np.repeat(people.place.boxes_xywh(), self.instances, 0)
        # Where a map is flat, a decoder's step below a cell (DARK's) may end anywhere.
        poses.keypoints[..., :2] = _into(poses.keypoints[..., :2], boxes)
        if not maps:
            return poses, None
        if not isinstance(codec, HeatmapCodec):
            raise UserError(f"--heatmaps: a codec of kind {type(codec).__name__} has none")
        return poses, codec.heatmaps(views, order, shift=self.benchmark.shift_heatmap)


def _into(joints_xy: np.ndarray, boxes_xywh: np.ndarray) -> np.ndarray:
    """Joints (B, J, 2) that lie outside of their crop moved to its border."""
    corner, size = boxes_xywh[:, None, :2], boxes_xywh[:, None, 2:]
    return np.clip(joints_xy, corner, corner + size)


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
            maps = maps_of(recipe.codec, len(skeleton))
            recipe = replace(recipe, model=with_joints(recipe.model, maps))
    named = skeleton or skeletons.SKELETONS.get(recipe.data.skeleton)
    network = build(recipe.model)
    found = load_weights(network, file, recipe.model, use=Use(recipe.data, named))
    print("\n".join(found.lines), flush=True)
    return Trained(network, recipe, skeleton)


def joints_of(weights: Path | None, recipe: str | None) -> Skeleton | None:
    """Those that ``from_weights`` will have, None where nothing says them; Raises UserError."""
    file = read_file(packaged_weights() if weights is None else weights)
    name = (load(recipe) if recipe else _recipe_of(file)).data.skeleton
    return _skeleton_of(file) if name == FROM_FILE else skeletons.SKELETONS.get(name)


def _beside(weights: Path, name: str) -> Path | None:
    """A file of the run folder that weights lie in."""
    return next((f for p in list(weights.parents)[:_NEAR] if (f := p / name).is_file()), None)


def _recipe_of(file: WeightFile) -> Recipe:
    if (beside := _beside(file.path, "recipe.yaml")) is not None:
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
