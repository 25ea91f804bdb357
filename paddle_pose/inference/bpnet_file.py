"""``detections.json`` as NVIDIA's BodyPoseNet writes it: pose, protocol, and people by picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from paddle_pose.files import write_json
from paddle_pose.inference.frames import Seen
from paddle_pose.inference.predictor import PosePredictor
from paddle_pose.inference.sources import Photo
from paddle_pose.poses.poses import Poses
from paddle_pose.recipes.recipe import Recipe
from paddle_pose.settings import Benchmark
from paddle_pose.skeletons import Skeleton

FILE = "detections.json"
TYPES = {"bodypose18": "bpnet_18_joints"}
MODES = {
    "adjust": "adjust_network_input",
    "pad": "pad_image_input",
    "stretch": None,
    "height": "height",
}


class Detections:
    """What a network that finds everybody finds on photos; of others nothing.

    Attributes:
        files: that will be written.
    """

    def __init__(self, folder: Path, predictor: PosePredictor, photos: Sequence[Photo]) -> None:
        self.files = [folder / FILE] if predictor.whole and photos else []
        self._predictor, self._photos = predictor, photos
        self._found: dict[int, Poses | None] = dict.fromkeys(photo.image_id for photo in photos)

    def add(self, seen: Seen) -> None:
        """The people of a photo; frames of a video are not listed."""
        image_id = int(seen.frame.people.place.image_id[0]) if self.files else None
        if image_id in self._found:
            self._found[image_id] = seen.poses

    def write(self) -> None:
        """Write them, whole or not at all; Raises UserError.

        Joints that were not found are (0, 0). A photo that could not be read has no ``keypoints``,
        as NVIDIA's has none.

        Source: NVIDIA/tao_tensorflow1_backend
        nvidia_tao_tf1/cv/bpnet/inferencer/bpnet_inferencer.py:444 @2ec95cb
        """
        images = []
        for number, photo in enumerate(self._photos):
            entry: dict[str, Any] = {"full_image_path": str(photo.path), "image_id": photo.image_id}
            if (poses := self._found[photo.image_id]) is not None:
                seen = poses.keypoints[..., 2:] > 0
                joints = np.where(seen, poses.keypoints[..., :2], 0.0).tolist()
                entry |= {"keypoints": joints, "scores": poses.scores.tolist(), "viz_id": number}
            images.append(entry)
        for file in self.files:
            skeleton = self._predictor.skeleton
            content = {
                "pose_config_type": TYPES.get(skeleton.name, skeleton.name),
                "categories": [_person(skeleton)],
                "inference_spec": _spec(self._predictor.recipe, self._predictor.benchmark),
                "images": images,
            }
            write_json(file, content)


def _person(skeleton: Skeleton) -> dict[str, Any]:
    at = {joint: number + 1 for number, joint in enumerate(skeleton.joints)}
    return {
        "supercategory": "person",
        "id": 1,
        "name": "person",
        "num_joints": len(skeleton),
        "keypoints": list(skeleton.joints),
        "skeleton": [[at[start], at[end]] for start, end in skeleton.limbs],
        "skeleton_edge_names": [list(limb) for limb in skeleton.limbs],
    }


def _spec(recipe: Recipe, benchmark: Benchmark) -> dict[str, Any]:
    """NVIDIA's keys of what decided."""
    whole, codec = benchmark.whole, recipe.codec
    if whole is None:
        return {}
    names = ("heatmap_threshold", "paf_threshold")
    return {
        "recipe": recipe.name,
        "benchmark": benchmark.name,
        "input_shape": list(whole.size_hw),
        "keep_aspect_ratio_mode": MODES[whole.mode],
        "output_stage_to_use": None,
        "output_upsampling_factor": [codec.stride] * 2 if hasattr(codec, "stride") else None,
        **{name: getattr(codec, name, None) for name in names},
        "multi_scale_inference": len(benchmark.test_scales) > 1,
        "scales": list(benchmark.test_scales),
    }
