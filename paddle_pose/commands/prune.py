"""A trained network without its weakest filters: ``python -m paddle_pose prune WEIGHTS``.

Writes the smaller network's weights and the recipe that trains it again:
``train.py --config DIR/recipe.yaml --pretrained_model DIR/model.pdparams``.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from paddle_pose import configs
from paddle_pose.command_line import CommandLine
from paddle_pose.errors import UserError
from paddle_pose.files import write_text
from paddle_pose.models.architectures import BodyPoseNet, Pruned, whole
from paddle_pose.models.pruning_rule import PruningRule
from paddle_pose.names import require_not_read, say_replaced
from paddle_pose.recipes import recipe as recipes
from paddle_pose.recipes.recipe import Recipe
from paddle_pose.settings import Adam, Momentum
from paddle_pose.skeletons import SKELETONS
from paddle_pose.system import runtime
from paddle_pose.understood import counted

EXAMPLES = (
    "python -m paddle_pose prune model.pdparams --config bodyposenet:vgg19_coco --output smaller",
    "python -m paddle_pose prune w.pdparams --config recipe.yaml --threshold 0.3 --output smaller",
)
SHOWN = 6


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = CommandLine(
        prog="python -m paddle_pose prune", description=__doc__.splitlines()[0], examples=EXAMPLES
    )
    add = command.add_argument
    add("weights", type=Path, metavar="WEIGHTS", help="of the trained network")
    add("--config", required=True, metavar="RECIPE", help="of the weights")
    add("--output", type=Path, required=True, metavar="DIR", help="for model.pdparams, recipe.yaml")
    add("--threshold", type=float, default=0.1, help="of the normalised norms that stay (0.1)")
    add("--normalizer", default="max", help="max (default) or L2, as the official code has it")
    add("--equalization", default="union", help="of layers that are added: union (default), "
        "intersection, arithmetic_mean, geometric_mean")  # fmt: skip
    add("--granularity", type=int, default=8, metavar="N", help="counts are multiples of it (8)")
    add("--min_filters", type=int, default=16, metavar="N", help="at least so many stay (16)")
    add("--exclude", nargs="+", default=[], metavar="LAYER", help="stay whole, by name")
    return command


def retraining(recipe: Recipe, filters: dict[str, int]) -> tuple[Recipe, str]:
    """The recipe of the smaller network, and what it leaves out of BodyPoseNet's training.

    As the official retraining: no regularisation, and one rate for all parameters.
    """
    of = whole(recipe.model)
    filters = (recipe.model.filters if isinstance(recipe.model, Pruned) else {}) | filters
    optimizer, said = recipe.train.optimizer, ""
    official = isinstance(of, BodyPoseNet) and isinstance(optimizer, Adam | Momentum)
    if official and (optimizer.l1 or optimizer.l2 or optimizer.groups):
        optimizer = replace(optimizer, l1=0.0, l2=0.0, groups=())
        said = "assumed: retraining: without L1, L2 and rates by layer, as the official one"
    name = recipe.name if recipe.name.endswith("_pruned") else f"{recipe.name}_pruned"
    train = replace(recipe.train, optimizer=optimizer, pretrained="none")
    return replace(recipe, name=name, model=Pruned(of, filters), train=train), said  # type: ignore[arg-type]


def main(words: Sequence[str] | None = None) -> None:
    """Prune; Raises UserError."""
    given = parser().parse_args(words)
    rule = PruningRule(
        given.threshold,
        given.normalizer,
        given.equalization,
        given.granularity,
        given.min_filters,
        tuple(given.exclude),
    )
    if not given.weights.is_file():
        raise UserError(f"{given.weights}: no such file")
    files = [given.output / name for name in ("model.pdparams", "recipe.yaml")]
    require_not_read(files, [given.weights, Path(given.config)])
    stated = configs.load(given.config)
    runtime.import_paddle()
    from paddle_pose.inference.predictor import trained
    from paddle_pose.models import pruning
    from paddle_pose.models.counting import count
    from paddle_pose.weights.checkpoint import save_weights
    from paddle_pose.weights.facts import facts_of

    network, recipe, own = trained(given.weights, stated)
    skeleton, size_wh = own or SKELETONS.get(recipe.data.skeleton), recipe.data.image_size_wh
    before = count(network, size_wh)
    channels = pruning.follow(network)
    kept = pruning.choose(network, rule, channels)
    if not kept:
        raise UserError(
            f"--threshold {given.threshold:g}: no filter that may go is below it (norms by "
            f"{given.normalizer}); nothing is written"
        )
    if alone := pruning.by_count_alone(network, rule, kept, channels):
        print(
            f"assumed: threshold: in {len(alone):,} of {counted(len(kept), 'layer')} that lose "
            f"filters no norm is above {rule.threshold:g}; --min_filters alone says what they keep"
        )
    widths = pruning.widths(network)
    pruning.shrink(network, kept, channels)
    after = count(network, size_wh)
    small, said = retraining(recipe, {name: len(places) for name, places in kept.items()})
    facts = None
    if skeleton is not None:
        facts = facts_of(recipes.to_dict(small), small.data, skeleton)
    say_replaced(files)
    save_weights(network, files[0], facts)
    write_text(files[1], recipes.dump_yaml(small))
    for name, places in list(kept.items())[:SHOWN]:
        print(f"   {name}: {len(places)} of {widths[name]}")
    if len(kept) > SHOWN:
        print(f"   and {counted(len(kept) - SHOWN, 'more layer')}")
    print(
        f"=> parameters {before.parameters:,} -> {after.parameters:,}, GMACs "
        f"{before.macs / 1e9:.3f} -> {after.macs / 1e9:.3f}"
    )
    if said:
        print(said)
    print(f"=> {files[0]}, {files[1]}")
