"""AlphaPose's losses of coordinates: integral regression, alone or beside heat maps.

Letters as in ``losses``; N is W or H.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import paddle
from paddle.nn import functional as F

from paddle_pose.errors import UserError
from paddle_pose.models.blocks import StageOutput

AMPLITUDE = 2.0
"""Of the symmetric gradient."""

COMBINED = 100.0, 0.01
"""Weights of the heat maps' part and of the coordinates'."""


def coordinates(maps_BJHW: paddle.Tensor, norm: str, *, symmetric: bool) -> paddle.Tensor:
    """(B, J, 2) fractions of the maps' width and height, minus a half; see ``IntegralCodec``.

    Columns and rows are summed before they are divided by the map's sum: fewer passes over it.

    Source: MVIG-SJTU/AlphaPose alphapose/utils/transforms.py:650 @c60106d
    """
    p_BJHW = maps_BJHW
    if norm == "sigmoid":
        p_BJHW = F.sigmoid(maps_BJHW)
    elif norm == "softmax":
        p_BJHW = F.softmax(maps_BJHW.flatten(2), axis=-1).reshape(maps_BJHW.shape)
    columns_BJW, rows_BJH = p_BJHW.sum(2), p_BJHW.sum(3)
    whole_BJ1 = columns_BJW.sum(-1, keepdim=True)
    lines = [line_BJN / whole_BJ1 for line_BJN in (columns_BJW, rows_BJH)]
    return paddle.stack([_mean_place(line, symmetric) / line.shape[-1] for line in lines], 2) - 0.5


def _mean_place(p_BJN: paddle.Tensor, symmetric: bool) -> paddle.Tensor:
    """Σ i·p_i, (B, J). If ``symmetric``, its gradient by p_i is -2 before it, and 2 from it on.

    Source: MVIG-SJTU/AlphaPose alphapose/models/criterion.py:13 @c60106d
    """
    index_N = paddle.arange(p_BJN.shape[-1], dtype=p_BJN.dtype)
    place_BJ = (p_BJN * index_N).sum(-1)
    if not symmetric:
        return place_BJ
    place_BJ = place_BJ.detach()
    is_before = (index_N < place_BJ.unsqueeze(-1)).astype(p_BJN.dtype)
    pull_BJ = (p_BJN * (AMPLITUDE - 2 * AMPLITUDE * is_before)).sum(-1)
    return place_BJ + (pull_BJ - pull_BJ.detach())  # + 0, exactly, with the gradient of the pull


def l1(
    maps_BJHW: paddle.Tensor, targets: Mapping[str, paddle.Tensor], norm: str, symmetric: bool
) -> paddle.Tensor:
    """Σ |coordinate - target| × weight over joints and axes, divided by B.

    Source: MVIG-SJTU/AlphaPose alphapose/models/criterion.py:85 @c60106d
    """
    wanted_BJ2 = targets["coordinates"]
    if list(maps_BJHW.shape[:2]) != list(wanted_BJ2.shape[:2]):
        raise UserError(
            f"model.joints: the network puts out {maps_BJHW.shape[1]} maps for "
            f"{wanted_BJ2.shape[1]} coordinates; they must be as many"
        )
    apart_BJ2 = (coordinates(maps_BJHW, norm, symmetric=symmetric) - wanted_BJ2).abs()
    return (apart_BJ2 * targets["coordinate_weights"].unsqueeze(-1)).sum() / maps_BJHW.shape[0]


def integral_l1(
    outputs: Sequence[StageOutput],
    targets: Mapping[str, paddle.Tensor],
    norm: str = "sigmoid",
    symmetric: bool = True,
) -> dict[str, paddle.Tensor]:
    """``l1`` of every joint, of the last stage."""
    return {"coordinates": l1(outputs[-1].heatmaps_BJHW, targets, norm, symmetric)}


def combined(
    outputs: Sequence[StageOutput],
    targets: Mapping[str, paddle.Tensor],
    norm: str = "sigmoid",
    symmetric: bool = True,
    *,
    heatmaps: Callable[..., dict[str, paddle.Tensor]],
) -> dict[str, paddle.Tensor]:
    """100 × the loss ``heatmaps`` of the first maps, 0.01 × ``l1`` of the others.

    Source: MVIG-SJTU/AlphaPose scripts/train.py:52 @c60106d
    """
    maps_BJHW, first = outputs[-1].heatmaps_BJHW, targets["heatmaps"].shape[1]
    of_heat = heatmaps([StageOutput(maps_BJHW[:, :first])], targets)["heatmaps"]
    of_rest = l1(maps_BJHW[:, first:], targets, norm, symmetric)
    return {"heatmaps": COMBINED[0] * of_heat, "coordinates": COMBINED[1] * of_rest}
