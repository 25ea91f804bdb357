"""MIPNet learns as the official code; a run of so many steps; where a run starts from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import paddle
import pytest

from paddle_pose import configs
from paddle_pose.data.loader import Batch
from paddle_pose.errors import UserError
from paddle_pose.models.architectures import MIPNet, NewellHourglass
from paddle_pose.models.blocks import StageOutput
from paddle_pose.models.build import build
from paddle_pose.models.instances import TwoPeople
from paddle_pose.settings import DataSettings, TrainSettings
from paddle_pose.training import loop, precision, progress
from paddle_pose.training.losses import LOSSES
from paddle_pose.training.schedules import learning_rate
from reproduce.aligning import two_people


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_loss_equals_the_reference(dtype):
    rows = two_people.loss_rows(dtype)
    assert len(rows) == 13
    assert all(row.ok for row in rows), rows


def test_steps_follow_the_reference():
    rows = two_people.follow("float64", 2)
    assert {row.step for row in rows} == {"loss", "backward", "optimiser", "batch norm"}
    assert all(row.ok for row in rows), [row for row in rows if not row.ok]


def both(people: int, joints: int = 3) -> Batch:
    rng = np.random.default_rng(1)
    images = paddle.to_tensor(rng.integers(0, 256, (people, 64, 64, 3), np.uint8))
    targets = {}
    for one in ("primary", "secondary"):
        maps = rng.random((people, joints, 16, 16), np.float32)
        targets[f"target_{one}"] = paddle.to_tensor(maps)
        targets[f"weight_{one}"] = paddle.ones([people, joints])
    return Batch(0, 0, images, targets, None)


def test_a_step_gives_parts_and_outputs_of_both_by_name():
    settings = TrainSettings(batch_size=2, loss="two_people_mse")
    paddle.seed(0)  # of a gate's one hidden channel: it is alive
    trainer = loop.Trainer(build(MIPNet(joints=3, width=4)), settings, DataSettings())
    before = {n: v.numpy().copy() for n, v in trainer.network.state_dict().items()}
    parts, outputs = trainer.step(both(2), 1e-3)
    assert set(parts) == set(outputs) == {"primary", "secondary"}
    assert all(one.shape == [2, 3, 16, 16] for one in outputs.values())
    after = trainer.network.state_dict()
    still = {n for n in before if np.array_equal(before[n], after[n].numpy())}
    # A bias before a batch norm of two values, and a code's weight where its step is rounded away.
    assert all(".fc_lambda.0." in name for name in still)


def test_cross_entropy_of_two_people_is_half_of_each():
    rng = np.random.default_rng(2)
    maps = [paddle.to_tensor(rng.normal(size=(2, 3, 16, 16)).astype("float32")) for _ in range(2)]
    targets = both(2).targets
    parts = LOSSES["two_people_cross_entropy"]([TwoPeople(*maps)], targets)
    for name, one in zip(("primary", "secondary"), maps, strict=True):
        given = {"heatmaps": targets[f"target_{name}"], "weights": targets[f"weight_{name}"]}
        alone = LOSSES["cell_cross_entropy"]([StageOutput(one)], given)["heatmaps"]
        assert float(parts[name]) == pytest.approx(0.5 * float(alone), rel=1e-6)


def test_mixed_precision_of_it_is_refused_on_a_cpu():
    recipe = configs.chosen("mipnet:w32_coco_256x192", assignments=["train.amp=O1"])
    with pytest.raises(UserError, match=r"train\.amp=O1: .* take train\.amp=none on a CPU"):
        precision.require_device(recipe.train, "cpu")


@pytest.mark.parametrize(
    ("config", "epochs"),
    [
        ("mipnet:w48_coco_384x288", (70, 100, 110)),
        ("mipnet:w48_crowdpose_384x288", (170, 200, 210)),
    ],
)
def test_rate_of_the_recipes(config, epochs):
    settings = configs.load(config).train
    first, second, end = epochs
    rates = [learning_rate(settings, epoch, 1) for epoch in (0, first - 1, first, second, end - 1)]
    np.testing.assert_allclose(rates, [1e-3, 1e-3, 1e-4, 1e-5, 1e-5], rtol=1e-12)


NETWORK = NewellHourglass(joints=3, stacks=1, features=8, stem=8, depth=1, conv_bias=False)


def steps_of(count: int, settings: TrainSettings) -> tuple[list, list, progress.Lap | None]:
    """Places saved, lines logged, and the speed of a run over batches of two."""
    saved, logged = [], []

    def batches():
        for number in range(99):
            one = both(2)
            named = {"heatmaps": one.targets["target_primary"], "weights": paddle.ones([2, 3])}
            yield Batch(*divmod(number, count), one.images, named, None)

    trainer = loop.Trainer(build(NETWORK), settings, DataSettings(image_size_wh=(64, 64)))
    hooks = loop.Hooks(log=logged.append, save=lambda *place: saved.append(place))
    speed = loop.fit(trainer, batches(), people=2 * count, steps_per_epoch=count, hooks=hooks)
    return saved, logged, speed


def test_max_steps_end_a_run_and_time_it(monkeypatch):
    monkeypatch.setattr(loop, "WARM_STEPS", 3)
    settings = TrainSettings(epochs=4, batch_size=2, log_every=50, save_every=0, max_steps=7)
    saved, logged, speed = steps_of(5, settings)
    assert saved == [(1, 0), (1, 2)]
    assert [(line.epoch, line.step) for line in logged] == [(0, 4), (1, 1)]
    assert logged[-1].eta_seconds == 0
    assert speed.steps == 4
    assert speed.ips == pytest.approx(2 / speed.batch_cost)
    assert 0 <= speed.reader_cost < speed.batch_cost
    alone = 2 / (speed.batch_cost - speed.reader_cost)
    assert f"{speed.ips:.4f} images/sec over 4 steps after the first 50" in speed.line()
    assert f"{alone:.4f} images/sec without the wait for the loader" in speed.line()


def test_a_run_too_short_has_no_speed():
    settings = TrainSettings(epochs=1, batch_size=2, max_steps=2)
    assert steps_of(3, settings)[2] is None
    assert steps_of(3, replace(settings, max_steps=0))[0] == [(1, 0)]
