"""Heat maps with their mirrored halves → image coordinates, against HRNet's evaluation loop."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.harness import Comparison, Options, Side, Target
from benchmarks.random_people import MPII_PEOPLE
from benchmarks.worker import Work

BATCH = 32
"""HRNet's TEST.BATCH_SIZE_PER_GPU."""
DRAWN = 256
"""People whose maps are drawn; they repeat, each time in memory of its own."""
JOINTS, SIDE = 16, 64


@dataclass(frozen=True)
class Maps:
    """Heat maps of N people, MPII's joints.

    Attributes:
        plain, flipped: (N, 16, 64, 64) float32: bumps on noise, those of the mirrored image about
            a cell away from the others.
        center_xy: (N, 2) image pixels.
        scale_wh: (N, 2) in units of 200 pixels.
    """

    plain: np.ndarray
    flipped: np.ndarray
    center_xy: np.ndarray
    scale_wh: np.ndarray

    def batches(self) -> list[slice]:
        """The people of each batch."""
        people = len(self.plain)
        return [slice(first, min(first + BATCH, people)) for first in range(0, people, BATCH)]


def flip_pairs() -> list[tuple[int, int]]:
    """MPII's left and right joints."""
    from paddle_pose.skeletons import MPII16

    order = MPII16.flip_order.tolist()
    return [(joint, other) for joint, other in enumerate(order) if joint < other]


def draw(people: int) -> Maps:
    """The same maps for both sides."""
    rng = np.random.default_rng(0)
    drawn = min(people, DRAWN)
    cells = np.arange(SIDE)
    peak_xy = rng.uniform(-1, SIDE + 1, (drawn, JOINTS, 2))
    partner = np.arange(JOINTS)
    for first, second in flip_pairs():
        partner[[first, second]] = second, first
    back_xy = peak_xy[:, partner] + rng.normal(0, 0.7, peak_xy.shape)
    back_xy[..., 0] = SIDE - back_xy[..., 0]

    def bumps(centers_xy: np.ndarray) -> np.ndarray:
        maps = np.empty((people, JOINTS, SIDE, SIDE), np.float32)
        across = np.exp(-((cells - centers_xy[..., :1]) ** 2) / 8)
        down = np.exp(-((cells - centers_xy[..., 1:]) ** 2) / 8)
        noise = rng.normal(0, 0.02, (drawn, JOINTS, SIDE, SIDE))
        once = 0.9 * down[..., :, None] * across[..., None, :] + noise
        for first in range(0, people, drawn):
            maps[first : first + drawn] = once[: people - first]
        return maps

    scale = rng.uniform(0.5, 4, (people, 1))
    return Maps(
        bumps(peak_xy), bumps(back_xy), rng.uniform(100, 900, (people, 2)), scale[:, [0, 0]]
    )


def _figures(found_xy: np.ndarray, scores: np.ndarray) -> dict[str, float]:
    x, y = found_xy.reshape(-1, 2).mean(axis=0, dtype=np.float64)
    spread = found_xy.std(dtype=np.float64)
    return {"x": x, "y": y, "spread": spread, "score": scores.mean(dtype=np.float64)}


def ours(people: int) -> Work:
    """Merged, searched, refined and put back into the image, batch by batch."""
    from paddle_pose.system import runtime

    runtime.configure(quiet=True)
    from paddle_pose.codecs import heatmap
    from paddle_pose.skeletons import MPII16

    maps, order = draw(people), MPII16.flip_order
    found_xy, scores = np.empty((people, JOINTS, 2)), np.empty((people, JOINTS), np.float32)

    def run() -> None:
        for rows in maps.batches():
            merged = heatmap.merge_flip(maps.plain[rows], maps.flipped[rows], order, True)
            cells, scores[rows] = heatmap.decode(merged, "quarter_offset", sigma_px=2.0)
            found_xy[rows] = heatmap.to_image(
                cells, maps.center_xy[rows], maps.scale_wh[rows], (SIDE, SIDE)
            )

    return Work(run, units=people, figures=lambda: _figures(found_xy, scores))


def theirs(clone: str, people: int) -> Work:
    """``flip_back``, the shift and the mean as in ``validate``, ``get_final_preds``.

    Source: leoxiaobin/deep-high-resolution-net.pytorch lib/core/function.py:127, inference.py:49
    """
    import torch

    from benchmarks import official

    inference = official.hrnet_module(clone, "core.inference")
    transforms = official.hrnet_module(clone, "utils.transforms")
    config = official.Attributes.of({"TEST": {"POST_PROCESS": True}})
    pairs, maps = flip_pairs(), draw(people)
    pristine = maps.flipped[:DRAWN].copy()
    found_xy, scores = np.empty((people, JOINTS, 2)), np.empty((people, JOINTS), np.float32)

    def restore() -> None:
        """flip_back swaps joints in the very array that it is given."""
        for first in range(0, people, DRAWN):
            maps.flipped[first : first + DRAWN] = pristine[: people - first]

    def run() -> None:
        for rows in maps.batches():
            output = torch.from_numpy(maps.plain[rows])
            back = torch.from_numpy(transforms.flip_back(maps.flipped[rows], pairs).copy())
            back[..., 1:] = back.clone()[..., :-1]
            merged = ((output + back) * 0.5).clone().numpy()
            found_xy[rows], maxima = inference.get_final_preds(
                config, merged, maps.center_xy[rows], maps.scale_wh[rows]
            )
            scores[rows] = maxima[..., 0]

    facts = {"official": f"deep-high-resolution-net.pytorch @{official.commit(Path(clone))}"}
    figures = lambda: _figures(found_xy, scores)  # noqa: E731
    return Work(run, units=people, facts=facts, figures=figures, prepare=restore)


def comparisons(options: Options) -> list[Comparison]:
    """One row."""
    people = DRAWN if options.quick else MPII_PEOPLE
    clone = options.hrnet
    official_side = Side(
        "benchmarks.decoding:theirs",
        "HRNet, flip_back and get_final_preds",
        {"clone": str(clone), "people": people},
        in_torch=True,
    )
    return [
        Comparison(
            name="decoding",
            work=f"heat maps of {people:,} people, 16 × 64 × 64, and their mirrored halves → "
            f"image coordinates, batch {BATCH}",
            ours=Side("benchmarks.decoding:ours", "NumPy and OpenCV", {"people": people}),
            theirs=official_side if clone else None,
            target=Target("speedup", 2.0),
            unit="s/person",
            missing="" if clone else "no --hrnet DIR",
            tolerance=1e-4,  # their coordinates are float32: 2**-15 px each, less in the mean
        )
    ]
