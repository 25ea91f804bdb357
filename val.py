"""Score weights or saved predictions: ``python val.py --image_size 256 --dataset_root D …``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from paddle_pose.command_line import CommandLine
from paddle_pose.errors import EXIT_CODES, UserError, one_line_errors
from paddle_pose.settings import ENGINES, PRECISIONS
from paddle_pose.system import launching, runtime

NOT_WITH_EXPORTED = (
    *("config", "image_size", "pretrained_model", "predictions", "device", "engine", "precision"),
    *("gpus", "master", "nnodes"),
)
ONLY_WITH_WEIGHTS = (
    *("pretrained_model", "batch_size", "num_workers", "device", "engine", "precision"),
    *("gpus", "master", "nnodes"),
)


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = CommandLine(description=__doc__, epilog=EXIT_CODES)
    add = parser.add_argument
    add("--config", help="family:name (hrnet:w32_mpii_256x256) or a recipe.yaml")
    add("--image_size", type=int, help="square input, pixels; alone it chooses Hourglass-52")
    add("--dataset_root", type=Path, help="folder with annotations and images")
    add("--pretrained_model", type=Path, help="weights to predict with")
    add("--exported", type=Path, metavar="DIR", help="what export.py wrote, to predict with")
    add("--predictions", type=Path, help="to score: ours, .mat, .h5, or a COCO results .json(.gz)")
    add("--annotations", type=Path, help="COCO: annotation file instead of the layout's")
    add("--boxes", type=Path, help="COCO: detector-box file instead of the layout's")
    add("--pixel_origin", type=int, choices=(0, 1), help="of the coordinates in --predictions")
    add("--benchmark", help="one of the recipe's protocols (default: its first)")
    add("--output_dir", type=Path, help="where results go (output/<recipe>/eval_<benchmark>)")
    add("--batch_size", type=int, help="people at a time (default: the recipe's)")
    add("--num_workers", type=int, help="loader processes (default: one per core)")
    add("--device", help="auto (default), cpu, gpu or gpu:N")
    add(
        "--engine",
        choices=ENGINES,
        help="onednn compiles the network first: equal to eager within 1e-5 of the largest value; "
        "auto (default) does so on a CPU for 200 people or more",
    )
    add(
        "--precision",
        choices=PRECISIONS,
        help="float32 (default); bfloat16 is twice as fast on CPUs that have it, and rounds",
    )
    add("--analyse", action="store_true", help="say what kinds of errors there are, and draw them")
    launching.add_arguments(parser)
    add("--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE", dest="assignments")
    return parser.parse_args()


def check(arguments: argparse.Namespace) -> None:
    """Raises UserError for options that are missing or have no meaning together."""
    if arguments.dataset_root is None:
        raise UserError("--dataset_root: give the folder that holds annotations and images")
    if arguments.exported is not None:
        _refuse(arguments, NOT_WITH_EXPORTED, "--exported")
    elif arguments.predictions is not None:
        _refuse(arguments, ONLY_WITH_WEIGHTS, "--predictions")
    elif arguments.pretrained_model is None:
        raise UserError("give --pretrained_model FILE to predict, or --predictions FILE to score")
    elif not arguments.pretrained_model.is_file():
        raise UserError(f"--pretrained_model {arguments.pretrained_model}: no such file")
    if arguments.predictions is None and arguments.pixel_origin is not None:
        raise UserError("--pixel_origin: has a meaning only with --predictions")
    if arguments.batch_size is not None and arguments.batch_size < 1:
        raise UserError(f"--batch_size {arguments.batch_size}: must be at least 1")


def _refuse(arguments: argparse.Namespace, names: Sequence[str], beside: str) -> None:
    for name in names:
        if getattr(arguments, name) is not None:
            raise UserError(f"--{name}: has no meaning with {beside}; leave one of them out")


def main() -> None:
    """Parse, load, evaluate."""
    with one_line_errors():
        given = parse_arguments()
        device = given.device
        if given.predictions is None:
            device = launching.start(
                gpus=given.gpus, master=given.master, nnodes=given.nnodes, device=device
            )
        runtime.configure()
        check(given)
        from paddle_pose import configs
        from paddle_pose.commands.evaluate import evaluate
        from paddle_pose.evaluation.evaluator import DataFiles

        network = None
        if given.exported is not None:
            runtime.import_paddle()
            from paddle_pose.inference.exported import Exported

            network = Exported(given.exported)
            given.config = str(network.folder / "recipe.yaml")
        evaluate(
            configs.chosen(given.config, given.image_size, given.assignments),
            given.pretrained_model,
            DataFiles(given.dataset_root, given.annotations, given.boxes),
            predictions=given.predictions,
            benchmark=given.benchmark,
            output=given.output_dir,
            pixel_origin=given.pixel_origin,
            made_by_recipe=given.config is not None or given.image_size is not None,
            batch_size=given.batch_size,
            num_workers=given.num_workers,
            device=device,
            engine=given.engine,
            precision=given.precision,
            network=network,
            analyse=given.analyse,
        )


if __name__ == "__main__":
    main()
