"""Weights under Keras's names, and VGG-19's, into BodyPoseNet; broken files are a line."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import paddle
import pytest
from places import ROOT
from safetensors.numpy import save_file

from paddle_pose.errors import UserError
from paddle_pose.models.architectures import BodyPoseNet
from paddle_pose.models.build import build
from paddle_pose.porting.keras import VGG19
from paddle_pose.porting.loading import load_weights
from paddle_pose.porting.reader import read_file
from reproduce.aligning import name_seeded
from reproduce.aligning.bodyposenet_training import keras_name

SMALL = BodyPoseNet(stages=2, width=4, features=8)
STATISTICS = {"_mean": "moving_mean", "_variance": "moving_variance"}


def seeded() -> dict[str, np.ndarray]:
    """Weights of the small network under our names."""
    state = build(SMALL).state_dict()
    named = {key: name_seeded.official_name(key) for key in state}
    return {
        key: name_seeded.tensor(name, state[key].shape, 1.0).astype(np.float32)
        for key, name in named.items()
    }


def as_keras(weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The same under the official names, kernels as (H, W, in, out)."""
    found = {}
    for key, value in weights.items():
        layer, _, kind = key.rpartition(".")
        name = f"{layer}/{STATISTICS[kind]}" if kind in STATISTICS else keras_name(key)
        found[f"{name}:0"] = value.transpose(2, 3, 1, 0) if value.ndim == 4 else value
    return found


def write_h5(file: Path, weights: dict[str, np.ndarray], around: str = "") -> None:
    """As Keras does: the layer's group, then the weight's whole name."""
    with h5py.File(file, "w") as content:
        for name, value in weights.items():
            content[f"{around}{name.rpartition('/')[0]}/{name}"] = value
        content["optimizer_weights/training/block_1a_conv_1/kernel:0"] = np.ones(3)


def filled(file: Path, *, partial: bool = False) -> tuple[dict[str, np.ndarray], set[str]]:
    """The network's weights after loading, and what was not filled."""
    network = build(SMALL)
    found = load_weights(network, file, SMALL, partial=partial)
    values = {key: value.numpy() for key, value in network.state_dict().items()}
    return values, set(found.missing)


@pytest.mark.parametrize("kind", ["h5", "model.h5", "npz", "trainer.npz", "safetensors"])
def test_a_whole_network_comes_back_to_the_bit(kind, tmp_path):
    wanted, file = seeded(), tmp_path / f"weights.{kind}"
    theirs = as_keras(wanted)
    if kind.endswith("h5"):
        write_h5(file, theirs, "model_weights/" if "model" in kind else "")
    elif kind.endswith("npz"):
        np.savez(file, **{f"Model/{n}" if "trainer" in kind else n: v for n, v in theirs.items()})
    else:
        named = {name_seeded.official_name(key): value for key, value in wanted.items()}
        save_file(named, file)
    values, missing = filled(file)
    assert not missing
    assert all(np.array_equal(values[key], wanted[key]) for key in wanted)


def vgg(form: str) -> dict[str, np.ndarray]:
    """A narrow VGG-19 with another layer of another width, as its publishers name it."""
    kernels = {n: v for n, v in seeded().items() if n[6:8] in VGG19 and "_conv_1" in n}
    rng, found = np.random.default_rng(1), {}
    torch = {"plain": (0, 2, 5, 7, 10, 12, 14, 16, 19, 21),
             "bn": (0, 3, 7, 10, 14, 17, 20, 23, 27, 30)}  # fmt: skip
    for number, (key, value) in enumerate(kernels.items()):
        keras_layer = f"block{key[6]}_conv{'abcd'.index(key[7]) + 1}"
        bias = rng.random(len(value), np.float32)  # a variance too
        if form in torch:
            found[f"features.{torch[form][number]}.weight"] = value
            found[f"features.{torch[form][number]}.bias"] = bias
            if form == "bn":
                for kind in ("weight", "bias", "running_mean", "running_var"):
                    found[f"features.{torch[form][number] + 1}.{kind}"] = bias
        else:
            ends = ("_W_1:0", "_b_1:0") if form == "old" else ("/kernel:0", "/bias:0")
            found[f"{keras_layer}/{keras_layer}{ends[0]}"] = value.transpose(2, 3, 1, 0)
            found[f"{keras_layer}/{keras_layer}{ends[1]}"] = bias
    found["classifier.6.bias" if form in torch else "predictions/bias:0"] = np.ones(7, np.float32)
    return found


@pytest.mark.parametrize("form", ["old", "new", "plain", "bn"])
def test_vgg19_goes_into_the_backbone_and_no_further(form, tmp_path):
    wanted, file = seeded(), tmp_path / "vgg.npz"
    if form in ("old", "new"):
        file = tmp_path / "vgg.h5"
        with h5py.File(file, "w") as content:
            for name, value in vgg(form).items():
                content[name] = value
    else:
        np.savez(file, **vgg(form))
    values, missing = filled(file, partial=True)
    loaded = {f"block_{name}_conv_1.weight" for name in VGG19}
    assert all(np.array_equal(values[key], wanted[key]) for key in loaded)
    if form == "bn":
        loaded |= {
            f"block_{name}_bn_1.{kind}"
            for name in VGG19
            for kind in ("weight", "bias", "_mean", "_variance")
        }
    assert missing == set(values) - loaded


def test_broken_and_hostile_files_are_a_line(tmp_path):
    whole, file = tmp_path / "whole.npz", tmp_path / "weights.npz"
    np.savez(whole, **as_keras(seeded()))
    data = whole.read_bytes()
    np.savez(tmp_path / "objects.npz", **{"a/kernel": np.array([{}])})
    for content in (data[: len(data) // 2], data[:2000] + b"x" * 50 + data[2050:],
                    (tmp_path / "objects.npz").read_bytes()):  # fmt: skip
        file.write_bytes(content)
        with pytest.raises(UserError, match=r"weights\.npz: cannot be read as a \.npz file"):
            read_file(file)
    file = tmp_path / "weights.h5"
    with h5py.File(file, "w") as content:
        content["a/kernel:0"] = h5py.ExternalLink(str(whole), "x")
    with pytest.raises(UserError, match=r"weights\.h5: no weights found"):
        read_file(file)
    file.write_bytes(b"\x89HDF\r\n\x1a\n" + b"x" * 100)
    with pytest.raises(UserError, match=r"weights\.h5: cannot be read as an HDF5 file"):
        read_file(file)


def test_names_of_the_record_are_those_of_the_table():
    words = ROOT.parent / "shared" / "parity" / "bodyposenet" / "network.json"
    if not words.is_file():
        pytest.skip("needs the larger records")
    layers = json.loads(words.read_text("utf-8"))["cases"]["lite3_256x256"]["layers"]
    with paddle.LazyGuard():
        ours = {name_seeded.official_name(key) for key in build(BodyPoseNet()).state_dict()}
    assert {w[0].replace("/", ".") for layer in layers for w in layer["weights"]} == ours
