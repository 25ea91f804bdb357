"""Engines: the compiled graph gives what eager Paddle gives, whatever the batch."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import paddle
import pytest

from paddle_pose.codecs.heatmap import HeatmapCodec
from paddle_pose.codecs.views import View
from paddle_pose.data import mpii
from paddle_pose.data.top_down import PersonCrops
from paddle_pose.errors import UserError
from paddle_pose.inference import engine
from paddle_pose.inference.predict import predict
from paddle_pose.models.architectures import NewellHourglass
from paddle_pose.models.blocks import PoseNetwork
from paddle_pose.models.build import build
from paddle_pose.poses.poses import Poses
from paddle_pose.settings import Benchmark, DataSettings
from paddle_pose.skeletons import MPII16
from paddle_pose.system import runtime

DATA = DataSettings(image_size_wh=(64, 96))
CODEC = HeatmapCodec()
ONEDNN = pytest.mark.skipif(not engine.onednn_here(), reason="this Paddle has no oneDNN")
BFLOAT16 = pytest.mark.skipif(not engine.bfloat16_here(), reason="this CPU has no bfloat16")


def trained(**changes: object) -> PoseNetwork:
    """One stack with statistics as training leaves them: not 0 and 1."""
    paddle.seed(5)
    made = build(NewellHourglass(stacks=1, features=32, depth=2, stem=16, **changes))
    made.train()
    with paddle.no_grad():
        for _ in range(20):
            made(paddle.randn([4, 3, 64, 64]) + 0.3)
    return made


@pytest.fixture(scope="module")
def network() -> PoseNetwork:
    return trained()


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    """Seven crops: not a multiple of the compiled batch."""
    return np.random.default_rng(2).integers(0, 256, (7, 96, 64, 3), np.uint8)


def both(made: engine.Forward) -> Callable[[np.ndarray], np.ndarray]:
    """Heat maps alone, the mirrored ones below the plain."""

    def call(images: np.ndarray) -> np.ndarray:
        return np.concatenate([half["heatmaps"] for half in made(images) if half is not None])

    return call


def forward(network: PoseNetwork, kind: str, **changes: object) -> Callable:
    settings = {"flip_test": True, "engine": kind, "batch_size": 3, **changes}
    return both(engine.make_forward(network, DATA, **settings))


@pytest.fixture(scope="module")
def eager_maps(network: PoseNetwork, images: np.ndarray) -> np.ndarray:
    return forward(network, "eager")(images)


def test_flipped_maps_come_second(network, images, eager_maps):
    assert eager_maps.shape == (14, 16, 24, 16)
    assert eager_maps.dtype == np.float32
    plain = forward(network, "eager", flip_test=False)
    # Other batch sizes may add in another order: 1e-5 of the largest value, see the next test.
    largest = np.abs(eager_maps).max()
    np.testing.assert_allclose(plain(images), eager_maps[:7], atol=1e-5 * largest)
    mirrored = plain(np.ascontiguousarray(images[:, :, ::-1]))
    np.testing.assert_allclose(mirrored, eager_maps[7:], atol=1e-5 * largest)


@ONEDNN
def test_onednn_equals_eager(network, images, eager_maps):
    # Folding a batch norm rounds each weight once more, and sums run in another order: about
    # 2^-24·sqrt(layers = 40) = 4e-7 of the largest value, over all values a few times that.
    tolerance = 1e-5 * np.abs(eager_maps).max()
    compiled = forward(network, "onednn")
    for count in (7, 3, 1):
        maps = compiled(images[:count])
        assert maps.dtype == np.float32
        rows = np.r_[:count, 7 : 7 + count]
        np.testing.assert_allclose(maps, eager_maps[rows], atol=tolerance, rtol=0)
    np.testing.assert_array_equal(compiled(paddle.to_tensor(images)), compiled(images))


@ONEDNN
@BFLOAT16
def test_bfloat16_rounds_to_eight_bits(network, images, eager_maps):
    # Each of 40 layers rounds its input, weights and output to 8 bits, by 2^-9 of a value at most:
    # together 2^-9·sqrt(120) = 2.1 % of the spread of values; 5 times that for the largest of all.
    maps = forward(network, "onednn", precision="bfloat16")(images)
    assert maps.dtype == np.float32
    error = np.abs(maps - eager_maps)
    spread = 0.021 * eager_maps.std()
    assert np.sqrt((error**2).mean()) < spread
    assert error.max() < 5 * spread
    assert error.max() > 1e-4 * np.abs(eager_maps).max()  # it did compute in bfloat16


@ONEDNN
@pytest.mark.parametrize("precision", ["float32", pytest.param("bfloat16", marks=BFLOAT16)])
def test_logits_and_convolutions_without_bias(images, precision):
    network = trained(conv_bias=False)
    codec = HeatmapCodec(maps="logits")
    eager, compiled = (
        both(engine.make_forward(network, DATA, flip_test=True, **options))(images)
        for options in ({"engine": "eager"}, {"engine": "onednn", "precision": precision})
    )
    eager, compiled = (
        codec.heatmaps([View({"heatmaps": maps})], np.arange(16), shift=True)
        for maps in (eager, compiled)
    )
    # An error of e in a logit is a factor of exp(e) in its map; e as in the tests above, for
    # logits up to 2. The sum over the cells is the Gaussian's, 2πσ².
    error = {"float32": 2 * 2e-5, "bfloat16": 2 * 0.05}[precision]
    np.testing.assert_allclose(compiled, eager, rtol=error)
    np.testing.assert_allclose(compiled.sum((2, 3)), 2 * np.pi * CODEC.sigma_px**2, rtol=1e-5)


@ONEDNN
def test_no_files_are_left_and_the_network_is_as_it_was(network, images, eager_maps, monkeypatch):
    before = {name: value.numpy() for name, value in network.state_dict().items()}
    made: list[str] = []
    make = tempfile.mkdtemp
    monkeypatch.setattr(tempfile, "mkdtemp", lambda *a, **k: made.append(make(*a, **k)) or made[-1])
    forward(network, "onednn")
    monkeypatch.setattr(engine.paddle_inference, "create_predictor", lambda config: 1 / 0)
    with pytest.raises(UserError, match=r"cannot compile .*division by zero.* --engine eager"):
        forward(network, "onednn")
    assert len(made) == 2
    assert not any(Path(folder).exists() for folder in made)
    after = network.state_dict()
    assert before.keys() == after.keys()
    for name, value in before.items():
        np.testing.assert_array_equal(after[name].numpy(), value)
    assert paddle.in_dynamic_mode()
    np.testing.assert_array_equal(forward(network, "eager")(images), eager_maps)


@pytest.mark.parametrize("kind", ["eager", pytest.param("onednn", marks=ONEDNN)])
def test_a_size_that_cannot_be_halved_is_said_before_compiling(network, kind):
    data = DataSettings(image_size_wh=(64, 72))  # 4 · 2^depth = 16
    with pytest.raises(UserError, match=r"images of 64×72 .* must be multiples of 16"):
        engine.make_forward(network, data, flip_test=True, engine=kind)


def test_the_reason_is_the_line_that_names_the_error():
    traced = "In transformed code:\n\n    File x\n    ValueError: (InvalidArgument) sizes\n    x"
    assert engine.reason(ValueError(traced)) == "ValueError: (InvalidArgument) sizes"
    assert engine.reason(RuntimeError("one\ntwo")) == "one"
    assert engine.reason(KeyError()) == "KeyError"


@ONEDNN
def test_nested_threads_compile_too(network, images, eager_maps, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1,2")  # OpenMP's form for threads within threads
    maps = forward(network, "onednn")(images)
    tolerance = 1e-5 * np.abs(eager_maps).max()  # as in test_onednn_equals_eager
    np.testing.assert_allclose(maps, eager_maps, atol=tolerance, rtol=0)


@ONEDNN
def test_key_points_of_both_engines(network, small_people):
    crops = PersonCrops(mpii.load(small_people, "valid"), DATA, CODEC, with_targets=False)
    settings = {"batch_size": 3, "num_workers": 0}
    arguments = ([crops], CODEC, Benchmark(name="x"), MPII16.flip_order)
    eager, compiled = (
        Poses.joined(
            predict(
                engine.make_forward(network, DATA, flip_test=True, engine=kind),
                *arguments,
                **settings,
            )
        ).keypoints
        for kind in ("eager", "onednn")
    )
    # The maps of a network that has learnt nothing have maxima as close as 1e-6: a joint may jump.
    same = np.abs(eager - compiled).max(2) < 1e-3
    assert same.mean() > 0.95


def test_choice(monkeypatch):
    monkeypatch.setattr(engine, "onednn_here", lambda: True)
    monkeypatch.setattr(engine, "bfloat16_here", lambda: True)
    monkeypatch.setattr(engine.streams, "lacking", lambda precision: "it")
    assert engine.choose("auto", "float32", people=engine.AUTO_PEOPLE - 1) == "eager"
    assert engine.choose("auto", "float32", people=engine.AUTO_PEOPLE) == "onednn"
    assert engine.choose("auto", "bfloat16", people=1) == "onednn"
    assert engine.choose("onednn", "float32", people=1) == "onednn"
    assert engine.choose("eager", "float32", people=10**6) == "eager"


@pytest.mark.parametrize(
    ("arguments", "here", "line"),
    [
        (("onedn", "float32"), "both", "unknown engine 'onedn'; did you mean 'onednn'?"),
        (("auto", "float16"), "both", "unknown precision 'float16'; did you mean"),
        (("eager", "bfloat16"), "both", "eager computes in float32; use --engine onednn"),
        (("auto", "bfloat16"), "onednn", "this CPU has neither avx512_bf16 nor amx_bf16"),
        (("onednn", "float32"), "nothing", "needs oneDNN, which this Paddle lacks on"),
    ],
)
def test_what_is_not_to_be_had_is_one_line(monkeypatch, arguments, here, line):
    monkeypatch.setattr(engine, "onednn_here", lambda: here != "nothing")
    monkeypatch.setattr(engine, "bfloat16_here", lambda: here == "both")
    with pytest.raises(UserError) as raised:
        engine.choose(*arguments, people=1000)
    assert line in str(raised.value)
    assert engine.choose("auto", "float32", people=10**6) != "auto"


def test_bfloat16_is_read_from_the_cpus_flags(monkeypatch):
    for flags, found in ((("avx512f",), False), (("avx512_bf16",), True), (("amx_bf16",), True)):
        facts = ("x", frozenset(flags), 2)
        monkeypatch.setattr(runtime, "cpu_facts", lambda facts=facts: facts)
        assert engine.bfloat16_here() is found
