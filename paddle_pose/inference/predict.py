"""Samples → poses: forward under each view, decode while the next batch is computed."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from tqdm import tqdm

from paddle_pose.codecs.codec import Codec
from paddle_pose.codecs.views import View
from paddle_pose.data.loader import evaluation_batches
from paddle_pose.data.samples import Sample, Samples, name_of
from paddle_pose.errors import UserError
from paddle_pose.inference.engine import Forward
from paddle_pose.poses.poses import Place, Poses
from paddle_pose.settings import Benchmark
from paddle_pose.system import parallel


class Part:
    """Some of a map-style data set's samples, in the order of ``indices``."""

    def __init__(self, samples: Samples, indices: np.ndarray) -> None:
        self._samples, self._indices = samples, indices

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, key: int | tuple[int, int]) -> Sample:
        return self._samples[self._whole(key)]

    def name_of(self, key: tuple[int, int]) -> str:
        """What a message calls that sample."""
        return name_of(self._samples, self._whole(key))

    def _whole(self, key: int | tuple[int, int]) -> tuple[int, int]:
        epoch, index = key if isinstance(key, tuple | list) else (0, key)
        return epoch, int(self._indices[index])


def require_scales(benchmark: Benchmark) -> None:
    """Raises UserError for no or impossible ``test_scales``."""
    scales = benchmark.test_scales
    if not scales or min(scales) <= 0:
        raise UserError(f"test_scales={list(scales)}: must be positive numbers, such as [1.0]")


def predict(
    forward: Forward,
    views: Sequence[Samples],
    codec: Codec,
    benchmark: Benchmark,
    flip_order: np.ndarray,
    *,
    batch_size: int,
    num_workers: int,
) -> list[Poses]:
    """Poses of each batch of samples, in order.

    Args:
        forward: a network that is ready (``engine.make_forward``).
        views: the same samples at each of the benchmark's scales (``Evaluator.samples``).
        codec: decodes what the network puts out, as it encoded its targets.
        benchmark: flip test, scales and decoder.
        flip_order: (J,) permutation that swaps left and right joints.
        batch_size: samples at a time.
        num_workers: processes that read photos; 0 for none.

    Raises:
        UserError: a photo that cannot be read; no or impossible ``test_scales``.
    """
    require_scales(benchmark)
    streams = [
        evaluation_batches(samples, batch_size=batch_size, num_workers=num_workers)
        for samples in views
    ]
    found: list[Poses] = []

    def decode(outputs: list, place: Place, count: int) -> None:
        seen = [
            View(plain, mirrored, scale)
            for (plain, mirrored), scale in zip(outputs, benchmark.test_scales, strict=True)
        ]
        found.append(codec.decode(seen, place, benchmark, flip_order))
        bar.update(count)

    bar = tqdm(total=len(views[0]), unit="sample", desc="predict", leave=False, disable=None)
    with bar, ThreadPoolExecutor(1) as decoding:
        earlier: Future | None = None
        for batches in zip(*streams, strict=True):
            parallel.stop_if_asked()
            outputs = [forward(batch.images) for batch in batches]
            if earlier is not None:
                earlier.result()  # raises what it raised; and no more than two batches wait
            # The first view's place is that of the samples as the table has them, where its scale
            # is 1; a codec takes the scale from the view.
            place = batches[0].place
            earlier = decoding.submit(decode, outputs, place, batches[0].images.shape[0])
        if earlier is not None:
            earlier.result()
    return found
