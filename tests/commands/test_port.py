"""The converter's command line."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch_files
from places import ROOT

from paddle_pose import configs
from paddle_pose.commands.port import main
from paddle_pose.errors import UserError
from paddle_pose.models.architectures import NewellHourglass
from paddle_pose.porting import download, network_keys
from paddle_pose.porting.reader import read_weights
from paddle_pose.recipes import recipe
from paddle_pose.weights.tensors import read_safetensors, write_safetensors
from reproduce.aligning import name_seeded

NETWORK = NewellHourglass(joints=5, stacks=1, features=16, depth=1)


@pytest.fixture
def files(tmp_path) -> dict[str, str]:
    """A recipe of a small network and a checkpoint of it, as princeton-vl writes them."""
    state = {
        name_seeded.official_name(key): name_seeded.tensor(key, shape, 1.0).astype(np.float32)
        for key, shape in network_keys(NETWORK).shapes.items()
    }
    state["hgs.0.0.up1.skip_layer.conv.bias"] = np.zeros(16, np.float32)
    content = {"state_dict": torch_files.with_prefix(state, "model.module."), "epoch": 3}
    torch_files.write(tmp_path / "x.pt", content, True)
    small = replace(configs.load("hourglass:newell_hg1_mpii_256x256"), model=NETWORK)
    (tmp_path / "small.yaml").write_text(recipe.dump_yaml(small), encoding="utf-8")
    return {
        name: str(tmp_path / name)
        for name in ("x.pt", "small.yaml", "x.pdparams", "back.safetensors")
    }


def test_in_and_back(files, capsys):
    main([files["x.pt"], "--recipe", files["small.yaml"], "--output", files["x.pdparams"]])
    printed = capsys.readouterr().out
    assert "princeton-vl names" in printed
    assert "hgs.0.0.up1.skip_layer.conv.bias" in printed
    back = files["back.safetensors"]
    main(["--to_torch", files["x.pdparams"], "--recipe", files["small.yaml"], "--output", back])
    exported, original = read_weights(Path(back)), read_weights(Path(files["x.pt"]))
    del original["hgs.0.0.up1.skip_layer.conv.bias"]
    assert set(exported) == set(original)
    assert all(np.array_equal(exported[name], original[name]) for name in original)


def test_errors_are_one_line_and_torch_is_not_needed(files):
    """In a process of its own, where importing torch would fail."""
    program = (
        "import sys, runpy; sys.modules['torch'] = None; sys.argv.insert(1, 'port'); "
        "runpy.run_module('paddle_pose', run_name='__main__')"
    )
    for arguments, code, text in (
        ([files["x.pt"], "--recipe", files["small.yaml"], "--output", files["x.pdparams"]], 0, ""),
        ([files["small.yaml"], "--recipe", files["small.yaml"], "--output", "x.pdparams"], 2,
         "not a weights file"),
    ):  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-c", program, *arguments],
            cwd=ROOT, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
        errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
        assert len(errors) == (code != 0)
        assert text in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["x.pt"], "--recipe and --output missing"),
        (["x.pt", "--recipe", "a:b"], "--output missing"),
        (["x.pt", "--recipe", "hrnet:w32_mpii_256x256", "--output", "x.pth"], "must end in .pdpa"),
        (["--to_torch", "x", "--recipe", "a:b", "--output", "x.pth"], "must end in .safetensors"),
        (["--to_torch", "x", "--recipe", "a:b", "--output", "x", "--backbone"], "whole network"),
        (["--list", "--backbone"], "--list takes no --backbone"),
        (["--download", "princeton_2hg", "--backbone"], "needs --output"),
        (["--download", "princeton_2"], "did you mean 'princeton_2hg'"),
        (["x.pt", "--recipe", "hrnet:w33", "--output", "x.pdparams"], "unknown recipe"),
    ],
)
def test_wrong_use(arguments, message):
    with pytest.raises(UserError, match=message):
        main(arguments)


def test_list_shows_every_name(capsys):
    main(["--list"])
    printed = capsys.readouterr().out.splitlines()
    for line, row in zip(printed, download.published_weights(), strict=True):
        assert line.split()[:2] == [row.name, row.recipe]


def test_download_takes_the_cache_and_converts(files, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PADDLE_POSE_CACHE", str(tmp_path / "cache"))
    place = tmp_path / "cache" / "princeton_2hg" / "checkpoint.pt"
    place.parent.mkdir(parents=True)
    place.write_bytes(Path(files["x.pt"]).read_bytes())
    output = files["x.pdparams"]
    main(["--download", "princeton_2hg", "--recipe", files["small.yaml"], "--output", output])
    assert "BSD-3-Clause; Mean=88.3" in capsys.readouterr().out
    assert Path(output).exists()


def test_recipes_in_the_table_exist():
    for row in download.published_weights():
        network_of = configs.load(row.recipe)
        assert network_of.model is not None
        size = row.name.rpartition("_")[2]
        if "x" in size and row.kind == "pose":
            height, width = (int(number) for number in size.split("x"))
            assert network_of.data.image_size_wh == (width, height), row.name


def test_half_writes_float16_but_for_the_statistics(tmp_path: Path) -> None:
    recipe = "quickstart:small_person"
    whole, half = tmp_path / "whole.safetensors", tmp_path / "half.safetensors"
    packaged = ROOT / "paddle_pose" / "weights_files" / "small_person.safetensors"
    main([str(packaged), "--recipe", recipe, "--output", str(whole)])
    main([str(packaged), "--recipe", recipe, "--output", str(half), "--half"])
    made, kept = read_safetensors(half)[0], read_safetensors(packaged)[0]
    assert made.keys() == kept.keys()
    assert all(np.array_equal(made[name], kept[name]) for name in kept)
    assert packaged.stat().st_size < 4 * 2**20
    kinds = {
        array.dtype.name: name.endswith(("._mean", "._variance"))
        for name, array in read_safetensors(half)[0].items()
    }
    assert kinds == {"float16": False, "float32": True}


def test_half_refuses_numbers_that_float16_does_not_reach(tmp_path: Path) -> None:
    packaged = ROOT / "paddle_pose" / "weights_files" / "small_person.safetensors"
    arrays = dict(read_safetensors(packaged)[0])
    name = next(name for name in arrays if name.endswith("weight"))
    arrays[name] = np.full(arrays[name].shape, 1e6, np.float32)
    large, output = tmp_path / "large.safetensors", tmp_path / "half.safetensors"
    write_safetensors(large, arrays)
    with pytest.raises(UserError, match="beyond float16's 65,504; leave out --half"):
        main([str(large), "--recipe", "quickstart:small_person", "--half",
                   "--output", str(output)])  # fmt: skip
    assert not output.exists()
