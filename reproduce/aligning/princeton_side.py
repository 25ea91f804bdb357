"""Newell's own decoding, crops and score on given arrays, run by ``torch_side.py``."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import re
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np


def newell(job: dict[str, Any], folder: Path) -> dict[str, np.ndarray]:
    """What its test makes of maps, of a picture and of poses; and its validation file."""
    arrays = dict(np.load(folder / "inputs.npz"))
    clone = Path(job["clone"])
    os.chdir(folder)
    (folder / "data/MPII/images").mkdir(parents=True)  # whose presence its import asserts
    sys.path.insert(0, str(clone))
    for name in ("imageio", "tqdm", "scipy.misc"):  # imported there, not used here
        stub = types.ModuleType(name)
        stub.imread = None
        sys.modules.setdefault(name, stub)
    test, img = (importlib.import_module(name) for name in ("test", "utils.img"))
    ref, h5py = importlib.import_module("data.MPII.ref"), importlib.import_module("h5py")
    answers: dict[str, list] = {name: [] for name in ("cells", "maxima", "poses", "crops")}
    order = ref.flipped_parts["mpii"]
    people = (arrays[name] for name in ("plain", "mirrored", "centers", "scales"))
    for plain, mirrored, center, scale in zip(*people, strict=True):
        maps = np.minimum((plain + mirrored[:, :, ::-1][order]) / 2, 1)
        found = test.parser.parse(np.float32([maps]))[0]
        answers["cells"].append(found[0, :, :2])
        answers["maxima"].append(found[0, :, 2])
        views = iter([plain[None, None], mirrored[None, None]])
        config = {"train": {"input_res": 256}}
        poses = test.inference(
            np.zeros((256, 256, 3)), lambda images, v=views: [next(v)], config, center, scale
        )
        answers["poses"].append(poses[0, :, :2])
        answers["crops"].append(img.crop(arrays["picture"], center, scale, (256, 256)))
    known = [np.concatenate([t, np.ones((16, 1))], 1)[None] for t in arrays["truth"]]
    predicted = [[{"keypoints": pose}] for pose in arrays["predicted"]]
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        test.mpii_eval(predicted, known, arrays["heads"], 0)
    pattern = r"Val PCK @, 0.5 , total : ([\d.]+) , count: (\d+)"
    rate, count = re.findall(pattern, said.getvalue())[0]
    made = {name: np.stack(found) for name, found in answers.items()}
    with h5py.File(clone / "data/MPII/annot/valid.h5") as file:
        for name in ("part", "center", "scale", "normalize"):
            made[f"file_{name}"] = file[name][()]
    return made | {"rate": np.array(float(rate)), "labelled": np.array(int(count))}
