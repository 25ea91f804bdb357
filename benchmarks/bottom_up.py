"""What BodyPoseNet costs, pruned and not, and reading 20 people; the table of docs/bodyposenet.md.

``python -m benchmarks.bottom_up`` writes ``results/bottom_up.json`` and the table in both
languages; ``--table`` writes the table alone.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from benchmarks import costs
from benchmarks.costs import FORMATS, Network, Page, ratio
from benchmarks.harness import ROOT, Child, Options, Side
from benchmarks.results import FOLDER, markdown
from benchmarks.worker import Work
from paddle_pose.errors import one_line_errors
from paddle_pose.files import read_json

if TYPE_CHECKING:
    from paddle_pose.codecs.paf_decode import Reading

THRESHOLD = 0.97
"""Of a layer's largest norm: takes about half of seeded filters, which differ little."""
NETWORKS = (
    Network("three", "3 stages", "bodyposenet:vgg19_coco"),
    Network("two", "2 stages", "bodyposenet:two_stages"),
    Network("pruned", "3 stages, pruned", "bodyposenet:vgg19_coco", threshold=THRESHOLD),
)
CHINESE = {"3 stages": "3 个阶段", "2 stages": "2 个阶段", "3 stages, pruned": "3 个阶段，剪枝后"}
SIZE_WH = (384, 288)
"""Of the strict protocol: the one that has a single size."""
PEOPLE, PICTURE_WH, MOST_MS = 20, (496, 368), 10.0
"""Of the grouping; the picture is a 640×480 one as the usual protocol makes it."""
_HALF = {
    "eye": (0.47, 0.10), "ear": (0.42, 0.12), "shoulder": (0.34, 0.26), "elbow": (0.22, 0.40),
    "wrist": (0.14, 0.54), "hip": (0.41, 0.55), "knee": (0.37, 0.75), "ankle": (0.35, 0.95),
}  # fmt: skip
STANDING = {
    "nose": (0.5, 0.13),
    "neck": (0.5, 0.26),
    **{f"right_{name}": xy for name, xy in _HALF.items()},
    **{f"left_{name}": (1 - x, y) for name, (x, y) in _HALF.items()},
}
"""Somebody seen from in front, in parts of a cell of the picture."""
SCENES = ROOT / "reproduce" / "runs" / "scenes" / "scenes.json"
PARTS = {"peaks": ("peaks", "峰值"), "limbs": ("limbs", "肢体"), "people": ("people", "人体")}
SCENES_AP = (
    ("vgg_scenes", "strict"),
    ("vgg_scenes_pruned", "strict"),
    ("vgg_scenes", "int8_strict"),
)


def crowd(people: int, size_wh: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, Reading]:
    """Maps of so many people in rows, as large as the input: (H, W, J), (H, W, 2L); how to read."""
    from paddle_pose.codecs.paf import PafCodec
    from paddle_pose.codecs.paf_decode import Reading, _enlarged
    from paddle_pose.skeletons import BODYPOSE18

    rng = np.random.default_rng(0)
    codec, columns = PafCodec(), 5
    rows = -(-people // columns)
    cell_wh = np.array(size_wh) / (columns, rows)
    pose = np.array([STANDING[name] for name in BODYPOSE18.joints])
    corners = np.stack(np.divmod(np.arange(people), columns)[::-1], 1) * cell_wh
    joints = corners[:, None] + pose * cell_wh + rng.normal(0, 1, (people, *pose.shape))
    made = codec.encode(joints, np.ones(joints.shape[:2]), size_wh)
    heat, pafs = (_enlarged(made[name], codec.stride) for name in ("heatmaps", "pafs"))
    return np.ascontiguousarray(heat[..., :-1]), pafs, Reading(codec.limbs)


def grouping(people: int, size_wh: tuple[int, int]) -> Work:
    """Maps -> peaks, limbs, people on one core; the figures are the parts' medians, in seconds."""
    from paddle_pose.system import runtime

    runtime.configure(quiet=True)
    from paddle_pose.codecs.paf_decode import MOST_PEAKS
    from paddle_pose.codecs.paf_peaks import find_peaks
    from paddle_pose.codecs.paf_people import assemble, find_limbs

    cv2.setNumThreads(1)
    heat, pafs, reading = crowd(people, tuple(size_wh))
    spent: dict[str, list[float]] = {part: [] for part in PARTS}
    found: list[int] = []

    def run() -> float:
        at = [time.perf_counter()]
        peaks = find_peaks(heat, reading.heatmap_threshold, reading.peaks).strongest(MOST_PEAKS)
        at.append(time.perf_counter())
        limbs = find_limbs(peaks, pafs, reading.limbs, reading.paf_threshold)
        at.append(time.perf_counter())
        whole = assemble(peaks, limbs, reading.limbs, heat.shape[2])
        at.append(time.perf_counter())
        found.append(len(whole.peaks))
        for part, seconds in zip(PARTS, np.diff(at), strict=True):
            spent[part].append(float(seconds))
        return at[-1] - at[0]

    def figures() -> dict[str, float]:
        return {**{part: statistics.median(each) for part, each in spent.items()},
                "found": found[-1]}  # fmt: skip

    return Work(run, figures=figures)


def blocks(record: dict[str, Any]) -> tuple[str, str]:
    """The table and what it says, in English and in Chinese."""
    rows = record["networks"]
    lines: tuple[list, list] = ([], [])
    for row in rows.values():
        filters = row["filters"]
        kept = f"{filters['kept']:,} / {filters['of']:,}" if filters else "–"
        for made, title in zip(lines, (row["title"], CHINESE[row["title"]]), strict=True):
            made.append([title, kept, *costs.cells(row)])
    heads = (("network", "filters kept"), ("网络", "保留的滤波器"))
    tables = [
        markdown((*head, *titles), made)
        for head, titles, made in zip(heads, costs.TITLES, lines, strict=True)
    ]
    faster = {k: ratio(rows["three"]["times"][k], rows["pruned"]["times"][k]) for k in FORMATS}
    times = ", ".join(
        f"{name} {faster[kind]:.2f}" for kind, name in FORMATS.items() if faster[kind]
    )
    group = record["grouping"]
    whole = 1e3 * group["median"]
    parts = [
        ", ".join(f"{words[n]} {1e3 * group['parts'][part]:.1f}" for part, words in PARTS.items())
        for n in (0, 1)
    ]
    met = ("yes", "达到") if whole <= MOST_MS else ("**no**", "**未达到**")
    width, height = group["size_wh"]
    scores = scores_on_scenes()
    english = (
        tables[0],
        f"Pruned: of seeded weights the filters whose norm is below {THRESHOLD} of their layer's "
        "largest, layers that are added by union; says what a network of that size costs, "
        f"{times or '–'} times as fast as 3 stages, not what it scores. {scores[0]}",
        costs.caption(record, ("a picture", ""))[0],
        f"Reading {group['people']} people off maps of {height}×{width}, one core: {whole:.1f} ms "
        f"({parts[0]}; {group['parts']['found']} people found). Asked: at most {MOST_MS:g} ms; "
        f"met: {met[0]}. Enlarging the maps is not in it.",
    )
    chinese = (
        tables[1],
        f"剪枝：在固定种子的权重中，去掉范数低于本层最大值 {THRESHOLD} 倍的滤波器，"
        "相加的各层取并集；"
        f"表示这种大小的网络的开销（速度是 3 个阶段的 {times or '–'} 倍），不表示精度。{scores[1]}",
        costs.caption(record, ("", "幅图片"))[1],
        f"从 {height}×{width} 的图中读出 {group['people']} 人，单核：{whole:.1f} ms"
        f"（{parts[1]}；找到 {group['parts']['found']} 人）。要求：至多 {MOST_MS:g} ms；{met[1]}。"
        "不含图的放大。",
    )
    return "\n\n".join(english), "\n\n".join(chinese)


def scores_on_scenes() -> tuple[str, str]:
    """AP of a small trained network, whole, pruned and in INT8; or that there is none."""
    found = read_json(SCENES)["over_seeds"] if SCENES.is_file() else {}
    values = [
        found.get(name, {}).get(way, {}).get("all", {}).get("mean") for name, way in SCENES_AP
    ]
    if None in values:
        return (
            "No column of AP: no pruned network is trained yet.",
            "没有 AP 一栏：尚无训练过的剪枝网络。",
        )
    whole, pruned, int8 = (f"{value:.3f}" for value in values)
    return (
        f"No column of AP: none of these is trained; a small network of rendered scenes has "
        f"{whole}, pruned by half and trained again {pruned}, in INT8 {int8} "
        "([report](../reproduce/REPORT.md)).",
        f"没有 AP 一栏：以上网络未经训练；渲染场景上的小网络为 {whole}，"
        f"剪去一半并再训练后 {pruned}，"
        f"INT8 {int8}（[报告](../../reproduce/REPORT.md)）。",
    )


PAGE = Page("bottom_up", "bodyposenet.md", FOLDER / "bottom_up.json", blocks)


def measure(given: argparse.Namespace, options: Options) -> dict[str, Any]:
    """Costs of the networks, then the grouping."""
    width, height = (64, 64) if given.quick else SIZE_WH
    rounds, batch = (1, 1) if given.quick else (costs.ROUNDS, 4)
    size = [f"data.image_size_wh=[{width},{height}]"]
    made = costs.measured(NETWORKS, options, rounds=rounds, batch=batch, changes=size)
    how = {"people": PEOPLE, "size_wh": list(PICTURE_WH)}
    side = Side("benchmarks.bottom_up:grouping", "grouping", how)
    with Child(side, Options(threads=1)) as child:
        child.wait_ready()
        for turn in range(3 if given.quick else 50):
            child.run(keep=turn > 1)
        parts = child.figures()
        whole = statistics.median(child.samples)
    return made | {"grouping": {**how, "median": whole, "parts": parts}}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, write the record and the table; Raises UserError."""
    PAGE.main(arguments, __doc__ or "", measure)


if __name__ == "__main__":
    with one_line_errors():
        main()
