"""Score weights or saved predictions: ``python val.py --image_size 256``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from paddle_pose.command_line import CommandLine
from paddle_pose.errors import EXIT_CODES, UserError, one_line_errors
from paddle_pose.settings import ENGINES, PRECISIONS
from paddle_pose.system import launching, parallel, runtime

NOT_WITH_EXPORTED = (
    *("config", "image_size", "pretrained_model", "predictions", "device", "engine", "precision"),
    *("gpus", "master", "nnodes"),
)
ONLY_WITH_WEIGHTS = (
    *("pretrained_model", "batch_size", "num_workers", "device", "engine", "precision"),
    *("gpus", "master", "nnodes"),
)

EXAMPLES = (
    "python val.py --image_size 256    (scores what train.py --image_size 256 trained)",
    "python val.py --pretrained_model mmpose_hrnet_w32_mpii_256x256",
    "python val.py --predictions results.json --config hrnet:w32_coco_256x192 --analyse",
    "python val.py --exported served/onnx --dataset_root data/mpii",
)


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = CommandLine(
        "python val.py",
        description="Score weights or saved predictions.",
        epilog=EXIT_CODES,
        examples=EXAMPLES,
    )
    add = parser.add_argument
    parser.add_recipe()
    add(
        "--pretrained_model",
        metavar="FILE",
        help="weights, or a published name (the recipe's own run)",
    )
    add("--exported", type=Path, metavar="DIR", help="what export.py wrote, to predict with")
    add(
        "--predictions",
        metavar="FILE",
        type=Path,
        help="to score: ours, .mat, .h5, or COCO results .json(.gz)",
    )
    add("--annotations", metavar="FILE", type=Path, help="COCO: instead of the layout's")
    add("--boxes", metavar="FILE", type=Path, help="COCO: detector boxes instead of the layout's")
    add("--pixel_origin", type=int, choices=(0, 1), help="of the coordinates in --predictions")
    add("--benchmark", metavar="NAME", help="one of the recipe's protocols (its first)")
    add(
        "--output_dir",
        metavar="DIR",
        type=Path,
        help="for results (eval_<benchmark> in the weights' run folder, or output/<recipe>)",
    )
    add("--batch_size", metavar="N", type=int, help="people at a time (the recipe's)")
    add("--num_workers", metavar="N", type=int, help="loader processes (one per core)")
    add("--device", help="auto (default), cpu, gpu or gpu:N")
    add(
        "--engine",
        choices=ENGINES,
        help="onednn and openvino compile first: equal within 1e-5 of the largest value; auto "
        "(default): on a CPU for 30 people or more, by openvino where it is installed",
    )
    add(
        "--precision",
        choices=PRECISIONS,
        help="float32 (default); bfloat16: twice as fast on CPUs that have it, rounds",
    )
    add("--analyse", action="store_true", help="say what kinds of errors there are, and draw them")
    launching.add_arguments(parser)
    parser.add_changes()
    return parser.parse_args()


def check(arguments: argparse.Namespace) -> None:
    """Raises UserError for options that have no meaning together, or no such value."""
    if arguments.exported is not None:
        _refuse(arguments, NOT_WITH_EXPORTED, "--exported")
    elif arguments.predictions is not None:
        _refuse(arguments, ONLY_WITH_WEIGHTS, "--predictions")
    if arguments.predictions is None and arguments.pixel_origin is not None:
        raise UserError("--pixel_origin: has a meaning only with --predictions")
    runtime.worker_count(arguments.num_workers)
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
        check(given)
        device = given.device
        if given.predictions is None:
            device = launching.start(
                gpus=given.gpus, master=given.master, nnodes=given.nnodes, device=device
            )
        runtime.configure()
        from paddle_pose import configs
        from paddle_pose.commands import defaults
        from paddle_pose.commands.evaluate import evaluate
        from paddle_pose.evaluation.evaluator import DataFiles

        network, config = None, given.config
        weights = defaults.weights_named(given.pretrained_model)
        if given.exported is not None:
            runtime.import_paddle()
            from paddle_pose.inference.exported import Exported

            network = Exported(given.exported)
            config = str(network.folder / "recipe.yaml")
        elif config is None and given.image_size is None:
            config = weights.recipe
        recipe = configs.chosen(config, given.image_size, given.assignments)
        if given.predictions is None and network is None and weights.file is None:
            weights = defaults.own_weights(recipe)
        scored = given.annotations if given.predictions is not None else None
        data = defaults.data_for(recipe, given.dataset_root, scored)
        benchmark, understood = given.benchmark, data.understood
        if given.predictions is None and given.boxes is None and benchmark is None:
            benchmark, said = defaults.benchmark_for(recipe, data)
            understood = understood + said
        evaluate(
            recipe,
            weights.file,
            DataFiles(data.root, given.annotations, given.boxes),
            predictions=given.predictions,
            benchmark=benchmark,
            output=given.output_dir,
            pixel_origin=given.pixel_origin,
            made_by_recipe=config is not None or given.image_size is not None,
            batch_size=given.batch_size,
            num_workers=given.num_workers,
            device=device,
            engine=given.engine,
            precision=given.precision,
            network=network,
            analyse=given.analyse,
            understood=weights.understood + understood,
        )
        parallel.end()


if __name__ == "__main__":
    main()
