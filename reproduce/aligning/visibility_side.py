"""mmpose 1.x's PoseResNet with its visibility head, run by ``torch_side.py``."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import nn

CONFIG = (
    "configs/body_2d_keypoint/topdown_heatmap/coco/"
    "td-hm-vis_res50_8xb64-210e_coco-aic-256x192-merge.py"
)
_PACKAGES = (
    *("", ".utils", ".codecs", ".evaluation", ".evaluation.functional", ".datasets"),
    *(".datasets.transforms", ".models", ".models.backbones", ".models.utils", ".models.losses"),
    *(".models.heads", ".models.heads.hybrid_heads", ".models.heads.heatmap_heads"),
)
_NEEDED = (
    *("codecs.msra_heatmap", "models.backbones.resnet", "models.losses.heatmap_loss"),
    *("models.losses.classification_loss", "models.heads.heatmap_heads.heatmap_head"),
    "models.heads.hybrid_heads.vis_head",
)


class Flat(nn.Module):
    """Its backbone and head under SimpleBaseline's names.

    Attributes:
        backbone_and_head: mmpose's own modules.
    """

    def __init__(self, backbone: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.backbone_and_head = backbone, head
        children = dict(backbone.named_children()) | {"vis_head": head.vis_head}
        children |= {
            name: getattr(head.pose_head, name) for name in ("deconv_layers", "final_layer")
        }
        for name, child in children.items():
            self.add_module(name, child)

    def forward(self, images_BCHW: torch.Tensor) -> list[torch.Tensor]:
        """Probabilities (B, J), then maps (B, J, H/4, W/4)."""
        backbone, head = self.backbone_and_head
        maps, visible = head(backbone(images_BCHW))
        return [visible, maps]

    def criterion(
        self, outputs: list, targets: torch.Tensor, weights: torch.Tensor
    ) -> torch.Tensor:
        """Half of what the head's own ``loss`` makes of these outputs."""
        head = self.backbone_and_head[1]
        head.vis_forward = lambda feats: outputs[0]
        head.pose_head.forward = lambda feats: outputs[1]
        rows = zip(targets, weights[:, None], strict=True)
        found = head.loss((), [_sample(*row) for row in rows])
        del head.vis_forward, head.pose_head.forward
        return 0.5 * sum(value for name, value in found.items() if "loss" in name)


def _sample(maps: torch.Tensor, weights: torch.Tensor) -> SimpleNamespace:
    """What the head reads of a PoseDataSample, as its own pipeline packs it."""
    weights = weights.clone()
    weights.float = lambda: weights  # which cross-entropy does not take beside float64
    labels = SimpleNamespace(keypoint_weights=weights)
    return SimpleNamespace(gt_instance_labels=labels, gt_fields=SimpleNamespace(heatmaps=maps))


def _model(clone: Path, package: Callable) -> tuple[Any, Any]:
    """Its configuration's model, and what builds parts of it."""
    for part in _PACKAGES:
        package(f"mmpose{part}", clone / "mmpose" / part[1:].replace(".", "/"))
    scores = importlib.import_module("mmpose.evaluation.functional.keypoint_eval")
    importlib.import_module(
        "mmpose.evaluation.functional"
    ).pose_pck_accuracy = scores.pose_pck_accuracy
    for name in _NEEDED:
        importlib.import_module(f"mmpose.{name}")
    model = importlib.import_module("mmengine").Config.fromfile(str(clone / CONFIG)).model
    return model, importlib.import_module("mmpose.registry").MODELS.build


def build(clone: Path, package: Callable) -> Flat:
    """Backbone and head as the configuration has them; the head begins as its own code lets it."""
    model, make = _model(clone, package)
    model.backbone.pop("init_cfg")
    head = make(model.head)
    head.init_weights()
    return Flat(make(model.backbone), head)


def visibility(job: dict[str, Any], folder: Path, package: Callable) -> dict[str, np.ndarray]:
    """Targets of joints, names of weights, and what its flip test reads of features."""
    clone, arrays = Path(job["clone"]), dict(np.load(folder / "inputs.npz"))
    torch.manual_seed(job["seed"])
    network = build(clone, package).eval()
    backbone, head = network.backbone_and_head
    parts = {"backbone": backbone, "head": head}
    names = [f"{part}.{name}" for part, module in parts.items() for name in module.state_dict()]
    answers = {"names": np.array(names)}
    transforms = importlib.import_module("mmpose.datasets.transforms.common_transforms")
    packing = importlib.import_module("mmpose.datasets.transforms.formatting").PackPoseInputs()
    target = transforms.GenerateTarget(
        encoder=dict(_model(clone, package)[0].head.pose_cfg.decoder)
    )
    made = []
    for joints, visible in zip(arrays["joints"], arrays["visible"], strict=True):
        both = np.stack([np.maximum(visible, 0), visible >= 0], axis=-1)
        given = {"keypoints": joints[None], "keypoints_visible": both[None]}
        packed = packing.transform(target.transform(given | {"img": np.zeros((4, 4, 3), np.uint8)}))
        made.append(packed["data_samples"])
    labels = [one.gt_instance_labels for one in made]
    answers["maps"] = np.stack([one.gt_fields.heatmaps.numpy() for one in made])
    answers["weights"] = np.concatenate([one.keypoint_weights.numpy() for one in labels])
    answers["masks"] = np.array(sum("keypoints_visible_weights" in one for one in labels))
    feats = [(torch.from_numpy(arrays[name]),) for name in ("plain", "mirrored")]
    asked = SimpleNamespace(metainfo={"flip_indices": job["flip_order"]})
    with torch.no_grad():
        poses, _ = head.predict(feats, [asked], test_cfg=job["test"])
        for name, one in zip(("plain", "mirrored"), feats, strict=True):
            answers[f"{name}_maps"] = head(one)[0].numpy()
    for name in ("keypoints", "keypoint_scores"):
        answers[name] = np.concatenate([getattr(one, name) for one in poses])
    return answers
