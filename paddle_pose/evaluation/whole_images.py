"""COCO's pictures looked at whole: everybody that is found in them, scored by AP over OKS."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import cast

import numpy as np

from paddle_pose.codecs.whole_images import WholeCodec
from paddle_pose.data import image_files
from paddle_pose.data.coco import image_root
from paddle_pose.data.whole_images import WholeImages
from paddle_pose.errors import UserError
from paddle_pose.evaluation.coco import CocoEvaluator, CocoFound
from paddle_pose.evaluation.evaluator import ANYTHING, Asked, DataFiles, Evaluator
from paddle_pose.files import sha256
from paddle_pose.poses.coco_results import CocoResults, is_results_file
from paddle_pose.poses.poses import Poses
from paddle_pose.recipes.recipe import Recipe
from paddle_pose.settings import Benchmark
from paddle_pose.skeletons import skeleton_named
from paddle_pose.understood import Understood

TRUTH = {"bodypose18": "coco17"}
"""Joint sets of networks with joints that no file has, and those of the files."""


class WholeImageEvaluator(CocoEvaluator):
    """All pictures that an annotation file lists, or the first ``data.limit``.

    Attributes:
        skeleton: the network's joints.
        scored: where the truth's joints stand among them; the others are not scored.
    """

    def __init__(
        self, recipe: Recipe, benchmark: Benchmark, files: DataFiles, *, with_images: bool = True
    ) -> None:
        """Read the truth; pictures are looked for when they are asked for. Raises UserError."""
        if benchmark.whole is None:
            raise UserError(
                f"benchmark '{benchmark.name}': is of people in boxes; this network looks at "
                "whole pictures (benchmarks.N.whole)"
            )
        if files.boxes is not None:
            raise UserError("--boxes: this network finds everybody by itself; leave it out")
        named = recipe.data.skeleton
        of_truth = replace(recipe.data, skeleton=TRUTH.get(named, named))
        super().__init__(replace(recipe, data=of_truth), benchmark, files, with_images=with_images)
        self.recipe, self._whole = recipe, benchmark.whole
        truth = self.truth.category.skeleton
        self.skeleton = skeleton_named(named) if named in TRUTH else truth
        self.scored = [self.skeleton.index(joint) for joint in truth.joints]

    @cached_property
    def _pictures(self) -> list[int]:
        """Ids of the pictures, said on the terminal when they are first asked for."""
        ids = list(self.truth.images)[: self.recipe.data.limit]
        print(f"=> {self.truth.file}: {len(ids)} whole pictures", flush=True)
        self.truth.understood.tell()
        if self.recipe.data.limit is not None and self.truth.has_people:
            self.truth.require_somebody(np.array(ids))
        return ids

    @cached_property
    def _root(self) -> Path:
        """Where the pictures are, all of them; Raises UserError."""
        names = tuple(self.truth.images[i].name for i in self._pictures)
        root = image_root(
            self._files.root, self.split, names, np.arange(len(names)), self.truth, True
        )
        absent = image_files.missing(root, list(names))
        if absent:
            first = ", ".join(absent[:3]) + (" …" if len(absent) > 3 else "")
            raise UserError(
                f"{root}: {len(absent)} of {len(names)} pictures are missing: {first}; complete "
                "the folder, or look at the first ones alone (val.py --set data.limit=N)"
            )
        return root

    def samples(self, scale: float) -> WholeImages:
        """All pictures at that scale."""
        images = [self.truth.images[image_id] for image_id in self._pictures]
        several = len(self.benchmark.test_scales) > 1
        return WholeImages(
            root=self._root,
            names=[image.name for image in images],
            image_ids=self._pictures,
            sizes_wh=[image.size_wh for image in images],
            whole=self._whole,
            scale=scale,
            multiple=cast(WholeCodec, self.recipe.codec).stride if several else 1,
        )

    @property
    def understood(self) -> Understood:
        """Of the truth."""
        return self.truth.understood

    @property
    def files(self) -> tuple[Path, ...]:
        """The annotation file."""
        return (self.truth.file,)

    @cached_property
    def digest(self) -> str:
        """Of the annotation file."""
        return sha256(self.truth.file)

    def finish(self, poses: Poses) -> Poses:
        """As they were decoded."""
        return poses

    def names(self, poses: Poses) -> tuple[str, ...]:
        """The names of their pictures."""
        return tuple(self.truth.images[image_id].name for image_id in poses.image_ids.tolist())

    def read(
        self, file: Path, *, asked: Asked = ANYTHING, pixel_origin: int | None = None
    ) -> CocoFound:
        """Our poses, or a results file of the truth's joints; Raises UserError for others."""
        if is_results_file(file):
            return self._foreign(file, asked, pixel_origin)
        protocol = self.benchmark.protocol()
        found = Evaluator.read(
            self, file, asked=replace(asked, benchmark=protocol), pixel_origin=pixel_origin
        )
        if not found.images and len(found):
            raise UserError(f"{file}: does not say which picture each pose is of")
        return CocoFound(
            self.results(found.poses),
            image_ids=self._images() if self.recipe.data.limit is not None else None,
            recipe=found.recipe,
            benchmark=protocol,
            weights_sha256=found.weights_sha256,
            engine=found.engine,
        )

    def _images(self) -> np.ndarray:
        return np.array(self._pictures)

    def results(self, poses: Poses) -> CocoResults:
        """The truth's joints, in whole pixels if the benchmark has it so.

        Source: NVIDIA/tao_tensorflow1_backend nvidia_tao_tf1/cv/bpnet/dataio/coco_dataset.py:373
        @2ec95cb
        """
        keypoints = poses.keypoints[:, self.scored].copy()
        if self._whole.coordinates == "reference":
            keypoints[..., :2] = np.trunc(keypoints[..., :2])
        areas = np.prod(poses.boxes_xywh[:, 2:], axis=1)
        category = self.truth.category.id
        return CocoResults(poses.image_ids, keypoints, poses.scores, areas, category)
