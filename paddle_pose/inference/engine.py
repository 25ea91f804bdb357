"""Images to a network's outputs: by Paddle as it runs (eager), or by a compiled graph of it.

``streams`` gives the graph to OpenVINO. For oneDNN ``graph`` folds batch norms, biases, sums and
ReLUs into convolutions, and Paddle Inference runs it. ``kept`` has what was compiled before.
Paddle 3.3's new graph format cannot run resizing there (PaddlePaddle/Paddle issue 79749), so the
graph is in the format that 2.6 and 3.x both read.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import paddle
from paddle import inference as paddle_inference
from paddle import nn

from paddle_pose.errors import UserError, nearest
from paddle_pose.inference import graph, kept, streams
from paddle_pose.models.blocks import PoseNetwork
from paddle_pose.models.inputs import ImageNormalizer
from paddle_pose.models.instances import all_instances
from paddle_pose.models.outputs import named
from paddle_pose.settings import ENGINES, PRECISIONS, DataSettings
from paddle_pose.system import runtime

Outputs = dict[str, np.ndarray]
Forward = Callable[[np.ndarray | paddle.Tensor], tuple[Outputs, Outputs | None]]

AUTO_PEOPLE = 30
"""``auto`` compiles for so many people or more: for fewer, compiling takes longer than it saves.

By OpenVINO HRNet-W32 saves 0.04 s of processor time a person (0.29 instead of 0.33). It is ready
after 2.2 s, after 0.6 s where it was kept: made up for by 55 people, or by 15. The first is paid
once. By oneDNN it saves 0.021 s and is ready after 1.5 s, or 0.3 s.
"""

PEOPLE_AT_A_TIME = 4
"""The compiled graph's batch; activations of more no longer stay in the caches."""

BFLOAT16_OPERATORS = {
    "conv2d_transpose",
    "fused_conv2d",
    "elementwise_add",
    "fused_elementwise_add",
    "nearest_interp_v2",
    "pool2d",
    "relu",
}
"""What computes in bfloat16; the pixels are normalised and maps leave the network in float32.

A network may name more in ``bfloat16_operators``. Not ``conv2d``, a convolution with neither bias
nor batch norm: Paddle runs it in float32 all the same and then misses a conversion. Newell's
hourglass has a few on its short cuts.
"""

FOLDED_BEFORE = (
    "constant_folding_pass",
    "conv_affine_channel_onednn_fuse_pass",
    "conv_bias_onednn_fuse_pass",
    "conv_bn_fuse_pass",
    "conv_eltwiseadd_bn_fuse_pass",
    "conv_elementwise_add_onednn_fuse_pass",
    "conv_transpose_bn_fuse_pass",
    "conv_transpose_eltwiseadd_bn_fuse_pass",
)
"""Searches of Paddle's that find nothing after ``graph.fold``; each takes 0.1 to 13 s for HRNet."""


def bfloat16_here() -> bool:
    """Whether the CPU multiplies bfloat16 numbers; elsewhere they are only slower."""
    return bool({"avx512_bf16", "amx_bf16"} & runtime.cpu_facts()[1])


def onednn_here() -> bool:
    """Whether this Paddle has oneDNN and works on the CPU."""
    config = paddle_inference.Config()
    config.disable_gpu()
    config.enable_mkldnn()
    return config.mkldnn_enabled() and paddle.get_device() == "cpu"


def choose(engine: str, precision: str, *, people: int) -> str:
    """``eager``, ``onednn`` or ``openvino``: as asked; for ``auto`` what is faster for so many.

    Raises:
        UserError: an unknown name, or what was asked for is not to be had here.
    """
    for name, value, valid in (("engine", engine, ENGINES), ("precision", precision, PRECISIONS)):
        if value not in valid:
            raise UserError(f"unknown {name} '{value}'{nearest(value, valid)}")
    half = precision == "bfloat16"
    if half and engine == "eager":
        raise UserError("--precision bfloat16: eager computes in float32; use --engine onednn")
    if half and not bfloat16_here():
        raise UserError(
            "--precision bfloat16: this CPU has neither avx512_bf16 nor amx_bf16; use float32"
        )
    compiled = engine != "auto" or half or people >= AUTO_PEOPLE
    if engine == "eager" or not compiled:
        return "eager"
    if engine == "openvino" and (why := streams.lacking(precision)):
        raise UserError(f"--engine openvino --precision {precision}: {why}")
    if engine == "openvino" or (engine == "auto" and not streams.lacking(precision)):
        return "openvino"
    if onednn_here():
        return "onednn"
    if engine == "onednn" or half:
        raise UserError(
            f"--engine {engine} --precision {precision}: needs oneDNN, which this Paddle lacks "
            f"on {paddle.get_device()}; use --engine eager and float32, on a CPU --device cpu"
        )
    return "eager"


class _WholeNetwork(nn.Layer):
    """uint8 (B, H, W, 3) RGB -> final outputs, of leading B or 2B; the mirrored half comes second.

    Attributes:
        names: of the outputs, in their order; known once the network has run.
    """

    def __init__(self, network: PoseNetwork, data: DataSettings, *, flip_test: bool) -> None:
        super().__init__()
        self.normalize = ImageNormalizer(data)
        self.network = all_instances(network)
        self._flip_test = flip_test
        self.names: tuple[str, ...] = ()

    @paddle.jit.not_to_static  # tracing alone suffices; rewriting the source takes a minute
    def forward(self, images_BHWC: paddle.Tensor) -> list[paddle.Tensor]:
        images_BCHW = self.normalize(images_BHWC)
        if self._flip_test:
            images_BCHW = paddle.concat([images_BCHW, images_BCHW.flip([3])])
        outputs = named(self.network(images_BCHW)[-1])
        self.names = tuple(outputs)
        return list(outputs.values())


def make_forward(
    network: PoseNetwork,
    data: DataSettings,
    *,
    flip_test: bool,
    engine: str,
    precision: str = "float32",
    batch_size: int = PEOPLE_AT_A_TIME,
) -> Forward:
    """A function from images to named outputs; both halves of the flip test in one batch.

    Args:
        network: is put into evaluation mode; a compiled graph keeps the weights of this moment.
        data: size of the crops and how pixels are normalised.
        flip_test: also the maps of the mirrored crops.
        engine: ``eager``, ``onednn`` or ``openvino``, what ``choose`` gave.
        precision: ``float32`` or ``bfloat16``.
        batch_size: people per call; other numbers work as well.

    Returns:
        uint8 (B, H, W, 3) RGB -> final outputs by name, float32 of leading B; and those of the
        mirrored images, None without the flip test.

    Raises:
        UserError: images of a size that the network cannot halve; or it cannot be compiled.
    """
    network.require_size(data.image_size_wh)  # the compiler would name an operator instead
    network.eval()
    if engine == "openvino":
        return _streaming(network, data, precision, flip_test=flip_test)
    whole = _WholeNetwork(network, data, flip_test=flip_test)
    if engine == "onednn":
        return _Compiled(whole, data, precision, min(batch_size, PEOPLE_AT_A_TIME))

    @paddle.no_grad()
    def forward(images_BHWC: np.ndarray | paddle.Tensor) -> tuple[Outputs, Outputs | None]:
        if not isinstance(images_BHWC, paddle.Tensor):
            images_BHWC = paddle.to_tensor(images_BHWC)
        found = [one.numpy().astype(np.float32, copy=False) for one in whole(images_BHWC)]
        halves = zip(*(np.split(one, 2 if flip_test else 1) for one in found), strict=True)
        plain, *mirrored = (dict(zip(whole.names, half, strict=True)) for half in halves)
        return plain, (mirrored[0] if mirrored else None)

    return forward


def _streaming(
    network: PoseNetwork, data: DataSettings, precision: str, *, flip_test: bool
) -> Forward:
    """By OpenVINO, mirrored images after the plain ones."""
    whole = _WholeNetwork(network, data, flip_test=False)
    run, names = streams.start(whole, data.image_size_wh, precision)

    def forward(images_BHWC: np.ndarray | paddle.Tensor) -> tuple[Outputs, Outputs | None]:
        plain = np.asarray(images_BHWC)
        found = run(np.concatenate([plain, plain[:, :, ::-1]]) if flip_test else plain)
        halves = zip(*(np.split(one, 2 if flip_test else 1) for one in found), strict=True)
        first, *mirrored = (dict(zip(names, half, strict=True)) for half in halves)
        return first, (mirrored[0] if mirrored else None)

    return forward


class _Compiled:
    """A compiled network; what comes in is cut into batches of one size, the last one padded."""

    def __init__(
        self, whole: _WholeNetwork, data: DataSettings, precision: str, people: int
    ) -> None:
        width, height = data.image_size_wh
        self._people = people
        self._halves = 2 if whole._flip_test else 1
        self._names: tuple[str, ...] = ()
        shape = (people, height, width, 3)
        self._precision = precision
        with self._said("compile"):
            self._predictor, self._names = _compile(whole, shape, precision)
            self._input = self._predictor.get_input_handle(self._predictor.get_input_names()[0])
            self._outputs = [
                self._predictor.get_output_handle(name)
                for name in self._predictor.get_output_names()
            ]

    @contextlib.contextmanager
    def _said(self, what: str) -> Iterator[None]:
        """What Paddle cannot do, as a UserError."""
        try:
            yield
        except UserError:
            raise
        except Exception as error:  # Paddle raises many kinds
            raise UserError(
                f"Paddle {paddle.__version__} cannot {what} this network with oneDNN in "
                f"{self._precision} ({reason(error)}); use --engine eager --precision float32"
            ) from error

    def __call__(self, images_BHWC: np.ndarray | paddle.Tensor) -> tuple[Outputs, Outputs | None]:
        images_BHWC = np.asarray(images_BHWC)
        count = len(images_BHWC)
        whole: list[np.ndarray] = []
        for first in range(0, count, self._people):
            part = images_BHWC[first : first + self._people]
            found = self._run(part)
            if not whole:
                whole = [np.empty((self._halves, count, *f.shape[2:]), np.float32) for f in found]
            for one, values in zip(whole, found, strict=True):
                one[:, first : first + len(part)] = values[:, : len(part)]
        plain, *mirrored = (
            {name: one[half] for name, one in zip(self._names, whole, strict=True)}
            for half in range(self._halves)
        )
        return plain, (mirrored[0] if mirrored else None)

    def _run(self, images_BHWC: np.ndarray) -> list[np.ndarray]:
        """Each output as (halves, B, …), of at most B images."""
        lacking = self._people - len(images_BHWC)
        if lacking:
            images_BHWC = np.pad(images_BHWC, [(0, lacking), (0, 0), (0, 0), (0, 0)])
        self._input.copy_from_cpu(np.ascontiguousarray(images_BHWC))
        with self._said("run"):
            self._predictor.run()
        found = [output.copy_to_cpu() for output in self._outputs]
        return [f.reshape(self._halves, self._people, *f.shape[1:]) for f in found]


def _compile(
    whole: _WholeNetwork, shape: tuple[int, ...], precision: str
) -> tuple[Any, tuple[str, ...]]:
    """A predictor for images of one shape, and its outputs' names; maybe one that was kept."""
    path = kept.place(whole, shape, precision)
    names = None if path is None else kept.read(path)
    if path is not None and names is not None:
        try:
            predictor = ready(path / kept.MODEL, path / kept.WEIGHTS)
            print(f"=> engine: compiled before, read from {path}", flush=True)
            return predictor, names
        except Exception as error:  # Paddle raises many kinds
            kept.forget(path, reason(error))
    with tempfile.TemporaryDirectory(prefix="paddle_pose_engine_") as temporary:
        folder = Path(temporary)
        predictor = _compile_in(folder, whole, shape, precision, keep=path is not None)
        if path is not None:
            kept.keep(path, folder, whole.names)
    return predictor, whole.names


def _compile_in(
    folder: Path, whole: _WholeNetwork, shape: tuple[int, ...], precision: str, *, keep: bool
) -> Any:
    """A predictor; with ``keep`` what Paddle has optimised is among the files."""
    pixels = paddle.static.InputSpec(list(shape), "uint8", name="images")
    config = folded(graph.trace(whole, pixels), folder)
    if precision == "bfloat16":
        config.enable_mkldnn_bfloat16()
        more: frozenset[str] = getattr(whole.network, "bfloat16_operators", frozenset())
        config.set_bfloat16_op(BFLOAT16_OPERATORS | more)
    if keep:
        config.enable_save_optim_model(True)
        config.set_optim_cache_dir(str(folder))
    with quiet():
        return paddle_inference.create_predictor(config)


def folded(made: graph.Graph, folder: Path) -> paddle_inference.Config:
    """How a graph is run when what can be folded was; its files are in the folder."""
    graph.fold(made)
    config = cpu_config(*made.write(folder / "network"))
    for name in FOLDED_BEFORE:
        config.delete_pass(name)
    return config


def ready(model: Path, weights: Path) -> Any:
    """A predictor of what Paddle has optimised before."""
    config = cpu_config(model, weights)
    passes = config.pass_builder()
    for name in set(passes.all_passes()):
        passes.delete_pass(name)
    with quiet():
        return paddle_inference.create_predictor(config)


def save_graph(layer: nn.Layer, given: paddle.static.InputSpec, stem: Path) -> tuple[Path, Path]:
    """Write ``stem.pdmodel`` and ``stem.pdiparams``, the format of 2.6 and 3.x; their paths."""
    return graph.trace(layer, given).write(stem)


def cpu_config(model: Path, weights: Path) -> paddle_inference.Config:
    """How a saved graph is run: by oneDNN on this process's threads."""
    config = paddle_inference.Config(str(model), str(weights))
    config.disable_gpu()
    config.disable_glog_info()
    config.enable_mkldnn()
    runtime.configure(quiet=True)
    config.set_cpu_math_library_num_threads(runtime.thread_count())
    config.switch_ir_optim(True)
    config.enable_memory_optim()
    config.delete_pass("repeated_fc_relu_fuse_pass")  # Paddle 3.3 dies in it at MIPNet's gates
    return config


def reason(error: Exception) -> str:
    """The line that names the error: Paddle's begin with a traceback of their own."""
    lines = [line.strip() for line in str(error).strip().splitlines()]
    named = [line for line in lines if re.match(r"(\(\w+\) )?\w+Error: ", line)]
    return next(iter(named[-1:] + lines), type(error).__name__)


@contextlib.contextmanager
def quiet(*streams: int) -> Iterator[None]:
    """Nothing on these streams (2 by default), which libraries write to whatever they are told."""
    sys.stdout.flush()
    sys.stderr.flush()
    nowhere = os.open(os.devnull, os.O_WRONLY)
    kept = {stream: os.dup(stream) for stream in streams or (2,)}
    for stream in kept:
        os.dup2(nowhere, stream)
    try:
        yield
    finally:
        for stream, before in kept.items():
            os.dup2(before, stream)
            os.close(before)
        os.close(nowhere)


def biases_as_batch_norms(layer: nn.Layer) -> None:
    """Give every convolution with a bias a batch norm that adds it: Paddle fuses only those."""
    for name, child in layer.named_children():
        if not isinstance(child, nn.Conv2D) or child.bias is None:
            biases_as_batch_norms(child)
            continue
        norm = nn.BatchNorm2D(child._out_channels, epsilon=0.0)  # mean 0, variance 1, scale 1
        norm.bias.set_value(child.bias)
        child.bias = None
        setattr(layer, name, nn.Sequential(child, norm))
