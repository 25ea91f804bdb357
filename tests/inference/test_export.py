"""Every format gives what the eager network gives; what is damaged says so in a line."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace

import numpy as np
import paddle
import pytest
import yaml

from paddle_pose import configs
from paddle_pose.commands import predicting
from paddle_pose.errors import UserError
from paddle_pose.evaluation import evaluator_for
from paddle_pose.evaluation.evaluator import DataFiles
from paddle_pose.files import sha256
from paddle_pose.inference import engine, export
from paddle_pose.inference.exported import RUNNERS, Exported, make_forward
from paddle_pose.inference.predict import predict
from paddle_pose.inference.predictor import PosePredictor
from paddle_pose.models.architectures import HRNet, NewellHourglass, PoseResNet
from paddle_pose.models.build import build
from paddle_pose.poses.poses import Poses
from paddle_pose.recipes.recipe import override
from paddle_pose.skeletons import BODYPOSE18, COCO17, MPII16

TINY = NewellHourglass(stacks=1, features=16, depth=2, stem=8, conv_bias=True)
FAMILIES = {
    "hrnet": HRNet(joints=16, width=4),
    "pose_resnet": PoseResNet(joints=16, layers=50),
}
PACKAGES = {"paddle": (), "onnx": ("paddle2onnx", "onnxruntime"), "int8": ("nncf", "openvino")}


def recipe_of(model):
    recipe = configs.load("quickstart:newell_hg1_synthetic")
    return override(replace(recipe, model=model), ["data.image_size_wh=[64,96]"])


def trained(model):
    """With statistics as training leaves them: INT8 has no levels for a network that has none."""
    paddle.seed(5)
    network = build(model)
    network.train()
    with paddle.no_grad():
        for _ in range(10):
            network(paddle.randn([4, 3, 96, 64]) + 0.3)
    network.eval()
    return network


def formats_here():
    """Those whose packages are installed."""
    try:
        export.require_formats(tuple(RUNNERS))
    except UserError:
        return ("paddle",)
    return tuple(RUNNERS)


def require(name):
    for format_ in ("onnx", name):
        for package in PACKAGES[format_] if name != "paddle" else ():
            pytest.importorskip(package, reason=f"{package}: see requirements-export.txt")


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(2).integers(0, 256, (9, 96, 64, 3), np.uint8)


@pytest.fixture(scope="module")
def network():
    return trained(TINY)


@pytest.fixture(scope="module")
def served(network, images, tmp_path_factory):
    """The tiny hourglass in every format that this environment can make."""
    output = tmp_path_factory.mktemp("export") / "served"
    options = {"weights_sha256": "0" * 64, "licence": "CC0", "calibration": images}
    cards = export.export(network, recipe_of(TINY), MPII16, output, formats_here(), **options)
    assert [card.format for card in cards] == list(formats_here())
    return output


def maps(forward, images):
    plain, mirrored = forward(images)
    return np.concatenate([plain["heatmaps"], mirrored["heatmaps"]])


@pytest.mark.parametrize("name", RUNNERS)
def test_a_served_hourglass_gives_eagers_maps(served, network, images, name):
    require(name)
    exported = Exported(served / name)
    card = exported.card
    assert (card.licence, card.outputs, card.joints) == ("CC0", ("heatmaps",), MPII16.joints)
    assert 0 < card.difference <= card.bound
    recipe = recipe_of(TINY)
    assert exported.recipe == recipe
    options = {"flip_test": True, "engine": "eager"}
    expected = maps(engine.make_forward(network, recipe.data, **options), images)
    found = maps(make_forward(exported, recipe.data, **options), images)
    assert found.shape == expected.shape
    assert found.dtype == np.float32
    if name == "int8":
        assert export.channel_difference(found, expected, card.bound)[1] == 0
        assert np.abs(found - expected).max() > 1e-4 * np.abs(expected).max()  # it is INT8
    else:
        np.testing.assert_allclose(found, expected, rtol=0, atol=card.bound * expected.max())
    # Nine at once are taken in batches of four: the same, each alone, but for sums' order. INT8
    # may round a value that lies between two levels to either.
    alone = np.concatenate(
        [exported.forward(flip_test=False)(one[None])[0]["heatmaps"] for one in images]
    )
    tolerance = (0.1 if name == "int8" else export.FLOAT_BOUND) * np.abs(expected).max()
    np.testing.assert_allclose(alone, found[:9], rtol=0, atol=tolerance)


OTHERS = {"hrnet": ("onnx",), "pose_resnet": ("paddle", "onnx")}
"""Left out is what takes a minute here: Paddle's search for HRNet's batch norms, and NNCF's."""


@pytest.mark.parametrize("family", OTHERS)
def test_other_families_pass_their_own_check(family, tmp_path):
    """``export`` compares each format with the network and refuses what is apart."""
    require("onnx")
    network, output = trained(FAMILIES[family]), tmp_path / "served"
    cards = export.export(network, recipe_of(FAMILIES[family]), MPII16, output, OTHERS[family])
    assert {folder.name for folder in output.iterdir()} == set(OTHERS[family])
    assert all(0 < card.difference <= card.bound for card in cards)


def test_heat_maps_with_background_and_fields_pass_too(tmp_path):
    require("onnx")
    small = ["model.width=4", "model.features=8", "data.image_size_wh=[64,96]"]
    recipe = override(configs.load("bodyposenet:two_stages"), small)
    cards = export.export(trained(recipe.model), recipe, BODYPOSE18, tmp_path / "served")
    assert [card.outputs for card in cards] == [("heatmaps", "pafs")] * 2
    assert all(0 < card.difference <= card.bound for card in cards)
    assert all(Exported(tmp_path / "served" / card.format) for card in cards)


@pytest.mark.parametrize("name", RUNNERS)
def test_poses_are_eagers(served, network, small_people, name):
    """The evaluation's path and the library's object take an exported network as any other."""
    require(name)
    recipe, exported = recipe_of(TINY), Exported(served / name)
    evaluator = evaluator_for(recipe, recipe.benchmark(), DataFiles(small_people))
    how = predicting.Computing(batch_size=3, num_workers=0)
    found = predicting.poses_of(exported, recipe, evaluator, how).keypoints
    if name == "int8":
        # A network that has learnt nothing has near ties everywhere, which INT8 breaks otherwise.
        # Its maps are compared above; here, that it is they that are decoded.
        views = [evaluator.samples(scale) for scale in evaluator.benchmark.test_scales]
        decoding = (recipe.codec, evaluator.benchmark, MPII16.flip_order)
        forward = exported.forward(flip_test=True)
        poses = Poses.joined(predict(forward, views, *decoding, batch_size=3, num_workers=0))
        np.testing.assert_array_equal(found, evaluator.finish(poses).keypoints)
    else:
        expected = predicting.poses_of(network, recipe, evaluator, how).keypoints
        assert np.mean(np.abs(found - expected).max(2) < 0.05) > 0.95
    picture = small_people / "images" / evaluator.table[0].image
    poses = PosePredictor.from_exported(served / name)(picture)
    assert poses.keypoints.shape == (1, 16, 3)


def test_other_settings_than_the_exported_ones_are_refused(served):
    exported = Exported(served / "paddle")
    for key in ("data.rgb_mean=[0,0,0]", "data.channel_order=bgr", "data.image_size_wh=[64,64]"):
        data = override(exported.recipe, [key]).data
        with pytest.raises(UserError, match=key.partition("=")[0]):
            make_forward(exported, data, flip_test=True)


def test_other_joints_are_refused(served):
    with pytest.raises(UserError, match="16 joints of 'mpii16', not the 17"):
        Exported(served / "paddle").require_joints(COCO17)


def test_bgr_is_turned_round(tmp_path, images):
    recipe = override(recipe_of(TINY), ["data.channel_order=bgr"])
    network = trained(TINY)
    export.export(network, recipe, MPII16, tmp_path / "served", ("paddle",))
    options = {"flip_test": True, "engine": "eager"}
    expected = maps(engine.make_forward(network, recipe.data, **options), images)
    found = maps(Exported(tmp_path / "served").forward(flip_test=True), images)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def damaged(served, tmp_path, change):
    folder = tmp_path / "damaged"
    shutil.copytree(served / "paddle", folder)
    file = folder / "model.yaml"
    values = yaml.safe_load(file.read_text(encoding="utf-8"))
    change(values, folder)
    file.write_text(yaml.safe_dump(values), encoding="utf-8")
    return folder


DAMAGES = {
    "unknown 'onxn'": lambda card, _: card.update(format="onxn"),
    "model.onnx is not among them": lambda card, _: card.update(format="onnx"),
    "missing key 'joints'": lambda card, _: card.pop("joints"),
    "unknown key 'jonts'": lambda card, _: card.update(jonts=3),
    "size_wh": lambda card, _: card.update(size_wh=[0, 64]),
    "expected 2 values": lambda card, _: card.update(size_wh=[64]),
    "deviation": lambda card, _: card.update(deviation=[0, 1, 1]),
    "flip_pairs": lambda card, _: card.update(flip_pairs=[[0, 16]]),
    "'tail' is none of the joints": lambda card, _: card.update(limbs=[["tail", "pelvis"]]),
    "named twice": lambda card, _: card.update(flip_pairs=[[0, 5], [5, 1]]),
    "not below its bound": lambda card, _: card.update(difference=float("nan")),
    "channel_order": lambda card, _: card.update(channel_order="gbr"),
    "not a relative path": lambda card, _: card["files"].update({"../x": "0"}),
    "missing; export": lambda _, folder: (folder / "model.pdiparams").unlink(),
    "not the file that": lambda _, folder: (folder / "model.pdiparams").write_bytes(b"0"),
    "16 heat maps for 15": lambda card, _: card.update(
        joints=card["joints"][:15], flip_pairs=[], limbs=[]
    ),
    "size_wh: not that of": lambda card, _: card.update(size_wh=[10**6, 10**6]),
    "recipe: not that of": lambda card, _: card.update(recipe="x"),
    "decoder: not that of": lambda card, _: card.update(decoder="argmax"),
    "outputs are not a, b": lambda card, _: card.update(outputs=["a", "b"]),
}


@pytest.mark.parametrize("message", DAMAGES)
def test_a_damaged_folder_says_what_is_wrong(served, tmp_path, message):
    with pytest.raises(UserError, match=message) as caught:
        Exported(damaged(served, tmp_path, DAMAGES[message]))
    assert "damaged" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "[1]", "a: [", "\x00"])
def test_a_card_that_is_none(served, tmp_path, text):
    folder = damaged(served, tmp_path, lambda *_: None)
    (folder / "model.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=r"model\.yaml"):
        Exported(folder)


@pytest.mark.parametrize("name", RUNNERS)
def test_a_model_that_was_written_wrongly(served, tmp_path, name):
    """Of the right digest, and yet no model: each library's own error, in one line."""
    require(name)
    folder = tmp_path / "broken"
    shutil.copytree(served / name, folder)
    file = next(folder.glob(RUNNERS[name].files[0]))
    file.write_bytes(file.read_bytes()[:100])
    card = yaml.safe_load((folder / "model.yaml").read_text(encoding="utf-8"))
    card["files"][file.name] = sha256(file)
    (folder / "model.yaml").write_text(yaml.safe_dump(card), encoding="utf-8")
    with pytest.raises(UserError, match="does not run") as caught:
        Exported(folder)
    assert "\n" not in str(caught.value)


def test_a_folder_of_several_formats_asks_for_one(served, tmp_path):
    with pytest.raises(UserError, match=r"no model\.yaml"):
        Exported(tmp_path)
    if len(list(served.iterdir())) > 1:
        with pytest.raises(UserError, match="several formats; name one of ") as caught:
            Exported(served)
        found = str(caught.value).partition(" one of ")[2].split(", ")
        assert sorted(found) == sorted(str(folder) for folder in served.iterdir())
        assert found[0] == str(served / "paddle")


def test_a_difference_above_the_bound_leaves_nothing(network, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "FLOAT_BOUND", 1e-12)
    output = tmp_path / "served"
    with pytest.raises(UserError, match="allowed: 1e-12"):
        export.export(network, recipe_of(TINY), MPII16, output, ("paddle",))
    assert not list(tmp_path.iterdir())


FAULTS = {
    "int8: quantisation cannot export this network (no scale)": (
        ("quantize.quantize", ValueError("no scale")),
        {"paddle", "onnx"},
    ),
    "onnx: paddle2onnx cannot export this network (no such operator); int8: paddle2onnx": (
        ("_to_onnx", ValueError("no such operator")),
        {"paddle"},
    ),
    "int8: outputs differ": (("int8_bound", None), {"paddle", "onnx"}),
}


@pytest.mark.parametrize("message", FAULTS)
def test_a_format_that_fails_costs_no_other(network, images, tmp_path, monkeypatch, message):
    require("int8")
    (name, error), kept = FAULTS[message]

    def fail(*_):
        if error is None:
            return 1e-9
        raise error

    monkeypatch.setattr(f"paddle_pose.inference.export.{name}", fail)
    output = tmp_path / "served"
    with pytest.raises(UserError, match=re.escape(message)) as caught:
        export.export(network, recipe_of(TINY), MPII16, output, tuple(RUNNERS), calibration=images)
    assert {folder.name for folder in output.iterdir()} == kept
    assert all(str(output / one) in str(caught.value) for one in kept)
    Exported(output / "paddle")


def test_what_is_there_already_stays(network, tmp_path):
    (tmp_path / "mine").write_text("x", encoding="utf-8")
    with pytest.raises(UserError, match="is there already"):
        export.export(network, recipe_of(TINY), MPII16, tmp_path, ("paddle",))
    assert [file.name for file in tmp_path.iterdir()] == ["mine"]


def test_int8_is_measured_channel_by_channel():
    """By hand: a deviation of 1, errors of 0.5 in one channel, whose mean lies far from others'."""
    signs = np.array([1.0, -1, 1, -1]).reshape(1, 1, 2, 2)
    expected = np.concatenate([signs, signs + 1000], 1)
    errors = np.array([0, 0.5]).reshape(1, 2, 1, 1)
    assert export.channel_difference(expected + errors, expected, 0.1) == (0.5, 0)
    # 1e-3 · 0.1 is below 1e-5 · 1,001: by the deviation of all, sqrt(500² + (1 + 1e-6) / 2).
    expected[:, 1] = 1000 + 1e-3 * signs[:, 0]
    apart, flat = export.channel_difference(expected + errors, expected, 0.1)
    assert (apart, flat) == (pytest.approx(0.5 / np.sqrt(500**2 + (1 + 1e-6) / 2)), 1)
    assert np.isnan(export.channel_difference(expected * np.nan, expected, 0.1)[0])


def test_outputs_that_hardly_depend_on_the_picture_are_said(images, tmp_path, capsys):
    require("int8")
    network = trained(TINY)
    for _, one in network.named_parameters():
        if one.ndim == 4 and one.shape[0] == len(MPII16):  # what makes the maps
            one.set_value(one * 1e-6)
    export.export(network, recipe_of(TINY), MPII16, tmp_path / "x", ("int8",), calibration=images)
    said = "=> int8: 16 of 16 channels of heatmaps hardly depend on the picture"
    assert said in capsys.readouterr().out


def test_int8_bound_by_hand():
    # 8/256/sqrt(12) is 0.0090211; sqrt(2·50) is 10.
    assert export.int8_bound(50) == pytest.approx(0.090211, abs=1e-6)
