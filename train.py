"""Train a pose network: ``python train.py --image_size 256 --dataset_root data/mpii``."""

from __future__ import annotations

import argparse
from pathlib import Path

from paddle_pose.errors import one_line_errors
from paddle_pose.system import launching, runtime


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--config", help="family:recipe (hrnet:w32_mpii_256x256) or a recipe.yaml")
    add("--image_size", type=int, help="square input, pixels; alone it chooses Hourglass-52")
    add("--dataset_root", type=Path, help="folder with annotations and images")
    add("--output_dir", type=Path, help="run folder (output/<recipe>)")
    add("--pretrained_model", type=Path, help="weights to start from; what does not fit is listed")
    add("--resume", nargs="?", const="", help="go on with the run in --output_dir, or in a folder")
    add("--epochs", type=int, help="same as --set train.epochs=N")
    add("--batch_size", type=int, help="same as --set train.batch_size=N")
    add("--num_workers", type=int, default=None, help="loader processes (default: one per core)")
    add("--seed", type=int, help="same as --set seed=N")
    add("--device", default="auto", help="auto, cpu, gpu or gpu:N")
    launching.add_arguments(parser)
    add("--annotations", type=Path, help="COCO: file to train on, instead of the layout's")
    add("--val_annotations", type=Path, help="COCO: file to validate on")
    add("--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE", dest="assignments")
    return parser.parse_args()


def main() -> None:
    """Parse, load, run."""
    arguments = parse_arguments()
    with one_line_errors():
        launching.start(arguments)
        runtime.import_paddle()
        from paddle_pose.commands import train as run

        run.train(arguments)


if __name__ == "__main__":
    main()
