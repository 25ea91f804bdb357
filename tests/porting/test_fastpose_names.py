"""AlphaPose's names one to one, and ImageNet's into its backbones."""

from __future__ import annotations

import re
from functools import cache

import numpy as np
import pytest
import torch_files

from paddle_pose.errors import UserError
from paddle_pose.models.architectures import (
    AlphaSimplePose,
    FastPose,
    FastPoseDuc,
    FastPoseMobile,
)
from paddle_pose.models.build import build
from paddle_pose.porting import convert_file, export_file, network_keys
from paddle_pose.porting.loading import load_weights
from paddle_pose.porting.names import convert, table_of
from paddle_pose.porting.reader import read_weights
from paddle_pose.weights.safe_pickle import load_arrays
from reproduce.aligning import fastpose_networks as aligning
from reproduce.aligning import name_seeded

DEFORMABLE = FastPose(17, deformable=(False, True, True, True))
LIGHT = FastPoseMobile(5, "small", 8)


def distinct(shapes: list) -> dict[str, np.ndarray]:
    """A number of its own in every tensor, quicker than drawing them all."""
    state = {}
    for number, (name, shape) in enumerate(shapes):
        state[name] = np.full(shape, number, np.float32)
        if name.endswith("running_var"):
            state[name.replace("running_var", "num_batches_tracked")] = np.array(9)
    return state


@cache
def names_of(architecture: object) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """PyTorch's names and shapes of a network."""
    wanted = network_keys(architecture)
    return tuple(
        (name_seeded.official_name(key), shape[:: -1 if key in wanted.linear else 1])
        for key, shape in wanted.shapes.items()
    )


@pytest.mark.parametrize("model", aligning.MODELS)
def test_every_official_name_is_used_once(model):
    architecture, _ = aligning.MODELS[model]
    shapes = aligning.record_of(model)["state_dict"]
    state, wanted = distinct(shapes), network_keys(architecture)
    found = convert(state, table_of(architecture), wanted, "x.pth")
    assert found.spelling == "AlphaPose"
    assert [*found.unused, *found.not_loaded, *found.not_filled] == []
    assert len(found.arrays) == len(shapes) == len(wanted.shapes)
    numbers = {array.flat[0] for array in found.arrays.values()}
    assert numbers == set(range(len(shapes)))  # each once, and none twice
    for key, array in found.arrays.items():
        given = state[name_seeded.official_name(key)]
        assert np.array_equal(array, given.T if key in wanted.linear else given)


@pytest.mark.parametrize("is_legacy", [True, False])
def test_a_file_of_torch_in_and_out_again(is_legacy, tmp_path):
    state = {
        name: name_seeded.tensor(name, shape, 1.0).astype(np.float32)
        for name, shape in names_of(LIGHT)
    }
    saved = torch_files.with_prefix(state, "module.")
    torch_files.write(tmp_path / "model_42.pth", saved, is_legacy)
    convert_file(tmp_path / "model_42.pth", LIGHT, tmp_path / "x.pdparams")
    assert len(load_arrays(tmp_path / "x.pdparams")) == len(state)
    export_file(tmp_path / "x.pdparams", LIGHT, tmp_path / "x.safetensors")
    exported = read_weights(tmp_path / "x.safetensors")
    assert exported.keys() == state.keys()
    assert all(np.array_equal(exported[name], state[name]) for name in state)


def imagenet(architecture: object) -> dict[str, np.ndarray]:
    """As torchvision calls the backbone's weights, with its classifier."""
    plain = FastPoseMobile(5, architecture.size, 8) if isinstance(architecture, FastPoseMobile) \
        else AlphaSimplePose(17, architecture.layers)  # fmt: skip
    prefix = "features." if isinstance(plain, FastPoseMobile) else ""
    shapes = [
        (prefix + name.removeprefix("preact."), shape)
        for name, shape in names_of(plain)
        if name.startswith("preact.")
    ]
    last = "classifier.3.weight" if prefix else "fc.weight"
    return distinct([*shapes, (last, (1000, 2048))])


@pytest.mark.parametrize(
    ("architecture", "not_filled", "not_loaded"),
    [
        (FastPose(17), r"preact\.layer\d\.0\.se\.fc\.|duc\d\.|conv_out\.", []),
        (DEFORMABLE, r".*\.se\.fc\.|.*\.conv2_offset\.|duc\d\.|conv_out\.", []),
        (
            FastPoseDuc(17),
            r".*\.se\.fc\.|.*\.layer[234]\.0\.conv2\.1\.weight|duc\d\.|conv_out\.",
            [f"layer{number}.0.conv2.weight" for number in (2, 3, 4)],
        ),
        (FastPoseDuc(17, 50, "plain"), r"duc\d\.|conv_out\.", []),
        (AlphaSimplePose(17), r"deconv_layers\.|final_layer\.", []),
        (LIGHT, r"duc\d\.|conv_out\.", []),
    ],
)
def test_imagenet_weights_fill_the_backbone(architecture, not_filled, not_loaded):
    """By name, as the reference does: whatever has the name and the shape."""
    state, wanted = imagenet(architecture), network_keys(architecture)
    found = convert(state, table_of(architecture), wanted, "resnet50.pth", backbone=True)
    assert found.spelling == "torchvision"
    classifier = [name for name in state if name.startswith(("fc.", "classifier."))]
    assert sorted(found.not_loaded) == sorted(not_loaded + classifier)
    assert set(found.not_filled) == wanted.shapes.keys() - found.arrays.keys()
    assert all(re.match(not_filled, name) for name in found.not_filled)
    prefix = "features." if architecture is LIGHT else ""
    for name, array in found.arrays.items():
        official = name_seeded.official_name(prefix + name.removeprefix("preact."))
        assert array.flat[0] == state[official].flat[0]


def test_allow_partial_takes_imagenets_and_says_what_is_left(tmp_path):
    torch_files.write(tmp_path / "mobilenet.pth", imagenet(LIGHT), False)
    network = build(LIGHT)
    loaded = load_weights(network, tmp_path / "mobilenet.pth", LIGHT, partial=True)
    assert loaded.unused == ["classifier.3.weight"]
    assert {name.split(".")[0] for name in loaded.missing} == {"duc1", "duc2", "conv_out"}
    with pytest.raises(UserError, match=r"12 are not filled, 1 not wanted .*torchvision names"):
        load_weights(network, tmp_path / "mobilenet.pth", LIGHT)


def test_one_size_is_not_the_others():
    state = distinct(list(names_of(LIGHT)))
    with pytest.raises(UserError, match=r"small\.pth \(AlphaPose names\) does not fit"):
        convert(state, table_of(LIGHT), network_keys(FastPoseMobile(5, "large", 8)), "small.pth")
