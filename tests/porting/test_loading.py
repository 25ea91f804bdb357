"""Weights as trainers, publishers and this project save them, into a network."""

from __future__ import annotations

import functools
import json
import pickle
import time
from collections import OrderedDict
from pathlib import Path

import numpy as np
import paddle
import pytest
import torch_files

from paddle_pose import configs
from paddle_pose.errors import UserError
from paddle_pose.models.architectures import PoseResNet
from paddle_pose.models.build import build
from paddle_pose.porting import export_file, network_keys
from paddle_pose.porting.loading import Use, load_weights
from paddle_pose.porting.names import to_official
from paddle_pose.porting.reader import read_file
from paddle_pose.recipes.recipe import to_dict
from paddle_pose.settings import DataSettings
from paddle_pose.skeletons import COCO17, MPII16
from paddle_pose.weights import checkpoint, safe_pickle, tensors
from paddle_pose.weights.facts import facts_of

NETWORK = PoseResNet(joints=17, layers=18)
prefixed = torch_files.with_prefix


@functools.cache
def ours() -> dict[str, np.ndarray]:
    paddle.seed(0)
    return {name: value.numpy() for name, value in build(NETWORK).state_dict().items()}


@functools.cache
def official() -> dict[str, np.ndarray]:
    """The same under PyTorch's names, with its counters."""
    named = to_official(ours(), network_keys(NETWORK), "x")
    state = {name: np.ascontiguousarray(array) for name, array in named.items()}
    counted = [name for name in state if name.endswith("running_var")]
    return state | {
        n.replace("running_var", "num_batches_tracked"): np.full((), 3) for n in counted
    }


@functools.cache
def wrong() -> dict[str, np.ndarray]:
    return {n: a if a.dtype.kind == "i" else np.ones_like(a) for n, a in official().items()}


@functools.cache
def network() -> paddle.nn.Layer:
    return build(NETWORK)


def loaded(file: Path, **options) -> tuple[str, bool]:
    """What was said, and whether the network is ours now."""
    for value in network().state_dict().values():
        value.set_value(paddle.zeros_like(value))
    found = load_weights(network(), file, NETWORK, **options)
    state = network().state_dict()
    return "\n".join(found.lines), all(
        np.array_equal(state[n].numpy(), a) for n, a in ours().items()
    )


def checkpoints() -> dict[str, tuple[object, str]]:
    """What trainers write, and a part of what is said of it."""
    right, other = official(), wrong()
    moments = {"state": {0: {"exp_avg": np.zeros(3, "f4")}}, "param_groups": [{"lr": 0.1}]}
    history = torch_files.Name("mmengine.logging.history_buffer", "HistoryBuffer")
    twins = {f"ema_{name.replace('.', '_')}": array for name, array in other.items()}
    return {
        "model": ({"model": right, "optimizer": moments, "epoch": 3}, "'model' is taken"),
        "net": ({"net": right}, "'net' is taken"),
        "network": ({"network": prefixed(right, "net.")}, "'network' is taken"),
        "params": ({"params": right}, "'params' is taken"),
        "model_state_dict": ({"model_state_dict": right}, "'model_state_dict' is taken"),
        "compiled": (prefixed(right, "_orig_mod."), "official names"),
        "parallel": ({"model": prefixed(right, "module._orig_mod.")}, "'model' is taken"),
        "backbone": ({"state_dict": prefixed(right, "backbone.")}, "'state_dict' is taken"),
        "deep": (
            {"a": {"b": {"state_dict": prefixed(right, "module.model.")}}},
            "'a/b/state_dict'",
        ),
        "timm": (
            {"state_dict": other, "state_dict_ema": right},
            "'state_dict_ema' is taken, the moving average; not 'state_dict'",
        ),
        "detr": ({"model": other, "ema": {"module": right, "updates": 9}}, "'ema/module' is taken"),
        "part of an average": (
            {"model": right, "ema": {"conv1.weight": other["conv1.weight"]}},
            "'model' is taken; not 'ema'",
        ),
        "mmengine": (
            {
                "meta": {"class": history},
                "message_hub": {"log_scalars": OrderedDict(loss=history)},
                "state_dict": right,
                "ema_state_dict": prefixed(other, "module."),
            },
            "'state_dict' is taken; not 'ema_state_dict'",
        ),
        "mmcv": ({"state_dict": {**right, **twins}}, "left out: the plain names hold the average"),
        "lightning": (
            {
                "state_dict": {**prefixed(right, "model."), "loss.scale": np.ones(1, "f4")},
                "optimizer_states": [moments],
                "callbacks": {"ema": {"w": np.ones(3, "f4")}},
            },
            "1 tensor beside the network left out: loss.scale",
        ),
    }


@pytest.mark.parametrize("name", checkpoints())
def test_checkpoints_as_trainers_save_them(name, tmp_path):
    content, expected = checkpoints()[name]
    torch_files.write(tmp_path / "x.pth", content, name == "net")
    said, is_ours = loaded(tmp_path / "x.pth")
    assert is_ours
    assert expected in said


def test_other_formats_and_names(tmp_path):
    file = tmp_path / "x.safetensors"
    tensors.write_safetensors(file, official(), {"format": "pt"})
    assert loaded(file) == (f"=> {file}: .safetensors, official names", True)
    file = tmp_path / "x.pdparams"
    file.write_bytes(pickle.dumps({"model": ours(), "optimizer": {"m": np.ones(3)}, "epoch": 1}))
    said, is_ours = loaded(file)
    assert is_ours
    assert "our names" in said
    paddle.save(network().state_dict(), str(file))
    assert loaded(file)[1]


@pytest.mark.parametrize("kind", [bool, np.int32, np.uint8])
def test_weights_of_another_kind_of_number_are_no_weights(kind, tmp_path):
    """Rounded to whole numbers they would give scores without a word."""
    state = dict(ours())
    name = next(iter(state))
    file = tmp_path / "x.safetensors"
    tensors.write_safetensors(file, {**state, name: state[name].astype(kind)})
    with pytest.raises(UserError, match=f"{name} .the file has {name} {np.dtype(kind)}"):
        loaded(file)


def test_half_a_network_is_filled_only_where_that_is_asked(tmp_path):
    file = tmp_path / "imagenet.pth"
    state = {n: a for n, a in official().items() if "deconv" not in n and "final" not in n}
    torch_files.write(file, {**state, "fc.weight": np.ones((10, 512), "f4")}, False)
    with pytest.raises(
        UserError, match=r"of \d+ tensors fit, \d+ are not filled, 1 not wanted"
    ) as e:
        loaded(file)
    assert "--allow_partial" not in str(e.value)
    with pytest.raises(UserError, match="start from what fits with --allow_partial"):
        loaded(file, may_be_partial=True)
    found = load_weights(network(), file, NETWORK, partial=True)
    assert found.unused == ["fc.weight"]
    assert "final_layer.weight" in found.missing
    torch_files.write(file, {"else.weight": np.ones(3, "f4")}, False)
    with pytest.raises(UserError, match="nothing in it fits"):
        loaded(file, partial=True)


class Other:
    """A class that the reader does not have."""

    def __init__(self) -> None:
        self.values, self.names, self.more = {1: 2.5}, {"a", "b"}, [np.array(["x"])]


def test_objects_beside_the_weights_are_passed_over(tmp_path):
    file = tmp_path / "x.pdparams"
    for protocol in (0, 2, 4):
        content = {"args": Other(), "path": Path("a/b"), "w": np.ones(3, "f4"), "kind": Other}
        file.write_bytes(pickle.dumps(content, protocol=protocol))
        assert list(read_file(file).arrays) == ["w"]
    file.write_bytes(pickle.dumps(Other(), protocol=4))
    with pytest.raises(
        UserError, match=r"an object of \S*test_loading\.Other .*save its state_dict"
    ):
        read_file(file)


@pytest.mark.parametrize(
    "name", ["os.system", "posix.system", "builtins.eval", "__builtin__.exec", "subprocess.Popen",
             "torch.hub.load", "numpy.testing.runstring", "pip.main", "builtins.__import__"],
)  # fmt: skip
def test_programs_beside_the_weights_are_refused_by_name(name, tmp_path):
    module, _, last = name.rpartition(".")
    called = f"c{module}\n{last}\n(S'true'\ntR.".encode()
    start = pickle.dumps({"w": np.ones(3, "f4")}, protocol=2)[:-1]
    (tmp_path / "x").write_bytes(start + b"X\x03\x00\x00\x00bad" + called[:-1] + b"s.")
    with pytest.raises(UserError, match=rf"refused, it asks for '{name}'"):
        read_file(tmp_path / "x")


def test_small_files_that_would_become_large(tmp_path):
    """Copies of copies, many steps, many tensors: a line at once."""
    file = tmp_path / "x.pdparams"
    pairs = b"(" + b"".join(b"(K%cNl" % (i % 250) for i in range(2000)) + b"lq\x01"
    copy = b"ccollections\nOrderedDict\nh\x01\x85R"
    text = b"X\x00\x00\x02\x00" + b"a" * (2 << 16) + b"q\x01"
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01J\x00\x00\x02\x00\x85cnumpy\ndtype\nX\x02\x00\x00\x00u1\x85R\x89h\x01tb"
    )
    for content, message in (
        (b"\x80\x02" + pairs + (copy + b"0") * 20_000 + b".", "more bytes than the file"),
        (b"\x80\x02]" + text + b"0" + (array + b"a") * 5000 + b".", "more bytes than the file"),
        (b"\x80\x02" + b"]q\x01" + b"h\x01a" * 600_000 + b".", "1,000,000 steps"),
    ):
        file.write_bytes(content)
        began = time.process_time()
        with pytest.raises(UserError, match=message):
            read_file(file)
        assert time.process_time() - began < 10


def saved(file: Path, said: bool = True) -> None:
    """Weights as a run writes them."""
    recipe = configs.load("simple_baseline:res50_coco_256x192")
    facts = facts_of(to_dict(recipe), recipe.data, COCO17) if said else None
    checkpoint.set_weights(network().state_dict(), ours())
    checkpoint.save_weights(network(), file, facts)


def test_what_weights_say_is_read_compared_and_unseen_by_paddle(tmp_path):
    file = tmp_path / "x.pdparams"
    saved(file)
    data = configs.load("simple_baseline:res50_coco_256x192").data
    said, is_ours = loaded(file, use=Use(data, COCO17))
    assert is_ours
    assert said == f"=> {file}: .pdparams, our names"
    said, _ = loaded(file, use=Use(DataSettings(image_size_wh=(64, 64)), COCO17))
    assert "data.channel_order is rgb; they were trained bgr" in said
    assert "data.image_size_wh is [64, 64]; they were trained [192, 256]" in said
    with pytest.raises(
        UserError, match=r"weights of 17 joints .* the 1\. is nose there, right_ankle"
    ):
        loaded(file, use=Use(data, MPII16))
    by_paddle = paddle.load(str(file))
    assert by_paddle.keys() == ours().keys()
    assert network().set_state_dict(by_paddle) == ([], [])
    plain = pickle.loads(file.read_bytes())
    assert set(plain) == {*ours(), safe_pickle.STRUCTURED_NAMES}
    export_file(file, NETWORK, tmp_path / "x.safetensors")
    assert read_file(tmp_path / "x.safetensors").facts == read_file(file).facts
    assert loaded(tmp_path / "x.safetensors", use=Use(data, COCO17))[1]
    saved(file, said=False)
    said, is_ours = loaded(file, use=Use(data, COCO17))
    assert is_ours
    assert "assumed: weights: of the recipe's joints and normalisation" in said


def test_equal_content_gives_equal_bytes(tmp_path):
    found = set()
    for number in range(20):
        file = tmp_path / f"{number}.safetensors"
        texts = {"paddle_pose": '{"a": "ä"}', "format": "pt", "more": "", "z": "\n"}
        tensors.write_safetensors(file, {"w": np.ones((2, 3), "f4"), "a": np.ones(5)}, texts)
        assert tensors.read_safetensors(file)[1] == texts
        found.add(file.read_bytes())
    assert len(found) == 1


@pytest.mark.parametrize("ending", [".pdparams", ".safetensors"])
def test_no_change_of_a_file_with_a_digest_is_taken_for_weights(ending, tmp_path):
    """A bit or a byte anywhere: refused, or the same weights as before."""
    recipe = configs.load("simple_baseline:res50_coco_256x192")
    arrays = {f"{i}.weight": np.linspace(-1, 1, 50 + i, dtype="f4") for i in range(8)}
    arrays["7._variance"] = np.ones(9, "f4")
    said = facts_of(to_dict(recipe), recipe.data, COCO17).text(arrays)
    file = tmp_path / f"x{ending}"
    if ending == ".pdparams":
        safe_pickle.save_arrays(file, arrays, said)
    else:
        tensors.write_safetensors(file, arrays, {tensors.OURS: said})
    whole = file.read_bytes()
    rng = np.random.default_rng(11)
    refused = 0
    for _ in range(300):
        content = bytearray(whole)
        for place in rng.integers(0, len(whole), size=int(rng.integers(1, 4))):
            content[place] ^= 1 << int(rng.integers(0, 8))
        file.write_bytes(content[: rng.integers(1, len(whole))] if rng.random() < 0.1 else content)
        try:
            found = read_file(file)
        except UserError as error:
            assert "\n" not in str(error)  # noqa: PT017
            refused += 1
            continue
        assert found.arrays.keys() == arrays.keys()
        assert all(np.array_equal(found.arrays[name], array) for name, array in arrays.items())
        assert json.loads(said)["recipe"] == found.facts.recipe
    assert refused > 200
