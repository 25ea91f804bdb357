"""Network + people -> key points in image pixels: forward, flip test, decode, back to the image."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

import cv2
import numpy as np
from tqdm import tqdm

from paddle_pose.codecs import heatmap
from paddle_pose.data.loader import evaluation_batches
from paddle_pose.data.records import PersonTable
from paddle_pose.data.top_down import PersonCrops
from paddle_pose.errors import UserError
from paddle_pose.inference.engine import Forward, choose, make_forward
from paddle_pose.models.blocks import PoseNetwork
from paddle_pose.settings import Benchmark, CodecSettings, DataSettings
from paddle_pose.skeletons import skeleton_named


def merged_maps(maps_BJHW: np.ndarray, benchmark: Benchmark, flip_order: np.ndarray) -> np.ndarray:
    """(B, J, h, w) of what a ``Forward`` gives: with the flip test the mean of its two halves."""
    if not benchmark.flip_test:
        return maps_BJHW
    plain, mirrored = np.split(maps_BJHW, 2)
    return heatmap.merge_flip(plain, mirrored, flip_order, shift=benchmark.shift_heatmap)


def rescale_maps(maps_BJHW: np.ndarray, scale: float) -> np.ndarray:
    """Heat maps of a crop ``scale`` times as large -> on the cells of the plain crop, bilinear.

    Both crops share their centre, which lies at half the map's size (see codecs.heatmap.to_image).
    """
    if scale == 1.0:
        return maps_BJHW
    people, joints, height, width = maps_BJHW.shape
    shift_xy = 0.5 * np.array([width, height]) * (1 - 1 / scale)
    matrix = np.column_stack([np.eye(2) / scale, shift_xy])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    flat = maps_BJHW.reshape(people * joints, height, width)
    moved = [cv2.warpAffine(one, matrix, (width, height), flags=flags) for one in flat]
    return np.stack(moved).reshape(maps_BJHW.shape)


def predict(
    network: PoseNetwork,
    table: PersonTable,
    data: DataSettings,
    codec: CodecSettings,
    benchmark: Benchmark,
    *,
    batch_size: int,
    num_workers: int,
    engine: str = "eager",
    precision: str = "float32",
) -> np.ndarray:
    """(N, J, 3) float64: x, y in image pixels (0-based) and the heat map's value there.

    Args:
        network: is put into evaluation mode.
        table: N people.
        data: size of the crops and how pixels are normalised, as in training.
        codec: what the network puts out, as in training.
        benchmark: flip test, scales and decoder.
        batch_size: people at a time.
        num_workers: processes that read photos; 0 for none.
        engine: ``auto``, ``eager`` or ``onednn`` (see ``engine.choose``).
        precision: ``float32`` or ``bfloat16``.

    Raises:
        UserError: a photo that cannot be read; no or impossible ``test_scales``; an engine or
            precision that is not to be had here.
    """
    if not len(table):  # a rank of more than there are batches
        return np.empty((0, len(skeleton_named(table.skeleton).joints), 3))
    forward = make_forward(
        network,
        data,
        codec,
        flip_test=benchmark.flip_test,
        engine=choose(engine, precision, people=len(table) * len(benchmark.test_scales)),
        precision=precision,
        batch_size=min(batch_size, len(table)),
    )
    return predict_by(
        forward, table, data, codec, benchmark, batch_size=batch_size, num_workers=num_workers
    )


def predict_by(
    forward: Forward,
    table: PersonTable,
    data: DataSettings,
    codec: CodecSettings,
    benchmark: Benchmark,
    *,
    batch_size: int,
    num_workers: int,
) -> np.ndarray:
    """``predict`` by an engine that is ready; maps are decoded while the next batch is computed.

    Raises:
        UserError: a photo that cannot be read; no or impossible ``test_scales``.
    """
    scales = benchmark.test_scales
    if not scales or min(scales) <= 0:
        raise UserError(f"test_scales={list(scales)}: must be positive numbers, such as [1.0]")
    flip_order = skeleton_named(table.skeleton).flip_order
    keypoints = np.empty((len(table), len(flip_order), 3))
    tables = [replace(table, scale_wh=table.scale_wh * scale) for scale in scales]
    streams = [
        evaluation_batches(
            PersonCrops(one, data, codec, with_targets=False),
            batch_size=batch_size,
            num_workers=num_workers,
        )
        for one in tables
    ]

    def decode(rows: np.ndarray, maps: Sequence[np.ndarray]) -> None:
        cells, scores, size_wh = _decoded(maps, codec, benchmark, flip_order)
        keypoints[rows, :, :2] = heatmap.to_image(
            cells, table.center_xy[rows], table.scale_wh[rows], size_wh
        )
        keypoints[rows, :, 2] = scores
        bar.update(len(rows))

    bar = tqdm(total=len(table), unit="person", desc="predict", leave=False, disable=None)
    with bar, ThreadPoolExecutor(1) as decoding:
        earlier: Future | None = None
        for batches in zip(*streams, strict=True):
            maps = [forward(batch.images) for batch in batches]
            if earlier is not None:
                earlier.result()  # raises what it raised; and no more than two batches wait
            earlier = decoding.submit(decode, batches[0].index, maps)
        if earlier is not None:
            earlier.result()
    return keypoints


def _decoded(
    maps: Sequence[np.ndarray],
    codec: CodecSettings,
    benchmark: Benchmark,
    flip_order: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, tuple[int, int]]:
    """Joints (B, J, 2) in cells, their scores, and the size of the maps; ``maps`` are by scale."""
    size_wh = (maps[0].shape[3], maps[0].shape[2])
    sigma_px = codec.sigma_px
    if len(maps) == 1 and benchmark.test_scales[0] == 1.0 and benchmark.flip_test:
        cells, scores = heatmap.decode_flipped(
            *np.split(maps[0], 2),
            flip_order,
            benchmark.decoder,
            shift=benchmark.shift_heatmap,
            sigma_px=sigma_px,
        )
        return cells, scores, size_wh
    scaled = [
        rescale_maps(merged_maps(one, benchmark, flip_order), scale)
        for one, scale in zip(maps, benchmark.test_scales, strict=True)
    ]
    mean = scaled[0] if len(scaled) == 1 else np.mean(scaled, axis=0)
    return *heatmap.decode(mean, benchmark.decoder, sigma_px=sigma_px), size_wh
