"""A training run from a recipe to its record."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paddle

from paddle_pose.codecs.integral import IntegralCodec
from paddle_pose.commands import record
from paddle_pose.commands import resuming as resuming_rules
from paddle_pose.commands.fitting import require_batch
from paddle_pose.commands.restoring import restore
from paddle_pose.commands.running import Run
from paddle_pose.configs import load
from paddle_pose.data.loader import steps_per_epoch, training_batches
from paddle_pose.errors import CannotWrite, Fault, UserError, is_memory
from paddle_pose.evaluation.evaluator import DataFiles, Evaluator
from paddle_pose.evaluation.task import Task, task_for
from paddle_pose.models.blocks import PoseNetwork
from paddle_pose.models.build import build
from paddle_pose.models.counting import count_parameters
from paddle_pose.names import require_apart
from paddle_pose.porting.loading import Use, load_weights
from paddle_pose.recipes import recipe as recipes
from paddle_pose.recipes.checks import require_sound
from paddle_pose.recipes.recipe import Recipe
from paddle_pose.skeletons import Skeleton
from paddle_pose.system import ending, parallel, runtime
from paddle_pose.training import loop as training
from paddle_pose.training import precision
from paddle_pose.training.losses import Loss, loss_function
from paddle_pose.training.schedules import highest_rate, rate_by_step
from paddle_pose.understood import NOTHING, Understood, counted


def _started(
    recipe: Recipe,
    network: PoseNetwork | None,
    pretrained: Path | None,
    skeleton: Skeleton | None,
    *,
    partial: bool,
    resuming: bool,
) -> PoseNetwork:
    """The network as a new run starts it; a resumed one gets its weights from its state."""
    built = network is None
    if network is None:
        paddle.seed(recipe.seed)
        network = build(recipe.model)
    if pretrained is not None and not resuming:
        found = load_weights(
            network,
            pretrained,
            recipe.model,
            use=Use(recipe.data, skeleton),
            partial=partial,
            may_be_partial=True,
        )
        print("\n".join(found.lines))
        print(
            f"=> {pretrained}: {counted(found.filled, 'tensor')} loaded, {len(found.missing)} of "
            f"the network not in it, {len(found.unused)} of its own not used"
        )
        for what, names in (("not loaded", found.missing), ("not used", found.unused)):
            for name in names:
                print(f"   {what}: {name}")
    elif built and not resuming and recipe.train.pretrained != "none":
        print(
            f"=> the published run of this recipe began from {recipe.train.pretrained} weights, "
            "this one from random ones; --pretrained_model FILE --allow_partial starts from them"
        )
    return network


def _require_apart(
    output: Path, data: str | Path | DataFiles | Task, validation: DataFiles | None
) -> None:
    """Raises UserError for data that is not there, or lies where the next run moves it aside."""
    if isinstance(data, Task):
        if validation is not None:
            raise UserError("validation: a task of one's own has its evaluator; leave this out")
        return
    files = data if isinstance(data, DataFiles) else DataFiles(Path(data))
    for one in (files, validation or files):
        one.require_there()
    read = [file for one in (files, validation or files) for file in (one.root, one.annotations)]
    require_apart(output, read, "--output_dir")


def train(
    recipe: str | Recipe,
    data: str | Path | DataFiles | Task,
    output: str | Path,
    *,
    validation: DataFiles | None = None,
    pretrained_model: str | Path | None = None,
    allow_partial: bool = False,
    resume: bool | Path = False,
    device: str = "auto",
    num_workers: int | None = None,
    network: PoseNetwork | None = None,
    loss: Loss | None = None,
    understood: Understood = NOTHING,
) -> Path | None:
    """Run a recipe to its end and keep the best weights.

    Args:
        recipe: what the run is: a recipe, ``family:name`` or a ``.yaml`` file.
        data: the data set's folder, its files, or a task of one's own.
        output: the run folder; an earlier run there is moved aside, or gone on with (``resume``).
        validation: files to validate on, where they are others than ``data``.
        pretrained_model: weights to start from: PyTorch's, Paddle's or our own.
        allow_partial: start from what fits of them (a backbone, another head), the rest listed.
        resume: go on from the state in ``output``, if there is one; or from this one of its states.
        device: ``auto``, ``cpu``, ``gpu`` or ``gpu:N``.
        num_workers: loader processes; one per core by default.
        network: to train; by default the recipe's.
        loss: ``(outputs, targets) -> {name: part}``; by default the recipe's.
        understood: how the arguments were chosen, to be said and recorded.

    Returns:
        The file of the best weights, or of the last where ``train.max_steps`` ended the run before
        a validation; None where a finished run was resumed: it stays as it is.

    Raises:
        UserError: what cannot be run, before anything is lost; or a loss that is not finite.
    """
    if allow_partial and pretrained_model is None:
        raise UserError("--allow_partial: has a meaning only with --pretrained_model")
    recipe = load(recipe) if isinstance(recipe, str) else recipe
    require_sound(recipe)
    _require_apart(Path(output), data, validation)
    parallel.quiet_unless_first()
    parallel.start(recipe.train.batch_size, recipe.train.accumulate_steps)
    device = runtime.choose_device(device)
    precision.require_device(recipe.train, device)
    workers = runtime.worker_count(num_workers)
    runtime.tell()
    understood.tell()
    folder = record.RunFolder(Path(output))
    pretrained_model = None if pretrained_model is None else Path(pretrained_model)
    resuming = bool(resume) and _has_run(folder)
    chosen = resume if isinstance(resume, Path) and resume.is_file() else None
    if isinstance(data, Task):
        task = data
    else:
        files = data if isinstance(data, DataFiles) else DataFiles(Path(data))
        task, recipe = task_for(recipe, files, validation or DataFiles(files.root))
    changed = resuming_rules.changes(folder.recipe_file, recipe) if resuming else {}
    steps = steps_per_epoch(
        len(task.samples), recipe.train.batch_size, drop_last=recipe.train.drop_last
    )
    built = network is None
    network = _started(
        recipe,
        network,
        pretrained_model,
        getattr(task.evaluator, "skeleton", None),
        partial=allow_partial,
        resuming=resuming and (chosen or folder.state_file).is_file(),
    )
    _require_possible(recipe, network, task.evaluator)
    if built:
        require_batch(recipe, network, device, people=len(task.samples), trained=True)
    loss = loss or loss_function(recipe.train, recipe.codec)
    trainer = training.Trainer(network, recipe.train, recipe.data, loss)
    facts = {
        "recipe": recipe.name,
        "seed": recipe.seed,
        "device": device,
        "num_workers": workers,
        "processes": parallel.ranks(),
        "parameters": count_parameters(network),
        "data": _with_choice(task.facts, understood),
        "pretrained_model": resuming_rules.pretrained_facts(pretrained_model),
        "skeleton": _plain_skeleton(task.evaluator),
    }
    if parallel.is_first():
        folder.lock()
    if not resuming and parallel.is_first():
        folder.start(recipes.dump_yaml(recipe), facts)
    with contextlib.closing(Run(recipe, folder, trainer, task, workers)) as run:
        start = (0, 0)
        if resuming:
            found = restore(recipe, folder, trainer, facts, chosen)
            if found is None:
                return None
            start = run.go_on(found, changed)
        _announce(run, steps, device)
        hooks = training.Hooks(
            epoch_end=run.epoch_end, train_score=task.train_score, train_scores=task.train_scores
        )
        if parallel.is_first():
            hooks = dataclasses.replace(hooks, log=run.log, save=run.keep, first_step=run.begun)
        batches = training_batches(
            task.samples,
            batch_size=recipe.train.batch_size,
            epochs=recipe.train.epochs,
            start=start,
            seed=recipe.seed,
            num_workers=workers,
            drop_last=recipe.train.drop_last,
        )
        parallel.watch(run.going_on)
        with _ends_told(run), contextlib.closing(batches):
            speed = training.fit(
                trainer,
                batches,
                people=len(task.samples),
                steps_per_epoch=steps,
                start=start,
                rate=rate_by_step(recipe, steps),
                hooks=hooks,
            )
        return run.finish(speed)


def _has_run(folder: record.RunFolder) -> bool:
    """Whether there is a run to go on with; says so if there is none."""
    if not folder.record_file.is_file():
        print(f"=> {folder.root}: no run to resume, starting one", flush=True)
        return False
    return True


def _announce(run: Run, steps: int, device: str) -> None:
    recipe, people = run.recipe, len(run.task.samples)
    batch = counted(min(recipe.train.batch_size, people), "person", "people")
    run.say(
        f"=> {recipe.name}: {counted(steps, 'step')} an epoch, {batch} a step, "
        f"{counted(recipe.train.epochs, 'epoch')}, on {device}; the first step's time follows it"
    )
    if recipe.train.batch_size > people:
        run.say(
            f"=> assumed: train.batch_size={recipe.train.batch_size} is more than the "
            f"{people} people there are: every step takes all of them"
        )
    if isinstance(recipe.codec, IntegralCodec) and recipe.codec.double_first is None:
        joints = getattr(recipe.model, "joints", 0)
        if doubled := recipe.codec.doubled(joints):
            run.say(
                f"=> assumed: codec.double_first={doubled}: of {joints} joints the first {doubled} "
                "(body and feet of AlphaPose's order) weigh 2; 0 for none"
            )
    if (highest := highest_rate(recipe.train)) != recipe.train.learning_rate:
        run.say(
            f"=> learning rate {highest:g}: {recipe.train.learning_rate:g} × "
            f"{recipe.train.batch_size} / {recipe.train.base_batch_size} people"
        )


@contextlib.contextmanager
def _ends_told(run: Run) -> Iterator[None]:
    """Say of every end what is saved and how to go on."""
    try:
        yield
        parallel.let_first_finish()
    except ending.Stopped as stopped:
        stopped.line = run.going_on()
        parallel.let_first_finish()
        raise
    except CannotWrite as error:
        way_out = f"; see that it can be written; {run.going_on()}"
        raise CannotWrite(str(error), way_out) from error
    except Fault as fault:
        raise Fault(f"{fault}; {run.going_on()}", fault.trace) from fault
    except Exception as error:
        if not isinstance(error, UserError):
            parallel.await_watch()
        if not is_memory(error):
            raise
        raise Fault(
            f"memory ran out; a smaller train.batch_size (with train.accumulate_steps) needs less, "
            f"in a new run; {run.going_on()}"
        ) from error
    finally:
        parallel.unwatch()


def _require_possible(recipe: Recipe, network: PoseNetwork, evaluator: Evaluator) -> None:
    """Raises UserError for what would otherwise stop the run after hours, or its first step."""
    width, height = recipe.data.image_size_wh
    if width % network.size_multiple or height % network.size_multiple:
        raise UserError(
            f"data.image_size_wh: {width}×{height}, but {type(recipe.model).__name__} needs "
            f"multiples of {network.size_multiple}"
        )
    evaluator.require_score(recipe.train.select_metric)


def _with_choice(facts: dict[str, Any], understood: Understood) -> dict[str, Any]:
    """Facts about the data, and how data and weights were chosen where that was assumed."""
    if not understood.facts:
        return facts
    return facts | {"understood": {**facts.get("understood", {}), "chosen": understood.plain()}}


def _plain_skeleton(evaluator: Evaluator) -> dict[str, Any] | None:
    """The joint set as ``skeleton_beside`` reads it; None for a task of one's own without."""
    skeleton = getattr(evaluator, "skeleton", None)
    return dataclasses.asdict(skeleton) if isinstance(skeleton, Skeleton) else None
