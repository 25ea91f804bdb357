"""Network + people -> key points in image pixels: forward, flip test, decode, back to the image."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import paddle
from tqdm import tqdm

from paddle_pose.codecs import heatmap
from paddle_pose.data.datasets import PersonCrops
from paddle_pose.data.loader import evaluation_batches
from paddle_pose.data.records import PersonTable
from paddle_pose.errors import UserError
from paddle_pose.models.blocks import PoseNetwork
from paddle_pose.models.inputs import ImageNormalizer
from paddle_pose.models.outputs import heatmaps_from
from paddle_pose.settings import Benchmark, CodecSettings, DataSettings
from paddle_pose.skeletons import skeleton_named


def forward_heatmaps(
    network: PoseNetwork,
    images_BHWC: paddle.Tensor,
    normalize: ImageNormalizer,
    codec: CodecSettings,
    benchmark: Benchmark,
    flip_order: np.ndarray,
) -> np.ndarray:
    """(B, J, h, w) float32 of the last stage; with the flip test both halves run in one batch."""
    images = normalize(images_BHWC)
    people = images.shape[0]
    if benchmark.flip_test:
        images = paddle.concat([images, images.flip([3])])
    maps = heatmaps_from(network(images)[-1].heatmaps_BJHW, codec)
    maps = maps.numpy().astype(np.float32, copy=False)
    if not benchmark.flip_test:
        return maps
    return heatmap.merge_flip(
        maps[:people], maps[people:], flip_order, shift=benchmark.shift_heatmap
    )


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


@paddle.no_grad()
def predict(
    network: PoseNetwork,
    table: PersonTable,
    data: DataSettings,
    codec: CodecSettings,
    benchmark: Benchmark,
    *,
    batch_size: int,
    num_workers: int,
) -> np.ndarray:
    """(N, J, 3) float64: x, y in image pixels (0-based) and the heat map's value there.

    Raises:
        UserError: a photo that cannot be read; no or impossible ``test_scales``.
    """
    scales = benchmark.test_scales
    if not scales or min(scales) <= 0:
        raise UserError(f"test_scales={list(scales)}: must be positive numbers, such as [1.0]")
    network.eval()
    normalize = ImageNormalizer(data)
    flip_order = skeleton_named(table.skeleton).flip_order
    keypoints = np.empty((len(table), len(flip_order), 3))
    tables = [replace(table, scale_wh=table.scale_wh * scale) for scale in scales]
    streams = [
        evaluation_batches(
            PersonCrops(one, data, codec), batch_size=batch_size, num_workers=num_workers
        )
        for one in tables
    ]
    with tqdm(total=len(table), unit="person", desc="predict", leave=False, disable=None) as bar:
        for batches in zip(*streams, strict=True):
            maps = [
                rescale_maps(
                    forward_heatmaps(
                        network, batch.images, normalize, codec, benchmark, flip_order
                    ),
                    scale,
                )
                for batch, scale in zip(batches, scales, strict=True)
            ]
            mean = maps[0] if len(maps) == 1 else np.mean(maps, axis=0)
            cells, scores = heatmap.decode(mean, benchmark.decoder, sigma_px=codec.sigma_px)
            rows, size_wh = batches[0].index, (mean.shape[3], mean.shape[2])
            keypoints[rows, :, :2] = heatmap.to_image(
                cells, table.center_xy[rows], table.scale_wh[rows], size_wh
            )
            keypoints[rows, :, 2] = scores
            bar.update(len(rows))
    return keypoints
