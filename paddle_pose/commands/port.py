"""``python -m paddle_pose port``: published weights in, our weights out."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from paddle_pose import configs
from paddle_pose.command_line import CommandLine
from paddle_pose.errors import UserError
from paddle_pose.names import require_not_read
from paddle_pose.porting import convert_file, download, export_file
from paddle_pose.recipes import recipe as recipes
from paddle_pose.recipes.recipe import Recipe
from paddle_pose.skeletons import SKELETONS
from paddle_pose.system import runtime
from paddle_pose.understood import counted
from paddle_pose.weights.facts import WeightFacts, facts_of

EXAMPLES = (
    "python -m paddle_pose port --list",
    "python -m paddle_pose port --download mmpose_hrnet_w32_mpii_256x256 --output w32.pdparams",
    "python -m paddle_pose port w32.pth --recipe hrnet:w32_mpii_256x256 --output w32.pdparams",
    "python -m paddle_pose port --to_torch w.pdparams --recipe recipe.yaml --output w.safetensors",
)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = CommandLine(
        prog="python -m paddle_pose port",
        description="Convert published weights to .pdparams and back; PyTorch is not needed.",
        usage="%(prog)s (FILE | --list | --download NAME | --to_torch FILE) [options]",
        examples=EXAMPLES,
    )
    what = command.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "file", nargs="?", type=Path, metavar="FILE",
        help="PyTorch checkpoint (.pth, .pt), PaddleDetection's .pdparams, or .safetensors",
    )  # fmt: skip
    what.add_argument("--list", action="store_true", help="show the published weights by name")
    what.add_argument(
        "--download", metavar="NAME", help="fetch published weights; with --output also convert"
    )
    what.add_argument(
        "--to_torch", type=Path, metavar="FILE",
        help="write our .pdparams as a PyTorch state dict (.safetensors, official names)",
    )  # fmt: skip
    command.add_argument(
        "--recipe", help="family:name or a .yaml file; decides the network (not for --list)"
    )
    command.add_argument("--output", type=Path, help="file to write")
    command.add_argument(
        "--backbone", action="store_true",
        help="ImageNet weights: fill all but the pose head and list what was left out",
    )  # fmt: skip
    command.add_argument(
        "--half", action="store_true",
        help="write float16, half the size: loads as float32, scores move in the last digits",
    )  # fmt: skip
    return command


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; Raises UserError."""
    options = parser().parse_args(arguments)
    _check_use(options)
    runtime.tell()
    if options.list:
        _list()
    elif options.download:
        _download(options)
    elif options.to_torch:
        recipe, output = _required(options)
        _check_ending(output, (".safetensors",))
        require_not_read([output], [options.to_torch])
        chosen = configs.load(recipe)
        count = export_file(options.to_torch, chosen.model, output, _facts(chosen))
        print(f"{output}: {counted(count, 'tensor')} under the official names")
    else:
        recipe, output = _required(options)
        _convert(options.file, recipe, output, options.backbone, options.half)


def _check_use(options: argparse.Namespace) -> None:
    """Refuse options that the chosen command would ignore."""
    given = {name for name in ("recipe", "output", "backbone", "half") if getattr(options, name)}
    if options.list and given:
        raise UserError(f"--list takes no --{sorted(given)[0]}")
    for name in ("backbone", "half"):
        if options.to_torch and getattr(options, name):
            raise UserError(f"--to_torch writes the whole network; --{name} is for reading")
    if options.download and given and not options.output:
        raise UserError(f"--download with --{sorted(given)[0]} needs --output FILE to convert to")


def _required(options: argparse.Namespace) -> tuple[str, Path]:
    missing = [f"--{name}" for name in ("recipe", "output") if not getattr(options, name)]
    if missing:
        raise UserError(f"{' and '.join(missing)} missing: which network, and where to write it")
    return options.recipe, options.output


def _check_ending(output: Path, endings: tuple[str, ...]) -> None:
    if output.suffix not in endings:
        raise UserError(f"--output {output}: must end in {' or '.join(endings)}")


def _facts(recipe: Recipe) -> WeightFacts | None:
    """What weights of a recipe say; nothing where its joints stand in an annotation file."""
    skeleton = SKELETONS.get(recipe.data.skeleton)
    return None if skeleton is None else facts_of(recipes.to_dict(recipe), recipe.data, skeleton)


def _convert(file: Path, recipe: str, output: Path, backbone: bool, half: bool) -> None:
    _check_ending(output, (".pdparams", ".safetensors"))
    require_not_read([output], [file])
    chosen = configs.load(recipe)
    facts = None if backbone else _facts(chosen)
    found = convert_file(file, chosen.model, output, backbone, facts, half)
    print(f"{output}: {counted(len(found.arrays), 'tensor')} from {file} ({found.spelling} names)")
    for what, names in (
        ("in the file, built by the reference and never used", found.unused),
        ("in the file, not loaded", found.not_loaded),
        ("in the network, not filled", found.not_filled),
    ):
        if names:
            print(f"  {len(names)} {what}:")
            print("\n".join(f"    {name}" for name in names))


def _download(options: argparse.Namespace) -> None:
    weights = download.find(options.download)
    path = download.fetch(weights)
    print(f"{path} ({weights.licence}; {weights.published or 'no published numbers'})")
    if options.output:
        backbone = options.backbone or weights.kind == "backbone"
        recipe = options.recipe or weights.recipe
        _convert(path, recipe, options.output, backbone, options.half)


def _list() -> None:
    found = download.published_weights()
    name, recipe = (max(len(getattr(one, key)) for one in found) for key in ("name", "recipe"))
    for one in found:
        home = "" if one.home == "direct" else "  [by hand, from a drive]"
        print(f"{one.name:{name}}  {one.recipe:{recipe}}  {one.published}{home}")
