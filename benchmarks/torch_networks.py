"""PyTorch's side: the official networks, stepped and run as their own training code does."""

from __future__ import annotations

import importlib
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks import official
from benchmarks.worker import SkippedError, Work

HRNET_EXPERIMENTS = {
    "w32_mpii_256x256": "mpii/hrnet/w32_256x256_adam_lr1e-3.yaml",
    "w32_coco_256x192": "coco/hrnet/w32_256x192_adam_lr1e-3.yaml",
    "w48_coco_384x288": "coco/hrnet/w48_384x288_adam_lr1e-3.yaml",
}


class Hourglass52(torch.nn.Module):
    """mmpose's backbone with the one convolution that its head is in this configuration.

    Source: open-mmlab/mmpose configs/…/mpii/td-hm_hourglass52_8xb64-210e_mpii-256x256.py @759b39c
    """

    def __init__(self, clone: str, joints: int) -> None:
        super().__init__()
        backbone = official.mmpose_module(clone, "mmpose.models.backbones.hourglass")
        self.backbone = backbone.HourglassNet(num_stacks=1)
        self.head = torch.nn.Conv2d(256, joints, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) -> (B, J, H/4, W/4)."""
        return self.head(self.backbone(images)[-1])


def official_network(
    family: str, experiment: str, clone: str, joints: int
) -> tuple[torch.nn.Module, Callable[..., torch.Tensor], str]:
    """Network, its own loss as ``loss(output, target, weight_BJ1)``, repository and commit."""
    commit = official.commit(Path(clone))
    if family == "hrnet":
        config = official.hrnet_config(clone, HRNET_EXPERIMENTS[experiment])
        network = official.hrnet_module(clone, "models.pose_hrnet").get_pose_net(config, False)
        loss = official.hrnet_module(clone, "core.loss").JointsMSELoss(use_target_weight=True)
        return network, loss, f"deep-high-resolution-net.pytorch @{commit}"
    if family == "newell":
        module = official.newell_module(clone, "models.posenet")
        network = module.PoseNet(nstack=2, inp_dim=256, oup_dim=joints, bn=False, increase=0)

        def stacks_loss(output: torch.Tensor, target: torch.Tensor, _: object) -> torch.Tensor:
            return network.calc_loss([output], target).mean()

        return network, stacks_loss, f"pytorch_stacked_hourglass @{commit}"
    if family == "hourglass52":
        network = Hourglass52(clone, joints)
        losses = importlib.import_module("mmpose.models.losses.heatmap_loss")
        mse = losses.KeypointMSELoss(use_target_weight=True)
        return network, lambda o, t, w: mse(o, t, w[..., 0]), f"mmpose @{commit}"
    raise SkippedError(f"no official network for {family}")


def _batch(family: str, size_wh: list[int], batch: int, joints: int) -> tuple[torch.Tensor, ...]:
    torch.manual_seed(0)
    width, height = size_wh
    shape = (batch, height, width, 3) if family == "newell" else (batch, 3, height, width)
    images = torch.randn(*shape)
    targets = torch.rand(batch, joints, height // 4, width // 4)
    return images, targets, torch.ones(batch, joints, 1)


def _facts(source: str, bfloat16: bool = False) -> dict[str, Any]:
    made = {"torch": torch.__version__, "threads": torch.get_num_threads(), "official": source}
    return {**made, "precision": "bfloat16" if bfloat16 else "float32"}


def training_step(
    family: str,
    experiment: str,
    clone: str,
    size_wh: list[int],
    batch: int,
    joints: int,
    bfloat16: bool = False,
    channels_last: bool = False,
) -> Work:
    """Forward, loss, backward, Adam, and the loss read, on a batch that is already normalised.

    ``bfloat16``: by autocast. ``channels_last``: weights and images.
    """
    network, loss_of, source = official_network(family, experiment, clone, joints)
    network.train()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    images, targets, weights = _batch(family, size_wh, batch, joints)
    network, images = _laid_out(network, images, family, channels_last)

    def run() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            output = network(images)
        loss = loss_of(output.float() if bfloat16 else output, targets, weights)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss.item()

    return Work(run, units=batch, facts=_facts(source, bfloat16))


def _laid_out(
    network: torch.nn.Module, images: torch.Tensor, family: str, channels_last: bool
) -> tuple[torch.nn.Module, torch.Tensor]:
    """Both channels-last where that is asked; princeton-vl's network is given (B, H, W, 3)."""
    if not channels_last:
        return network, images
    if family != "newell":
        images = images.contiguous(memory_format=torch.channels_last)
    return network.to(memory_format=torch.channels_last), images


def forward_with_flip(
    family: str,
    experiment: str,
    clone: str,
    size_wh: list[int],
    batch: int,
    joints: int,
    bfloat16: bool = False,
    channels_last: bool = False,
) -> Work:
    """The plain and the mirrored batch one after the other, as the official code does."""
    network, _, source = official_network(family, experiment, clone, joints)
    network.eval()
    images, _, _ = _batch(family, size_wh, batch, joints)
    network, images = _laid_out(network, images, family, channels_last)
    width_axis = 2 if family == "newell" else 3

    @torch.no_grad()
    def run() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            network(images).float().numpy()
            network(images.flip(width_axis)).float().numpy()

    return Work(run, units=batch, facts=_facts(source, bfloat16))


def _equal_layer(about: dict[str, Any]) -> torch.nn.Module:
    """One of what ``equal_layers`` lists."""
    if about["kind"] == "batch_norm":
        norm = torch.nn.BatchNorm2d(about["channels"])
        return torch.nn.Sequential(norm, torch.nn.ReLU(inplace=True)) if about["relu"] else norm
    if about["kind"] == "upsample":
        return torch.nn.Upsample(scale_factor=about["factor"])
    turned = about["kind"] == "transposed"
    kind = torch.nn.ConvTranspose2d if turned else torch.nn.Conv2d
    settings = {name: about[name] for name in ("stride", "padding", "bias")}
    return kind(about["channels"], about["out"], about["kernel"], **settings)


class _EqualLayers:
    """Every layer on an input of its own size, one after the other."""

    def __init__(
        self,
        python: str,
        recipe: str,
        size_wh: list[int],
        batch: int,
        bfloat16: bool = False,
        channels_last: bool = False,
    ) -> None:
        self.bfloat16, self.channels_last = bfloat16, channels_last
        size = [str(side) for side in reversed(size_wh)]
        command = [python, "-m", "benchmarks.equal_layers", recipe, *size]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode:
            said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
            raise SkippedError(f"equal_layers: {said[-1]}")
        listed = json.loads(done.stdout.splitlines()[-1])
        self.layers = torch.nn.ModuleList(map(_equal_layer, listed))
        self._shapes = [(batch, about["channels"], *about["size"]) for about in listed]
        if channels_last:
            self.layers = self.layers.to(memory_format=torch.channels_last)
        self._values = {shape: self._random(shape) for shape in self._shapes}

    def _random(self, shape: tuple[int, ...]) -> torch.Tensor:
        values = torch.randn(shape).to(torch.bfloat16 if self.bfloat16 else torch.float32)
        kept = torch.channels_last if self.channels_last else torch.contiguous_format
        return values.contiguous(memory_format=kept)

    def forward(self) -> None:
        """Outputs are dropped at once."""
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bfloat16):
            for layer, shape in zip(self.layers, self._shapes, strict=True):
                layer(self._values[shape])

    def forward_and_backward(self) -> None:
        """The images get no gradient; every other input does."""
        for index, (layer, shape) in enumerate(zip(self.layers, self._shapes, strict=True)):
            with torch.autocast("cpu", torch.bfloat16, enabled=self.bfloat16):
                out = layer(self._values[shape].detach().requires_grad_(index > 0))
            made = tuple(out.shape)
            out.backward(self._values.setdefault(made, self._random(made)))


def equal_training_step(
    python: str,
    recipe: str,
    size_wh: list[int],
    batch: int,
    bfloat16: bool = False,
    channels_last: bool = False,
) -> Work:
    """Forward and backward of each layer, and Adam; settings as of ``training_step``."""
    network = _EqualLayers(python, recipe, size_wh, batch, bfloat16, channels_last)
    optimizer = torch.optim.Adam(network.layers.parameters(), lr=1e-3)

    def run() -> None:
        optimizer.zero_grad()
        network.forward_and_backward()
        optimizer.step()

    return Work(run, units=batch, facts=_facts("layers of equal shapes", bfloat16))


def equal_forward_with_flip(
    python: str,
    recipe: str,
    size_wh: list[int],
    batch: int,
    bfloat16: bool = False,
    channels_last: bool = False,
) -> Work:
    """Two batches one after the other, as the plain and the mirrored one."""
    network = _EqualLayers(python, recipe, size_wh, batch, bfloat16, channels_last)
    network.layers.eval()

    @torch.no_grad()
    def run() -> None:
        network.forward()
        network.forward()

    return Work(run, units=batch, facts=_facts("layers of equal shapes", bfloat16))


def matrix_product(size: int, dtype: str) -> Work:
    """One square product."""
    torch.manual_seed(0)
    left, right = torch.rand(2, size, size).to(getattr(torch, dtype))

    def run() -> None:
        float((left @ right)[0, 0])

    return Work(run, facts=_facts("torch.matmul") | {"multiply_adds": float(size) ** 3})
