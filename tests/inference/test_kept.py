"""Kept engines: used again, made anew where they are damaged, and never too many."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest
from paddle import nn

from paddle_pose.errors import UserError
from paddle_pose.inference import engine, graph, kept
from paddle_pose.models.architectures import NewellHourglass
from paddle_pose.models.blocks import PoseNetwork
from paddle_pose.models.build import build
from paddle_pose.settings import DataSettings

DATA = DataSettings(image_size_wh=(64, 64))
pytestmark = pytest.mark.skipif(not engine.onednn_here(), reason="this Paddle has no oneDNN")
PRECISIONS = ["float32"] + ["bfloat16"] * engine.bfloat16_here()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PADDLE_POSE_CACHE", str(tmp_path))
    monkeypatch.setenv(kept.VARIABLE, "64")
    return tmp_path / "engines"


@pytest.fixture(scope="module")
def network() -> PoseNetwork:
    paddle.seed(1)
    return build(NewellHourglass(joints=3, stacks=1, features=16, depth=2, stem=8))


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(2).integers(0, 256, (2, 64, 64, 3), np.uint8)


def maps(network: PoseNetwork, images: np.ndarray, precision: str = "float32") -> np.ndarray:
    options = {"engine": "onednn", "precision": precision, "batch_size": 2}
    return engine.make_forward(network, DATA, flip_test=False, **options)(images)[0]["heatmaps"]


@pytest.mark.parametrize("precision", PRECISIONS)
def test_what_was_compiled_is_used_again(network, images, cache, monkeypatch, capfd, precision):
    before = maps(network, images, precision)
    (place,) = cache.iterdir()
    assert {one.name for one in place.iterdir()} == {kept.MODEL, kept.WEIGHTS, "engine.json"}
    assert capfd.readouterr().out == ""
    monkeypatch.setattr(graph, "trace", lambda *_: 1 / 0)  # it is not even traced
    np.testing.assert_array_equal(maps(network, images, precision), before)
    assert capfd.readouterr().out == f"=> engine: compiled before, read from {place}\n"


def test_the_place_is_that_of_weights_sizes_and_code(network, cache, monkeypatch):
    places = [kept.place(network, (1, 2), "float32"), kept.place(network, (1, 3), "float32")]
    again = kept.place(network, (1, 2), "float32")
    network(paddle.zeros([1, 3, 64, 64]))  # runs, and marks its layers as built
    assert kept.place(network, (1, 2), "float32") == again == places[0]
    value = network.parameters()[0]
    first = value.numpy()
    value.set_value(first + 1)
    places.append(kept.place(network, (1, 2), "float32"))
    value.set_value(first)
    network.strength = 2.0
    places.append(kept.place(network, (1, 2), "float32"))
    del network.strength
    monkeypatch.setattr(paddle, "__version__", "9")
    places.append(kept.place(network, (1, 2), "float32"))
    assert len(set(places)) == len(places)


class Foreign(nn.Layer):
    """Of a file that is not the package's."""


def test_what_no_digest_tells_is_not_kept(network, cache, monkeypatch, capfd):
    def why() -> str:
        assert kept.place(network, "float32") is None
        return capfd.readouterr().err

    for name, value, said in (
        ("act", paddle.nn.functional.relu, "NewellHourglassNetwork.act is a function"),
        ("mask", np.zeros(3), "NewellHourglassNetwork.mask is a ndarray"),
        ("part", Foreign(), "Foreign is a class of "),
    ):
        setattr(network, name, value)
        assert f"=> engine not kept: {said}" in why()
        delattr(network, name)
    hook = network.register_forward_post_hook(lambda *_: None)
    assert "NewellHourglassNetwork  has hooks" in why()
    hook.remove()
    monkeypatch.setattr(Path, "home", lambda: Path("~nobody-here").expanduser())
    monkeypatch.delenv("PADDLE_POSE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert "home directory" in why()


def test_shared_weights_are_told_apart(cache):
    paddle.seed(2)
    first, second = nn.Linear(2, 2), nn.Linear(2, 2)
    places = {kept.place(nn.Sequential(first, second, one)) for one in (first, second)}
    for one in (first, second):
        third = nn.Linear(2, 2)
        third.weight = one.weight
        third.bias = one.bias
        places.add(kept.place(nn.Sequential(first, second, third)))
    assert len(places) == 4


@pytest.mark.parametrize("name", [kept.MODEL, kept.WEIGHTS, "engine.json", "all of it"])
def test_damaged_ones_are_compiled_anew_with_a_word(network, images, cache, capfd, name):
    before = maps(network, images)
    (place,) = cache.iterdir()
    if name == "all of it":  # half removed
        (place / "engine.json").unlink()
    else:
        (place / name).write_bytes((place / name).read_bytes()[:-7] + b"x")
    np.testing.assert_array_equal(maps(network, images), before)
    said = capfd.readouterr().err
    assert said.count("\n") == 1
    assert "not usable" in said
    assert "compiled anew" in said
    assert kept.read(place) == ("heatmaps",)


def test_what_paddle_refuses_is_compiled_anew(network, images, cache, capfd, monkeypatch):
    before = maps(network, images)
    monkeypatch.setattr(engine, "ready", lambda *_: 1 / 0)
    np.testing.assert_array_equal(maps(network, images), before)
    assert "not usable (division by zero); compiled anew" in capfd.readouterr().err


def test_the_oldest_go_first_and_leftovers_with_them(cache, monkeypatch):
    monkeypatch.setenv(kept.VARIABLE, "1")
    new, old, older = ("0" * 31 + one for one in "123")
    for age, name in enumerate([new, old, older, ".half.tmp", "somebody's"]):
        (cache / name).mkdir(parents=True)
        (cache / name / kept.WEIGHTS).write_bytes(bytes(400_000))
        os.utime(cache / name, (1e9 - age, 1e9 - age))
    kept.remove_oldest(cache / new)
    assert sorted(one.name for one in cache.iterdir()) == [new, old, "somebody's"]
    monkeypatch.setenv(kept.VARIABLE, "0")
    kept.remove_oldest(cache / new)
    assert sorted(one.name for one in cache.iterdir()) == [new, "somebody's"]


def test_another_process_was_faster(network, images, cache, monkeypatch, capfd):
    write = kept.write_json

    def slow(*given: Any) -> None:
        write(*given)
        monkeypatch.setattr(kept, "write_json", write)
        maps(network, images)  # the other one, which is done first

    monkeypatch.setattr(kept, "write_json", slow)
    found = maps(network, images)
    assert capfd.readouterr().err == ""
    assert len(list(cache.iterdir())) == 1
    np.testing.assert_array_equal(maps(network, images), found)


def full_disk(*_: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_none_are_kept_where_they_cannot_be(network, images, cache, monkeypatch, capfd):
    cache.write_text("a file")
    maps(network, images)
    assert capfd.readouterr().err.startswith("=> engine not kept: ")
    cache.unlink()
    monkeypatch.setattr(kept.shutil, "copyfile", full_disk)
    maps(network, images)
    assert "engine not kept: [Errno 28]" in capfd.readouterr().err
    assert not list(cache.iterdir())
    monkeypatch.setattr(kept, "most_bytes", lambda: 1000)
    maps(network, images)
    assert "MB are more than PADDLE_POSE_ENGINES allows" in capfd.readouterr().err
    monkeypatch.undo()
    monkeypatch.setenv(kept.VARIABLE, "0")
    assert kept.place(network) is None
    monkeypatch.setenv(kept.VARIABLE, "many")
    with pytest.raises(UserError, match="PADDLE_POSE_ENGINES='many': expected a number of MB"):
        maps(network, images)


def test_the_cache_is_where_others_have_theirs(monkeypatch):
    monkeypatch.delenv("PADDLE_POSE_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert kept.folder() == Path("/x/paddle_pose/engines")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert kept.folder() == Path.home() / ".cache/paddle_pose/engines"
