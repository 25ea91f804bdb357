"""COCO: poses → rescored, without duplicates → results file, AP table, [EVAL] line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from paddle_pose.data import coco
from paddle_pose.data.coco_file import CocoFile
from paddle_pose.data.layouts import box_file, is_official
from paddle_pose.data.mpii import require_images
from paddle_pose.data.records import PersonTable
from paddle_pose.errors import UserError
from paddle_pose.evaluation.coco_table import eval_lines, format_table
from paddle_pose.evaluation.evaluator import (
    ANYTHING,
    Asked,
    DataFiles,
    Scores,
    TableEvaluator,
)
from paddle_pose.evaluation.oks_results import (
    each_alone,
    finished,
    oks_rules,
    oks_sigmas,
    second_factors,
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
from paddle_pose.poses.poses import NO_ROW, Poses
from paddle_pose.recipes.recipe import Recipe
from paddle_pose.settings import Benchmark, DataSettings
from paddle_pose.understood import Fact, Understood


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


def read_finished(
    file: Path, truth: CocoFile, benchmark: Benchmark | None, *, with_boxes: bool = False
) -> CocoResults:
    """A COCO results file: as it is, or (with a benchmark) rescored and without duplicates.

    Under a benchmark the file's ``score`` is taken as the box's score. ``with_boxes``: see
    ``read_results``.

    Raises:
        UserError: broken file, or another number of joints than the truth.
    """
    listed = [{"id": image_id, "file_name": image.name} for image_id, image in truth.images.items()]
    results = read_results(file, listed, truth.category.id, with_boxes=with_boxes)
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


@dataclass(frozen=True)
class CocoFound:
    """Results that are ready to be scored, and where they are from.

    Attributes:
        results: rescored and without duplicates, as the benchmark has it.
        image_ids: images to score on; None for all of the truth.
        alone: results of the boxes' owners and of the second people, each alone; none where no box
            has a second pose.
        recipe, benchmark, weights_sha256, engine: as in Predictions; None for a foreign file.
        understood: of a foreign file.
    """

    results: CocoResults
    image_ids: np.ndarray | None = None
    alone: Mapping[str, CocoResults] = field(default_factory=dict)
    recipe: str = ""
    benchmark: dict[str, Any] | None = None
    weights_sha256: str | None = None
    engine: str | None = None
    understood: Understood = field(default_factory=Understood)


class CocoEvaluator(TableEvaluator):
    """The people of a COCO split, by annotated or detected boxes, scored by AP over OKS.

    Attributes:
        title: of its table.
        metric: in words.
        with_boxes: whether the ``bbox`` of others' results is read.
    """

    with_boxes = False
    score_names: Sequence[str] = NAMES
    title = "COCO keypoints"
    metric = "COCO keypoints, fractions, 20 poses an image"

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
            stated=self.stated(recipe.data),
        )
        self.skeleton = self.truth.category.skeleton
        if self.truth.has_people:
            self.truth.require_somebody()

    def stated(self, data: DataSettings) -> DataSettings:
        """What is stated of the truth; here the recipe's."""
        return data

    @cached_property
    def _everyone(self) -> PersonTable:
        recipe, files = self.recipe, self._files
        boxes = files.boxes
        if boxes is None and self.benchmark.boxes == "detector":
            boxes = box_file(files.root, self.split, recipe.data.dataset)
        return coco.people(
            self.truth,
            files.root,
            self.split,
            image_size_wh=recipe.data.image_size_wh,
            boxes=self.benchmark.boxes,
            boxes_file=boxes,
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
            oks_sigmas(self.truth.category.skeleton)
        return self.truth.has_people

    def no_truth(self) -> str:
        """As ``Evaluator``."""
        return f"no truth: {self.truth.file} annotates no joint"

    def finish(self, poses: Poses) -> Poses:
        """As TableEvaluator; second people's poses score less."""
        poses = super().finish(poses)
        return replace(poses, scores=poses.scores * second_factors(poses.instances, self.benchmark))

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
        results, protocol = self._results(found.poses), (self.skeleton, self.benchmark)
        return CocoFound(
            finished(results, *protocol),
            image_ids=self._images() if self.recipe.data.limit is not None else None,
            alone=each_alone(results, found.poses.instances, *protocol),
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
        results = read_finished(file, self.truth, benchmark, with_boxes=self.with_boxes)
        under = "as it is"
        if benchmark is not None:
            under = f"under benchmark {benchmark.name}"
            if oks_rules(benchmark).score != "product":
                under += ", which takes 'score' for the box's and adds the joints' scores to it"
        text = f"{file}: {len(results)} poses, scored {under}{results.notes}"
        counts = {"poses": len(results), "notes": results.notes.removeprefix("; ")}
        understood = Understood((Fact("results", counts, text), *self.doubts(results)))
        understood.tell()
        protocol = benchmark.protocol() if benchmark else None
        return CocoFound(results, benchmark=protocol, understood=understood)

    def doubts(self, results: CocoResults) -> tuple[Fact, ...]:
        """What of others' results may be meant otherwise than it is read; here nothing more."""
        return ()

    def _images(self) -> np.ndarray:
        return np.unique(self.table.image_ids[self.table.image_index])

    def _results(self, poses: Poses) -> CocoResults:
        """Poses with the scores of their boxes, where a row asked for them, and areas."""
        scores, areas = poses.scores.copy(), np.prod(poses.boxes_xywh[:, 2:], axis=1)
        asked = np.flatnonzero(poses.rows != NO_ROW)
        at = self.index_of(poses.select(asked))
        image_ids = poses.image_ids.copy()
        image_ids[asked] = self.table.image_ids[self.table.image_index[at]]
        second = second_factors(poses.instances[asked], self.benchmark)
        scores[asked] = self.table.box_score[at] * second
        areas[asked] = np.prod(self.table.scale_wh[at] * UNIT_PX, axis=1)
        return CocoResults(image_ids, poses.keypoints, scores, areas, self.truth.category.id)

    def score(self, found: CocoFound, *, resamples: int = 0, seed: int = 0) -> Scores | None:
        """AP and AR; None where nobody is annotated, as in the image lists of test sets."""
        if not self.truth.has_people:
            return None
        draws = {"resamples": resamples, "level": 0.95, "seed": seed, "over": "images"}
        values, intervals = self.figures(found.results, found.image_ids, resamples, seed)
        for name, results in found.alone.items():
            more, ends = self.figures(results, found.image_ids, resamples, seed)
            values |= {f"{score}_{name}": value for score, value in more.items()}
            intervals |= {f"{score}_{name}": both for score, both in ends.items()}
        return Scores(
            values,
            intervals,
            protocol={"metric": self.metric, "bootstrap": draws},
            counts={"poses": len(found.results)},
        )

    def figures(
        self, results: CocoResults, image_ids: np.ndarray | None, resamples: int, seed: int
    ) -> tuple[dict[str, float], dict[str, tuple[float, float]]]:
        """Scores by name and their intervals."""
        return score_with_intervals(
            results, self.truth, image_ids=image_ids, resamples=resamples, seed=seed
        )

    def report(self, scores: Scores, found: CocoFound) -> str:
        """What a person reads: the table and the [EVAL] lines."""
        known = is_official(self.recipe.data.dataset, self.split, self.truth.image_count)
        whole = found.image_ids is None and known and self._is_published()
        comparable = whole and found.recipe == self.recipe.name
        published = self.benchmark.published if comparable else None
        table = format_table(
            scores.values,
            published,
            scores.intervals,
            names=self.score_names,
            title=self.title,
        )
        return f"{table}\n{eval_lines(scores.values)}"

    def _is_published(self) -> bool:
        """Whether published values are of this split, which the protocol's name has in it."""
        return self.split.removesuffix("2017") in self.benchmark.name.split("_")

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
