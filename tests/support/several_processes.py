"""What one process or several of ``paddle.distributed.launch`` compute: run by test_parallel.py.

``python several_processes.py RESULT.npz`` writes, from rank 0, weights after a few steps in float64
and predictions of a sharded evaluation.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from paddle_pose.system import runtime

runtime.configure(quiet=True)
runtime.import_paddle()

import paddle  # noqa: E402

from paddle_pose.codecs.heatmap import HeatmapCodec  # noqa: E402
from paddle_pose.commands import predicting  # noqa: E402
from paddle_pose.data.loader import Batch  # noqa: E402
from paddle_pose.evaluation import evaluator_for  # noqa: E402
from paddle_pose.evaluation.evaluator import DataFiles  # noqa: E402
from paddle_pose.models.architectures import NewellHourglass  # noqa: E402
from paddle_pose.models.build import build  # noqa: E402
from paddle_pose.poses.poses import Place  # noqa: E402
from paddle_pose.recipes.recipe import Recipe  # noqa: E402
from paddle_pose.settings import (  # noqa: E402
    Benchmark,
    DataSettings,
    TrainSettings,
)
from paddle_pose.system import parallel  # noqa: E402
from paddle_pose.training import loop as training  # noqa: E402

BATCH, PEOPLE, ONE_LEFT = 8, 37, 33
"""Five steps, the last with 5 people, so that two ranks have 3 and 2 of them, or with one person,
so that the second rank has somebody who keeps step and does not count."""
STEPS = 5
NETWORK = NewellHourglass(joints=16, stacks=1, features=16, stem=8, depth=2, conv_bias=False)
ONE_EPOCH = TrainSettings(epochs=1, batch_size=BATCH, log_every=2, save_every=0)
CASES = {
    "synchronised": replace(ONE_EPOCH, sync_batch_norm=True, ema_decay=0.9),
    "one_left": replace(ONE_EPOCH, sync_batch_norm=True),
    "frozen": ONE_EPOCH,
    "accumulated": replace(ONE_EPOCH, accumulate_steps=2),
}
"""``frozen`` and ``accumulated`` normalise by the running statistics."""
SEED = 3


def batch(step: int, of_all: int) -> Batch:
    """This rank's part of a drawn batch of 64×64 images, of an epoch of so many."""
    rng, people = np.random.default_rng([SEED, step]), min(BATCH, of_all - step * BATCH)
    columns = (
        rng.integers(0, 256, (people, 64, 64, 3), np.uint8),
        rng.random((people, 16, 16, 16)),
        rng.integers(0, 2, (people, 16)).astype(np.float64),
    )
    mine = parallel.part(list(range(people)))
    images, targets, weights = (paddle.to_tensor(column[mine]) for column in columns)
    unused = np.zeros((len(mine), 2))
    rows = np.array(mine)
    place = Place(unused, unused, rows, rows, unused[:, None], unused)
    return Batch(0, step, images, {"heatmaps": targets, "weights": weights}, place)


def trained(settings: TrainSettings, *, people: int, frozen: bool) -> dict[str, np.ndarray]:
    """Weights, statistics, moving average and log lines of STEPS steps."""
    paddle.seed(SEED)
    network = build(NETWORK)
    for layer in network.sublayers():
        if isinstance(layer, paddle.nn.BatchNorm2D):
            layer._use_global_stats = True if frozen else None
    trainer = training.Trainer(network, settings, DataSettings())
    lines: list[tuple[float, ...]] = []
    training.fit(
        trainer,
        (batch(step, people) for step in range(STEPS)),
        people=people,
        steps_per_epoch=STEPS,
        hooks=training.Hooks(
            log=lambda log: lines.append((log.loss, *log.scores.values())),
            train_score=lambda batch, outputs: (
                int((batch.place.row % 3 == 0).sum()),
                len(batch.place.row),
            ),
        ),
    )
    arrays = {name: value.numpy() for name, value in network.state_dict().items()}
    if trainer.averaged is not None:
        averaged = trainer.averaged.state_dict()
        arrays |= {f"average/{name}": value.numpy() for name, value in averaged.items()}
    return {**arrays, "lines": np.array(lines)}


def predicted(root: Path) -> np.ndarray:
    """(8, 16, 3) key points of a drawn network; batches of 3, so ranks have 5 and 3 people."""
    paddle.seed(SEED)
    recipe = Recipe(
        "x", model=NETWORK, data=DataSettings(image_size_wh=(64, 64)), codec=HeatmapCodec()
    )
    evaluator = evaluator_for(recipe, Benchmark("mpii"), DataFiles(root))
    how = predicting.Computing(batch_size=3, num_workers=0)
    return predicting.poses_of(build(NETWORK), recipe, evaluator, how).keypoints


def main() -> None:
    """Every case, and the evaluation, into one file."""
    parallel.start()
    found = {"keypoints": predicted(Path(sys.argv[2]))}
    paddle.set_default_dtype("float64")
    for case, settings in CASES.items():
        people = ONE_LEFT if case == "one_left" else PEOPLE
        arrays = trained(settings, people=people, frozen=case in ("frozen", "accumulated"))
        found |= {f"{case}/{name}": array for name, array in arrays.items()}
    if parallel.is_first():
        np.savez(sys.argv[1], **found, processes=os.environ.get("PADDLE_TRAINERS_NUM", "1"))


if __name__ == "__main__":
    main()
