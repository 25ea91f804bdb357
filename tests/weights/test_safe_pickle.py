"""``.pdparams``: what Paddle writes is read, what is written here Paddle reads."""

from __future__ import annotations

import pickle
from collections import OrderedDict

import numpy as np
import paddle
import pytest
from places import CHECKPOINTS

from paddle_pose.errors import UserError
from paddle_pose.weights.safe_pickle import (
    load_arrays,
    load_data,
    save_arrays,
)


@pytest.mark.parametrize("protocol", [2, 4])
def test_what_paddle_saves(protocol, tmp_path):
    network = paddle.nn.Sequential(paddle.nn.Conv2D(2, 3, 3), paddle.nn.BatchNorm2D(3))
    path = tmp_path / "x.pdparams"
    paddle.save(network.state_dict(), str(path), protocol=protocol)
    arrays = load_arrays(path)
    assert list(arrays) == list(network.state_dict())
    for name, tensor in network.state_dict().items():
        assert np.array_equal(arrays[name], tensor.numpy())


def test_what_paddle_26_saved():
    """Made once by paddle.save of Paddle 2.6.2 with NumPy 1.26: a convolution and a norm."""
    arrays = load_arrays(CHECKPOINTS / "paddle26.pdparams")
    shapes = [(3, 2, 3, 3), (3,), (3,), (3,), (3,), (3,)]
    assert [array.shape for array in arrays.values()] == shapes
    assert list(arrays)[-1] == "1._variance"
    for index, array in enumerate(arrays.values()):
        ramp = np.arange(array.size, dtype=np.float32) / 2 + index
        assert np.array_equal(array, ramp.reshape(array.shape))


def test_what_paddle_saves_of_an_optimizer(tmp_path):
    layer = paddle.nn.Linear(2, 3)
    schedule = paddle.optimizer.lr.StepDecay(0.1, 2)
    optimizer = paddle.optimizer.Adam(schedule, parameters=layer.parameters())
    layer(paddle.ones([1, 2])).sum().backward()
    optimizer.step()
    path = tmp_path / "x.pdopt"
    paddle.save(optimizer.state_dict(), str(path))
    data = load_data(path)
    assert data["LR_Scheduler"]["last_epoch"] == 0
    moments = [name for name in load_arrays(path) if "moment1" in name]
    assert len(moments) == 2
    expected = optimizer.state_dict()
    for name in moments:
        assert np.array_equal(data[name], expected[name].numpy())


def test_paddle_opens_what_is_written_here(tmp_path):
    arrays = {
        "w": np.arange(6, dtype=np.float32).reshape(2, 3),
        "turned": np.arange(6, dtype=np.float64).reshape(2, 3).T,
        "scalar": np.array(2.5, np.float32),
        "int": np.array([3], np.int64),
    }
    path = tmp_path / "deep" / "x.pdparams"
    save_arrays(path, arrays)
    loaded = paddle.load(str(path))
    again = load_arrays(path)
    assert list(again) == list(arrays)
    for name, array in arrays.items():
        assert np.array_equal(loaded[name].numpy(), array)
        assert np.array_equal(again[name], array)
        assert again[name].dtype == array.dtype
    assert path.stat().st_mode & 0o444


@pytest.mark.parametrize("protocol", range(5))
def test_plain_data_of_every_protocol(protocol, tmp_path):
    data = {
        "text": "ä",
        "numbers": [1, -70000, 2**40, 2.5, True, None],
        "nested": {"a": (1,), "b": (1, 2), "c": (1, 2, 3, 4), 5: ()},
        "array": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "scalar": np.float64(1.5),
        "ordered": OrderedDict(a=1),
        "bytes": b"\x00\xff",
    }
    data["again"] = data["nested"]
    path = tmp_path / "x"
    path.write_bytes(pickle.dumps(data, protocol=protocol))
    read = load_data(path)
    assert np.array_equal(read.pop("array"), data.pop("array"))
    assert read == data


def test_bombs_are_refused(tmp_path):
    """Small files that would become large or deep."""
    path = tmp_path / "x"
    name = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
    state = b"(K\x01J\x00\x00\x00\x40\x85cnumpy\ndtype\nX\x02\x00\x00\x00f4\x85R\x89C\x01atb."
    nested = b"\x80\x02" + b")" + b"\x85" * 200_000  # a tuple in a tuple in a tuple …
    for content, message in (
        (b"\x80\x02" + name + state, "does not fit its bytes"),
        (b"\x80\x02}" + nested[2:] + b"K\x01s.", "neither text nor number"),
        (b"\x80\x04\x8e" + (2**40).to_bytes(8, "little") + b"a.", "damaged"),
        (b"\x80\x02X\xff\xff\xff\x7fa.", "damaged"),
        (b"\x80\x02Nr\xff\xff\xff\x7f.", "NoneType"),  # a memo index of 2^31
    ):
        path.write_bytes(content)
        with pytest.raises(UserError, match=message):
            load_arrays(path)
    text = b"X\x00\x10\x00\x00" + b"a" * 4096
    encode = b"c_codecs\nencode\n" + text + b"q\x01X\x06\x00\x00\x00latin1\x86R"
    repeat = b"c_codecs\nencode\nh\x01X\x06\x00\x00\x00latin1\x86R"
    path.write_bytes(b"\x80\x02]" + encode + b"a" + (repeat + b"a") * 100 + b".")
    with pytest.raises(UserError, match="more bytes than the file"):
        load_data(path)
