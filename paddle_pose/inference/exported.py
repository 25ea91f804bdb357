"""Exported networks, ready to run: a model file, its ``model.yaml`` and its ``recipe.yaml``."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from paddle import inference as paddle_inference

from paddle_pose import skeletons
from paddle_pose.codecs.codec import Codec, maps_of
from paddle_pose.errors import UserError, nearest
from paddle_pose.files import sha256
from paddle_pose.inference import engine
from paddle_pose.inference.engine import Forward, Outputs
from paddle_pose.inference.graph import Graph
from paddle_pose.models.blocks import PoseNetwork
from paddle_pose.names import require_inside
from paddle_pose.recipes import recipe as recipes
from paddle_pose.recipes.recipe import Recipe
from paddle_pose.settings import DataSettings
from paddle_pose.skeletons import Skeleton
from paddle_pose.system import runtime

Run = Callable[[np.ndarray], list[np.ndarray]]
"""(B, 3, H, W) float32, normalised -> every output of the network, of leading B."""

CARD, RECIPE = "model.yaml", "recipe.yaml"
INPUT = "images"


@dataclass(frozen=True)
class Card:
    """``model.yaml``: all that serving needs to know besides the model's own file.

    Attributes:
        format: a key of RUNNERS.
        recipe: name of the recipe, which ``recipe.yaml`` has whole.
        weights_sha256: of the file that the network's weights are from.
        licence: of these weights.
        size_wh: of the input, pixels.
        mean, deviation: of RGB scaled to [0, 1]; (x / 255 - mean) / deviation is what comes in.
        channel_order: ``rgb``, or ``bgr``: the channels are turned round before mean and deviation.
        outputs: names, in the model's order.
        skeleton, joints, limbs: the channels' joint set.
        flip_pairs: channels that a mirror swaps.
        codec: what the outputs are, and how they are read: its kind and its fields.
        decoder, flip_test, shift_heatmap: of the recipe's first benchmark.
        difference, bound: of the outputs from the network's as it was trained, and how it was
            taken (``measure``).
        measure: see difference.
        files: name -> sha256 of every file beside this one.
    """

    format: str
    recipe: str
    weights_sha256: str
    licence: str
    size_wh: tuple[int, int]
    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]
    channel_order: str
    outputs: tuple[str, ...]
    skeleton: str
    joints: tuple[str, ...]
    limbs: tuple[tuple[str, str], ...]
    flip_pairs: tuple[tuple[int, int], ...]
    codec: Codec
    decoder: str
    flip_test: bool
    shift_heatmap: bool
    difference: float
    bound: float
    measure: str
    files: dict[str, str]

    def require_sound(self) -> None:
        """Raises UserError for values that no export writes."""
        if self.format not in RUNNERS:
            raise UserError(f"format: unknown '{self.format}'{nearest(self.format, RUNNERS)}")
        if self.channel_order not in ("rgb", "bgr"):
            raise UserError(f"channel_order: expected rgb or bgr, got '{self.channel_order}'")
        if min(self.size_wh) < 1:
            raise UserError(f"size_wh: must be above 0, got {list(self.size_wh)}")
        if not all(map(math.isfinite, self.mean)) or not all(
            0 < d < math.inf for d in self.deviation
        ):
            raise UserError("mean, deviation: must be finite, the deviations above 0")
        self._require_joints()
        if not 0 <= self.difference <= self.bound:
            raise UserError(
                f"difference: {self.difference:g} is not below its bound {self.bound:g}"
            )
        lacking = [n for n in (*RUNNERS[self.format].files, RECIPE) if n not in self.files]
        if lacking:
            raise UserError(f"files: {lacking[0]} is not among them")

    def _require_joints(self) -> None:
        if not self.outputs or not self.joints:
            raise UserError("outputs, joints: name at least one of each")
        if any(not 0 <= joint < len(self.joints) for pair in self.flip_pairs for joint in pair):
            raise UserError(f"flip_pairs: must lie below the {len(self.joints)} joints")
        if unknown := {name for pair in self.limbs for name in pair} - {*self.joints}:
            raise UserError(f"limbs: '{min(unknown)[:40]}' is none of the joints")
        paired = [joint for pair in self.flip_pairs for joint in pair]
        if len({*paired}) < len(paired) or len({*self.joints}) < len(self.joints):
            raise UserError("joints, flip_pairs: a joint is named twice")


class Exported:
    """An exported network, ready to run on the CPU.

    Attributes:
        folder, card: where it lies, and what it says of itself.
        recipe: what it was trained by.
        skeleton: the joints of its outputs.
    """

    def __init__(self, folder: Path) -> None:
        """Read and check a folder that ``export.py`` wrote, or one that holds a single such folder.

        Raises:
            UserError: not such a folder, a file that is missing or was changed, a package that is
                not installed.
        """
        self.folder = _model_folder(Path(folder))
        file = self.folder / CARD
        self.card: Card = recipes.read_section(file, Card)
        try:
            self.card.require_sound()
        except UserError as error:
            raise UserError(f"{file}: {error}") from error
        for name, digest in self.card.files.items():
            path = self.folder / require_inside(name, f"{file}: files")
            if not path.is_file():
                raise UserError(f"{path}: missing; export the network again")
            if sha256(path) != digest:
                raise UserError(f"{path}: not the file that {CARD} was written for; export again")
        self.recipe: Recipe = recipes.read_yaml(self.folder / RECIPE)
        _require_same(file, self.card, self.recipe)
        self.skeleton = _skeleton(self.card)
        self._run = _started(self.folder, self.card)
        self._scale, self._offset = normalisation(self.card.mean, self.card.deviation)

    def __str__(self) -> str:
        return f"exported {self.card.format}"

    def require_input(self, data: DataSettings) -> None:
        """Raises UserError for settings under which the network would see something else."""
        card = self.card
        for key, asked, has in (
            ("data.image_size_wh", data.image_size_wh, card.size_wh),
            ("data.rgb_mean", data.rgb_mean, card.mean),
            ("data.rgb_std", data.rgb_std, card.deviation),
            ("data.channel_order", data.channel_order, card.channel_order),
        ):
            if tuple(asked) != tuple(has):
                raise UserError(f"{key}: {self.folder} was exported with {has}, not {asked}")

    def require_joints(self, skeleton: Skeleton) -> None:
        """Raises UserError for others than those of its outputs."""
        if skeleton.joints != self.card.joints:
            raise UserError(
                f"{self.folder}: exported with the {len(self.card.joints)} joints of "
                f"'{self.card.skeleton}', not the {len(skeleton)} of '{skeleton.name}'"
            )

    def forward(self, *, flip_test: bool) -> Forward:
        """What ``engine.make_forward`` gives; both halves of the flip test in one batch."""

        def forward(images_BHWC: Any) -> tuple[Outputs, Outputs | None]:
            images_BHWC = np.asarray(images_BHWC)
            parts = [
                self._part(images_BHWC[first : first + engine.PEOPLE_AT_A_TIME], flip_test)
                for first in range(0, len(images_BHWC), engine.PEOPLE_AT_A_TIME)
            ]
            plain, *mirrored = (
                {
                    name: np.concatenate([part[half][number] for part in parts])
                    for number, name in enumerate(self.card.outputs)
                }
                for half in range(1 + flip_test)
            )
            return plain, (mirrored[0] if mirrored else None)

        return forward

    def run(self, images_BHWC: np.ndarray) -> list[np.ndarray]:
        """uint8 (B, H, W, 3) RGB -> every output, of leading B."""
        return self._run(self._normalised(images_BHWC))

    def _part(self, images_BHWC: np.ndarray, flip_test: bool) -> list[list[np.ndarray]]:
        images_BCHW = self._normalised(images_BHWC)
        if flip_test:
            images_BCHW = np.concatenate([images_BCHW, images_BCHW[..., ::-1]])
        found = self._run(images_BCHW)
        halves = [np.split(one.astype(np.float32, copy=False), 1 + flip_test) for one in found]
        return [list(half) for half in zip(*halves, strict=True)]

    def _normalised(self, images_BHWC: np.ndarray) -> np.ndarray:
        order = slice(None, None, -1 if self.card.channel_order == "bgr" else 1)
        images = images_BHWC[..., order].astype(np.float32) * self._scale + self._offset
        return np.ascontiguousarray(images.transpose(0, 3, 1, 2))


def _require_same(file: Path, card: Card, recipe: Recipe) -> None:
    """Raises UserError where the card says something else than the recipe."""
    data, benchmark = recipe.data, recipe.benchmark()
    for key, value in (
        ("recipe", recipe.name),
        ("size_wh", data.image_size_wh),
        ("mean", data.rgb_mean),
        ("deviation", data.rgb_std),
        ("channel_order", data.channel_order),
        ("codec", recipe.codec),
        ("decoder", benchmark.decoder),
        ("flip_test", benchmark.flip_test),
        ("shift_heatmap", benchmark.shift_heatmap),
    ):
        if getattr(card, key) != value:
            raise UserError(f"{file}: {key}: not that of {RECIPE}; export the network again")


def _skeleton(card: Card) -> Skeleton:
    """The known one of that name if it is the same, else one of the card's joints."""
    known = skeletons.SKELETONS.get(card.skeleton)
    if known is not None and (known.joints, known.flip_pairs) == (card.joints, card.flip_pairs):
        return known
    pairs = tuple((card.joints[left], card.joints[right]) for left, right in card.flip_pairs)
    return Skeleton(card.skeleton, card.joints, limbs=card.limbs, upper_body=(), pairs=pairs)


def normalisation(mean: Any, deviation: Any) -> tuple[np.ndarray, np.ndarray]:
    """Factor and summand of (x / 255 - mean) / deviation, (3,) float32."""
    mean, deviation = np.array(mean, np.float64), np.array(deviation, np.float64)
    return (1 / (255 * deviation)).astype(np.float32), (-mean / deviation).astype(np.float32)


def make_forward(network: PoseNetwork | Exported, data: DataSettings, **options: Any) -> Forward:
    """``engine.make_forward``, which an exported network needs nothing of but the flip test."""
    if not isinstance(network, Exported):
        return engine.make_forward(network, data, **options)
    network.require_input(data)
    return network.forward(flip_test=options["flip_test"])


def _model_folder(folder: Path) -> Path:
    """The folder with the card: the given one, or the only one in it; Raises UserError."""
    if (folder / CARD).is_file():
        return folder
    found = sorted(file.parent.name for file in folder.glob(f"*/{CARD}"))
    found.sort(key=lambda name: name != "paddle")  # which needs nothing more installed
    if len(found) == 1:
        return folder / found[0]
    if found:
        each = ", ".join(str(folder / name) for name in found)
        raise UserError(f"{folder}: holds several formats; name one of {each}")
    raise UserError(f"{folder}: no {CARD} there; give a folder that export.py wrote")


def _started(folder: Path, card: Card) -> Run:
    """The model, loaded and tried on one empty image; Raises UserError."""
    runner = RUNNERS[card.format]
    width, height = card.size_wh
    try:
        run = runner.start([folder / name for name in runner.files])
        found = run(np.zeros((1, 3, height, width), np.float32))
    except ImportError as error:
        raise UserError(f"{folder}: {error.name} is needed: {INSTALL}") from error
    except Exception as error:  # every library has its own kinds
        raise UserError(f"{folder}: this model does not run ({engine.reason(error)})") from error
    if len(found) != len(card.outputs) or any(len(one) != 1 for one in found):
        raise UserError(f"{folder}: its outputs are not {', '.join(card.outputs)}; export again")
    channels = (
        dict(zip(card.outputs, found, strict=True)).get("heatmaps", np.empty((1, 0))).shape[1]
    )
    background = "pafs" in card.outputs  # which is then the last heat map
    if channels not in (0, maps_of(card.codec, len(card.joints)) + background):
        raise UserError(
            f"{folder}: {channels} heat maps for {len(card.joints)} joints; export again"
        )
    return run


INSTALL = "pip install -r requirements-export.txt"


def _start_paddle(files: list[Path]) -> Run:
    with tempfile.TemporaryDirectory(prefix="paddle_pose_engine_") as folder:
        config = engine.folded(Graph.read(files[0], files[1]), Path(folder))
        predictor = paddle_inference.create_predictor(config)
    given = predictor.get_input_handle(INPUT)
    handles = [predictor.get_output_handle(name) for name in predictor.get_output_names()]

    def run(images_BCHW: np.ndarray) -> list[np.ndarray]:
        given.copy_from_cpu(images_BCHW)
        predictor.run()
        return [handle.copy_to_cpu() for handle in handles]

    return run


def _start_onnx(files: list[Path]) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = runtime.thread_count()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        str(files[0]), options, providers=["CPUExecutionProvider"]
    )
    return lambda images_BCHW: session.run(None, {INPUT: images_BCHW})


def _start_openvino(files: list[Path]) -> Run:
    import openvino

    settings = {
        "INFERENCE_NUM_THREADS": runtime.thread_count(),
        "INFERENCE_PRECISION_HINT": "f32",  # of what is not INT8; bfloat16 would round it more
    }
    model = openvino.Core().compile_model(files[0], "CPU", settings)

    def run(images_BCHW: np.ndarray) -> list[np.ndarray]:
        return [np.array(one) for one in model([images_BCHW]).to_tuple()]  # the next call reuses it

    return run


@dataclass(frozen=True)
class Runner:
    """What runs one format.

    Attributes:
        files: of the model, as ``start`` takes them.
        start: loads them.
        packages: to be imported.
    """

    files: tuple[str, ...]
    start: Callable[[list[Path]], Run]


RUNNERS = {
    "paddle": Runner(("model.pdmodel", "model.pdiparams"), _start_paddle),
    "onnx": Runner(("model.onnx",), _start_onnx),
    "int8": Runner(("model.xml", "model.bin"), _start_openvino),
}
"""Formats by name: Paddle Inference with oneDNN, ONNX Runtime, OpenVINO."""
