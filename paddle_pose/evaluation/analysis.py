"""What kinds of errors an evaluation's poses have, and their score without each kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from paddle_pose.data.mpii import MpiiTruth
from paddle_pose.errors import UserError
from paddle_pose.evaluation.evaluator import Evaluator
from paddle_pose.evaluation.mpii import MpiiEvaluator
from paddle_pose.metrics import error_kinds, pckh
from paddle_pose.metrics.error_kinds import KINDS
from paddle_pose.skeletons import MPII16, Skeleton

if TYPE_CHECKING:
    from paddle_pose.evaluation.coco import CocoEvaluator, CocoFound

TAXONOMY = (
    "Ronchi and Perona, ICCV 2017: ks = exp(-d²/2w²) of the most similar joint of the image, "
    "its own or its twin's of any person; good from 0.85 on, jitter from 0.5 on, miss below 0.5 "
    "everywhere, inversion at the own twin, swap at another person"
)
COCO_WIDTH = "w = 2σ·√area, as in OKS; a pose belongs to a person from OKS 0.1 on"
PCKH_WIDTH = (
    "w puts ks 0.5 at half a head size (good ends at 0.242), so that jitter is what PCKh@0.5 "
    "forgives; swaps only with people of the same image who are in the split"
)
RULES = {
    "as_the_paper_corrects": "jitter to ks 0.85, misses to 0.5, inversions and swaps as near to "
    "their own joint as they were to the wrong one",
    "on_the_truth": "put exactly on their joint",
}
COCO_EDGES_PX = (32.0, 96.0)
"""Of √area, COCO's small, medium and large."""


@dataclass(frozen=True)
class Pairs:
    """P poses and the person that each belongs to.

    Attributes:
        poses_xy, truth_xy: (P, J, 2).
        visible: (P, J) 0 not labelled; 1 and 2 as the data set has them.
        widths_px: (P, J).
        sizes_px: (P,) of the person.
        kinds, similar: (P, J), see ``error_kinds.judge``.
    """

    poses_xy: np.ndarray
    truth_xy: np.ndarray
    visible: np.ndarray
    widths_px: np.ndarray
    sizes_px: np.ndarray
    kinds: np.ndarray
    similar: np.ndarray


def require_known(evaluator: Evaluator, *, asked: bool = True) -> None:
    """Raises UserError, before anything is predicted, for a data set without an analysis."""
    if not asked or isinstance(evaluator, MpiiEvaluator):
        return
    from paddle_pose.evaluation.coco import (
        CocoEvaluator as Coco,
    )  # OpenCV, which MPII does not need

    if not isinstance(evaluator, Coco) or evaluator.title == "Halpe":
        raise UserError("--analyse: knows MPII's and COCO's truth alone, not this data set's")


def scored_joints(evaluator: Evaluator) -> Skeleton:
    """The truth's joints, of which an analysis is; a network may have others beside them."""
    category = getattr(getattr(evaluator, "truth", None), "category", None)
    return evaluator.skeleton if category is None else category.skeleton


def analyse(evaluator: Evaluator, found: Any) -> dict[str, Any]:
    """Counts of kinds and scores without each, as plain data; Raises UserError for other data.

    Args:
        evaluator: of MPII or COCO, with a truth.
        found: what its ``read`` gave.
    """
    if isinstance(evaluator, MpiiEvaluator) and evaluator.truth is not None:
        images = evaluator.table.image_index
        return analyse_mpii(found.poses.keypoints, evaluator.truth, images)
    require_known(evaluator)
    return analyse_coco(cast("CocoEvaluator", evaluator), found)


def analyse_mpii(
    keypoints: np.ndarray,
    truth: MpiiTruth,
    images: np.ndarray,
    *,
    joints: np.ndarray | None = None,
) -> dict[str, Any]:
    """Of one pose for each of N people.

    Args:
        keypoints: (N, 16, 2 or 3) image pixels, 0-based.
        truth: the same people.
        images: (N,) the image of each.
        joints: (16,) bool, those that were predicted; all by default.
    """
    predicted = np.ones(len(MPII16), bool) if joints is None else joints
    visible = np.where(predicted, truth.visible, 0)
    poses_xy = np.asarray(keypoints, np.float64)[:, :, :2]
    truth_xy = truth.joints_xy - 1.0
    widths = error_kinds.pckh_widths_px(truth.head_size_px, len(MPII16))
    everyone = np.arange(len(truth))
    kinds, similar = error_kinds.judge(
        poses_xy, everyone, truth_xy, visible > 0, widths, images, MPII16.flip_order
    )
    heads = truth.head_size_px
    pairs = Pairs(poses_xy, truth_xy, visible, widths, heads, kinds, similar)

    def score(changed_xy: np.ndarray) -> dict[str, float]:
        mean = pckh.pckh(truth.errors(changed_xy), visible, MPII16, [0.5, 0.1]).mean
        return {"Mean": float(mean[0]), "Mean@0.1": float(mean[1])}

    scored = pckh.scored_joints(MPII16)
    quarters = np.unique(np.round(np.quantile(heads, [0.25, 0.5, 0.75])))
    return {
        "taxonomy": f"{TAXONOMY}; {PCKH_WIDTH}",
        "metric": "PCKh, per cent",
        "size": "head size",
        "counts": {"people": len(truth), "images": len(np.unique(images))},
        **_counted(pairs, MPII16, quarters, scored, ("labelled",)),
        "scores": _scores(pairs, score),
    }


def analyse_coco(evaluator: CocoEvaluator, found: CocoFound) -> dict[str, Any]:
    """Of the poses that COCO counts; people without a pose and poses of nobody are numbers."""
    from paddle_pose.evaluation.coco import oks_sigmas, score_results
    from paddle_pose.metrics.coco_ap import MOST_PER_IMAGE
    from paddle_pose.metrics.coco_oks import oks_by_image

    people, results = evaluator.truth.require_somebody(), found.results
    skeleton = scored_joints(evaluator)
    sigmas = oks_sigmas(skeleton)
    truth_xy, visible = people.keypoints[..., :2], people.keypoints[..., 2]
    by_image = oks_by_image(
        evaluator.truth.truth()["annotations"], results.rows(), sigmas, most_poses=MOST_PER_IMAGE
    )
    ignored = ~people.counted
    wanted = None if found.image_ids is None else set(found.image_ids.tolist())
    here = np.ones(len(people), bool) if wanted is None else np.isin(people.image_ids, [*wanted])
    row_list, owner_list, counted_poses = [], [], 0
    poses_order = np.lexsort((-results.scores, results.image_ids))
    people_order = np.argsort(people.image_ids, kind="stable")
    pose_images, people_images = results.image_ids[poses_order], people.image_ids[people_order]
    for image in np.unique(pose_images).tolist():
        if wanted is not None and image not in wanted:
            continue
        poses = poses_order[_run(pose_images, image)][:MOST_PER_IMAGE]
        counted_poses += len(poses)
        if image in by_image:
            persons = people_order[_run(people_images, image)]
            taken = error_kinds.taken(by_image[image], ignored[persons], people.crowd[persons])
            row_list += poses[taken >= 0].tolist()
            owner_list += persons[taken[taken >= 0]].tolist()
    row, owner = np.array(row_list, int), np.array(owner_list, int)
    nobody = counted_poses - len(row)
    row, owner = row[~ignored[owner]], owner[~ignored[owner]]
    widths = error_kinds.oks_widths_px(people.areas_px2, sigmas)
    poses_xy = results.keypoints[row, :, :2]
    kinds, similar = error_kinds.judge(
        poses_xy, owner, truth_xy, visible > 0, widths, people.image_ids, skeleton.flip_order
    )
    sizes = np.sqrt(people.areas_px2[owner])
    own = (truth_xy[owner], visible[owner], widths[owner])
    pairs = Pairs(poses_xy, *own, sizes, kinds, similar)

    def score(changed_xy: np.ndarray) -> dict[str, float]:
        keypoints = results.keypoints.copy()
        keypoints[row, :, :2] = changed_xy
        values = score_results(
            replace(results, keypoints=keypoints), evaluator.truth, image_ids=found.image_ids
        )
        return {name: values[name] for name in ("AP", "AP50", "AP75", "AR")}

    every = np.ones(len(skeleton), bool)
    return {
        "taxonomy": f"{TAXONOMY}; {COCO_WIDTH}",
        "metric": "COCO keypoints, fractions",
        "size": "√area",
        "counts": {
            "people": int((people.counted & here).sum()),
            "people_without_pose": int((people.counted & here).sum()) - len(row),
            "poses": counted_poses,
            "poses_of_nobody": nobody,
        },
        **_counted(pairs, skeleton, COCO_EDGES_PX, every, ("occluded", "visible")),
        "scores": _scores(pairs, score),
    }


def _run(ascending: np.ndarray, value: int) -> slice:
    """Where a value stands."""
    return slice(*np.searchsorted(ascending, [value, value + 1]))


def _counted(
    pairs: Pairs,
    skeleton: Skeleton,
    edges_px: Sequence[float] | np.ndarray,
    counted: np.ndarray,
    visibility: Sequence[str],
) -> dict[str, Any]:
    """All tables; only ``counted`` joints (J,) are in the sums."""
    kinds = np.where(counted, pairs.kinds, error_kinds.NONE)
    angles = error_kinds.rotations(pairs.truth_xy, pairs.visible > 0, skeleton)
    seen = [pairs.visible > 0]
    if len(visibility) > 1:
        seen = [pairs.visible == value for value in range(1, len(visibility) + 1)]
    return {
        "kinds": error_kinds.tally(kinds),
        "by_joint": error_kinds.by_joint(pairs.kinds, skeleton),
        "by_visibility": {
            name: error_kinds.tally(kinds[mask])
            for name, mask in zip(visibility, seen, strict=True)
        },
        "by_size": error_kinds.by_size(kinds, pairs.sizes_px, edges_px),
        "by_rotation": error_kinds.by_rotation(kinds, angles),
    }


def _scores(pairs: Pairs, score: Callable[[np.ndarray], dict[str, float]]) -> dict[str, Any]:
    """The score as it is, and without each kind and all, by both of RULES."""
    without = {name: (kind,) for kind, name in enumerate(KINDS) if kind != error_kinds.GOOD}
    kept = (pairs.poses_xy, pairs.truth_xy, pairs.widths_px, pairs.kinds, pairs.similar)
    found: dict[str, Any] = {"as_it_is": score(pairs.poses_xy)}
    for rule in RULES:
        found[rule] = {
            name: score(error_kinds.corrected(*kept, kinds, on_truth=rule == "on_the_truth"))
            for name, kinds in {**without, "all": tuple(range(1, len(KINDS)))}.items()
        }
    return found


def pooled(by_joint: dict[str, dict[str, int]], skeleton: Skeleton) -> dict[str, dict[str, int]]:
    """Left and right as one."""
    found: dict[str, dict[str, int]] = {}
    for joint, (_, what) in zip(skeleton.joints, skeleton.keys, strict=True):
        row = found.setdefault(what, dict.fromkeys(KINDS, 0))
        for kind, count in by_joint[joint].items():
            row[kind] += count
    return found


def shares(row: dict[str, int]) -> list[float]:
    """Per cent of each kind; zeros where there is no joint."""
    total = sum(row.values())
    return [100.0 * row[kind] / total if total else 0.0 for kind in KINDS]


def rows(analysis: dict[str, Any], skeleton: Skeleton) -> list[tuple[str, dict[str, int]]]:
    """What a table or picture shows: all, by joint, visibility, size, rotation."""
    seen = analysis["by_visibility"]
    parts = [
        {"all scored joints": analysis["kinds"]},
        pooled(analysis["by_joint"], skeleton),
        seen if len(seen) > 1 else {},
        {f"{analysis['size']} {name}": row for name, row in analysis["by_size"].items()},
        analysis["by_rotation"],
    ]
    return [item for part in parts for item in part.items()]


def format_table(analysis: dict[str, Any], skeleton: Skeleton) -> str:
    """Kinds by joint in per cent, then the scores without each kind."""
    lines = [f"{'errors, per cent':<28}{'joints':>9}" + "".join(f"{k:>11}" for k in KINDS)]
    for name, row in rows(analysis, skeleton):
        if total := sum(row.values()):
            lines.append(f"{name:<28}{total:>9}" + "".join(f"{s:>11.2f}" for s in shares(row)))
    scores = analysis["scores"]
    names = list(scores["as_it_is"])
    digits = 2 if "Mean" in names else 4
    lines.append(f"\n{'score without …':<28}" + "".join(f"{name:>11}" for name in names))
    listed = {"as it is": scores["as_it_is"]}
    for rule, words in (("as_the_paper_corrects", ""), ("on_the_truth", ", put on the truth")):
        listed |= {f"{kind}{words}": values for kind, values in scores[rule].items()}
    for name, values in listed.items():
        lines.append(f"{name:<28}" + "".join(f"{values[n]:>11.{digits}f}" for n in names))
    counts = ", ".join(f"{n} {k.replace('_', ' ')}" for k, n in analysis["counts"].items())
    return "\n".join([*lines, f"=> {counts}; {analysis['taxonomy']}"])
