"""Sound weights, states and run folders, and how each is read; as in ``seeds``."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from paddle_pose.files import json_text, sha256
from paddle_pose.recipes import recipe as recipes
from paddle_pose.skeletons import MPII16
from paddle_pose.weights.tensors import digest
from reproduce.reliability.seeds import Reading, people, small

OFFICIAL = Path(__file__).parents[2] / "tests" / "fixtures" / "checkpoints"
"""Small checkpoints that PyTorch and Paddle wrote themselves."""


def network_file(folder: Path, ending: str) -> None:
    """Weights of a small network as this project writes them: with what they are, and a digest."""
    import paddle

    from paddle_pose.models.build import build
    from paddle_pose.weights import checkpoint
    from paddle_pose.weights.facts import facts_of
    from paddle_pose.weights.safe_pickle import load_arrays
    from paddle_pose.weights.tensors import OURS, write_safetensors

    folder.mkdir(parents=True, exist_ok=True)
    paddle.seed(0)
    recipe, file = small(), folder / "weights.pdparams"
    facts = facts_of(recipes.to_dict(recipe), recipe.data, MPII16)
    checkpoint.save_weights(build(recipe.model), file, facts)
    if ending == "safetensors":
        arrays = load_arrays(file)
        write_safetensors(file.with_suffix(".safetensors"), arrays, {OURS: facts.text(arrays)})


def halves(folder: Path) -> None:
    """The same in bfloat16, which NumPy lacks; with the digest of the numbers as they are read."""
    from paddle_pose.weights.tensors import OURS, read_safetensors

    network_file(folder, "safetensors")
    file = folder / "weights.safetensors"
    arrays, said = read_safetensors(file)
    values = {name: array.astype(np.float32) for name, array in arrays.items()}
    halved = {name: array.view(np.uint32) >> 16 for name, array in values.items()}
    read = {name: (array << 16).view(np.float32) for name, array in halved.items()}
    ours = json.loads(said[OURS])
    ours.pop("digest")
    ours["digest"] = digest(read, json.dumps(ours, sort_keys=True))
    entries, at, parts = {"__metadata__": {OURS: json_text(ours)}}, 0, []
    for name, array in halved.items():
        parts.append(array.astype("<u2").tobytes())
        offsets = [at, at := at + len(parts[-1])]
        entries[name] = {"dtype": "BF16", "shape": list(array.shape), "data_offsets": offsets}
    head = json.dumps(entries).encode()
    file.write_bytes(len(head).to_bytes(8, "little") + head + b"".join(parts))


def read_network(folder: Path, ending: str) -> Reading:
    """As ``val.py`` loads them."""
    from paddle_pose.models.build import build
    from paddle_pose.porting.loading import Use, load_weights

    recipe = small()
    network, use = build(recipe.model), Use(recipe.data, MPII16)
    load_weights(network, folder / f"weights.{ending}", recipe.model, use=use)
    return {name: value.numpy() for name, value in network.state_dict().items()}


def beside_weights(folder: Path) -> None:
    """Weights that say nothing of themselves, in the folder of a run that does."""
    import paddle

    from paddle_pose.models.build import build
    from paddle_pose.weights import checkpoint

    people(folder / "data", 1, 1)
    recipe, run = small("data.skeleton=from_file"), folder / "run"
    paddle.seed(0)
    checkpoint.save_weights(build(recipe.model), run / "weights.pdparams")
    (run / "recipe.yaml").write_text(recipes.dump_yaml(recipe))
    skeleton = asdict(MPII16)
    (run / "record.json").write_text(json_text({"recipe": recipe.name, "skeleton": skeleton}))


def read_beside(folder: Path) -> Reading:
    """A photo's poses by such weights."""
    from paddle_pose.inference.predictor import PosePredictor

    photo = next((folder / "data" / "images").iterdir())
    predictor = PosePredictor.from_weights(folder / "run" / "weights.pdparams")
    return {"keypoints": predictor(photo).keypoints, "joints": list(predictor.skeleton.joints)}


def official(folder: Path, name: str) -> None:
    """A checkpoint that the official framework wrote."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(OFFICIAL / name, folder / name)


def of_keras(folder: Path) -> None:
    """A convolution and its batch norm as Keras names them, as ``.h5`` and as ``.npz``."""
    import h5py

    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    sizes = {"kernel": (3, 3, 3, 8), "bias": (8,), "gamma": (8,), "moving_variance": (8,)}
    arrays = {f"block/{word}:0": rng.random(size, np.float32) for word, size in sizes.items()}
    np.savez(folder / "keras.npz", **arrays)
    with h5py.File(folder / "keras.h5", "w") as file:
        for name, array in arrays.items():
            file[f"block/{name}"] = array


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
