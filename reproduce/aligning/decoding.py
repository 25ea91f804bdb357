"""Targets, decoding, the flip test and the way back to the image (PEERS steps: data, metric)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from paddle_pose.codecs import heatmap
from paddle_pose.skeletons import COCO17, MPII16
from reproduce.aligning.networks import HRNET, MMPOSE, PARITY
from reproduce.aligning.rows import Reference, Row

SETS = {
    "mpii": {"mpii256": (MPII16, 2.0), "mpii384": (MPII16, 3.0)},
    "coco": {"coco256x192": (COCO17, 2.0)},
}
"""Recorded heat maps per data set, with flip order and sigma; coco256x192 is in the repository."""
IMAGE_PX = 2.0**-15 + 1e-9
"""Image coordinates stay below 1024 px and are recorded as float32: half a step of 2^-14. The three
points behind the matrix are the same float32 in both, so nothing else may differ."""
IMAGE_REASON = "recorded as float32 below 1024 px: half a step of 2^-14"
EXACT = "the same float32 numbers: equal"
DARK_CELLS = 1e-3
"""DARK divides differences of logarithms (rounding 1e-6 each) by a curvature of at least 1/18."""
DARK_REASON = "differences of float32 logarithms (1e-6) over a curvature of at least 1/18, × 50"
EXP_ULP = 1e-7
EXP_REASON = "float32 exp may differ by one step (6e-8) between libraries"

_INFERENCE = Reference(*HRNET, "lib/core/inference.py get_max_preds, get_final_preds")
_FLIP = Reference(*HRNET, "lib/core/function.py validate; lib/utils/transforms.py flip_back")
_MSRA = Reference(*MMPOSE, "mmpose/codecs/msra_heatmap.py MSRAHeatmap.decode")
_TARGET = Reference(*HRNET, "lib/dataset/JointsDataset.py generate_target")
_ENCODE = Reference(*MMPOSE, "mmpose/codecs/msra_heatmap.py MSRAHeatmap.encode")


def recorded_file(relative: str, shared: Path | None) -> Path | None:
    """A record under ``tests/parity`` or, failing that, among the larger ones."""
    folders = [PARITY] if shared is None else [PARITY, shared / "parity"]
    return next((folder / relative for folder in folders if (folder / relative).is_file()), None)


def decode_rows(data_set: str, shared: Path | None) -> list[Row]:
    """Arg-max, quarter offsets, DARK and the flip test for every set of heat maps at hand."""
    rows = []
    for name, (skeleton, sigma_px) in SETS[data_set].items():
        file = recorded_file(f"decode/{name}.npz", shared)
        if file is None:
            continue
        arrays = dict(np.load(file))
        for key in ("heatmaps", "heatmaps_flipped_out"):
            arrays[key] = arrays[key].astype(np.float32)
        for quantity, difference, tolerance, because, reference in _decoded(
            arrays, skeleton.flip_order, sigma_px
        ):
            text = f"{quantity} ({name})"
            rows.append(
                Row(data_set, "decode", "float32", text, difference, tolerance, because, reference)
            )
    return rows


def _off(ours: np.ndarray, theirs: np.ndarray) -> float:
    return float(np.abs(np.asarray(ours, np.float64) - theirs).max())


def _decoded(arrays: dict, flip_order: np.ndarray, sigma_px: float) -> Iterator[tuple]:
    maps = arrays["heatmaps"]
    size_wh = maps.shape[3], maps.shape[2]

    def to_image(coords: np.ndarray) -> np.ndarray:
        return heatmap.to_image(coords, arrays["center"], arrays["scale"], size_wh)

    coords, scores = heatmap.decode(maps, "argmax", sigma_px=sigma_px)
    yield "arg-max, cells", _off(coords, arrays["max_preds"]), 0.0, EXACT, _INFERENCE
    yield "maxima", _off(scores, arrays["maxvals"][..., 0]), 0.0, EXACT, _INFERENCE
    off = _off(to_image(coords), arrays["final_preds_post0"])
    yield "arg-max in the image, px", off, IMAGE_PX, IMAGE_REASON, _INFERENCE
    coords, _ = heatmap.decode(maps, "quarter_offset", sigma_px=sigma_px)
    off = _off(to_image(coords), arrays["final_preds_post1"])
    yield "quarter offset in the image, px", off, IMAGE_PX, IMAGE_REASON, _INFERENCE
    for shift in (False, True):
        merged = heatmap.merge_flip(maps, arrays["heatmaps_flipped_out"], flip_order, shift)
        coords, scores = heatmap.decode(merged, "quarter_offset", sigma_px=sigma_px)
        name, text = f"flip_shift{int(shift)}", f"flip test {'with' if shift else 'without'} shift"
        off = _off(scores, arrays[f"{name}_maxvals"][..., 0])
        yield f"{text}, maxima", off, 0.0, EXACT, _FLIP
        off = _off(to_image(coords), arrays[f"{name}_final_preds"])
        yield f"{text}, in the image, px", off, IMAGE_PX, IMAGE_REASON, _FLIP
    for decoder, name in (("quarter_offset_per_axis", "msra"), ("dark", "dark")):
        coords, scores = heatmap.decode(maps, decoder, sigma_px=sigma_px)
        off = _off(coords, arrays[f"mmpose_{name}_input_space"] / 4)
        quarter = name == "msra"
        tolerance, because = (0.0, "quarters of a cell") if quarter else (DARK_CELLS, DARK_REASON)
        text = "quarter offset per axis" if quarter else "DARK"
        yield f"mmpose's {text}, cells", off, tolerance, because, _MSRA


def target_rows(data_set: str, shared: Path | None) -> list[Row]:
    """Gaussian targets at the borders, where rounding and cutting show."""
    rows = []
    edges = np.load(PARITY / "pipeline" / "target_edges.npz")
    cases = json.loads((PARITY / "pipeline" / "target_edges.json").read_text("utf-8"))["cases"]
    targets_off = weights_off = 0.0
    both: list[tuple[np.ndarray, np.ndarray]] = []
    square = [case for case in cases if case["image_size_wh"][0] == case["image_size_wh"][1]]
    chosen = square if data_set == "mpii" else [case for case in cases if case not in square]
    for case in chosen:
        codec = heatmap.HeatmapCodec(sigma_px=case["sigma"], stride=4)
        size_wh = tuple(case["image_size_wh"])
        encoded = codec.encode(edges["joints"], edges["vis"], size_wh)
        targets, weights = encoded["heatmaps"], encoded["weights"]
        both.append((targets.ravel(), edges[f"{case['tag']}/target"].ravel()))
        targets_off = max(targets_off, _off(targets, edges[f"{case['tag']}/target"]))
        weights_off = max(weights_off, _off(weights, edges[f"{case['tag']}/target_weight"][:, 0]))
    sizes = ", ".join(f"{case['tag']}" for case in chosen)
    quantity = f"targets of joints at and over the borders ({sizes})"
    row = (data_set, "data", "float32")
    ours, theirs = (np.concatenate(side) for side in zip(*both, strict=True))
    targets_row = Row(*row, quantity, targets_off, EXP_ULP, EXP_REASON, _TARGET)
    rows.append(replace(targets_row, arrays=(ours, theirs)))
    quantity = f"loss weights of joints at and over the borders ({sizes})"
    rows.append(Row(*row, quantity, weights_off, 0.0, "0 or 1", _TARGET))
    encode = recorded_file("decode/mmpose_encode.npz", shared)
    if data_set == "mpii" and encode is not None:
        arrays = np.load(encode)
        targets = heatmap.HeatmapCodec().encode(
            arrays["keypoints"][0], arrays["visible"][0], (256, 256)
        )
        off = _off(targets["heatmaps"], arrays["msra_heatmaps"])
        rows.append(Row(*row, "mmpose's targets (256_s2)", off, EXP_ULP, EXP_REASON, _ENCODE))
    return rows
