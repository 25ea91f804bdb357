"""Published numbers: ``published.csv`` read strictly, and what may be compared with what.

A row is one value of one table, with everything that decides it. Two numbers are compared where
all of that is stated and equal, and nowhere else.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass, fields
from decimal import Decimal, InvalidOperation
from pathlib import Path

from paddle_pose.codecs.codec import Codec
from paddle_pose.codecs.integral import CombinedCodec, IntegralCodec
from paddle_pose.codecs.pairs import PairCodec
from paddle_pose.errors import UserError, nearest
from paddle_pose.metrics.bearpaw import PlainPckh
from paddle_pose.models.architectures import (
    AlphaSimplePose,
    Architecture,
    BearpawHourglass,
    BodyPoseNet,
    CaffePoseResNet,
    FastPose,
    FastPoseDuc,
    Hourglass52,
    HRNet,
    HRNetMore,
    LightOpenPose,
    MIPNet,
    NewellHourglass,
    PoseResNet,
    PoseResNetVisibility,
)
from paddle_pose.recipes.recipe import Recipe
from paddle_pose.settings import Benchmark, OksProtocol, WholeImage

FILE = Path(__file__).parent / "published.csv"

NOT_STATED = "not stated"
"""A source that leaves something out; equal to nothing, not even to itself."""

KINDS = ("paper", "readme", "user")
MPII_METRICS = ("Head", "Shoulder", "Elbow", "Wrist", "Hip", "Knee", "Ankle", "Mean")
COCO_METRICS = ("AP", "AP50", "AP75", "APM", "APL", "AR", "AR50", "AR75", "ARM", "ARL")
SPEED = "images/s"
"""Of a training, all its devices together; no score, but a column of some tables of scores."""
JOINTS = {"coco": "17", "ochuman": "17", "crowdpose": "14", "halpe": "136"}
"""Data sets scored by OKS, and how many joints of a pose."""

DETECTOR_AP = {"val2017": "56.4", "test-dev2017": "60.9"}
"""Human AP of the detector whose boxes the official tables use: COCO split → AP."""


@dataclass(frozen=True)
class Protocol:
    """Everything that decides a number apart from the weights, as text that is equal or not.

    Attributes:
        dataset, split: ``mpii`` ``valid``, ``coco`` ``val2017``, ``ochuman`` ``test``, …
        network: a family and its size, ``HRNet-W32``.
        input_hw: height × width of the crop, ``256x192``.
        boxes: ``none`` of whole pictures, ``ground_truth``, ``detector``, or
            ``ground_truth_selected`` (people whose joints lie away from the box's centre are left
            out).
        detector_ap: human AP of the detector; empty for ground-truth boxes.
        flip_test, shift_heatmap: ``true`` or ``false``.
        test_scales: crop sizes relative to the person's, ``1`` or ``0.8 1 1.2``.
        decoder: heat map to position; names of ``settings.DECODERS`` and of others' decoders.
        suppression: what becomes of poses before they are scored, the second of a box included;
            ``none`` on MPII.
        joints: 14 or 16 (MPII), 17 (COCO, OCHuman), 14 (CrowdPose), 136 (Halpe).
        mean: ``weighted`` by how often each joint is labelled, ``plain``, or ``oks``.
        metric: of MPII_METRICS or COCO_METRICS, or SPEED.
        threshold: of PCKh in head sizes; of SPEED the devices; empty for AP and AR.
    """

    dataset: str
    split: str
    network: str
    input_hw: str
    boxes: str
    detector_ap: str
    flip_test: str
    shift_heatmap: str
    test_scales: str
    decoder: str
    suppression: str
    joints: str
    mean: str
    metric: str
    threshold: str


OF_THE_SCORE = ("dataset", "split", "joints", "mean", "metric", "threshold")
"""What is left to decide once predictions are given: the rest made them."""


@dataclass(frozen=True)
class PublishedRow:
    """One value of one published table.

    Attributes:
        id: which table row; one id has several metrics.
        kind: ``paper``, ``readme``, or ``user`` (somebody's run, not a published number).
        protocol: what decided it.
        recipe, benchmark: what would measure it here; empty where ``note`` says why not.
        trains: whether the recipe is that of its own training; otherwise it only tests the row's
            weights: same network, crop and protocol, trained by another recipe.
        value: in ``unit``, with the digits that were printed.
        unit: ``percent`` or ``fraction``.
        rounding: half of the last printed digit.
        tolerance: a full training is within so much, in ``unit``; set before any run.
        tolerance_reason: why so much.
        weights: its weights in ``porting/published_weights.csv``, where they are published.
        predictions: its authors' predictions in ``rescored/``, where they are public.
        source: repository file:line @commit, or table of a paper.
        note: what a reader must know.
    """

    id: str
    kind: str
    protocol: Protocol
    recipe: str
    trains: bool
    benchmark: str
    value: float
    unit: str
    rounding: float
    tolerance: float
    tolerance_reason: str
    weights: str
    predictions: str
    source: str
    note: str

    @property
    def metric_name(self) -> str:
        """``Mean``, ``Mean@0.1``, ``AP``: as scores are named here."""
        threshold = "" if self.protocol.metric == SPEED else self.protocol.threshold
        return self.protocol.metric + (f"@{threshold}" if threshold not in ("", "0.5") else "")


PROTOCOL_COLUMNS = tuple(field.name for field in fields(Protocol))
COLUMNS = (
    *("id", "kind"),
    *("dataset", "split", "network", "input_hw", "recipe", "trains", "benchmark"),
    *PROTOCOL_COLUMNS[4:],
    *("value", "unit", "rounding", "tolerance", "tolerance_reason"),
    *("weights", "predictions", "source", "note"),
)


def load(file: Path = FILE) -> tuple[PublishedRow, ...]:
    """Every row, in the file's order.

    Raises:
        UserError: unreadable, another header, or a row that contradicts itself; with its line.
    """
    try:
        with file.open(newline="", encoding="utf-8") as content:
            reader = csv.reader(content, strict=True)
            header = next(reader, [])
            if tuple(header) != COLUMNS:
                wrong = next((n for n in header if n not in COLUMNS), "")
                hint = nearest(wrong, COLUMNS) if wrong else ""
                raise UserError(f"{file}:1: columns must be {','.join(COLUMNS)}{hint}")
            rows = [_row(cells, f"{file}:{reader.line_num}") for cells in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{file}: cannot be read as CSV ({error})") from error
    seen: set[tuple[str, str]] = set()
    for row in rows:
        key = (row.id, row.metric_name)
        if key in seen:
            raise UserError(f"{file}: {row.id} has {row.metric_name} twice")
        seen.add(key)
    return tuple(rows)


def _row(cells: list[str], place: str) -> PublishedRow:
    if len(cells) != len(COLUMNS):
        raise UserError(f"{place}: {len(cells)} cells, expected {len(COLUMNS)}")
    cell = dict(zip(COLUMNS, cells, strict=True))
    for name, text in cell.items():
        if text != text.strip():
            raise UserError(f"{place}: {name} begins or ends with a space")
    _check_words(cell, place)
    protocol = Protocol(**{name: cell[name] for name in PROTOCOL_COLUMNS})
    numbers = {}
    for name in ("value", "rounding", "tolerance"):
        try:
            numbers[name] = Decimal(cell[name])
        except InvalidOperation as error:
            raise UserError(f"{place}: {name} '{cell[name]}' is not a number") from error
        if not numbers[name].is_finite() or numbers[name] <= 0:
            raise UserError(f"{place}: {name} {cell[name]} must be above 0")
    most = {"percent": 100, "fraction": 1, SPEED: Decimal("inf")}[cell["unit"]]
    if numbers["value"] > most:
        raise UserError(f"{place}: value {cell['value']} is more than a {cell['unit']} can be")
    texts = ("id", "kind", "recipe", "benchmark", "unit", "tolerance_reason")
    others = ("weights", "predictions", "source", "note")
    return PublishedRow(
        protocol=protocol,
        trains=cell["trains"] == "yes",
        **{name: float(number) for name, number in numbers.items()},
        **{name: cell[name] for name in (*texts, *others)},
    )


def _check_words(cell: Mapping[str, str], place: str) -> None:
    """Raises UserError for words outside their list and for cells that contradict each other."""
    joints = JOINTS.get(cell["dataset"])
    coco, speed = joints is not None, cell["metric"] == SPEED
    allowed = {
        "kind": KINDS,
        "trains": ("yes", "no") if cell["recipe"] else ("",),
        "dataset": ("mpii", *JOINTS),
        "boxes": ("ground_truth", "ground_truth_selected", "detector", "none"),
        "flip_test": ("true", "false", NOT_STATED),
        "shift_heatmap": ("true", "false", NOT_STATED),
        "joints": (joints,) if joints else ("14", "16", NOT_STATED),
        "mean": ("oks",) if coco else ("weighted", "plain", NOT_STATED),
        "metric": (*COCO_METRICS, SPEED) if coco else MPII_METRICS,
        "threshold": (cell["threshold"] or "devices",)
        if speed
        else ("",)
        if coco
        else ("0.5", "0.1", "0.11"),
        "unit": (SPEED,) if speed else ("fraction",) if coco else ("percent",),
    }
    for name, words in allowed.items():
        if cell[name] not in words:
            raise UserError(f"{place}: {name} '{cell[name]}'{nearest(cell[name], words)}")
    for name in ("id", "split", "network", "input_hw", "decoder", "source", "tolerance_reason"):
        if not cell[name]:
            raise UserError(f"{place}: {name} is empty")
    if (cell["boxes"] == "detector") != bool(cell["detector_ap"]):
        raise UserError(f"{place}: detector_ap belongs to detector boxes, and only to them")
    if cell["benchmark"] and not cell["recipe"]:
        raise UserError(f"{place}: a benchmark without a recipe")
    if not (cell["recipe"] and cell["benchmark"]) and not cell["note"].startswith("no "):
        raise UserError(f"{place}: no recipe or benchmark; the note must begin with why ('no …')")


def differences(
    measured: Protocol, published: Protocol, among: tuple[str, ...] = PROTOCOL_COLUMNS
) -> tuple[str, ...]:
    """What keeps two numbers apart: ``threshold: 0.1, 0.11``; what is not stated always does."""
    found = []
    for name in among:
        ours, theirs = getattr(measured, name), getattr(published, name)
        if ours != theirs or NOT_STATED in ours:
            found.append(f"{name}: {ours or 'none'}, {theirs or 'none'}")
    return tuple(found)


def comparable(measured: Protocol, row: PublishedRow) -> bool:
    """Whether a number measured under a protocol may stand beside a published one."""
    return measured == row.protocol and not differences(measured, row.protocol)


def network_name(model: Architecture) -> str:
    """``HRNet-W32``, ``Newell hourglass, 8 stacks``: as published.csv calls the network.

    Raises:
        UserError: a size that nobody published, or another family.
    """
    match model:
        case Hourglass52(stacks=stacks) if model == Hourglass52(model.joints, stacks):
            return f"Hourglass-52, {_counted(stacks)}"
        case NewellHourglass(stacks=stacks) | BearpawHourglass(stacks=stacks) if model == type(
            model
        )(model.joints, stacks):
            whose = "Newell" if isinstance(model, NewellHourglass) else "bearpaw"
            return f"{whose} hourglass, {_counted(stacks)}"
        case MIPNet(width=width) if model == MIPNet(model.joints, width):
            return f"MIPNet-W{width}"
        case HRNet(width=width) if model == HRNet(model.joints, width):
            return f"HRNet-W{width}"
        case PoseResNet(layers=layers) if model == PoseResNet(model.joints, layers):
            return f"PoseResNet-{layers}"
        case HRNetMore(joints=17, width=width, more=2):
            return f"HRNet-W{width}"
        case CaffePoseResNet(layers=layers) | PoseResNetVisibility(layers=layers):
            kind = "Caffe-style" if isinstance(model, CaffePoseResNet) else "visibility head"
            return f"PoseResNet-{layers} ({kind})"
    if name := _alphapose_name(model) or _bottom_up_name(model):
        return name
    raise UserError(f"{model}: not a network of published.csv")


def _bottom_up_name(model: Architecture) -> str:
    match model:
        case BodyPoseNet(stages=stages) if model == BodyPoseNet(model.joints, stages=stages):
            return f"BodyPoseNet, {stages} stages"
        case LightOpenPose(joints=18, limbs=19, tested=1, features=128):
            return "Lightweight OpenPose, MobileNet"
    return ""


def _alphapose_name(model: Architecture) -> str:
    match model:
        case AlphaSimplePose(layers=layers):
            return f"SimplePose-{layers}"
        case FastPoseDuc(layers=layers, convolutions=(4, 2, 1)):
            return f"FastPose-DUC-{layers}"
        case FastPose(layers=layers, conv_dim=width, deformable=deformable, modulated=False):
            kind = {(False,) * 4: "", (False, True, True, True): "DCN-"}.get(deformable)
            if kind is not None:
                return f"FastPose-{kind}{layers}" + (f", {width} channels" if width != 128 else "")
    return ""


def _counted(stacks: int) -> str:
    return "1 stack" if stacks == 1 else f"{stacks} stacks"


def protocol_of(
    recipe: Recipe,
    benchmark: Benchmark,
    metric: str,
    *,
    joints: int | None = None,
    mean: str = "",
    detector_ap: str | None = None,
) -> Protocol:
    """The protocol that a score of a recipe's benchmark is measured under.

    Args:
        recipe: as it was run.
        benchmark: as it was run, of the recipe or changed.
        metric: score name, ``Mean@0.1`` or ``AP``.
        joints: of MPII's mean, 14 or 16; None for the benchmark's; the others have one.
        mean: of MPII, ``weighted`` or ``plain``; empty for the benchmark's.
        detector_ap: of the detector whose boxes were read; the official one by default.
    """
    oks_joints = JOINTS.get(recipe.data.dataset)
    coco = oks_joints is not None
    name, _, threshold = metric.partition("@")
    width, height = recipe.data.image_size_wh
    whole = benchmark.whole
    detector = benchmark.boxes == "detector"
    if detector and detector_ap is None:
        detector_ap = DETECTOR_AP.get(recipe.data.val_split, NOT_STATED)
    if not mean:
        mean = "plain" if isinstance(benchmark.metric, PlainPckh) else "weighted"
    part = name in MPII_METRICS and name != "Mean"
    return Protocol(
        dataset=recipe.data.dataset,
        split=recipe.data.val_split,
        network=network_name(recipe.model),
        input_hw=f"{height}x{width}" if whole is None else "x".join(map(str, whole.size_hw)),
        boxes=benchmark.boxes,
        detector_ap=detector_ap or "" if detector else "",
        flip_test=str(benchmark.flip_test).lower(),
        shift_heatmap=str(benchmark.shift_heatmap).lower(),
        test_scales=" ".join(f"{scale:g}" for scale in benchmark.test_scales),
        decoder=_decoder(recipe, benchmark) if whole is None else _fields_read(recipe.codec, whole),
        suppression=_suppression(recipe, benchmark),
        joints=oks_joints or str(joints or getattr(benchmark.metric, "joints", 14)),
        mean="oks" if coco else "plain" if part else mean,
        metric=name,
        threshold="" if coco else f"{float(threshold or 0.5):g}",
    )


def _decoder(recipe: Recipe, benchmark: Benchmark) -> str:
    if isinstance(recipe.codec, IntegralCodec):
        return "integral"
    combined = isinstance(recipe.codec, CombinedCodec)
    return f"{benchmark.decoder}; integral" if combined else benchmark.decoder


def _fields_read(codec: Codec, whole: WholeImage) -> str:
    """How whole pictures are seen, and how heat maps and fields of them are read."""
    words = [getattr(codec, name, "") for name in ("peaks", "offsets")]
    return f"{whole.mode}; {words[0]} peaks; {words[1]} offsets; {whole.coordinates} coordinates"


def _suppression(recipe: Recipe, benchmark: Benchmark) -> str:
    rules = benchmark.metric
    if not isinstance(rules, OksProtocol):
        return "none"
    parts = []
    if isinstance(recipe.codec, PairCodec):
        parts.append(f"second poses × {rules.second_score:g}")
    if rules.oks_nms:
        kind = "soft_oks_nms" if rules.soft_oks_nms else "oks_nms"
        parts.append(f"{kind} {rules.oks_nms:g}")
    if rules.rescore:
        parts.append(f"rescored above {rules.rescore_threshold:g}")
    if rules.score != "product":
        parts.append(f"scored as {rules.score}")
    if rules.box_threshold:
        parts.append(f"boxes above {rules.box_threshold:g}")
    return "; ".join(parts) or "none"
