"""BodyPoseNet's inference: inputs, peaks, limbs, people and modes as NVIDIA's code had them."""

from __future__ import annotations

import gzip
import json
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from paddle_pose.codecs.paf import PafCodec
from paddle_pose.codecs.paf_decode import Reading, decode, merged, people_of
from paddle_pose.codecs.paf_peaks import find_peaks
from paddle_pose.codecs.paf_people import find_limbs
from paddle_pose.codecs.views import View
from paddle_pose.codecs.whole_images import fit, resized
from paddle_pose.configs.whole_images import SINGLE
from paddle_pose.evaluation.evaluator import DataFiles
from paddle_pose.evaluation.whole_images import WholeImageEvaluator
from paddle_pose.metrics.coco_ap import NAMES
from paddle_pose.poses.poses import NO_ROW, Place, Poses
from paddle_pose.recipes.recipe import Recipe
from paddle_pose.settings import Benchmark, DataSettings, WholeImage
from reproduce.aligning.rows import Reference, Row

NAME = "bodyposenet"
NVIDIA = "NVIDIA/tao_tensorflow1_backend", "2ec95cbbe0d74d6a180ea6e989f64d2d97d97712"
_FOLDER = "nvidia_tao_tf1/cv/bpnet/inferencer"
_UTILS = Reference(*NVIDIA, f"{_FOLDER}/utils.py")
_RUNS = Reference(*NVIDIA, f"{_FOLDER}/bpnet_inferencer.py")
_COCO = Reference(*NVIDIA, "nvidia_tao_tf1/cv/bpnet/dataio/coco_dataset.py")
_POSTS = Reference(*NVIDIA, f"{_FOLDER}/postprocessor.py")

MODES = {None: "stretch", "adjust_network_input": "adjust", "pad_image_input": "pad"}
FINDERS = {"smooth": "tf", "gaussian": "np"}
"""Ours, and how the records call those of TensorFlow and NumPy."""

NOISE = 1e-6
"""Smoothed maps that differ by less are ties, which the order of float32 sums decides."""
MAPS, MAPS_REASON = 2e-5, "float32: the record's own allowance"
PIXELS, PIXELS_REASON = 1e-9, "a product and a sum in float64, of numbers below 1000: 1e-12"
SCORE = 1e-8
FIGURES, FIGURES_REASON = 1e-6, "quotients of counts: the record's own allowance"
ORACLE = ("keypoints", "scores", "image_id")
RECORDED = ("peaks", "connections", "humans", "keypoints", "scores")


_DECODE = (
    "paddle_pose.codecs.paf_decode.decode",
    "paddle_pose.codecs.paf_peaks.find_peaks",
    "paddle_pose.codecs.paf_people.assemble",
)
ROOTS = {
    "data": ("paddle_pose.codecs.whole_images.fit", "paddle_pose.codecs.whole_images.resized"),
    "decode": _DECODE,
    "metric": (*_DECODE, "paddle_pose.evaluation.whole_images.WholeImageEvaluator"),
}


def jobs(shared: Path | None, quick: bool) -> list[tuple]:
    """Name, weight and maker of rows, as ``align.Job`` has them; quick leaves the AP out."""
    if shared is None:
        return []
    folder = shared / "parity" / NAME
    parts = {"inputs": input_rows, "scales": multi_scale_rows, "ties": tie_rows}
    parts |= {"people": people_rows}
    made: list[tuple] = [
        (what, 1, lambda tick, make=make: list(make(folder))) for what, make in parts.items()
    ]
    return made if quick else [*made, ("AP", 1, lambda tick: list(score_rows(shared)))]


class Record(NamedTuple):
    """What was recorded: facts and arrays."""

    facts: dict[str, Any]
    arrays: Any

    @classmethod
    def of(cls, folder: Path) -> Record:
        """Of ``inference.json`` and ``inference.npz``."""
        facts = json.loads((folder / "inference.json").read_text("utf-8"))
        return cls(facts, np.load(folder / "inference.npz"))

    @property
    def limbs(self) -> np.ndarray:
        """(L, 2)."""
        return np.array(self.facts["topology"])[:, 2:]

    def views(self, prefix: str, scales: list[float], suffix: str = "") -> list[View]:
        """Maps of one picture as a network of (B, C, h, w) gives them."""
        names = {"heatmaps": "heat", "pafs": "paf"}
        views = []
        for number, scale in enumerate(scales):
            keys = {n: f"{prefix}/{k}{suffix.format(number)}" for n, k in names.items()}
            maps = {n: self.arrays[k].astype(np.float32) for n, k in keys.items()}
            views.append(
                View({n: m.transpose(2, 0, 1)[None] for n, m in maps.items()}, None, scale)
            )
        return views


def whole_place(size_wh: tuple[int, int], image_id: int = 0) -> Place:
    """Of one whole picture."""
    size = np.array(size_wh, np.float64)[None]
    ids = np.array([image_id]), np.array([NO_ROW])
    return Place(size / 2, size / 200, *ids, np.empty((1, 0, 2)), np.empty((1, 0)))


def picture(height: int, width: int, seed: int) -> np.ndarray:
    """A rendered picture, as the record says."""
    y, x = np.mgrid[:height, :width]
    waves = [120 + 70 * np.sin(x / (9 + 5 * c) + c) * np.cos(y / (13 - 3 * c)) for c in range(3)]
    noise = np.random.RandomState(seed).normal(0, 12, (height, width, 3))
    return np.clip(np.round(np.stack(waves, 2) + noise), 0, 255).astype(np.uint8)


def _row(
    step: str, precision: str, text: str, off: float, most: float, why: str, of: Reference
) -> Row:
    return Row(NAME, step, precision, text, float(off), most, why, of)


def input_rows(folder: Path) -> Iterator[Row]:
    """Pictures resized in three modes."""
    record = Record.of(folder)
    cases = record.facts["preprocess"]
    grey, wrong, zooms = 0, 0, 0.0
    for case in cases:
        size_wh = case["image"][1], case["image"][0]
        whole = WholeImage(tuple(case["input_shape"]), MODES[_mode(case)])
        how, even = fit(size_wh, whole, 1.0), fit(size_wh, whole, 1.0, 8)
        made = resized(picture(*case["image"], case["seed"]), how)
        zooms = max(zooms, np.abs(np.array(how.zoom_xy[::-1]) - case["scale_fy_fx"]).max())
        wrong += list(made.shape[:2]) != case["resized"]
        wrong += list(how.pad_ltrb[:2]) != case["offset_x_y"]
        wrong += list(even.below_wh[::-1]) != case["pad_bottom_right_8"]
        thin = made[::16, ::16].astype(int)
        grey = max(grey, np.abs(thin - record.arrays[case["array"]]).max())
    text = f"{len(cases)} inputs of 8 sizes, 2 shapes, 3 modes"
    yield _row(
        "data", "counts", f"{text}: sizes and borders that differ", wrong, 0, "whole", _UTILS
    )
    yield _row("data", "float64", f"{text}: zoom", zooms, 1e-11, "recorded to 12 digits", _UTILS)
    why = "OpenCV's versions round cubic resizing otherwise: the record's own allowance"
    yield _row("data", "uint8", f"{text}: pixels, grey levels", grey, 1, why, _UTILS)


def _mode(case: dict[str, Any]) -> str | None:
    return None if case["mode"] in (None, "None") else case["mode"]


def multi_scale_rows(folder: Path) -> Iterator[Row]:
    """Means over scales of given maps."""
    record = Record.of(folder)
    for number, case in enumerate(record.facts["multiscale"]):
        if f"multi/{number}/heat" not in record.arrays:
            continue
        whole = WholeImage(tuple(case["input_shape"]), MODES[_mode(case)])
        views = record.views(f"multi/{number}", case["scales_used"], "_in_{}")
        size_wh = case["image"][1], case["image"][0]
        heat, pafs, how = merged(views[::-1], 0, size_wh, whole, Reading(record.limbs))
        theirs = (record.arrays[f"multi/{number}/{name}"] for name in ("heat", "paf"))
        off = max(
            np.abs(ours[::6, ::6] - one[..., : ours.shape[2]]).max()
            for ours, one in zip((heat, pafs), theirs, strict=True)
        )
        text = f"mean of {len(views)} scales, {whole.mode}"
        yield _row("decode", "float32", f"{text}: maps", off, MAPS, MAPS_REASON, _RUNS)
        back = np.abs(1 / np.array(how.zoom_xy[::-1]) - case["scale_factor"]).max()
        back += np.abs(np.array(how.pad_ltrb[:2]) + case["offset_factor"]).max()
        text += ": pixels of the picture a pixel, and border"
        yield _row("decode", "float64", text, back, 1e-11, "recorded to 12 digits", _RUNS)


def tie_rows(folder: Path) -> Iterator[Row]:
    """Maps with equal neighbours."""
    record = Record.of(folder)
    for ours, theirs in FINDERS.items():
        wrong = 0
        for cells, case in zip(record.arrays["ties/maps"], record.facts["ties"], strict=True):
            peaks = find_peaks(cells[:, :, None], 0.1, ours)
            found = set(map(tuple, peaks.xy.tolist()))
            wanted = {(int(x), int(y)) for x, y, _ in case[theirs]}
            wrong += sum(not _tie(cells, cell) for cell in found ^ wanted)
        text = f"peaks of 8 maps with ties, {ours}: those on one side alone that are no tie"
        yield _row("decode", "sets", text, wrong, 0, f"smoothed within {NOISE:g} is a tie", _POSTS)


def _tie(cells: np.ndarray, cell: tuple[int, int]) -> bool:
    """Whether the two highest smoothed values around are the same but for rounding."""
    x, y = cell
    smoothed = cv2.GaussianBlur(cells.astype(np.float64), (5, 5), 3)
    around = np.sort(smoothed[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2].ravel())
    return bool(around[-1] - around[-2] < NOISE)


def people_rows(folder: Path) -> Iterator[Row]:
    """Peaks, limbs, people and poses of recorded maps by both finders."""
    record = Record.of(folder)
    cases = [
        (f"map/{number:02d}", case)
        for number, case in enumerate(record.facts["maps"])
        if f"map/{number:02d}/heat" in record.arrays
    ]
    for ours, theirs in FINDERS.items():
        wrong, counts, worst = Counter[str](), Counter[str](), Counter[str]()
        for key, case in cases:
            whole = WholeImage(tuple(case["input_shape"]), MODES[_mode(case)])
            views, size_wh = record.views(key, [1.0]), (case["image"][1], case["image"][0])
            reading = Reading(record.limbs, peaks=ours)
            named = {name: record.arrays[f"{key}/{theirs}/{name}"] for name in RECORDED}
            found = _found(views, size_wh, whole, reading)
            for name, wanted in _recorded(named).items():
                mine, same = found[name], found[name].keys() & wanted.keys()
                wrong[name] += len(mine.keys() ^ wanted.keys())
                counts[name] += len(wanted)
                off = max((abs(mine[one] - wanted[one]) for one in same), default=0.0)
                worst[name] = max(worst[name], off)
            poses = decode(views, whole_place(size_wh), whole, reading)
            off = np.inf
            if len(poses) == len(named["scores"]):
                off = np.abs(poses.keypoints[..., :2] - named["keypoints"]).max(initial=0)
                off = max(off, np.abs(poses.scores - named["scores"]).max(initial=0))
            worst["poses"] = max(worst["poses"], off)
        for name, count in counts.items():
            text = f"{count} {name} of {len(cases)} maps, {ours}"
            why = "sets, but for ties, which are none here"
            yield _row("decode", "sets", f"{text}: on one side", wrong[name], 0, why, _POSTS)
            most = MAPS, MAPS_REASON, _POSTS
            yield _row("decode", "float64", f"{text}: scores", worst[name], *most)
        text = f"poses of {len(cases)} maps, {ours}: pixels of the picture, and scores"
        yield _row("decode", "float64", text, worst["poses"], PIXELS, PIXELS_REASON, _POSTS)


def oracle_evaluator(shared: Path, benchmark: Benchmark = SINGLE) -> WholeImageEvaluator:
    """Of COCO's sample."""
    data = DataSettings(dataset="coco", skeleton="bodypose18", val_split="val2017")
    recipe = Recipe("oracle", data=data, codec=PafCodec(), benchmarks=(benchmark,))
    return WholeImageEvaluator(recipe, benchmark, DataFiles(shared / "data/coco"))


def score_rows(shared: Path) -> Iterator[Row]:
    """Recorded poses of oracle maps to COCO's results and figures, as NVIDIA's evaluation."""
    folder = shared / "parity" / NAME
    record = Record.of(folder)
    evaluator = oracle_evaluator(shared)
    image_ids = np.array(record.facts["coco"]["image_ids"])
    for neck, run in record.facts["coco"]["runs"].items():
        with gzip.open(folder / f"detections_{neck}.json.gz", "rt") as file:
            theirs = json.load(file)
        poses = _poses(*(record.arrays[f"coco/{neck}/{n}"] for n in ORACLE))
        with tempfile.TemporaryDirectory() as place:
            saved = Path(place, "predictions.json")
            evaluator.write(poses, saved, recipe="oracle", weights_sha256="", engine="")
            found = replace(evaluator.read(saved), image_ids=image_ids)
        ours = found.results.rows()
        wrong = abs(len(ours) - len(theirs)) + sum(
            a["image_id"] != b["image_id"] or abs(a["score"] - b["score"]) > SCORE
            for a, b in zip(ours, theirs, strict=False)
        )
        text = f"{len(theirs)} COCO results of oracle maps, {neck} neck"
        yield _row("metric", "sets", f"{text}: pictures and scores", wrong, 0, "in order", _COCO)
        flat = (np.array([one["keypoints"] for one in listed])[:, :] for listed in (ours, theirs))
        joints = [one.reshape(len(theirs), -1, 3)[..., :2] for one in flat]
        near = _near_whole(poses.keypoints[:, evaluator.scored, :2])
        wrong = int(np.sum((joints[0] != joints[1]) & ~near))
        why = "whole pixels; those within 1e-9 of the next one are not judged"
        yield _row("metric", "integers", f"{text}: coordinates that differ", wrong, 0, why, _COCO)
        values = evaluator.score(found)
        off = max(abs(values.values[n] - v) for n, v in zip(NAMES, run["stats"], strict=True))
        text += ": AP, AR and their parts"
        yield _row("metric", "float64", text, off, FIGURES, FIGURES_REASON, _COCO)


def _poses(xy: np.ndarray, scores: np.ndarray, image_ids: np.ndarray) -> Poses:
    """Recorded joints, (0, 0) where none was found."""
    seen = (xy != 0).any(2, keepdims=True)
    nowhere = np.full((len(xy), 4), np.nan)
    rows, first = np.full(len(xy), NO_ROW), np.zeros(len(xy), np.int64)
    joints = np.concatenate([xy, seen], 2)
    return Poses(image_ids, joints, scores, nowhere, rows, first)


def _near_whole(values: np.ndarray) -> np.ndarray:
    return np.abs(values - np.round(values)) < 1e-9


Named = dict[str, dict[tuple, float]]
"""Scores of peaks by joint, x, y; of limbs by kind, peaks; of people by their peaks and count."""


def _found(
    views: list[View], size_wh: tuple[int, int], whole: WholeImage, reading: Reading
) -> Named:
    heat, pafs, _ = merged(views, 0, size_wh, whole, reading)
    peaks, people = people_of(heat, pafs, reading)
    limbs = find_limbs(peaks, pafs, reading.limbs, reading.paf_threshold)
    at = {-1: None} | dict(enumerate(zip(peaks.joints.tolist(), *peaks.xy.T.tolist(), strict=True)))
    ends, rows = limbs.ends.tolist(), people.peaks.tolist()
    kinds, counts = limbs.kinds.tolist(), people.counts.tolist()
    return {
        "peaks": {at[n]: float(score) for n, score in enumerate(peaks.scores)},
        "limbs": {
            (kind, at[a], at[b]): float(score)
            for kind, (a, b), score in zip(kinds, ends, limbs.scores, strict=True)
        },
        "people": {
            (*(at[n] for n in row), count): float(total)
            for row, count, total in zip(rows, counts, people.totals, strict=True)
        },
    }


def _recorded(named: dict[str, np.ndarray]) -> Named:
    at = {int(row[4]): tuple(map(int, row[:3])) for row in named["peaks"]} | {-1: None}
    return {
        "peaks": {at[int(row[4])]: row[3] for row in named["peaks"]},
        "limbs": {
            (int(kind), at[int(a)], at[int(b)]): score for kind, a, b, score in named["connections"]
        },
        "people": {
            (*(at[int(n)] for n in row[:-2]), int(row[-1])): row[-2] for row in named["humans"]
        },
    }
