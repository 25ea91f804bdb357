"""A word for every published number, what stands behind it, and what would settle it.

*reproduced*: trained here in full by the row's own recipe, within its tolerance under its protocol.
*re-scored*: its authors' predictions were scored by the evaluation here, whether or not that gives
what they published; ``within`` says which.
*tested*: its published weights, converted, were scored here on the whole split under its protocol;
``within`` says whether that gives what was printed.
*ported and aligned*: its weights convert, and its network and everything around it equal the
official code step by step, as recorded or as run live from a clone; not trained in full.
*not run*: none of these. A shortened run never counts.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from paddle_pose import configs
from paddle_pose.files import read_json
from paddle_pose.recipes.recipe import Recipe
from paddle_pose.settings import Benchmark
from reproduce import published
from reproduce.published import NOT_STATED, PublishedRow, comparable, protocol_of

ROOT = Path(__file__).parent
WORDS = ("reproduced", "re-scored", "tested", "ported and aligned", "not run")
TESTED = Path("runs/tested")
"""Where scores of published weights are kept, a folder for each row."""
NO_LOG = "no published log"
NO_TRAINING = "no recipe of its training here"

ALIGNED_AS = {
    "Hourglass-52, 1 stack": "hourglass52",
    "Newell hourglass, 2 stacks": "newell_hg2",
    "HRNet-W32": "hrnet_w32",
    "HRNet-W48": "hrnet_w48",
    **{f"PoseResNet-{layers}": f"pose_resnet{layers}" for layers in (50, 101, 152)},
    "MIPNet-W48": "mipnet",
}
"""Network → its records in ``alignment/``: from recorded arrays, and ``live_`` from a clone."""

TWO_PEOPLE = "crowds"
"""The records of data, merging and scores of two people in a box, on all of their data sets."""

NETWORK_STEPS = ("forward", "loss", "backward", "optimiser")
DATA_STEPS = ("data", "metric", "decode")
ENCODINGS, ENCODING_STEPS = "encodings", ("data", "decode", "loss", "backward")

BEGAN_WITH = {
    "HRNet-W32": "imagenet_hrnet_w32",
    "HRNet-W48": "imagenet_hrnet_w48",
    "PoseResNet-50": "imagenet_resnet50",
    "PoseResNet-101": "imagenet_resnet101",
    "PoseResNet-152": "imagenet_resnet152",
    "MIPNet-W48": "official_hrnet_w48_coco_384x288",
    **{
        f"{kind}{layers}{wide}": f"imagenet_resnet{layers}"
        for kind in ("SimplePose-", "FastPose-", "FastPose-DCN-", "FastPose-DUC-")
        for layers in (50, 152)
        for wide in ("", ", 256 channels")
    },
}
"""Network → the published weights that its trainings began with; hourglasses began with none."""

VALIDATION = {
    ("mpii", "valid"): {"people": 2958},
    ("coco", "val2017"): {"images": 5000},
    ("ochuman", "val"): {"images": 2500},
    ("ochuman", "test"): {"images": 2231},
    ("crowdpose", "test"): {"images": 8000},
}
"""Counts of a whole split, as a scores file has them; weights scored on a part are not tested."""

TRAINING_PEOPLE = {"mpii": 22_246, "coco": 149_813, "halpe": 0}
"""Of a full training; any other number is another data set or a part of this one.

Halpe's training file was not at hand: no run on it counts as a full one.
"""


@dataclass(frozen=True)
class Verdict:
    """What is known here about a published number.

    Attributes:
        word: of WORDS.
        measured: the number measured under the same protocol, in the row's unit; None without one.
        within: whether it is as close as the word promises; None without a number.
        records: files under ``reproduce/`` that say so.
        lacking: why it is not the next better word.
    """

    word: str
    measured: float | None = None
    within: bool | None = None
    records: tuple[str, ...] = ()
    lacking: str = ""


@dataclass(frozen=True)
class Cost:
    """What a training took where somebody logged it.

    Attributes:
        gpu: kind of GPU.
        gpu_hours: lowest and highest, of all GPUs together.
        source: where that stands; NO_LOG where nothing does.
    """

    gpu: str
    gpu_hours: tuple[float, float] | None
    source: str


def verdict(row: PublishedRow, root: Path = ROOT) -> Verdict:
    """The strongest word that the records under ``root`` allow for a row."""
    trained = [found for run in full_runs(row, root) if (found := _trained(row, run, root))]
    for found in trained:
        if found.within:
            return found
    rescored = _rescored(row, root)
    if rescored is not None:
        return rescored
    tested = _tested(row, root)
    if tested is not None:
        return tested
    lacking = _not_aligned(row, root)
    missed = trained[0] if trained else Verdict("not run", lacking=_not_trained(row))
    if trained:
        why = f"{row.metric_name} {missed.measured:g} is outside {row.value:g} ± {row.tolerance:g}"
        missed = replace(missed, lacking=why)
    if lacking:
        return replace(missed, word="not run", lacking=lacking)
    files = tuple(f for name, _ in _alignment_wanted(row) for f in _alignment_files(name, root))
    return replace(missed, word="ported and aligned", records=(*files, *missed.records))


def _not_trained(row: PublishedRow) -> str:
    return "" if row.trains else NO_TRAINING


def _trained(row: PublishedRow, run: Path, root: Path) -> Verdict | None:
    """The run's score under the row's protocol, if it was scored so."""
    for file in sorted(run.glob("*.json")):
        content = read_json(file)
        if "values" not in content or not content.get("benchmark"):
            continue  # another record, or scores of predictions that state no protocol
        if (
            content.get("weights_sha256")
            not in read_json(run / "record.json")["result"]["sha256"].values()
        ):
            continue
        benchmark = benchmark_of(content["benchmark"])
        recipe = configs.load(row.recipe)
        if row.metric_name not in content["values"]:
            continue
        if comparable(protocol_of(recipe, benchmark, row.metric_name), row):
            value = content["values"][row.metric_name]
            within = abs(value - row.value) <= row.tolerance
            return Verdict("reproduced", value, within, (str(file.relative_to(root)),))
    return None


def folder_of(name: str) -> str:
    """A row's id as the name of a folder."""
    return name.replace(":", "__")


def allowed(row: PublishedRow, word: str) -> float:
    """How far a measured value may lie from the printed one and still be within.

    A training: the row's tolerance. Its own weights: one unit of the last printed digit, as image
    decoders differ. Its own predictions: the rounding.
    """
    return {"reproduced": row.tolerance, "tested": 2 * row.rounding}.get(word, row.rounding)


def untested(row: PublishedRow, content: dict[str, Any]) -> str:
    """Why a scores file of a row's weights is not a test of the row; empty where it is."""
    if content.get("weights") != row.weights:
        return f"scores of other weights ({content.get('weights')})"
    whole = VALIDATION.get((row.protocol.dataset, row.protocol.split))
    if whole is None:
        return f"how large {row.protocol.dataset}'s {row.protocol.split} is, is not known here"
    counts = content.get("counts", {})
    for name, count in whole.items():
        if counts.get(name) != count:
            return f"a part of the split: {counts.get(name)} of {count} {name}"
    recipe = configs.load(row.recipe)
    recipe = replace(recipe, data=replace(recipe.data, val_split=row.protocol.split))
    measured = protocol_of(recipe, benchmark_of(content["benchmark"]), row.metric_name)
    return "" if comparable(measured, row) else "another protocol"


def _tested(row: PublishedRow, root: Path) -> Verdict | None:
    """What its published weights score, if that was recorded."""
    file = TESTED / folder_of(row.id) / "scores.json"
    if not (row.benchmark and row.weights and (root / file).is_file()):
        return None
    content = read_json(root / file)
    if row.metric_name not in content["values"] or untested(row, content):
        return None
    value = content["values"][row.metric_name]
    within = abs(value - row.value) <= allowed(row, "tested") + 1e-9
    return Verdict("tested", value, within, (str(file),))


def full_runs(row: PublishedRow, root: Path = ROOT) -> Iterator[Path]:
    """Folders of finished runs of exactly the recipe of the row's training on all its people."""
    if not row.trains:
        return
    recipe = configs.load(row.recipe)
    for file in sorted((root / "runs").rglob("record.json")):
        if not shortfalls(file.parent, recipe, started_from(row)):
            yield file.parent


def started_from(row: PublishedRow) -> str:
    """The published weights that a row's training began with; empty for none."""
    return "" if "without ImageNet" in row.note else BEGAN_WITH.get(row.protocol.network, "")


def shortfalls(run: Path, recipe: Recipe, weights: str) -> tuple[str, ...]:
    """What keeps a run folder from being a full run of a recipe; nothing where it is one.

    Args:
        run: the folder.
        recipe: as published.
        weights: name of the weights it must have begun with; empty for none.
    """
    record = read_json(run / "record.json")
    if record.get("recipe") != recipe.name:
        return (f"recipe {record.get('recipe')}",)
    found = []
    file = run / "recipe.yaml"
    ran = configs.load(str(file)) if file.is_file() else None
    if ran is None or replace(ran, eval=recipe.eval, seed=recipe.seed) != recipe:
        found.append("the recipe was changed")
    people = record.get("data", {}).get("train", {}).get("people")
    if people != TRAINING_PEOPLE[recipe.data.dataset]:
        found.append(f"trained on {people} people")
    if bool(record.get("pretrained_model")) != bool(weights):
        found.append("began with other weights")
    if "finished" not in record.get("result", {}):
        found.append("not finished")
    return tuple(found)


def benchmark_of(values: dict[str, Any]) -> Benchmark:
    """A protocol from a scores file; keys that older files lack have their defaults."""
    plain = {key: tuple(v) if isinstance(v, list) else v for key, v in values.items()}
    return Benchmark(**{"name": "", **plain})


def rescored_values(row: PublishedRow, root: Path = ROOT) -> dict[str, float]:
    """Label of a mean → what the authors' predictions score; the row's own alone if it says which.

    ``Mean``, ``Mean, plain``, ``Mean, 16 joints``, ``Mean, 16 joints, plain``, or a joint group.
    """
    if not row.predictions:
        return {}
    scores = read_json(root / "rescored" / f"{row.predictions}_curves.json")["scores"]
    protocol = row.protocol
    if protocol.metric != "Mean":
        names = [protocol.metric]
    else:
        joints = {"14": [""], "16": [", 16 joints"], NOT_STATED: ["", ", 16 joints"]}
        weights = {"weighted": [""], "plain": [", plain"], NOT_STATED: ["", ", plain"]}
        names = [f"Mean{j}{w}" for j in joints[protocol.joints] for w in weights[protocol.mean]]
    return {n: scores[n][protocol.threshold]["value"] for n in names if n in scores}


def _rescored(row: PublishedRow, root: Path) -> Verdict | None:
    values = rescored_values(row, root)
    if not values:
        return None
    file = (f"rescored/{row.predictions}_curves.json",)
    if len(values) > 1:
        text = ", ".join(f"{name} {value:.2f}" for name, value in values.items())
        return Verdict("re-scored", None, None, file, f"it is not stated which mean: {text}")
    value = next(iter(values.values()))
    # Printed values are rounded; records keep four digits.
    return Verdict("re-scored", value, abs(value - row.value) <= row.rounding + 1e-4, file)


def _alignment_wanted(row: PublishedRow) -> Iterator[tuple[str, Sequence[str]]]:
    name = ALIGNED_AS[row.protocol.network]
    yield name, NETWORK_STEPS
    yield TWO_PEOPLE if name == "mipnet" else row.protocol.dataset, DATA_STEPS
    if row.recipe and getattr(configs.load(row.recipe).codec, "encoding", "cell") != "cell":
        yield ENCODINGS, ENCODING_STEPS
    if row.id.startswith("paddledetection:"):
        yield "paddledetection", (*NETWORK_STEPS, "data", "decode")


def _alignment_files(name: str, root: Path) -> list[str]:
    """Records of a network or data set that exist, from recorded arrays and from a clone."""
    files = (f"alignment/{name}.json", f"alignment/live_{name}.json")
    return [file for file in files if (root / file).is_file()]


def _not_aligned(row: PublishedRow, root: Path) -> str:
    """Why a row is not ported and aligned; empty where it is."""
    if not row.benchmark:
        return row.note
    if not row.weights:
        return "its weights are not published where porting can fetch them"
    if NOT_STATED in row.protocol.detector_ap:
        return "which detector's boxes it was measured with is not stated"
    if configs.load(row.recipe).train.amp != "none":
        return "no alignment record of half precision"
    if row.protocol.network not in ALIGNED_AS:
        return f"no alignment record of {row.protocol.network}"
    return next(filter(None, (_lacking(*one, root) for one in _alignment_wanted(row))), "")


def _lacking(name: str, steps: Sequence[str], root: Path) -> str:
    """Which steps the records of a network or data set lack or miss; empty where none."""
    present = set()
    for file in _alignment_files(name, root):
        for entry in read_json(root / file):
            if entry["ok"] is False:
                return f"{file}: {entry['step']} is outside its tolerance"
            present |= {entry["step"]} if entry["ok"] else set()
    absent = [step for step in steps if step not in present]
    return f"alignment/{name}.json: no record of {', '.join(absent)}" if absent else ""


# --- what would settle an open row


def train_command(row: PublishedRow) -> str:
    """The training and the test that would fill a row; empty without a recipe of its training."""
    if not (row.trains and row.benchmark):
        return ""
    recipe = configs.load(row.recipe)
    data = f"--dataset_root data/{recipe.data.dataset}"
    train = f"python train.py --config {row.recipe} {data}"
    weights = started_from(row)
    if weights:
        file = f"{weights}.pdparams"
        port = f"python -m paddle_pose port --download {weights} --output {file}"
        train = f"{port} && {train} --pretrained_model {file} --allow_partial"
    return f"{train} && {_val(row, f'output/{recipe.name}/best_model/model.pdparams', data)}"


def port_command(row: PublishedRow) -> str:
    """The test of the published weights; empty where they or a protocol for them are lacking."""
    if not (row.benchmark and row.weights):
        return ""
    data = f"--dataset_root data/{row.protocol.dataset}"
    file = f"{row.weights}.pdparams"
    port = f"python -m paddle_pose port --download {row.weights} --output {file}"
    return f"{port} && {_val(row, file, data)}"


def _val(row: PublishedRow, weights: str, data: str) -> str:
    split = row.protocol.split
    other = (
        "" if configs.load(row.recipe).data.val_split == split else f" --set data.val_split={split}"
    )
    return (
        f"python val.py --config {row.recipe} --benchmark {row.benchmark} "
        f"--pretrained_model {weights} {data}{other}"
    )


@cache
def _costs() -> tuple[dict[str, str], ...]:
    with (ROOT / "training_costs.csv").open(newline="", encoding="utf-8") as content:
        return tuple(csv.DictReader(content))


def cost(row: PublishedRow) -> Cost:
    """GPU hours of the training behind a row, by its own publisher's log where there is one."""
    publisher = row.id.partition(":")[0]
    for entry in _costs():
        if entry["recipe"] == row.recipe and publisher in entry["publishers"].split():
            return Cost(entry["gpu"], gpu_hours(entry), entry["source"])
    return Cost("", None, NO_LOG)


def gpu_hours(entry: dict[str, str]) -> tuple[float, float]:
    """Of a line of training_costs.csv: GPUs × hours, or × steps × seconds per step."""
    gpus = int(entry["gpus"])
    if entry["hours_low"]:
        return gpus * float(entry["hours_low"]), gpus * float(entry["hours_high"])
    people = TRAINING_PEOPLE[configs.load(entry["recipe"]).data.dataset]
    steps = int(entry["epochs"]) * people / int(entry["people_per_step"])
    hours = gpus * steps * float(entry["seconds_per_step"]) / 3600
    return hours, hours


def all_verdicts(root: Path = ROOT) -> list[tuple[PublishedRow, Verdict]]:
    """Every published row with its verdict; users' runs are not published rows."""
    return [(row, verdict(row, root)) for row in published.load() if row.kind != "user"]
