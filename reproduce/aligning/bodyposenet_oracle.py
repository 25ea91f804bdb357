"""BodyPoseNet without a network: targets and noise through the decoder to AP, its ceiling.

Recorded poses are equalled; then rows without a tolerance say what each choice of ours is worth.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from paddle_pose.codecs.paf import PafCodec
from paddle_pose.codecs.views import View
from paddle_pose.codecs.whole_images import fit
from paddle_pose.configs.whole_images import SINGLE
from paddle_pose.evaluation.whole_images import WholeImageEvaluator
from paddle_pose.poses.poses import NO_ROW, Poses
from paddle_pose.settings import Benchmark
from paddle_pose.skeletons import BODYPOSE18, COCO17
from reproduce.aligning import bodyposenet_inference as recorded
from reproduce.aligning.rows import Reference, Row

NOISE = 0.03
STRIDE = 8
SCORES = 2e-7
SCORES_REASON = "float32 targets: 7 roundings of 2^-24 by the square of the least total, 1.6"
EXACT = replace(SINGLE, whole=replace(SINGLE.whole, coordinates="exact"))
CHOICES: dict[str, tuple[Benchmark, dict[str, str]]] = {
    "exact coordinates": (EXACT, {}),
    "exact offsets": (SINGLE, {"offsets": "exact"}),
    "exact coordinates and offsets": (EXACT, {"offsets": "exact"}),
    "gaussian peaks": (SINGLE, {"peaks": "gaussian"}),
}
"""What differs from NVIDIA's evaluation of a Keras model."""

ROOTS = {
    "decode": ("paddle_pose.codecs.paf.PafCodec", "paddle_pose.codecs.paf_decode.decode"),
    "metric": ("paddle_pose.codecs.paf.PafCodec", "paddle_pose.codecs.paf_decode.decode"),
}
_RUN = Reference(*recorded.NVIDIA, "nvidia_tao_tf1/cv/bpnet/inferencer/bpnet_inferencer.py")


def jobs(shared: Path | None, quick: bool) -> list[tuple]:
    """Name, weight and maker of rows, as ``align.Job`` has them."""
    if shared is None or quick:
        return []
    return [("oracle", 4, lambda tick: list(rows(shared)))]


def rows(shared: Path) -> Iterator[Row]:
    """Poses of oracle maps, and what choices are worth in AP."""
    record = recorded.Record.of(shared / "parity" / recorded.NAME)
    image_ids = np.array(record.facts["coco"]["image_ids"])
    for neck, run in record.facts["coco"]["runs"].items():
        codec = PafCodec(neck=neck)
        evaluator = recorded.oracle_evaluator(shared)
        found = {codec: oracle_poses(evaluator, image_ids, codec)}
        yield from pose_rows(record, neck, found[codec])
        for what, (benchmark, changes) in CHOICES.items():
            other = replace(codec, **changes)
            if other not in found:
                found[other] = oracle_poses(evaluator, image_ids, other)
            own = recorded.oracle_evaluator(shared, benchmark)
            values, _ = own.figures(own.results(found[other]), image_ids, 0, 0)
            gain = values["AP"] - run["stats"][0]
            text = f"AP of oracle maps, {neck} neck: {what} less NVIDIA's"
            row = recorded.NAME, "metric", "float64", text, gain, None, "an effect", _RUN
            yield Row(*row)


def pose_rows(record: recorded.Record, neck: str, poses: Poses) -> Iterator[Row]:
    """Poses of some images beside the recorded ones of these."""
    xy, scores, image_ids = (record.arrays[f"coco/{neck}/{name}"] for name in recorded.ORACLE)
    here = np.isin(image_ids, poses.image_ids)
    off = np.full(2, np.inf)
    if len(poses) == here.sum():
        off[0] = np.abs(poses.keypoints[..., :2] - xy[here]).max()
        off[1] = np.abs(poses.scores - scores[here]).max()
    text = f"{here.sum()} poses of oracle maps, {neck} neck"
    limits = (
        ("pixels", recorded.PIXELS, recorded.PIXELS_REASON),
        ("scores", SCORES, SCORES_REASON),
    )
    for (what, most, why), value in zip(limits, off, strict=True):
        row = recorded.NAME, "decode", "float64", f"{text}: {what}", float(value), most, why, _RUN
        yield Row(*row)


def oracle_poses(evaluator: WholeImageEvaluator, image_ids: np.ndarray, codec: PafCodec) -> Poses:
    """Of targets with noise, as the record says they were made."""
    parts = [Poses.none(len(BODYPOSE18))]
    for image_id in image_ids.tolist():
        size_wh = evaluator.truth.images[image_id].size_wh
        if size_wh is None:
            raise ValueError(f"image {image_id}: of no stated size")
        how = fit(size_wh, SINGLE.whole, 1.0, STRIDE)
        width, height = (a + b for a, b in zip(how.size_wh, how.below_wh, strict=True))
        joints, used = annotated(evaluator, image_id, codec.neck)
        targets = codec.encode(joints * how.zoom_xy, used, (width, height))
        draw = np.random.RandomState(image_id)
        maps = {}
        for name, target in targets.items():
            noise = draw.normal(0, NOISE, (*target.shape[1:], len(target))).transpose(2, 0, 1)
            maps[name] = (target + noise)[None].astype(np.float32)
        place = recorded.whole_place(size_wh, image_id)
        parts.append(codec.decode([View(maps)], place, SINGLE, BODYPOSE18.flip_order))
    return Poses.joined(parts)


def annotated(
    evaluator: WholeImageEvaluator, image_id: int, neck: str
) -> tuple[np.ndarray, np.ndarray]:
    """(P, 18, 2) joints of the people of a picture who have any, no crowds, and which are used."""
    people = evaluator.truth.require_somebody()
    rows = (people.image_ids == image_id) & ~people.crowd & (people.labelled > 0)
    given = people.keypoints[rows]
    order = [COCO17.index(joint) if joint != "neck" else NO_ROW for joint in BODYPOSE18.joints]
    joints, used = given[:, order, :2], given[:, order, 2] > 0
    sides = given[:, [COCO17.index(f"{side}_shoulder") for side in ("left", "right")]]
    at = BODYPOSE18.index("neck")
    joints[:, at] = sides[..., :2].mean(1)
    used[:, at] = (sides[..., 2] > 0).all(1) if neck == "intended" else True
    return joints, used
