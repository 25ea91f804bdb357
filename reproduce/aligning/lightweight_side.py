"""Lightweight OpenPose's own code on given arrays, run by ``torch_side.py``.

Its training loop, test and data set run as they are; stand-ins are there for a GPU, for
torchvision's Compose and for pycocotools (faster_coco_eval).
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import pickle
import random
import re
import runpy
import sys
import types
from pathlib import Path
from typing import Any
from unittest import mock

import cv2
import numpy as np
import torch

SAMPLE = 20_000
CHANGE = 1e-13
COUNT = 10


class _Compose:
    def __init__(self, parts: list) -> None:
        self.parts = parts

    def __call__(self, sample: Any) -> Any:
        for part in self.parts:
            sample = part(sample)
        return sample


def _stand_ins() -> None:
    """Modules that its imports ask for; and CUDA's calls as none."""
    fast = importlib.import_module("faster_coco_eval")
    names = ("torchvision", "pycocotools", "pycocotools.coco", "pycocotools.cocoeval")
    for name in names:
        sys.modules[name] = types.ModuleType(name)
    sys.modules["torchvision"].transforms = types.SimpleNamespace(Compose=_Compose)
    sys.modules["pycocotools.coco"].COCO = fast.COCO
    sys.modules["pycocotools.cocoeval"].COCOeval = fast.COCOeval_faster
    mask = importlib.import_module("faster_coco_eval.core.mask")
    sys.modules["pycocotools"].mask = sys.modules["pycocotools.mask"] = mask
    torch.Tensor.cuda = torch.nn.Module.cuda = lambda self, *_: self


def lightweight(job: dict[str, Any], folder: Path) -> dict[str, np.ndarray]:
    """Outputs, training steps, rates, maps, poses, AP and samples."""
    arrays = dict(np.load(folder / "inputs.npz"))
    weights = dict(np.load(folder / "weights.npz"))
    sys.path.insert(0, job["clone"])
    os.chdir(folder)
    _stand_ins()
    answers = {}
    for run, dtype in (("float64", torch.float64), ("perturbed", torch.float64),
                       ("float32", torch.float32)):  # fmt: skip
        for name, value in _trained(arrays, weights, dtype, run, job["steps"]).items():
            answers[f"{run}/{name}"] = value
    answers |= _rates()
    val = importlib.import_module("val")
    for dtype in ("float64", "float32"):
        answers |= _decoded(val, arrays, job, dtype)
    return answers | _samples(arrays, job) | _scored(val, arrays, job)


def _network(weights: dict[str, np.ndarray], dtype: torch.dtype, stages: int) -> Any:
    module = importlib.import_module("models.with_mobilenet")
    network = module.PoseEstimationWithMobileNet(stages).to(dtype)
    state = {name: torch.from_numpy(value) for name, value in weights.items()}
    for name, value in network.state_dict().items():
        state.setdefault(name, value)  # num_batches_tracked
    network.load_state_dict(state)
    return network


class _Stop(Exception):
    """Enough steps."""


def _trained(  # noqa: C901
    arrays: dict[str, np.ndarray],
    weights: dict[str, np.ndarray],
    dtype: torch.dtype,
    run: str,
    steps: int,
) -> dict[str, np.ndarray]:
    """Outputs of all stages, then some steps of its ``train``."""
    train = importlib.import_module("train")
    answers: dict[str, Any] = {}
    change = 1 + CHANGE * (run == "perturbed")
    given = {n: torch.from_numpy(a).to(dtype) for n, a in arrays.items() if n.startswith("in/")}
    network = _network(weights, dtype, 3)
    if run == "perturbed":
        for layer in network.modules():
            if isinstance(layer, torch.nn.BatchNorm2d):
                layer.eps = float(np.float32(1e-5))
    network.eval()
    with torch.no_grad():
        for place, maps in enumerate(network(given["in/images"])):
            answers[f"forward/{place}"] = maps.numpy()
    batch = {
        "image": given["in/train_images"] * change,
        "keypoint_maps": given["in/heatmaps"],
        "paf_maps": given["in/pafs"],
    }
    for name, maps in (("keypoint_mask", "heatmaps"), ("paf_mask", "pafs")):
        batch[name] = given["in/mask"][:, None].expand_as(given[f"in/{maps}"])
    losses: list[float] = []
    adam = torch.optim.Adam

    class Adam(adam):
        def step(self, *arguments: Any) -> None:
            if not losses[SEEN:]:
                for name, parameter in network.named_parameters():
                    answers[f"gradient/{name}"] = sample(parameter.grad)
            super().step(*arguments)
            if len(losses) == SEEN:
                for name, value in network.state_dict().items():
                    answers[f"after/{name}"] = sample(value)

    own = train.l2_loss

    def l2_loss(*arguments: Any) -> torch.Tensor:
        losses.append(0.0)
        found = own(*arguments)
        losses[-1] = float(found.detach())
        return found

    class Loader:
        def __iter__(self) -> Any:
            if len(losses) == steps * SEEN:
                raise _Stop
            return iter([batch])

    with (
        mock.patch.object(train, "PoseEstimationWithMobileNet", return_value=network),
        mock.patch.object(train, "CocoTrainDataset"),
        mock.patch.object(train, "DataLoader", return_value=Loader()),
        mock.patch.object(train, "l2_loss", l2_loss),
        mock.patch.object(train.optim, "Adam", Adam),
        contextlib.suppress(_Stop),
    ):
        train.train("", "", 3, 4e-5, 4, 1, 0, "", False, False, ".", 100, "", "", "", 5000, 5000)
    answers["losses"] = np.array(losses).reshape(steps, SEEN)
    network.train()
    with torch.no_grad():
        answers["last"] = network(batch["image"])[-1].numpy()
    return answers


SEEN = 8
"""Losses of a step: heat maps and fields of four stages."""


def sample(tensor: torch.Tensor) -> np.ndarray:
    """At most 20,000 of its values, evenly spread."""
    flat = tensor.detach().numpy().ravel()
    return flat[:: max(1, -(-len(flat) // SAMPLE))].copy()


def _rates() -> dict[str, np.ndarray]:
    """Of every epoch, by the schedule that its loop makes, as PyTorch 0.4.1 steps it."""
    text = (Path(importlib.import_module("train").__file__)).read_text(encoding="utf-8")
    milestones = json.loads(re.findall(r"drop_after_epoch = (\[.*?\])", text)[0])
    gamma = float(re.findall(r"gamma=([\d.]+)", text)[0])
    adam = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], lr=4e-5)
    schedule = torch.optim.lr_scheduler.MultiStepLR(adam, milestones, gamma)
    rates = []
    for _ in range(int(re.findall(r"range\(current_epoch, (\d+)\)", text)[0])):
        rates.append(adam.param_groups[0]["lr"])
        adam.step()
        schedule.step()
    return {"rates": np.array(rates)}


class _Given:
    """A network that puts out given maps, and keeps what it is asked."""

    def __init__(self, arrays: dict, number: int, dtype: str, answers: dict) -> None:
        self.arrays, self.number, self.dtype, self.answers = arrays, number, dtype, answers
        self.calls = 0

    def __call__(self, images: torch.Tensor) -> list[torch.Tensor]:
        at = f"{self.number}/{self.calls}"
        self.calls += 1
        self.answers[f"{self.dtype}/input/{at}"] = images.numpy()[0]
        maps = (self.arrays[f"map/{name}/{at}"][None] for name in ("heatmaps", "pafs"))
        return [torch.from_numpy(one.astype(self.dtype)) for one in maps]


def _decoded(val: Any, arrays: dict[str, np.ndarray], job: dict, dtype: str) -> dict:
    """Inputs, merged maps and poses of every picture."""
    keypoints = importlib.import_module("modules.keypoints")
    answers = {}
    for number, scales in enumerate(job["scales"]):
        heat, pafs = val.infer(
            _Given(arrays, number, dtype, answers), arrays[f"picture/{number}"], scales, 368, 8
        )
        seen = heat.copy()  # extract_keypoints sets what is low to 0 in place
        by_type: list = []
        total = 0
        for joint in range(18):
            total += keypoints.extract_keypoints(heat[:, :, joint], by_type, total)
        entries, every = keypoints.group_keypoints(by_type, pafs)
        poses, scores = val.convert_to_coco_format(entries, every)
        answers |= {
            f"{dtype}/heat/{number}": seen,
            f"{dtype}/pafs/{number}": pafs,
            f"{dtype}/peaks/{number}": np.array(
                [[j, *p[:3]] for j, ps in enumerate(by_type) for p in ps]
            ),
            f"{dtype}/poses/{number}": np.array(poses).reshape(-1, 17, 3),
            f"{dtype}/scores/{number}": np.array(scores),
        }
    return answers


def _samples(arrays: dict[str, np.ndarray], job: dict[str, Any]) -> dict[str, np.ndarray]:
    """What its data set makes of pictures and annotations, under given draws."""
    coco, changes = (importlib.import_module(f"datasets.{n}") for n in ("coco", "transformations"))
    for image in job["truth"]["images"]:
        cv2.imwrite(image["file_name"], arrays[f"photo/{image['id']}"])
    Path("truth.json").write_text(json.dumps(job["truth"]), encoding="utf-8")
    script = Path(job["clone"], "scripts/prepare_train_labels.py")
    with mock.patch.object(sys, "argv", [str(script), "--labels", "truth.json"]):
        runpy.run_path(str(script), run_name="__main__")
    file = Path("prepared_train_annotation.pkl")
    labels = pickle.loads(file.read_bytes())  # noqa: S301
    grey = (128, 128, 128)
    steps = [changes.ConvertKeypoints(), changes.Scale(), changes.Rotate(pad=grey),
             changes.CropPad(pad=grey), changes.Flip()]  # fmt: skip
    data = coco.CocoTrainDataset(str(file), ".", 8, 7, 1, transform=_Compose(steps))
    made: dict[str, list] = {"record": [[one["image_id"], *one["bbox"]] for one in labels]}
    for number in range(len(labels)):
        with mock.patch.object(random, "random", iter(arrays["draws"][number]).__next__):
            found = data[number]
        for name in ("image", "keypoint_maps", "keypoint_mask", "paf_maps", "paf_mask"):
            made.setdefault(name, []).append(found[name])
    return {f"sample/{name}": np.array(values) for name, values in made.items()}


def _scored(val: Any, arrays: dict[str, np.ndarray], job: dict[str, Any]) -> dict:
    """AP and its parts of given results, by its ``run_coco_eval``."""
    Path("results.json").write_text(json.dumps(job["results"]), encoding="utf-8")
    kept = []

    class Judge(val.COCOeval):
        def summarize(self) -> None:
            super().summarize()
            kept.append(np.array(self.stats[:COUNT], float))

    with mock.patch.object(val, "COCOeval", Judge), contextlib.redirect_stdout(io.StringIO()):
        val.run_coco_eval("truth.json", "results.json")
    return {"stats": kept[0]}
