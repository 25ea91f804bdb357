"""Network + people -> key points in image pixels: forward, flip test, decode, back to the image."""

from __future__ import annotations

import numpy as np
import paddle
from tqdm import tqdm

from paddle_pose.codecs import heatmap
from paddle_pose.data.datasets import PersonCrops
from paddle_pose.data.loader import evaluation_batches
from paddle_pose.data.records import PersonTable
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
    """(N, J, 3) float64: x, y in image pixels (0-based) and the heat map's value there."""
    network.eval()
    crops = PersonCrops(table, data, codec, augment=None)
    normalize = ImageNormalizer(data.rgb_mean, data.rgb_std)
    flip_order = skeleton_named(table.skeleton).flip_order
    keypoints = np.empty((len(table), len(flip_order), 3))
    batches = evaluation_batches(crops, batch_size=batch_size, num_workers=num_workers)
    with tqdm(total=len(table), unit="person", desc="predict", leave=False, disable=None) as bar:
        for batch in batches:
            maps = forward_heatmaps(network, batch.images, normalize, codec, benchmark, flip_order)
            cells, scores = heatmap.decode(maps, benchmark.decoder, sigma_px=codec.sigma_px)
            size_wh = (maps.shape[3], maps.shape[2])
            keypoints[batch.index, :, :2] = heatmap.to_image(
                cells, batch.center_xy, batch.scale_wh, size_wh
            )
            keypoints[batch.index, :, 2] = scores
            bar.update(len(batch.index))
    return keypoints
