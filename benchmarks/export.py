"""Exported formats: size, time and what they do to scores; the table of docs/export.md.

``python -m benchmarks.export --torch_python P --hrnet DIR --score WHAT RECIPE WEIGHTS DATA …``
exports HRNet-W32 with seeded weights and times every format in turn, A B C A B C, each in a process
of its own; exports each trained network and scores it with ``val.py``; writes
``results/export.json`` and the table. ``--table`` writes the table alone, from the record;
``--scores`` keeps the record's times, which need a quiet machine, and scores again.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import statistics
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.harness import ROOT, Child, Options, Side, SideError
from benchmarks.networks import HRNET_W32_COCO, load_recipe, paddle_facts, torch_side
from benchmarks.pipeline import command, temporary_folder
from benchmarks.results import FOLDER, header, machine, markdown, write
from benchmarks.worker import Work
from paddle_pose.command_line import CommandLine
from paddle_pose.commands import record as records
from paddle_pose.errors import UserError, one_line_errors
from paddle_pose.files import read_json, write_text
from paddle_pose.system.runtime import cpu_facts

RECORD = FOLDER / "export.json"
DOCUMENT = ROOT / "docs" / "export.md"
MARKS = "<!-- export: written by python -m benchmarks.export -->", "<!-- end of export -->"
FORMATS = ("paddle", "onnx", "int8")
PYTORCH, EAGER = "PyTorch, eager", "Paddle, eager"
SCORES = {"Mean": "PCKh@0.5", "Mean@0.1": "PCKh@0.10"}
TARGET, TARGET_POINTS = 2.9, 0.5
"""INT8 is to be so many times as fast as eager PyTorch, and within so many points PCKh@0.5."""

ROUNDS = 7
WARM_UP_STEPS = 10
"""Training-mode passes that give seeded weights statistics, without which INT8 has no levels."""


def exported_forward(folder: str, batch: int) -> Work:
    """Bytes of crops -> heat maps of the plain and the mirrored ones, by an exported network."""
    load_recipe(HRNET_W32_COCO.recipe)  # sets threads up as every command does
    import numpy as np

    from paddle_pose.inference.exported import Exported

    exported = Exported(Path(folder))
    width, height = exported.card.size_wh
    forward = exported.forward(flip_test=True)
    images = np.random.default_rng(0).integers(0, 256, (batch, height, width, 3), np.uint8)

    def run() -> None:
        forward(images)

    return Work(run, units=batch, facts=paddle_facts(0.0))


def export_seeded(output: Path, overrides: Sequence[str]) -> dict[str, int]:
    """HRNet-W32 in every format; bytes of each."""
    recipe = load_recipe(HRNET_W32_COCO.recipe, overrides)
    import numpy as np
    import paddle

    from paddle_pose.inference.export import export
    from paddle_pose.models.build import build
    from paddle_pose.skeletons import skeleton_named

    width, height = recipe.data.image_size_wh
    paddle.seed(0)
    network = build(recipe.model)
    network.train()
    with paddle.no_grad():
        for _ in range(WARM_UP_STEPS):
            network(paddle.randn([2, 3, height, width]))
    crops = np.random.default_rng(0).integers(0, 256, (8, height, width, 3), np.uint8)
    skeleton = skeleton_named(recipe.data.skeleton)
    export(network, recipe, skeleton, output, FORMATS, calibration=crops)
    return {name: _model_bytes(output / name) for name in FORMATS}


def _model_bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.glob("model.*") if file.suffix != ".yaml")


def sides(folder: Path, batch: int, overrides: Sequence[str], options: Options) -> list[Side]:
    """Everything that is timed, PyTorch first."""
    ours = {"recipe": HRNET_W32_COCO.recipe, "batch": batch, "overrides": list(overrides)}
    make = "benchmarks.networks:forward_with_flip"
    kinds = (("eager", "float32"), ("onednn", "float32"), ("onednn", "bfloat16"))
    network = replace(HRNET_W32_COCO, size_wh=(64, 64)) if options.quick else HRNET_W32_COCO
    theirs = torch_side(network, "forward_with_flip", batch, options)
    return [
        Side(theirs.make, PYTORCH, theirs.options, in_torch=True),
        *(
            Side(make, EAGER if engine == "eager" else f"val.py, {engine} {precision}",
                 {**ours, "engine": engine, "precision": precision})
            for engine, precision in kinds
        ),
        *(
            Side("benchmarks.export:exported_forward", name,
                 {"folder": str(folder / name), "batch": batch})
            for name in FORMATS
        ),
    ]  # fmt: skip


def timed(made: Sequence[Side], options: Options, rounds: int) -> dict[str, Any]:
    """Label -> what the record keeps of it, or why it did not run."""
    found: dict[str, Any] = {}
    with contextlib.ExitStack() as stack:
        children = []
        for side in made:
            child = stack.enter_context(Child(side, options))
            try:
                child.wait_ready()
                child.run(keep=False)
                children.append(child)
            except SideError as error:
                found[side.label] = {
                    "note": str(error).splitlines()[0].removeprefix(f"{side.label}: ")
                }
        for _ in range(rounds):
            for child in children:
                child.run()
        found |= {child.side.label: child.measured() for child in children}
    return found


def scored(what: str, recipe: str, weights: Path, data: Path) -> dict[str, Any]:
    """One trained network: scores of the eager network and of each format, by ``val.py``."""
    folder, values = temporary_folder(), {}
    common = ["--dataset_root", data, "--num_workers", "0", "--set", "eval.bootstrap=0"]
    command(
        "export.py", "--config", recipe, "--weights", weights, "--output", folder / "served",
        "--format", ",".join(FORMATS), "--calibration", data,
    )  # fmt: skip
    eager = ("--config", recipe, "--pretrained_model", weights, "--engine", "eager")
    kinds = {EAGER: eager} | {n: ("--exported", folder / "served" / n) for n in FORMATS}
    for number, (kind, words) in enumerate(kinds.items()):
        command("val.py", *words, *common, "--output_dir", folder / str(number))
        file = folder / str(number) / "scores.json"
        whole = json.loads(file.read_text(encoding="utf-8"))
        values[kind] = {name: whole["values"][name] for name in SCORES}
    return {"what": what, "recipe": Path(recipe).name, "data": data.name, "scores": values}


def ratio(times: dict[str, Any], kind: str, against: str) -> float | None:
    """Median over the rounds of another side's time by this one's."""
    if any("samples" not in times.get(name, {}) for name in (kind, against)):
        return None
    pairs = zip(times[against]["samples"], times[kind]["samples"], strict=True)
    return statistics.median(one / other for one, other in pairs)


def block(record: dict[str, Any] | None) -> str:
    """The table of docs/export.md, with its marks."""
    if record is None:
        return "\n\n".join((MARKS[0], "No run is recorded yet.", MARKS[1]))
    times = record["times"]
    against = PYTORCH if "samples" in times.get(PYTORCH, {}) else EAGER
    titles = ["run by", "size", "ms a person", f"times {against}"]
    titles += [f"{title}, {one['what']}" for one in record["scored"] for title in SCORES.values()]
    lines = []
    for kind, time in times.items():
        factor = ratio(times, kind, against)
        size = record["bytes"].get(kind)
        cells = [
            kind,
            f"{size / 2**20:.1f} MiB" if size else "",
            f"{1000 * time['median']:.0f}" if "median" in time else "–",
            f"{factor:.2f}" if factor else "",
        ]
        for one in record["scored"]:
            for name in SCORES:
                value, before = (one["scores"].get(k, {}).get(name) for k in (kind, EAGER))
                change = "" if kind == EAGER or value is None else f" ({value - before:+.2f})"
                cells.append("" if value is None else f"{value:.2f}{change}")
        lines.append(cells)
    words = (
        f"Size and time: {HRNET_W32_COCO.title} with the flip test, {record['batch']} people at a "
        f"time, seeded weights. {machine({**record, 'rows': _rows(times)})}. Medians of "
        f"{record['rounds']} rounds, A B C A B C; ratios: medians over the rounds. In brackets: "
        f"change from eager. {_verdict(record, against)}"
    )
    notes = [f"{kind}: {time['note']}" for kind, time in times.items() if "note" in time]
    return "\n\n".join((MARKS[0], markdown(titles, lines), words, *notes, MARKS[1]))


def _rows(times: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"ours": one, "theirs": None} for one in times.values() if "facts" in one]


def _verdict(record: dict[str, Any], against: str) -> str:
    """Whether INT8 is as fast and as right as it was to be."""
    factor = ratio(record["times"], "int8", against)
    moved = [
        abs(one["scores"]["int8"]["Mean"] - one["scores"][EAGER]["Mean"])
        for one in record["scored"]
    ]
    fast = "not measured" if factor is None or against != PYTORCH else f"{factor:.2f}"
    right = f"{max(moved):.2f}" if moved else "not measured"
    return (
        f"Asked of INT8: at least {TARGET} times PyTorch's speed (found: {fast}), within "
        f"{TARGET_POINTS} points PCKh@0.5 (largest change: {right})."
    )


def text() -> tuple[str, str]:
    """docs/export.md as it is and as it should be."""
    before = DOCUMENT.read_text(encoding="utf-8")
    made = block(read_json(RECORD) if RECORD.is_file() else None)
    return before, re.sub(".*?".join(MARKS), lambda _: made, before, flags=re.DOTALL)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, write the record and the table; Raises UserError."""
    parser = CommandLine(prog="python -m benchmarks.export", description=__doc__)
    add = parser.add_argument
    add("--torch_python", type=Path, default=Path(sys.executable), metavar="PYTHON")
    add("--hrnet", type=Path, metavar="DIR", help="leoxiaobin/deep-high-resolution-net.pytorch")
    add("--threads", type=int, default=cpu_facts()[2])
    add("--score", nargs=4, action="append", default=[],
        metavar=("WHAT", "RECIPE", "WEIGHTS", "DATA"), help="a trained network")  # fmt: skip
    add("--quick", action="store_true", help="one round, small images: does everything run?")
    add("--output", type=Path, metavar="FILE", help="record (default: results/export.json)")
    add("--table", action="store_true", help="write the table of the record, and nothing else")
    add("--scores", action="store_true", help="keep the record's times, and score again")
    given = parser.parse_args(arguments)
    if not given.table:
        for path in (given.torch_python, given.hrnet, *(p for s in given.score for p in s[2:])):
            if path is not None and not Path(path).exists():
                raise UserError(f"{path}: not there")
        write(rescored(given) if given.scores else measured(given), given.output or RECORD)
    if given.table or given.output is None:
        write_text(DOCUMENT, text()[1])


def measured(given: argparse.Namespace) -> dict[str, Any]:
    """The whole record."""
    options = Options(
        threads=given.threads,
        quick=given.quick,
        torch_python=given.torch_python.absolute(),
        hrnet=given.hrnet and given.hrnet.absolute(),
    )
    overrides = ["data.image_size_wh=[64,64]"] if given.quick else []
    batch, rounds = (1, 1) if given.quick else (HRNET_W32_COCO.eval_batch, ROUNDS)
    folder = temporary_folder() / "hrnet_w32"
    record = {
        **header(options),
        "batch": batch,
        "rounds": rounds,
        "bytes": export_seeded(folder, overrides),
        "times": timed(sides(folder, batch, overrides, options), options, rounds),
        "scored": [],
    }
    return record | {"scored": all_scored(given)}


def rescored(given: argparse.Namespace) -> dict[str, Any]:
    """The record as it is, with scores of today and the commit that they are of."""
    record = read_json(given.output or RECORD)
    return {**record, "scored": all_scored(given), "scored_by": records.code_state()}


def all_scored(given: argparse.Namespace) -> list[dict[str, Any]]:
    """Each trained network that was asked for."""
    return [
        scored(what, recipe, Path(weights).absolute(), Path(data).absolute())
        for what, recipe, weights, data in given.score
    ]


if __name__ == "__main__":
    with one_line_errors():
        main()
