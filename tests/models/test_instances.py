"""Two people of a box: whom a network is asked for, what is computed once, what is refused."""

from __future__ import annotations

import numpy as np
import paddle
import pytest
from seeded_networks import seeded

from paddle_pose import configs
from paddle_pose.errors import UserError
from paddle_pose.models import hrnet
from paddle_pose.models.architectures import MIPNet, MIPPoseResNet
from paddle_pose.models.build import build
from paddle_pose.models.counting import count_parameters
from paddle_pose.models.instances import BothInstances, TwoPersonNetwork
from paddle_pose.settings import INSTANCES
from reproduce.aligning import gates, two_people

T, F = True, False
NETWORKS = [
    MIPNet(joints=5, width=8),
    MIPNet(joints=5, width=8, modulated=(T, F, F, F)),
    MIPNet(joints=5, width=8, modulated=(F, T, F, T)),
    MIPNet(joints=5, width=8, modulated=(F, F, F, T)),
    MIPPoseResNet(joints=5, layers=18),
    MIPPoseResNet(joints=5, layers=18, modulated=(T, F, T, F)),
]
FLOAT32 = 5e-6
"""Of the largest value: three times what float32 networks of this depth are off (test_models)."""


@pytest.fixture(autouse=True)
def narrow(monkeypatch):
    monkeypatch.setattr(hrnet, "BLOCKS_PER_BRANCH", 1)
    monkeypatch.setattr(hrnet, "MODULES_PER_STAGE", {2: 1, 3: 1, 4: 2})


def maps(network: TwoPersonNetwork, images: paddle.Tensor, instance: str) -> list[np.ndarray]:
    with paddle.no_grad():
        found = network(images, instance=instance)
    stages = found if instance == "both" else [found]
    return [of_one[-1].heatmaps_BJHW.numpy() for of_one in stages]


@pytest.mark.parametrize("architecture", NETWORKS, ids=str)
def test_both_are_either(architecture):
    """Shared or not, the answers are those to two questions; and each depends on the instance."""
    network, images = seeded(architecture), paddle.rand([2, 3, 64, 96])
    both = maps(network, images, "both")
    for one, together in zip(INSTANCES, both, strict=True):
        (alone,) = maps(network, images, one)
        assert together.shape == (2, 5, 16, 24)
        assert np.abs(alone - together).max() <= FLOAT32 * np.abs(alone).max()
    assert np.abs(both[0] - both[1]).max() > 100 * FLOAT32 * np.abs(both[0]).max()
    assert np.array_equal(maps(network, images, "primary")[0], network(images)[-1][0].numpy())


def test_what_does_not_depend_on_the_instance_is_computed_once():
    network, seen = build(MIPNet(joints=5, width=8)), {}
    for name in ("layer1", "stage2", "stage3", "stage4"):

        def note(layer, given, name=name):
            first = given[0][0] if isinstance(given[0], list) else given[0]
            seen.setdefault(name, []).append(int(first.shape[0]))

        getattr(network, name).register_forward_pre_hook(note)
    network(paddle.rand([3, 3, 64, 64]), instance="both")
    assert seen == {"layer1": [3], "stage2": [3], "stage3": [3], "stage4": [6]}


def test_published_parameters():
    with paddle.LazyGuard():
        hrnet.BLOCKS_PER_BRANCH, hrnet.MODULES_PER_STAGE = 4, {2: 1, 3: 4, 4: 3}
        assert count_parameters(build(MIPNet(joints=17, width=48))) == 63_746_081


@pytest.mark.parametrize(
    ("architecture", "line"),
    [
        (MIPNet(modulated=(F, F, F, F)), "with no gate both people are one"),
        (MIPNet(width=2), "model.width=2: a gate needs at least 4 channels"),
    ],
)
def test_networks_without_gates_are_refused(architecture, line):
    with pytest.raises(UserError, match=line):
        build(architecture)


def test_an_unknown_instance_is_named():
    with pytest.raises(UserError, match="unknown 'secondry'; did you mean 'secondary'"):
        build(NETWORKS[0])(paddle.zeros([1, 3, 64, 64]), instance="secondry")


@pytest.mark.parametrize(
    ("config", "assignment", "line"),
    [
        ("mipnet:w32_coco_256x192", "train.loss=joints_mse", "needs train.loss=two_people_mse"),
        ("mipnet:w32_coco_256x192", "codec={kind: HeatmapCodec}", "needs codec.kind=PairCodec"),
        ("mipnet:w32_coco_256x192", "model.modulated=[true]", "model.modulated: expected 4 values"),
        ("hrnet:w32_coco_256x192", "train.loss=two_people_mse", "needs train.loss=joints_mse"),
        ("hrnet:w32_coco_256x192", "codec={kind: PairCodec}", "needs codec.kind=HeatmapCodec"),
    ],
)
def test_model_codec_and_loss_are_for_as_many(config, assignment, line):
    with pytest.raises(UserError, match=line):
        configs.chosen(config, assignments=[assignment])


@pytest.mark.parametrize("architecture", NETWORKS[::4], ids=str)
def test_static_graph_of_both_equals_eager(architecture, tmp_path):
    """A saved network whose batch is left open, as an export makes it."""
    both = BothInstances(seeded(architecture))
    both.eval()
    spec = paddle.static.InputSpec([None, 3, 64, 96], "float32", "images")
    paddle.jit.save(both, str(tmp_path / "model"), input_spec=[spec])
    images = paddle.rand([3, 3, 64, 96])
    found = paddle.jit.load(str(tmp_path / "model"))(images)
    with paddle.no_grad():
        expected = both(images)[-1]
    for one, other in zip(found, expected, strict=True):
        one, other = one.numpy(), other.numpy()
        assert np.abs(one - other).max() <= FLOAT32 * np.abs(other).max()


def test_gates_equal_the_reference(reference_data):
    """With the tolerances of reproduce.align."""
    rows = gates.rows(reference_data)
    assert {row.step for row in rows} == {"forward", "backward", "batch norm"}
    assert all(row.ok for row in rows), rows


@pytest.mark.parametrize("model", two_people.VARIANTS)
def test_other_networks_of_the_family_equal_the_reference(model, monkeypatch):
    monkeypatch.undo()
    rows = two_people.variant_rows(model, "float64")
    assert len(rows) == (1 if "w48" in model else 2)
    assert all(row.ok for row in rows), rows
