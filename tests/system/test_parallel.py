"""Several processes compute what one does: parts, weights, logs, predictions, resumption."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from places import ROOT, TINY
from safetensors.numpy import load_file

from paddle_pose.data.loader import steps_per_epoch
from paddle_pose.errors import UserError
from paddle_pose.system import parallel
from paddle_pose.weights.safe_pickle import load_arrays

SCRIPT = ROOT / "tests" / "support" / "several_processes.py"
LAUNCH = ["-m", "paddle.distributed.launch", "--backend", "gloo", "--nproc_per_node", "2"]
ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1"}
"""The math library's sums depend on the number of threads, which ranks share."""
FOLLOWED = 1e-9
"""Float64 rounds at 1e-16; five Adam steps of 1e-3 divide by gradients of 1e-6 and more, so what
is summed in another order may differ by 1e-3 × 1e-16 / 1e-6 = 1e-13 per step and value."""


def as_rank(monkeypatch: pytest.MonkeyPatch, rank: int, ranks: int) -> None:
    monkeypatch.setenv("PADDLE_TRAINER_ID", str(rank))
    monkeypatch.setenv("PADDLE_TRAINERS_NUM", str(ranks))


@pytest.mark.parametrize("ranks", [1, 2, 3, 8])
@pytest.mark.parametrize("people", [24, 22, 5])
def test_everybody_is_one_ranks(monkeypatch, ranks, people):
    batch_size, keys = 8, list(range(people))
    steps = steps_per_epoch(people, batch_size, drop_last=False)
    counted = np.zeros(people)
    for step in range(steps):
        batch = keys[step * batch_size : (step + 1) * batch_size]
        shares = []
        for rank in range(ranks):
            as_rank(monkeypatch, rank, ranks)
            assert steps_per_epoch(people, batch_size, drop_last=False) == steps
            part, share = parallel.part(batch), parallel.share(len(batch))
            assert part  # every rank has something to keep step with
            counted[part] += share / (len(part) * ranks)  # weight in the mean over ranks
            shares.append(share)
        assert sum(shares) == pytest.approx(ranks)
        # The mean over ranks of their shares of their means is the mean over the batch.
        np.testing.assert_allclose(counted[batch], 1 / len(batch), rtol=1e-12)


@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_everybody_is_predicted_once_in_whole_batches(monkeypatch, ranks):
    found = []
    for rank in range(ranks):
        as_rank(monkeypatch, rank, ranks)
        rows = parallel.rows(8, 3)
        batches = [list(rows[i : i + 3]) for i in range(0, len(rows), 3)]
        assert all(batch in ([0, 1, 2], [3, 4, 5], [6, 7]) for batch in batches)
        found += list(rows)
    assert sorted(found) == list(range(8))


def test_batches_divide_among_ranks_and_passes(monkeypatch):
    as_rank(monkeypatch, 0, 2)
    with pytest.raises(UserError, match="2 accumulation steps together, so it must be a multiple"):
        parallel.start(6, 2)


@pytest.fixture(scope="module")
def one_and_two(small_people, tmp_path_factory) -> tuple[dict, dict]:
    """What several_processes.py finds in one process, and in two."""
    folder = tmp_path_factory.mktemp("parallel")
    launch = [*LAUNCH, "--log_dir", str(folder / "log")]
    started = [
        subprocess.Popen(
            [sys.executable, *words, str(SCRIPT), str(folder / name), str(small_people)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=ONE_THREAD,
        )
        for name, words in (("one.npz", []), ("two.npz", launch))
    ]
    for process in started:
        said, _ = process.communicate(timeout=600)
        assert process.returncode == 0, said
    one, two = (dict(np.load(folder / name)) for name in ("one.npz", "two.npz"))
    assert (one["processes"], two["processes"]) == ("1", "2")
    return one, two


def of_case(arrays: dict, case: str) -> dict:
    return {k.partition("/")[2]: v for k, v in arrays.items() if k.startswith(case + "/")}


@pytest.mark.parametrize("case", ["synchronised", "one_left", "frozen", "accumulated"])
def test_two_processes_train_as_one(one_and_two, case):
    one, two = (of_case(arrays, case) for arrays in one_and_two)
    assert one.keys() == two.keys()
    for name in one:
        np.testing.assert_allclose(two[name], one[name], rtol=0, atol=FOLLOWED, err_msg=name)
    assert one["lines"].shape == (3, 2)  # losses and scores of log lines: means over the ranks


def test_passes_add_up_to_the_batch(one_and_two):
    whole, passes = (of_case(one_and_two[0], case) for case in ("frozen", "accumulated"))
    for name in whole:
        np.testing.assert_allclose(passes[name], whole[name], rtol=0, atol=FOLLOWED, err_msg=name)


def test_the_cases_have_teeth(one_and_two):
    """Statistics matter, steps move weights, and the average is another thing than the weights."""
    cases = [of_case(one_and_two[0], case) for case in ("synchronised", "frozen")]
    name = next(n for n in cases[1] if n.endswith("conv.weight"))
    assert np.abs(cases[0][name] - cases[1][name]).max() > 1e-4
    assert np.abs(cases[0][name] - cases[0][f"average/{name}"]).max() > 1e-4


def test_two_processes_predict_to_the_bit_as_one(one_and_two):
    one, two = (arrays["keypoints"] for arrays in one_and_two)
    assert one.shape == (8, 16, 3)
    np.testing.assert_array_equal(two, one)


def train_words(data: Path, output: Path, epochs: int, *extra: str) -> list[str]:
    words = [str(ROOT / "train.py"), "--config", "quickstart:newell_hg1_synthetic"]
    words += ["--device", "cpu", "--dataset_root", str(data), "--output_dir", str(output)]
    words += ["--num_workers", "1", *extra, "--set", *TINY, "train.batch_size=8"]
    words += ["train.schedule=multistep", "train.validate_every=1", "train.sync_batch_norm=true"]
    return [*words, "train.accumulate_steps=2", "train.ema_decay=0.9", f"train.epochs={epochs}"]


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


def finish(*processes: subprocess.Popen) -> None:
    said = [process.communicate(timeout=600)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes), "\n".join(said)


def test_two_nodes_stop_and_go_on_as_two_processes(small_people, tmp_path):
    """Two machines (on loopback) for an epoch, then two processes of one: as if never stopped."""

    def start(*words: str) -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=ONE_THREAD,
            cwd=tmp_path,
        )

    launch = [*LAUNCH, "--log_dir", "log"]
    whole = start(*launch, *train_words(small_people, tmp_path / "whole", 2))
    nodes = ["--nnodes", "2", "--master", f"127.0.0.1:{free_port()}"]
    halves = train_words(small_people, tmp_path / "halves", 1, *nodes)
    finish(whole, start(*halves), start(*halves))
    record = json.loads((tmp_path / "halves/record.json").read_text())
    assert record["processes"] == 2
    finish(start(*launch, *train_words(small_people, tmp_path / "halves", 2, "--resume")))

    for name, read in (
        ("last/checkpoint.safetensors", load_file),
        ("last/model.pdparams", load_arrays),
        ("best_model/model.pdparams", load_arrays),
    ):
        one, other = read(tmp_path / "whole" / name), read(tmp_path / "halves" / name)
        assert one.keys() == other.keys()
        for key in one:
            np.testing.assert_array_equal(other[key], one[key], err_msg=key)
