"""What one data set's evaluation is: the same path for val.py, the library and training.

Predict → file → read → score. A data set of its own subclasses Evaluator.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from paddle_pose.data.records import PersonTable
from paddle_pose.data.samples import Samples
from paddle_pose.errors import UserError, nearest
from paddle_pose.files import sha256
from paddle_pose.poses import predictions
from paddle_pose.poses.poses import Poses
from paddle_pose.poses.predictions import Predictions
from paddle_pose.recipes.recipe import Recipe
from paddle_pose.settings import Benchmark
from paddle_pose.skeletons import Skeleton
from paddle_pose.understood import Understood


@dataclass(frozen=True)
class DataFiles:
    """Where a data set lies.

    Attributes:
        root: folder with annotations and images, in the data set's own layout.
        annotations: COCO: file instead of the layout's.
        boxes: COCO: detector boxes instead of the layout's.
    """

    root: Path
    annotations: Path | None = None
    boxes: Path | None = None

    def require_there(self) -> None:
        """Raises UserError for a name of nothing; the folder may be one where a file is named."""
        if self.annotations is None and not self.root.is_dir():
            raise UserError(f"{self.root}: no such folder")
        for file in (self.annotations, self.boxes):
            if file is not None and not file.is_file():
                raise UserError(f"{file}: no such file")


@dataclass(frozen=True)
class Scores:
    """What one evaluation found.

    Attributes:
        values: score name → value: PCKh in per cent (``Mean`` is PCKh@0.5, ``Mean@0.1`` is 0.10),
            COCO AP and AR as fractions.
        intervals: score name → ends of the 95 % bootstrap interval; empty without resamples.
        per_joint: joint name → PCKh@0.5 in per cent, nan where it is never labelled.
        protocol: metric, thresholds and resampling, as plain data.
        counts: what was scored.
    """

    values: dict[str, float]
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)
    per_joint: dict[str, float] = field(default_factory=dict)
    protocol: dict[str, Any] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Asked:
    """What a prediction file must have been made with, and what is done to a foreign one.

    Attributes:
        recipe, benchmark: None asks for nothing.
        rescore: rescore and suppress results of others as the benchmark has it; else they are
            scored as they are.
    """

    recipe: str | None = None
    benchmark: dict[str, Any] | None = None
    rescore: bool = False


ANYTHING = Asked()


class Evaluator:
    """People or images to predict, their truth and their scores, under one benchmark.

    Attributes:
        benchmark: the protocol.
        skeleton: the joints.
        score_names: names of all scores, known before anything is predicted.
    """

    benchmark: Benchmark
    skeleton: Skeleton
    score_names: Sequence[str] = ()

    @property
    def digest(self) -> str:
        """Of the annotation file; empty where there is none."""
        return ""

    @property
    def understood(self) -> Understood:
        """What was understood of the data set, for the record; here nothing."""
        return Understood()

    def samples(self, scale: float) -> Samples:
        """What the network sees, crops ``scale`` times as large, without targets."""
        raise NotImplementedError

    def score(self, found: Any, *, resamples: int = 0, seed: int = 0) -> Scores | None:
        """Scores of what ``read`` gave; None where there is no truth."""
        raise NotImplementedError

    def report(self, scores: Scores, found: Any) -> str:
        """What a person reads; here the [EVAL] line alone."""
        return eval_line(scores.values)

    def write_files(self, folder: Path, found: Any) -> str:
        """Files for servers; returns their names for a message. Here there are none."""
        return ""

    def facts(self, found: Any, file: Path) -> dict[str, Any]:
        """What ``scores.json`` says besides the scores."""
        origin = ("recipe", "benchmark", "weights_sha256", "engine")
        facts = {name: getattr(found, name, None) for name in origin}
        read = (file, *self.sources(found))
        files = {path.name: sha256(path) for path in read}
        return facts | {"files": files, "understood": self.understood.plain()}

    def sources(self, found: Any) -> tuple[Path, ...]:
        """Files that the scores are from, besides the predictions."""
        return ()

    def finish(self, poses: Poses) -> Poses:
        """Poses as they go into the file; here as they were decoded."""
        return poses

    def names(self, poses: Poses) -> tuple[str, ...]:
        """Image names of poses; here their ids."""
        return tuple(str(number) for number in poses.image_ids.tolist())

    def write(self, poses: Poses, file: Path, **origin: Any) -> None:
        """``predictions.json``; ``origin``: recipe, benchmark, weights_sha256, engine."""
        made = Predictions(
            poses,
            skeleton=self.skeleton.name,
            images=self.names(poses),
            benchmark=self.benchmark.protocol(),
            annotation_sha256=self.digest,
            **origin,
        )
        predictions.write_json(made, file)

    def read(self, file: Path, *, asked: Asked = ANYTHING, pixel_origin: int | None = None) -> Any:
        """What ``write`` wrote, checked; Raises UserError for poses of something else."""
        found = predictions.read(
            file, pixel_origin, joints=len(self.skeleton), skeleton=self.skeleton.name
        )
        predictions.require_made_for(
            found,
            file,
            recipe=asked.recipe,
            benchmark=asked.benchmark,
            annotation_sha256=self.digest,
        )
        return found

    def has_truth(self) -> bool:
        """Whether there is anything to score against; Raises UserError for what cannot be."""
        return True

    def no_truth(self) -> str:
        """Why there is no score, where there is none."""
        return "no truth"

    def require_score(self, name: str) -> None:
        """Raises UserError, before any training, for a score that there will not be."""
        if not self.has_truth():
            raise UserError("data.val_split: it has no truth to validate on; name another split")
        if name not in self.score_names:
            raise UserError(
                f"train.select_metric: no score '{name}'{nearest(name, self.score_names)}"
            )


class TableEvaluator(Evaluator):
    """People of a table, each a crop of its own; poses know their rows.

    Attributes:
        recipe: says how a person becomes a crop.
    """

    recipe: Recipe

    @property
    def table(self) -> PersonTable:
        """The people to predict."""
        raise NotImplementedError

    @property
    def understood(self) -> Understood:
        """Of the people's files."""
        return self.table.understood

    @property
    def files(self) -> tuple[Path, ...]:
        """Annotation files of the people and of their truth."""
        return self.table.files

    def sources(self, found: Any) -> tuple[Path, ...]:
        """The annotation files."""
        return self.files

    def read(self, file: Path, *, asked: Asked = ANYTHING, pixel_origin: int | None = None) -> Any:
        """As Evaluator; Raises UserError too where a row's image is not the table's."""
        found = super().read(file, asked=asked, pixel_origin=pixel_origin)
        ours = np.flatnonzero(np.isin(found.poses.rows, self.table.rows))
        own = self.names(found.poses.select(ours))
        for place, name in zip(ours.tolist() if found.images else (), own, strict=False):
            if found.images[place] not in ("", name):
                raise UserError(
                    f"{file}: row {found.poses.rows[place]} is of image {found.images[place]}, "
                    f"but in the annotations it is on {name}"
                )
        return found

    def samples(self, scale: float) -> Samples:
        """Everybody's test crop."""
        from paddle_pose.data.top_down import PersonCrops  # OpenCV, which scoring does not need

        data, codec = self.recipe.data, self.recipe.codec
        return PersonCrops(self.table, data, codec, with_targets=False, view_scale=scale)

    def finish(self, poses: Poses) -> Poses:
        """Poses whose scores are multiplied by those of their boxes."""
        return replace(poses, scores=poses.scores * self.table.box_score[self.index_of(poses)])

    def names(self, poses: Poses) -> tuple[str, ...]:
        """The names of the images that the rows are on."""
        index = self.table.image_index[self.index_of(poses)]
        return tuple(self.table.image_names[i] for i in index)

    def index_of(self, poses: Poses) -> np.ndarray:
        """(P,) positions in the table of the people whose rows the poses have."""
        return self.table.index_of(poses.rows)


def eval_line(values: dict[str, float], *, without: Sequence[str] = ()) -> str:
    """``[EVAL] AP=… AP50=… …``: keys sorted, values in full."""
    return "[EVAL] " + " ".join(f"{k}={values[k]}" for k in sorted(values) if k not in without)
