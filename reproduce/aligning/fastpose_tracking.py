"""From poses to tracked people: pose-NMS, PoseFlow and AlphaPose's results, as recorded."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from paddle_pose.poses import alphapose_json as forms
from paddle_pose.poses import pose_nms as nms
from paddle_pose.poses.oks import oks_nms, rescored
from paddle_pose.poses.poseflow import PoseFlow
from reproduce.aligning.rows import Reference, Row

_ALPHAPOSE = "MVIG-SJTU/AlphaPose", "c60106d19afb443e964df6f06ed1842962f5f1f7"
_NMS = Reference(*_ALPHAPOSE, "alphapose/utils/pPose_nms.py pose_nms")
_OKS = Reference(*_ALPHAPOSE, "alphapose/utils/pPose_nms.py oks_pose_nms")
_FLOW = Reference(*_ALPHAPOSE, "trackers/PoseFlow/poseflow_infer.py PoseFlowWrapper.step")
_JSON = Reference(*_ALPHAPOSE, "alphapose/utils/pPose_nms.py write_json")

EXACT = "picks and members keep in float64 and under 1e-4 px of noise: the record tried it"
POSES_PX, SCORES, GRADES = 1e-3, 1e-5, 1e-9
POSES_REASON = "float32 means of pixels up to 2,000 in the reference: the record's own allowance"
SCORES_REASON = "float32 means in the reference: the record's own allowance"
GRADES_REASON = "doubles on both sides, added in another order"

ROOTS = {
    "decode": (
        "paddle_pose.poses.pose_nms.pose_nms",
        "paddle_pose.poses.pose_nms.proposal_scores",
        "paddle_pose.poses.pose_nms.oks_nms_sigmas",
        "paddle_pose.poses.pose_nms.REGRESSION",
        "paddle_pose.poses.oks.oks_nms",
        "paddle_pose.poses.oks.rescored",
        "paddle_pose.poses.poseflow.PoseFlow",
        "paddle_pose.poses.alphapose_json.records",
        "paddle_pose.poses.alphapose_json.picture",
    )
}


def jobs(
    shared: Path | None, quick: bool
) -> list[tuple[str, int, Callable[[Callable[[], None]], list[Row]]]]:
    """Name, weight and maker of rows, as ``align.Job`` has them."""
    if shared is None:
        return []
    parts = {"pose-NMS": nms_rows, "PoseFlow": flow_rows, "results": json_rows}
    return [(what, 1, lambda tick, make=make: list(make(shared))) for what, make in parts.items()]


def _row(
    precision: str, text: str, off: float, tolerance: float | None, why: str, whose: Reference
) -> Row:
    return Row("fastpose", "decode", precision, text, float(off), tolerance, why, whose)


@functools.lru_cache(maxsize=2)
def _record(shared: Path, name: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    folder = shared / "parity" / "alphapose"
    words = json.loads((folder / f"{name}.json").read_text("utf-8"))
    file = folder / f"{name}.npz"
    return words, dict(np.load(file)) if file.is_file() else {}


def _kept(scene: dict[str, Any], arrays: dict[str, np.ndarray], mode: str) -> nms.Merged:
    name = scene["key"].partition("/")[0]
    poses = np.concatenate([arrays[f"{name}/in_poses"], arrays[f"{name}/in_scores"]], -1)
    corners = arrays[f"{name}/in_boxes"].astype(np.float64)
    boxes = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], 1)
    constants = nms.HEAT if scene["constants"] == "heat" else nms.REGRESSION
    area = scene["min_box_area"]
    return nms.pose_nms(poses, boxes, constants, mode=mode, min_area_px2=area)


def _title(scene: dict[str, Any]) -> str:
    leaked = scene["constants"] not in ("heat", "regression")
    area = f", least area {scene['min_box_area']} px²" if scene["min_box_area"] else ""
    return f"{scene['K']} joints, {'leaked' if leaked else scene['constants']} constants{area}"


@dataclass(frozen=True)
class Crowd:
    """What a mode of pose-NMS keeps of recorded scenes of one kind.

    Attributes:
        title: joints and constants.
        mode: of ``pose_nms.MODES``.
        scenes, people, candidates, kept: in all.
        more, fewer: scenes in which more are kept than there are people, or fewer.
    """

    title: str
    mode: str
    scenes: int
    people: int
    candidates: int
    kept: int
    more: int
    fewer: int


def crowds(shared: Path) -> list[Crowd]:
    """The table of what ``reference`` and ``fixed`` keep; a row for each kind of scene and mode."""
    words, arrays = _record(shared, "pose_nms")
    found = []
    for title in dict.fromkeys(map(_title, words["scenes"])):
        scenes = [scene for scene in words["scenes"] if _title(scene) == title]
        people, candidates = ([scene[k] for scene in scenes] for k in ("people", "candidates"))
        for mode in nms.MODES:
            kept = [len(_kept(scene, arrays, mode)) for scene in scenes]
            pairs = list(zip(kept, people, strict=True))
            more, fewer = sum(k > p for k, p in pairs), sum(k < p for k, p in pairs)
            sums = len(scenes), sum(people), sum(candidates), sum(kept)
            found.append(Crowd(title, mode, *sums, more, fewer))
    return found


def nms_rows(shared: Path) -> Iterator[Row]:
    """Recorded scenes: picks, members, merged poses; how many people each mode keeps."""
    words, arrays = _record(shared, "pose_nms")
    worst: dict[str, np.ndarray] = {}
    for scene in words["scenes"]:
        key, merged = scene["key"], _kept(scene, arrays, "reference")
        off = worst.setdefault(_title(scene), np.zeros(3))
        members = [own.tolist() for own in merged.members]
        if (merged.picks.tolist(), members) != (scene["picks"], scene["merged_ids"]):
            off[0] += 1
            continue
        recorded = np.concatenate([arrays[f"{key}/poses"], arrays[f"{key}/scores"]], -1)
        apart = np.abs(merged.keypoints - recorded)
        boxes = arrays[f"{key.partition('/')[0]}/in_box_scores"][merged.picks, 0]
        whole = nms.proposal_scores(merged.keypoints, boxes) if len(merged) else boxes
        off[1] = max(off[1], apart[..., :2].max(initial=0))
        off[2] = max(off[2], apart[..., 2].max(initial=0),
                     np.abs(whole - scene["proposal_scores"]).max(initial=0))  # fmt: skip
    for title, off in worst.items():
        text = f"pose-NMS, {title}"
        yield _row("counts", f"{text}: scenes with other picks or members", off[0], 0, EXACT, _NMS)
        yield _row("float64", f"{text}: poses, px", off[1], POSES_PX, POSES_REASON, _NMS)
        yield _row("float64", f"{text}: scores", off[2], SCORES, SCORES_REASON, _NMS)
    for crowd in crowds(shared):
        if crowd.scenes < 30:  # few scenes of one constant each
            continue
        text = f"pose-NMS, {crowd.title}, {crowd.mode}: people kept of {crowd.people} in "
        text += f"{crowd.scenes} scenes, {crowd.candidates} poses"
        why = f"an effect: more than there are in {crowd.more} scenes, fewer in {crowd.fewer}"
        yield _row("counts", text, crowd.kept, None, why, _NMS)
    differing, off = 0, 0.0
    for case in words["oks"]:
        joints, given = case["K"], case["inputs"]
        poses = arrays[f"oks{joints}/keypoints"].astype(np.float64)
        ids, box, areas = (
            np.array([one[k] for one in given]) for k in ("image_id", "score", "area")
        )
        scores = rescored(poses, box)
        sigmas = np.array(nms.oks_nms_sigmas(max(joints, 26))[:joints])
        kept: list[int] = []
        for image_id in dict.fromkeys(ids.tolist()):
            rows = np.flatnonzero(ids == image_id)
            one = poses[rows], scores[rows], areas[rows], sigmas, nms.OKS_THRESHOLD
            kept += rows[oks_nms(*one)].tolist()
        differing += kept != case["kept"]
        if kept == case["kept"]:
            off = max(off, float(np.abs(scores[kept] - case["scores"]).max()))
    text = "OKS-NMS of 17, 26 and 136 joints"
    yield _row("counts", f"{text}: lists that differ", differing, 0, "lists", _OKS)
    yield _row("float64", f"{text}: scores", off, SCORES, SCORES_REASON, _OKS)


def flow_rows(shared: Path) -> Iterator[Row]:
    """Recorded sequences without and with shared points: ids and grades."""
    words, arrays = _record(shared, "poseflow")
    for way, said in (("no_orb", "without"), ("with_correspondences", "with")):
        differing, off, frames = 0, 0.0, 0
        for sequence in words["sequences"]:
            flow, name = PoseFlow(), sequence["name"]
            for frame in sequence[way]["frames"]:
                number, points = frame["frame"], None
                if number and way != "no_orb":
                    points = arrays[f"{name}/cor{number - 1:02d}"]
                poses = arrays[f"{name}/frame{number:02d}"]
                found = flow(poses, tuple(sequence["size_wh"]), points)
                differing += found.ids.tolist() != frame["ids"]
                differing += found.candidates.tolist() != frame.get("candidates", [])
                off = max(off, np.abs(found.match_scores - frame["match_scores"]).max())
                if number:
                    off = max(off, np.abs(found.grades - frame["grades"]).max())
                frames += 1
        text = f"PoseFlow {said} shared points, {frames} frames"
        why = "numbers; pairs below 0.2, which ties decide, get none"
        yield _row("counts", f"{text}: other ids or candidates", differing, 0, why, _FLOW)
        yield _row("float64", f"{text}: grades", off, GRADES, GRADES_REASON, _FLOW)


def json_rows(shared: Path) -> Iterator[Row]:
    """Files in AlphaPose's forms, as text."""
    differing = count = 0
    for case in _record(shared, "json_output")[0]["cases"].values():
        for form in ("alphapose", "alphapose_eval", "cmu", "open"):
            key = {"alphapose": "default", "alphapose_eval": "default_for_eval"}.get(form, form)
            differing += json.dumps(_document(case["input"], form)) != case[key]["text"]
            count += 1
    yield _row("text", f"{count} results files that differ", differing, 0, "text for text", _JSON)


def _document(images: list[dict[str, Any]], form: str) -> Any:
    listed: list[dict[str, Any]] = []
    pictures = {}
    for image in images:
        name, people = forms.base_name(image["imgname"]), image["result"]
        parts = [[one[key] for one in people] for key in ("keypoints", "kp_score")]
        poses = np.concatenate(parts, -1)
        if form in forms.KEYS:
            pictures[name] = forms.picture(poses, form)
            continue
        for pose, one in zip(poses, people, strict=True):
            image_id = int(forms.stem(name)) if form == "alphapose_eval" else name
            box = np.array([one["box"]]) if "box" in one else None
            ids = [one["idx"]] if "idx" in one else None
            score = np.array(one["proposal_score"])
            listed += forms.records(image_id, pose[None], score, box, ids)
    return pictures if form in forms.KEYS else listed
