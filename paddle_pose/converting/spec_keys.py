"""Keys of BodyPoseNet's experiment spec that no recipe has, and why."""

from __future__ import annotations

from typing import Any

_PLACE = "a place; recipes have none: --dataset_root, --annotations, --output_dir say it"
_DRAWN = "unused by the official code where use_translate_ratio is off"

NOT_TAKEN = {
    "__class_name__": "the kind of trainer; there is one",
    "checkpoint_dir": _PLACE,
    "log_every_n_secs": "log lines come by steps (train.log_every)",
    "summary_every_n_steps": "curves have every log line",
    "infrequent_summary_every_n_steps": "curves have every log line",
    "max_ckpt_to_keep": "all are kept, as the official code does (max_to_keep=None)",
    "pretrained_weights": "none: from random weights",
    "inference_spec": "the recipe's benchmarks are the three official protocols",
    "evaluator": "the recipe's benchmarks score",
    "key": "weights are not encrypted",
    "final_model_name": "best_model/ and last/ have fixed names",
    "finetuning_config": "--resume goes on with a run, --pretrained_model starts from weights",
    "dataloader.__class_name__": "the kind of loader; there is one",
    "dataloader.shuffle_buffer_size": "all records of an epoch are shuffled",
    "dataloader.pose_config": "--pose_config FILE is read in its place",
    "dataloader.image_config.image_encoding": "told by each image's content",
    "dataloader.dataset_config": _PLACE,
    "dataloader.augmentation_config.__class_name__": "the kind of augmentation; there is one",
    "dataloader.augmentation_config.identity_spatial_aug_params":
        "used where augmentation is off, which it is not in training",
    "dataloader.augmentation_config.spatial_aug_params.translate_ratio_max": _DRAWN,
    "dataloader.augmentation_config.spatial_aug_params.translate_ratio_min": _DRAWN,
    "dataloader.label_processor_config.paf_gaussian_sigma": "unused by the official code",
    "model.backbone_attributes.add_final_c128_conv": "of other backbones",
    "model.backbone_attributes.mtype": "of other backbones",
    "model.backbone_attributes.nlayers": "VGG-19 is the only one",
    "model.backbone_attributes.use_bias": "before a batch norm a bias does nothing",
    "model.data_format": "how images lie in memory changes no number",
    "optimizer.grad_weights_dict": "the trainer replaces it",
    "optimizer.learning_rate_schedule.last_step": "the trainer replaces it: epochs × steps",
    "loss.__class_name__": "the kind of loss; there is one",
}  # fmt: skip
"""By their beginnings; where several fit, the last one counts."""


def flat(values: Any, prefix: str = "") -> list[tuple[str, Any]]:
    """Values by their dotted keys; an empty section is a value."""
    if not isinstance(values, dict) or not values:
        return [(prefix[:-1], values)]
    return [pair for name, one in values.items() for pair in flat(one, f"{prefix}{name}.")]
