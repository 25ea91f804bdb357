"""PaddleDetection's HRNet against ours: maps, flip test, loss, gradients and steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import paddle

from paddle_pose.codecs import heatmap
from paddle_pose.codecs.heatmap import HeatmapCodec
from paddle_pose.models.build import build
from paddle_pose.porting import network_keys
from paddle_pose.porting.names import convert, spelling_of, table_of
from paddle_pose.skeletons import COCO17
from paddle_pose.training.losses import joints_mse
from paddle_pose.training.optimizers import make_optimizer
from reproduce.aligning.encodings import place_at
from reproduce.aligning.live_rows import sample
from reproduce.aligning.networks import precision
from reproduce.aligning.paddledet_answers import DARK_PX, DARK_REASON, DECODE, MARK, Answers
from reproduce.aligning.rows import Row

_STEP = "ppdet/optimizer/optimizer.py OptimizerBuilder (configs/keypoint/hrnet)"
EXACT, EXACT_REASON = 1e-12, "the same kernels on the same numbers: some steps of 2^-53, amplified"
OWN, OWN_REASON = 4, "4 × what PaddleDetection's float32 is off from its float64 in this run"


def network_rows(side: Answers) -> Iterator[Row]:
    """Maps, the flip test, the loss, gradients, one step of Adam and three losses."""
    table, keys = table_of(side.recipe.model), network_keys(side.recipe.model)
    given = side.theirs["weights"]
    weights = convert(given, table, keys, "its .pdparams").arrays
    spelling = spelling_of(given, table, "its .pdparams")
    names = {n: ours for n in given if (ours := spelling.ours(n)) in keys.shapes}
    prefix = "float64/gradient/"
    with_gradient = {n[len(prefix) :] for n in side.theirs if n.startswith(prefix)}
    off = len(set(names.values()) ^ set(keys.shapes))
    text = (
        f"{len(given)} tensors of its .pdparams, of which {len(given) - len(names)} never reach "
        "its maps: places here that none or two fill"
    )
    file = "ppdet/modeling/backbones/hrnet.py HRNet, keypoint_hrnet.py TopDownHRNet"
    yield side.row("forward", "float64", text, off, 0.0, "names", file)
    unused = {n for n in with_gradient if n not in names}
    missed = {n for n in names if not _is_statistic(n)} - with_gradient
    text = "parameters with a gradient on one side only"
    off = len(unused | missed)
    yield side.row("backward", "float64", text, off, 0.0, "names", file)
    exact = {ours: given[n] for n, ours in names.items()}  # a conversion rounds to float32
    for dtype, values in (("float64", exact), ("float32", weights)):
        yield from _network_in(side, dtype, values, names, file)


def _limit(dtype: str, apart: Callable[[str], float]) -> tuple[float, str]:
    """How far both may be apart; ``apart`` of a precision is from its float64."""
    return (EXACT, EXACT_REASON) if dtype == "float64" else (OWN * apart("float32"), OWN_REASON)


def _network_in(
    side: Answers, dtype: str, weights: dict[str, np.ndarray], names: dict[str, str], file: str
) -> Iterator[Row]:
    theirs, inputs = side.theirs, side.inputs
    with precision(dtype):
        network = build(side.recipe.model)
        for key, value in network.state_dict().items():
            value.set_value(weights[key].astype(dtype))
        network.eval()
        with paddle.no_grad():
            for key, size in (("images_256", "256×192"), ("images_384", "384×288")):
                maps = _maps(side, network, inputs[key], dtype)
                off = _apart(maps, theirs[f"{dtype}/{key}"])
                exact = theirs[f"float64/{key}"]
                limit = _limit(dtype, lambda d, k=key, e=exact: _apart(theirs[f"{d}/{k}"], e))
                text = f"heat maps at {size}, eval mode, relative to the largest"
                yield side.row("forward", dtype, text, off, *limit, file)
            if dtype == "float32":
                yield from _flip_rows(side, network)
        network.train()
        adam = make_optimizer(network, replace(side.recipe.train, learning_rate=5e-4))
        batch = paddle.to_tensor(inputs["train_images"].astype(dtype))
        named = {
            "heatmaps": paddle.to_tensor(inputs["targets"].astype(dtype)),
            "weights": paddle.to_tensor(inputs["weights"][..., 0].astype(dtype)),
        }
        losses: list[float] = []
        for step in range(len(theirs[f"{dtype}/losses"])):
            loss = joints_mse(network(batch), named)["heatmaps"]
            loss.backward()
            losses.append(float(loss))
            if step == 0:
                graded = network.named_parameters()
                found = {n: p.grad.numpy() for n, p in graded if p.grad is not None}
                yield _tensors(side, "backward", dtype, "gradient", found, names, file)
            adam.step()
            adam.clear_grad()
            if step == 0:
                yield from _after(side, dtype, network, names, file)
    expected, exact = theirs[f"{dtype}/losses"], theirs["float64/losses"]
    off = np.abs(np.array(losses) / expected - 1)
    own = np.abs(theirs["float32/losses"] / exact - 1)
    loss_file = "ppdet/modeling/losses/keypoint_loss.py KeyPointMSELoss"
    maps = _apart(theirs["float32/images_256"], theirs["float64/images_256"])
    limit, why = _limit(dtype, lambda _: 2 * maps)
    why += "; a square: twice the maps' error" if dtype == "float32" else ""
    yield side.row("loss", dtype, "loss of step 0, relative", off[0], limit, why, loss_file)
    limit = _limit(dtype, lambda _: float(own.max()))
    text = f"losses of {len(off)} Adam steps, relative"
    yield side.row("optimiser", dtype, text, off.max(), *limit, _STEP)


def _after(
    side: Answers, dtype: str, network: Any, names: dict[str, str], file: str
) -> Iterator[Row]:
    """What the first step left."""
    state = {n: v.numpy() for n, v in network.state_dict().items()}
    moved = {n: v for n, v in state.items() if not _is_statistic(n)}
    yield _tensors(side, "optimiser", dtype, "after", moved, names, _STEP)
    means = {n: v for n, v in state.items() if n.endswith("._mean")}
    yield _tensors(side, "batch norm", dtype, "after", means, names, file)
    variances = {n: v for n, v in state.items() if n.endswith("._variance")}
    off = _relative(side, dtype, "after", variances, names)[0]
    text = f"{len(variances)} running variances after one step together, relative L2"
    why = "not judged: PaddleDetection keeps Paddle's biased variance, we PyTorch's unbiased one"
    yield side.row("batch norm", dtype, text, off, None, why, file)


def _relative(
    side: Answers, dtype: str, kind: str, ours: dict[str, np.ndarray], names: dict[str, str]
) -> tuple[float, float]:
    """How far all tensors of a kind are off together, relative to their norm: ours and float32."""
    off = own = norm = 0.0
    for theirs, name in names.items():
        if name in ours:
            other = side.theirs[f"{dtype}/{kind}/{theirs}"].astype(np.float64)
            exact = side.theirs[f"float64/{kind}/{theirs}"]
            off += float(((sample(ours[name]) - other) ** 2).sum())
            own += float(((side.theirs[f"float32/{kind}/{theirs}"] - exact) ** 2).sum())
            norm += float((other**2).sum())
    return (off / norm) ** 0.5, (own / norm) ** 0.5


def _tensors(
    side: Answers,
    step: str,
    dtype: str,
    kind: str,
    ours: dict[str, np.ndarray],
    names: dict[str, str],
    file: str,
) -> Row:
    """All tensors of a kind, as one difference relative to their norm."""
    off, own = _relative(side, dtype, kind, ours, names)
    words = {
        "backward": "gradients",
        "optimiser": "parameters after one step of its optimiser",
        "batch norm": "running means after one step",
    }
    text = f"{words[step]}, {len(ours)} tensors together, relative L2"
    return side.row(step, dtype, text, off, *_limit(dtype, lambda _: own), file)


def _maps(side: Answers, network: Any, images: np.ndarray, dtype: str) -> np.ndarray:
    return network(paddle.to_tensor(images.astype(dtype)))[-1].heatmaps_BJHW.numpy()


def _flip_rows(side: Answers, network: Any) -> Iterator[Row]:
    images, codec = side.inputs["images_256"], HeatmapCodec()
    mirrored = np.ascontiguousarray(images[..., ::-1])
    merged = heatmap.merge_flip(
        _maps(side, network, images, "float32"),
        _maps(side, network, mirrored, "float32"),
        COCO17.flip_order,
        True,
    )
    off = _apart(merged, side.theirs["flip_maps"])
    text = "maps after its flip test, relative to the largest"
    own = _apart(side.theirs["float32/images_256"], side.theirs["float64/images_256"])
    limit = OWN * own, OWN_REASON + ", of the maps without it"
    yield side.row("decode", "float32", text, off, *limit, f"{MARK} _forward, flip_back")
    cells, _ = codec.cells(side.theirs["flip_maps"], "dark_3")
    place = place_at(side.inputs["centers"][:1], side.inputs["scales"][:1])
    off = np.abs(codec.to_image(cells, place, (48, 64)) - side.theirs["flip_poses"][..., :2])
    text = "poses after its flip test, px"
    middle = float(np.median(off))
    yield side.row("decode", "float32", f"{text}, median", middle, DARK_PX, DARK_REASON, DECODE)
    why = "not judged: DARK divides by a maximum's curvature, and some maps of no training are flat"
    yield side.row("decode", "float32", text, off.max(), None, why, DECODE)


def _is_statistic(name: str) -> bool:
    return name.endswith(("._mean", "._variance"))


def _apart(one: np.ndarray, other: np.ndarray) -> float:
    """Largest difference, relative to the largest value."""
    return float(np.abs(one - other).max() / np.abs(other).max())
