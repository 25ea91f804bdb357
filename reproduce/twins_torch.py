"""The PyTorch twin of a run: the official network, and its loss or ours, on this project's batches.

The only file of the project that imports PyTorch outside benchmarks and live alignment. It does
not import Paddle, so it runs in an environment of its own (PyTorch, NumPy, OpenCV, SciPy, h5py,
PyYAML, tqdm, safetensors). Batches, their order, rates and scores are computed by the modules that
the Paddle side uses, which are free of Paddle too.
"""

from __future__ import annotations

import math
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from tqdm import tqdm

from paddle_pose.codecs.views import View
from paddle_pose.commands import record
from paddle_pose.data.order import epoch_order
from paddle_pose.data.top_down import PersonCrops, Sample
from paddle_pose.errors import UserError
from paddle_pose.evaluation.evaluator import DataFiles, Evaluator
from paddle_pose.evaluation.task import task_for
from paddle_pose.files import write_json
from paddle_pose.models.architectures import HRNet, NewellHourglass
from paddle_pose.poses.poses import Place, Poses
from paddle_pose.recipes.recipe import Recipe, dump_yaml
from paddle_pose.settings import DataSettings
from paddle_pose.training.schedules import learning_rate
from reproduce.aligning.torch_side import hold_epsilon_in_float32

Loss = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Official:
    """A network of a reference repository with the loss of that repository.

    Attributes:
        network: the module as the repository builds it.
        forward: (B, 3, H, W) -> (B, J, h, w) of its last stage.
        loss: of last maps, targets (B, J, h, w) and weights (B, J).
        source: repository folder's name, commit and files; without a loss's where it is ours.
    """

    network: torch.nn.Module
    forward: Callable[[torch.Tensor], torch.Tensor]
    loss: Loss
    source: dict[str, str]


def _commit_of(folder: Path) -> str:
    run = subprocess.run(  # noqa: S603
        ["git", "-C", str(folder), "rev-parse", "HEAD"],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    )
    return run.stdout.strip() or "unknown (not a git clone)"


def official(recipe: Recipe, clone: Path) -> Official:
    """The recipe's network from a local clone of its repository; Raises UserError."""
    if isinstance(recipe.model, NewellHourglass):
        twin = _newell(recipe.model, clone)
    elif isinstance(recipe.model, HRNet):
        twin = _hrnet(recipe.model, clone)
    else:
        raise UserError(f"{recipe.name}: no PyTorch twin for {type(recipe.model).__name__}")
    if recipe.train.loss != "cell_cross_entropy":
        return twin
    source = {part: words for part, words in twin.source.items() if part != "loss"}
    return replace(twin, loss=cell_cross_entropy, source=source)


def cell_cross_entropy(
    maps: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor
) -> torch.Tensor:
    """``training.losses.cell_cross_entropy`` of one stack: (B, J, h, w), (B, J, h, w), (B, J)."""
    wanted = targets.flatten(2)
    mass = wanted.sum(-1)
    weights = weights * (mass > 0)
    share, count = weights / mass.clamp(min=1e-6), weights.sum().clamp(min=1)
    log = F.log_softmax(maps.to(wanted.dtype).flatten(2), -1)
    return -((wanted * log).sum(-1) * share).sum() / count


def _require(clone: Path, file: str, repository: str) -> None:
    if not (clone / file).is_file():
        raise UserError(f"--reference {clone}: no {file}; give a clone of {repository}")


def _newell(model: NewellHourglass, clone: Path) -> Official:
    repository = "princeton-vl/pytorch_stacked_hourglass"
    _require(clone, "models/posenet.py", repository)
    sys.path.insert(0, str(clone))
    from models.posenet import PoseNet
    from task.loss import HeatmapLoss

    if (model.stem, model.depth, model.conv_bias) != (64, 4, True):
        raise UserError("the official network has stem 64, depth 4 and biases")
    network = PoseNet(model.stacks, model.features, model.joints, bn=False)
    heatmap_loss = HeatmapLoss()
    return Official(
        network,
        lambda images_BCHW: network(images_BCHW.permute(0, 2, 3, 1))[:, -1],
        lambda maps, targets, weights: heatmap_loss(maps, targets).mean(),
        {
            "repository": repository,
            "commit": _commit_of(clone),
            "network": "models/posenet.py",
            "loss": "task/loss.py",
        },
    )


def _hrnet(model: HRNet, clone: Path) -> Official:
    repository = "leoxiaobin/deep-high-resolution-net.pytorch"
    _require(clone, "lib/models/pose_hrnet.py", repository)
    sys.path.insert(0, str(clone / "lib"))
    import yaml
    from core.loss import JointsMSELoss
    from models.pose_hrnet import get_pose_net

    file = "experiments/mpii/hrnet/w32_256x256_adam_lr1e-3.yaml"
    config = yaml.safe_load((clone / file).read_text(encoding="utf-8"))
    config["MODEL"]["NUM_JOINTS"] = model.joints
    for stage, branches in (("STAGE2", 2), ("STAGE3", 3), ("STAGE4", 4)):
        widths = [model.width * 2**branch for branch in range(branches)]
        config["MODEL"]["EXTRA"][stage]["NUM_CHANNELS"] = widths
    network = get_pose_net(config, is_train=False)
    loss = JointsMSELoss(use_target_weight=True)
    return Official(
        network,
        network,
        lambda maps, targets, weights: loss(maps, targets, weights.unsqueeze(2)),
        {
            "repository": repository,
            "commit": _commit_of(clone),
            "network": "lib/models/pose_hrnet.py",
            "loss": "lib/core/loss.py",
            "configuration": f"{file}, NUM_CHANNELS from width {model.width}",
        },
    )


def load_initial(network: torch.nn.Module, file: Path) -> None:
    """Weights exported by the Paddle side; Raises UserError unless all that is used is there."""
    found = network.load_state_dict(load_file(str(file)), strict=False)
    unused = ("num_batches_tracked", "skip_layer")  # the reference makes them and never reads them
    missing = [name for name in found.missing_keys if not any(u in name for u in unused)]
    if missing or found.unexpected_keys:
        raise UserError(f"{file}: missing {missing[:3]}, unexpected {found.unexpected_keys[:3]}")


class Normalizer:
    """(B, H, W, 3) uint8 -> (B, 3, H, W) on a device: (x / 255 - mean) / std."""

    def __init__(self, data: DataSettings, dtype: torch.dtype, device: str = "cpu") -> None:
        self._mean = torch.tensor(data.rgb_mean, dtype=dtype, device=device).reshape(1, 3, 1, 1)
        self._std = torch.tensor(data.rgb_std, dtype=dtype, device=device).reshape(1, 3, 1, 1)

    @property
    def device(self) -> torch.device:
        """Where the images go."""
        return self._mean.device

    def __call__(self, images_BHWC: np.ndarray) -> torch.Tensor:
        """Bytes of crops to floats."""
        images = torch.from_numpy(images_BHWC).to(self._mean.device)
        images = images.permute(0, 3, 1, 2).to(self._mean.dtype)
        return ((images / 255 - self._mean) / self._std).contiguous()


def device_name(device: torch.device) -> str:
    """The name of a GPU; "cpu" else."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def batches(crops: PersonCrops, recipe: Recipe) -> Iterator[tuple[int, int, list[Sample]]]:
    """(epoch, step, samples) of every batch of the run: those of ``data.loader``."""
    size = recipe.train.batch_size
    for epoch in range(recipe.train.epochs):
        order = epoch_order(len(crops), recipe.seed, epoch)
        for step in range(-(-len(crops) // size)):
            chosen = order[step * size : (step + 1) * size]
            yield epoch, step, [crops[(epoch, int(index))] for index in chosen]


@torch.no_grad()
def predict(twin: Official, normalize: Normalizer, evaluator: Evaluator, recipe: Recipe) -> Poses:
    """Everybody's poses by the evaluator's benchmark, decoded by this project."""
    benchmark, size = evaluator.benchmark, recipe.eval.batch_size
    order, crops = evaluator.skeleton.flip_order, evaluator.samples(1.0)
    twin.network.eval()
    found = []
    for first in range(0, len(crops), size):
        samples = [crops[index] for index in range(first, min(first + size, len(crops)))]
        images = normalize(np.stack([sample.image_HWC for sample in samples]))
        maps = twin.forward(torch.cat([images, images.flip(3)])).float().cpu().numpy()
        view = View(*({"heatmaps": half} for half in np.split(maps, 2)))
        place = Place.stacked([sample.place for sample in samples])
        found.append(recipe.codec.decode([view], place, benchmark, order))
    twin.network.train()
    return evaluator.finish(Poses.joined(found))


def train(
    recipe: Recipe,
    *,
    reference: Path,
    initial: Path,
    dataset_root: Path,
    output_dir: Path,
    device: str = "cpu",
    steps: int | None = None,
    float64: bool = False,
    paddle_epsilon: bool = False,
) -> None:
    """The whole run into ``output_dir``; with ``steps`` only its first losses, one per step.

    Raises:
        UserError: no such clone, weights of another network, data that cannot be read.
    """
    torch.manual_seed(recipe.seed)
    torch.backends.cudnn.allow_tf32 = False  # float32 on a GPU too
    dtype = torch.float64 if float64 else torch.float32
    torch.set_default_dtype(dtype)
    twin = official(recipe, reference)
    if getattr(recipe.model, "stacks", 1) != 1:
        raise UserError("the twin's loss is written for one stack")
    load_initial(twin.network, initial)
    twin.network.to(device, dtype).train()
    if paddle_epsilon:
        hold_epsilon_in_float32(twin.network)
    files = DataFiles(dataset_root)
    task, recipe = task_for(recipe, files, files)
    normalize = Normalizer(recipe.data, dtype, device)
    optimizer = torch.optim.Adam(twin.network.parameters(), lr=recipe.train.learning_rate)
    run = _Run(recipe, twin, normalize, output_dir, task.evaluator, len(task.samples))
    total = steps or recipe.train.epochs * run.steps_per_epoch
    losses = []
    with tqdm(total=total, unit="step", dynamic_ncols=True) as bar:
        for done, (epoch, step, samples) in enumerate(batches(task.samples, recipe)):
            if done == total:
                break
            run.batch_arrived()
            rate = learning_rate(recipe.train, done, run.steps_per_epoch)
            for group in optimizer.param_groups:
                group["lr"] = rate
            maps = twin.forward(normalize(np.stack([sample.image_HWC for sample in samples])))
            targets, weights = (
                torch.from_numpy(np.stack([sample.targets[name] for sample in samples])).to(
                    device, dtype
                )
                for name in ("heatmaps", "weights")
            )
            loss = twin.loss(maps, targets, weights)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            bar.update()
            if steps is None:
                run.step_done(epoch, step, losses[-1], rate)
    if steps is None:
        run.finish()
    else:
        write_json(output_dir / "losses.json", losses, indent=None)


class _Run:
    """Log lines and scores in the form of ``train.py``'s run folder."""

    def __init__(
        self,
        recipe: Recipe,
        twin: Official,
        normalize: Normalizer,
        output_dir: Path,
        evaluator: Evaluator,
        count: int,
    ) -> None:
        self.recipe, self.twin, self.normalize = recipe, twin, normalize
        self.steps_per_epoch = -(-count // recipe.train.batch_size)
        self.folder = record.RunFolder(output_dir)
        self.evaluator = evaluator
        self._losses: list[float] = []
        self._scores: dict[str, float] = {}
        self._mark, self._reading, self._began = time.perf_counter(), 0.0, time.perf_counter()

    def start(self, facts: dict[str, Any]) -> None:
        """recipe.yaml, record.json and an empty metrics.jsonl."""
        self.folder.start(dump_yaml(self.recipe), facts)

    def batch_arrived(self) -> None:
        """Time since the last step was spent reading."""
        self._reading += time.perf_counter() - self._mark

    def step_done(self, epoch: int, step: int, loss: float, rate: float) -> None:
        """Keep the loss; write a line where one is due; validate after the epochs that say so."""
        if not self.folder.record_file.exists() or (epoch, step) == (0, 0):
            self.start(
                {
                    "recipe": self.recipe.name,
                    "seed": self.recipe.seed,
                    "framework": f"torch {torch.__version__}",
                    "device": device_name(self.normalize.device),
                    "threads": torch.get_num_threads(),
                    "official": self.twin.source,
                }
            )
        settings = self.recipe.train
        self._losses.append(loss)
        last = step + 1 == self.steps_per_epoch
        if (epoch * self.steps_per_epoch + step + 1) % settings.log_every == 0 or last:
            count, spent = len(self._losses), time.perf_counter() - self._began
            self.folder.metric(
                kind="train",
                epoch=epoch,
                step=step,
                loss=math.fsum(self._losses) / count,
                lr=rate,
                reader_cost=round(self._reading / count, 6),
                batch_cost=round(spent / count, 6),
            )
            self._losses, self._reading, self._began = [], 0.0, time.perf_counter()
        if last and ((epoch + 1) % settings.validate_every == 0 or epoch + 1 == settings.epochs):
            poses = predict(self.twin, self.normalize, self.evaluator, self.recipe)
            file = self.folder.root / "predictions.json"
            self.evaluator.write(poses, file, recipe=self.recipe.name)
            self._scores = self.evaluator.score(self.evaluator.read(file)).values
            rounded = {name: round(value, 4) for name, value in self._scores.items()}
            self.folder.metric(kind="eval", epoch=epoch, **rounded)
            tqdm.write(f"[EVAL] epoch: {epoch + 1} Mean={self._scores['Mean']:.3f}")
            self._began = time.perf_counter()
        self._mark = time.perf_counter()

    def finish(self) -> None:
        """The last scores into record.json."""
        record_now = self.folder.read_record()
        result = {"finished": record.now(), "last": self._scores}
        self.folder.write_record({**record_now, "result": result})
