"""Training steps and evaluation forwards beside the rivals, each in each of its settings.

A row is a network in one precision; its rivals compute in the same. Which of them a user would
take is not decided here: all run in turn, and the fastest is the row's other side.
"""

from __future__ import annotations

import functools
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from benchmarks.costs import Network as Exported
from benchmarks.harness import Comparison, Options, Side, Target
from benchmarks.networks import EVALUATED, SMALL, TRAINED, Network, sized, torch_side
from benchmarks.pipeline import temporary_folder

PYTORCH: dict[str, dict[str, dict[str, bool]]] = {
    "float32": {"eager": {}, "channels-last": {"channels_last": True}},
    "bfloat16": {
        "autocast": {"bfloat16": True},
        "autocast channels-last": {"bfloat16": True, "channels_last": True},
    },
    "int8": {},
}
"""PyTorch's settings by precision; it quantises none of these networks by itself."""
AT_ONCE = {"both halves at once": 0, "image by image": 1}
"""What an engine is given in one call: everything, or so many images."""
TITLES = {"float32": "float32", "bfloat16": "bfloat16", "int8": "INT8"}


@functools.cache
def _folder() -> Path:
    return temporary_folder()


def pytorch(network: Network, function: str, batch: int, kind: str, options: Options) -> list[Side]:
    """The network under PyTorch, once for each of its settings."""
    side = torch_side(network, function, batch, options)
    what = side.label.removeprefix("PyTorch, ")
    return [
        replace(side, label=f"PyTorch {name}, {what}", options={**side.options, **how})
        for name, how in PYTORCH[kind].items()
    ]


def exported(network: Network, options: Options) -> dict[str, Any]:
    """Of ``engines.files``: whose, and where its files are made by the first side that asks."""
    one = Exported(network.name, network.title, network.recipe, (SMALL,) if options.quick else ())
    folder = str(_folder() / f"{network.name}_{network.size_wh[1]}x{network.size_wh[0]}")
    return {"python": sys.executable, "network": asdict(one), "folder": folder}


def engines(network: Network, kind: str, options: Options) -> list[Side]:
    """ONNX Runtime and OpenVINO; the former multiplies no bfloat16 on CPUs."""
    given = exported(network, options) | {"size_wh": list(network.size_wh)}
    given |= {"batch": network.eval_batch, "precision": kind}
    by_nncf = " NNCF" if kind == "int8" else ""
    makers = {
        f"ONNX Runtime{by_nncf}, {name}": ("onnxruntime_forward", {"at_once": at_once})
        for name, at_once in AT_ONCE.items()
        if kind != "bfloat16"
    } | {
        f"OpenVINO{by_nncf}, {name}": ("openvino_forward", {"at_once": at_once})
        for name, at_once in {**AT_ONCE, "streams": None}.items()
    }
    return [
        Side(f"benchmarks.engines:{make}", label, given | how, in_torch=True,
             environment={"NNCF_CI": "1"})  # its switch for: report nothing to anybody
        for label, (make, how) in makers.items()
    ]  # fmt: skip


def training(network: Network, kind: str, options: Options) -> Comparison:
    """One step."""
    overrides = [SMALL] if options.quick else []
    half = kind == "bfloat16"
    if half:
        overrides += ["train.amp=O1", "train.amp_dtype=bfloat16"]
    suffix = ", bfloat16" if half else ""
    return Comparison(
        name=f"train_{network.name}{'_bfloat16' if half else ''}",
        work=f"training step, {network.title}, batch {network.batch}{suffix}",
        ours=Side(
            "benchmarks.networks:training_step",
            f"Paddle, Trainer.step{suffix}",
            {"recipe": network.recipe, "batch": network.batch, "overrides": overrides},
        ),
        target=Target("speedup", 1.0),
        unit="s/image",
        rivals=tuple(pytorch(network, "training_step", network.batch, kind, options)),
    )


def forward(network: Network, kind: str, options: Options) -> Comparison:
    """One batch and its mirror image; in INT8 ours is what ``export.py`` writes."""
    batch = network.eval_batch
    engine = None
    if kind == "int8":
        ours = Side("benchmarks.engines:our_int8", "export.py --format int8",
                    {**exported(network, options), "batch": batch})  # fmt: skip
    else:
        ours = Side(
            "benchmarks.networks:forward_with_flip",
            f"Paddle Inference with oneDNN, {kind}",
            {
                "recipe": network.recipe,
                "batch": batch,
                "engine": "onednn",
                "precision": kind,
                "overrides": [SMALL] if options.quick else [],
            },
        )
        how = {**ours.options, "engine": "openvino"}
        engine = replace(ours, label=f"OpenVINO by --engine openvino, {kind}", options=how)
    others = pytorch(network, "forward_with_flip", batch, kind, options)
    return Comparison(
        name=f"forward_{network.name}_{kind}",
        work=f"evaluation forward with flip, {network.title}, batch {batch}, {TITLES[kind]}",
        ours=ours,
        also_ours=engine,
        target=Target("speedup", 1.0),
        unit="s/person",
        rivals=(*others, *engines(network, kind, options)),
    )


def comparisons(options: Options) -> list[Comparison]:
    """Three training steps in two precisions, three forwards in three."""
    trained, evaluated = sized(TRAINED, options), sized(EVALUATED, options)
    return [
        *(training(n, kind, options) for n in trained for kind in ("float32", "bfloat16")),
        *(forward(n, kind, options) for n in evaluated for kind in TITLES),
    ]
