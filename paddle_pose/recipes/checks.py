"""What a recipe's values must be, checked before any work: one line names key, value, limit."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from paddle_pose.codecs.cut import TRUNCATED
from paddle_pose.codecs.heatmap import HeatmapCodec
from paddle_pose.codecs.integral import NORMS, CombinedCodec
from paddle_pose.codecs.offsets import OFFSETS
from paddle_pose.codecs.paf import PafCodec
from paddle_pose.codecs.pairs import PairCodec
from paddle_pose.codecs.unbiased import SUBCELL
from paddle_pose.errors import UserError, nearest
from paddle_pose.limits import LIMITS
from paddle_pose.models.architectures import (
    BodyPoseNet,
    LightOpenPose,
    MIPNet,
    MIPPoseResNet,
    Pruned,
    parameters_about,
    whole,
)
from paddle_pose.recipes.decoders import require_decoders
from paddle_pose.recipes.joins import JOINS, require_joined
from paddle_pose.recipes.recipe import KINDS, Recipe
from paddle_pose.recipes.together import BY_LOSS, VISIBILITY, require_together
from paddle_pose.recipes.unread import SOFT_START, require_read
from paddle_pose.settings import (
    DECODERS,
    HALF,
    SCORE_RULES,
    SPATIAL_MODES,
    WHOLE_MODES,
)


class Range(NamedTuple):
    """Numbers from ``least`` to ``most``; without ``least`` if ``above``, ``most`` if ``below``."""

    least: float
    most: float
    above: bool = False
    below: bool = False

    def holds(self, value: Any) -> bool:
        """Whether a value is a number in it; a nan never is."""
        if isinstance(value, bool) or not isinstance(value, int | float | np.number):
            return False
        if value in (self.least, self.most):
            return not (self.above if value == self.least else self.below)
        return bool(self.least < value < self.most)

    def __str__(self) -> str:
        if not self.above and not self.below:
            return f"from {self.least:,} to {self.most:,}"
        first = f"above {self.least:,}" if self.above else f"at least {self.least:,}"
        return f"{first} and {'below' if self.below else 'at most'} {self.most:,}"


MANY, OFTEN = 10**9, 10**6
"""More people or steps, and more epochs or resamples, than anybody waits for."""

RANGES: tuple[tuple[Range, str], ...] = (
    (Range(0, LIMITS["seed"].most), "seed"),
    (
        Range(0, 1),
        "augment.rotation_probability augment.flip_probability augment.half_body_probability "
        "augment.shift_probability "
        "augment.color_jitter data.rgb_mean.* train.warmup_factor benchmarks.*.metric.oks_nms "
        "benchmarks.*.metric.second_score",
    ),
    # Scales of [0, 1] images by 1 / 255 undo it; below and above, a range was mixed up.
    (Range(0.001, 10), "data.rgb_std.*"),
    # At 1 a crop may have no size; beyond half a turn it comes round again.
    (Range(0, 1, below=True), "augment.scale_factor train.ema_decay"),
    (Range(0, 180), "augment.rotation_deg"),
    # Clipped at twice the factor: beyond 1 most crops would not show the person.
    (Range(0, 1), "augment.shift_factor"),
    (Range(0, 1000), "augment.half_body_min_joints"),
    (Range(0, 1, below=True), "train.optimizer.beta1 train.optimizer.beta2"),
    (Range(0, 1, below=True), "train.optimizer.momentum train.optimizer.alpha"),
    (Range(0, 1, above=True), "train.gamma"),
    (
        Range(0, 1),
        "train.soft_start train.annealing train.focal.alpha train.focal.beta "
        "train.focal.background",
    ),
    (Range(0, 10), "train.focal.gamma"),
    # Less is nothing in float32, and a gradient of 0 would be divided by it.
    (Range(1e-30, 1), "train.optimizer.epsilon"),
    (Range(0, 100, above=True), "train.learning_rate train.min_learning_rate"),
    (Range(0, 10), "train.optimizer.l1 train.optimizer.l2"),
    (Range(0, 1000), "train.optimizer.groups.*.rate train.optimizer.groups.*.decay"),
    (
        Range(0, OFTEN),
        "train.clip_norm train.base_batch_size train.milestones.* stages.*.epoch eval.bootstrap",
    ),
    (Range(1, OFTEN), "train.epochs"),
    (Range(1, 65536), "train.batch_size train.accumulate_steps eval.batch_size"),
    (Range(1, 1000), "data.repeat"),
    (Range(1, MANY), "data.limit train.log_every train.validate_every"),
    (Range(0, MANY), "train.warmup_steps train.save_every train.keep_every train.max_steps"),
    (Range(32, LIMITS["image_side_px"].most), "data.image_size_wh.* benchmarks.*.whole.size_hw.*"),
    # HRNet tests with 0.5 to 1.5; PCKh is read at 0.1 to 0.5 head sizes.
    (Range(0.1, 10), "benchmarks.*.test_scales.*"),
    (Range(0, 100, above=True), "benchmarks.*.metric.thresholds.*"),
    (Range(0, 100), "benchmarks.*.metric.rescore_threshold benchmarks.*.metric.box_threshold"),
    (Range(14, 16), "benchmarks.*.metric.joints"),
    (Range(-1000, 1000), "benchmarks.*.published.*"),
    (Range(1, 4096), "codec.stride"),
    (Range(0.1, LIMITS["image_side_px"].most), "codec.sigma_px"),
    (Range(1, 1000), "model.joints model.limbs model.more"),
    (Range(1, 64), "model.stacks model.stages model.refinements model.tested model.convolutions.*"),
    # Beyond, the estimate of parameters would be the limit; each halving halves a map.
    (Range(1, 10), "model.depth"),
    (Range(2, OFTEN), "model.features"),
    (Range(1, OFTEN), "model.filters.* model.stem model.width model.layers model.conv_dim"),
    (Range(0.1, LIMITS["image_side_px"].most), "codec.limb_px"),
    (Range(0, 1, above=True), "codec.radius"),
    (Range(0, 1), "codec.heatmap_threshold codec.paf_threshold"),
    (Range(0, 1000), "codec.double_first"),
    (Range(0, 1), "augment.spatial.zoom_probability augment.spatial.flip_vertical_probability"),
    (Range(0.01, 10), "augment.spatial.person_size augment.spatial.zoom.*"),
    (Range(0, LIMITS["image_side_px"].most), "augment.spatial.shift_px"),
)
"""Every number of a recipe and where it must lie; None passes where the key allows it."""

MAY_BE_NONE = ("data.limit", "codec.double_first")
NOT_EMPTY = ("benchmarks", "benchmarks.*.test_scales", "benchmarks.*.metric.thresholds")
LONGEST_LIST = 1000

MASKED = ("masked_squares", "masked_focal")
"""Losses of heat maps with part affinity fields."""

TWO_PEOPLE = {"two_people_mse": "joints_mse", "two_people_cross_entropy": "cell_cross_entropy"}
"""Losses of two people in a box, and the loss that each of them has."""

PIXELS = ("none", "coarse_dropout", "grid_mask", "photometric_mmpose0", "photometric_mmpose1")

CHOICES = {
    "train.scale_learning_rate": ("none", "linear"),
    "train.amp": ("none", "O1", "O2"),
    "train.amp_dtype": HALF,
    "train.schedule": ("multistep", "one_cycle", "cosine", SOFT_START),
    "train.pretrained": ("none", "ImageNet", "COCO", "OpenImages"),
    "train.loss": (
        *("joints_mse", "heatmap_mse", "cell_cross_entropy"),
        *(*TWO_PEOPLE, *MASKED, *BY_LOSS, VISIBILITY),
    ),
    "data.dataset": ("mpii", "coco", "crowdpose", "ochuman", "halpe"),
    "data.rules": ("auto", "hrnet", "alphapose"),
    "data.join": JOINS,
    "augment.distribution": ("normal", "uniform", "truncated"),
    "augment.spatial.mode": SPATIAL_MODES,
    "augment.pixels": PIXELS,
    "data.channel_order": ("rgb", "bgr"),
    "model.initializer": ("random_normal", "xavier"),
    "model.layers": (18, 34, 50, 101, 152),
    "model.size": ("large", "small"),
    "model.backbone": ("shuffle", "se-resnet", "plain"),
    "benchmarks.*.boxes": ("ground_truth", "detector", "none"),
    "benchmarks.*.whole.mode": WHOLE_MODES,
    "benchmarks.*.whole.coordinates": ("exact", "reference"),
    "benchmarks.*.decoder": (*DECODERS, *SUBCELL, *OFFSETS, *TRUNCATED),
    "benchmarks.*.metric.score": SCORE_RULES,
    "benchmarks.*.metric.joints": (14, 16),
    "codec.norm": NORMS,
}
"""Keys that take one of a few words."""

STAGE_KEYS = ("learning_rate", "schedule", "milestones", "gamma", "warmup_steps", "warmup_factor",
              "soft_start", "annealing", "min_learning_rate")  # fmt: skip
"""What a stage may change of ``train``; and all of ``augment``."""


def _found(recipe: Recipe, key: str) -> Iterator[tuple[str, Any]]:
    """As ``values_at``, but nothing of a network or codec of one's own, which checks itself."""
    section = key.partition(".")[0]
    if isinstance(recipe.model, Pruned) and key.startswith("model.") and key != "model.filters.*":
        recipe = dataclasses.replace(recipe, model=recipe.model.of)
    if section in KINDS and not isinstance(getattr(recipe, section), KINDS[section]):
        return iter(())
    return values_at(recipe, key.split("."))


def values_at(node: Any, names: Sequence[str], key: str = "") -> Iterator[tuple[str, Any]]:
    """Full keys and values of a key in which * stands for every entry; none where it is lacking."""
    if not names:
        yield key[1:], node
    elif names[0] == "*":
        for name, entry in node.items() if isinstance(node, dict) else enumerate(node):
            yield from values_at(entry, names[1:], f"{key}.{name}")
    elif hasattr(node, names[0]):
        yield from values_at(getattr(node, names[0]), names[1:], f"{key}.{names[0]}")


def _require_trainable(recipe: Recipe) -> None:
    settings = recipe.train
    linear = settings.scale_learning_rate == "linear"
    if linear and settings.base_batch_size < 1:
        raise UserError(
            "train.scale_learning_rate=linear: set train.base_batch_size to the batch that "
            "train.learning_rate was chosen for"
        )
    if linear and settings.learning_rate * settings.batch_size / settings.base_batch_size > 100:
        raise UserError(
            f"train.learning_rate: {settings.learning_rate} × {settings.batch_size} / "
            f"{settings.base_batch_size} people is above 100"
        )
    if settings.base_batch_size and not linear:
        raise UserError(
            f"train.base_batch_size={settings.base_batch_size}: changes nothing without "
            "train.scale_learning_rate=linear; set that too, or leave this at 0"
        )
    if settings.schedule == SOFT_START:
        if settings.soft_start > settings.annealing:
            raise UserError(
                f"train.soft_start={settings.soft_start}: must not be above train.annealing="
                f"{settings.annealing}: the rate rises until the one and falls from the other"
            )
        scaled = settings.batch_size / settings.base_batch_size if linear else 1
        if settings.min_learning_rate > (highest := settings.learning_rate * scaled):
            raise UserError(
                f"train.min_learning_rate={settings.min_learning_rate}: is above the highest rate, "
                f"{highest:g}"
            )
    _require_people_alike(recipe)
    l1, l2 = (getattr(settings.optimizer, name, 0) for name in ("l1", "l2"))
    if l1 and l2:
        raise UserError(f"train.optimizer: l1={l1} and l2={l2} exclude each other; set one")


def _require_people_alike(recipe: Recipe) -> None:
    """Model, codec and loss are for one person of a box, or for two."""
    for_two = isinstance(whole(recipe.model), MIPNet | MIPPoseResNet)
    codec, other = recipe.codec, HeatmapCodec if for_two else PairCodec
    kind = type(recipe.model).__name__
    if not isinstance(recipe.model, KINDS["model"]):  # a user's own network has a loss of its own
        return
    fields = isinstance(whole(recipe.model), BodyPoseNet | LightOpenPose)
    if fields != isinstance(codec, PafCodec) and isinstance(codec, KINDS["codec"]):
        word = "needs" if fields else "has no fields for"
        raise UserError(f"codec.kind={type(codec).__name__}: model {kind} {word} PafCodec")
    if fields or recipe.train.loss in MASKED:
        if fields != (recipe.train.loss in MASKED):
            needed = "masked_squares" if fields else "joints_mse"
            words = f"model {kind} needs train.loss={needed}"
            raise UserError(f"train.loss={recipe.train.loss}: {words}")
        return
    if type(codec) is other:
        needed = (PairCodec if for_two else HeatmapCodec).__name__
        raise UserError(f"codec.kind={other.__name__}: model {kind} needs codec.kind={needed}")
    if for_two != (recipe.train.loss in TWO_PEOPLE):
        needed = "two_people_mse" if for_two else "joints_mse"
        raise UserError(f"train.loss={recipe.train.loss}: model {kind} needs train.loss={needed}")
    require_together(recipe)


def _require_whole(recipe: Recipe) -> None:
    """Networks that find everybody look at whole pictures, and others do not."""
    if not isinstance(recipe.codec, KINDS["codec"]):  # one of one's own may do either
        return
    everybody = isinstance(recipe.codec, PafCodec)
    for number, benchmark in enumerate(recipe.benchmarks):
        key, codec = f"benchmarks.{number}", type(recipe.codec).__name__
        if (benchmark.whole is None) == everybody:
            needed = "a section 'whole'" if everybody else "no section 'whole'"
            raise UserError(f"{key}.whole: codec.kind={codec} needs {needed}")
        if benchmark.whole is not None and (benchmark.boxes != "none" or benchmark.flip_test):
            raise UserError(f"{key}: whole pictures need boxes=none and flip_test=false")
        if benchmark.whole is not None and getattr(benchmark.metric, "score", "") != "product":
            raise UserError(f"{key}.metric: whole pictures are scored by OKS, score=product")
        if benchmark.whole is None and benchmark.boxes == "none":
            raise UserError(f"{key}.boxes=none: is for whole pictures; codec.kind={codec}")


def _require_spatial(recipe: Recipe) -> None:
    """How whole pictures are changed: of networks that see such, and ascending."""
    found = [settings.spatial for settings in recipe.augment_by_epoch().values()]
    for spatial in [one for one in found if one is not None]:
        if isinstance(recipe.codec, KINDS["codec"]) and not isinstance(recipe.codec, PafCodec):
            name = type(recipe.codec).__name__
            raise UserError(f"augment.spatial: is of whole pictures; codec.kind={name} has crops")
        if len(spatial.zoom) != 2 or spatial.zoom[0] > spatial.zoom[1]:
            raise UserError(f"augment.spatial.zoom: must be a least and a most, got {spatial.zoom}")


def _require_in_range(recipe: Recipe) -> None:
    for key in NOT_EMPTY:
        for full, entries in _found(recipe, key):
            if not 0 < len(entries) <= LONGEST_LIST:
                raise UserError(f"{full}: needs 1 to {LONGEST_LIST} entries, has {len(entries)}")
    for allowed, keys in RANGES:
        for key in keys.split():
            for full, value in _found(recipe, key):
                if not allowed.holds(value) and (value is not None or key not in MAY_BE_NONE):
                    raise UserError(f"{full}: must be {allowed}, got {value!r}")
    milestones = recipe.train.milestones
    if any(first >= then for first, then in itertools.pairwise(milestones)):
        raise UserError(f"train.milestones: must ascend, got {list(milestones)}")


def _require_choices(recipe: Recipe) -> None:
    for key, words in CHOICES.items():
        for full, word in _found(recipe, key):
            if word not in words:
                raise UserError(f"{full}: unknown '{word}'{nearest(str(word), map(str, words))}")


def _require_data(recipe: Recipe) -> None:
    data = recipe.data
    require_joined(recipe)
    if data.dataset == "mpii" and data.rules == "alphapose":
        raise UserError("data.rules=alphapose: is for COCO's and Halpe's files; MPII has its own")
    if recipe.augment.shift_probability != 1 and not recipe.augment.shift_factor:
        raise UserError("augment.shift_probability: changes nothing without augment.shift_factor")
    if data.dataset == "mpii" and recipe.augment.dpg:
        raise UserError("augment.dpg: jitters boxes; MPII has centres and scales")


def _require_stages(recipe: Recipe) -> None:
    before = 0
    for number, stage in enumerate(recipe.stages):
        key = f"stages.{number}"
        if not before < stage.epoch < recipe.train.epochs:
            raise UserError(
                f"{key}.epoch: must be above {before} and below train.epochs="
                f"{recipe.train.epochs}, got {stage.epoch}"
            )
        before = stage.epoch
        augment = (item.name for item in dataclasses.fields(recipe.augment))
        valid = [f"train.{n}" for n in STAGE_KEYS] + [f"augment.{n}" for n in augment]
        for name in stage.changes:
            if name not in valid:
                raise UserError(f"{key}.changes: no stage changes '{name}'{nearest(name, valid)}")
        then = recipe.at(stage.epoch)
        try:
            _require_in_range(then)
            _require_choices(then)
            _require_trainable(then)
            _require_data(then)
        except UserError as error:
            raise UserError(f"{key}: {error}") from error


def require_sound(recipe: Recipe) -> None:
    """Raises UserError for the first value that no run can have."""
    if not isinstance(recipe, Recipe):
        raise UserError(f"recipe: expected a Recipe, got {type(recipe).__name__}")
    _require_in_range(recipe)
    _require_choices(recipe)
    _require_trainable(recipe)
    _require_data(recipe)
    _require_whole(recipe)
    require_decoders(recipe)
    _require_stages(recipe)
    require_read(recipe)
    _require_spatial(recipe)
    LIMITS["parameters"].require(int(parameters_about(recipe.model)), "model")
    if isinstance(
        recipe.codec, HeatmapCodec | CombinedCodec
    ):  # another one checks itself when it encodes
        loss = TWO_PEOPLE.get(recipe.train.loss, recipe.train.loss)
        recipe.codec.require_sound(recipe.data.image_size_wh, loss)
    names = [benchmark.name for benchmark in recipe.benchmarks]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"benchmarks: {names.count(name)} are called '{name}'; rename one")
