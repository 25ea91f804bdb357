"""Whole training runs by real processes: killed and resumed, stopped by a bad loss, repeated."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from places import ROOT, TINY
from runs import RECIPE, assert_identical, results

import paddle_pose
from paddle_pose.commands.record import RunFolder
from paddle_pose.errors import UserError
from paddle_pose.files import leftovers
from paddle_pose.recipes import recipe
from paddle_pose.weights.safe_pickle import load_arrays
from paddle_pose.weights.tensors import digest

EPOCHS, STEPS = 4, 5  # 24 people in batches of 5


def command(data: Path, output: Path, *extra: str) -> list[str]:
    words = [sys.executable, str(ROOT / "train.py"), "--config", RECIPE, "--device", "cpu"]
    words += ["--dataset_root", str(data), "--output_dir", str(output), *extra]
    return [*words, "--set", *TINY, f"train.epochs={EPOCHS}", "train.save_every=2",
            "train.validate_every=1"]  # fmt: skip


def run(data: Path, output: Path, *extra: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        command(data, output, *extra), capture_output=True, text=True, timeout=300, check=False
    )


def lines_in(file: Path) -> int:
    return file.read_text().count("\n") if file.exists() else 0


def kill_after(data: Path, output: Path, lines: int, *extra: str) -> None:
    """Start the run and ``kill -9`` it, workers and all, once so many metric lines are there."""
    process = subprocess.Popen(
        command(data, output, "--resume", *extra),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while lines_in(output / "metrics.jsonl") < lines and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.002)
    assert process.poll() is None, "the run ended before it could be killed"
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.fixture(scope="module")
def uninterrupted(small_people, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("runs") / "whole"
    done = run(small_people, output, "--num_workers", "0")
    assert done.returncode == 0, done.stderr
    return output


def test_killed_three_times_equals_uninterrupted(small_people, uninterrupted, tmp_path):
    output = tmp_path / "killed"
    # In the first epoch before any checkpoint; within an epoch; around an epoch's end.
    kill_after(small_people, output, 1, "--num_workers", "2")
    kill_after(small_people, output, STEPS + 4, "--num_workers", "1")
    kill_after(small_people, output, 2 * (STEPS + 1), "--num_workers", "0")
    done = run(small_people, output, "--resume", "--num_workers", "2")
    assert done.returncode == 0, done.stderr

    whole, killed = results(uninterrupted), results(output)
    for left, right in zip(whole[:3], killed[:3], strict=True):
        assert_identical(left, right)
    assert whole[3] == killed[3]
    assert len(whole[3]) == EPOCHS * (STEPS + 1)
    record = json.loads((output / "record.json").read_text())
    assert record["result"]["best"] == json.loads(
        (uninterrupted / "record.json").read_text()
    )["result"]["best"]  # fmt: skip
    assert len(record["resumed"]) == 3
    assert not leftovers(output)


def test_run_folder_holds_everything(uninterrupted):
    for name in ("recipe.yaml", "record.json", "metrics.jsonl", "log.txt", "vdl"):
        assert (uninterrupted / name).exists()
    record = json.loads((uninterrupted / "record.json").read_text())
    assert record["code"].keys() == {"commit", "clean"}
    assert record["environment"]["packages"]["paddlepaddle"]
    assert len(record["data"]["train"]["files"]["train.json"]) == 64
    log = (uninterrupted / "log.txt").read_text()
    for field in ("epoch: 1", "step: 1/5", "loss:", "lr:", "reader_cost:", "batch_cost:", "ips:"):
        assert field in log
    assert "eta: " in log


def test_the_same_command_goes_on_where_it_was_killed_and_keeps_weights(
    small_people, uninterrupted, tmp_path
):
    words = ("--resume", "auto", "--num_workers", "0", "--set", "train.keep_every=2")
    began = command(small_people, tmp_path / "run", *words)
    stopped = subprocess.run(
        [*began, "train.max_steps=12"], capture_output=True, text=True, timeout=300, check=False
    )
    assert "no run to resume, starting one" in stopped.stdout, stopped.stderr
    done = run(small_people, tmp_path / "run", *words)
    assert "resumed at epoch 3, step 3" in done.stdout, done.stderr
    files = [*(tmp_path / "run" / "epochs").iterdir(), uninterrupted / "last" / "model.pdparams"]
    kept = {file.name: digest(load_arrays(file)) for file in files}
    assert set(kept) == {"epoch_0002.pdparams", "epoch_0004.pdparams", "model.pdparams"}
    assert kept["epoch_0004.pdparams"] == kept["model.pdparams"] != kept["epoch_0002.pdparams"]


def test_finished_run_resumes_to_itself(small_people, uninterrupted):
    before, record = results(uninterrupted), (uninterrupted / "record.json").read_text()
    done = run(small_people, uninterrupted, "--resume", "--num_workers", "0")
    assert done.returncode == 0, done.stderr
    assert "finished at" in done.stdout
    assert "[EVAL] epoch: " in done.stdout
    assert (uninterrupted / "record.json").read_text() == record
    for left, right in zip(before[:3], results(uninterrupted)[:3], strict=True):
        assert_identical(left, right)


def test_changed_recipe_does_not_resume(small_people, uninterrupted):
    words = command(small_people, uninterrupted, "--resume")
    done = subprocess.run(
        [*words, "train.warmup_steps=7"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "train.warmup_steps is 7 here and 50 in the run" in done.stderr


def test_other_people_do_not_resume(small_people, uninterrupted, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(small_people, other)
    file = other / "annot/train.json"
    file.write_text(file.read_text() + "\n")
    done = run(other, uninterrupted, "--resume")
    assert done.returncode == 2
    assert "train annotations are not those of the run" in done.stderr


def test_a_folder_in_use_is_refused(small_people, uninterrupted):
    folder = RunFolder(uninterrupted)
    folder.lock()
    done = run(small_people, uninterrupted, "--resume")
    assert done.returncode == 2
    assert "another process is training here" in done.stderr


def test_more_epochs_resume_and_say_so(small_people, tmp_path):
    words = command(small_people, tmp_path / "run", "--num_workers", "0")
    for epochs in ("train.epochs=1", "train.epochs=2"):
        done = subprocess.run(
            [*words[:-1], "train.validate_every=1", epochs, "--resume"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "run/record.json").read_text())
    assert record["resumed"][0]["changed"] == {"train.epochs": [1, 2]}
    assert "epochs: 2" in (tmp_path / "run/recipe.yaml").read_text()


def test_bad_loss_stops_names_the_step_and_keeps_the_state(small_people, tmp_path):
    """One good epoch, a rate that breaks the second, and the remedy that the error names."""
    output = tmp_path / "run"

    def train(*pairs: str) -> subprocess.CompletedProcess:
        words = [*command(small_people, output, "--num_workers", "0"), *pairs, "--resume"]
        return subprocess.run(words, capture_output=True, text=True, check=False)

    assert train("train.epochs=1").returncode == 0
    state = (output / "last/checkpoint.safetensors").read_bytes()
    with pytest.raises(UserError, match=r"epoch 2, step .* lower train\.learning_rate"):
        paddle_pose.train(
            recipe.override(recipe.read_yaml(output / "recipe.yaml"), ["train.epochs=2"]),
            small_people,
            output,
            resume=True,
            device="cpu",
            num_workers=0,
            loss=lambda outputs, targets: {"loss": outputs[-1].heatmaps_BJHW.mean() * math.nan},
        )
    assert (output / "last/checkpoint.safetensors").read_bytes() == state
    mended = train("train.epochs=2")
    assert mended.returncode == 0, mended.stderr


def test_second_run_moves_the_first_aside(small_people, tmp_path):
    output = tmp_path / "run"
    for _ in range(2):
        words = command(small_people, output, "--num_workers", "0")
        done = subprocess.run(
            [*words, "train.epochs=1"], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "run.previous-1/best_model/model.pdparams").is_file()
    assert (output / "best_model/model.pdparams").is_file()


def test_two_processes_make_one_run(small_people, tmp_path):
    """Rank 0 alone writes; each takes half of every batch (5 + 1 people do not halve: refused)."""
    launch = ["-m", "paddle.distributed.launch", "--backend", "gloo", "--nproc_per_node", "2"]
    launch += ["--log_dir", str(tmp_path / "log")]

    def start(output: Path, batch_size: int) -> subprocess.CompletedProcess:
        words = command(small_people, output, "--num_workers", "1")
        words = [words[0], *launch, *words[1:], f"train.batch_size={batch_size}", "train.epochs=2"]
        return subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)

    done = start(tmp_path / "run", 10)
    assert done.returncode == 0, done.stdout + done.stderr
    record = json.loads((tmp_path / "run/record.json").read_text())
    assert record["processes"] == 2
    assert record["result"]["best"]
    lines = (tmp_path / "run/metrics.jsonl").read_text().splitlines()
    steps = [(v["epoch"], v["step"]) for v in map(json.loads, lines) if v["kind"] == "train"]
    assert steps == [(epoch, step) for epoch in range(2) for step in range(3)]
    assert "must be a multiple of 2" in start(tmp_path / "odd", 5).stdout


def test_a_run_of_so_many_steps_goes_on_and_ends_the_same(small_people, uninterrupted, tmp_path):
    words = command(small_people, tmp_path / "run", "--num_workers", "0")

    def ended(*extra: str) -> str:
        done = subprocess.run([*words, *extra], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    first = ended("train.max_steps=3")
    assert "=> speed: not measured, that takes more than 50 steps" in first
    assert f"=> last weights: {tmp_path}/run/last/model.pdparams (none were validated)" in first
    result = json.loads((tmp_path / "run/record.json").read_text())["result"]
    assert result["best"] == {}
    assert list(result["sha256"]) == ["last/model.pdparams"]
    words.insert(words.index("--set"), "--resume")
    assert "resumed at epoch 1, step 4" in ended("train.max_steps=0")
    for left, right in zip(results(uninterrupted)[:3], results(tmp_path / "run")[:3], strict=True):
        assert_identical(left, right)


def test_fine_tuning_starts_from_weights_for_five_epochs(small_people, uninterrupted, tmp_path):
    weights = str(uninterrupted / "best_model/model.pdparams")
    words = [sys.executable, str(ROOT / "train.py"), "--config", RECIPE, "--device", "cpu"]
    words += ["--dataset_root", str(small_people), "--output_dir", str(tmp_path / "run")]
    words += ["--finetune", weights, "--num_workers", "0"]
    for extra, line in (
        (["--resume"], "--finetune FILE: starts from FILE"),
        (["--pretrained_model", weights], "goes with neither --pretrained_model"),
    ):
        done = subprocess.run([*words, *extra], capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert line in done.stderr
    done = subprocess.run(
        [*words, "--set", *TINY, "train.max_steps=1"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    if not any(one.startswith("train.epochs=") for one in TINY):
        assert "assumed: train.epochs=5, as --finetune; --epochs says otherwise" in done.stdout
        assert ", 5 epochs, on cpu" in done.stdout
    assert f"=> {weights}: " in done.stdout
