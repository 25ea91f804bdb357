"""A word for every published number, what stands behind it, and what would settle it.

*reproduced*: trained here in full by the row's own recipe, within its tolerance under its protocol.
*re-scored*: its authors' predictions were scored by the evaluation here, whether or not that gives
what they published; ``within`` says which.
*tested*: its published weights, converted, were scored here on the whole split under its protocol;
``within`` says whether that gives what was printed.
*ported and aligned*: its weights convert, and its network and everything around it equal the
official code step by step, as recorded or as run live from a clone; not trained in full.
*aligned*: its network and everything around it equal the publisher's official code step by step,
but its number cannot be tested from outside: no weights of it to fetch, or the boxes it was
measured with or the truth of its test set are not public. The row says which.
*not run*: none of these. A shortened run never counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from paddle_pose import configs
from paddle_pose.files import read_json
from paddle_pose.recipes.recipe import Recipe
from paddle_pose.settings import Benchmark
from reproduce import aligned, published
from reproduce.published import NOT_STATED, PublishedRow, comparable, protocol_of
from reproduce.training_costs import TRAINING_PEOPLE

ROOT = Path(__file__).parent
WORDS = ("reproduced", "re-scored", "tested", "ported and aligned", "aligned", "not run")
TESTED = Path("runs/tested")
"""Where scores of published weights are kept, a folder for each row."""
NO_TRAINING = "no recipe of its training here"
MISSING = ("no recipe: ", "no benchmark: ", "no weights: ", "no boxes: ")
"""How a row's note begins that says what its number cannot be tested without."""

BEGAN_WITH = {
    "HRNet-W32": "imagenet_hrnet_w32",
    "HRNet-W48": "imagenet_hrnet_w48",
    "PoseResNet-50": "imagenet_resnet50",
    "PoseResNet-101": "imagenet_resnet101",
    "PoseResNet-152": "imagenet_resnet152",
    **{f"PoseResNet-{n} (Caffe-style)": f"imagenet_resnet{n}_caffe" for n in (50, 101, 152)},
    "PoseResNet-50 (visibility head)": "imagenet_resnet50",
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
    missed = trained[0] if trained else Verdict("not run", lacking=_not_trained(row))
    if trained:
        why = f"{row.metric_name} {missed.measured:g} is outside {row.value:g} ± {row.tolerance:g}"
        missed = replace(missed, lacking=why)
    missing, unequal = missing_of(row), _unequal(row, root)
    if unequal or not row.recipe:
        lacking = "; ".join(filter(None, (missing, unequal)))
        return replace(missed, word="not run", lacking=lacking)
    files = tuple(file for name, _ in aligned.wanted(row) for file in aligned.files(name, root))
    missed = replace(missed, word="ported and aligned", records=(*files, *missed.records))
    return replace(missed, word="aligned", lacking=missing) if missing else missed


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
    wanted = TRAINING_PEOPLE[recipe.data.dataset]
    if people != wanted or recipe.data.join != "none":
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


def missing_of(row: PublishedRow) -> str:
    """What a test of the published number lacks; empty where its weights can be scored."""
    if row.note.startswith(MISSING):
        return row.note
    if not row.weights:
        return "its weights are not published where porting can fetch them"
    if NOT_STATED in row.protocol.detector_ap:
        return "which detector's boxes it was measured with is not stated"
    return ""


def _unequal(row: PublishedRow, root: Path) -> str:
    """Why a recipe's network and all around it do not equal official code; empty where they do."""
    if not row.recipe:
        return ""
    own = "" if row.weights or row.trains else NO_TRAINING
    return "; ".join(filter(None, (aligned.not_compared(row, root), own)))


# --- what would settle an open row


def settles(row: PublishedRow) -> bool:
    """Whether a number measured here could stand beside the row's: all of its protocol is known."""
    return bool(row.benchmark) and comparable(row.protocol, row)


def train_command(row: PublishedRow) -> str:
    """The training and the test that would fill a row; empty without a recipe of its training."""
    if not (row.trains and settles(row)):
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
    if not (row.weights and settles(row)):
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


def all_verdicts(root: Path = ROOT) -> list[tuple[PublishedRow, Verdict]]:
    """Every published row with its verdict; users' runs are not published rows."""
    return [(row, verdict(row, root)) for row in published.load() if row.kind != "user"]
