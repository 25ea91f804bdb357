"""Weights and states on disk: exact, refused when they do not fit, whole or not at all."""

from __future__ import annotations

import numpy as np
import paddle
import pytest
from safetensors.numpy import save_file

from paddle_pose.errors import UserError
from paddle_pose.models.architectures import NewellHourglass
from paddle_pose.models.build import build
from paddle_pose.porting.loading import load_weights
from paddle_pose.settings import TrainSettings
from paddle_pose.training.optimizers import make_optimizer
from paddle_pose.weights import checkpoint, tensors

SMALL = NewellHourglass(stacks=1, features=8, depth=1, stem=4)


def trained(seed: int, steps: int = 2):
    paddle.seed(seed)
    network = build(SMALL)
    optimizer = make_optimizer(network, TrainSettings())
    for step in range(steps):
        paddle.seed(100 + step)
        network(paddle.rand([2, 3, 32, 32]))[-1].heatmaps_BJHW.mean().backward()
        optimizer.step()
        optimizer.clear_grad()
    return network, optimizer


def arrays(network) -> dict[str, np.ndarray]:
    return {name: value.numpy() for name, value in network.state_dict().items()}


def test_weights_come_back_exactly_and_paddle_reads_them(tmp_path):
    network, _ = trained(0)
    file = tmp_path / "model.pdparams"
    checkpoint.save_weights(network, file)
    other, _ = trained(1, steps=0)
    found = load_weights(other, file)
    assert (found.missing, found.unused) == ([], [])
    for name, value in paddle.load(str(file)).items():
        np.testing.assert_array_equal(np.asarray(value), other.state_dict()[name].numpy())
        np.testing.assert_array_equal(np.asarray(value), network.state_dict()[name].numpy())


def test_weights_of_another_network_are_refused_on_both_sides(tmp_path):
    network, _ = trained(0, steps=0)
    values = arrays(network)
    first = next(iter(values))
    values["extra"] = values.pop(first)
    save_file(values, str(tmp_path / "x.safetensors"))
    with pytest.raises(UserError) as error:
        load_weights(network, tmp_path / "x.safetensors")
    assert first in str(error.value)
    assert "extra" in str(error.value)


def test_partial_loading_lists_what_was_not_loaded(tmp_path):
    network, _ = trained(0, steps=0)
    values = arrays(network)
    first = next(iter(values))
    values["head.weight"] = values.pop(first)
    save_file(values, str(tmp_path / "x.safetensors"))
    left = load_weights(network, tmp_path / "x.safetensors", partial=True)
    assert (left.missing, left.unused) == ([first], ["head.weight"])


@pytest.mark.parametrize("name", ["x.pth", "x.safetensors", "x.pdparams"])
def test_garbage_is_one_line(tmp_path, name):
    file = tmp_path / name
    file.write_bytes(b"garbage" * 9)
    with pytest.raises(UserError, match=name):
        load_weights(trained(0, steps=0)[0], file)


def test_state_goes_on_as_if_nothing_happened(tmp_path):
    """Two more steps after a round trip equal two more steps without one, bit by bit."""
    network, optimizer = trained(0)
    checkpoint.save_state(tmp_path / "s.safetensors", network, optimizer, {"epoch": 3})
    other, other_optimizer = trained(1, steps=0)
    position = checkpoint.load_state(tmp_path / "s.safetensors", other, other_optimizer)
    assert position == {"epoch": 3}
    for one, its_optimizer in ((network, optimizer), (other, other_optimizer)):
        for step in range(2):
            paddle.seed(step)
            one.train()
            one(paddle.rand([2, 3, 32, 32]))[-1].heatmaps_BJHW.mean().backward()
            its_optimizer.step()
            its_optimizer.clear_grad()
    for name, value in arrays(network).items():
        np.testing.assert_array_equal(value, arrays(other)[name], err_msg=name)


def test_failed_write_keeps_the_old_state(tmp_path, monkeypatch):
    network, optimizer = trained(0)
    file = tmp_path / "s.safetensors"
    checkpoint.save_state(file, network, optimizer, {"epoch": 1})
    before = file.read_bytes()

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tensors, "save_file", full)
    with pytest.raises(UserError, match="No space left"):
        checkpoint.save_state(file, network, optimizer, {"epoch": 2})
    assert file.read_bytes() == before
    assert list(tmp_path.iterdir()) == [file]


def test_state_of_another_network_is_refused(tmp_path):
    network, optimizer = trained(0)
    checkpoint.save_state(tmp_path / "s.safetensors", network, optimizer, {})
    other = build(NewellHourglass(stacks=1, features=16, depth=1, stem=4))
    with pytest.raises(UserError, match="another network"):
        checkpoint.load_state(
            tmp_path / "s.safetensors", other, make_optimizer(other, TrainSettings())
        )
