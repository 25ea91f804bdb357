"""COCO: poses → rescored, without duplicates → results file, AP table, [EVAL] line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from paddle_pose.data import coco
from paddle_pose.data.coco_file import CocoFile
from paddle_pose.data.mpii import require_images
from paddle_pose.data.records import PersonTable
from paddle_pose.errors import UserError
from paddle_pose.evaluation.evaluator import (
    ANYTHING,
    Asked,
    DataFiles,
    Scores,
    TableEvaluator,
    eval_line,
)
from paddle_pose.files import sha256
from paddle_pose.geometry import UNIT_PX
from paddle_pose.metrics.coco_ap import NAMES, coco_ap, coco_ap_with_intervals
from paddle_pose.poses import predictions
from paddle_pose.poses.coco_results import (
    CocoResults,
    is_results_file,
    read_results,
    write_results,
)
from paddle_pose.poses.oks import oks_nms, rescored, soft_oks_nms
from paddle_pose.poses.poses import NO_ROW, Poses
from paddle_pose.recipes.recipe import Recipe
from paddle_pose.settings import Benchmark, DataSettings, OksProtocol
from paddle_pose.skeletons import Skeleton
from paddle_pose.understood import Fact, Understood

COCO_VAL_IMAGES = 5000
"""Published COCO values are shown beside scores on so many images, and no others."""


def read_truth(
    dataset_root: Path,
    split: str,
    *,
    skeleton_name: str,
    annotations: Path | None = None,
    stated: DataSettings | None = None,
) -> CocoFile:
    """The truth of a split, from the layout's file or the one named; Raises UserError."""
    return coco.read_file(
        dataset_root, split, skeleton_name, annotations=annotations, stated=stated
    )


def results_name(split: str) -> str:
    """``keypoints_val2017_results.json``: as COCO's server wants the file called."""
    return f"keypoints_{split}_results.json"


def finished(results: CocoResults, skeleton: Skeleton, benchmark: Benchmark) -> CocoResults:
    """Results as the benchmark has them: rescored, and without duplicates on an image.

    Images stand in the order of their first pose, poses in the order they were kept, as in the
    reference, whose rule of ties (the earlier of equal scores first) COCO's evaluation follows.

    Source: leoxiaobin/deep-high-resolution-net.pytorch lib/dataset/coco.py:289 @6f69e46

    Raises:
        UserError: the suppression needs areas and the results have none.
    """
    scores = results.scores
    rules = oks_rules(benchmark)
    if rules.rescore:
        scores = rescored(results.keypoints, scores, min_joint_score=rules.rescore_threshold)
    results = replace(results, scores=scores)
    if not rules.oks_nms or not len(results):
        return results
    if not np.isfinite(results.areas).all():
        raise UserError(
            f"benchmark '{benchmark.name}' suppresses duplicates by OKS, which needs each pose's "
            "positive 'area' or 'scale'; val.py without --benchmark scores them"
        )
    sigmas = np.array(oks_sigmas(skeleton))
    suppress = soft_oks_nms if rules.soft_oks_nms else oks_nms
    _, first, image = np.unique(results.image_ids, return_index=True, return_inverse=True)
    by_image = np.split(np.argsort(image, kind="stable"), np.cumsum(np.bincount(image))[:-1])
    kept = []
    for place in np.argsort(first):
        rows = by_image[place]
        poses = (results.keypoints[rows], results.scores[rows], results.areas[rows])
        kept.append(rows[suppress(*poses, sigmas, rules.oks_nms)])
    return results.select(np.concatenate(kept))


def oks_rules(benchmark: Benchmark) -> OksProtocol:
    """How a benchmark scores; Raises UserError for one that does so by PCKh."""
    if not isinstance(benchmark.metric, OksProtocol):
        raise UserError(f"benchmark '{benchmark.name}': COCO is scored by OKS, not by PCKh")
    return benchmark.metric


def oks_sigmas(skeleton: Skeleton) -> tuple[float, ...]:
    """The skeleton's OKS constants; Raises UserError where it has none."""
    if not skeleton.oks_sigmas:
        raise UserError(
            f"skeleton '{skeleton.name}' has no OKS constants, so there is no AP; give the "
            "category a 'sigmas' list and use data.skeleton=from_file"
        )
    return skeleton.oks_sigmas


def score_results(
    results: CocoResults, truth: CocoFile, *, image_ids: np.ndarray | None = None
) -> dict[str, float]:
    """The ten COCO scores, fractions from 0 to 1; on some images alone if they are named.

    Raises:
        UserError: results of other images or joints than the truth, or a truth without people.
    """
    truth.require_somebody(image_ids)
    return coco_ap(
        truth.truth(),
        results.rows(),
        sigmas=oks_sigmas(truth.category.skeleton),
        category_id=truth.category.id,
        image_ids=None if image_ids is None else image_ids.tolist(),
    )


def score_with_intervals(
    results: CocoResults,
    truth: CocoFile,
    *,
    image_ids: np.ndarray | None = None,
    resamples: int,
    seed: int = 0,
) -> tuple[dict[str, float], dict[str, tuple[float, float]]]:
    """As ``score_results``, and 95 % intervals over images; none without resamples.

    Raises:
        UserError: as score_results.
    """
    if not resamples:
        return score_results(results, truth, image_ids=image_ids), {}
    truth.require_somebody(image_ids)
    return coco_ap_with_intervals(
        truth.truth(),
        results.rows(),
        sigmas=oks_sigmas(truth.category.skeleton),
        category_id=truth.category.id,
        image_ids=None if image_ids is None else image_ids.tolist(),
        resamples=resamples,
        seed=seed,
    )


def read_finished(file: Path, truth: CocoFile, benchmark: Benchmark | None) -> CocoResults:
    """A COCO results file: as it is, or (with a benchmark) rescored and without duplicates.

    Under a benchmark the file's ``score`` is taken as the box's score.

    Raises:
        UserError: broken file, or another number of joints than the truth.
    """
    listed = [{"id": image_id, "file_name": image.name} for image_id, image in truth.images.items()]
    results = read_results(file, listed, truth.category.id)
    skeleton = truth.category.skeleton
    if results.keypoints.shape[1] != len(skeleton):
        raise UserError(
            f"{file}: {results.keypoints.shape[1]} joints per pose, expected {len(skeleton)} "
            f"('{skeleton.name}')"
        )
    return results if benchmark is None else finished(results, skeleton, benchmark)


def score_coco_file(
    file: Path, truth: CocoFile, benchmark: Benchmark | None
) -> tuple[dict[str, float], CocoResults]:
    """Scores of a COCO results file, and what ``read_finished`` made of it."""
    results = read_finished(file, truth, benchmark)
    return score_results(results, truth), results


def format_table(
    values: Mapping[str, float],
    published: Mapping[str, float] | None = None,
    intervals: Mapping[str, tuple[float, float]] | None = None,
) -> str:
    """COCO's scores one per line, with 95 % intervals and published values where there are any."""
    published, intervals = published or {}, intervals or {}
    header = f"{'COCO keypoints':<20}{'score':>9}"
    header += f"{'95 % interval':>19}" if intervals else ""
    lines = [header + (f"{'published':>12}{'difference':>12}" if published else "")]
    for name in NAMES:
        line = f"{name:<20}{values[name]:>9.5f}"
        if name in intervals:
            low, high = intervals[name]
            line += f"{low:>10.4f} -{high:>7.4f}"
        elif intervals:
            line += " " * 19
        if name in published:
            line += f"{published[name]:>12.3f}{values[name] - published[name]:>+12.5f}"
        lines.append(line)
    return "\n".join(lines)


@dataclass(frozen=True)
class CocoFound:
    """Results that are ready to be scored, and where they are from.

    Attributes:
        results: rescored and without duplicates, as the benchmark has it.
        image_ids: images to score on; None for all of the truth.
        recipe, benchmark, weights_sha256, engine: as in Predictions; None for a foreign file.
        understood: of a foreign file.
    """

    results: CocoResults
    image_ids: np.ndarray | None = None
    recipe: str = ""
    benchmark: dict[str, Any] | None = None
    weights_sha256: str | None = None
    engine: str | None = None
    understood: Understood = field(default_factory=Understood)


class CocoEvaluator(TableEvaluator):
    """The people of a COCO split, by annotated or detected boxes, scored by AP over OKS."""

    score_names = NAMES

    def __init__(
        self, recipe: Recipe, benchmark: Benchmark, files: DataFiles, *, with_images: bool = True
    ) -> None:
        """Read the truth; the people are read when they are asked for. Raises UserError."""
        oks_rules(benchmark)
        self.benchmark, self.split = benchmark, recipe.data.val_split
        self.recipe, self._files, self._with_images = recipe, files, with_images
        self.truth = read_truth(
            files.root,
            self.split,
            skeleton_name=recipe.data.skeleton,
            annotations=files.annotations,
            stated=recipe.data,
        )
        self.skeleton = self.truth.category.skeleton
        if self.truth.has_people:
            self.truth.require_somebody()

    @cached_property
    def _everyone(self) -> PersonTable:
        recipe, files = self.recipe, self._files
        return coco.people(
            self.truth,
            files.root,
            self.split,
            image_size_wh=recipe.data.image_size_wh,
            boxes=self.benchmark.boxes,
            boxes_file=files.boxes,
            box_threshold=oks_rules(self.benchmark).box_threshold,
            with_images=self._with_images,
        )

    @cached_property
    def table(self) -> PersonTable:
        """The people to predict, said on the terminal when they are first asked for."""
        table = self._everyone.head(self.recipe.data.limit)
        coco.describe(table)
        if self.benchmark.flip_test and self._with_images:
            self.skeleton.require_pairs(f"flip_test of benchmark '{self.benchmark.name}'")
        if self.truth.has_people and self.recipe.data.limit is not None:
            self.truth.require_somebody(np.unique(table.image_ids[table.image_index]))
        if self._with_images:
            require_images(table)
        return table

    @property
    def understood(self) -> Understood:
        """Of the truth, and of the people and boxes where they are read."""
        if "table" not in self.__dict__:
            return self.truth.understood
        return self.table.understood

    @cached_property
    def digest(self) -> str:
        """Of the annotation file, or of the detector's boxes, whose rows the poses have."""
        return sha256(self.table.files[-1])

    def has_truth(self) -> bool:
        """Whether people are annotated; Raises UserError for joints without OKS constants."""
        if self.truth.has_people:
            oks_sigmas(self.skeleton)
        return self.truth.has_people

    def no_truth(self) -> str:
        """As ``Evaluator``."""
        return f"no truth: {self.truth.file} annotates no joint"

    def read(
        self, file: Path, *, asked: Asked = ANYTHING, pixel_origin: int | None = None
    ) -> CocoFound:
        """Our poses, rescored and without duplicates; or a results file."""
        if is_results_file(file):
            return self._foreign(file, asked, pixel_origin)
        found = super().read(
            file,
            asked=replace(asked, benchmark=self.benchmark.protocol()),
            pixel_origin=pixel_origin,
        )
        predictions.require_whole(found, file, len(self.table), len(self._everyone))
        if (found.poses.rows != NO_ROW).any():
            found = predictions.for_rows(found, file, self.table.rows)
        return CocoFound(
            finished(self._results(found.poses), self.skeleton, self.benchmark),
            image_ids=self._images() if self.recipe.data.limit is not None else None,
            recipe=found.recipe,
            benchmark=self.benchmark.protocol(),
            weights_sha256=found.weights_sha256,
            engine=found.engine,
        )

    def _foreign(self, file: Path, asked: Asked, pixel_origin: int | None) -> CocoFound:
        """A results file as it is, or under the benchmark if that was asked for by name."""
        for name, value in (("pixel_origin", pixel_origin), ("boxes", self._files.boxes)):
            if value is not None:
                raise UserError(f"--{name}: has no meaning for a COCO results file")
        benchmark = self.benchmark if asked.rescore else None
        self.truth.understood.tell()
        results = read_finished(file, self.truth, benchmark)
        under = f"under benchmark {benchmark.name}" if benchmark else "as it is"
        text = f"{file}: {len(results)} poses, scored {under}{results.notes}"
        counts = {"poses": len(results), "notes": results.notes.removeprefix("; ")}
        understood = Understood((Fact("results", counts, text),))
        understood.tell()
        protocol = benchmark.protocol() if benchmark else None
        return CocoFound(results, benchmark=protocol, understood=understood)

    def _images(self) -> np.ndarray:
        return np.unique(self.table.image_ids[self.table.image_index])

    def _results(self, poses: Poses) -> CocoResults:
        """Poses with the scores of their boxes, where a row asked for them, and areas."""
        scores, areas = poses.scores.copy(), np.prod(poses.boxes_xywh[:, 2:], axis=1)
        asked = np.flatnonzero(poses.rows != NO_ROW)
        at = self.index_of(poses.select(asked))
        image_ids = poses.image_ids.copy()
        image_ids[asked] = self.table.image_ids[self.table.image_index[at]]
        scores[asked] = self.table.box_score[at]
        areas[asked] = np.prod(self.table.scale_wh[at] * UNIT_PX, axis=1)
        return CocoResults(image_ids, poses.keypoints, scores, areas, self.truth.category.id)

    def score(self, found: CocoFound, *, resamples: int = 0, seed: int = 0) -> Scores | None:
        """AP and AR; None where nobody is annotated, as in the image lists of test sets."""
        if not self.truth.has_people:
            return None
        values, intervals = score_with_intervals(
            found.results, self.truth, image_ids=found.image_ids, resamples=resamples, seed=seed
        )
        draws = {"resamples": resamples, "level": 0.95, "seed": seed, "over": "images"}
        metric = "COCO keypoints, fractions, 20 poses an image"
        return Scores(
            values,
            intervals,
            protocol={"metric": metric, "bootstrap": draws},
            counts={"poses": len(found.results)},
        )

    def report(self, scores: Scores, found: CocoFound) -> str:
        """What a person reads: the table and the [EVAL] line."""
        whole = found.image_ids is None and self.split == "val2017"
        whole = whole and self.truth.image_count == COCO_VAL_IMAGES
        comparable = whole and found.recipe == self.recipe.name
        published = self.benchmark.published if comparable else None
        table = format_table(scores.values, published, scores.intervals)
        return f"{table}\n{eval_line(scores.values)}"

    def write_files(self, folder: Path, found: CocoFound) -> str:
        """Results for COCO's server; returns their path and count for a message."""
        file = folder / results_name(self.split)
        write_results(found.results, file)
        print(f"=> {file}: {len(found.results)} poses")
        return str(file)

    def facts(self, found: CocoFound, file: Path) -> dict[str, Any]:
        """What ``scores.json`` says besides the scores."""
        understood = (self.understood + found.understood).plain()
        return super().facts(found, file) | {"split": self.split, "understood": understood}

    def sources(self, found: CocoFound) -> tuple[Path, ...]:
        """The annotation files; of results of others the truth alone, as no people are read."""
        return (self.truth.file,) if found.weights_sha256 is None else self.files
