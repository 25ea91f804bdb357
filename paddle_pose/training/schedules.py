"""Learning rates as pure functions of the step, so a resumed run needs no schedule state."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from paddle_pose.errors import UserError, nearest
from paddle_pose.recipes.recipe import Recipe
from paddle_pose.settings import TrainSettings

ONE_CYCLE_RISE = 0.3
"""Part of a one-cycle run in which the rate rises (Smith & Topin 2017; torch's pct_start)."""
ONE_CYCLE_START, ONE_CYCLE_END = 1 / 25, 1 / 250_000
"""First and last rate as parts of the highest (torch's div_factor and final_div_factor)."""


def _cosine(start: float, end: float, part: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * part)) / 2


def _multistep(settings: TrainSettings, step: int, steps_per_epoch: int) -> float:
    passed = sum(step // steps_per_epoch >= milestone for milestone in settings.milestones)
    return settings.gamma**passed


def _one_cycle(settings: TrainSettings, step: int, steps_per_epoch: int) -> float:
    last = max(settings.epochs * steps_per_epoch - 1, 1)
    top = max(ONE_CYCLE_RISE * last, 1)
    if step <= top:
        return _cosine(ONE_CYCLE_START, 1.0, step / top)
    return _cosine(1.0, ONE_CYCLE_END, (step - top) / max(last - top, 1))


def _cosine_decay(settings: TrainSettings, step: int, steps_per_epoch: int) -> float:
    return _cosine(1.0, 0.0, step / max(settings.epochs * steps_per_epoch, 1))


def _soft_start_annealing(settings: TrainSettings, step: int, steps_per_epoch: int) -> float:
    """From the lowest rate up to the highest and back: straight lines in the rate's logarithm.

    Source: NVIDIA/tao_tensorflow1_backend nvidia_tao_tf1/core/hooks/utils.py:29 @2ec95cb
    """
    part, up = step / max(settings.epochs * steps_per_epoch, 1), 1.0
    if part > settings.annealing:
        up = (1 - part) / (1 - settings.annealing)
    elif part < settings.soft_start:
        up = part / settings.soft_start
    return (settings.min_learning_rate / highest_rate(settings)) ** (1 - up)


SCHEDULES = {
    "multistep": _multistep,
    "one_cycle": _one_cycle,
    "cosine": _cosine_decay,
    "soft_start_annealing": _soft_start_annealing,
}


def highest_rate(settings: TrainSettings) -> float:
    """``train.learning_rate``, scaled to the batch only where the recipe asks for it.

    Source: Goyal et al. 2017, "Accurate, Large Minibatch SGD", section 2.1 (linear scaling)
    """
    if settings.scale_learning_rate == "linear":
        return settings.learning_rate * settings.batch_size / settings.base_batch_size
    return settings.learning_rate


def learning_rate(settings: TrainSettings, step: int, steps_per_epoch: int) -> float:
    """Rate of step ``step`` of the run (from 0).

    Multi-step: constant inside an epoch, × gamma at each milestone, counted in epochs from 0, as
    on the torch the authors used. Warm-up multiplies by a line from ``warmup_factor`` to 1.

    Raises:
        UserError: unknown schedule.
    Source: leoxiaobin/deep-high-resolution-net.pytorch tools/train.py:176 @6f69e46; mmpose 0.x
        through mmcv's LrUpdaterHook (full rate after ``warmup_steps`` steps).
    """
    if settings.schedule not in SCHEDULES:
        hint = nearest(settings.schedule, SCHEDULES)
        raise UserError(f"train.schedule: unknown '{settings.schedule}'{hint}")
    rate = highest_rate(settings) * SCHEDULES[settings.schedule](settings, step, steps_per_epoch)
    if step < settings.warmup_steps:
        missing = (1 - step / settings.warmup_steps) * (1 - settings.warmup_factor)
        rate *= 1 - missing
    return rate


def rate_by_step(recipe: Recipe, steps_per_epoch: int) -> Callable[[int], float]:
    """The learning rate of each step of a run (from 0), through all its stages.

    After a restart steps and epochs are counted from there; only the epochs left are then the run.
    """
    stages, begins = [(0, 0, recipe.train)], 0
    for stage in recipe.stages:
        begins = stage.epoch if stage.restart else begins
        settings = recipe.at(stage.epoch).train
        stages.append((stage.epoch, begins, replace(settings, epochs=settings.epochs - begins)))

    def rate(step: int) -> float:
        _, first, settings = next(s for s in reversed(stages) if s[0] <= step // steps_per_epoch)
        return learning_rate(settings, step - first * steps_per_epoch, steps_per_epoch)

    return rate
