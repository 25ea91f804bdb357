"""bearpaw's network, samples, decoding, score and rates, run by ``torch_side.py``."""

from __future__ import annotations

import importlib
import math
import os
import random
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

DRAWS = 500
HALF = 0.5
"""What its final_preds adds to cells since 0bba099."""


def _module(job: dict[str, Any], package: Callable[[str, Path], None], name: str) -> Any:
    """A module of the clone, without what its packages import besides."""
    folder = Path(job["clone"]) / "pose"
    for part in ("", ".models", ".losses", ".utils", ".datasets"):
        if f"pose{part}" not in sys.modules:
            package(f"pose{part}", folder / part[1:])
    for stub in ("matplotlib", "matplotlib.pyplot", "scipy.misc", "imutils", "skimage.io"):
        sys.modules.setdefault(stub, types.ModuleType(stub))
    sys.modules.setdefault("skimage", types.ModuleType("skimage"))
    with patch.object(torch.Tensor, "cuda", lambda tensor: tensor):  # a default argument's
        return importlib.import_module(name)


def build(job: dict[str, Any], package: Callable[[str, Path], None]) -> torch.nn.Module:
    """Its hourglass with one residual a place."""
    _module(job, package, "pose.losses.jointsmseloss")
    hourglass = _module(job, package, "pose.models.hourglass")
    return hourglass.hg(num_stacks=job["stacks"], num_blocks=1, num_classes=job["joints"])


def everything(
    job: dict[str, Any], folder: Path, package: Callable[[str, Path], None]
) -> dict[str, np.ndarray]:
    """All but the network, of given people, maps, a picture and poses."""
    arrays = dict(np.load(folder / "inputs.npz"))
    os.chdir(job["clone"])
    np.math = math  # which NumPy had then
    names = ("datasets.mpii", "utils.evaluation", "utils.misc")
    mpii, evaluation, misc = (_module(job, package, f"pose.{name}") for name in names)
    return {
        **_samples(mpii, arrays),
        **_draws(mpii, arrays),
        **_poses(evaluation, arrays),
        **_score(folder, arrays),
        "rates": _rates(misc, job),
        "weights": _steps(arrays, job),
    }


def _data_set(mpii: Any, arrays: dict, person: int, *, train: bool) -> Any:
    """One that holds a person alone, beside whom a data set's own functions work."""
    record = {
        "img_paths": "",
        "joint_self": arrays["joints"][person].tolist(),
        "objpos": arrays["centers"][person].tolist(),
        "scale_provided": float(arrays["scales"][person]),
    }
    own = types.SimpleNamespace(
        **{"is_train": train, "img_folder": "", "anno": [record]},
        **{"train_list": [0], "valid_list": [0], "inp_res": 256, "out_res": 64, "sigma": 1.0},
        **{"scale_factor": 0.25, "rot_factor": 30.0, "label_type": "Gaussian"},
    )
    own.mean, own.std = mpii.Mpii._compute_mean(own)
    return own


def _samples(mpii: Any, arrays: dict) -> dict[str, np.ndarray]:
    """Test samples, and training samples with the angle that was drawn."""
    answers: dict[str, list] = {}
    picture = arrays["picture"].transpose(2, 0, 1) / 255.0
    angles, cut = [], mpii.crop

    def crop(*given: Any, rot: float = 0) -> torch.Tensor:
        angles.append(float(rot))
        return cut(*given, rot=0)  # its rotation is another package's

    for person in range(len(arrays["scales"])):
        for train in (False, True):
            random.seed(person), torch.manual_seed(person)
            own = _data_set(mpii, arrays, person, train=train)
            image = torch.from_numpy(picture.copy()).float()
            with patch.object(mpii, "load_image", lambda _, i=image: i), \
                    patch.object(mpii, "crop", crop):  # fmt: skip
                crop_, target, meta = mpii.Mpii.__getitem__(own, 0)
            kind = "train" if train else "test"
            found = {
                **{"target": target, "weight": meta["target_weight"][:, 0], "pts": meta["pts"]},
                **{"center": meta["center"], "scale": torch.tensor(float(meta["scale"]))},
                **{"angle": torch.tensor(angles[-1])},
            }
            if not train:
                found["crop"] = crop_ + own.mean[:, None, None]
            for name, value in found.items():
                answers.setdefault(f"{kind}_{name}", []).append(value.numpy())
    stacked = {name: np.stack(values) for name, values in answers.items()}
    return stacked | {"mean": own.mean.numpy().astype(np.float64)}


def _draws(mpii: Any, arrays: dict) -> dict[str, np.ndarray]:
    """Sizes, angles and colours of many training samples."""
    drawn, own = [], _data_set(mpii, arrays, 0, train=True)
    own.anno[0]["joint_self"] = [[0, 0, 0]]
    own.anno[0]["scale_provided"] = 0.8  # × 1.25 = 1

    def crop(image: torch.Tensor, center: Any, scale: float, size: Any, rot: float = 0) -> Any:
        drawn.append((float(scale), float(rot), *(float(x) for x in image[:, 0, 0])))
        return torch.zeros(3, 2, 2)

    with patch.object(mpii, "load_image", lambda _: torch.full((3, 2, 2), 0.5)), \
            patch.object(mpii, "shufflelr", lambda pts, **_: pts), \
            patch.object(mpii, "crop", crop):  # fmt: skip
        for _ in range(DRAWS):
            mpii.Mpii.__getitem__(own, 0)
    return {"draws": np.array(drawn)}


def _poses(evaluation: Any, arrays: dict) -> dict[str, np.ndarray]:
    """Of maps, with its half cell and without, as before 0bba099; cells as pixels, 100 each."""
    maps = torch.from_numpy(arrays["maps"])
    people = torch.from_numpy(arrays["centers"]).float(), torch.from_numpy(arrays["scales"])
    plain = torch.full_like(people[0], 6400.5), torch.full_like(people[1], 32.0)
    back, answers = evaluation.transform_preds, {}
    for name, moved in (("half", 0.0), ("table", HALF)):
        with patch.object(
            evaluation, "transform_preds", lambda coords, *rest, m=moved: back(coords - m, *rest)
        ):
            answers[f"poses_{name}"] = evaluation.final_preds(maps, *people, [64, 64]).numpy()
            pixels = evaluation.final_preds(maps, *plain, [64, 64]).numpy()
        answers[f"cells_{name}"] = (pixels - 6401) / 100 + 32
    return answers


def _score(folder: Path, arrays: dict) -> dict[str, np.ndarray]:
    """What evaluation/eval_PCKh.py prints of poses near its truth, unrounded; and the truth."""
    from scipy.io import loadmat, savemat

    sys.path.insert(0, "evaluation")
    module = importlib.import_module("eval_PCKh")
    truth = loadmat("evaluation/data/detections_our_format.mat")
    joints = truth["pos_gt_src"].transpose(2, 0, 1)
    savemat(folder / "preds.mat", {"preds": joints + arrays["noise"]})
    seen, mean = [], np.mean
    with patch.object(np, "mean", lambda values: seen.append(mean(values)) or seen[-1]):
        module.main(types.SimpleNamespace(result=str(folder / "preds.mat")))
    heads = np.linalg.norm(truth["headboxes_src"][1] - truth["headboxes_src"][0], axis=0) * 0.6
    return {
        "score": np.array(float(seen[-1])),
        **{"joints": joints, "missing": truth["jnt_missing"].T, "heads": heads},
    }


def _steps(arrays: dict, job: dict[str, Any]) -> np.ndarray:
    """Weights after PyTorch's steps with given gradients."""
    weight = torch.nn.Parameter(torch.zeros(arrays["gradients"].shape[1]).double())
    given = torch.optim.RMSprop([weight], lr=job["rate"])
    for gradient in arrays["gradients"]:
        weight.grad = torch.from_numpy(gradient)
        given.step()
    return weight.detach().numpy()


def _rates(misc: Any, job: dict[str, Any]) -> np.ndarray:
    """The rate of every epoch, as example/main.py:141 asks for it."""
    given = torch.optim.RMSprop([torch.nn.Parameter(torch.zeros(1))], lr=job["rate"])
    rate, rates = job["rate"], []
    for epoch in range(job["epochs"]):
        rate = misc.adjust_learning_rate(given, epoch, rate, job["milestones"], job["gamma"])
        rates.append(given.param_groups[0]["lr"])
    return np.array(rates)
