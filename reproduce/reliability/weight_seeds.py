"""Sound weights, states and run folders, and how each is read; as in ``seeds``."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np

from paddle_pose.files import sha256
from reproduce.reliability.seeds import Reading, people, small

OFFICIAL = Path(__file__).parents[2] / "tests" / "fixtures" / "checkpoints"
"""Small checkpoints that PyTorch and Paddle wrote themselves."""


def network_file(folder: Path, ending: str) -> None:
    """Weights of a small network as this project writes them."""
    import paddle

    from paddle_pose.models.build import build
    from paddle_pose.porting import write_safetensors
    from paddle_pose.weights import checkpoint
    from paddle_pose.weights.safe_pickle import load_arrays

    folder.mkdir(parents=True, exist_ok=True)
    paddle.seed(0)
    checkpoint.save_weights(build(small().model), folder / "weights.pdparams")
    if ending == "safetensors":
        arrays = load_arrays(folder / "weights.pdparams")
        write_safetensors(folder / "weights.safetensors", arrays)


def read_network(folder: Path, ending: str) -> Reading:
    """As ``val.py`` loads them."""
    from paddle_pose.models.build import build
    from paddle_pose.weights import checkpoint

    network = build(small().model)
    checkpoint.load_weights(network, folder / f"weights.{ending}")
    return {name: value.numpy() for name, value in network.state_dict().items()}


def official(folder: Path, name: str) -> None:
    """A checkpoint that the official framework wrote."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(OFFICIAL / name, folder / name)


def read_official(folder: Path, name: str) -> Reading:
    """As ``port`` and ``--pretrained_model`` read it."""
    from paddle_pose.porting.reader import read_weights

    return dict(read_weights(folder / name))


def download(folder: Path) -> None:
    """Published weights with a hash in their name, in the cache."""
    (folder / "made_up").mkdir(parents=True)
    np.random.default_rng(0).standard_normal(5_000).tofile(folder / "made_up" / "made_up.pth")


def read_download(folder: Path) -> Reading:
    """From the cache, against the hash of the sound file."""
    from paddle_pose.porting import download as downloads

    sound = np.random.default_rng(0).standard_normal(5_000).tobytes()
    row = replace(
        downloads.published_weights()[0], name="made_up", file="made_up.pth",
        sha256_prefix=hashlib.sha256(sound).hexdigest()[:8], url="http://127.0.0.1:9/made_up.pth",
    )  # fmt: skip
    return {"bytes": np.frombuffer(downloads.fetch(row, folder, pause_s=0).read_bytes(), np.uint8)}


def run_folder(folder: Path) -> None:
    """A run of one epoch, to be gone on with."""
    from paddle_pose.commands.train import train

    people(folder / "data")
    train(small("train.epochs=1"), folder / "data", folder / "run", num_workers=0)


def read_run(folder: Path) -> Reading:
    """The run, resumed for a second epoch: weights and optimiser; its metrics as a curve."""
    from safetensors.numpy import load_file

    from paddle_pose import drawing
    from paddle_pose.commands.train import train

    run = folder / "run"
    train(small("train.epochs=2"), folder / "data", run, resume=True, num_workers=0)
    drawing.curves(run / "metrics.jsonl", folder / "curves.png")
    return load_file(run / "last" / "checkpoint.safetensors")


def quickstart_folder(folder: Path) -> None:
    """A finished run and its evaluation, as ``quickstart`` finds them again."""
    run_folder(folder)
    read_run(folder)
    evaluated = folder / "eval"
    evaluated.mkdir()
    (evaluated / "predictions.json").write_text("{}")
    digest = sha256(folder / "run" / "best_model" / "model.pdparams")
    (evaluated / "scores.json").write_text(json.dumps({"weights_sha256": digest, "values": {}}))


def read_quickstart(folder: Path) -> Reading:
    """Whether ``quickstart`` takes the run and its scores as done."""
    from paddle_pose.commands import quickstart
    from paddle_pose.commands.record import RunFolder

    run = RunFolder(folder / "run")
    done = quickstart.finished(run), quickstart.evaluated(folder / "eval", run.best_weights)
    return {"done": np.array(done)}


def stamped(folder: Path) -> None:
    """A rendered data set with its stamp."""
    people(folder / "data", 1, 1)


def read_stamp(folder: Path) -> Reading:
    """The set as ``write_dataset`` finds it again."""
    people(folder / "data", 1, 1)
    return {"images": sorted(file.name for file in (folder / "data" / "images").iterdir())}
