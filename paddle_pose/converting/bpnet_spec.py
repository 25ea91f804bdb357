"""NVIDIA's BodyPoseNet experiment spec (YAML) and pose config (JSON) → a recipe.

Every key is taken, or named with the reason why it is not.

Source: NVIDIA/tao_tensorflow1_backend nvidia_tao_tf1/cv/bpnet/trainers/bpnet_trainer.py:47,
models/bpnet_lite_model.py:54, dataloaders/ @2ec95cb
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from paddle_pose.codecs.paf import PafCodec
from paddle_pose.configs.bodyposenet import OPTIMIZER, vgg19_coco
from paddle_pose.converting.converted import Converted, assumed
from paddle_pose.converting.spec_keys import NOT_TAKEN, flat
from paddle_pose.data.coco_category import FROM_FILE, Pairs, choose, joint_names
from paddle_pose.errors import UserError, nearest
from paddle_pose.files import as_utf8, read_json
from paddle_pose.models.architectures import BodyPoseNet
from paddle_pose.recipes import plain_yaml
from paddle_pose.recipes.checks import LONGEST_LIST, require_sound
from paddle_pose.recipes.recipe import Recipe, dump_yaml
from paddle_pose.settings import (
    DataSettings,
    FocalSettings,
    Momentum,
    ParameterGroup,
    SpatialSettings,
    TrainSettings,
)
from paddle_pose.skeletons import BODYPOSE18
from paddle_pose.understood import Fact, Understood

STRIDE = 8
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
Pose = tuple[tuple[str, ...], Pairs]
"""Joints, and limbs of two of them."""


def convert(file: Path, output: Path, *, pose_config: Path | None, devices: int) -> Converted:
    """The recipe of a spec.

    Args:
        file: the experiment spec.
        output: ``recipe.yaml``; its name is the recipe's.
        pose_config: the JSON that the spec names, where joints and limbs are not NVIDIA's 18.
        devices: how many the spec is for: it states the batch of one.

    Raises:
        UserError: not such a spec, a value of another kind, or one that no recipe can say.
    """
    if output.suffix not in (".yaml", ".yml"):
        raise UserError(f"--output {output}: a recipe's file must end in .yaml")
    content = plain_yaml.read(file)
    spec = Spec(file, dict(flat(content)))
    if "model.stages" not in spec.values:
        raise UserError(f"{file}: no BodyPoseNet experiment spec (no model.stages)")
    facts = [assumed("pose", "bodypose18", "NVIDIA's 18 joints and 19 limbs; --pose_config FILE")]
    data, pose, inputs = vgg19_coco().data, (BODYPOSE18.joints, BODYPOSE18.limbs), [file]
    if pose_config is not None:
        ours, pose = pose, _pose(pose_config)
        inputs.append(pose_config)
        if pose != ours:
            data = replace(data, skeleton=FROM_FILE, limbs=pose[1])
        text = f"{len(pose[0])} joints, {len(pose[1])} limbs, of {pose_config}"
        facts = [Fact("pose", data.skeleton, text)]
    if devices == 1:
        text = "one; the spec's batch is of each: --devices N"
        facts.append(assumed("devices", devices, text))
    recipe = _recipe(spec, output.stem, data, pose, devices)
    try:
        require_sound(recipe)
    except UserError as error:
        raise UserError(f"{file}: as a recipe, {error}") from error
    facts.append(Fact("taken", sorted(spec.taken), f"{len(spec.taken)} keys"))
    left = spec.left | {
        key: why for key in spec.values if key not in spec.seen and (why := _reason(spec, key))
    }
    known = spec.asked | NOT_TAKEN.keys()
    unknown = [
        assumed(
            f"unknown key {key}",
            value,
            f"{value!r:.60}: no official spec has it, it is left out"
            f"{nearest(key, known, 'no key is like it')}",
        )
        for key, value in spec.values.items()
        if key not in spec.seen | left.keys()
    ]
    facts = (
        unknown
        + facts
        + [
            Fact(f"not taken, {key}", value, f"{spec.values[key]!r:.60}: {value}")
            for key, value in sorted(left.items())
        ]
    )
    return Converted({output: as_utf8(dump_yaml(recipe))}, tuple(inputs), Understood(tuple(facts)))


def _reason(spec: Spec, key: str) -> str | None:
    """Why a key is not taken; None for one that no official spec has; Raises UserError."""
    found = [why for start, why in NOT_TAKEN.items() if f"{key}.".startswith(f"{start}.")]
    if found:
        return found[-1]
    if not any(one.startswith(f"{key}.") for one in spec.asked | NOT_TAKEN.keys()):
        return None
    if spec.values[key] not in (None, {}):
        raise spec.wrong(key, "expected a section of keys")
    return "an empty section: all of it is as the official code has it"


@dataclass
class Spec:
    """A spec's values by their dotted keys, and which were asked for.

    Attributes:
        file: for messages.
        values: all of them.
        taken: keys that the recipe has.
        left: keys that were looked at and left out, and why.
        asked: all keys that could have been taken.
    """

    file: Path
    values: dict[str, Any]
    taken: set[str] = field(default_factory=set)
    left: dict[str, str] = field(default_factory=dict)
    asked: set[str] = field(default_factory=set)

    @property
    def seen(self) -> set[str]:
        """All keys that were asked for."""
        return self.taken | self.left.keys()

    def wrong(self, key: str, words: str) -> UserError:
        """Of a value that no recipe can say."""
        said = f"{key} is {self.values[key]!r:.60}" if key in self.values else f"no {key}"
        return UserError(f"{self.file}: {said}; {words}")

    def get(self, key: str, kind: type, default: Any) -> Any:
        """A value of that kind, taken; Raises UserError for another kind.

        YAML reads ``2e-5`` as text: it is taken as that number.
        """
        self.asked.add(key)
        if key not in self.values or (self.values[key] is None and default is None):
            return default
        value = self.values[key]
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if kind is float and isinstance(value, str) and _NUMBER.fullmatch(value):
            value = float(value)
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise self.wrong(key, f"expected {kind.__name__}")
        if isinstance(value, float) and not math.isfinite(value):
            raise self.wrong(key, "expected a finite number")
        self.taken.add(key)
        return value

    def only(self, key: str, allowed: tuple[Any, ...], words: str) -> Any:
        """A value that must be one of a few; absent, the first."""
        self.asked.add(key)
        value = self.values.get(key, allowed[0])
        if value not in allowed or isinstance(value, bool) != isinstance(allowed[0], bool):
            raise self.wrong(key, words)
        if key in self.values:
            self.taken.add(key)
        return value

    def symmetric(self, start: str, name: str, ends: tuple[str, ...] = ("",)) -> float:
        """The bound of ranges from minus it to it, all alike; 0 where they are absent."""
        found = set()
        for end in ends:
            most, least = f"{start}.{name}_max{end}", f"{start}.{name}_min{end}"
            bounds = self.get(most, float, 0.0), self.get(least, float, 0.0)
            if bounds[0] != -bounds[1]:
                raise self.wrong(most, f"a recipe's range is alike both ways ({least})")
            found.add(bounds[0])
        if len(found) > 1:
            raise self.wrong(f"{start}.{name}_max{ends[0]}", "a recipe's range is of both axes")
        return found.pop()


def _recipe(spec: Spec, name: str, data: DataSettings, pose: Pose, devices: int) -> Recipe:
    base, model = vgg19_coco(), _model(spec, *map(len, pose))
    loader = "dataloader"
    sides = [f"{loader}.image_config.image_dims.{side}" for side in ("height", "width")]
    height, width = (spec.get(side, int, 256) for side in sides)
    for side, length in zip(sides, (height, width), strict=True):
        if length < STRIDE or length % STRIDE:
            raise spec.wrong(side, f"expected a multiple of {STRIDE} pixels")
    spec.only(f"{loader}.image_config.image_dims.channels", (3,), "a recipe's images have 3")
    shape = [height // STRIDE, width // STRIDE]
    spec.only(f"{loader}.pose_config.target_shape", (shape,), f"this network's is {shape}")
    labels, norm = f"{loader}.label_processor_config", f"{loader}.normalization_params"
    scale, offset = (
        spec.get(f"{norm}.image_{word}", list, default)
        for word, default in (("scale", [256.0] * 3), ("offset", [0.5] * 3))
    )
    numbers = [type(one) in (int, float) for one in (*scale, *offset)]
    if numbers != [True] * 6:
        raise spec.wrong(f"{norm}.image_scale", "expected three numbers, as in image_offset")
    spec.only(f"{norm}.mask_scale", ([255.0],), "a recipe's masks are 0 to 255")
    spec.only(f"{norm}.mask_offset", ([0.0],), "a recipe's masks are 0 to 255")
    data = replace(
        data,
        image_size_wh=(width, height),
        rgb_mean=tuple(a * b / 255 for a, b in zip(scale, offset, strict=True)),
        rgb_std=tuple(one / 255 for one in scale),
    )
    codec = PafCodec(
        skeleton=data.skeleton,
        sigma_px=spec.get(f"{labels}.heatmap_gaussian_sigma", float, 7.0),
        limb_px=STRIDE * spec.get(f"{labels}.paf_ortho_dist_thresh", float, 1.0),
    )
    return replace(
        base,
        name=name,
        model=model,
        data=data,
        augment=_augment(spec, base),
        codec=codec,
        train=_train(spec, base.train, devices),
        seed=spec.get("random_seed", int, 42),
    )


def _model(spec: Spec, joints: int, limbs: int) -> BodyPoseNet:
    kind = spec.only(
        "model.__class_name__", ("BpNetLiteModel", "BpNetModel"), "expected one of the two"
    )
    spec.only("model.backbone_attributes.architecture", ("vgg",), "a recipe's backbone is VGG-19")
    spec.only("model.use_bias", (True,), "a recipe's convolutions have biases")
    spec.only("model.stage1_kernel_sizes", (None, [3, 3, 3]), "a recipe's are 3, 3, 3")
    spec.only("model.stageT_kernel_sizes", (None, [7] * 5), "a recipe's are 7, five times")
    if spec.get("model.heat_channels", int, 19) != joints + 1:
        raise spec.wrong("model.heat_channels", f"the pose has {joints} joints, and a background")
    if spec.get("model.paf_channels", int, 38) != 2 * limbs:
        raise spec.wrong("model.paf_channels", f"the pose has {limbs} limbs, of two maps each")
    stages = spec.get("model.stages", int, 6)
    if stages < 2:
        raise spec.wrong("model.stages", "expected 2 or more, as the official network has")
    words = ("random_normal", "xavier")
    return BodyPoseNet(
        joints=joints,
        limbs=limbs,
        stages=stages,
        shared=kind == "BpNetLiteModel",
        attention=spec.get("model.use_self_attention", bool, False),
        initializer=spec.only("model.kernel_initializer", words, "expected one of the two"),
    )


def _augment(spec: Spec, base: Recipe) -> Any:
    start = "dataloader.augmentation_config"
    drawn = f"{start}.spatial_aug_params"
    spec.only(f"{drawn}.use_translate_ratio", (False,), "a recipe moves by pixels")
    shift = spec.symmetric(drawn, "translate", ("_x", "_y"))
    if shift != int(shift):
        raise spec.wrong(f"{drawn}.translate_max_x", "a recipe moves by whole pixels")
    zoom = tuple(spec.get(f"{drawn}.zoom_ratio_{end}", float, 1.0) for end in ("min", "max"))
    return replace(
        base.augment,
        rotation_deg=spec.symmetric(drawn, "rotate_deg"),
        flip_probability=spec.get(f"{drawn}.flip_lr_prob", float, 0.0),
        spatial=SpatialSettings(
            mode=spec.get(f"{start}.spatial_augmentation_mode", str, "person_centric"),
            person_size=spec.get(f"{drawn}.target_person_scale", float, 0.6),
            shift_px=int(shift),
            zoom_probability=spec.get(f"{drawn}.zoom_prob", float, 0.0),
            zoom=zoom,
            flip_vertical_probability=spec.get(f"{drawn}.flip_tb_prob", float, 0.0),
        ),
    )


def _train(spec: Spec, base: TrainSettings, devices: int) -> TrainSettings:
    start = "loss.focal_loss_params"
    focal = FocalSettings(
        alpha=spec.get(f"{start}.alpha", float, 0.1),
        beta=spec.get(f"{start}.beta", float, 0.02),
        background=spec.get(f"{start}.bkg_thresh", float, 0.01),
        gamma=spec.get(f"{start}.gamma", float, 1.0),
    )
    is_focal = spec.get(f"{start}.use_focal_loss", bool, False)
    for name in () if is_focal else ("alpha", "beta", "bkg_thresh", "gamma"):
        if (key := f"{start}.{name}") in spec.taken:
            spec.taken.discard(key)
            spec.left[key] = "counts where use_focal_loss is on"
    weights = spec.get("pretrained_weights", str, None)
    if weights is not None:
        spec.taken.discard("pretrained_weights")
        spec.left["pretrained_weights"] = "--pretrained_model FILE --allow_partial starts from it"
    return replace(
        base,
        epochs=spec.get("num_epoch", int, 2),
        batch_size=devices * spec.get("dataloader.batch_size", int, 10),
        optimizer=_optimizer(spec),
        loss="masked_focal" if is_focal else "masked_squares",
        focal=focal if is_focal else base.focal,
        keep_every=spec.get("checkpoint_n_epoch", int, 1),
        validate_every=spec.get("validation_every_n_epoch", int, 20),
        pretrained="OpenImages" if weights is not None and "vgg" in weights else "none",
        **_schedule(spec),
    )


def _schedule(spec: Spec) -> dict[str, Any]:
    start = "optimizer.learning_rate_schedule"
    kinds = ("SoftstartAnnealingLearningRateSchedule", "BpNetExponentialDecayLRSchedule")
    if spec.only(f"{start}.__class_name__", kinds, "expected one of the two") == kinds[0]:
        return {
            "schedule": "soft_start_annealing",
            "learning_rate": spec.get(f"{start}.base_learning_rate", float, 2e-5),
            "min_learning_rate": spec.get(f"{start}.min_learning_rate", float, 8e-8),
            "soft_start": spec.get(f"{start}.soft_start", float, 0.05),
            "annealing": spec.get(f"{start}.annealing", float, 0.5),
        }
    spec.only(f"{start}.staircase", (True,), "a recipe's rate falls in steps")
    rate = spec.get(f"{start}.learning_rate", float, 2e-5)
    gamma = spec.get(f"{start}.decay_rate", float, 0.333)
    every, epochs = spec.get(f"{start}.decay_epochs", int, 17), spec.get("num_epoch", int, 2)
    least = spec.get(f"{start}.min_learning_rate", float, 0.0)
    if every < 1 or not 0 < gamma < 1 or rate <= 0:
        raise spec.wrong(f"{start}.decay_epochs", "expected a rate that falls every few epochs")
    milestones = range(every, epochs, every)
    if len(milestones) > LONGEST_LIST:
        raise spec.wrong(f"{start}.decay_epochs", f"a rate falls {LONGEST_LIST:,} times at most")
    falling = [epoch for n, epoch in enumerate(milestones, start=1) if rate * gamma**n > least]
    if len(falling) < len(milestones):
        text = f"the rate stops falling at {rate * gamma ** len(falling):g}, the last step above it"
        spec.taken.discard(f"{start}.min_learning_rate")
        spec.left[f"{start}.min_learning_rate"] = text
    how = {"learning_rate": rate, "milestones": tuple(falling), "gamma": gamma}
    return {"schedule": "multistep", **how}


def _optimizer(spec: Spec) -> Momentum:
    """Rates and decays of groups: as the trainer makes them."""
    spec.only("optimizer.__class_name__", ("WeightedMomentumOptimizer",), "expected that one")
    spec.only("optimizer.weight_default_value", (1.0, None), "a recipe's rate is for all: 1.0")
    how = {
        "momentum": spec.get("optimizer.momentum", float, 0.9),
        "nesterov": spec.get("optimizer.use_nesterov", bool, False),
    }
    kind = spec.only("model.regularization_type", ("l1", "l2"), "a recipe has one of l1 and l2")
    kernel = spec.get("model.kernel_regularization_factor", float, 1e-9)
    bias = spec.get("model.bias_regularization_factor", float, 1e-9)
    by_stage = spec.get("use_stagewise_lr_multipliers", bool, False)
    if spec.get("load_graph", bool, False):
        why = "load_graph: the official code then has neither (bpnet_trainer.py:185)"
        for key in ("use_stagewise_lr_multipliers", "model.kernel_regularization_factor",
                    "model.bias_regularization_factor", "model.regularization_type"):  # fmt: skip
            if key in spec.taken:
                spec.taken.discard(key)
                spec.left[key] = why
        return Momentum(**how)
    if not kernel and bias:
        raise spec.wrong("model.bias_regularization_factor", "biases decay where kernels do")
    decay = bias / kernel if kernel else 0.0
    groups = tuple(
        replace(
            one,
            rate=one.rate if by_stage else 1.0,
            decay=decay if one.pattern.endswith(".bias") else one.decay,
        )
        for one in OPTIMIZER.groups
    )
    if not by_stage:
        groups = (ParameterGroup("*_bn_1.*", decay=0.0), ParameterGroup("*.bias", decay=decay))
    # Keras adds factor × w² to the loss: twice the factor to the gradient.
    return Momentum(**how, groups=groups, **{kind: kernel if kind == "l1" else 2 * kernel})


def _pose(file: Path) -> Pose:
    """Joints and limbs of a pose config, limbs counted from 1; Raises UserError."""
    content = read_json(file)
    if not isinstance(content, dict) or not content.get("categories"):
        raise UserError(f"{file}: no pose config: expected categories[0] with keypoints, skeleton")
    category = choose(content, file)[1]
    joints, edges = joint_names(category, file), category.get("skeleton")
    places = range(1, len(joints) + 1)
    limbs = []
    for edge in edges if isinstance(edges, list) else [edges]:
        ends = edge if isinstance(edge, list) else []
        good = len(ends) == 2 and all(type(end) is int and end in places for end in ends)
        if not good or ends[0] == ends[1]:
            raise UserError(
                f"{file}: skeleton: expected pairs of two joints, from 1 to {len(joints)}, got "
                f"{edge!r:.60}"
            )
        limbs.append((joints[ends[0] - 1], joints[ends[1] - 1]))
    return joints, tuple(limbs)
