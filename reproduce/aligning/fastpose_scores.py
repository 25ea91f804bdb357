"""Halpe's five figures, and COCO's of results with boxes, against the official tools' records."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from paddle_pose.metrics.coco_ap import coco_ap
from paddle_pose.metrics.halpe import halpe_ap, on_images, parts_of
from paddle_pose.skeletons import COCO17, HALPE136
from reproduce.aligning.rows import Reference, Row

NAME = "fastpose"
HALPE = ("halpe_bbox", "halpe_no_bbox", "halpe_parts")
COCO = ("coco", "coco_with_xyxy_in_bbox")
SIGMAS = np.array(HALPE136.oks_sigmas)

FIGURES, FIGURES_REASON = 1e-9, "means of quotients of equal counts: rounding alone"
OKS, OKS_REASON = 1e-9, "recorded with ten digits (5e-11), sums in another order"

ROOTS = {
    "metric": (
        "paddle_pose.metrics.halpe.halpe_ap",
        "paddle_pose.metrics.coco_ap.coco_ap",
        "paddle_pose.skeletons.HALPE136",
    ),
}

_TOOL = Reference(
    "Fang-Haoshu/Halpe-FullBody",
    "70d6014c007c765adc65f5f0145d3f0999ab1135",
    "HalpeCOCOAPI/PythonAPI/halpecocotools/cocoeval.py COCOeval",
)
_COCO = Reference(
    "MVIG-SJTU/AlphaPose",
    "c60106d19afb443e964df6f06ed1842962f5f1f7",
    "alphapose/utils/metrics.py evaluate_mAP (pycocotools 2.0.11)",
)


def jobs(
    shared: Path | None, quick: bool
) -> list[tuple[str, int, Callable[[Callable[[], None]], list[Row]]]]:
    """Name, weight and maker of rows, as ``align.Job`` has them; quick has none."""
    if shared is None or quick:
        return []
    return [("scores", 1, lambda tick: list(rows(shared)))]


def rows(shared: Path) -> Iterator[Row]:
    """Figures of five recorded sets of poses, and every OKS of two."""
    recorded = record(shared)["eval"]
    for name in HALPE:
        words = recorded[name]
        truth, results = files(shared, words)
        values, _ = halpe_ap(truth, results, sigmas=SIGMAS)
        text = f"the fifty figures of {words['detections']} poses of 136 joints ({name})"
        off = figures_off(values, words["stats"])
        yield Row(NAME, "metric", "float64", text, off, FIGURES, FIGURES_REASON, _TOOL)
        if "oks_per_image" in words:
            images = on_images(truth, results, len(SIGMAS))
            off = max(
                float(np.abs(images[int(i)].of(slice(*parts_of(136)[_part(part)]), SIGMAS).oks
                             - np.array(values)).max())
                for i, parts in words["oks_per_image"].items()
                for part, values in parts.items()
            )  # fmt: skip
            text = f"OKS of every pose and person, part by part ({name})"
            yield Row(NAME, "metric", "float32", text, off, OKS, OKS_REASON, _TOOL)
    for name in COCO:
        words = recorded[name]
        truth, results = files(shared, words)
        values = coco_ap(truth, results, sigmas=COCO17.oks_sigmas)
        boxes = "corners in 'bbox'" if "xyxy" in name else "no boxes"
        text = f"COCO's ten figures of {len(results)} poses, {boxes}"
        off = figures_off(values, {"fullbody": words["stats"]})
        yield Row(NAME, "metric", "float64", text, off, FIGURES, FIGURES_REASON, _COCO)


def record(shared: Path) -> dict[str, Any]:
    """What the official tools computed."""
    return json.loads((shared / "parity/alphapose/evaluation.json").read_text("utf-8"))


def files(shared: Path, words: Mapping[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Truth and results of an entry; corners as ``validate_gt`` writes them where it says so."""
    folder = shared / "parity/alphapose"
    if "truth" not in words:
        words = {**record(shared)["eval"]["coco"], "corners": True}
    named = words["truth"].split(" ")[0]
    here = named.startswith("shared/")
    path = shared / named.removeprefix("shared/") if here else folder / named
    results = _read(folder / words["results"])
    if "corners" in words:
        for one in results:
            x, y = one["keypoints"][:2]
            one["bbox"] = [x - 20, y - 20, x + 60, y + 120]
    return _read(path), results


def _read(path: Path) -> Any:
    content = path.read_bytes()
    return json.loads(gzip.decompress(content) if path.suffix == ".gz" else content)


def _part(theirs: str) -> str:
    return "" if theirs == "fullbody" else theirs


def figures_off(values: Mapping[str, float], stats: Mapping[str, Mapping[str, float]]) -> float:
    """The largest difference to the tool's figures by part (``APm`` is APM here)."""
    ours = {name.upper(): value for name, value in values.items()}
    return max(
        abs(ours[f"{score}_{_part(part)}".strip("_").upper()] - value)
        for part, scores in stats.items()
        for score, value in scores.items()
    )
