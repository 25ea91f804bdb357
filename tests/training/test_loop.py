"""Options of a step: moving average, mixed precision, scaled rate; and their resumption."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import paddle
import pytest

from paddle_pose import configs
from paddle_pose.data.loader import Batch
from paddle_pose.errors import UserError
from paddle_pose.models import blocks
from paddle_pose.models.architectures import NewellHourglass
from paddle_pose.models.blocks import PoseNetwork
from paddle_pose.models.build import build
from paddle_pose.models.inputs import ImageNormalizer
from paddle_pose.recipes import recipe as recipes
from paddle_pose.settings import DataSettings, TrainSettings
from paddle_pose.system import launching
from paddle_pose.training import loop as training
from paddle_pose.training import losses, precision
from paddle_pose.training.ema import decay_at
from paddle_pose.training.schedules import learning_rate
from paddle_pose.weights import checkpoint

NETWORK = NewellHourglass(joints=16, stacks=1, features=16, stem=8, depth=2, conv_bias=False)
AVERAGED = TrainSettings(batch_size=2, ema_decay=0.75)


def batch(step: int) -> Batch:
    rng = np.random.default_rng(step)
    images = rng.integers(0, 256, (2, 64, 64, 3), np.uint8)
    targets, weights = rng.random((2, 16, 16, 16), np.float32), np.ones((2, 16), np.float32)
    tensors = [paddle.to_tensor(array) for array in (images, targets, weights)]
    return Batch(0, step, tensors[0], {"heatmaps": tensors[1], "weights": tensors[2]}, None)


def make_trainer(settings: TrainSettings) -> training.Trainer:
    paddle.seed(1)
    return training.Trainer(build(NETWORK), settings, DataSettings())


def run(trainer: training.Trainer, steps: range) -> None:
    for step in steps:
        trainer.step(batch(step), 1e-3)
        trainer.follow(step)


def state(network: paddle.nn.Layer) -> dict[str, np.ndarray]:
    return {name: value.numpy() for name, value in network.state_dict().items()}


def test_decay_rises_to_what_was_asked():
    assert [decay_at(step, 0.5) for step in (0, 8, 1000)] == [0.1, 0.5, 0.5]


def test_average_is_the_sum_by_hand():
    trainer = make_trainer(AVERAGED)
    expected = {name: array.astype(np.float64) for name, array in state(trainer.network).items()}
    for step in range(3):
        run(trainer, range(step, step + 1))
        decay = decay_at(step, 0.75)
        for name, array in state(trainer.network).items():
            expected[name] = decay * expected[name] + (1 - decay) * array
    assert trainer.evaluated() is trainer.averaged is not trainer.network
    for name, array in state(trainer.averaged).items():
        # Three steps of two float32 roundings (6e-8 relative) of values up to expected + change.
        scale = np.abs(expected[name]).max()
        np.testing.assert_allclose(array, expected[name], rtol=0, atol=4e-7 * max(scale, 1))
    name = "pre.0.conv.weight"
    assert np.abs(state(trainer.averaged)[name] - state(trainer.network)[name]).max() > 1e-4


def test_without_the_option_nothing_is_averaged():
    trainer = make_trainer(replace(AVERAGED, ema_decay=0.0))
    assert trainer.averaged is None
    assert trainer.evaluated() is trainer.network


def test_state_with_average_resumes_to_the_bit(tmp_path):
    whole = make_trainer(AVERAGED)
    run(whole, range(2))
    file = tmp_path / "checkpoint.safetensors"
    checkpoint.save_state(file, whole.network, whole.optimizer, {"step": 2}, whole.averaged)
    run(whole, range(2, 4))

    other = make_trainer(AVERAGED)
    run(other, range(5, 6))  # what is in it must not matter
    position = checkpoint.load_state(file, other.network, other.optimizer, other.averaged)
    run(other, range(position["step"], 4))
    for one, two in ((whole.network, other.network), (whole.averaged, other.averaged)):
        for name, array in state(one).items():
            np.testing.assert_array_equal(state(two)[name], array, err_msg=name)


class HalfOptimizer:
    """What Paddle's optimiser is to checkpoint.py under O2: float32 copies of half weights."""

    def __init__(self, copies: dict[str, paddle.Tensor]) -> None:
        self.copies = copies

    def state_dict(self) -> dict:
        return {"master_weights": self.copies}

    def set_state_dict(self, state: dict) -> None:
        self.copies = state["master_weights"]


def test_half_weights_are_kept_by_their_exact_copies(tmp_path):
    def made() -> paddle.nn.Layer:
        return paddle.nn.Conv2D(3, 4, 3).to(dtype="bfloat16")

    first, second, file = made(), made(), tmp_path / "checkpoint.safetensors"
    exact = {p.name: paddle.rand(p.shape) for p in first.parameters()}
    checkpoint.save_state(file, first, HalfOptimizer(exact), {})
    loaded = HalfOptimizer({})
    checkpoint.load_state(file, second, loaded)
    for one, two in zip(first.parameters(), second.parameters(), strict=True):
        np.testing.assert_array_equal(loaded.copies[two.name].numpy(), exact[one.name].numpy())
        assert two.dtype == paddle.bfloat16
        rounded = exact[one.name].astype("bfloat16").astype("float32").numpy()
        np.testing.assert_array_equal(two.astype("float32").numpy(), rounded)


def test_mixed_precision_is_refused_where_paddle_ignores_it():
    with pytest.raises(UserError, match=r"train\.amp=O1: Paddle .* mixed precision on GPUs"):
        precision.require_device(TrainSettings(amp="O1"), "cpu")
    precision.require_device(TrainSettings(amp="O1"), "gpu:0")
    precision.require_device(TrainSettings(), "cpu")


@pytest.mark.filterwarnings("ignore:.*makes no effect")
def test_path_of_mixed_precision_is_whole():
    """On a CPU Paddle ignores it, so the steps must be those of float32."""
    plain = make_trainer(TrainSettings(batch_size=2))
    mixed = make_trainer(TrainSettings(batch_size=2, amp="O2", amp_dtype="bfloat16"))
    run(plain, range(2))
    run(mixed, range(2))
    for name, array in state(plain.network).items():
        np.testing.assert_array_equal(state(mixed.network)[name], array)
        np.testing.assert_array_equal(state(mixed.evaluated())[name], array)
    mixed.precision.set_state(mixed.precision.state())


class Fields(NamedTuple):
    """The outputs of some other network."""

    pafs_BLHW: paddle.Tensor
    offsets_BJ: paddle.Tensor
    unused_B: None = None


class Other(PoseNetwork):
    """Two kinds of outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = paddle.nn.Linear(3, 5)

    def forward(self, images_BCHW):
        made = self.layer(images_BCHW.mean([2, 3]))
        return [Fields(made[:, :3, None, None], made[:, 3:])]


def other_loss(outputs, targets):
    """Two parts, by names of their own."""
    (output,) = outputs
    return {
        "pafs": (output.pafs_BLHW - targets["pafs"]).square().mean(),
        "offsets": 0.1 * (output.offsets_BJ - targets["offsets"]).abs().mean(),
    }


@pytest.mark.parametrize("passes", [1, 2])
def test_another_way_of_estimating_trains_by_its_own_names(passes, monkeypatch):
    """Targets, outputs and parts of the loss have any names; the parts stand in the log line."""
    monkeypatch.setitem(losses.LOSSES, "other", other_loss)
    settings = TrainSettings(
        batch_size=2, loss="other", accumulate_steps=passes, epochs=1, log_every=2
    )
    trainer = make_other(settings)
    targets = {"pafs": paddle.ones([2, 3, 1, 1]), "offsets": paddle.zeros([2, 2])}
    seen, logs, firsts = [], [], []
    expected = other_loss(
        trainer.network(ImageNormalizer(DataSettings())(batch(0).images)), targets
    )
    training.fit(
        trainer,
        (replace(batch(step), targets=targets) for step in range(2)),
        people=4,
        steps_per_epoch=2,
        hooks=training.Hooks(
            first_step=firsts.append,
            log=logs.append,
            train_score=lambda _, outputs: seen.append(outputs) or (1, 4),
        ),
    )
    assert len(firsts) == 1
    assert firsts[0] > 0
    (log,), (outputs,) = logs, seen
    assert {name: array.shape for name, array in outputs.items()} == {
        "pafs": (2, 3, 1, 1),
        "offsets": (2, 2),
    }
    assert list(log.losses) == ["pafs", "offsets"]
    assert log.loss == log.losses["pafs"] + log.losses["offsets"]
    first, _ = make_other(settings).step(replace(batch(0), targets=targets), 1e-3)
    for name, part in expected.items():  # the mean of two means: a few float32 roundings
        assert float(first[name]) == pytest.approx(float(part), rel=1e-6)
    pafs, offsets = (f"{name}: {value:.6f}" for name, value in log.losses.items())
    assert f"loss: {log.loss:.6f}, {pafs}, {offsets}, lr: 1.000e-03, " in log.line()
    assert log.line().endswith("train PCKh@0.5: 25.00")


def make_other(settings: TrainSettings) -> training.Trainer:
    paddle.seed(1)
    return training.Trainer(Other(), settings, DataSettings())


def test_a_part_that_is_not_finite_is_named(monkeypatch):
    monkeypatch.setitem(
        losses.LOSSES, "other", lambda o, t: {**other_loss(o, t), "bad": paddle.log(t["bad"])}
    )
    targets = {name: paddle.ones([]) for name in ("pafs", "offsets", "bad")}
    trainer = make_other(TrainSettings(batch_size=2, loss="other", epochs=1))
    targets["bad"] = paddle.zeros([])
    with pytest.raises(UserError, match=r"loss is -inf \(pafs .*, bad -inf\) at epoch 1, step 1"):
        training.fit(
            trainer,
            iter([replace(batch(0), targets=targets)]),
            people=2,
            steps_per_epoch=1,
            hooks=training.Hooks(),
        )


def test_rate_is_scaled_only_when_asked():
    settings = TrainSettings(learning_rate=1e-3, batch_size=64, base_batch_size=16)
    assert learning_rate(settings, 0, 10) == 1e-3
    linear = replace(settings, scale_learning_rate="linear")
    assert learning_rate(linear, 0, 10) == pytest.approx(4e-3, rel=1e-15)


def test_recipes_from_before_the_options_still_load(tmp_path):
    recipe = configs.load("hrnet:w32_mpii_256x256")
    values = recipes.to_dict(recipe)
    for name in ("scale_learning_rate", "base_batch_size", "accumulate_steps", "sync_batch_norm",
                 "ema_decay", "amp", "amp_dtype"):  # fmt: skip
        del values["train"][name]
    assert recipes.from_dict(values) == recipe


def words(**given: str | int) -> list[str]:
    usual = {"gpus": None, "master": None, "nnodes": None, "device": "auto"}
    return launching.launcher_words(**{**usual, **given})


def test_launcher_starts_one_process_per_gpu(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert words() == words(gpus="3") == []
    assert words(gpus="0,1,2,3")[:2] == ["--gpus", "0,1,2,3"]
    nodes = words(gpus="0,1", master="10.0.0.1:6170", nnodes=2)
    assert nodes[:6] == ["--master", "10.0.0.1:6170", "--nnodes", "2", "--gpus", "0,1"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6")
    assert words(gpus="0,1")[:2] == ["--gpus", "4,6"]


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"gpus": "0,x"}, "different GPU numbers"),
        ({"gpus": "1,1"}, "different GPU numbers"),
        ({"gpus": "0", "device": "cpu"}, "give one"),
        ({"nnodes": 2}, "go together"),
        ({"master": "h:1"}, "go together"),
        ({"nnodes": 0}, "at least 1"),
    ],
)
def test_launcher_options_that_do_not_go_together(given, line):
    with pytest.raises(UserError, match=line):
        words(**given)


HALF = TrainSettings(batch_size=2, amp="O1", amp_dtype="bfloat16", ema_decay=0.75)
needs_bfloat16 = pytest.mark.skipif(
    bool(blocks.bfloat16_fault()), reason=f"no bfloat16: {blocks.bfloat16_fault()}"
)


@needs_bfloat16
def test_equal_bits_again_and_resumed(tmp_path, capsys):
    first, again, other = (make_trainer(HALF) for _ in range(3))
    assert "=> feature maps and convolutions in bfloat16" in capsys.readouterr().out
    file = tmp_path / "checkpoint.safetensors"
    run(first, range(2))
    checkpoint.save_state(file, first.network, first.optimizer, {"step": 2}, first.averaged)
    run(first, range(2, 4))
    run(again, range(4))
    run(other, range(5, 6))  # what is in it must not matter
    position = checkpoint.load_state(file, other.network, other.optimizer, other.averaged)
    run(other, range(position["step"], 4))
    for one in (again, other):
        for name, array in state(first.network).items():
            assert array.dtype == np.float32
            np.testing.assert_array_equal(state(one.network)[name], array, err_msg=name)
            np.testing.assert_array_equal(
                state(one.averaged)[name], state(first.averaged)[name], err_msg=name
            )
    exact = make_trainer(TrainSettings(batch_size=2))
    run(exact, range(4))
    moved = [(state(exact.network)[k] != v).any() for k, v in state(first.network).items()]
    assert any(moved)


@pytest.mark.parametrize(("level", "dtype"), [("O1", "float16"), ("O2", "bfloat16")])
def test_others_are_refused_on_a_cpu(level, dtype):
    with pytest.raises(UserError, match=r"or train\.amp=O1 with train\.amp_dtype=bfloat16"):
        precision.require_device(TrainSettings(amp=level, amp_dtype=dtype), "cpu")


def test_a_cpu_without_it_refuses(monkeypatch):
    monkeypatch.setattr(blocks, "bfloat16_fault", lambda: "this CPU has neither")
    with pytest.raises(UserError, match=r"amp_dtype=bfloat16: this CPU has neither; take train"):
        precision.require_device(HALF, "cpu")
    precision.require_device(HALF, "gpu:0")
    monkeypatch.setattr(blocks, "bfloat16_fault", lambda: "")
    precision.require_device(HALF, "cpu")
