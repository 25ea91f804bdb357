"""Lightweight OpenPose: its size, stages, names of published files, and a static graph."""

from __future__ import annotations

import math

import numpy as np
import paddle
import pytest
from seeded_networks import seeded

from paddle_pose.errors import UserError
from paddle_pose.models.architectures import LightOpenPose, parameters_about
from paddle_pose.models.build import build
from paddle_pose.models.counting import count_parameters
from paddle_pose.porting import network_keys, to_official
from paddle_pose.porting.names import convert, table_of

SMALL = LightOpenPose(joints=3, limbs=2, refinements=2, features=8)


def test_parameters_are_those_of_the_paper_and_stages_are_left_out_of_tests():
    with paddle.LazyGuard():
        network = build(LightOpenPose(refinements=1))
    assert count_parameters(network) == 4_091_698  # "4.1 M": the paper's table 3
    for one in (LightOpenPose(refinements=1), LightOpenPose()):
        with paddle.LazyGuard():
            count = count_parameters(build(one))
        assert parameters_about(one) == pytest.approx(count, rel=0.01)
    small = build(SMALL)
    images = paddle.rand([2, 3, 33, 72])
    assert len(small(images)) == 3
    small.eval()
    for output in (outputs := small(images)):
        assert output.heatmaps_BJHW.shape == [2, 4, math.ceil(33 / 8), 9]
        assert output.pafs_BLHW.shape == [2, 4, math.ceil(33 / 8), 9]
    assert len(outputs) == 2
    with pytest.raises(UserError, match=r"model\.tested=3: must not be above model\.refinements=2"):
        build(LightOpenPose(refinements=2, tested=3))


def test_three_stages_fill_one_and_a_mobilenet_the_backbone():
    three, one = (network_keys(LightOpenPose(refinements=n)) for n in (3, 1))
    arrays = {name: np.zeros(shape, np.float32) for name, shape in three.shapes.items()}
    official = to_official(arrays, three, "zeros")
    table = table_of(LightOpenPose())
    found = convert(official, table, one, "file")
    assert found.arrays.keys() == one.shapes.keys()
    assert found.unused
    assert all(name.startswith("refinement_stages.") for name in found.unused)
    mobile = {name: one for name, one in official.items() if name.startswith("model.")}
    mobile |= {"fc.weight": np.zeros((1000, 1024)), "model.12.0.weight": np.zeros((512, 1, 3, 3))}
    found = convert(mobile, table, one, "file", backbone=True)
    assert found.spelling == "marvis' MobileNet"
    assert all(name.startswith("model.") for name in found.arrays)
    assert sorted(found.not_loaded) == ["fc.weight", "model.12.0.weight"]


def test_static_graph_equals_eager(tmp_path):
    network = seeded(SMALL)
    network.eval()
    spec = paddle.static.InputSpec([None, 3, None, None], "float32", "images")
    paddle.jit.save(network, str(tmp_path / "model"), input_spec=[spec])
    loaded = paddle.jit.load(str(tmp_path / "model"))
    images = paddle.to_tensor(np.random.RandomState(0).standard_normal((1, 3, 50, 37)), "float32")
    with paddle.no_grad():
        ours, graph = network(images)[-1].pafs_BLHW.numpy(), loaded(images)[-1].numpy()
    # The same kernels; a fused one may add in another order, 2^-24 of the largest for each layer.
    np.testing.assert_allclose(graph, ours, rtol=0, atol=60 * 2.0**-24 * np.abs(ours).max())
