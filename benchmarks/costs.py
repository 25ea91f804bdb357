"""What networks cost side by side: numbers, file, time in four formats, memory.

Each network is made once, with seeded weights, and exported; then format by format all networks
run in turn, A B C A B C, each in a process of its own. ``light.py`` and ``bottom_up.py`` say which.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import re
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.harness import ROOT, Child, Options, Side, SideError
from benchmarks.networks import load_recipe, paddle_facts
from benchmarks.pipeline import temporary_folder
from benchmarks.results import header, machine, write
from benchmarks.worker import SkippedError, Work
from paddle_pose.command_line import CommandLine
from paddle_pose.errors import UserError
from paddle_pose.files import read_json, write_text
from paddle_pose.system.runtime import cpu_facts

FORMATS = {"float32": "float32", "bfloat16": "bfloat16", "onnx": "ONNX", "int8": "INT8"}
"""What is timed and how tables call it: compiled in two precisions, exported in two formats."""
WARM_UP_STEPS = 10
"""Training-mode passes that give seeded weights statistics, without which INT8 has no levels."""
ROUNDS, BATCH = 7, 8


@dataclass(frozen=True)
class Network:
    """A row: the recipe with changes, pruned by the official rule where a threshold is given."""

    name: str
    title: str
    recipe: str
    changes: tuple[str, ...] = ()
    threshold: float = 0.0


def made(
    network: dict[str, Any],
    changes: Sequence[str],
    folder: str,
    formats: Sequence[str] = ("onnx", "int8"),
    *,
    checked: bool = True,
) -> Work:
    """Sets up nothing but the network's files; the facts are what it costs.

    INT8 is refused where its outputs differ too much from the network's. Those of a deep network
    with seeded weights hardly depend on the picture: not ``checked``, they are only timed.
    """
    one = Network(**network)
    recipe = load_recipe(one.recipe, (*one.changes, *changes))
    import numpy as np
    import paddle

    from paddle_pose.commands.prune import retraining
    from paddle_pose.inference import export as exporting
    from paddle_pose.models import pruning
    from paddle_pose.models.build import build
    from paddle_pose.models.counting import count
    from paddle_pose.recipes.recipe import dump_yaml
    from paddle_pose.skeletons import skeleton_named
    from paddle_pose.weights.checkpoint import save_weights

    width, height = recipe.data.image_size_wh
    paddle.seed(0)
    built = build(recipe.model)
    built.train()
    with paddle.no_grad():
        for _ in range(WARM_UP_STEPS):
            built(paddle.randn([2, 3, height, width]))
    filters: dict[str, int] = {}
    if one.threshold:
        before, channels = pruning.widths(built), pruning.follow(built)
        kept = pruning.choose(built, pruning.PruningRule(one.threshold), channels)
        pruning.shrink(built, kept, channels)
        recipe, _ = retraining(recipe, {name: len(places) for name, places in kept.items()})
        filters = {"of": sum(before.values()), "kept": sum(pruning.widths(built).values())}
    counts, place = count(built, (width, height)), Path(folder)
    save_weights(built, place / "model.pdparams")
    write_text(place / "recipe.yaml", dump_yaml(recipe))
    crops = np.random.default_rng(0).integers(0, 256, (8, height, width, 3), np.uint8)
    skeleton, note = skeleton_named(recipe.data.skeleton), ""
    if not checked:
        exporting.int8_bound = lambda _: math.inf
    try:
        exporting.export(built, recipe, skeleton, place / "served", formats, calibration=crops)
    except UserError as error:  # what passed is kept
        note = str(error)
    files = {"weights": place / "model.pdparams", "int8": place / "served" / "int8" / "model.bin"}
    sizes = {name: file.stat().st_size for name, file in files.items() if file.is_file()}
    facts = {"parameters": counts.parameters, "macs": counts.macs, "bytes": sizes, "note": note}
    facts |= {"filters": filters, "size_wh": [width, height], "joints": len(skeleton.joints)}
    return Work(lambda: None, facts=facts)


def forward(folder: str, kind: str, batch: int) -> Work:
    """Bytes of images -> outputs, without mirrored ones, by the files that ``made`` wrote."""
    import numpy as np

    from paddle_pose.system import runtime

    runtime.configure(quiet=True)
    runtime.import_paddle()
    from paddle_pose.inference.engine import choose, make_forward
    from paddle_pose.inference.exported import Exported
    from paddle_pose.inference.predictor import trained

    place = Path(folder)
    try:
        if kind in ("onnx", "int8"):
            network = Exported(place / "served" / kind)
            run, (width, height) = network.forward(flip_test=False), network.card.size_wh
        else:
            choose("onednn", kind, people=batch)
            network, recipe, _ = trained(place / "model.pdparams", str(place / "recipe.yaml"))
            width, height = recipe.data.image_size_wh
            run = make_forward(network, recipe.data, flip_test=False, engine="onednn",
                               precision=kind, batch_size=batch)  # fmt: skip
    except UserError as error:  # no bfloat16 on this CPU, or it could not be exported
        raise SkippedError(str(error)) from error
    images = np.random.default_rng(0).integers(0, 256, (batch, height, width, 3), np.uint8)
    return Work(lambda: run(images) and None, units=batch, facts=paddle_facts(0.0))


def in_turn(sides: Sequence[Side], options: Options, rounds: int) -> list[dict[str, Any]]:
    """What the record keeps of each side: times of all rounds, or a note why there are none."""
    found: dict[str, dict[str, Any]] = {}
    with contextlib.ExitStack() as stack:
        children = []
        for side in sides:
            child = stack.enter_context(Child(side, options))
            try:
                child.wait_ready()
                child.run(keep=False)
                children.append(child)
            except SideError as error:
                found[side.label] = {"note": str(error).splitlines()[0]}
        for _ in range(rounds):
            for child in list(children):
                try:
                    child.run()
                except SideError as error:
                    found[child.side.label] = {"note": str(error).splitlines()[0]}
                    children.remove(child)
        found |= {child.side.label: child.measured() for child in children}
    return [found[side.label] for side in sides]


def measured(
    networks: Sequence[Network],
    options: Options,
    *,
    rounds: int,
    batch: int,
    changes: Sequence[str] = (),
) -> dict[str, Any]:
    """Network → its facts and ``times`` by format."""
    root, rows = temporary_folder(), {}
    for network in networks:
        (root / network.name).mkdir()
        how = {"network": asdict(network), "changes": list(changes)}
        how["folder"] = str(root / network.name)
        with Child(Side(f"{__name__}:made", network.title, how), options) as child:
            try:
                child.wait_ready()
            except SideError as error:
                raise UserError(f"{network.title}: {error}") from error
            rows[network.name] = {**asdict(network), **child.facts, "times": {}}
        print(f"=> {network.title}: made and exported", flush=True)
    for kind in FORMATS:
        sides = [
            Side(f"{__name__}:forward", one.name,
                 {"folder": str(root / one.name), "kind": kind, "batch": batch},
                 environment={"PADDLE_POSE_ENGINES": "0"})
            for one in networks
        ]  # fmt: skip
        for network, found in zip(networks, in_turn(sides, options, rounds), strict=True):
            rows[network.name]["times"][kind] = found
        print(f"=> {kind}: {rounds} rounds", flush=True)
    return {"networks": rows, "rounds": rounds, "batch": batch}


def ratio(slower: dict[str, Any], faster: dict[str, Any]) -> float | None:
    """Median over the rounds of one's time by the other's; None where one is not measured."""
    if "samples" not in slower or "samples" not in faster:
        return None
    pairs = zip(slower["samples"], faster["samples"], strict=True)
    return statistics.median(one / other for one, other in pairs)


def cells(row: dict[str, Any]) -> list[str]:
    """Parameters, GMACs, files, times in ms by format, memory: the columns of ``TITLES``."""
    times = row["times"]
    sizes = [row["bytes"].get(name) for name in ("weights", "int8")]
    peaks = [times[kind].get("peak_mib") for kind in ("float32", "int8")]
    return [
        f"{row['parameters']:,}",
        f"{row['macs'] / 1e9:.2f}",
        " / ".join(f"{size / 2**20:.1f}" if size else "–" for size in sizes),
        *(f"{1e3 * t['median']:.1f}" if "median" in (t := times[kind]) else "–"
          for kind in FORMATS),
        " / ".join(f"{peak:.0f}" if peak else "–" for peak in peaks),
    ]  # fmt: skip


TITLES = (
    ("parameters", "GMACs", "MiB, float32 / INT8", *FORMATS.values(), "memory, MiB"),
    ("参数", "GMACs", "MiB，float32 / INT8", *FORMATS.values(), "内存，MiB"),
)
"""Of ``cells``, in English and in Chinese."""


def caption(record: dict[str, Any], unit: tuple[str, str]) -> tuple[str, str]:
    """How it was measured, in both languages; ``unit`` is what a time is of."""
    rows = record["networks"].values()
    width, height = next(iter(rows))["size_wh"]
    sides = [one for row in rows for one in row["times"].values() if "facts" in one]
    where = machine({**record, "rows": [{"ours": one, "theirs": None} for one in sides]})
    where = where.replace("PyTorch –, ", "")
    rounds, batch = record["rounds"], record["batch"]
    notes = {t["note"] for row in rows for t in row["times"].values() if "note" in t}
    notes |= {row["note"] for row in rows if row["note"]}
    said = "".join(f" {one.splitlines()[0].rstrip('.')}." for one in sorted(notes))
    return (
        f"Times: ms {unit[0]} at {height}×{width} (height × width), {batch} at a time, no "
        "flip test; float32 and bfloat16 compiled (Paddle Inference with oneDNN), ONNX by "
        "ONNX Runtime, INT8 by OpenVINO. "
        "Memory: peak of a process of its own, float32 / INT8. Weights are seeded, not trained. "
        f"{where}. Medians of {rounds} rounds, all networks in turn.{said}",
        f"时间：{height}×{width}（高 × 宽）下每{unit[1]}的毫秒数，每批 {batch} 个，"
        "无翻转测试；float32 与 bfloat16 为编译后的网络（Paddle Inference 与 oneDNN），"
        "ONNX 由 ONNX Runtime 运行，"
        "INT8 由 OpenVINO 运行。内存：单独进程的峰值，float32 / INT8。权重为固定种子的随机值，"
        f"未经训练。{where}。{rounds} 轮的中位数，各网络轮流运行。{said}",
    )


NOTHING = "No run is recorded yet: `{}` makes one.", "尚无记录：用 `{}` 生成。"


@dataclass(frozen=True)
class Page:
    """A table of a page of docs/ and of its Chinese twin, made from a record.

    Attributes:
        name: of the command's module, the record and the marks.
        blocks: of a record, in English and in Chinese.
    """

    name: str
    page: str
    record: Path
    blocks: Callable[[dict[str, Any]], tuple[str, str]]

    def texts(self) -> dict[Path, tuple[str, str]]:
        """Each page as it is and as it should be."""
        command = f"python -m benchmarks.{self.name}"
        marks = f"<!-- {self.name}: written by {command} -->", f"<!-- end of {self.name} -->"
        blocks = tuple(one.format(command) for one in NOTHING)
        if self.record.is_file():
            blocks = self.blocks(read_json(self.record))
        found = {}
        for folder, block in zip(("docs", "docs/cn"), blocks, strict=True):
            file = ROOT / folder / self.page
            before, whole = (
                file.read_text(encoding="utf-8"),
                "\n\n".join((marks[0], block, marks[1])),
            )
            found[file] = (
                before,
                re.sub(".*?".join(marks), lambda _, w=whole: w, before, flags=re.S),
            )
        return found

    def main(
        self,
        arguments: Sequence[str] | None,
        doc: str,
        measure: Callable[[argparse.Namespace, Options], dict[str, Any]],
    ) -> None:
        """Measure, write the record and the pages; Raises UserError."""
        parser = CommandLine(prog=f"python -m benchmarks.{self.name}", description=doc)
        add = parser.add_argument
        add("--threads", type=int, default=cpu_facts()[2], help="default: every core")
        add("--quick", action="store_true", help="one round, small images: does everything run?")
        add("--output", type=Path, metavar="FILE", help=f"record (default: {self.record.name})")
        add("--table", action="store_true", help="write the record's table, and nothing else")
        given = parser.parse_args(arguments)
        if given.threads < 1:
            raise UserError(f"--threads {given.threads}: must be at least 1")
        if given.table and (given.quick or given.output):
            raise UserError("--table: measures nothing; leave out --quick and --output")
        if given.quick and given.output is None:
            raise UserError("--quick: name a record with --output FILE; the kept one is whole")
        if not given.table:
            options = Options(threads=given.threads, quick=given.quick)
            try:
                record = {**header(options), **measure(given, options)}
            except SideError as error:
                raise UserError(str(error).splitlines()[0]) from error
            write(record, given.output or self.record)
            print("\n\n".join(self.blocks(record)[:1]))
        if given.output is None:
            for file, (_, after) in self.texts().items():
                write_text(file, after)
