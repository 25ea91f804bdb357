"""The tables of the READMEs, from the newest records: ``python -m benchmarks.readme``."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from benchmarks import before as earlier
from benchmarks import engine_scores
from benchmarks.harness import ROOT
from benchmarks.results import COLUMNS, caption, machine, markdown, newest, table_rows
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
SHORT = ("work", "ours", "theirs", "ratio")
SHORT_ROWS = (
    *("train_hourglass52", "train_hrnet_w32", "train_newell_2"),
    *("forward_hrnet_w32_float32", "forward_hrnet_w32_bfloat16", "forward_hourglass52_float32"),
    *("loading", "decoding", "pckh", "coco_ap"),
)
"""Rows that the project's README shows: each kind of work beside PyTorch or the official tool."""
NOTHING = "No run is recorded yet: `make bench` makes one."
CHINESE_SHORT = ("工作", "本项目", "对方", "比值")
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
    lines = [(in_chinese(work), *numbers) for work, *numbers in short_rows(record)]
    judged = [row["met"] for row in record["rows"] if row["target"]]
    words = (
        f"{in_chinese(machine(record)).replace('commit', '提交')}。"
        "比值大于 1 表示本项目更快；PyTorch 用 float32。"
        f"达到 {judged.count(True)} 项目标，共 {len(judged)} 项："
        "[所有各行](benchmarks/README.md#results)，附目标、内存与测量方法；"
        "[开销如何增长](benchmarks/growth.md)。"
    )
    return "\n\n".join((BEGIN, markdown(CHINESE_SHORT, lines), words, END))


def short_rows(record: dict[str, Any]) -> list[list[str]]:
    """The main rows."""
    columns = [COLUMNS.index(name) for name in SHORT]
    named = dict(zip((row["name"] for row in record["rows"]), table_rows(record), strict=True))
    return [[named[name][column] for column in columns] for name in SHORT_ROWS if name in named]


def short_block(record: dict[str, Any] | None) -> str:
    """The project's README: the main rows, and how many targets are met in all."""
    if record is None:
        return "\n\n".join((BEGIN, NOTHING, END))
    judged = [row["met"] for row in record["rows"] if row["target"]]
    words = (
        f"{machine(record)}. Ratio above 1: ours is faster; PyTorch runs in float32. "
        f"{judged.count(True)} of {len(judged)} targets are met: "
        "[every row](benchmarks/README.md#results), with target, memory and how it is measured; "
        "[how cost grows](benchmarks/growth.md)."
    )
    return "\n\n".join((BEGIN, markdown(SHORT, short_rows(record)), words, END))


def full_block(record: dict[str, Any] | None) -> str:
    """The benchmarks' own README: every column."""
    if record is None:
        return "\n\n".join((BEGIN, NOTHING, END))
    return "\n\n".join((BEGIN, markdown(COLUMNS, table_rows(record)), caption(record), END))


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
