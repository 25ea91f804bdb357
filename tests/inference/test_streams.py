"""OpenVINO: what eager Paddle gives, image by image; kept; and a way out where it cannot."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest
from seeded_networks import seeded

from paddle_pose.errors import UserError
from paddle_pose.inference import engine, graph, kept, streams
from paddle_pose.models.architectures import MIPNet, NewellHourglass
from paddle_pose.models.blocks import PoseNetwork, StageOutput
from paddle_pose.models.build import build
from paddle_pose.settings import DataSettings

DATA = DataSettings(image_size_wh=(64, 96))
OPENVINO = pytest.mark.skipif(bool(streams.lacking("float32")), reason="OpenVINO is not installed")


class Unknown(PoseNetwork):
    """Has an operation that OpenVINO does not read."""

    def forward(self, images_BCHW: paddle.Tensor) -> list[StageOutput]:
        """One map."""
        return [StageOutput(paddle.digamma(images_BCHW[:, :1]))]


@pytest.fixture(scope="module")
def network() -> PoseNetwork:
    """With statistics as training leaves them: not 0 and 1."""
    paddle.seed(5)
    made = build(NewellHourglass(stacks=1, features=32, depth=2, stem=16))
    made.train()
    with paddle.no_grad():
        for _ in range(20):
            made(paddle.randn([4, 3, 64, 64]) + 0.3)
    return made


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(2).integers(0, 256, (5, 96, 64, 3), np.uint8)


def outputs(network: PoseNetwork, kind: str, images: Any, precision: str = "float32") -> dict:
    """By name; the mirrored ones are ``mirrored …``."""
    how = {"flip_test": True, "engine": kind, "precision": precision}
    plain, mirrored = engine.make_forward(network, DATA, **how)(images)
    return plain | {f"mirrored {name}": one for name, one in (mirrored or {}).items()}


@OPENVINO
def test_it_equals_eager(network, images):
    # 1e-5 of the largest value, for the reasons in test_engine: weights are rounded once more, and
    # sums run in another order.
    eager = outputs(network, "eager", images)
    run = engine.make_forward(network, DATA, flip_test=True, engine="openvino")
    for count in (5, 1):
        for half, key in zip(run(images[:count]), ("heatmaps", "mirrored heatmaps"), strict=True):
            assert half["heatmaps"].dtype == np.float32
            wanted = eager[key][:count]
            tolerance = 1e-5 * np.abs(wanted).max()
            np.testing.assert_allclose(half["heatmaps"], wanted, atol=tolerance, rtol=0)
    first, second = run(paddle.to_tensor(images)), run(images)
    np.testing.assert_array_equal(first[1]["heatmaps"], second[1]["heatmaps"])
    alone = engine.make_forward(network, DATA, flip_test=False, engine="openvino")(images)
    np.testing.assert_array_equal(alone[0]["heatmaps"], second[0]["heatmaps"])
    assert alone[1] is None


@pytest.mark.skipif(bool(streams.lacking("bfloat16")), reason="no OpenVINO with bfloat16 here")
def test_bfloat16_rounds_to_eight_bits(network, images):
    # As in test_engine: 40 layers round by 2^-9 of a value, 2.1 % of the spread together; 5 times
    # that for the largest. OpenVINO may round the maps once more, which adds one to 120 roundings.
    eager = outputs(network, "eager", images)["heatmaps"]
    error = np.abs(outputs(network, "openvino", images, "bfloat16")["heatmaps"] - eager)
    spread = 0.021 * eager.std()
    assert np.sqrt((error**2).mean()) < spread
    assert error.max() < 5 * spread
    assert error.max() > 1e-4 * np.abs(eager).max()  # it did compute in bfloat16


@OPENVINO
def test_two_people_keep_their_names(images, cache):
    network = seeded(MIPNet(joints=14, width=8))
    eager = outputs(network, "eager", images[:2])
    made, kept_one = (outputs(network, "openvino", images[:2]) for _ in range(2))
    assert [*made] == [*kept_one] == [*eager]
    apart = np.abs(eager["primary"] - eager["secondary"]).max()
    assert apart > 1e-3 * np.abs(eager["primary"]).max()
    for name, wanted in eager.items():
        tolerance = 1e-5 * np.abs(wanted).max()
        np.testing.assert_allclose(made[name], wanted, atol=tolerance, rtol=0)
        np.testing.assert_array_equal(kept_one[name], made[name])


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PADDLE_POSE_CACHE", str(tmp_path))
    monkeypatch.setenv(kept.VARIABLE, "512")
    return tmp_path / "engines"


@OPENVINO
def test_what_was_compiled_is_used_again(network, images, cache, monkeypatch, capfd):
    before = outputs(network, "openvino", images)["heatmaps"]
    (place,) = cache.iterdir()
    assert {one.name for one in place.iterdir()} == {streams.BLOB, "engine.json"}
    said = capfd.readouterr().out
    assert said.startswith("=> engine: OpenVINO 20")
    assert said.endswith(", float32\n")
    with monkeypatch.context() as patch:
        patch.setattr(graph, "trace", lambda *_: 1 / 0)  # it is not even traced
        np.testing.assert_array_equal(outputs(network, "openvino", images)["heatmaps"], before)
    assert capfd.readouterr().out.endswith(f", float32, compiled before, read from {place}\n")
    content = (place / streams.BLOB).read_bytes()
    damaged = content[:-7] + b"x"
    for card in (b"{}", (place / "engine.json").read_bytes()):
        (place / streams.BLOB).write_bytes(damaged)
        (place / "engine.json").write_bytes(card)
        np.testing.assert_array_equal(outputs(network, "openvino", images)["heatmaps"], before)
        assert "compiled anew" in capfd.readouterr().err
    monkeypatch.setattr(kept, "read", lambda *_: ("heatmaps",))
    (place / streams.BLOB).write_bytes(damaged[:1000])  # which OpenVINO refuses
    np.testing.assert_array_equal(outputs(network, "openvino", images)["heatmaps"], before)
    assert "compiled anew" in capfd.readouterr().err


@OPENVINO
def test_what_it_cannot_read_runs_by_onednn_where_nobody_asked_for_it(images, capfd):
    network = Unknown()
    line = r"OpenVINO .* cannot compile this network in float32 \(.*digamma.*--engine onednn"
    with pytest.raises(UserError, match=line):
        outputs(network, "openvino", images)

    def use(kind: str) -> str:
        return kind if kind == "onednn" else str(outputs(network, kind, images))

    with pytest.raises(UserError, match=line):
        streams.or_onednn("openvino", "openvino", use)
    for asked in (None, "auto"):
        assert streams.or_onednn(asked, "openvino", use) == "onednn"
        assert capfd.readouterr().out.startswith("=> engine: onednn; OpenVINO")


def test_the_choice(monkeypatch):
    monkeypatch.setattr(engine, "onednn_here", lambda: True)
    monkeypatch.setattr(engine, "bfloat16_here", lambda: True)
    monkeypatch.setattr(streams, "lacking", lambda precision: "")
    assert engine.choose("openvino", "float32", people=1) == "openvino"
    assert engine.choose("auto", "float32", people=engine.AUTO_PEOPLE - 1) == "eager"
    assert engine.choose("auto", "float32", people=engine.AUTO_PEOPLE) == "openvino"
    assert engine.choose("auto", "bfloat16", people=1) == "openvino"
    assert engine.choose("onednn", "float32", people=10**6) == "onednn"
    monkeypatch.undo()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    said = "openvino is not installed: pip install -r requirements-export.txt"
    with pytest.raises(UserError, match=f"--engine openvino --precision float32: {said}"):
        engine.choose("openvino", "float32", people=1)
    monkeypatch.undo()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(paddle, "get_device", lambda: "gpu:0")
    with pytest.raises(UserError, match="runs on the CPU here, not on gpu:0; use --device cpu"):
        engine.choose("openvino", "float32", people=1)
