"""A network's poses of everybody whom an evaluator asks for, by all processes together."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from paddle_pose.evaluation.evaluator import Evaluator
from paddle_pose.inference import bottom_up
from paddle_pose.inference.exported import Exported
from paddle_pose.inference.predict import Part, predict, require_scales
from paddle_pose.models.blocks import PoseNetwork
from paddle_pose.poses.poses import Poses
from paddle_pose.recipes.recipe import Recipe
from paddle_pose.system import parallel


@dataclass(frozen=True)
class Computing:
    """How a network is run.

    Attributes:
        batch_size: samples at a time.
        num_workers: processes that read photos; 0 for none.
        engine: ``eager``, ``onednn`` or ``openvino``, as ``engine.choose`` gave it.
        precision: ``float32`` or ``bfloat16``.
    """

    batch_size: int
    num_workers: int
    engine: str = "eager"
    precision: str = "float32"

    def __str__(self) -> str:
        return f"{self.engine} {self.precision}"

    def of(self, network: PoseNetwork | Exported | None, evaluator: Evaluator) -> Computing:
        """The same, and for an exported network what that is run by; Raises UserError."""
        if not isinstance(network, Exported):
            return self
        network.require_joints(evaluator.skeleton)
        return replace(self, engine="exported", precision=network.card.format)


def choose(engine: str, precision: str, evaluator: Evaluator) -> str:
    """The engine for the samples of an evaluation; Raises UserError."""
    scales = evaluator.benchmark.test_scales
    people = len(evaluator.samples(1.0)) * len(scales)
    return bottom_up.choose(engine, precision, evaluator.benchmark, people=people)


def poses_of(
    network: PoseNetwork | Exported, recipe: Recipe, evaluator: Evaluator, how: Computing
) -> Poses:
    """Poses of all samples, in their order, on every rank; each rank computes whole batches.

    So each forward pass sees the samples that it would see in one process, and gives the same bits
    (with as many threads: the math library's sums depend on them).

    Raises:
        UserError: a photo that cannot be read; no or impossible ``test_scales``; Paddle cannot
            compile the network.
    """
    benchmark, joints = evaluator.benchmark, len(evaluator.skeleton)
    require_scales(benchmark)
    views = [evaluator.samples(scale) for scale in benchmark.test_scales]
    people = len(views[0])
    if not bottom_up.one_size(benchmark):
        how = replace(how, batch_size=1)
    own = parallel.rows(people, how.batch_size)
    batches: list[Poses] = []
    if len(own):  # a rank of more than there are batches has nothing to do
        forward = bottom_up.forward_of(
            network,
            recipe.data,
            benchmark,
            engine=how.engine,
            precision=how.precision,
            batch_size=min(how.batch_size, len(own)),
        )
        batches = predict(
            forward,
            [Part(view, own) for view in views] if parallel.ranks() > 1 else views,
            recipe.codec,
            benchmark,
            evaluator.skeleton.flip_order,
            batch_size=how.batch_size,
            num_workers=how.num_workers,
        )
    return evaluator.finish(_gathered(batches, joints))


def computed(
    network: PoseNetwork | Exported, recipe: Recipe, evaluator: Evaluator, how: Computing, by: str
) -> tuple[Poses, Computing]:
    """Poses by another engine, and how that was; Raises UserError."""
    how = replace(how, engine=by)
    return poses_of(network, recipe, evaluator, how), how


def _gathered(own: list[Poses], joints: int) -> Poses:
    """The batches of all ranks, which took turns, in order."""
    counts = [np.array([len(batch) for batch in own], np.int64)]
    tables = [_as_numbers(Poses.joined([Poses.none(joints), *own]))]
    if parallel.ranks() > 1:
        counts = [
            part.astype(np.int64) for part in parallel.gather(counts[0][:, None].astype(float))
        ]
        counts = [part[:, 0] for part in counts]
        tables = parallel.gather(tables[0])
    streams = [
        iter(np.split(table, np.cumsum(count)[:-1]) if len(count) else [])
        for table, count in zip(tables, counts, strict=True)
    ]
    number = sum(len(count) for count in counts)
    ordered = [next(streams[batch % len(streams)]) for batch in range(number)]
    return _as_poses(np.concatenate(ordered) if ordered else tables[0], joints)


def _as_numbers(poses: Poses) -> np.ndarray:
    """(P, 8 + 3J) float64; whole numbers keep their bits."""
    whole = [poses.image_ids, poses.rows, poses.instances]
    flat = poses.keypoints.reshape(len(poses), 3 * poses.keypoints.shape[1])
    return np.column_stack(
        [
            *(w.astype(np.int64).view(np.float64) for w in whole),
            poses.scores,
            poses.boxes_xywh,
            flat,
        ]
    )


def _as_poses(numbers: np.ndarray, joints: int) -> Poses:
    ids, rows, instances = (np.ascontiguousarray(numbers[:, i]).view(np.int64) for i in range(3))
    return Poses(
        image_ids=ids,
        keypoints=numbers[:, 8:].reshape(len(numbers), joints, 3),
        scores=numbers[:, 3],
        boxes_xywh=numbers[:, 4:8],
        rows=rows,
        instances=instances,
    )
