"""ONNX Runtime and OpenVINO on a network that ``export.py`` wrote; in the rivals' environment.

No Paddle here: the files are made by our own interpreter, once for all sides of a run. Images are
already normalised, as for PyTorch; making the mirrored ones is part of a run.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.worker import SkippedError, Work

CALIBRATED_BY = 8
"""Images whose ranges NNCF measures."""


def elsewhere(python: str, make: str, options: dict[str, Any]) -> dict[str, Any]:
    """Set up ``make`` in a process of its own, so that its memory is not this side's; the reply."""
    command = [python, "-m", "benchmarks.worker", make, json.dumps(options)]
    done = subprocess.run(command, input="", capture_output=True, text=True, check=False)  # noqa: S603
    lines = done.stdout.splitlines()
    said = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
    return json.loads(lines[0]) if lines else {"failed": said[0]}


def _once(note: Path, python: str, make: str, options: dict[str, Any]) -> dict[str, Any]:
    """The facts of what was made, now or by another side, which ``note`` keeps."""
    if not note.is_file():
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(json.dumps(elsewhere(python, make, options)), encoding="utf-8")
    reply = json.loads(note.read_text(encoding="utf-8"))
    if "ready" not in reply:
        kind = SkippedError if "skipped" in reply else RuntimeError
        raise kind(f"{make}: {reply.get('skipped', reply.get('failed'))}")
    return reply["ready"]


def files(python: str, network: dict[str, Any], folder: str, *formats: str) -> Path:
    """The network exported by ``costs.made``: a folder for each format; INT8 only to be timed."""
    how = {"network": network, "changes": [], "folder": folder, "formats": formats}
    how["checked"] = False
    facts = _once(Path(folder) / "made.json", python, "benchmarks.costs:made", how)
    served = Path(folder) / "served"
    if lacking := [name for name in formats if not (served / name).is_dir()]:
        raise SkippedError(facts["note"] or f"export wrote no {lacking[0]}")
    return served


def our_int8(python: str, network: dict[str, Any], folder: str, batch: int) -> Work:
    """Ours: the exported INT8 network as every command runs it; in our own environment."""
    served = files(python, network, f"{folder}_int8", "int8")
    from benchmarks.export import exported_forward

    work = exported_forward(str(served / "int8"), batch)
    del work.facts["multiply_adds"]
    work.facts["outputs"] = "not compared: those of seeded weights hardly depend on the picture"
    return work


def images(batch: int, size_wh: list[int]) -> np.ndarray:
    """(B, 3, H, W) float32, as normalised ones are spread."""
    made = np.random.default_rng(0).standard_normal((batch, 3, size_wh[1], size_wh[0]))
    return made.astype(np.float32)


def quantised(file: str, engine: str, size_wh: list[int], output: str) -> Work:
    """NNCF by its own defaults, in the form that the engine takes; written to ``output``."""
    import nncf
    import openvino

    samples = images(CALIBRATED_BY, size_wh)
    if engine == "openvino":
        model = openvino.Core().read_model(file)
        given = nncf.Dataset([one[None] for one in samples])
        made = nncf.quantize(model, given, subset_size=len(samples))
        openvino.save_model(made, output, compress_to_fp16=False)
    else:
        import onnx

        model = onnx.load(file)
        name = model.graph.input[0].name
        given = nncf.Dataset([{name: one[None]} for one in samples])
        onnx.save(nncf.quantize(model, given, subset_size=len(samples)), output)
    return Work(lambda: None)


def model_file(served: Path, engine: str, precision: str, size_wh: list[int]) -> Path:
    """What the engine reads; quantised first where INT8 is asked."""
    file = served / "onnx" / "model.onnx"
    if precision != "int8":
        return file
    output = served.parent / engine / ("model.xml" if engine == "openvino" else "model.onnx")
    how = {"file": str(file), "engine": engine, "size_wh": size_wh, "output": str(output)}
    _once(output.with_name("made.json"), sys.executable, "benchmarks.engines:quantised", how)
    return output


def flipped_work(
    forward: Callable[[np.ndarray], Any], batch: int, size_wh: list[int], facts: dict[str, Any]
) -> Work:
    """Plain and mirrored images through ``forward``, which takes (2 B, 3, H, W)."""
    plain = images(batch, size_wh)

    def run() -> None:
        forward(np.concatenate([plain, plain[..., ::-1]]))

    return Work(run, units=batch, facts=facts | {"threads": threads()})


def threads() -> int:
    """The stated number."""
    return int(os.environ["OMP_NUM_THREADS"])


def onnxruntime_forward(
    python: str,
    network: dict[str, Any],
    folder: str,
    size_wh: list[int],
    batch: int,
    precision: str,
    at_once: int,
) -> Work:
    """``at_once``: images of one call, 0 for all."""
    import onnxruntime

    file = model_file(files(python, network, folder, "onnx"), "onnxruntime", precision, size_wh)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def forward(both: np.ndarray) -> list[Any]:
        step = at_once or len(both)
        return [session.run(None, {name: both[i : i + step]}) for i in range(0, len(both), step)]

    facts = {"onnxruntime": onnxruntime.__version__, "precision": precision}
    return flipped_work(forward, batch, size_wh, facts)


def openvino_forward(
    python: str,
    network: dict[str, Any],
    folder: str,
    size_wh: list[int],
    batch: int,
    precision: str,
    at_once: int | None,
) -> Work:
    """``at_once``: images of one call, 0 for all; None: image by image, several in flight.

    What INT8 leaves in floating point runs in bfloat16 where the CPU multiplies it.
    """
    import openvino

    file = model_file(files(python, network, folder, "onnx"), "openvino", precision, size_wh)
    core = openvino.Core()
    half = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    if precision == "bfloat16" and not half:
        raise SkippedError("this CPU does not multiply bfloat16")
    step = 2 * batch if at_once == 0 else 1
    model = core.read_model(str(file))
    model.reshape([step, 3, size_wh[1], size_wh[0]])
    settings = {
        "INFERENCE_NUM_THREADS": threads(),
        "PERFORMANCE_HINT": "THROUGHPUT" if at_once is None else "LATENCY",
        "INFERENCE_PRECISION_HINT": "bf16" if half and precision != "float32" else "f32",
    }
    compiled = core.compile_model(model, "CPU", settings)
    facts = {"openvino": openvino.__version__.partition("-")[0], "precision": precision}
    if at_once is None:
        queue = openvino.AsyncInferQueue(compiled)
        found: dict[int, list[np.ndarray]] = {}
        queue.set_callback(
            lambda request, number: found.update(
                {number: [np.array(one.data) for one in request.output_tensors]}
            )
        )

        def forward(both: np.ndarray) -> Any:
            for number in range(len(both)):
                queue.start_async([both[number : number + 1]], number)
            queue.wait_all()
            return found
    else:

        def forward(both: np.ndarray) -> Any:
            return [
                [np.array(one) for one in compiled([both[i : i + step]]).to_tuple()]
                for i in range(0, len(both), step)
            ]

    return flipped_work(forward, batch, size_wh, facts)
