"""The tables of the READMEs, from the newest records: ``python -m benchmarks.readme``."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from benchmarks import before as earlier
from benchmarks import engine_scores
from benchmarks.harness import ROOT
from benchmarks.results import (
    COLUMNS,
    RIVALS,
    absent,
    amount,
    caption,
    machine,
    markdown,
    newest,
    rival_rows,
    table_rows,
)
from paddle_pose.command_line import CommandLine
from paddle_pose.errors import one_line_errors
from paddle_pose.files import write_text

BEGIN, END = "<!-- speed: written by python -m benchmarks.readme -->", "<!-- end of speed -->"
SCORES = (
    "<!-- scores by engine: written by python -m benchmarks.readme -->",
    "<!-- end of scores by engine -->",
)
BEFORE = (
    "<!-- beside an earlier commit: written by python -m benchmarks.readme -->",
    "<!-- end of beside an earlier commit -->",
)
SHORT = ("work", "precision", "ours", "best rival", "ratio", "memory, ours / rival")
SHORT_ROWS: tuple[tuple[str, ...], ...] = (
    *((f"train_{n}", f"train_{n}_bfloat16") for n in ("hourglass52", "hrnet_w32", "newell_2")),
    *(
        tuple(f"forward_{name}_{kind}" for kind in ("float32", "bfloat16", "int8"))
        for name in ("hrnet_w32", "hrnet_w48", "hourglass52")
    ),
    *(("loading",), ("decoding",), ("pckh",), ("coco_ap",)),
)
"""Works that the project's README shows, each a line; their rows, one for each precision."""
NOTHING = "No run is recorded yet: `make bench` makes one."
CHINESE_SHORT = ("工作", "精度", "本项目", "最快的对手", "比值", "内存，本项目 / 对手")
CHINESE_NOTHING = "尚无记录：用 `make bench` 生成。"
CHINESE = {
    "training step": "训练一步",
    "evaluation forward with flip": "带翻转测试的评测前向",
    "training sample from a 1280×720 JPEG": "由 1280×720 JPEG 得到训练样本",
    "one core": "单核",
    "same pixels": "像素相同",
    "heat maps of 2,958 people": "2,958 人的热图",
    "and their mirrored halves → image coordinates": "及其镜像 → 图像坐标",
    "PCKh at 51 thresholds": "51 个阈值的 PCKh",
    "2,958 people": "2,958 人",
    "5,000 images": "5,000 幅图像",
    "100,000 poses": "100,000 个姿态",
    "Newell's hourglass": "Newell 的 hourglass",
    "2 stacks @256×256": "2 个堆叠 @256×256",
    "batch": "批大小",
    "threads": "线程",
    "not measured": "未测",
}
"""Words of rows and machine, as README_cn.md has them; what is not here stays as it is."""


def in_chinese(text: str) -> str:
    """``training step, batch 2`` → ``训练一步，批大小 2``; commas within numbers stay."""
    for english, words in CHINESE.items():
        text = re.sub(rf"\b{re.escape(english)}\b", words, text)
    return text.replace(", ", "，")


def chinese_block(record: dict[str, Any] | None) -> str:
    """README_cn.md: what ``short_block`` has."""
    if record is None:
        return "\n\n".join((BEGIN, CHINESE_NOTHING, END))
    lines = [
        (in_chinese(work), kinds, ours, in_chinese(rival), *numbers)
        for work, kinds, ours, rival, *numbers in short_rows(record)
    ]
    judged = [row["met"] for row in record["rows"] if row["target"]]
    words = (
        f"{in_chinese(machine(record)).replace('commit', '提交')}。"
        f"比值大于 1 表示本项目更快{'' if rival_rows(record) else '；PyTorch 用 float32'}。"
        f"达到 {judged.count(True)} 项目标，共 {len(judged)} 项："
        "[所有各行](benchmarks/README.md#results)，附目标、内存与测量方法；"
        "[开销如何增长](benchmarks/growth.md)。"
    )
    return "\n\n".join((BEGIN, markdown(CHINESE_SHORT, lines), words, END))


def short_rows(record: dict[str, Any]) -> list[list[str]]:
    """A line for each work of SHORT_ROWS; within its cells a line for each precision."""
    named = {row["name"]: row for row in record["rows"]}
    lines = []
    for names in SHORT_ROWS:
        rows = [named[name] for name in names if name in named]
        if rows:
            work = re.sub(r", (float32|bfloat16|INT8)$", "", rows[0]["work"])
            kinds = [name.rpartition("_")[2] for name in names if name in named]
            kinds = [k if k in ("bfloat16", "int8") else "float32" for k in kinds]
            shown = "<br>".join(kinds).replace("int8", "INT8") if len(names) > 1 else ""
            cells = zip(*map(_short_cells, rows), strict=True)
            lines.append([work, shown, *map("<br>".join, cells)])
    return lines


def _short_cells(row: dict[str, Any]) -> tuple[str, str, str, str]:
    """Ours, the best rival with its name, the ratio, memory; or why there is no rival."""
    ours, theirs, unit = row["ours"], row["theirs"], row["unit"]
    note = row["note"].splitlines()[0] if row["note"] else ""
    missing = absent(row)
    if theirs:
        name = theirs["label"].partition(",")[0]
        rival = f"{amount(theirs['median'], unit).partition('/')[0]}, {name}"
        if missing:
            rival += f" (not measured: {missing})"
    else:
        rival = f"not measured: {missing or note}"
    peaks = [f"{s['peak_mib']:.0f}" if s and s["peak_mib"] else "–" for s in (ours, theirs)]
    return (
        amount(ours["median"], unit) if ours else "–",
        rival,
        f"{row['reached']:.2f}" if row["reached"] else "–",
        " / ".join(peaks) + " MiB",
    )


def short_block(record: dict[str, Any] | None) -> str:
    """The project's README: the main rows, and how many targets are met in all."""
    if record is None:
        return "\n\n".join((BEGIN, NOTHING, END))
    judged = [row["met"] for row in record["rows"] if row["target"]]
    words_on_torch = "" if rival_rows(record) else "; PyTorch runs in float32"
    words = (
        f"{machine(record)}. Ratio above 1: ours is faster{words_on_torch}. "
        f"{judged.count(True)} of {len(judged)} targets are met: "
        "[every row](benchmarks/README.md#results), with target, memory and how it is measured; "
        "[how cost grows](benchmarks/growth.md)."
    )
    return "\n\n".join((BEGIN, markdown(SHORT, short_rows(record)), words, END))


def full_block(record: dict[str, Any] | None) -> str:
    """The benchmarks' own README: every column."""
    if record is None:
        return "\n\n".join((BEGIN, NOTHING, END))
    parts = [BEGIN, markdown(COLUMNS, table_rows(record)), caption(record)]
    if lines := rival_rows(record):
        parts.append(f"Every rival in each of its settings:\n\n{markdown(RIVALS, lines)}")
    return "\n\n".join((*parts, END))


def texts() -> dict[Path, tuple[str, str]]:
    """Each file as it is and as it should be."""
    record = newest()
    blocks = {
        ROOT / "README.md": short_block(record),
        ROOT / "README_cn.md": chinese_block(record),
        ROOT / "benchmarks" / "README.md": full_block(record),
    }
    found = {}
    for file, block in blocks.items():
        before = file.read_text(encoding="utf-8")
        after = re.sub(f"{BEGIN}.*?{END}", lambda _, block=block: block, before, flags=re.DOTALL)
        scores = "\n\n".join((SCORES[0], engine_scores.block(), SCORES[1]))
        pattern = ".*?".join(SCORES)
        after = re.sub(pattern, lambda _, block=scores: block, after, flags=re.DOTALL)
        changes = "\n\n".join((BEFORE[0], earlier.block(), BEFORE[1]))
        after = re.sub(".*?".join(BEFORE), lambda _, b=changes: b, after, flags=re.DOTALL)
        found[file] = before, after
    return found


def main() -> None:
    """Write the tables, or with --check fail where they are stale."""
    parser = CommandLine(prog="python -m benchmarks.readme", description=__doc__)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    for file, (before, after) in texts().items():
        if check and before != after:
            sys.exit(f"{file.relative_to(ROOT)}: speed is stale; run python -m benchmarks.readme")
        if not check:
            write_text(file, after)


if __name__ == "__main__":
    with one_line_errors():
        main()
