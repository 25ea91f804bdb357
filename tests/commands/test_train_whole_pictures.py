"""BodyPoseNet's recipe on whole pictures: killed and resumed, from shards and from a file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import whole_pictures
from places import ROOT
from runs import assert_identical, results

from paddle_pose import configs
from paddle_pose.commands import convert
from paddle_pose.errors import UserError
from paddle_pose.evaluation.evaluator import DataFiles
from paddle_pose.evaluation.task import task_for
from paddle_pose.recipes.recipe import override

SMALL = (
    "model.width=4", "model.features=8", "model.stages=2", "train.epochs=4", "train.batch_size=2",
    "train.validate_every=4", "train.save_every=1", "train.log_every=1",
    "data.image_size_wh=[64,64]", "benchmarks.0.whole.size_hw=[64,64]", "eval.bootstrap=0",
)  # fmt: skip
RECIPE = override(configs.load("bodyposenet:vgg19_coco"), SMALL)


def command(data: Path, output: Path, *extra: str) -> list[str]:
    words = [sys.executable, str(ROOT / "train.py"), "--config", "bodyposenet:vgg19_coco"]
    words += ["--device", "cpu", "--dataset_root", str(data), "--output_dir", str(output), *extra]
    return [*words, "--num_workers", "0", "--set", *SMALL]


def run(data: Path, output: Path, *extra: str) -> str:
    words = command(data, output, *extra)
    done = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_killed_run_goes_on_and_ends_the_same(tmp_path):
    data = whole_pictures.write(tmp_path / "data")
    said = run(data, tmp_path / "whole")
    assert "4 main persons on 3 images" in said
    # Other paths name the shards than the file; samples are the same.
    words = ["--dataset_root", str(data), "--split", "train", "--output", str(data / "bottom_up")]
    convert.main(["bottom_up", *words, "--masks"])
    process = subprocess.Popen(
        command(data, tmp_path / "killed"), stdout=subprocess.DEVNULL, start_new_session=True
    )
    log, deadline = tmp_path / "killed/metrics.jsonl", time.monotonic() + 120
    while not log.exists() or log.read_text().count("\n") < 3:
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    said = run(data, tmp_path / "killed", "--resume")
    assert "with masks" in said
    whole, killed = results(tmp_path / "whole"), results(tmp_path / "killed")
    for left, right in zip(whole[:3], killed[:3], strict=True):
        assert_identical(left, right)
    assert whole[3] == killed[3]


def test_a_pose_of_ones_own_gives_the_network_its_joints_and_limbs(tmp_path):
    files = DataFiles(whole_pictures.write(tmp_path))
    words = ("data.skeleton=from_file", "data.limbs=[[0,5],[5,7]]")
    task, made = task_for(override(RECIPE, (*words, "codec.skeleton=from_file")), files, files)
    assert (made.model.joints, made.model.limbs) == (17, 2)
    shapes = {name: one.shape for name, one in task.samples[0, 0].targets.items()}
    assert shapes == {"heatmaps": (18, 8, 8), "pafs": (4, 8, 8), "mask": (8, 8)}
    with pytest.raises(UserError, match=r"codec.skeleton=bodypose18: the data have.*from_file"):
        task_for(override(RECIPE, words), files, files)
