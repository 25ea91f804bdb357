"""mmpose 1.x's own data sets of AI Challenger and its choice of maps, run by ``torch_side.py``."""

from __future__ import annotations

import importlib
import json
import os
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

_PARTS = ("", ".models", ".datasets", ".datasets.datasets", ".datasets.transforms",
          ".datasets.datasets.body", ".structures", ".codecs")  # fmt: skip
_BASE = "configs/_base_/datasets"


class _Files:
    """What mmpose asks of xtcocotools' ``COCO``, which needs a compiler to install."""

    def __init__(self, file: str) -> None:
        self.dataset = json.loads(Path(file).read_text(encoding="utf-8"))

    def getCatIds(self) -> list[int]:
        return [one["id"] for one in self.dataset["categories"]]

    def loadCats(self, ids: list[int]) -> list[dict]:
        return [one for one in self.dataset["categories"] if one["id"] in ids]

    def getImgIds(self) -> list[int]:
        return [one["id"] for one in self.dataset["images"]]

    def loadImgs(self, number: int) -> list[dict]:
        return [one for one in self.dataset["images"] if one["id"] == number]

    def getAnnIds(self, imgIds: int) -> list[int]:
        return [one["id"] for one in self.dataset["annotations"] if one["image_id"] == imgIds]

    def loadAnns(self, ids: list[int]) -> list[dict]:
        return [one for one in self.dataset["annotations"] if one["id"] in ids]


def challenger(job: dict[str, Any], folder: Path, package: Callable) -> dict[str, np.ndarray]:
    """Every sample of COCO with AI Challenger, merged and combined; poses of 19 maps."""
    clone = Path(job["clone"])
    os.chdir(clone)  # its configurations are found from there
    for part in _PARTS:
        package(f"mmpose{part}", clone / "mmpose" / part[1:].replace(".", "/"))
    reader = types.ModuleType("xtcocotools.coco")
    reader.COCO = _Files
    sys.modules["xtcocotools"], sys.modules[reader.__name__] = reader, reader
    for name in ("aic", "coco"):
        importlib.import_module(f"mmpose.datasets.datasets.body.{name}_dataset")
        (folder / f"{name}.json").write_text(json.dumps(job[name]), encoding="utf-8")
    wrapper = importlib.import_module("mmpose.datasets.dataset_wrappers").CombinedDataset
    converter = importlib.import_module("mmpose.datasets.transforms.converting").KeypointConverter
    config = importlib.import_module("mmengine").Config
    answers: dict[str, np.ndarray] = {}
    for way in ("merge", "combine"):
        stated = config.fromfile(str(clone / job["configs"].format(way)))
        parts = []
        for name in ("coco", "aic"):
            given = stated[f"dataset_{name}"]
            changes = [converter(one.num_keypoints, one.mapping) for one in given.pipeline]
            parts.append(
                {
                    "type": given.type,
                    "data_root": str(folder),
                    "ann_file": f"{name}.json",
                    "data_mode": "topdown",
                    "pipeline": changes,
                }
            )
        meta = stated.train_dataloader.dataset.metainfo
        whole = wrapper(metainfo=dict(meta), datasets=parts, pipeline=[])
        samples = [whole.get_data_info(number) for number in range(len(whole))]
        for key in ("keypoints", "bbox"):
            answers[f"{way}/{key}"] = np.concatenate([one[key] for one in samples])
        seen = [one["keypoints_visible"] for one in samples]
        answers[f"{way}/visible"] = np.concatenate([v[..., 0] if v.ndim == 3 else v for v in seen])
        answers[f"{way}/flip"] = np.array(samples[0]["flip_indices"])
        answers[f"{way}/upper"] = np.array(sorted(samples[0]["upper_body_ids"]))
    maps = np.load(folder / "inputs.npz")["maps"]
    codec = importlib.import_module("mmpose.codecs.msra_heatmap").MSRAHeatmap(
        input_size=(192, 256), heatmap_size=(48, 64), sigma=2
    )
    kept = list(stated.model.test_cfg.output_keypoint_indices)
    found = [codec.decode(one) for one in maps]
    answers["cells"] = np.concatenate([poses[:, kept] for poses, _ in found])
    answers["scores"] = np.concatenate([scores[:, kept] for _, scores in found])
    return answers
