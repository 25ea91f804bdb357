"""Metrics against the figures that the reference's evaluation gave (PEERS step: metric)."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from paddle_pose import configs
from paddle_pose.data import mpii
from paddle_pose.evaluation import coco as evaluation_coco
from paddle_pose.evaluation import mpii as evaluation
from paddle_pose.poses import predictions
from paddle_pose.poses.oks import oks_matrix, oks_nms, soft_oks_nms
from paddle_pose.skeletons import COCO17
from reproduce.aligning.networks import HRNET
from reproduce.aligning.rows import Reference, Row

PERCENT = 1e-9
PERCENT_REASON = "equal counts, roundings alone; one joint more or less is 2e-3"
OKS = 3e-14
OKS_REASON = "17 exps of arguments below 40 with about 5 roundings: 40 × 5 × 1.1e-16"

_PCKH = Reference(*HRNET, "lib/dataset/mpii.py MPIIDataset.evaluate")
_OKS = Reference(*HRNET, "lib/nms/nms.py oks_iou, oks_nms, soft_oks_nms")
_AP = Reference(*HRNET, "lib/dataset/coco.py evaluate with pycocotools 2.0 COCOeval")


def pckh_rows(shared: Path) -> list[Row]:
    """Two published prediction sets on all 2,958 validation people, in both pixel origins."""
    recorded = json.loads((shared / "parity/metrics/pckh.json").read_text("utf-8"))["results"]
    root = shared / "data/mpii"
    truth = mpii.truth(root, "valid")
    rows = []
    for file, conventions in recorded.items():
        for convention, expected in conventions.items():
            origin = 1 if convention.startswith("as_stored") else 0
            found = predictions.read(root / "preds" / file, origin, joints=16, skeleton="mpii16")
            scores = evaluation.score_mpii(found.poses.keypoints, truth)
            at_11 = "PCKh@0.11 (row 11; HRNet prints it as Mean@0.1)"
            wanted = {
                **expected["PCKh@0.5"],
                "Mean@0.1": expected["PCKh@0.10 (row 10)"]["Mean"],
                "Mean@0.11": expected[at_11]["Mean"],
                "AUC": expected["AUC_0_to_0.5_mean_of_51_rows_weighted14"],
            }
            off = max(abs(scores.values[name] - value) for name, value in wanted.items())
            counted = "1-based" if origin else "0-based"
            text = f"{len(wanted)} PCKh figures of {file}, read as {counted}, percent"
            row = ("mpii", "metric", "float64", text, off, PERCENT, PERCENT_REASON, _PCKH)
            ours = np.array([scores.values[name] for name in wanted])
            rows.append(Row(*row, arrays=(ours, np.array(list(wanted.values())))))
    return rows


def oks_rows(shared: Path) -> list[Row]:
    """Similarities, and which poses the suppressions keep."""
    cases = json.loads((shared / "parity/metrics/oks_nms.json").read_text("utf-8"))["cases"]
    sigmas = np.array(COCO17.oks_sigmas)
    worst, differing, suppressed = 0.0, 0, 0
    for case in cases:
        poses = np.array(case["keypoints"]).reshape(-1, 17, 3)
        scores, areas = np.array(case["score"]), np.array(case["area"])
        for key, limit in (("oks_iou", None), ("oks_iou_in_vis_thre_0.5", 0.5)):
            ours = oks_matrix(poses, areas, sigmas, min_joint_score=limit)
            worst = max(worst, float(np.abs(ours - np.array(case[key])).max()))
        for threshold in (0.9, 0.5, 0.1):
            for suffix, limit in (("all", None), ("vis0.5", 0.5)):
                for name, suppress in (("oks_nms", oks_nms), ("soft_oks_nms", soft_oks_nms)):
                    kept = suppress(poses, scores, areas, sigmas, threshold, min_joint_score=limit)
                    suppressed += 1
                    differing += kept.tolist() != case[f"keep_{name}_{threshold}_{suffix}"]
    row = ("coco", "metric", "float64")
    text = f"object keypoint similarities of {len(cases)} sets of poses"
    kept_text = f"{suppressed} suppressions (plain and soft) that keep other poses"
    return [
        Row(*row, text, worst, OKS, OKS_REASON, _OKS),
        Row(*row, kept_text, float(differing), 0.0, "counts", _OKS),
    ]


ROWS = {
    None: ("plain_cocoeval", "as they are"),
    "coco_val_detector": ("hrnet_rescored_oks_nms", "rescored, OKS-NMS"),
    "coco_val_detector_soft_nms": ("hrnet_rescored_soft_oks_nms", "rescored, soft OKS-NMS"),
}
"""Benchmark → what the record calls it, and how a row does."""


def ap_rows(shared: Path) -> list[Row]:
    """AP and AR of 1,941 recorded poses, plain and through HRNet's post-processing."""
    recorded = json.loads((shared / "parity/metrics/coco.json").read_text("utf-8"))
    truth = evaluation_coco.read_truth(
        Path(),
        "val2017",
        skeleton_name="coco17",
        annotations=shared / "data/coco/annotations/person_keypoints_val2017_subset.json",
    )
    results = shared / "parity/metrics/keypoints_results.json.gz"
    rows = []
    for name, (key, what) in ROWS.items():
        benchmark = configs.load("hrnet:w32_coco_256x192").benchmark(name) if name else None
        values, kept = evaluation_coco.score_coco_file(results, truth, benchmark)
        off = max(abs(value - recorded[key][score]) for score, value in values.items())
        lost = abs(len(kept) - recorded[key].get("n_kept", recorded["n_predictions"]))
        because = "quotients of equal counts: rounding alone"
        row = ("coco", "metric", "float64")
        text = f"{len(values)} figures of {recorded['n_predictions']} poses, {what}"
        arrays = tuple(np.array([v[n] for n in values]) for v in (values, recorded[key]))
        rows.append(Row(*row, text, off, PERCENT, because, _AP, arrays=arrays))
        rows.append(Row(*row, f"poses kept, {what}, counts", float(lost), 0.0, "counts", _AP))
    return rows


def rows(data_set: str, shared: Path) -> list[Row]:
    """Every metric of a data set."""
    return pckh_rows(shared) if data_set == "mpii" else [*oks_rows(shared), *ap_rows(shared)]
