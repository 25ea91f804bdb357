"""AlphaPose's networks compiled, in bfloat16, and exported: what eager Paddle gives."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from seeded_networks import seeded

from paddle_pose import configs
from paddle_pose.inference import engine, export
from paddle_pose.models import se_resnet
from paddle_pose.models.architectures import FastPose, FastPoseDuc, FastPoseMobile
from paddle_pose.recipes.recipe import override
from paddle_pose.settings import DataSettings
from paddle_pose.skeletons import MPII16

ONEDNN = pytest.mark.skipif(not engine.onednn_here(), reason="this Paddle has no oneDNN")
BFLOAT16 = pytest.mark.skipif(not engine.bfloat16_here(), reason="this CPU has no bfloat16")
DATA = DataSettings(image_size_wh=(64, 96))
DEFORMABLE = FastPose(16, deformable=(False, True, True, True))
NETWORKS = {
    "small": FastPoseMobile(16, "small", 8),
    "large": FastPoseMobile(16, "large", 8),
    "shuffle": FastPoseDuc(16, convolutions=(1, 1, 1)),
    "deformable": DEFORMABLE,
    "modulated": FastPose(16, deformable=(False, False, False, True), modulated=True),
}


@pytest.fixture(autouse=True)
def _shallow(monkeypatch):
    """Two blocks in the second layer, one in the others."""
    monkeypatch.setitem(se_resnet.BLOCKS, 50, (1, 2, 1, 1))


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(2).integers(0, 256, (3, 96, 64, 3), np.uint8)


def maps(network, images, **how):
    made = engine.make_forward(network, DATA, flip_test=False, **how)
    return made(images)[0]["heatmaps"]


@ONEDNN
@pytest.mark.parametrize("name", NETWORKS)
def test_compiled_equals_eager(name, images):
    network = seeded(NETWORKS[name])
    eager = maps(network, images, engine="eager")
    # As in test_engine: 2^-24·sqrt(60 layers) = 5e-7 of the largest value, a few times over all.
    compiled = maps(network, images, engine="onednn")
    np.testing.assert_allclose(compiled, eager, rtol=0, atol=1e-5 * np.abs(eager).max())


@ONEDNN
@BFLOAT16
@pytest.mark.parametrize("name", ["small", "deformable"])
def test_bfloat16_rounds_to_eight_bits(name, images):
    network = seeded(NETWORKS[name])
    eager = maps(network, images, engine="eager")
    found = maps(network, images, engine="onednn", precision="bfloat16")
    # 2^-9 for input, weights and output of each of at most 60 layers: 2^-9·sqrt(180) = 2.6 % of
    # the spread of values; see test_engine.
    assert np.sqrt(((found - eager) ** 2).mean()) < 0.026 * eager.std()
    assert np.abs(found - eager).max() > 1e-4 * np.abs(eager).max()  # it did compute in bfloat16


@pytest.mark.parametrize("name", ["small", "shuffle", "deformable"])
def test_exported_networks_pass_their_own_check(name, tmp_path):
    """``export`` compares with the network and refuses what is apart; ONNX is made of Paddle's."""
    for package in ("paddle2onnx", "onnxruntime"):
        pytest.importorskip(package, reason=f"{package}: see requirements-export.txt")
    network, formats = seeded(NETWORKS[name]), ("onnx",)
    recipe = replace(configs.load("quickstart:newell_hg1_synthetic"), model=NETWORKS[name])
    recipe = override(recipe, ["data.image_size_wh=[64,96]"])
    cards = export.export(network, recipe, MPII16, tmp_path / "x", formats)
    assert [card.format for card in cards] == list(formats)
    assert all(0 < card.difference <= card.bound for card in cards)
