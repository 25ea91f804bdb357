"""Train a pose network: ``python train.py --image_size 256``."""

from __future__ import annotations

import argparse
from pathlib import Path

from paddle_pose.command_line import CommandLine
from paddle_pose.errors import EXIT_CODES, UserError, one_line_errors
from paddle_pose.system import launching, parallel, runtime
from paddle_pose.understood import NOTHING

FINETUNED_EPOCHS = 5

EXAMPLES = (
    "python train.py --image_size 256 --dataset_root synthetic --set train.epochs=1 data.limit=16",
    "python train.py --image_size 256 --dataset_root data/mpii",
    "python train.py --config hrnet:w32_coco_256x192 --gpus 0,1,2,3",
    "python train.py --resume output/hourglass52_mpii_256x256",
)


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = CommandLine(
        "python train.py", description="Train a pose network.", epilog=EXIT_CODES, examples=EXAMPLES
    )
    add = parser.add_argument
    parser.add_recipe()
    add("--output_dir", metavar="DIR", type=Path, help="run folder (output/<recipe>)")
    add(
        "--pretrained_model",
        metavar="FILE",
        help="weights to start from: .pth, .pdparams, .safetensors, or a published name",
    )
    add("--finetune", metavar="FILE", help="start from weights and train a few epochs")
    add("--allow_partial", action="store_true", help="start from what fits of them, listed")
    add(
        "--resume",
        nargs="?",
        const="",
        metavar="DIR",
        help="go on with the run in --output_dir, or in a folder; auto: as without one",
    )
    add("--epochs", metavar="N", type=int, help="same as --set train.epochs=N")
    add("--batch_size", metavar="N", type=int, help="same as --set train.batch_size=N")
    add("--num_workers", metavar="N", type=int, help="loader processes (one per core)")
    add("--seed", metavar="N", type=int, help="same as --set seed=N")
    add("--device", default="auto", help="auto, cpu, gpu or gpu:N")
    launching.add_arguments(parser)
    add("--annotations", metavar="FILE", type=Path, help="COCO: to train on, not the layout's")
    add("--val_annotations", metavar="FILE", type=Path, help="COCO: file to validate on")
    parser.add_changes()
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
        runtime.worker_count(given.num_workers)
        device = launching.start(
            gpus=given.gpus, master=given.master, nnodes=given.nnodes, device=given.device
        )
        runtime.import_paddle()
        from paddle_pose import configs
        from paddle_pose.commands import defaults, resuming
        from paddle_pose.commands.record import RunFolder
        from paddle_pose.commands.train import train
        from paddle_pose.evaluation.evaluator import DataFiles

        config, output = given.config, given.output_dir
        if given.resume == "auto" and not Path("auto").exists():
            given.resume = ""
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
        option = "--pretrained_model" if given.finetune is None else "--finetune"
        weights = defaults.weights_named(given.finetune or given.pretrained_model, option)
        if config is None and given.image_size is None:
            config = weights.recipe
        recipe = configs.chosen(config, given.image_size, overrides(given))
        output, kept = output or Path("output") / recipe.name, NOTHING
        if given.resume is not None:
            kept = resuming.with_data_of(RunFolder(output), given)
        data = defaults.data_for(recipe, given.dataset_root)
        train(
            recipe,
            DataFiles(data.root, given.annotations),
            output,
            validation=DataFiles(data.root, given.val_annotations),
            pretrained_model=weights.file,
            allow_partial=given.allow_partial,
            resume=Path(given.resume) if given.resume else given.resume is not None,
            device=device,
            num_workers=given.num_workers,
            understood=weights.understood
            + defaults.recipe_named(recipe, config, given.image_size)
            + kept
            + data.understood,
        )
        parallel.end()


if __name__ == "__main__":
    main()
