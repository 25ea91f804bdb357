"""AlphaPose's targets, losses, decoding and scores of coordinates, in recorded cases."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import paddle

from paddle_pose.codecs.heatmap import HeatmapCodec
from paddle_pose.codecs.integral import CombinedCodec, IntegralCodec
from paddle_pose.codecs.views import View
from paddle_pose.evaluation.coordinate_scores import alphapose_accuracy
from paddle_pose.evaluation.oks_results import with_joint_scores
from paddle_pose.models.blocks import StageOutput
from paddle_pose.poses.poses import Place, Poses
from paddle_pose.settings import Benchmark, OksProtocol, TrainSettings
from paddle_pose.training.losses import loss_function, total
from reproduce.aligning.networks import PARITY
from reproduce.aligning.rows import Reference, Row

NAME = "fastpose"
LOSSES = {"MSELoss": "joints_mse", "L1JointRegression": "integral_l1", "Combined": "combined"}
DECODED = ("heat", "sigmoid", "softmax", "divide_sum", "combined")

_CODECS = tuple(
    f"paddle_pose.codecs.{name}Codec"
    for name in ("heatmap.Heatmap", "integral.Integral", "integral.Combined")
)
_LOSSES = tuple(
    f"paddle_pose.training.{name}"
    for name in ("losses.joints_mse", "integral_losses.integral_l1", "integral_losses.combined")
)
ROOTS = {
    "data": _CODECS,
    "decode": _CODECS,
    "loss": _LOSSES,
    "backward": _LOSSES,
    "metric": (
        "paddle_pose.evaluation.coordinate_scores.alphapose_accuracy",
        "paddle_pose.evaluation.oks_results.with_joint_scores",
    ),
}

EXACT = 1e-11
EXACT_REASON = "sums of at most 52,224 terms of one sign: 52,224 × 2^-53"
FLOAT32 = 192 * 2**-24
FLOAT32_REASON = "sums of 192 cells of a map: at most 192 × 2^-24"
STORED = 2**-24 + EXACT
STORED_REASON = "gradients are recorded as float32: 2^-24 of each"
TARGET = 1e-7
TARGET_REASON = "float32 exp and quotients may differ by one step (6e-8)"
CELL_PX, CELL_REASON = 2.0**-15 + 1e-9, "recorded as float32 below 1024 px: half a step of 2^-14"
SUM_PX = 2e-3
SUM_REASON = "the reference sums 3,072 cells in float32: 1e-5 of a map, up to 200 px here"
SCORE, SCORE_REASON = 2.0**-22, "float32 sigmoid: 2 steps on either side"
POSE, POSE_REASON = 1e-6, "2.25 × that of a joint, and a float32's half step at 2 to 4"
SHARE, SHARE_REASON = 1e-12, "means of quotients of equal counts"

_COMMIT = "MVIG-SJTU/AlphaPose", "c60106d19afb443e964df6f06ed1842962f5f1f7"
_LOSS = Reference(*_COMMIT, "scripts/train.py train; alphapose/models/criterion.py")
_TARGET = Reference(*_COMMIT, "alphapose/utils/presets/simple_transform.py")
_ACCURACY = Reference(*_COMMIT, "alphapose/utils/metrics.py calc_accuracy, calc_integral_accuracy")
_DECODE = Reference(*_COMMIT, "alphapose/utils/transforms.py heatmap_to_coord_simple(_regress)")
_VALIDATE = Reference(*_COMMIT, "scripts/validate.py validate, validate_gt")


def jobs(
    shared: Path | None, quick: bool
) -> list[tuple[str, int, Callable[[Callable[[], None]], list[Row]]]]:
    """Name, weight and maker of rows, as ``align.Job`` has them."""
    dtypes = ("float32",) if quick else ("float64", "float32")
    made: list = [(f"losses {d}", 1, lambda tick, d=d: list(loss_rows(d))) for d in dtypes]
    made.append(("targets", 1, lambda tick: list(target_rows())))
    made.append(("coordinates", 1, lambda tick: list(small_rows())))
    if shared is not None and not quick:
        made.append(("decoding", 1, lambda tick: list(decode_rows(shared))))
    return made


def cases() -> Iterator[tuple[dict[str, Any], np.ndarray, dict[str, np.ndarray], np.ndarray]]:
    """Record, logits, targets as our codecs name them, gradient; of the recorded losses."""
    folder = PARITY / "alphapose"
    arrays = np.load(folder / "losses.npz")
    for case in json.loads((folder / "losses.json").read_text("utf-8"))["cases"]:
        name, targets = case["name"], {}
        if f"{name}/heat" in arrays:
            targets["heatmaps"] = arrays[f"{name}/heat"]
            targets["weights"] = arrays[f"{name}/heat_weight"][:, :, 0, 0]
        if f"{name}/integral" in arrays:
            shape = (case["N"], -1, 2)
            targets["coordinates"] = arrays[f"{name}/integral"].reshape(shape)
            targets["coordinate_weights"] = arrays[f"{name}/integral_weight"].reshape(shape)[..., 0]
        case["joints"] = arrays[f"{name}/joints"]
        yield case, arrays[f"{name}/logits"], targets, arrays[f"{name}/grad"]


def codec_of(case: dict[str, Any]) -> HeatmapCodec | IntegralCodec | CombinedCodec:
    """What makes a case's targets and reads its maps."""
    if case["loss"] == "MSELoss":
        return HeatmapCodec(sigma_px=2.0)
    kind = CombinedCodec if case["loss"] == "Combined" else IntegralCodec
    return kind(norm=case["norm_type"])


def loss_rows(dtype: str) -> Iterator[Row]:
    """Value and gradient of each recorded loss, and the accuracy that is logged with it."""
    exact = dtype == "float64"
    limit, because = (EXACT, EXACT_REASON) if exact else (FLOAT32, FLOAT32_REASON)
    for case, logits, targets, gradient in cases():
        codec = codec_of(case)
        loss = loss_function(TrainSettings(loss=LOSSES[case["loss"]]), codec)
        maps = paddle.to_tensor(logits.astype(dtype), stop_gradient=False)
        parts = loss(
            [StageOutput(maps)], {n: paddle.to_tensor(t.astype(dtype)) for n, t in targets.items()}
        )
        value = total(list(parts.values()))
        value.backward()
        what = f"{case['loss']} of {case['K']} joints ({case['name']})"
        off = abs(float(value) / case["value"] - 1)
        yield Row(NAME, "loss", dtype, f"{what}, relative", off, limit, because, _LOSS)
        off = float(np.linalg.norm(maps.grad.numpy() - gradient) / np.linalg.norm(gradient))
        bound = (STORED, STORED_REASON) if exact else (FLOAT32 + STORED, FLOAT32_REASON)
        yield Row(NAME, "backward", dtype, f"{what}, relative", off, *bound, _LOSS)
        if not exact:
            found = alphapose_accuracy(codec, logits.astype(np.float32), targets)
            off, text = abs(found - case["accuracy"]), f"training accuracy, {what}"
            yield Row(NAME, "metric", dtype, text, off, SHARE, SHARE_REASON, _ACCURACY)


def target_rows() -> Iterator[Row]:
    """Targets and weights of each recorded case from its joints."""
    for case, _, targets, _ in cases():
        size_wh = tuple(4 * cells for cells in reversed(case["heatmap"]))
        weights = [name for name in ("weights", "coordinate_weights") if name in targets]
        seen = np.concatenate([targets[name] for name in weights], 1) > 0
        made = [
            codec_of(case).encode(joints, visible.astype(np.float64), size_wh)
            for joints, visible in zip(case["joints"], seen, strict=True)
        ]
        off = max(
            float(np.abs(one[name] - targets[name][n]).max())
            for n, one in enumerate(made)
            for name in targets
        )
        text = f"targets and weights of {case['K']} joints ({case['name']})"
        yield Row(NAME, "data", "float32", text, off, TARGET, TARGET_REASON, _TARGET)


def small_rows() -> Iterator[Row]:
    """Coordinates in the image and scores of two people of eight joints, plain and averaged.

    The recorded average is of two sets of maps as they are: nothing is mirrored back.
    """
    arrays = np.load(PARITY / "decode" / "alphapose.npz")
    place = place_of(np.tile(arrays["bbox_xyxy"], (2, 1)))
    for norm in ("sigmoid", "softmax"):
        views = [View({"heatmaps": arrays[name]}) for name in ("logits", "logits_flip")]
        for theirs, used in (("coord", views[:1]), ("coordflip", views)):
            poses = IntegralCodec(norm).decode(used, place, Benchmark(name=""), np.arange(8))
            text = f"{norm}, {'two' if len(used) == 2 else 'one'} of two sets of maps"
            expected = arrays[f"{theirs}_{norm}"], arrays[f"{theirs}_score_{norm}"]
            yield from _decoded(text, poses, *expected, SUM_PX, SUM_REASON)


def decode_rows(shared: Path) -> Iterator[Row]:
    """The same of all codecs, plain and by the flip test, and the scores of ``validate.py``."""
    folder = shared / "parity" / "alphapose"
    record = json.loads((folder / "decode.json").read_text("utf-8"))
    arrays = dict(np.load(folder / "decode.npz"))
    found: dict[tuple[str, bool], Poses] = {}
    for case in record["cases"]:
        for method in DECODED:
            for way in ("plain", "flip"):
                key = f"{case['name']}/{method}/{way}"
                if f"{key}/coords" not in arrays:
                    continue
                poses = _poses_of(case, arrays, method, flip=way == "flip")
                if method != "softmax" and method != "divide_sum":
                    found[case["name"], way == "flip"] = poses
                expected = arrays[f"{key}/coords"], arrays[f"{key}/scores"]
                bound = (CELL_PX, CELL_REASON) if method == "heat" else (SUM_PX, SUM_REASON)
                yield from _decoded(f"{method}, {way} ({case['name']})", poses, *expected, *bound)
    off = 0.0
    for entry in record["validate"]:
        boxes = "detector" if entry["mode"] == "det" else "ground_truth"
        benchmark = Benchmark(name="", boxes=boxes, metric=OksProtocol(score="alphapose"))
        keypoints = found[entry["maps"], entry["flip"]].keypoints
        scores = with_joint_scores(keypoints, np.array(entry["det_scores"]), benchmark)
        off = max(off, *(abs(scores - [one["score"] for one in entry["results"]]).tolist()))
    text = "scores of poses, by boxes of either kind"
    yield Row(NAME, "metric", "float32", text, off, POSE, POSE_REASON, _VALIDATE)


def _poses_of(
    case: dict[str, Any], arrays: dict[str, np.ndarray], method: str, *, flip: bool
) -> Poses:
    name = case["name"]
    order = np.arange(case["K"])
    for left, right in case["joint_pairs"]:
        order[left], order[right] = right, left
    scale = arrays[f"{name}/scale"].astype(np.float32)[:, None, None]
    maps, mirrored = (
        arrays[f"{name}/{key}"].astype(np.float32) * scale
        for key in ("maps", "maps_of_mirrored_crop")
    )
    codec: Any = {"heat": HeatmapCodec(sigma_px=2.0), "combined": CombinedCodec()}.get(method)
    if method == "divide_sum":  # as the record was made: of positive maps
        maps, mirrored = (
            m - m.min((1, 2, 3), keepdims=True) + np.float32(0.01) for m in (maps, mirrored)
        )
    view = View({"heatmaps": maps}, {"heatmaps": mirrored} if flip else None)
    place = place_of(arrays[f"{name}/box"])
    return (codec or IntegralCodec(method)).decode([view], place, Benchmark(name=""), order)


def place_of(boxes_xyxy: np.ndarray) -> Place:
    """Where inputs lie that were cut from such boxes."""
    corners = np.asarray(boxes_xyxy, np.float64).reshape(-1, 2, 2)
    count = len(corners)
    size = (corners[:, 1] - corners[:, 0]) / 200
    ids = np.arange(count)
    return Place(corners.mean(1), size, ids, ids, np.empty((count, 0, 2)), np.empty((count, 0)))


def _decoded(
    text: str, poses: Poses, coords: np.ndarray, scores: np.ndarray, limit_px: float, because: str
) -> Iterator[Row]:
    off = float(np.abs(poses.keypoints[..., :2] - coords).max())
    row = NAME, "decode", "float32"
    yield Row(*row, f"coordinates by {text}, px", off, limit_px, because, _DECODE)
    off = float(np.abs(poses.keypoints[..., 2:] - scores).max())
    yield Row(*row, f"scores by {text}", off, SCORE, SCORE_REASON, _DECODE)
