"""What DARK and UDP do otherwise: Gaussians that stand at the joint, not on its nearest cell.

By UDP a map of W cells spans W - 1 of them, from the first one's centre to the last one's, as the
crop does. mmpose 1.x decodes into its input by another factor, size / (W - 1), than it encodes by,
(size - 1) / (W - 1), and takes that back on the way to the image, where no number depends on it.
"""

from __future__ import annotations

import numpy as np

from paddle_pose.geometry import udp_sides_px

SUBCELL = ("dark_3", "dark_11", "udp", "udp_11", "udp_mirrored")
"""Decoders besides ``settings.DECODERS`` (HeatmapCodec.cells)."""


def cells_of(
    joints_xy: np.ndarray,
    image_size_wh: tuple[int, int],
    heatmap_size_wh: tuple[int, int],
    *,
    udp: bool,
) -> np.ndarray:
    """Joints (J, 2) in pixels of the input -> cells; the quotient of sizes is a float32 there.

    Source: open-mmlab/mmpose mmpose/codecs/msra_heatmap.py:74, udp_heatmap.py:77 @759b39c
    """
    size, cells = np.array(image_size_wh) - udp, np.array(heatmap_size_wh) - udp
    return np.asarray(joints_xy, np.float64) / (size / cells).astype(np.float32)


def gaussians(
    cells_xy: np.ndarray,
    visible: np.ndarray,
    size_wh: tuple[int, int],
    sigma_px: float,
    *,
    cut: bool,
) -> dict[str, np.ndarray]:
    """Joints (J, 2) in cells -> ``heatmaps`` (J, h, w) and ``weights`` (J,), float32.

    A weight is the joint's ``visible`` value, and 0 where its square of 3 sigma lies outside.

    Args:
        cells_xy: of each joint.
        visible: (J,).
        size_wh: of the maps.
        sigma_px: in cells.
        cut: nothing beyond that square, whose middle is the nearest cell (UDP); else the Gaussian
            fills the map, and the square's middle is the joint (DARK).

    Source: open-mmlab/mmpose mmpose/codecs/utils/gaussian_heatmap.py:205, :263 @759b39c
    """
    columns, rows = np.arange(size_wh[0]), np.arange(size_wh[1])[:, None]
    maps = np.zeros((len(cells_xy), size_wh[1], size_wh[0]), np.float32)
    weights = np.array(visible, np.float32)
    for joint in np.flatnonzero(weights > 0.5):
        x, y = cells_xy[joint]
        middle = (cells_xy[joint] + 0.5).astype(np.int64) if cut else cells_xy[joint]
        low, high = middle - 3 * sigma_px, middle + 3 * sigma_px + 1
        if cut:
            low, high = low.astype(np.int64), high.astype(np.int64)
        if (low >= size_wh).any() or (high < 0).any():
            weights[joint] = 0
            continue
        maps[joint] = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * sigma_px**2))
        if cut:
            inside = (columns >= low[0]) & (columns < high[0])
            maps[joint] *= inside & (rows >= low[1]) & (rows < high[1])
    return {"heatmaps": maps, "weights": weights}


def udp_step(
    maps_BJHW: np.ndarray,
    cells_xy: np.ndarray,
    scores: np.ndarray,
    kernel: int,
    *,
    mirrored: bool,
) -> np.ndarray:
    """Newton steps (B, J, 2) float32 from maxima (B, J, 2) on the logarithm of blurred maps.

    Neighbours are one cell away, where DARK's curvature has them two away; beyond the border they
    are the border's own. A map without a positive value makes none (no numbers come out there).

    Args:
        maps_BJHW: float32.
        cells_xy: whole cells.
        scores: (B, J) the maxima.
        kernel: of the blur, in cells.
        mirrored: see ``HeatmapCodec.cells``.

    Source: open-mmlab/mmpose mmpose/codecs/utils/refinement.py:105 @759b39c;
    mmpose/core/evaluation/top_down_eval.py:335 @3b81734
    """
    steps = np.zeros(cells_xy.shape, np.float32)
    found = np.flatnonzero(scores.ravel() > 0)
    if not len(found):
        return steps
    height, width = maps_BJHW.shape[2:]
    maps = maps_BJHW.reshape(-1, height, width)[found]
    logs = np.log(np.clip(blurred(maps, kernel, mirrored=mirrored), 1e-3, 50))
    x, y = cells_xy.reshape(-1, 2)[found].astype(np.int64).T
    index = np.arange(len(found))

    def at(down: int, right: int) -> np.ndarray:
        return logs[index, np.clip(y + down, 0, height - 1), np.clip(x + right, 0, width - 1)]

    middle, right, left, below, above = at(0, 0), at(0, 1), at(0, -1), at(1, 0), at(-1, 0)
    dx, dy = 0.5 * (right - left), 0.5 * (below - above)
    # In the reference's order, so that float32 rounds alike.
    dxy = 0.5 * (at(1, 1) - right - below + middle + middle - left - above + at(-1, -1))
    tiny = float(np.finfo(np.float32).eps)
    dxx = (right - 2 * middle + left).astype(np.float64) + tiny
    dyy = (below - 2 * middle + above).astype(np.float64) + tiny
    determinant = dxx * dyy - dxy.astype(np.float64) ** 2
    safe = np.where(determinant == 0, 1, determinant)
    step = np.stack([dxy * dy - dyy * dx, dxy * dx - dxx * dy], axis=1) / safe[:, None]
    step[determinant == 0] = 0
    steps.reshape(-1, 2)[found] = step
    return steps


def blurred(maps: np.ndarray, kernel: int, *, mirrored: bool) -> np.ndarray:
    """(N, H, W) float32 after a Gaussian blur of so many cells; see ``HeatmapCodec.cells``."""
    import cv2

    border = cv2.BORDER_DEFAULT if mirrored else cv2.BORDER_CONSTANT
    found = np.stack(
        [cv2.GaussianBlur(one, (kernel, kernel), 0, borderType=border) for one in maps]
    )
    if not mirrored:
        found *= (maps.max((1, 2)) / found.max((1, 2)))[:, None, None]
    return found


def udp_to_image(
    cells_xy: np.ndarray,
    center_xy: np.ndarray,
    scale_wh: np.ndarray,
    heatmap_size_wh: tuple[int, int],
) -> np.ndarray:
    """Joints (B, J, 2) in cells -> image pixels, for crops (B, 2) without rotation, by UDP.

    Source: open-mmlab/mmpose mmpose/core/post_processing/post_transforms.py:150 @3b81734
    """
    cells = np.array(heatmap_size_wh) - 1
    per_cell = udp_sides_px(scale_wh, heatmap_size_wh)[:, None] / cells
    middle = np.asarray(center_xy, np.float64)[:, None]
    return (np.asarray(cells_xy, np.float64) - cells / 2) * per_cell + middle
