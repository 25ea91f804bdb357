"""OpenVINO: single images, several in flight, each with a few of the threads.

The activations of one image stay in the caches, and no thread waits for another at every layer.
OpenVINO reads the traced graph as it is; it folds batch norms itself.
"""

from __future__ import annotations

import importlib.util
import io
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import paddle

from paddle_pose.errors import UserError
from paddle_pose.inference import graph, kept
from paddle_pose.system import runtime

T = TypeVar("T")

INSTALL = "pip install -r requirements-export.txt"
BLOB = "openvino.blob"
"""What is kept: OpenVINO's own form of a compiled network."""


class Unreadable(UserError):
    """OpenVINO cannot compile a network: mostly it does not know one of the operations."""


def or_onednn(asked: str | None, chosen: str, use: Callable[[str], T]) -> T:
    """``use(chosen)``; where ``auto`` chose OpenVINO and that cannot, oneDNN, with a word."""
    try:
        return use(chosen)
    except Unreadable as error:
        if asked not in (None, "auto"):
            raise
        print(f"=> engine: onednn; {error}", flush=True)
        return use("onednn")


def lacking(precision: str) -> str:
    """What keeps OpenVINO from running networks here, nothing if it can."""
    if importlib.util.find_spec("openvino") is None:
        return f"openvino is not installed: {INSTALL}"
    if paddle.get_device() != "cpu":
        return f"OpenVINO runs on the CPU here, not on {paddle.get_device()}; use --device cpu"
    if precision == "bfloat16":
        import openvino

        if "BF16" not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            return "OpenVINO has no bfloat16 on this CPU; use float32"
    return ""


def settings(precision: str) -> dict[str, Any]:
    """Of a network that images stream through."""
    runtime.configure(quiet=True)
    return {
        "INFERENCE_NUM_THREADS": runtime.thread_count(),
        "PERFORMANCE_HINT": "THROUGHPUT",
        "INFERENCE_PRECISION_HINT": {"float32": "f32", "bfloat16": "bf16"}[precision],
        "ENABLE_CPU_PINNING": False,  # several processes would be pinned to the same cores
    }


class Streams:
    """A compiled network of single images: (N, …) -> each output as (N, …) float32."""

    def __init__(self, compiled: Any, names: tuple[str, ...] = ()) -> None:
        """``names``: of the outputs that are wanted, in this order; by default all, in theirs."""
        import openvino

        ports = [compiled.output(name) for name in names] or compiled.outputs
        self._ports = [compiled.outputs.index(port) for port in ports]
        self._shapes = [tuple(port.shape)[1:] for port in ports]
        self._queue = openvino.AsyncInferQueue(compiled)
        self._queue.set_callback(self._take)
        self._found: list[np.ndarray] = []
        self._lock = threading.Lock()

    def _take(self, request: Any, number: int) -> None:
        for port, found in zip(self._ports, self._found, strict=True):
            found[number] = request.get_output_tensor(port).data[0]

    def __call__(self, images: np.ndarray) -> list[np.ndarray]:
        """Run them all; callers from several threads wait for each other."""
        found = [np.empty((len(images), *shape), np.float32) for shape in self._shapes]
        with self._lock:
            self._found = found
            for number in range(len(images)):
                given = np.ascontiguousarray(images[number : number + 1])
                self._queue.start_async([given], number)
            self._queue.wait_all()
        return found


def start(whole: Any, size_wh: tuple[int, int], precision: str) -> tuple[Streams, tuple[str, ...]]:
    """An ``engine`` network for (N, H, W, 3) uint8 RGB, and its outputs' names; maybe a kept one.

    Raises:
        Unreadable: OpenVINO cannot read or compile it.
        UserError: there is no OpenVINO here.
    """
    if why := lacking(precision):
        raise UserError(f"engine openvino: {why}")
    import openvino

    core, how = openvino.Core(), settings(precision)
    version = openvino.__version__.partition("-")[0]
    said = f"=> engine: OpenVINO {version}, {precision}"
    shape = (1, size_wh[1], size_wh[0], 3)
    path = kept.place(whole, shape, openvino.__version__, sorted(how.items()))
    names = None if path is None else kept.read(path, BLOB)
    if path is not None and names is not None:
        try:
            blob = io.BytesIO((path / BLOB).read_bytes())
            streams = Streams(core.import_model(blob, "CPU", how), names)
            print(f"{said}, compiled before, read from {path}", flush=True)
            return streams, names
        except (OSError, RuntimeError) as error:
            kept.forget(path, _last_line(error))
    with tempfile.TemporaryDirectory(prefix="paddle_pose_engine_") as temporary:
        folder = Path(temporary)
        try:
            compiled = _compiled(core, whole, shape, folder, how)
            streams = Streams(compiled, whole.names)
        except Exception as error:  # Paddle and OpenVINO raise many kinds
            raise Unreadable(
                f"OpenVINO {version} cannot compile this network in {precision} "
                f"({_last_line(error)}); use --engine onednn"
            ) from error
        if path is not None:
            (folder / BLOB).write_bytes(compiled.export_model().getbuffer())
            kept.keep(path, folder, whole.names, BLOB)
    print(said, flush=True)
    return streams, whole.names


def _compiled(
    core: Any, whole: Any, shape: tuple[int, ...], folder: Path, how: dict[str, Any]
) -> Any:
    """Traced, read and compiled; its outputs have the names that the network gives them, too."""
    made = graph.trace(whole, paddle.static.InputSpec(list(shape), "uint8", name="images"))
    model = core.read_model(made.write(folder / "network")[0])
    ends = [one for one in made.program.blocks[0].ops if one.type == "fetch"]
    for name, end in zip(whole.names, ends, strict=True):
        model.output(end.inputs[0].arguments[0]).tensor.add_names({name})
    return core.compile_model(model, "CPU", how)


def _last_line(error: Exception) -> str:
    """What OpenVINO says; places in its code come before."""
    lines = str(error).strip().splitlines()
    return lines[-1].strip() if lines else type(error).__name__
