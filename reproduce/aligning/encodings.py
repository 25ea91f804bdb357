"""DARK and UDP: crops, targets, losses and decoding of mmpose 1.x and 0.x, in recorded cases."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import paddle

from paddle_pose.codecs.codec import matrix_of
from paddle_pose.codecs.heatmap import HeatmapCodec
from paddle_pose.codecs.offsets import OffsetCodec
from paddle_pose.codecs.views import View
from paddle_pose.geometry import transform_points, udp_matrix
from paddle_pose.models.blocks import StageOutput
from paddle_pose.poses.poses import Place
from paddle_pose.settings import Benchmark, TrainSettings
from paddle_pose.training.losses import loss_function, total
from reproduce.aligning.decoding import EXP_REASON, EXP_ULP
from reproduce.aligning.networks import HRNET, MMPOSE, PARITY
from reproduce.aligning.rows import Reference, Row

NAME = "encodings"
SIZE_WH, CELLS_WH = (96, 128), (24, 32)
ORDER = np.array([0, 2, 1, 3, 5, 4])
"""Of the recorded cases: input, maps, and the joints of the mirror image."""

_CODECS = (
    "paddle_pose.codecs.heatmap.HeatmapCodec",
    "paddle_pose.codecs.offsets.OffsetCodec",
)
_LOSSES = ("paddle_pose.training.losses.offset_mse",)
ROOTS = {
    "data": (*_CODECS, "paddle_pose.geometry.udp_matrix"),
    "decode": _CODECS,
    "loss": _LOSSES,
    "backward": _LOSSES,
}

EXACT, EXACT_REASON = 1e-12, "float64 of numbers below 1024: some steps of 2^-43"
SAME, SAME_REASON = 0.0, "the same float32 numbers: equal"
MATRIX_PX = 2.0**-14
MATRIX_REASON = "float32 below 1024: one step, where sines of libraries differ in their last bit"
STORED_PX = 2.0**-16 + 1e-9
STORED_REASON = "recorded as float32 below 512 px: half a step of 2^-15"
STEP_PX = 1e-4
STEP_REASON = "float32 cells below 64 (2^-18), × up to 12 px, twice: recorded and found"
SUM, SUM_REASON = 1e-11, "means of at most 27,648 terms of one sign: 27,648 × 2^-53"
SUM32, SUM32_REASON = 1e-5, "float32 means in blocks: 100 × 2^-24"
GRADIENT = 2.0**-24
GRADIENT_REASON = "recorded as float32: half a step of the largest"

_BEFORE = "open-mmlab/mmpose", "3b8173463c4ecdcd3d82d566254bb2ae2eb0cc07"
_CROP = Reference(*MMPOSE, "mmpose/structures/bbox/transforms.py get_udp_warp_matrix")
_CROP_0X = Reference(*_BEFORE, "mmpose/core/post_processing/post_transforms.py get_warp_matrix")
_MSRA = Reference(*MMPOSE, "mmpose/codecs/msra_heatmap.py MSRAHeatmap")
_UDP = Reference(*MMPOSE, "mmpose/codecs/udp_heatmap.py UDPHeatmap; topdown.py")
_DARK = Reference(*MMPOSE, "mmpose/codecs/utils/refinement.py refine_keypoints_dark")
_TARGET_0X = Reference(
    *_BEFORE, "mmpose/datasets/pipelines/top_down_transform.py TopDownGenerateTarget"
)
_UDP_0X = Reference(*_BEFORE, "mmpose/core/evaluation/top_down_eval.py keypoints_from_heatmaps")
_FLIP = Reference(*MMPOSE, "mmpose/models/utils/tta.py flip_heatmaps")
_LOSS = Reference(*MMPOSE, "mmpose/models/losses/heatmap_loss.py CombinedTargetMSELoss")


def jobs(
    shared: Path | None, quick: bool
) -> list[tuple[str, int, Callable[[Callable[[], None]], list[Row]]]]:
    """Name, weight and maker of rows, as ``align.Job`` has them."""
    dtypes = ("float32",) if quick else ("float64", "float32")
    made: list = [(f"losses {d}", 1, lambda tick, d=d: list(loss_rows(d))) for d in dtypes]
    made.append(("crops and targets", 1, lambda tick: list(target_rows())))
    made.append(("decoding", 1, lambda tick: list(decode_rows(shared))))
    made.append(("effects", 1, lambda tick: list(effect_rows())))
    return made


def recorded() -> dict[str, np.ndarray]:
    """The arrays of mmpose's own functions, maps in float32."""
    arrays = dict(np.load(PARITY / "encodings" / "encodings.npz"))
    for name in ("maps", "offset_maps", "offset_maps_mirrored"):
        arrays[name] = arrays[name].astype(np.float32)
    return arrays


def _off(ours: Any, theirs: Any) -> float:
    return float(np.abs(np.asarray(ours, np.float64) - np.asarray(theirs, np.float64)).max())


def target_rows() -> Iterator[Row]:
    """UDP's crop matrices; the targets of DARK, of UDP and of its offsets."""
    arrays = recorded()
    matrices = [
        # Ours turns by a positive angle the other way.
        udp_matrix(center, scale, -rotation, tuple(size))
        for center, scale, rotation, size in zip(
            arrays["crop_center"],
            arrays["crop_scale"],
            arrays["crop_rotation_deg"],
            arrays["crop_size_wh"].tolist(),
            strict=True,
        )
    ]
    for key, words, reference in (
        ("crop_matrix", "1.x", _CROP),
        ("crop_matrix_0x", "0.x", _CROP_0X),
    ):
        text = f"UDP's matrices of {len(matrices)} crops, mmpose {words}"
        off = _off(matrices, arrays[key])
        yield Row(NAME, "data", "float32", text, off, MATRIX_PX, MATRIX_REASON, reference)
    heat = np.load(PARITY / "decode" / "mmpose_encode.npz")
    for encoding, words in (("unbiased", "DARK"), ("udp", "UDP")):
        codec = HeatmapCodec(encoding=encoding)
        made = codec.encode(heat["keypoints"][0], heat["visible"][0], (256, 256))
        for ours, key in (("heatmaps", "targets"), ("weights", "loss weights")):
            off = _off(made[ours], heat[f"{encoding}_{ours}"].reshape(made[ours].shape))
            text = f"{words}'s {key} of 16 joints"
            reference = _MSRA if encoding == "unbiased" else _UDP
            limit = (EXP_ULP, EXP_REASON) if ours == "heatmaps" else (SAME, SAME_REASON)
            yield Row(NAME, "data", "float32", text, off, *limit, reference)
    made = OffsetCodec().encode(arrays["keypoints"][0], arrays["visible"][0], SIZE_WH)
    off = _off(made["heatmaps"], arrays["offset_heatmaps"])
    text = "UDP's discs and offsets of 6 joints"
    yield Row(NAME, "data", "float32", text, off, SAME, SAME_REASON, _UDP)
    off = _off(made["weights"], arrays["offset_weights"][0])
    yield Row(NAME, "data", "float32", f"{text}, loss weights", off, SAME, SAME_REASON, _UDP)
    discs = made["heatmaps"][::3]
    within = [discs, made["heatmaps"][1::3] * discs, made["heatmaps"][2::3] * discs]
    off = max(_off(one, arrays["offset_heatmaps_0x"][i::3]) for i, one in enumerate(within))
    because = "1.x divides by a float32 quotient of sizes (6e-8 of it, of up to 32 cells, / 1.75)"
    text = "UDP's discs, and offsets inside, mmpose 0.x"
    yield Row(NAME, "data", "float32", text, off, 1.2e-6, because, _TARGET_0X)


def loss_rows(dtype: str) -> Iterator[Row]:
    """Value and gradient of the loss of discs and offsets, with weights and without."""
    arrays = recorded()
    exact = dtype == "float64"
    limit, because = (SUM, SUM_REASON) if exact else (SUM32, SUM32_REASON)
    targets = {"heatmaps": np.stack([arrays["offset_heatmaps"]] * 2)}
    targets["weights"] = arrays["loss_weights"]
    for name in ("weighted", "plain"):
        loss = loss_function(
            TrainSettings(loss="offset_mse", use_target_weight=name == "weighted"), OffsetCodec()
        )
        maps = paddle.to_tensor(arrays["loss_outputs"].astype(dtype), stop_gradient=False)
        parts = loss(
            [StageOutput(maps)], {n: paddle.to_tensor(t.astype(dtype)) for n, t in targets.items()}
        )
        value = total(list(parts.values()))
        value.backward()
        off = abs(float(value) / float(arrays[f"loss_{name}"]) - 1)
        text = f"loss of discs and offsets, {name}, relative"
        yield Row(NAME, "loss", dtype, text, off, limit, because, _LOSS)
        gradient = arrays[f"gradient_{name}"]
        off = _off(maps.grad.numpy()[:, : gradient.shape[1]], gradient) / np.abs(gradient).max()
        bound = GRADIENT if exact else SUM32
        because_gradient = GRADIENT_REASON if exact else SUM32_REASON
        yield Row(NAME, "backward", dtype, f"gradient, {name}", off, bound, because_gradient, _LOSS)


def _image(codec: HeatmapCodec, maps: np.ndarray, decoder: str, place: Place) -> tuple[Any, Any]:
    cells, scores = codec.cells(maps, decoder)
    return codec.to_image(cells, place, (maps.shape[3], maps.shape[2])), scores


def place_at(center_xy: np.ndarray, scale_wh: np.ndarray) -> Place:
    """Crops of people without joints."""
    count = len(center_xy)
    empty = np.empty((count, 0, 2))
    return Place(center_xy, scale_wh, np.arange(count), np.arange(count), empty, empty[..., 0])


def decode_rows(shared: Path | None) -> Iterator[Row]:
    """Each decoder of UDP's and of offsets, in the image; larger recorded sets where they are."""
    arrays = recorded()
    place = place_at(arrays["center"], arrays["scale"])
    for decoder, sigma_px, key, reference in (
        ("udp", 2.0, "udp_image", _UDP),
        ("udp", 3.0, "udp_17_image", _UDP),
        ("udp_11", 3.0, "udp_image", _UDP),
        ("udp_mirrored", 2.0, "udp_0x_11_image", _UDP_0X),
        ("udp_mirrored", 3.0, "udp_0x_17_image", _UDP_0X),
    ):
        codec = HeatmapCodec(sigma_px, encoding="udp")
        found, scores = _image(codec, arrays["maps"], decoder, place)
        text = f"{decoder}, sigma {sigma_px:g}, in the image, px"
        off = _off(found, arrays[key])
        yield Row(NAME, "decode", "float32", text, off, STEP_PX, STEP_REASON, reference)
        off, text = _off(scores, arrays["udp_scores"]), f"{decoder}, sigma {sigma_px:g}, maxima"
        yield Row(NAME, "decode", "float32", text, off, SAME, SAME_REASON, _UDP)
    cells, _ = HeatmapCodec(3.0, encoding="unbiased").cells(arrays["maps"], "dark_11")
    off, because = _off(cells, arrays["dark_11_cells"]), "see mpii's and coco's rows of DARK"
    yield Row(NAME, "decode", "float32", "dark_11, sigma 3, cells", off, 1e-3, because, _DARK)
    yield from _offset_rows(arrays, place)
    yield from _set_rows(shared)


def _offset_rows(arrays: dict[str, np.ndarray], place: Place) -> Iterator[Row]:
    codec, maps = OffsetCodec(), arrays["offset_maps"]
    views = [View({"heatmaps": maps}, {"heatmaps": arrays["offset_maps_mirrored"]})]
    merged = codec.merged(views, ORDER, shift=False)
    off = _off(merged[0, :6], arrays["offset_merged_n0"])
    text = "discs and offsets after the flip test"
    yield Row(NAME, "decode", "float32", text, off, SAME, SAME_REASON, _FLIP)
    for words, given, name in (("", maps, "offsets"), (", flip test", merged, "offsets_flip")):
        for decoder, suffix, limit, because, reference in (
            ("offsets", "", EXACT, EXACT_REASON, _UDP),
            ("offsets_blurred", "_0x", STORED_PX, STORED_REASON, _UDP_0X),
        ):
            found, scores = _image(codec, given, decoder, place)
            off = _off(found, arrays[f"{name}{suffix}_image"])
            text = f"{decoder}{words}, in the image, px"
            yield Row(NAME, "decode", "float32", text, off, limit, because, reference)
            off, text = _off(scores, arrays[f"{name}_scores"]), f"{decoder}{words}, maxima"
            yield Row(NAME, "decode", "float32", text, off, SAME, SAME_REASON, _UDP)


def _set_rows(shared: Path | None) -> Iterator[Row]:
    """UDP on the maps that all decoders are compared on; empty maps give no numbers there."""
    for name, sigma_px in (("coco256x192", 2.0), ("mpii256", 2.0), ("mpii384", 3.0)):
        if shared is None:
            return
        arrays = np.load(shared / "parity" / "decode" / f"{name}.npz")
        codec = HeatmapCodec(sigma_px, encoding="udp")
        place = place_at(arrays["center"], arrays["scale"])
        maps = arrays["heatmaps"].astype(np.float32)
        found, scores = _image(codec, maps, "udp", place)
        seen = scores > 0
        off = _off(found[seen], arrays["mmpose_udp_image_space"][seen])
        text = f"udp, {seen.sum()} maps, in the image, px ({name})"
        yield Row(NAME, "decode", "float32", text, off, STEP_PX, STEP_REASON, _UDP)


PERFECT = {
    "HRNet's targets, quarter offset": (HeatmapCodec(), "quarter_offset"),
    "HRNet's targets, DARK's decoding": (HeatmapCodec(), "dark"),
    "DARK's targets and decoding": (HeatmapCodec(encoding="unbiased"), "dark"),
    "UDP": (HeatmapCodec(encoding="udp"), "udp"),
    "UDP's offsets": (OffsetCodec(), "offsets"),
}


def effect_rows() -> Iterator[Row]:
    """What ways of encoding are worth where a network is perfect, and what editions differ by."""
    words = "a perfect network's mean error with the flip test, px of 192×256:"
    for name, (codec, decoder) in PERFECT.items():
        reference = Reference(*HRNET, "lib/core/function.py validate") if "HR" in name else _UDP
        off = perfect_error_px(codec, decoder)
        yield _effect(f"{words} {name}", off, reference)
    maps = recorded()["maps"]
    for sigma_px, one, other, words in (
        (2.0, "udp", "udp_mirrored", "UDP in mmpose 1.x and 0.x, sigma 2"),
        (3.0, "udp_11", "udp_mirrored", "UDP in mmpose 1.x and 0.x, sigma 3"),
        (3.0, "dark_11", "dark", "DARK in mmpose 1.x and 0.x, sigma 3"),
    ):
        codec = HeatmapCodec(sigma_px, encoding="udp")
        apart = codec.cells(maps, one)[0] - codec.cells(maps, other)[0]
        off = float(np.linalg.norm(apart, axis=2).mean())
        yield _effect(f"{words}: mean distance on 12 noisy maps, cells", off, _UDP_0X)


def _effect(text: str, size: float, reference: Reference) -> Row:
    because = "measured: what it is worth, not an error"
    return Row(NAME, "decode", "float32", text, size, None, because, reference)


def perfect_error_px(codec: HeatmapCodec, decoder: str, people: int = 40) -> float:
    """Mean distance of joints, of maps that are their targets, those of the mirrored input too."""
    size_wh, rng = (192, 256), np.random.default_rng(7)
    center, scale = rng.uniform(200, 400, (people, 2)), np.full((people, 2), [0.96, 1.28])
    joints = rng.uniform(20, 170, (people, 17, 2))  # of the input, for each crop of its size
    matrix = matrix_of(codec)(center[0], scale[0], 0.0, size_wh)
    whole = np.vstack([matrix, [0, 0, 1]])
    image_xy = transform_points(joints, np.linalg.inv(whole)[:2]) - center[0] + center[:, None]
    mirrored = joints * [-1, 1] + [size_wh[0] - 1, 0]
    views = [
        np.stack([codec.encode(xy, np.ones(17), size_wh)["heatmaps"] for xy in some])
        for some in (joints, mirrored)
    ]
    view = View({"heatmaps": views[0]}, {"heatmaps": views[1]})
    benchmark = Benchmark(name="x", decoder=decoder, shift_heatmap=codec.encoding != "udp")
    place = place_at(center, scale)
    found = codec.decode([view], place, benchmark, np.arange(17)).keypoints[..., :2]
    return float(np.linalg.norm(found - image_xy, axis=2).mean())  # a pixel is one of the image
