"""Lightweight OpenPose, from the network to the AP: a group that its own clone makes, live."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import paddle

from paddle_pose import configs
from paddle_pose.codecs.views import View
from paddle_pose.data.light_people import LightChange, LightSamples, people
from paddle_pose.data.whole_images import whole_input, whole_place
from paddle_pose.evaluation.evaluator import DataFiles
from paddle_pose.evaluation.whole_images import WholeImageEvaluator
from paddle_pose.models.build import build
from paddle_pose.models.inputs import ImageNormalizer
from paddle_pose.porting import network_keys, to_official
from paddle_pose.poses.poses import Place
from paddle_pose.training.losses import masked_squares, total
from paddle_pose.training.optimizers import make_optimizer
from paddle_pose.training.schedules import learning_rate
from reproduce.aligning import lightweight_scene as scene
from reproduce.aligning.live_rows import EPSILON, FLOAT32_FACTOR, exact_momentum, sample
from reproduce.aligning.name_seeded import official_name
from reproduce.aligning.networks import precision
from reproduce.aligning.rates import CLOSED_FORM, CLOSED_REASON
from reproduce.aligning.rows import Reference, Row
from reproduce.aligning.training import FOLLOWED, ROUNDING, ROUNDING_REASON

NAME = "lightweight"
LIVE = True
RECIPE = configs.load("lightweight:three_stages_coco")
_NETWORK = ("paddle_pose.models.light_openpose.LightOpenPoseNetwork",)
_LOSS = (*_NETWORK, "paddle_pose.training.field_losses.masked_squares")
_CODEC = ("paddle_pose.codecs.light_paf.LightPafCodec",)
ROOTS = {
    "forward": _NETWORK,
    "loss": _LOSS,
    "backward": _LOSS,
    "optimiser": (*_LOSS, "paddle_pose.training.optimizers.make_optimizer"),
    "batch norm": _NETWORK,
    "learning rate": ("paddle_pose.training.schedules.learning_rate",),
    "data": (
        *_CODEC,
        "paddle_pose.codecs.light_images.fit",
        "paddle_pose.codecs.light_images.resized",
        "paddle_pose.data.light_people.LightSamples",
        "paddle_pose.data.light_people.people",
    ),
    "decode": _CODEC,
    "metric": (*_CODEC, "paddle_pose.evaluation.whole_images.WholeImageEvaluator"),
}
GIVEN = {
    step: [RECIPE.model, *[RECIPE.train.optimizer] * (step == "optimiser")]
    for step in ("forward", "loss", "backward", "optimiser", "batch norm")
}
STEPS, GAIN = 3, 1.0
SEEN = 8
"""As lightweight_side.py has it: losses of a step."""
NAMES = ("AP", "AP50", "AP75", "APM", "APL", "AR", "AR50", "AR75", "ARM", "ARL")
CHAOS = 20
CHAOS_REASON = (
    "20 × what a 1e-13 change of the images and batch norm's epsilon in float32 do in the "
    f"reference, in this run, at least {FOLLOWED:.0e}"
)
FLOAT32_REASON = "4 × what PyTorch's float32 is off from its float64 in this run"
FLOAT32_LEAST = 2.0**-20
_FILES = {
    "forward": "models/with_mobilenet.py",
    "loss": "train.py, modules/loss.py",
    "backward": "train.py",
    "optimiser": "train.py, modules/get_parameters.py",
    "batch norm": "train.py",
    "learning rate": "train.py",
    "data": "datasets/coco.py, datasets/transformations.py, scripts/prepare_train_labels.py",
    "decode": "val.py infer, convert_to_coco_format; modules/keypoints.py",
    "metric": "val.py run_coco_eval, with faster_coco_eval for pycocotools",
}

Made = tuple[str, str, str, float, float | None, str]
"""Step, precision, quantity, difference, tolerance and its origin."""


def jobs(shared: Path | None, quick: bool) -> list:
    """Nothing of recorded arrays."""
    return []


def rows(clone: Any, ask: Callable[..., dict], *, seed: int, threads: int) -> list[Row]:
    """All rows of a clone."""
    from reproduce.aligning.live import fresh_weights

    keys = network_keys(RECIPE.model)
    weights = fresh_weights(keys, GAIN, seed)
    drawn = scene.drawn(seed)
    job = {"what": NAME, "kind": clone.kind, "clone": str(clone.folder), "threads": threads}
    job |= {"steps": STEPS, "scales": scene.SCALES, "truth": drawn.truth, "results": drawn.results}
    official = to_official(weights, keys, "fresh weights")
    theirs = ask(job, inputs=drawn.arrays, weights=official)
    versions = f"(PyTorch {theirs['facts']['torch']}, seed {seed})"
    made = [
        *_trained(weights, official, drawn.arrays, theirs),
        *_decoded(drawn, theirs),
        *_samples(drawn, theirs),
        *_scored(drawn, theirs),
    ]
    return [
        Row(
            *(NAME, step, kind, text, float(off), limit, why),
            Reference(clone.repository, clone.commit, f"{_FILES[step]} {versions}"),
            "live",
        )
        for step, kind, text, off, limit, why in made
    ]


def _apart(ours: Any, theirs: Any) -> float:
    """Largest difference, relative to the largest value."""
    theirs = np.asarray(theirs, np.float64)
    return float(np.abs(np.asarray(ours) - theirs).max() / np.abs(theirs).max())


# --- network, loss, steps


def _ours(
    weights: dict[str, np.ndarray], arrays: dict[str, np.ndarray], dtype: str, steps: int
) -> dict[str, Any]:
    """What the child answers of a training, by our names' official spelling."""
    answers: dict[str, Any] = {}
    with precision(dtype):
        network = build(replace(RECIPE.model, tested=RECIPE.model.refinements))
        for key, value in network.state_dict().items():
            value.set_value(weights[key].astype(dtype))
        given = {n[3:]: paddle.to_tensor(a.astype(dtype)) for n, a in arrays.items() if "in/" in n}
        network.eval()
        with paddle.no_grad():
            flat = [maps for stage in network(given["images"]) for maps in stage]
        answers |= {f"forward/{place}": maps.numpy() for place, maps in enumerate(flat)}
        network.train()
        optimizer = make_optimizer(network, RECIPE.train)
        losses = []
        for step in range(steps):
            parts = masked_squares(network(given["train_images"]), given)
            total(list(parts.values())).backward()
            losses.append([float(one) for one in parts.values()])
            for name, parameter in network.named_parameters() if step == 0 else ():
                if parameter.grad is not None:
                    answers[f"gradient/{official_name(name)}"] = sample(parameter.grad.numpy())
            optimizer.step()
            optimizer.clear_grad()
            for name, value in network.state_dict().items() if step == 0 else ():
                answers[f"after/{official_name(name)}"] = sample(value.numpy())
        answers["losses"] = np.array(losses)
        with paddle.no_grad():
            answers["last"] = network(given["train_images"])[-1].pafs_BLHW.numpy()
    return answers


def _measures(ours: dict[str, Any], theirs: dict[str, Any], *, exact: bool) -> Iterator[tuple]:
    """Step, quantity and difference."""
    for place in range(SEEN):
        what = ("heat maps", "fields")[place % 2]
        text = f"{what} of stage {place // 2 + 1}, eval mode, relative to the largest"
        yield "forward", text, _apart(ours[f"forward/{place}"], theirs[f"forward/{place}"])
    first = ours["losses"][0] / theirs["losses"][0] - 1
    yield "loss", "8 parts of the loss of step 0, relative", float(np.abs(first).max())
    names = sorted(n for n in theirs if n.startswith("gradient/"))
    square = sum(float((theirs[n] ** 2).sum()) for n in names)
    # Biases just before a batch norm have a true gradient of zero: theirs is rounding noise.
    real = [n for n in names if np.linalg.norm(theirs[n]) > 1e-10 * square**0.5]
    off = sum(float(((ours[n] - theirs[n]) ** 2).sum()) for n in real)
    text = f"gradients of {len(real)} tensors, up to 20,000 values each, together, relative L2"
    yield "backward", text, (off / square) ** 0.5
    statistics = [n for n in theirs if ".running_" in n]
    off = max(_apart(ours[n], theirs[n]) for n in statistics)
    yield "batch norm", f"{len(statistics)} running statistics after one step, relative", off
    if not exact:
        return
    off = max(_apart(ours[n], theirs[n]) for n in real)
    yield "backward", f"gradients of {len(real)} tensors, largest of one, of its largest value", off
    moved = max(
        float(np.abs(ours[n] - theirs[n]).max())
        for n in (f"after/{name.partition('/')[2]}" for name in real)
    )
    text = "parameters after one step, in base learning rates (up to 8 times as much is a step)"
    yield "optimiser", text, moved / RECIPE.train.learning_rate
    off = float(np.abs(ours["losses"] / theirs["losses"] - 1).max())
    yield "optimiser", f"8 parts of the loss of {len(theirs['losses'])} steps, relative", off
    yield (
        "optimiser",
        "fields after them, relative to the largest",
        _apart(ours["last"], theirs["last"]),
    )


def _trained(
    weights: dict[str, np.ndarray],
    official: dict[str, np.ndarray],
    arrays: dict[str, np.ndarray],
    theirs: dict[str, Any],
) -> Iterator[Made]:
    runs: dict[str, dict[str, Any]] = {}
    for name, value in theirs.items():
        run, _, rest = name.partition("/")
        runs.setdefault(run, {})[rest] = value
    base = runs["float64"]
    ours = exact_momentum(_ours(weights, arrays, "float64", STEPS), official)
    chaos = {(s, q): off for s, q, off in _measures(runs["perturbed"], base, exact=True)}
    norms = sum(n.endswith("running_mean") for n in official)
    for step, text, off in _measures(ours, base, exact=True):
        if step == "forward":
            limit = norms * EPSILON
            why = f"Paddle's float32 epsilon, 2.5e-13 in each of {norms} batch norms"
        elif step == "optimiser":
            limit, why = max(FOLLOWED, CHAOS * chaos[step, text]), CHAOS_REASON
        else:
            limit, why = ROUNDING, ROUNDING_REASON
        yield step, "float64", text, off, limit, why
    apart = {n for n in ours if "gradient/" in n} ^ {n for n in base if "gradient/" in n}
    text = "parameters with a gradient on one side only"
    yield "backward", "float64", text, len(apart), 0.0, "names"
    single = {(s, q): off for s, q, off in _measures(runs["float32"], base, exact=False)}
    for step, text, off in _measures(_ours(weights, arrays, "float32", 1), base, exact=False):
        limit = FLOAT32_FACTOR * max(single[step, text], FLOAT32_LEAST)
        yield step, "float32", text, off, limit, f"{FLOAT32_REASON}, at least {FLOAT32_LEAST:.0e}"
    rates = theirs["rates"]
    found = np.array([learning_rate(RECIPE.train, n, 1) for n in range(RECIPE.train.epochs)])
    off = np.abs(found / rates - 1).max() if len(found) == len(rates) else np.inf
    text = f"rates of {len(rates)} epochs by its milestones, stepped as PyTorch 0.4.1 does"
    yield "learning rate", "float64", text, off, CLOSED_FORM, CLOSED_REASON


# --- pictures to poses


def _decoded(drawn: scene.Drawn, theirs: dict[str, Any]) -> Iterator[Made]:
    offs = dict.fromkeys(("input", "input count"), 0.0)
    normal = ImageNormalizer(RECIPE.data)
    whole = RECIPE.benchmarks[0].whole
    assert whole is not None  # noqa: S101
    codec = RECIPE.codec
    found: dict[str, dict[str, float]] = {d: {} for d in ("float64", "float32")}

    def more(dtype: str, name: str, off: float) -> None:
        found[dtype][name] = max(found[dtype].get(name, 0.0), float(off))

    people_found = 0
    for number, scales in enumerate(scene.SCALES):
        picture = drawn.arrays[f"picture/{number}"][..., ::-1]
        size_wh = (picture.shape[1], picture.shape[0])
        for at, scale in enumerate(scales):
            made = whole_input(np.ascontiguousarray(picture), whole, scale, 1)
            ours = normal(paddle.to_tensor(made[None])).numpy()[0]
            other = theirs[f"float32/input/{number}/{at}"]
            same = ours.shape == other.shape
            offs["input"] = max(offs["input"], float(np.abs(ours - other).max()) if same else 1.0)
        for dtype in found:
            views = [
                View({n: drawn.arrays[f"map/{n}/{number}/{at}"][None].astype(dtype)
                      for n in ("heatmaps", "pafs")}, None, scale)
                for at, scale in enumerate(scales)
            ]  # fmt: skip
            heat, pafs = codec.merged(views, 0, size_wh, whole)
            more(dtype, "maps", np.abs(heat - theirs[f"{dtype}/heat/{number}"][..., :18]).max())
            more(dtype, "maps", np.abs(pafs - theirs[f"{dtype}/pafs/{number}"]).max())
            peaks, _ = codec.people_of(heat, pafs)
            listed = np.column_stack([peaks.joints, peaks.xy, peaks.scores])
            other = theirs[f"{dtype}/peaks/{number}"]
            same = len(listed) == len(other) and (listed[:, :3] == other[:, :3]).all()
            more(dtype, "peaks", 0 if same else abs(len(listed) - len(other)) + 1)
            place = Place.stacked([whole_place(size_wh, number)])
            poses = codec.decode(views, place, RECIPE.benchmarks[0], np.arange(18))
            seen = poses.keypoints[:, SCORED]
            joints, scores = (theirs[f"{dtype}/{n}/{number}"] for n in ("poses", "scores"))
            same = len(seen) == len(joints)
            people_found += len(joints) * (dtype == "float64")
            xy_same = same and (seen[..., :2] == joints[..., :2]).all()
            more(dtype, "poses", 0 if xy_same else 1)
            more(dtype, "scores", np.abs(poses.scores / scores - 1).max() if same else 1)
    yield ("data", "float32", "inputs of 4 pictures at 8 scales, normalised", offs["input"], 1e-6,
           "up to 8 roundings of values below 2, 2^-24 each")  # fmt: skip
    for dtype, values in found.items():
        limit = 1e-12 if dtype == "float64" else 1e-6
        text = "maps in the pictures' pixels, 4 pictures at 8 scales"
        yield "decode", dtype, text, values["maps"], limit, "the same sums of OpenCV's"
        text = "pictures with other peaks, or in another order"
        yield "decode", dtype, text, values["peaks"], 0.0, "pixels"
        text = f"pictures with other poses ({people_found} people)"
        yield "decode", dtype, text, values["poses"], 0.0, "whole pixels and a half"
        why = "its unit vectors are float32, eight roundings along a limb"
        yield "decode", dtype, "scores of people, relative", values["scores"], 2.0**-20, why


def _places() -> list[int]:
    from paddle_pose.skeletons import BODYPOSE18, COCO17

    return [BODYPOSE18.index(joint) for joint in COCO17.joints]


SCORED = _places()


# --- training samples, AP


def _samples(drawn: scene.Drawn, theirs: dict[str, Any]) -> Iterator[Made]:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for image in drawn.truth["images"]:
            cv2.imwrite(str(root / image["file_name"]), drawn.arrays[f"photo/{image['id']}"])
        file = root / "truth.json"
        file.write_text(json.dumps(drawn.truth), encoding="utf-8")
        table = people(root, "train2017", RECIPE.data, annotations=file)
        samples = LightSamples(table, RECIPE.data, RECIPE.codec)
        pairs = zip(table.image_ids[table.image_index[table.main]], table.main, strict=True)
        ours = {(int(i), *table.boxes_xywh[m].tolist()): n for n, (i, m) in enumerate(pairs)}
        records = [tuple(map(float, one)) for one in theirs["sample/record"]]
        keyed = {tuple(map(float, key)): number for key, number in ours.items()}
        text = f"main persons on one side only, of {len(records)}"
        yield "data", "sets", text, len(set(records) ^ set(keyed)), 0.0, "boxes"
        worst = dict.fromkeys(("image", "heatmaps", "pafs", "mask"), 0.0)
        for number, record in enumerate(records):
            _, zoom, turn, x, y, flip = drawn.arrays["draws"][number].tolist()
            shift = (int((x - 0.5) * 2 * 40), int((y - 0.5) * 2 * 40))
            change = LightChange((1.1 - 0.5) * zoom + 0.5, (turn - 0.5) * 80, shift, flip <= 0.5)
            made = samples.changed(keyed[record], change, 0.6)
            image = (made.image_HWC[..., ::-1].transpose(2, 0, 1).astype(np.float32) - 128) / 256
            pairs_of = {
                "image": (image, "image"),
                "heatmaps": (made.targets["heatmaps"], "keypoint_maps"),
                "pafs": (made.targets["pafs"], "paf_maps"),
                "mask": (made.targets["mask"], "keypoint_mask"),
            }
            for what, (mine, key) in pairs_of.items():
                off = np.abs(mine - theirs[f"sample/{key}"][number]).max()
                worst[what] = max(worst[what], float(off))
    text = f"of {len(records)} samples under given draws"
    yield "data", "uint8", f"images {text}", worst["image"], 0.0, "the same calls of OpenCV"
    yield "data", "uint8", f"masks {text}", worst["mask"], 0.0, "0 and 1"
    why = "sums of two float32 below 1, by either rounding"
    yield "data", "float32", f"heat maps {text}", worst["heatmaps"], 2.0**-22, why
    yield "data", "float32", f"fields {text}", worst["pafs"], 2.0**-23, "rounded to float32"


def _scored(drawn: scene.Drawn, theirs: dict[str, Any]) -> Iterator[Made]:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        files = root / "truth.json", root / "results.json"
        for file, content in zip(files, (drawn.truth, drawn.results), strict=True):
            file.write_text(json.dumps(content), encoding="utf-8")
        recipe = replace(RECIPE, eval=replace(RECIPE.eval, bootstrap=0))
        evaluator = WholeImageEvaluator(
            recipe, recipe.benchmarks[0], DataFiles(root, files[0]), with_images=False
        )
        values = evaluator.score(evaluator.read(files[1])).values
    ours = np.array([values[name] for name in NAMES])
    text = f"{len(drawn.results)} results: AP, AR and their parts (AP {values['AP']:.3f})"
    off = np.abs(ours - theirs["stats"]).max()
    yield "metric", "float64", text, off, 1e-9, "sums of at most 101 × 10 shares, in float64"
