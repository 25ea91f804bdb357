"""What light means: FastPose, the light FastPose and HRNet-W32; the table of docs/fastpose.md.

``python -m benchmarks.light`` measures them, and where the time of a training step of the light
network goes; writes ``results/light.json`` and the table in both languages. ``--table`` writes the
table alone.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks import costs, profile_step
from benchmarks.costs import FORMATS, Network, Page, ratio
from benchmarks.harness import Options
from benchmarks.results import FOLDER, markdown
from paddle_pose.errors import one_line_errors

FULL, LIGHT = "r50_136", "mobile_large"
NETWORKS = (
    Network(FULL, "FastPose-r50", "fastpose:r50_halpe136_256x192"),
    Network("r50_17", "FastPose-r50", "fastpose:r50_coco_256x192"),
    Network(LIGHT, "FastPoseMobile, large", "fastpose:mobile_large_halpe136_256x192"),
    Network("mobile_small", "FastPoseMobile, small", "fastpose:mobile_small_halpe136_256x192"),
    Network("w32", "HRNet-W32", "hrnet:w32_coco_256x192"),
)
TARGET = 2.5
"""So many times as fast as FastPose-r50 the light network is to be."""
STEP = "fastpose_mobile_large"
KINDS = {
    "depthwise": ("depthwise convolutions", "逐通道卷积"),
    "swish": ("hard-swish", "hard-swish"),
    "convolutions": ("other convolutions", "其他卷积"),
}


def shares(rows: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Kind of ``KINDS`` → its share of a step, of the rows of ``profile_step``."""
    found = dict.fromkeys(KINDS, 0.0)
    for operation, (_, milliseconds) in rows.items():
        if "depthwise" in operation:
            found["depthwise"] += milliseconds
        elif profile_step.HARD_SWISH in operation or "hardswish" in operation:
            found["swish"] += milliseconds
        elif "oneDNN convolution" in operation:
            found["convolutions"] += milliseconds
    whole = sum(milliseconds for _, milliseconds in rows.values())
    return {kind: milliseconds / whole for kind, milliseconds in found.items()}


def blocks(record: dict[str, Any]) -> tuple[str, str]:
    """The table and what it says, in English and in Chinese."""
    rows = record["networks"]
    lines = [[row["title"], f"{row['joints']}", *costs.cells(row)] for row in rows.values()]
    heads = (("network", "joints"), ("网络", "关键点"))
    tables = [markdown((*h, *t), lines) for h, t in zip(heads, costs.TITLES, strict=True)]
    captions = costs.caption(record, ("a person", "人"))
    found = {k: ratio(rows[FULL]["times"][k], rows[LIGHT]["times"][k]) for k in FORMATS}
    said = [f"{name} {found[kind]:.2f}" for kind, name in FORMATS.items() if found[kind]]
    met, first = None, found["float32"]
    if first is not None:
        met = ("yes", "达到") if first >= TARGET else ("**no**", "**未达到**")
    step, part = record["step"], shares(record["step"]["rows"])
    whole = sum(milliseconds for _, milliseconds in step["rows"].values()) / step["batch"]
    parts = [
        [f"{words[n]} {100 * part[kind]:.1f} %" for kind, words in KINDS.items()] for n in (0, 1)
    ]
    met = met or ("not measured", "未测量")
    return (
        "\n\n".join((
            tables[0],
            captions[0],
            f"FastPoseMobile-large is so many times as fast as FastPose-r50 of 136 joints: "
            f"{', '.join(said) or '–'}. Asked: at least {TARGET} in float32; met: {met[0]}.",
            f"A training step of it takes {whole:.0f} ms an image on one thread, "
            f"{step['batch']} at a time: {', '.join(parts[0])} "
            f"(`python -m benchmarks.profile_step {STEP}`).",
        )),
        "\n\n".join((
            tables[1],
            captions[1],
            f"FastPoseMobile-large 的速度是 136 个关键点的 FastPose-r50 的若干倍："
            f"{'，'.join(said) or '–'}。要求：float32 至少 {TARGET} 倍；{met[1]}。",
            f"它训练一步在单线程上每幅图像 {whole:.0f} ms，每批 {step['batch']} 幅："
            f"{'，'.join(parts[1])}（`python -m benchmarks.profile_step {STEP}`）。",
        )),
    )  # fmt: skip


PAGE = Page("light", "fastpose.md", FOLDER / "light.json", blocks)


def measure(given: argparse.Namespace, options: Options) -> dict[str, Any]:
    """Costs of the networks, and the rows of a training step of the light one."""
    changes = ["data.image_size_wh=[64,64]"] if given.quick else []
    rounds, batch = (1, 1) if given.quick else (costs.ROUNDS, costs.BATCH)
    made = costs.measured(NETWORKS, options, rounds=rounds, batch=batch, changes=changes)
    lines = profile_step.run_child(STEP, 1, 1 if given.quick else 5, quick=given.quick)
    step = {
        "batch": 1 if given.quick else profile_step.STEPS[STEP].batch,
        "rows": profile_step.rows_of(lines),
    }
    return made | {"step": step}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, write the record and the table; Raises UserError."""
    PAGE.main(arguments, __doc__ or "", measure)


if __name__ == "__main__":
    with one_line_errors():
        main()
