"""Two people in a box: data, merging and scores against MIPNet's recorded arrays."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from paddle_pose.codecs.heatmap import HeatmapCodec
from paddle_pose.configs.crowds import CROWDPOSE
from paddle_pose.data.two_people import NOBODY, inside, partners
from reproduce.aligning import crowd_records as records
from reproduce.aligning.networks import MIPNET
from reproduce.aligning.rows import Reference, Row

NAME = "crowds"
SUMS_PX = 0.05
SUMS_REASON = "34 coordinates by a matrix of float32 points: the record's own allowance"
JOINTS_PX = 1e-3
JOINTS_REASON = "a matrix of float32 points: the record's own allowance, a pixel is 1"
FLOAT32 = 1e-6
FLOAT32_REASON = "means in float32 in the reference"
EXP_REASON = "float32 exp may differ by a step (6e-8); a cell off would be 0.1"
FIGURES = 1e-9
FIGURES_REASON = "quotients of equal counts: rounding alone"

_DB = Reference(*MIPNET, "lib/dataset/coco_lambda.py, crowdpose_lambda.py")
_ITEM = Reference(*MIPNET, "lib/dataset/JointsLambdaDataset.py __getitem__")
_MERGE = Reference(*MIPNET, "lib/core/validate.py validate_lambda_quantitative")
_LISTS = Reference(*MIPNET, "lib/dataset/coco.py, ochuman.py, crowdpose.py evaluate_lambda")
_TOOL = Reference(*MIPNET, "lib/crowdpose-api crowdposetools/cocoeval.py COCOeval")


def _row(
    step: str, precision: str, text: str, off: float, tolerance: float, why: str, whose: Reference
) -> Row:
    return Row(NAME, step, precision, text, float(off), tolerance, why, whose)


def people_rows(shared: Path) -> Iterator[Row]:
    """Owners, partners, and both people's joints in the test crops of five sets."""
    words, arrays = records.record(shared, "records")
    for name, facts in words["sets"].items():
        table = records.people(shared, name)
        own = records.annotation_ids(shared, name, table)
        ids, counts = arrays[f"{name}/ids"], arrays[f"{name}/counts"]
        found = partners(table)
        chosen = np.where(found == NOBODY, -1, own[found])
        text = f"{len(ids)} people of {name}"
        off = np.sum(own != ids[:, 1]) + np.sum(chosen != ids[:, 2])
        yield _row("data", "counts", f"{text}: other owners or partners", off, 0, "ids", _DB)
        places, recorded = np.c_[table.center_xy, table.scale_wh], arrays[f"{name}/center_scale"]
        off = np.abs(places / recorded - 1).max()
        yield _row(
            "data", "float32", f"{text}: centres and scales, relative", off, FLOAT32,
            "float32 on both sides", _DB,
        )  # fmt: skip
        border = [case[0] for case in facts["border_cases"]]
        differing, sums_off = 0, 0.0
        for index, pair in enumerate(records.both(table)):
            if own[index] in border:  # within 2e-3 px of the border rounding decides
                continue
            replaced = counts[index, 2] < 4 or found[index] == NOBODY
            seen = [np.count_nonzero(visible > 0) for _, visible in pair]
            differing += seen != [counts[index, 1], counts[index, 1 if replaced else 2]]
            differing += ids[index, 3] != own[index if replaced else found[index]]
            sums = [joints_xy.sum() for joints_xy, _ in pair]
            sums_off = max(sums_off, np.abs(sums - arrays[f"{name}/sums"][index, :2]).max())
        why = "counts, all but those whom rounding at the border decides"
        yield _row("data", "counts", f"{text}: other joints in the crop", differing, 0, why, _ITEM)
        text += ": sums of both people's joints, px"
        yield _row("data", "float64", text, sums_off, SUMS_PX, SUMS_REASON, _ITEM)


def item_rows(shared: Path) -> Iterator[Row]:
    """Samples on photos with explicit chance, and joints on and over the border."""
    words, arrays = records.record(shared, "items")
    offs = []
    for item in words["items"]:
        key, made = item["key"], records.sample(shared, item)
        joints = np.abs(made.place.joints_xy - arrays[f"{key}/joints_a"]).max()
        weights = np.sum(made.place.visible != arrays[f"{key}/vis_a"])
        targets = 0.0
        for ours, theirs in (("primary", "a"), ("secondary", "b")):
            weights += np.sum(made.targets[f"weight_{ours}"] != arrays[f"{key}/weight_{theirs}"])
            thin = made.targets[f"target_{ours}"][:, ::4, ::4]
            targets = max(targets, np.abs(thin - arrays[f"{key}/target_{theirs}_thin"]).max())
        pixels = made.image_HWC.reshape(-1, 3)
        crop = [np.abs(pixels.mean(0) - item["crop"]["mean"]).max(),
                np.abs(pixels.std(0) - item["crop"]["std"]).max()]  # fmt: skip
        offs.append([joints, weights, targets, max(crop)])
    worst, text = np.max(offs, axis=0), f"{len(offs)} samples on photos"
    yield _row("data", "float64", f"{text}: joints, px", worst[0], JOINTS_PX, JOINTS_REASON, _ITEM)
    yield _row("data", "float32", f"{text}: weights", worst[1], 0, "0 or 1", _ITEM)
    yield _row("data", "float32", f"{text}: targets", worst[2], FLOAT32, EXP_REASON, _ITEM)
    why = "OpenCV's versions interpolate otherwise: the record's own allowance"
    yield _row("data", "uint8", f"{text}: mean and spread of pixels", worst[3], 0.05, why, _ITEM)
    given = {name: arrays[f"border/{name}"] for name in ("joints_in", "vis_in", "joints_out")}
    joints_xy, seen = inside(given["joints_in"], given["vis_in"], records.SIZE_WH)
    made = HeatmapCodec(2.0).encode(joints_xy, seen, records.SIZE_WH)
    off = np.abs(joints_xy - given["joints_out"]).max()
    off += np.sum(seen != arrays["border/vis_out"])
    off += np.sum(made["weights"] != arrays["border/weight"])
    text = "joints on and over the border: places, visibility, weights"
    yield _row("data", "float64", text, off, 0, "kept or set to 0", _ITEM)
    off = np.abs(made["heatmaps"] - arrays["border/target"]).max()
    text = "joints on and over the border: targets"
    yield _row("data", "float32", text, off, FLOAT32, EXP_REASON, _ITEM)


def merge_rows(shared: Path) -> Iterator[Row]:
    """From heat maps of both people, plain and mirrored, to poses, lists and figures."""
    words, arrays = records.record(shared, "merge")
    truth = shared / "data/coco" / records.SETS["coco_val"][1]
    with tempfile.TemporaryDirectory() as folder:
        part = records.part_of(truth, set(words["image_ids"]), Path(folder))
        for run, facts in words["runs"].items():
            judge = records.evaluator("coco", CROWDPOSE[1], part)
            poses, _ = records.decoded_poses(judge, arrays["heat"], facts["box_score"])
            expected = arrays[f"{run}/preds"][:, ::-1].reshape(poses.keypoints.shape)
            off = np.abs(poses.keypoints - expected)
            text = f"{len(poses)} poses from heat maps of both people ({run})"
            yield _row("decode", "float32", f"{text}, px", off[..., :2].max(), JOINTS_PX,
                       JOINTS_REASON, _MERGE)  # fmt: skip
            yield _row("decode", "float32", f"{text}: joints' scores", off[..., 2].max(), 0,
                       "the same float32 numbers", _MERGE)  # fmt: skip
            found = records.through_file(judge, poses)
            values = judge.score(found).values  # type: ignore[union-attr]
            differing, scores_off, figures_off = 0, 0.0, 0.0
            for theirs, results in records.results_of(found).items():
                rows = facts["lists"][theirs]
                differing += results.image_ids.tolist() != [row[0] for row in rows]
                scores_off = max(scores_off, _apart(results.scores, [row[5] for row in rows]))
                figures = facts["figures"][theirs]
                off = records.figures_off(values, figures, records.LISTS[theirs])
                figures_off = max(figures_off, off)
            text = f"three merged lists ({run})"
            yield _row("decode", "counts", f"{text} that differ", differing, 0, "lists", _MERGE)
            yield _row(
                "decode", "float64", f"{text}: final scores", scores_off, FLOAT32, FLOAT32_REASON,
                _MERGE,
            )  # fmt: skip
            text = f"figures of both, primary and secondary ({run})"
            yield _row("decode", "float64", text, figures_off, FIGURES, FIGURES_REASON, _MERGE)


def list_rows(shared: Path) -> Iterator[Row]:
    """Kept poses, scores and figures of recorded predictions on three data sets."""
    for dataset, file in records.TRUTHS.items():
        words, arrays = records.record(shared, f"results_{dataset}")
        with tempfile.TemporaryDirectory() as folder:
            truth = shared / file
            if dataset == "crowdpose":
                truth = records.every(truth, 8, Path(folder))
            protocol = CROWDPOSE[0 if dataset == "crowdpose" else 1]
            judge = records.evaluator(dataset, protocol, truth)
            found = records.through_file(judge, records.recorded_poses(judge, arrays))
            values = judge.score(found).values  # type: ignore[union-attr]
            differing, scores_off, figures_off = 0, 0.0, 0.0
            for theirs, results in records.results_of(found).items():
                rows, scores = arrays[f"kept/{theirs}"], arrays[f"score/{theirs}"]
                ours, order = np.arange(len(results)), np.arange(len(rows))
                if dataset == "crowdpose":  # unsuppressed in the reference's order of batches
                    ours, order = np.argsort(results.scores), np.argsort(scores)
                expected = arrays["poses"][rows // 2, rows % 2][order]
                differing += not np.array_equal(results.keypoints[ours], expected)
                scores_off = max(scores_off, _apart(results.scores[ours], scores[order]))
                figures = words["figures"][theirs]
                off = records.figures_off(values, figures, records.LISTS[theirs])
                figures_off = max(figures_off, off)
            text = f"three lists of {words['n_predictions']} poses on {dataset}"
            yield _row("metric", "counts", f"{text} that differ", differing, 0, "lists", _LISTS)
            yield _row("metric", "float64", f"{text}: scores", scores_off, FLOAT32, FLOAT32_REASON,
                       _LISTS)  # fmt: skip
            yield _row("metric", "float64", f"{text}: figures", figures_off, FIGURES,
                       FIGURES_REASON, _LISTS)  # fmt: skip
            if variant := words.get("variant_not_in_reference"):
                judge = records.evaluator(dataset, CROWDPOSE[1], truth)
                found = records.through_file(judge, records.recorded_poses(judge, arrays))
                figures, kept = variant["figures"], len(found.results)
                values = judge.score(found).values  # type: ignore[union-attr]
                off = max(records.figures_off(
                    {n: v for n, v in values.items() if n in judge.score_names}, figures
                ), abs(kept - variant["n_kept"]))  # fmt: skip
                text = f"{dataset} with OKS-NMS at 0.9: figures, and poses kept"
                yield _row("metric", "float64", text, off, FIGURES, FIGURES_REASON, _LISTS)


def tool_rows(shared: Path) -> Iterator[Row]:
    """CrowdPose's nine figures of a results file."""
    words = json.loads((shared / "parity/metrics/crowdpose.json").read_text("utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        truth = records.every(shared / records.TRUTHS["crowdpose"], 4, Path(folder))
        judge = records.evaluator("crowdpose", CROWDPOSE[0], truth)
        found = judge.read(shared / "parity/metrics/crowdpose_results.json.gz")
        values = judge.score(found).values  # type: ignore[union-attr]
    off = max(abs(values[name] - value) for name, value in words["expected"].items())
    text = f"CrowdPose's nine figures of {words['n_predictions']} poses"
    yield _row("metric", "float64", text, off, FIGURES, FIGURES_REASON, _TOOL)


def _apart(ours: np.ndarray, theirs: np.ndarray | list[float]) -> float:
    """The largest difference; infinite for lists of other lengths."""
    return float(np.abs(ours - theirs).max()) if len(ours) == len(theirs) else np.inf
