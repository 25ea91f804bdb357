"""Train a pose network: ``python train.py --image_size 256 --dataset_root data/mpii``."""

from __future__ import annotations

import argparse
from pathlib import Path

from paddle_pose.command_line import CommandLine
from paddle_pose.errors import EXIT_CODES, UserError, one_line_errors
from paddle_pose.system import launching, parallel, runtime

FINETUNED_EPOCHS = 5


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = CommandLine(description=__doc__, epilog=EXIT_CODES)
    add = parser.add_argument
    add("--config", help="family:recipe (hrnet:w32_mpii_256x256) or a recipe.yaml")
    add("--image_size", type=int, help="square input, pixels; alone it chooses Hourglass-52")
    add("--dataset_root", type=Path, help="folder with annotations and images")
    add("--output_dir", type=Path, help="run folder (output/<recipe>)")
    add(
        "--pretrained_model", type=Path, help="weights to start from: .pth, .pdparams, .safetensors"
    )
    add("--finetune", type=Path, metavar="FILE", help="start from weights and train a few epochs")
    add("--allow_partial", action="store_true", help="start from what fits of them, listed")
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


def overrides(given: argparse.Namespace) -> list[str]:
    """Every KEY=VALUE of the command line, short options first; the few epochs of --finetune."""
    short = {"train.epochs": given.epochs, "train.batch_size": given.batch_size, "seed": given.seed}
    stated = [f"{k}={v}" for k, v in short.items() if v is not None] + given.assignments
    if given.finetune is None or any(one.startswith("train.epochs=") for one in stated):
        return stated
    if parallel.is_first():
        print(f"assumed: train.epochs={FINETUNED_EPOCHS}, as --finetune; --epochs says otherwise")
    return [f"train.epochs={FINETUNED_EPOCHS}", *stated]


def main() -> None:
    """Parse, load, run."""
    with one_line_errors():
        given = parse_arguments()
        device = launching.start(
            gpus=given.gpus, master=given.master, nnodes=given.nnodes, device=given.device
        )
        runtime.import_paddle()
        from paddle_pose import configs
        from paddle_pose.commands import resuming
        from paddle_pose.commands.train import train
        from paddle_pose.evaluation.evaluator import DataFiles

        config, output = given.config, given.output_dir
        if given.resume:
            if output is not None:
                raise UserError("--resume DIR and --output_dir: both name the run folder; give one")
            output = resuming.run_folder(Path(given.resume))
            if config is None and given.image_size is None:
                config = str(output / "recipe.yaml")
        if given.finetune is not None and (given.pretrained_model or given.resume is not None):
            raise UserError(
                "--finetune FILE: starts from FILE, so it goes with neither --pretrained_model nor "
                "--resume (python train.py --resume goes on with a fine-tuning, too)"
            )
        recipe = configs.chosen(config, given.image_size, overrides(given))
        if given.dataset_root is None:
            raise UserError("--dataset_root: give the folder that holds annotations and images")
        train(
            recipe,
            DataFiles(given.dataset_root, given.annotations),
            output or Path("output") / recipe.name,
            validation=DataFiles(given.dataset_root, given.val_annotations),
            pretrained_model=given.finetune or given.pretrained_model,
            allow_partial=given.allow_partial,
            resume=Path(given.resume) if given.resume else given.resume is not None,
            device=device,
            num_workers=given.num_workers,
        )


if __name__ == "__main__":
    main()
