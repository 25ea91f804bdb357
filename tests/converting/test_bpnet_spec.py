"""BodyPoseNet's experiment specs as recipes: every key taken, or named with a reason."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from paddle_pose import configs
from paddle_pose.commands import convert
from paddle_pose.configs.bodyposenet import vgg19_coco, vgg19_coco_4_devices
from paddle_pose.converting.spec_keys import NOT_TAKEN
from paddle_pose.errors import UserError
from paddle_pose.recipes.recipe import Recipe
from paddle_pose.skeletons import BODYPOSE18

DRAWN = {
    "flip_lr_prob": 0.5, "flip_tb_prob": 0.0, "rotate_deg_max": 40.0, "rotate_deg_min": -40.0,
    "zoom_prob": 0.0, "zoom_ratio_min": 1.0, "zoom_ratio_max": 1.0, "translate_max_x": 40.0,
    "translate_min_x": -40.0, "translate_max_y": 40.0, "translate_min_y": -40,
    "use_translate_ratio": False, "target_person_scale": 0.6,
}  # fmt: skip
SPEC: dict[str, Any] = {
    "checkpoint_dir": "/results",
    "checkpoint_n_epoch": 10,
    "num_epoch": 100,
    "validation_every_n_epoch": 5,
    "random_seed": 42,
    "pretrained_weights": "/models/vgg_19.hdf5",
    "load_graph": False,
    "use_stagewise_lr_multipliers": True,
    "dataloader": {
        "batch_size": 10,
        "pose_config": {"target_shape": [32, 32]},
        "image_config": {"image_dims": {"height": 256, "width": 256, "channels": 3}},
        "normalization_params": {"image_scale": [256.0] * 3, "image_offset": [0.5] * 3,
                                 "mask_scale": [255.0], "mask_offset": [0.0]},
        "augmentation_config": {"spatial_augmentation_mode": "person_centric",
                                "spatial_aug_params": DRAWN},
        "label_processor_config": {"heatmap_gaussian_sigma": 7.0, "paf_ortho_dist_thresh": 1.0},
    },
    "model": {"__class_name__": "BpNetLiteModel", "stages": 3, "heat_channels": 19,
              "paf_channels": 38, "use_bias": True, "regularization_type": "l1",
              "kernel_regularization_factor": 5e-4, "bias_regularization_factor": 0.0,
              "kernel_initializer": "random_normal",
              "backbone_attributes": {"architecture": "vgg"}},
    "optimizer": {
        "learning_rate_schedule": {"__class_name__": "SoftstartAnnealingLearningRateSchedule",
                                   "soft_start": 0.05, "annealing": 0.5,
                                   "base_learning_rate": 8e-5, "min_learning_rate": 8e-8},
        "momentum": 0.9, "use_nesterov": False, "weight_default_value": 1.0,
    },
    "loss": {"focal_loss_params": {"use_focal_loss": False, "gamma": 1}},
}  # fmt: skip
"""What decides numbers, as the specs for several devices have it."""


def with_values(**changes: Any) -> dict[str, Any]:
    """The spec with other values; ``model__stages`` is in ``model``."""
    spec = json.loads(json.dumps(SPEC))
    for key, value in changes.items():
        *sections, name = key.split("__") if not key.startswith("__") else [key]
        place = spec
        for section in sections:
            place = place[section]
        place[name] = value
    return spec


def converted(spec: dict[str, Any], folder: Path, *words: str) -> Recipe:
    (folder / "spec.yaml").write_text(yaml.safe_dump(spec), encoding="utf-8")
    output = folder / "mine.yaml"
    convert.main(["bpnet_spec", str(folder / "spec.yaml"), "--output", str(output), *words])
    return configs.load(str(output))


def test_a_spec_for_four_devices_is_the_recipe(tmp_path, capsys):
    recipe = converted(SPEC, tmp_path, "--devices", "4")
    assert recipe == replace(vgg19_coco_4_devices(), name="mine", seed=42)
    said = capsys.readouterr().out
    assert "assumed: pose: NVIDIA's 18 joints" in said
    assert "assumed: devices" not in said
    assert "=> not taken, checkpoint_dir: '/results': a place" in said
    assert "not taken, pretrained_weights: '/models/vgg_19.hdf5': --pretrained_model" in said
    assert "not taken, loss.focal_loss_params.gamma: 1: counts where use_focal_loss is on" in said
    assert said.count("not taken") == 3
    assert converted(SPEC, tmp_path).train.batch_size == 10
    assert "assumed: devices: one" in capsys.readouterr().out


def test_every_reason_is_said_and_unknown_keys_too(tmp_path, capsys):
    spec = with_values()
    for key in [*NOT_TAKEN, "model.colour"]:
        place = spec
        *sections, name = key.split(".")
        for section in sections:
            place = place.setdefault(section, {})
        if not isinstance(place.get(name), dict) and name != "pretrained_weights":
            place[name] = "x"
    converted(spec, tmp_path)
    said = capsys.readouterr().out
    for key, why in NOT_TAKEN.items():
        if key != "pretrained_weights" and key not in ("dataloader.pose_config",):
            assert f"not taken, {key}: 'x': {why}" in said
    assert said.startswith("assumed: unknown key model.colour: 'x': no official spec has it, it is")


def test_unknown_keys_come_first_with_the_nearest_and_empty_sections_are_said(tmp_path, capsys):
    spec = with_values(model__stges=4, colour="red", loss=None)
    converted(spec, tmp_path)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("assumed: unknown key colour: 'red': no official spec has it")
    assert lines[0].endswith("it is left out; no key is like it")
    assert lines[1].startswith("assumed: unknown key model.stges: 4: ")
    assert lines[1].endswith("; did you mean 'model.stages'?")
    assert any("not taken, loss: None: an empty section" in line for line in lines)


def test_a_rate_that_yaml_reads_as_text_is_taken(tmp_path):
    spec = with_values()
    spec["optimizer"]["learning_rate_schedule"]["base_learning_rate"] = "2e-5"
    assert converted(spec, tmp_path).train.learning_rate == 2e-5


def test_what_decides_numbers_is_taken(tmp_path):
    schedule = "BpNetExponentialDecayLRSchedule"
    spec = with_values(
        model__stages=6, model__use_self_attention=True, model__regularization_type="l2",
        use_stagewise_lr_multipliers=False, random_seed=7, dataloader__batch_size=8,
        optimizer__use_nesterov=True,
        optimizer__learning_rate_schedule={
            "__class_name__": schedule, "learning_rate": 2e-5, "decay_epochs": 17,
            "decay_rate": 0.333, "min_learning_rate": 8.18938e-8, "staircase": True,
        },
        loss__focal_loss_params={"use_focal_loss": True, "gamma": 2},
    )  # fmt: skip
    spec["model"]["__class_name__"] = "BpNetModel"
    recipe = converted(spec, tmp_path)
    assert (recipe.model.stages, recipe.model.shared, recipe.model.attention) == (6, False, True)
    assert recipe.train.milestones == (17, 34, 51, 68, 85)
    assert (recipe.train.gamma, recipe.train.learning_rate) == (0.333, 2e-5)
    # Keras adds factor × w², whose gradient is twice factor × w.
    assert (recipe.train.optimizer.l1, recipe.train.optimizer.l2) == (0.0, 1e-3)
    assert {group.rate for group in recipe.train.optimizer.groups} == {1.0}
    assert (recipe.train.loss, recipe.train.focal.gamma) == ("masked_focal", 2.0)
    assert (recipe.seed, recipe.train.batch_size, recipe.train.optimizer.nesterov) == (7, 8, True)


def test_a_pruned_network_is_retrained_without_decay_and_multipliers(tmp_path, capsys):
    recipe = converted(with_values(load_graph=True), tmp_path)
    assert recipe.train.optimizer == replace(vgg19_coco().train.optimizer, l1=0.0, groups=())
    assert "not taken, use_stagewise_lr_multipliers: True: load_graph" in capsys.readouterr().out


def test_a_pose_of_ones_own(tmp_path):
    file = tmp_path / "pose.json"
    names = {"keypoints": list(BODYPOSE18.joints),
             "skeleton": [[BODYPOSE18.joints.index(end) + 1 for end in limb]
                          for limb in BODYPOSE18.limbs]}  # fmt: skip
    file.write_text(json.dumps({"categories": [names]}))
    recipe = converted(SPEC, tmp_path, "--pose_config", str(file))
    assert (recipe.data.skeleton, recipe.data.limbs) == ("bodypose18", None)

    own = {"keypoints": ["head", "left_hand", "right_hand"], "skeleton": [[1, 2], [1, 3]]}
    file.write_text(json.dumps({"categories": [own]}))
    spec = with_values(model__heat_channels=4, model__paf_channels=4)
    recipe = converted(spec, tmp_path, "--pose_config", str(file))
    assert (recipe.model.joints, recipe.model.limbs) == (3, 2)
    assert (recipe.data.skeleton, recipe.codec.skeleton) == ("from_file", "from_file")
    assert recipe.data.limbs == (("head", "left_hand"), ("head", "right_hand"))
    for edge in ([1, 9], [0, 1], [-1, 2], [True, 2], [2, 2], 1, ["head", "left_hand"]):
        file.write_text(json.dumps({"categories": [own | {"skeleton": [[1, 2], edge]}]}))
        with pytest.raises(UserError, match=r"pose\.json: skeleton: expected"):
            converted(spec, tmp_path, "--pose_config", str(file))
    for category in ({}, own | {"keypoints": ["a", "a", "b"]}, own | {"keypoints": "abc"}):
        file.write_text(json.dumps({"categories": [category] if category else []}))
        with pytest.raises(UserError, match=r"pose\.json: "):
            converted(spec, tmp_path, "--pose_config", str(file))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model__paf_channels": 36}, r"model\.paf_channels is 36; the pose has 19 limbs"),
        ({"model__use_bias": False}, r"model\.use_bias is False; a recipe's convolutions"),
        ({"model__stages": "three"}, r"model\.stages is 'three'; expected int"),
        ({"model__stages": 1}, r"model\.stages is 1; expected 2 or more"),
        ({"model__stages": 99}, r"spec\.yaml: as a recipe, model\.stages"),
        ({"loss": 3}, r"loss is 3; expected a section of keys"),
        ({"optimizer__momentum": "1e999"}, "optimizer.momentum is '1e999'; expected a finite"),
        *(
            (
                {"dataloader__image_config__image_dims__width": side},
                f"image_dims.width is {side}; expected a multiple of 8 pixels",
            )
            for side in (-256, 0, 100)
        ),
        ({"model__regularization_type": "l1_l2"}, "a recipe has one of l1 and l2"),
        ({"num_epoch": True}, "num_epoch is True; expected int"),
        ({"dataloader__pose_config": {"target_shape": [46, 46]}}, r"this network's is \[32, 32\]"),
        ({"optimizer__momentum": ".9x"}, "optimizer.momentum is '.9x'; expected float"),
        ({"optimizer__momentum": float("nan")}, "optimizer.momentum is nan; expected a finite"),
        ({"model__heat_channels": 25}, r"heat_channels is 25; the pose has 18 joints, and a"),
        (
            {
                "num_epoch": 10**9,
                "optimizer__learning_rate_schedule": {
                    "__class_name__": "BpNetExponentialDecayLRSchedule",
                    "decay_epochs": 1,
                },
            },
            "decay_epochs is 1; a rate falls 1,000 times at most",
        ),
    ],
)
def test_what_no_recipe_can_say_is_a_line(changes, said, tmp_path):
    with pytest.raises(UserError, match=said):
        converted(with_values(**changes), tmp_path)
    assert not (tmp_path / "mine.yaml").exists()


def test_ranges_must_be_alike_and_other_files_are_refused(tmp_path):
    for name, words in (("rotate_deg_min", "alike both ways"), ("translate_max_x", "alike both")):
        spec = with_values()
        spec["dataloader"]["augmentation_config"]["spatial_aug_params"][name] = 3.0
        with pytest.raises(UserError, match=words):
            converted(spec, tmp_path)
    with pytest.raises(UserError, match=r"no BodyPoseNet experiment spec"):
        converted({"a": 1}, tmp_path)
