"""A trained network as files for serving, each compared with the network at once."""

from __future__ import annotations

import contextlib
import copy
import io
import logging
import math
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import yaml
from paddle import nn

from paddle_pose.errors import UserError, nearest
from paddle_pose.files import atomic_folder, sha256, write_text
from paddle_pose.inference import engine, quantize
from paddle_pose.inference.centring import centred
from paddle_pose.inference.exported import CARD, INPUT, INSTALL, RECIPE, RUNNERS, Card, Exported
from paddle_pose.models.blocks import PoseNetwork
from paddle_pose.models.inputs import ImageNormalizer
from paddle_pose.models.instances import all_instances
from paddle_pose.models.outputs import named
from paddle_pose.recipes import recipe as recipes
from paddle_pose.recipes.recipe import Recipe
from paddle_pose.skeletons import Skeleton

FLOAT_BOUND = 1e-5
"""Largest difference of float32 outputs, of the largest value, from the network in float64.

In float32 the network errs itself, by 8.6e-6 for the packaged hourglass; that says nothing of what
was exported. Folding a batch norm rounds a weight once more and sums run in another order: about 3
roundings a layer, 2^-24·sqrt(3·300) = 1.8e-6 for HRNet's 300 layers; five times that for the
largest of all values.
"""

BATCHES = (1, 3)
"""What is compared: the exported models take batches of any size."""

CENTRED_BY = 2
"""So many images of seeded pixels say where features lie; see ``centring``."""

STEPS = {"paddle": "Paddle", "onnx": "paddle2onnx", "int8": "quantisation"}
OPSET = 17
NOT_STATED = "not stated"


def int8_bound(convolutions: int) -> float:
    """Largest root mean square of INT8's errors in a channel, of its standard deviation.

    Calibrated from the smallest to the largest value, the 256 levels span about 8 standard
    deviations of a layer's values, so that one rounding errs by 8/256/sqrt(12) = 0.9 % of one. Each
    layer rounds its input and its weights, and independent errors add in squares: 10 % after 60
    convolutions, 22 % for HRNet's 293. A scale that is wrong somewhere leaves nothing of the
    outputs, about 100 %.
    """
    return 8 / 256 / math.sqrt(12) * math.sqrt(2 * convolutions)


class _Served(nn.Layer):
    """(B, 3, H, W) normalised -> final outputs; their ``names`` are known once it has run."""

    def __init__(self, network: PoseNetwork) -> None:
        super().__init__()
        self.network = all_instances(network)
        self.names: tuple[str, ...] = ()

    @paddle.jit.not_to_static  # tracing alone suffices; rewriting the source takes a minute
    def forward(self, images_BCHW: paddle.Tensor) -> list[paddle.Tensor]:
        outputs = named(self.network(images_BCHW)[-1])
        self.names = tuple(outputs)
        return list(outputs.values())


def require_formats(formats: Sequence[str]) -> None:
    """Raises UserError for unknown ones, none, or those whose packages are not installed."""
    if not formats:
        raise UserError(f"--format: name some of {', '.join(RUNNERS)}")
    for name in formats:
        if name not in RUNNERS:
            raise UserError(f"--format: unknown '{name}'{nearest(name, RUNNERS)}")
    try:
        if set(formats) - {"paddle"}:
            import onnx  # noqa: F401
            import onnxruntime  # noqa: F401
            import paddle2onnx  # noqa: F401
        if "int8" in formats:
            quantize.require_packages()
    except ImportError as error:
        missing = f"'{error.name}' is not installed; {INSTALL}"
        raise UserError(f"--format {','.join(formats)}: {missing}") from error


def export(
    network: PoseNetwork,
    recipe: Recipe,
    skeleton: Skeleton,
    output: Path,
    formats: Sequence[str] = ("paddle", "onnx"),
    *,
    weights_sha256: str = "",
    licence: str = NOT_STATED,
    calibration: np.ndarray | None = None,
) -> list[Card]:
    """Write ``output/FORMAT/`` for each format that passes its check.

    Args:
        network: of the recipe, with its weights; is put into evaluation mode.
        recipe: says size, normalisation and how outputs are decoded.
        skeleton: the joints of its outputs.
        output: a folder that is not there yet.
        formats: some of RUNNERS.
        weights_sha256: of the file that the weights are from.
        licence: of the weights.
        calibration: (N, H, W, 3) uint8 RGB crops as the network will see; needed for ``int8``.

    Returns:
        What each format's ``model.yaml`` says.

    Raises:
        UserError: a package is missing, the output is there already, a library cannot convert this
            network, or its outputs differ by more than the bound. What passed is kept, and said.
    """
    require_formats(formats)
    network.require_size(recipe.data.image_size_wh)
    if "int8" in formats and (calibration is None or not len(calibration)):
        raise UserError("--format int8: needs --calibration, images such as it will see")
    network.eval()
    pixels = _random_pixels(recipe)
    served = _Served(centred(network, _normalised(pixels[:CENTRED_BY], recipe)))
    served.eval()
    failed: dict[str, str] = {}
    cards: list[Card] = []
    with atomic_folder(output) as folder:
        made = _converted(served, recipe, folder, formats, calibration, failed)
        card = _card(recipe, skeleton, served.names, weights_sha256, licence)
        exact = _Served(copy.deepcopy(network).to(dtype="float64"))
        exact.eval()
        for name in [one for one in formats if one not in failed]:
            one = replace(card, format=name)
            images = pixels if calibration is None or name != "int8" else calibration
            try:
                cards.append(_checked(exact, made[name], one, recipe, images))
            except UserError as error:
                failed[name] = str(error)
        if not cards:
            raise UserError(f"{'; '.join(failed.values())}; nothing was written")
        for name in RUNNERS.keys() - {one.format for one in cards}:  # failed, or only steps
            shutil.rmtree(made[name])
    if failed:
        kept = ", ".join(str(output / one.format) for one in cards)
        raise UserError(
            f"{'; '.join(failed.values())}; what passed is kept: {kept} "
            f"(--format {','.join(one.format for one in cards)} asks for no more)"
        )
    return cards


def _random_pixels(recipe: Recipe) -> np.ndarray:
    width, height = recipe.data.image_size_wh
    return np.random.default_rng(0).integers(0, 256, (sum(BATCHES), height, width, 3), np.uint8)


def _normalised(images_BHWC: np.ndarray, recipe: Recipe) -> np.ndarray:
    return ImageNormalizer(recipe.data)(paddle.to_tensor(images_BHWC)).numpy()


def _converted(
    served: _Served,
    recipe: Recipe,
    folder: Path,
    formats: Sequence[str],
    calibration: np.ndarray | None,
    failed: dict[str, str],
) -> dict[str, Path]:
    """Each format's folder with its model's files, but for those that ``failed`` takes."""
    width, height = recipe.data.image_size_wh
    given = paddle.static.InputSpec([None, 3, height, width], "float32", name=INPUT)
    folders = {name: folder / name for name in RUNNERS}
    for one in folders.values():
        one.mkdir()
    fused = copy.deepcopy(served)
    engine.biases_as_batch_norms(fused)
    fused.eval()
    step = "paddle"
    try:
        model, weights = engine.save_graph(fused, given, folders["paddle"] / "model")
        served.names = fused.names
        onnx_file = folders["onnx"] / "model.onnx"
        if set(formats) - {"paddle"}:
            step = "onnx"
            _to_onnx(model, weights, onnx_file, fused.names)
        if "int8" in formats and calibration is not None:
            step = "int8"
            with _quiet():
                quantize.quantize(onnx_file, _normalised(calibration, recipe), folders["int8"])
    except (OSError, UserError):
        raise
    except Exception as error:  # every library has its own kinds
        said = f"{STEPS[step]} cannot export this network ({engine.reason(error)})"
        later = list(RUNNERS)[list(RUNNERS).index(step) :]  # each is made of the one before
        failed.update({name: f"{name}: {said}" for name in formats if name in later})
    (folders["paddle"] / "model.pdiparams.info").unlink(missing_ok=True)
    return folders


def _to_onnx(model: Path, weights: Path, file: Path, outputs: Sequence[str]) -> None:
    """Convert, and give the outputs their names back, which Paddle only numbers."""
    import onnx
    import paddle2onnx

    with _quiet():
        paddle2onnx.export(str(model), str(weights), save_file=str(file), opset_version=OPSET)
    made = onnx.load(str(file))
    numbered = [one.name for one in made.graph.output]
    names = dict(zip(numbered, outputs, strict=True))
    for one in made.graph.output:
        one.name = names[one.name]
    for node in made.graph.node:
        node.output[:] = [names.get(name, name) for name in node.output]
        node.input[:] = [names.get(name, name) for name in node.input]
    onnx.checker.check_model(made, full_check=True)
    onnx.save(made, str(file))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the libraries' own reports."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()), engine.quiet(1, 2):
            yield
    finally:
        logging.disable(before)


def _card(
    recipe: Recipe, skeleton: Skeleton, outputs: Sequence[str], weights_sha256: str, licence: str
) -> Card:
    """What ``model.yaml`` says, but for format, difference and files."""
    data, benchmark = recipe.data, recipe.benchmark()
    return Card(
        format="",
        recipe=recipe.name,
        weights_sha256=weights_sha256,
        licence=licence,
        size_wh=data.image_size_wh,
        mean=data.rgb_mean,
        deviation=data.rgb_std,
        channel_order=data.channel_order,
        outputs=tuple(outputs),
        skeleton=skeleton.name,
        joints=skeleton.joints,
        limbs=skeleton.limbs,
        flip_pairs=skeleton.flip_pairs,
        codec=recipe.codec,
        decoder=benchmark.decoder,
        flip_test=benchmark.flip_test,
        shift_heatmap=benchmark.shift_heatmap,
        difference=0.0,
        bound=0.0,
        measure="",
        files={},
    )


def _checked(
    exact: _Served, folder: Path, card: Card, recipe: Recipe, images_BHWC: np.ndarray
) -> Card:
    """Compare, and write the card; Raises UserError for a difference above the bound."""
    if card.format == "int8":
        bound = int8_bound(sum(isinstance(one, nn.Conv2D) for one in exact.sublayers()))
        measure = "root mean square, of the channel's standard deviation, on calibration images"
    else:
        bound = FLOAT_BOUND
        measure = "largest, of the largest value, on random pixels"
    images = images_BHWC[np.arange(sum(BATCHES)) % len(images_BHWC)]
    write_text(folder / RECIPE, recipes.dump_yaml(recipe))
    files = {one.name: sha256(one) for one in sorted(folder.iterdir())}
    card = replace(card, bound=bound, measure=measure, files=files)
    _write(folder, card)
    exported = Exported(folder)
    found, expected = [], []
    for part in np.split(images, np.cumsum(BATCHES)[:-1]):
        found.append(exported.run(part))
        with paddle.no_grad():
            outputs = exact(paddle.to_tensor(_normalised(part, recipe).astype(np.float64)))
        expected.append([one.numpy() for one in outputs])
    pairs = zip(zip(*found, strict=True), zip(*expected, strict=True), strict=True)
    differences = []
    for name, (ours, eager) in zip(card.outputs, pairs, strict=True):
        both = np.concatenate(ours), np.concatenate(eager)
        if card.format != "int8":
            differences.append(_difference(*both))
            continue
        worst, flat = channel_difference(*both, bound)
        differences.append(worst)
        if flat:
            print(f"=> int8: {flat} of {both[1].shape[1]} channels of {name} hardly depend on the "
                  "picture: of them the check says little", flush=True)  # fmt: skip
    card = replace(card, difference=float(np.max(differences)))
    if not card.difference <= bound:
        raise UserError(
            f"{card.format}: outputs differ from the network's by {card.difference:.2g} "
            f"({measure}; allowed: {bound:.2g})"
        )
    _write(folder, card)
    return card


def _difference(found: np.ndarray, expected: np.ndarray) -> float:
    """Relative to the largest value of what is expected; nan stays one."""
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def channel_difference(found: np.ndarray, expected: np.ndarray, bound: float) -> tuple[float, int]:
    """The worst channel's root mean square of errors, of (B, C, …) outputs, and how many are flat.

    A channel's errors are measured by its own deviation: what all channels have together is mostly
    how far their means lie apart. Flat are channels whose deviation times ``bound`` is below what
    float32 itself may err (FLOAT_BOUND of the largest value), so that nothing can be told of them;
    they are measured by the deviation of all. nan stays one.
    """
    found, expected = (
        np.moveaxis(one, 1, 0).reshape(one.shape[1], -1) for one in (found, expected)
    )
    errors, spread = np.sqrt(np.mean((found - expected) ** 2, 1)), expected.std(1)
    flat = spread * bound <= FLOAT_BOUND * np.abs(expected).max()
    apart = errors / np.where(flat, expected.std(), spread)
    return float(apart.max()), int(flat.sum())


def _write(folder: Path, card: Card) -> None:
    def plain(value: Any) -> Any:
        return [plain(one) for one in value] if isinstance(value, tuple | list) else value

    values = {name: plain(value) for name, value in asdict(card).items()}
    values["codec"] = {"kind": type(card.codec).__name__, **values["codec"]}
    text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True, default_flow_style=None)
    write_text(folder / CARD, text)
