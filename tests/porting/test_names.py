"""Published names: whole networks in their published layouts give the recorded outputs.

Weights are seeded by the official names and written as the publishers did (torch_files), then
read, renamed and run. Outputs are those of the official code (tests/parity/models).
"""

from __future__ import annotations

import functools
import gzip
import json
import re
import typing

import numpy as np
import paddle
import pytest
import torch_files
from places import CHECKPOINTS, PARITY

from paddle_pose.errors import UserError
from paddle_pose.models.architectures import (
    Architecture,
    Hourglass52,
    HRNet,
    MIPNet,
    NewellHourglass,
    PoseResNet,
    Whole,
)
from paddle_pose.models.build import build
from paddle_pose.porting import convert_file, export_file, names, network_keys
from paddle_pose.porting.loading import load_weights
from paddle_pose.porting.names import NetworkKeys, convert, table_of
from paddle_pose.porting.reader import read_weights
from paddle_pose.weights.safe_pickle import load_arrays
from reproduce.aligning import name_seeded

TWO = MIPNet(joints=5, width=8)
SMALL = {
    "mipnet": TWO,
    "newell": NewellHourglass(joints=5, stacks=2, features=32, depth=2),
    "hrnet": HRNet(joints=5, width=8),
    "pose_resnet": PoseResNet(joints=5, layers=18),
}


def seeded(record: dict) -> dict[str, np.ndarray]:
    """The record's state dict as PyTorch saves it, counters of batches included."""
    weights = name_seeded.tensors(record["state_dict"], record["gain"])
    complete = {}
    for key, array in weights.items():
        complete[key] = array.astype(np.float32)
        if key.endswith("running_var"):
            complete[key.replace("running_var", "num_batches_tracked")] = np.array(9)
    return complete


@functools.cache
def _official(architecture: Architecture) -> dict[str, np.ndarray]:
    state, wanted = {}, network_keys(architecture)
    for key, shape in wanted.shapes.items():
        name = name_seeded.official_name(key)
        shape = shape[:: -1 if key in wanted.linear else 1]
        state[name] = name_seeded.tensor(name, shape, 1.0).astype(np.float32)
    return state


def official(architecture: Architecture) -> dict[str, np.ndarray]:
    """Seeded weights of a small network under the official names."""
    return dict(_official(architecture))


def run(architecture: Architecture, arrays: dict, images: np.ndarray) -> list[np.ndarray]:
    network = build(architecture)
    missing, unexpected = network.set_state_dict(
        {name: paddle.to_tensor(array) for name, array in arrays.items()}
    )
    assert not missing
    assert not unexpected
    network.eval()
    with paddle.no_grad():
        outputs = network(paddle.to_tensor(images.astype(np.float32)))
    return [output.heatmaps_BJHW.numpy() for output in outputs]


LAYOUTS = {
    # name: network, publisher's layout, legacy format, names in the file that are never used
    "hourglass52_mpii_256": (
        Hourglass52(16, 1), lambda s: {"meta": {"epoch": 210}, "state_dict": s}, True, 10,
    ),
    "newell_hg2_mpii_256": (
        NewellHourglass(16, 2),
        lambda s: {"state_dict": torch_files.with_prefix(s, "model.module."), "epoch": 3},
        True, 58,
    ),
    "hrnet_w32_mpii_256x256": (HRNet(16, 32), lambda s: s, True, 0),
    "pose_resnet50_mpii_256x256": (
        PoseResNet(16, 50),
        lambda s: {"epoch": 9, "state_dict": torch_files.with_prefix(s, "module."), "perf": 88.5},
        False, 0,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYOUTS)
def test_published_layouts_give_the_recorded_outputs(name, tmp_path):
    architecture, layout, is_legacy, unused = LAYOUTS[name]
    record = name_seeded.read_record(PARITY / "models" / f"{name}.json.gz")
    state = seeded(record)
    torch_files.write(tmp_path / "published.pth", layout(state), is_legacy)

    found = convert_file(tmp_path / "published.pth", architecture, tmp_path / "ours.pdparams")

    assert len(found.unused) == unused
    assert not found.not_loaded
    assert not found.not_filled
    arrays = load_arrays(tmp_path / "ours.pdparams")
    for key, array in arrays.items():
        assert np.array_equal(array, state[name_seeded.official_name(key)]), key  # bits: exact

    recorded = np.load(PARITY / "models" / f"{name}.npz")
    outputs = run(architecture, arrays, name_seeded.images(record["input"]["shape"]))
    for index, output in enumerate(outputs):
        expected = recorded[f"output_{index}"]
        # As in test_models: PyTorch's own float32 error, drawn by two libraries, doubled.
        bound = 4 * record["float32_error_max"] * record["outputs"][index]["max_abs"]
        assert np.abs(output[:, :, ::3, ::3] - expected).max() <= bound


@pytest.mark.parametrize("name", SMALL)
def test_back_under_official_names_and_in_again(name, tmp_path):
    architecture, state = SMALL[name], official(SMALL[name])
    torch_files.write(tmp_path / "x.pth", state, False)
    convert_file(tmp_path / "x.pth", architecture, tmp_path / "x.pdparams")

    count = export_file(tmp_path / "x.pdparams", architecture, tmp_path / "x.safetensors")

    exported = read_weights(tmp_path / "x.safetensors")
    assert count == len(state)
    assert set(exported) == set(state)
    assert all(np.array_equal(exported[key], state[key]) for key in state)


@pytest.mark.parametrize("name", ["hrnet", "pose_resnet"])
@pytest.mark.parametrize("head", ["keypoint_head", "head"])
def test_mmpose_names(name, head):
    state = official(SMALL[name])
    is_head = re.compile(r"(final_layer|deconv_layers)\.")
    theirs = {
        (f"{head}." if is_head.match(key) else "backbone.") + key: array
        for key, array in state.items()
    }
    theirs["data_preprocessor.mean"] = np.zeros((3, 1, 1), np.float32)
    found = convert(theirs, table_of(SMALL[name]), network_keys(SMALL[name]), "x.pth")
    assert found.spelling == "mmpose"
    assert found.unused == ["data_preprocessor.mean"]
    for key, array in found.arrays.items():
        assert np.array_equal(array, state[name_seeded.official_name(key)]), key


def test_mmpose_1_renamed_the_hourglass_head():
    wanted = network_keys(Hourglass52(5, 1))
    state = {
        name_seeded.official_name(key).replace("keypoint_head.", "head."): np.zeros(shape, "f4")
        for key, shape in wanted.shapes.items()
    }
    assert convert(state, table_of(Hourglass52()), wanted, "x.pth").spelling == "mmpose 1.x"


def test_paddledetection_names_give_its_recorded_output():
    """Recorded by running PaddleDetection's own HRNet with weights seeded by its own names."""
    file = CHECKPOINTS / "paddledetection_hrnet_w18.json.gz"
    record = json.loads(gzip.decompress(file.read_bytes()))
    weights = {
        key: name_seeded.tensor(name_seeded.official_name(key), shape, record["gain"]).astype("f4")
        for key, shape in record["keys"]
    }
    architecture = HRNet(joints=5, width=18)
    found = convert(weights, table_of(architecture), network_keys(architecture), "x.pdparams")
    assert found.spelling == "PaddleDetection"
    output = run(architecture, found.arrays, name_seeded.images(record["input"]))[-1]
    expected = np.reshape(record["output"], record["output_shape"])
    # Both are Paddle in float32 with the same layers; sums may be ordered otherwise on another
    # machine, which costs 7e-7 of the largest value in HRNet (tests/parity), here two draws twice.
    assert np.abs(output - expected).max() <= 4 * 7e-7 * np.abs(expected).max()


def test_every_network_has_a_table():
    assert set(names.TABLES) == set(typing.get_args(Whole))


def test_what_does_not_fit_is_listed_on_both_sides():
    table, wanted = table_of(SMALL["newell"]), network_keys(SMALL["newell"])
    state = official(SMALL["newell"])
    state["surplus.weight"] = np.zeros(2, np.float32)
    state["outs.0.conv.weight"] = np.zeros((6, 32, 1, 1), np.float32)
    del state["pre.0.bn.running_var"]
    with pytest.raises(UserError) as error:
        convert(state, table, wanted, "x.pth")
    line = str(error.value)
    assert "1 in the file without a place (surplus.weight)" in line
    assert "1 missing in the file (pre.0.bn._variance)" in line
    assert "outs.0.conv.weight float32[6, 32, 1, 1], not (5, 32, 1, 1)" in line
    assert "x.pth" in line


def test_a_place_filled_twice_is_an_error():
    state = official(SMALL["pose_resnet"])
    theirs = {f"backbone.{k}": a for k, a in state.items() if not k.startswith("final_layer")}
    for head in ("head", "keypoint_head"):
        for part in ("weight", "bias"):
            theirs[f"{head}.final_layer.{part}"] = state[f"final_layer.{part}"]
    theirs = {k.replace("backbone.deconv", "head.deconv"): a for k, a in theirs.items()}
    wanted = network_keys(SMALL["pose_resnet"])
    with pytest.raises(UserError, match=r"2 in the file twice .head\.final_layer\.weight and k"):
        convert(theirs, table_of(SMALL["pose_resnet"]), wanted, "x.pth")


def test_weights_of_another_network():
    wanted = network_keys(SMALL["hrnet"])
    with pytest.raises(UserError, match=r"names of another network .*official, mmpose, Paddle"):
        convert(official(SMALL["newell"]), table_of(SMALL["hrnet"]), wanted, "x.pth")


def test_number_types():
    table, wanted = table_of(SMALL["newell"]), network_keys(SMALL["newell"])
    state = official(SMALL["newell"])
    halves = {key: array.astype(np.float16) for key, array in state.items()}
    found = convert(halves, table, wanted, "x.pth")
    for key, array in found.arrays.items():
        assert array.dtype == np.float32
        assert np.array_equal(array, halves[name_seeded.official_name(key)])
    state["outs.0.conv.bias"] = np.zeros(5, np.int64)
    with pytest.raises(UserError, match=r"outs\.0\.conv\.bias int64"):
        convert(state, table, wanted, "x.pth")


def test_linear_weights_are_transposed_even_where_the_shape_cannot_tell():
    table = names.NameTable((names.Spelling("pytorch", "^fc"),))
    wanted = NetworkKeys({"fc.weight": (3, 3), "conv.weight": (3, 3)}, frozenset({"fc.weight"}))
    square = np.arange(9, dtype=np.float32).reshape(3, 3)
    weights = {"fc.weight": square, "conv.weight": square}
    found = convert(weights, table, wanted, "x.pth")
    assert np.array_equal(found.arrays["fc.weight"], square.T)
    assert np.array_equal(found.arrays["conv.weight"], square)
    back = names.to_official(found.arrays, wanted, "x")
    assert np.array_equal(back["fc.weight"], square)


def test_imagenet_backbone_of_hrnet_fills_all_but_the_head():
    wanted = network_keys(SMALL["hrnet"])
    state = official(SMALL["hrnet"])
    head = {key for key in state if key.startswith("final_layer.")}
    imagenet = {key: array for key, array in state.items() if key not in head}
    extra = [
        "stage4.2.fuse_layers.1.0.0.0.weight",
        "incre_modules.0.0.conv1.weight",
        "final_layer.0.weight",
        "classifier.weight",
    ]
    imagenet.update(dict.fromkeys(extra, np.zeros(3, np.float32)))
    found = convert(imagenet, table_of(SMALL["hrnet"]), wanted, "x.pth", backbone=True)
    assert found.not_loaded == extra
    assert set(found.not_filled) == head
    assert set(found.arrays) | head == set(wanted.shapes)

    del imagenet["layer1.0.conv1.weight"]
    with pytest.raises(UserError, match=r"1 missing in the file .layer1\.0\.conv1\.weight"):
        convert(imagenet, table_of(SMALL["hrnet"]), wanted, "x.pth", backbone=True)


def test_a_backbone_takes_no_head_even_where_it_would_fit():
    wanted = network_keys(SMALL["pose_resnet"])
    state = official(SMALL["pose_resnet"])
    found = convert(state, table_of(SMALL["pose_resnet"]), wanted, "x.pth", backbone=True)
    assert found.not_filled
    assert all(key.startswith(("deconv_layers.", "final_layer.")) for key in found.not_filled)
    assert len(found.not_loaded) == len(found.not_filled)


def test_exporting_weights_of_another_network(tmp_path):
    torch_files.write(tmp_path / "x.pth", official(SMALL["newell"]), False)
    convert_file(tmp_path / "x.pth", SMALL["newell"], tmp_path / "x.pdparams")
    with pytest.raises(UserError, match="not this network's weights"):
        export_file(tmp_path / "x.pdparams", SMALL["hrnet"], tmp_path / "x.safetensors")


def test_mipnet_takes_the_latest_weights_and_starts_from_hrnets(tmp_path):
    record = name_seeded.read_record(PARITY / "models/mipnet_w32_coco_128x96.json.gz")
    state, architecture = seeded(record), MIPNet(17, 32)
    older = {name: np.zeros_like(array) for name, array in state.items()}
    saved = {"best_state_dict": older, "latest_state_dict": state, "epoch": 103}
    torch_files.write(tmp_path / "checkpoint_103.pth", saved, True)
    found = convert_file(tmp_path / "checkpoint_103.pth", architecture, tmp_path / "a.pdparams")
    assert not found.unused
    arrays = load_arrays(tmp_path / "a.pdparams")
    assert len(arrays) == len(record["state_dict"])
    linear = network_keys(architecture).linear
    for key, array in arrays.items():
        given = state[name_seeded.official_name(key)]
        assert np.array_equal(array.T if key in linear else array, given), key

    torch_files.write(tmp_path / "hrnet.pth", official(SMALL["hrnet"]), False)
    network = build(TWO)
    loaded = load_weights(network, tmp_path / "hrnet.pth", TWO, partial=True)
    assert loaded.unused == []
    assert {name.split(".")[0] for name in loaded.missing} == {"stage3_se", "stage4_se"}
    assert len(loaded.missing) == 5 * 10
