"""bearpaw's samples, decoding, score and rates: a group that a clone makes, live."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import paddle

from paddle_pose import configs
from paddle_pose.codecs.cut import TRUNCATED
from paddle_pose.codecs.views import View
from paddle_pose.data import mpii
from paddle_pose.data.augment import crop_image, draw
from paddle_pose.data.mpii import MpiiTruth
from paddle_pose.data.records import PersonRecord
from paddle_pose.geometry import crop_matrix
from paddle_pose.metrics.bearpaw import plain_mean
from paddle_pose.metrics.pckh import scored_joints
from paddle_pose.poses.poses import Place
from paddle_pose.settings import Benchmark
from paddle_pose.skeletons import MPII16
from paddle_pose.training.rmsprop import optimizer_of
from paddle_pose.training.schedules import learning_rate
from reproduce.aligning.initialisation import KOLMOGOROV, KOLMOGOROV_REASON, two_sample
from reproduce.aligning.networks import precision, reference_data
from reproduce.aligning.rates import CLOSED_FORM, CLOSED_REASON
from reproduce.aligning.rows import Reference, Row

NAME = "bearpaw"
LIVE = True
RECIPE = configs.load("hourglass:bearpaw_hg2_mpii_256x256")
ROOTS = {
    "data": ("paddle_pose.codecs.cut.CutCodec", "paddle_pose.data.augment.draw"),
    "decode": ("paddle_pose.codecs.cut.CutCodec",),
    "metric": ("paddle_pose.metrics.bearpaw.plain_mean",),
    "optimiser": ("paddle_pose.training.rmsprop.optimizer_of",),
    "learning rate": ("paddle_pose.training.schedules.learning_rate",),
}
GIVEN = {"learning rate": [RECIPE.train], "optimiser": [RECIPE.train],
         "data": [RECIPE.augment, RECIPE.codec, RECIPE.data]}  # fmt: skip
PEOPLE, SIZE_WH, MPII_PEOPLE, STEPS = 24, (256, 256), 2958, 100
_FILES = {
    "data": "pose/datasets/mpii.py, pose/utils/imutils.py draw_labelmap",
    "decode": "pose/utils/evaluation.py final_preds",
    "metric": "evaluation/eval_PCKh.py",
    "optimiser": "example/main.py:79, torch.optim.RMSprop",
    "learning rate": "pose/utils/misc.py adjust_learning_rate",
}
MEASURED = "measured: what it is worth, not an error"
Made = tuple[str, str, str, float, float | None, str]
"""Step, precision, quantity, difference, tolerance and its origin."""


def jobs(shared: Path | None, quick: bool) -> list:
    """Nothing of recorded arrays."""
    return []


def rows(clone: Any, ask: Callable[..., dict], *, seed: int, threads: int) -> list[Row]:
    """All rows of a clone."""
    rng = np.random.default_rng([seed, 16])
    picture = rng.integers(0, 256, (12, 16, 3)).astype(np.uint8)
    centers = rng.uniform(200, 700, (PEOPLE, 2)).astype(np.float32).astype(np.float64)
    scales = rng.uniform(0.8, 5, PEOPLE)
    around = rng.uniform(-130, 130, (PEOPLE, 16, 2)) * scales[:, None, None]
    # Of joints that are not below the photo's first row its code draws none.
    joints = np.concatenate([centers[:, None] + around, np.ones((PEOPLE, 16, 1))], axis=2)
    joints[..., 1] = np.maximum(joints[..., 1], 1)
    inputs = {
        "maps": rng.normal(0.1, 0.2, (PEOPLE, 16, 64, 64)).astype(np.float32),
        "centers": centers,
        "scales": scales,
        "joints": joints * (rng.uniform(0, 1, (PEOPLE, 16, 1)) > 0.2),
        "picture": cv2.resize(picture, (800, 600), interpolation=cv2.INTER_CUBIC),
        "noise": rng.normal(0, 25, (MPII_PEOPLE, 16, 2)),
        "gradients": rng.normal(0, 1, (STEPS, 12)) * 10.0 ** -np.arange(12),
    }
    for at, (x, y) in enumerate(((0, 9), (1, 9), (62, 9), (63, 9), (9, 0), (9, 1), (9, 63))):
        inputs["maps"][at, 0, y, x] = 2  # at every border, and beside it
    inputs["maps"][7, 0] -= 9  # nothing positive
    train = RECIPE.train
    job = {
        **{"what": NAME, "kind": clone.kind, "clone": str(clone.folder), "threads": threads},
        **{"rate": train.learning_rate, "epochs": train.epochs, "gamma": train.gamma},
        "milestones": list(train.milestones),
    }
    theirs = ask(job, inputs=inputs)
    made = [
        *_targets(theirs),
        *_draws(theirs, rng),
        *_crops(inputs, theirs),
        *_decoded(inputs, theirs),
        *_scored(inputs, theirs),
        *_rates(theirs),
        *_steps(inputs, theirs),
    ]
    return [
        Row(
            *(NAME, step, kind, text, float(off), limit, why),
            Reference(clone.repository, clone.commit, _FILES[step]),
            "live",
        )
        for step, kind, text, off, limit, why in made
    ]


def _targets(theirs: dict) -> Iterator[Made]:
    """Of training samples: mirrored, scaled and turned as was drawn there."""
    apart, most, weights = 0, 0.0, 0.0
    for kind in ("test", "train"):
        people = (theirs[f"{kind}_{name}"] for name in ("pts", "center", "scale", "angle"))
        answers = theirs[f"{kind}_target"], theirs[f"{kind}_weight"]
        for pts, center, scale, angle, target, weight in zip(*people, *answers, strict=True):
            matrix = crop_matrix(center - 1.0, np.repeat(float(scale), 2), float(angle), SIZE_WH)
            inside_px = (pts[:, :2].astype(np.float64) - 1) @ matrix[:, :2].T + matrix[:, 2]
            ours = RECIPE.codec.encode(inside_px, (pts[:, 1] > 0).astype(np.float64), SIZE_WH)
            off = np.abs(ours["heatmaps"] - target).max((1, 2))
            apart += int((off > 0.1).sum())
            most = max(most, float(off[off <= 0.1].max()))
            weights = max(weights, float(np.abs(ours["weights"] - weight).max()))
    count = 2 * PEOPLE * 16
    why = "float32 pixels, cut to whole cells: to either side of one by chance, 1 of 1,000 at most"
    text = f"targets of {count} joints, upright, mirrored and turned: share on another cell"
    yield "data", "float32", text, apart / count, 1e-3, why
    yield "data", "float32", "their values", most, 2.0**-23, "an exponential, rounded to float32"
    yield "data", "float32", "weights", weights, 0.0, "0 and 1 are exact"
    off = np.abs(np.array(RECIPE.data.rgb_mean) - theirs["mean"]).max()
    yield "data", "float32", "mean colour", off, 0.0, "the numbers of its file"


def _draws(theirs: dict, rng: np.random.Generator) -> Iterator[Made]:
    """Two samples of each number that is drawn."""
    person = PersonRecord.__new__(PersonRecord)
    object.__setattr__(person, "visible", np.ones(16))
    drawn = [
        draw(RECIPE.augment, person, MPII16, 1.0, rng) for _ in range(40 * len(theirs["draws"]))
    ]
    ours = np.array([(d.scale, d.rotation_deg, *(0.5 * np.array(d.color))) for d in drawn])
    for index, text in enumerate(("sizes", "angles", "red", "green", "blue")):
        off = two_sample(ours[:, index], theirs["draws"][:, index])
        yield "data", "float64", f"{text} drawn, two samples", off, KOLMOGOROV, KOLMOGOROV_REASON


def _crops(inputs: dict, theirs: dict) -> Iterator[Made]:
    total = 0.0
    people = theirs["test_center"], theirs["test_scale"], theirs["test_crop"]
    for center, scale, crop in zip(*people, strict=True):
        matrix = crop_matrix(center - 1.0, np.repeat(float(scale), 2), 0.0, SIZE_WH)
        ours = crop_image(inputs["picture"], matrix, SIZE_WH).transpose(2, 0, 1)
        total += float(np.abs(ours - 255.0 * crop).mean()) / PEOPLE
    text = f"{PEOPLE} crops of a smooth picture, mean over pixels, levels of 255"
    why = "measured: it cuts whole pixels and resizes, here one warp; neither is the other's error"
    yield "data", "uint8", text, total, None, why


def _decoded(inputs: dict, theirs: dict) -> Iterator[Made]:
    order, count = MPII16.flip_order, PEOPLE * 16
    row, nobody = np.arange(PEOPLE), (np.zeros((PEOPLE, 0, 2)), np.zeros((PEOPLE, 0)))
    scales = np.repeat(inputs["scales"][:, None], 2, 1)
    place = Place(inputs["centers"] - 1, scales, row, row, *nobody)
    for decoder, name in zip(TRUNCATED, ("table", "half"), strict=True):
        cells = RECIPE.codec.cells(inputs["maps"], decoder)[0]
        said = "" if name == "half" else ", as before 0bba099"
        off = np.abs(cells - theirs[f"cells_{name}"]).max()
        text = f"cells of {count} noisy maps{said}"
        yield "decode", "float32", text, off, 1e-6, "quarters of a cell, read from float32 pixels"
        benchmark = Benchmark("", shift_heatmap=False, decoder=decoder)
        poses = RECIPE.codec.decode([View({"heatmaps": inputs["maps"]})], place, benchmark, order)
        apart = np.abs(poses.keypoints[..., :2] + 1 - theirs[f"poses_{name}"]).max(2)
        text = f"poses in whole pixels{said}: share of {count} joints a pixel apart"
        why = (
            "cut to whole pixels: crop corners in float32, to 6e-5 px; twice that of joints, and "
            "coordinates, 1 of 1,000 at most"
        )
        yield "decode", "float64", text, (apart > 0).mean(), 1e-3, why
        yield "decode", "float64", f"poses{said}, px", apart.max(), 1.0, "one whole pixel"


def _scored(inputs: dict, theirs: dict) -> Iterator[Made]:
    truth = MpiiTruth(theirs["joints"], 1.0 - theirs["missing"], theirs["heads"])
    errors = truth.errors(theirs["joints"] + inputs["noise"] - 1)
    ours = plain_mean(errors, truth.visible, scored_joints(MPII16))
    text = f"plain mean of 14 joints of {MPII_PEOPLE} people, points"
    yield "metric", "float64", text, abs(ours - theirs["score"]), 1e-9, "14 shares in per cent"
    shared = reference_data()
    if shared is not None and (shared / "data/mpii").is_dir():
        own = mpii.truth(shared / "data/mpii", "valid")
        ours = plain_mean(own.errors(own.joints_xy + inputs["noise"] - 1), own.visible,
                          scored_joints(MPII16))  # fmt: skip
        text = "the same by MPII's gt_valid.mat in place of its detections_our_format.mat, points"
        yield "metric", "float64", text, abs(ours - theirs["score"]), 1e-9, "the same numbers"


def _steps(inputs: dict, theirs: dict) -> Iterator[Made]:
    with precision("float64"):
        layer = paddle.nn.Layer()
        layer.weight = layer.create_parameter([inputs["gradients"].shape[1]])
        layer.weight.set_value(np.zeros(layer.weight.shape))
        optimizer = optimizer_of(layer, RECIPE.train)
        for gradient in inputs["gradients"]:
            (layer.weight * paddle.to_tensor(gradient)).sum().backward()
            optimizer.step()
            optimizer.clear_grad()
        off = np.abs(layer.weight.numpy() / theirs["weights"] - 1).max()
    text = f"weights after {STEPS} steps with gradients of 1 to 1e-11, relative"
    why = "some 10 float64 operations a step, 1.1e-16 of steps that may cancel to a hundredth"
    yield "optimiser", "float64", text, off, 1e-11, why


def _rates(theirs: dict) -> Iterator[Made]:
    epochs = range(RECIPE.train.epochs)
    ours = np.array([learning_rate(RECIPE.train, epoch, 1) for epoch in epochs])
    off = np.abs(ours / theirs["rates"] - 1).max()
    text = f"rates of {len(epochs)} epochs, relative"
    yield "learning rate", "float64", text, off, CLOSED_FORM, CLOSED_REASON
