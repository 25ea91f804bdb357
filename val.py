"""Score weights or saved predictions: ``python val.py --image_size 256 --dataset_root D …``."""

from __future__ import annotations

import argparse
from pathlib import Path

from paddle_pose.errors import one_line_errors
from paddle_pose.settings import ENGINES, PRECISIONS
from paddle_pose.system import launching, runtime


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--config", help="family:recipe (hrnet:w32_mpii_256x256) or a recipe.yaml")
    add("--image_size", type=int, help="square input, pixels; alone it chooses Hourglass-52")
    add("--dataset_root", type=Path, help="folder with annotations and images")
    add("--pretrained_model", type=Path, help="weights to predict with")
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
    launching.add_arguments(parser)
    add("--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE", dest="assignments")
    return parser.parse_args()


def main() -> None:
    """Parse, load, evaluate."""
    arguments = parse_arguments()
    with one_line_errors():
        if arguments.predictions is None:
            launching.start(arguments)
        runtime.configure()
        from paddle_pose.commands import evaluate as scoring

        scoring.evaluate(arguments)


if __name__ == "__main__":
    main()
