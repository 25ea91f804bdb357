"""The same run in both frameworks: initial weights, the PyTorch side, the first steps.

A twin is four commands, from a clone of this project; the data lie in DATA, a clone of the
official repository in CLONE, and the PyTorch environment's interpreter is TORCH:

python -m reproduce.twins initial --config twins:newell_hg1_lspet --seed 0 --output_dir OUT
python train.py --config twins:newell_hg1_lspet --seed 0 --dataset_root DATA \
    --pretrained_model OUT/initial.pdparams --output_dir OUT/paddle
TORCH -m reproduce.twins torch --config twins:newell_hg1_lspet --seed 0 --dataset_root DATA \
    --initial OUT/initial.safetensors --reference CLONE --output_dir OUT/torch
python -m reproduce.twins steps --config … (and TORCH -m reproduce.twins torch --steps 50 --float64)
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from paddle_pose import configs
from paddle_pose.command_line import CommandLine
from paddle_pose.errors import one_line_errors
from paddle_pose.files import write_json
from paddle_pose.recipes.recipe import Recipe
from paddle_pose.system import runtime

TAKEN = {
    "initial": (),
    "torch": (
        "dataset_root",
        "initial",
        "reference",
        "device",
        "steps",
        "float64",
        "paddle_epsilon",
    ),
    "steps": ("dataset_root", "initial", "steps", "float64"),
}
"""Options of each command, besides those of all."""
NEEDED = {
    "initial": (),
    "torch": ("dataset_root", "initial", "reference"),
    "steps": ("dataset_root", "initial", "steps"),
}


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = CommandLine(prog="python -m reproduce.twins", description=__doc__)
    command.add_argument("what", choices=("initial", "torch", "steps"))
    add = command.add_argument
    add("--config", required=True, help="a recipe of configs/twins.py")
    add("--seed", type=int, default=0)
    add("--output_dir", type=Path, required=True)
    add("--dataset_root", type=Path, help="torch, steps: LSPET in MPII layout")
    add("--initial", type=Path, help="torch: initial.safetensors; steps: initial.pdparams")
    add("--reference", type=Path, help="torch: clone of the official repository")
    add("--device", help="torch: cpu (the default), cuda or cuda:N")
    add("--steps", type=int, help="torch, steps: only so many, their losses into losses.json")
    add("--float64", action="store_true", help="torch, steps: double precision")
    add(
        "--paddle_epsilon",
        action="store_true",
        help="torch: batch norm's epsilon rounded to float32, as Paddle's kernels hold it",
    )
    return command


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Checked; ends the process where an option is missing or not for this command."""
    options = parser().parse_args(arguments)
    what = options.what
    given = {n for n, value in vars(options).items() if value is not None and value is not False}
    for name in TAKEN["torch"]:
        if name in given and name not in TAKEN[what]:
            parser().error(f"--{name} is not for {what}; leave it out")
    for name in NEEDED[what]:
        if name not in given:
            parser().error(f"{what} needs --{name}")
    if options.steps is not None and options.steps < 1:
        parser().error("--steps: must be at least 1")
    return options


def write_initial(recipe: Recipe, folder: Path) -> None:
    """``initial.pdparams`` and, under the official names, ``initial.safetensors``."""
    runtime.import_paddle()
    import paddle

    from paddle_pose import porting
    from paddle_pose.models.build import build
    from paddle_pose.weights import checkpoint

    paddle.seed(recipe.seed)
    network = build(recipe.model)
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint.save_weights(network, folder / "initial.pdparams")
    count = porting.export_file(
        folder / "initial.pdparams", recipe.model, folder / "initial.safetensors"
    )
    print(f"{folder}: {count} tensors")


def first_steps(
    recipe: Recipe, initial: Path, dataset_root: Path, steps: int, *, float64: bool
) -> list[float]:
    """Losses of the first steps of ``train.py``'s loop, in either precision."""
    runtime.import_paddle()
    import paddle
    from tqdm import trange

    from paddle_pose.data.loader import steps_per_epoch, training_batches
    from paddle_pose.evaluation.evaluator import DataFiles
    from paddle_pose.evaluation.task import task_for
    from paddle_pose.models.build import build
    from paddle_pose.porting.loading import load_weights
    from paddle_pose.training import loop as training
    from paddle_pose.training.schedules import learning_rate

    if float64:
        paddle.set_default_dtype("float64")
    network = build(recipe.model)
    load_weights(network, initial)
    network.train()
    trainer = training.Trainer(network, recipe.train, recipe.data)
    files = DataFiles(dataset_root)
    task, _ = task_for(recipe, files, files)
    size, epochs = recipe.train.batch_size, recipe.train.epochs
    batches = training_batches(
        task.samples, batch_size=size, epochs=epochs, seed=recipe.seed, num_workers=0
    )
    per_epoch = steps_per_epoch(len(task.samples), size, drop_last=False)
    dtype = paddle.get_default_dtype()
    losses = []
    for step in trange(steps, unit="step"):
        batch = next(batches)
        batch = replace(batch, targets={k: v.astype(dtype) for k, v in batch.targets.items()})
        parts, _ = trainer.step(batch, learning_rate(recipe.train, step, per_epoch))
        losses.append(sum(float(part) for part in parts.values()))
    return losses


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; Raises UserError."""
    options = parse_arguments(arguments)
    recipe = replace(configs.load(options.config, None), seed=options.seed)
    runtime.configure(quiet=True)
    if options.what == "initial":
        write_initial(recipe, options.output_dir)
    elif options.what == "steps":
        losses = first_steps(
            recipe, options.initial, options.dataset_root, options.steps, float64=options.float64
        )
        write_json(options.output_dir / "losses.json", losses, indent=None)
    else:
        from reproduce.twins_torch import train

        train(
            recipe,
            reference=options.reference,
            initial=options.initial,
            dataset_root=options.dataset_root,
            output_dir=options.output_dir,
            device=options.device or "cpu",
            steps=options.steps,
            float64=options.float64,
            paddle_epsilon=options.paddle_epsilon,
        )


if __name__ == "__main__":
    with one_line_errors():
        main()
