"""The training of the packaged weights: one step, augmentation included, is one CUDA graph.

Read by ``packaged_torch.py``, which says what this is a cleaned form of.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from tqdm import tqdm

from paddle_pose.errors import UserError
from paddle_pose.files import append_line, json_text, write_json
from paddle_pose.recipes.recipe import Recipe, dump_yaml
from paddle_pose.skeletons import MPII16
from reproduce.packaged_torch import ENLARGED, STORED_PX
from reproduce.twins_torch import cell_cross_entropy, official

ROTATION_REACH = SHIFT_REACH = 2
"""Normal draws end at so many deviations; those of the scale at one, as in HRNet's loader."""

LOWEST_RATE, REACH = 1e-6, 3
"""Of the learning rate; of the Gaussian target, in sigmas."""

AVERAGE_RISE = 9.0
"""The average keeps step / (step + 9) at first, so that chance leaves it soon."""


@dataclass(frozen=True)
class Photos:
    """What ``prepare`` wrote, on the device.

    Attributes:
        images: (N, 3, S, S) uint8 RGB.
        joints_xy: (N, J, 2) in their pixels.
        visible: (N, J).
        heads: (N,) head sizes in their pixels; None of the training photos.
    """

    images: torch.Tensor
    joints_xy: torch.Tensor
    visible: torch.Tensor
    heads: torch.Tensor | None

    @classmethod
    def read(cls, file: Path, device: torch.device) -> Photos:
        """Decode all; Raises UserError where ``prepare`` did not write it."""
        import cv2

        try:
            content = dict(np.load(file))
            ends = np.cumsum(content["sizes"])[:-1]
            joints_xy, visible = content["joints_xy"], content["visible"]
            codes = np.split(content["codes"], ends)
        except (OSError, ValueError, KeyError) as error:
            raise UserError(f"{file}: prepare did not write it ({error})") from error
        with ThreadPoolExecutor() as pool:
            decoded = list(pool.map(lambda code: cv2.imdecode(code, cv2.IMREAD_COLOR), codes))
        pixels = torch.from_numpy(np.stack(decoded)[..., ::-1].copy()).to(device)
        heads = torch.from_numpy(content["heads"]).to(device) if "heads" in content else None
        return cls(
            pixels.permute(0, 3, 1, 2).contiguous(),
            torch.from_numpy(joints_xy).to(device),
            torch.from_numpy(visible).to(device),
            heads,
        )


class Crops:
    """Inputs, targets and weights from stored squares, by the recipe."""

    def __init__(self, recipe: Recipe, device: torch.device) -> None:
        self.recipe, self.device = recipe, device
        self.width = recipe.data.image_size_wh[0]
        self.cells = self.width // recipe.codec.stride
        self.box_px = STORED_PX / ENLARGED
        self.order = torch.tensor(MPII16.flip_order.tolist(), device=device)
        self._mean = torch.tensor(recipe.data.rgb_mean, device=device).view(1, 3, 1, 1)
        self._std = torch.tensor(recipe.data.rgb_std, device=device).view(1, 3, 1, 1)

    def normal(self, count: int, deviation: float, reach: float) -> torch.Tensor:
        """Draws that end at so many deviations."""
        return torch.randn(count, device=self.device).clamp(-reach, reach) * deviation

    def normalized(self, pixels: torch.Tensor) -> torch.Tensor:
        """Pixels from 0 to 255 as the network takes them."""
        values = (pixels.clamp(0, 255) / 255 - self._mean) / self._std
        return values.contiguous(memory_format=torch.channels_last)

    def cut(self, images: torch.Tensor, matrices: torch.Tensor) -> torch.Tensor:
        """Where ``matrices`` (B, 2, 3) lead from input pixels to stored ones; zeros outside."""
        steps = torch.arange(self.width, device=self.device, dtype=torch.float32)
        y, x = torch.meshgrid(steps, steps, indexing="ij")
        grid = torch.stack([x, y, torch.ones_like(x)], -1).view(1, -1, 3) @ matrices.mT
        grid = grid.view(len(images), self.width, self.width, 2) * (2 / (STORED_PX - 1)) - 1
        return F.grid_sample(
            images.float(), grid, mode="bilinear", padding_mode="zeros", align_corners=True
        )

    def drawn(self, photos: Photos, index: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Inputs, targets (B, J, h, w) and weights (B, J) of a batch, newly augmented."""
        augment, count = self.recipe.augment, len(index)
        joints_xy, visible = photos.joints_xy[index], photos.visible[index]
        scale = 1 + self.normal(count, augment.scale_factor, 1)
        angle = self.normal(count, augment.rotation_deg, ROTATION_REACH) * math.pi / 180
        angle = angle * (torch.rand(count, device=self.device) <= augment.rotation_probability)
        flip = torch.rand(count, device=self.device) < augment.flip_probability
        shift = torch.stack(
            [self.normal(count, augment.shift_factor, SHIFT_REACH) for _ in range(2)], 1
        )
        # From input pixels to stored ones: turned and scaled about the two centres.
        factor, cos, sin = scale * self.box_px / self.width, torch.cos(angle), torch.sin(angle)
        center = STORED_PX / 2 + shift * scale.view(-1, 1) * self.box_px
        turn = torch.stack([cos, -sin, sin, cos], 1).view(-1, 2, 2)
        linear = turn * factor.view(-1, 1, 1)
        middle = torch.full((2, 1), self.width / 2, device=self.device)
        moved = center - (linear @ middle).squeeze(-1)
        images = self.cut(photos.images[index], torch.cat([linear, moved.unsqueeze(-1)], 2))
        joints_xy = (joints_xy - moved.unsqueeze(1)) @ turn / factor.view(-1, 1, 1)
        images = torch.where(flip.view(-1, 1, 1, 1), images.flip(3), images)
        mirrored = joints_xy[:, self.order].clone()
        mirrored[..., 0] = self.width - 1 - mirrored[..., 0]
        joints_xy = torch.where(flip.view(-1, 1, 1), mirrored, joints_xy)
        visible = torch.where(flip.view(-1, 1), visible[:, self.order], visible)
        color = torch.rand(count, 3, 1, 1, device=self.device) * 2 - 1
        images = images * (1 + color * augment.color_jitter)
        return self.normalized(images), *self.targets(joints_xy, visible)

    def targets(
        self, joints_xy: torch.Tensor, visible: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Gaussians around the nearest cells; weight 0 where one would be cut off."""
        sigma = self.recipe.codec.sigma_px
        cell, reach = (joints_xy / self.recipe.codec.stride + 0.5).floor(), REACH * sigma
        inside = ((cell + reach >= 0) & (cell - reach < self.cells)).all(-1)
        steps = torch.arange(self.cells, device=self.device, dtype=torch.float32)
        squares = [(steps.view(1, 1, -1) - cell[..., axis, None]) ** 2 for axis in range(2)]
        x, y = (torch.exp(-q / (2 * sigma**2)) * (q <= reach**2) for q in squares)
        return y.unsqueeze(-1) * x.unsqueeze(-2), visible * inside


class Trainer:
    """Network, its average, optimizer, and a step that can be captured."""

    def __init__(self, recipe: Recipe, reference: Path, photos: Photos, device: torch.device):
        self.crops, self.photos, self.device = Crops(recipe, device), photos, device
        twins = [official(recipe, reference) for _ in range(2)]
        self.source = twins[0].source
        self.network, self.average = (
            twin.network.to(device).to(memory_format=torch.channels_last) for twin in twins
        )
        self.average.load_state_dict(self.network.state_dict())
        self.average.eval()
        self.network.train()
        self.rate, self.share = (torch.tensor(0.0, device=device) for _ in range(2))
        on_gpu = device.type == "cuda"
        self._optimizer = torch.optim.Adam(
            self.network.parameters(), lr=self.rate, fused=on_gpu, capturable=on_gpu
        )
        both = zip(
            self.network.state_dict().values(), self.average.state_dict().values(), strict=True
        )
        pairs = [(own, kept) for own, kept in both if own.dtype.is_floating_point]
        self._own, self._kept = [own for own, _ in pairs], [kept for _, kept in pairs]
        self.index = torch.zeros(recipe.train.batch_size, dtype=torch.long, device=device)
        self.loss = torch.zeros((), device=device)

    def step(self) -> None:
        """One update of the network and of its average from the people in ``index``."""
        images, targets, weights = self.crops.drawn(self.photos, self.index)
        self._optimizer.zero_grad(set_to_none=True)
        with torch.autocast(self.device.type, torch.bfloat16, cache_enabled=False):
            outputs = self.network(images.permute(0, 2, 3, 1))
        stacks = outputs.unbind(1)
        loss = torch.stack([cell_cross_entropy(one, targets, weights) for one in stacks]).sum()
        loss.backward()
        self._optimizer.step()
        with torch.no_grad():
            self.loss.add_(loss.detach())
            change = torch._foreach_sub(self._own, self._kept)
            torch._foreach_mul_(change, self.share)
            torch._foreach_add_(self._kept, change)

    def captured(self) -> Callable[[], None]:
        """``step`` as a CUDA graph, after three steps at rate zero; itself on a CPU."""
        if self.device.type != "cuda":
            return self.step
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                self.step()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self.step()
        return graph.replay

    @torch.no_grad()
    def validate(self, valid: Photos, people: int = 100) -> dict[str, float]:
        """PCKh at 0.5 and 0.1 of the average: rougher than ``val.py``, on stored squares."""
        crops, width = self.crops, self.crops.width
        scale = crops.box_px / width
        corner = STORED_PX / 2 - scale * width / 2
        matrix = torch.tensor([[scale, 0, corner], [0, scale, corner]], device=self.device)
        counted = [name not in ("pelvis", "thorax") for name in MPII16.joints]
        right, total = torch.zeros(2, device=self.device), torch.zeros((), device=self.device)
        for first in range(0, len(valid.images), people):
            rows = slice(first, first + people)
            images = crops.cut(valid.images[rows], matrix.expand(len(valid.images[rows]), 2, 3))
            images = crops.normalized(images.round())
            mirrored = self._cells(images.flip(3)).flip(3)[:, crops.order]
            mirrored[..., 1:] = mirrored[..., :-1].clone()
            places = peaks((self._cells(images) + mirrored) / 2) * crops.recipe.codec.stride
            apart = (places * scale + corner - valid.joints_xy[rows]).norm(dim=-1)
            apart = apart / valid.heads[rows, None]
            seen = valid.visible[rows] * torch.tensor(counted, device=self.device)
            total += seen.sum()
            right += torch.stack([((apart <= most) * seen).sum() for most in (0.5, 0.1)])
        half, tenth = (round(100 * float(share), 2) for share in right / total)
        return {"Mean": half, "Mean@0.1": tenth}

    def _cells(self, images: torch.Tensor) -> torch.Tensor:
        outputs = self.average(images.permute(0, 2, 3, 1))[:, -1].float()
        return outputs.flatten(2).softmax(-1).view_as(outputs)


def peaks(maps: torch.Tensor) -> torch.Tensor:
    """(B, J, 2) maxima in cells, moved to the top of the parabola through the logarithms."""
    cells = maps.shape[-1]
    found = maps.flatten(2).argmax(-1)
    x, y = found % cells, found // cells
    padded = F.pad(maps.clamp(min=1e-10).log(), (1, 1, 1, 1), mode="replicate").flatten(2)
    at = (y + 1) * (cells + 2) + x + 1

    def moved(step: int) -> torch.Tensor:
        low, top, high = (
            padded.gather(2, (at + offset).unsqueeze(-1)).squeeze(-1) for offset in (-step, 0, step)
        )
        bend = high - 2 * top + low
        return torch.where(bend < 0, ((low - high) / 2 / bend).clamp(-0.5, 0.5), 0.0)

    return torch.stack([x + moved(1), y + moved(cells + 2)], -1)


def train(
    recipe: Recipe,
    *,
    photos: Path,
    reference: Path,
    output: Path,
    device: str,
    seconds: float,
    max_steps: int | None = None,
    validate_every_s: float = 45.0,
) -> None:
    """Train for so long; ``model.pt`` (the average), record, curve. The rate follows the clock.

    Raises:
        UserError: files that cannot be used, or no CUDA where it is asked for.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda: there is none here; cpu tries the mechanics")
    target = torch.device(device)
    torch.manual_seed(recipe.seed)
    torch.backends.cudnn.benchmark = True
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    people, valid = (Photos.read(photos / f"{split}.npz", target) for split in ("train", "valid"))
    trainer = Trainer(recipe, reference, people, target)
    output.mkdir(parents=True, exist_ok=True)
    count, size, settings = len(people.images), recipe.train.batch_size, recipe.train
    if count < size:
        raise UserError(f"{photos}: {count} people are fewer than a batch of {size}")
    curve, run_step = output / "metrics.jsonl", trainer.captured()
    curve.unlink(missing_ok=True)
    trainer.loss.zero_()
    step = at = steps_of_line = 0
    order = torch.randperm(count, device=target)
    began, due = time.monotonic(), validate_every_s

    def line(rate: float) -> dict[str, Any]:
        passed, epoch = time.monotonic() - began, step * size / count
        loss = float(trainer.loss / max(steps_of_line, 1))
        facts = {"seconds": round(passed, 1), "step": step, "epoch": round(epoch, 2), "lr": rate}
        found = facts | {"loss": loss} | trainer.validate(valid)
        append_line(curve, json_text({"kind": "eval", **found}, indent=None))
        tqdm.write(str(found))
        trainer.loss.zero_()
        return found

    while True:
        passed = (time.monotonic() - began) / seconds
        if passed >= 1 or step == max_steps:
            break
        warm = min(1, (step + 1) / settings.warmup_steps)
        cosine = (1 + math.cos(math.pi * passed)) / 2
        rate = max(settings.learning_rate * warm * cosine, LOWEST_RATE)
        if at + size > count:
            order, at = torch.randperm(count, device=target), 0
        trainer.index.copy_(order[at : at + size])
        trainer.rate.fill_(rate)
        trainer.share.fill_(1 - min(settings.ema_decay, step / (step + AVERAGE_RISE)))
        run_step()
        at, step, steps_of_line = at + size, step + 1, steps_of_line + 1
        if step % 10 == 0 and target.type == "cuda":
            torch.cuda.synchronize()  # or the clock runs ahead of the device
        if time.monotonic() - began > due:
            line(rate)
            due, steps_of_line = due + validate_every_s, 0
    last = line(0.0)
    state = {name: one.contiguous().cpu() for name, one in trainer.average.state_dict().items()}
    torch.save({"epoch": last["epoch"], "state_dict": state}, output / "model.pt")
    name = torch.cuda.get_device_name() if target.type == "cuda" else "cpu"
    facts = {"framework": f"torch {torch.__version__}", "device": name, "steps": step}
    facts |= {"seconds": seconds, "official": trainer.source, "last": last}
    write_json(output / "record.json", facts)
    (output / "recipe.yaml").write_text(dump_yaml(recipe), encoding="utf-8")
    print(f"=> {output / 'model.pt'}: {step} steps, PCKh@0.5 {last['Mean']} (rough)")
