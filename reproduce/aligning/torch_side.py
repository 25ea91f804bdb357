"""The child process that runs a clone of an official repository: ``python torch_side.py FOLDER``.

It needs PyTorch and NumPy (OpenCV and SciPy for decoding, targets and the metric; mmengine and
mmcv-lite for mmpose) and nothing of this project. FOLDER holds ``job.json`` (what to run),
``weights.npz`` (official names) and ``inputs.npz``; the answers go there as ``answers.npz`` and
``answers.json``.
"""

from __future__ import annotations

import importlib
import json
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

SAMPLE = 20_000
"""Values of a tensor that are kept, evenly spread; whole networks would fill the memory."""


class Config(dict):
    """A configuration whose keys are attributes too, as the official code reads it."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError as error:
            raise AttributeError(name) from error


def config_of(value: Any) -> Any:
    """Nested dictionaries as Config."""
    if isinstance(value, dict):
        return Config({key: config_of(item) for key, item in value.items()})
    return [config_of(item) for item in value] if isinstance(value, list) else value


def package(name: str, folder: Path) -> None:
    """An empty package at a folder, so that its own ``__init__`` and what that needs is not run."""
    module = types.ModuleType(name)
    module.__path__ = [str(folder)]
    sys.modules[name] = module


class ChannelsLast(nn.Module):
    """princeton's network, which takes (B, H, W, 3) and stacks its outputs."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, images_BCHW: torch.Tensor) -> list[torch.Tensor]:
        """(B, 3, H, W) -> one (B, J, H/4, W/4) per stack."""
        return list(self.inner(images_BCHW.permute(0, 2, 3, 1)).unbind(1))


class BackboneAndHead(nn.Module):
    """mmpose's backbone with the 1×1 convolution that its head comes down to for one stack.

    Names are those of the published 0.x checkpoints. The head begins as PyTorch has it, not mmpose.
    """

    def __init__(self, backbone: nn.Module, joints: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.keypoint_head = nn.Module()
        self.keypoint_head.multi_final_layers = nn.ModuleList([nn.Conv2d(256, joints, 1)])

    def forward(self, images_BCHW: torch.Tensor) -> list[torch.Tensor]:
        """(B, 3, H, W) -> one (B, J, H/4, W/4) per stack."""
        heads = self.keypoint_head.multi_final_layers
        return [head(x) for head, x in zip(heads, self.backbone(images_BCHW), strict=True)]


def build(job: dict[str, Any]) -> nn.Module:
    """The official network, initialised as its own code does it."""
    clone, kind = Path(job["clone"]), job["kind"]
    if kind in ("hrnet", "simple_baseline"):
        sys.path.insert(0, str(clone / "lib"))
        config = config_of(job["config"])
        config.MODEL.setdefault("STYLE", "pytorch")  # Microsoft's lib/core/config.py:58
        # Microsoft's code can only begin from ImageNet weights.
        config.MODEL["INIT_WEIGHTS"], config.MODEL["PRETRAINED"] = kind == "hrnet", ""
        module = importlib.import_module(f"models.{config.MODEL.NAME}")
        return module.get_pose_net(config, is_train=True)
    if kind == "princeton":
        sys.path.insert(0, str(clone))
        posenet = importlib.import_module("models.posenet")
        return posenet.PoseNet(job["stacks"], 256, job["joints"], bn=False, increase=0)
    if kind == "bearpaw":
        return importlib.import_module("bearpaw_side").build(job, package)
    if kind == "alphapose":
        side = importlib.import_module("alphapose_side")
        return side.build(clone, config_of(job["config"]), package)
    if job["what"] == "pose_resnet50_vis":
        return importlib.import_module("visibility_side").build(clone, package)
    package("mmpose", clone / "mmpose")
    package("mmpose.models", clone / "mmpose/models")
    package("mmpose.models.backbones", clone / "mmpose/models/backbones")
    hourglass = importlib.import_module("mmpose.models.backbones.hourglass")
    backbone = hourglass.HourglassNet(num_stacks=job["stacks"])
    backbone.init_weights()
    return BackboneAndHead(backbone, job["joints"])


def as_stages(network: nn.Module, kind: str) -> nn.Module:
    """The network as one that gives a list of heat maps."""
    return ChannelsLast(network) if kind == "princeton" else network


def outputs_of(network: nn.Module, images: torch.Tensor) -> list[torch.Tensor]:
    """Heat maps of every stage."""
    outputs = network(images)
    return outputs if isinstance(outputs, list) else [outputs]


def loss_of(job: dict[str, Any]) -> Any:
    """The repository's own loss, as a function of (outputs, targets, weights)."""
    if job["kind"] == "princeton":
        criterion = importlib.import_module("task.loss").HeatmapLoss()

        def heatmap_loss(outputs: list, targets: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
            return torch.mean(torch.stack([criterion(out, targets) for out in outputs], dim=1))

        return heatmap_loss
    if job["kind"] == "mmpose":  # its loss is twice HRNet's, which this project uses
        package("mmpose.models.losses", Path(job["clone"]) / "mmpose/models/losses")
        losses = importlib.import_module("mmpose.models.losses.heatmap_loss")
        criterion = losses.KeypointMSELoss(use_target_weight=True)
        return lambda outputs, targets, weights: sum(
            0.5 * criterion(out, targets, weights) for out in outputs
        )
    if job["kind"] == "bearpaw":  # example/main.py:201
        criterion = importlib.import_module("pose.losses.jointsmseloss").JointsMSELoss()
        return lambda outputs, targets, weights: sum(
            criterion(out, targets, weights[:, :, None]) for out in outputs
        )
    if job["kind"] == "alphapose":  # scripts/train.py:53

        def masked(outputs: list, targets: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
            seen = weights[:, :, None, None]
            return 0.5 * nn.MSELoss()(outputs[-1] * seen, targets * seen)

        return masked
    sys.path.insert(0, str(Path(job["clone"]) / "lib"))
    core = Path(job["clone"]) / "lib/core"
    package("core", core)
    criterion = importlib.import_module("core.loss").JointsMSELoss(use_target_weight=True)
    return lambda outputs, targets, weights: sum(
        criterion(out, targets, weights[:, :, None]) for out in outputs
    )


def load(network: nn.Module, weights: dict[str, np.ndarray]) -> list[str]:
    """Set weights by name; returns the network's names that got none."""
    own = network.state_dict()
    unknown = [name for name in weights if name not in own]
    if unknown:
        raise SystemExit(f"the official network has no {unknown[:5]}")
    with torch.no_grad():
        for name, array in weights.items():
            if tuple(own[name].shape) != array.shape:
                raise SystemExit(f"{name}: {tuple(own[name].shape)}, exported {array.shape}")
            own[name].copy_(torch.from_numpy(array))
    return [n for n in own if n not in weights and not n.endswith("num_batches_tracked")]


def sample(array: np.ndarray) -> np.ndarray:
    """Up to SAMPLE values, evenly spread."""
    flat = array.ravel()
    return flat[:: max(1, -(-len(flat) // SAMPLE))].copy()


def train(
    network: nn.Module, job: dict[str, Any], arrays: dict[str, np.ndarray], images: np.ndarray
) -> dict[str, np.ndarray]:
    """Steps on one batch: losses, first gradients, tensors after the first step, last maps."""
    kind, dtype = job["kind"], next(network.parameters()).dtype
    stages = as_stages(network, kind)
    criterion = getattr(network, "criterion", None) or loss_of(job)
    batch = [torch.from_numpy(a).to(dtype) for a in (images, arrays["targets"], arrays["weights"])]
    adam = getattr(torch.optim, job["optimizer"])(network.parameters(), lr=job["rate"])
    answers, losses = {}, []
    network.train()
    for step in range(1 if dtype == torch.float32 else job["steps"]):
        outputs = outputs_of(stages, batch[0])
        loss = criterion(outputs, *batch[1:])
        adam.zero_grad()
        loss.backward()
        losses.append(float(loss.detach()))
        if step == 0:
            answers["maps"] = outputs[-1].detach().numpy()
            for name, parameter in network.named_parameters():
                if parameter.grad is not None:
                    answers[f"gradient/{name}"] = sample(parameter.grad.numpy())
                    answers[f"norm/{name}"] = np.array(float(parameter.grad.double().norm()))
        adam.step()
        if step == 0:
            for name, value in network.state_dict().items():
                answers[f"after/{name}"] = sample(value.numpy())
    with torch.no_grad():  # in training mode, as the other side
        answers["last"] = outputs_of(stages, batch[0])[-1].numpy()
    answers["losses"] = np.array(losses)
    return answers


def hold_epsilon_in_float32(network: nn.Module) -> None:
    """Of every batch norm: as Paddle's kernels have it, also where they compute in float64."""
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.eps = float(np.float32(layer.eps))


def run_network(job: dict[str, Any], folder: Path) -> tuple[dict[str, np.ndarray], list[str]]:
    """Everything that the network itself answers, in each asked precision."""
    weights = dict(np.load(folder / "weights.npz"))
    arrays = dict(np.load(folder / "inputs.npz"))
    answers: dict[str, np.ndarray] = {}
    without: list[str] = []
    for run in ("float64", "perturbed", "float32"):
        dtype = torch.float32 if run == "float32" else torch.float64
        network = build(job).to(dtype)
        without = load(network, weights)
        network.eval()
        noise = 1 + 1e-13 * np.random.RandomState(1).standard_normal(arrays["train_images"].shape)
        images = arrays["train_images"] * (noise if run == "perturbed" else 1)
        if run == "perturbed":
            hold_epsilon_in_float32(network)
        if run != "perturbed":
            with torch.no_grad():
                maps = outputs_of(
                    as_stages(network, job["kind"]), torch.from_numpy(arrays["images"]).to(dtype)
                )
            names = job.get("outputs", range(len(maps)))
            answers |= {
                f"{run}/forward/{name}": out.numpy() for name, out in zip(names, maps, strict=True)
            }
        for name, array in train(network, job, arrays, images).items():
            answers[f"{run}/{name}"] = array
    if job["kind"] == "simple_baseline":
        return answers, without
    torch.manual_seed(job["seed"])
    for name, value in build(job).state_dict().items():
        if not name.startswith("keypoint_head.") and name.startswith(job.get("first", "")):
            answers[f"first/{name}"] = sample(value.numpy())
    return answers, without


def schedule(job: dict[str, Any]) -> np.ndarray:
    """Rate of every epoch by PyTorch's scheduler, stepped after each epoch."""
    settings = job["config"]["TRAIN"]
    weight = nn.Parameter(torch.zeros(1))
    adam = torch.optim.Adam([weight], lr=settings["LR"])
    scheduler = torch.optim.lr_scheduler.MultiStepLR(
        adam, settings["LR_STEP"], settings["LR_FACTOR"]
    )
    rates = []
    for _ in range(settings["END_EPOCH"]):
        rates.append(adam.param_groups[0]["lr"])
        adam.step()
        scheduler.step()
    return np.array(rates)


def run_pipeline(job: dict[str, Any], folder: Path) -> dict[str, np.ndarray]:
    """HRNet's matrices, targets, decoding, flip test, PCKh and OKS-NMS on the given arrays."""
    arrays = dict(np.load(folder / "inputs.npz"))
    lib = Path(job["clone"]) / "lib"
    sys.path.insert(0, str(lib))
    for name in ("core", "dataset", "nms", "utils"):
        package(name, lib / name)
    for name in ("nms.cpu_nms", "nms.gpu_nms"):  # compiled box suppression, not used here
        stub = types.ModuleType(name)
        stub.cpu_nms = stub.gpu_nms = None
        sys.modules[name] = stub
    sys.modules.setdefault("json_tricks", json)
    transforms = importlib.import_module("utils.transforms")
    inference = importlib.import_module("core.inference")
    joints_dataset = importlib.import_module("dataset.JointsDataset").JointsDataset
    config = config_of({"TEST": {"POST_PROCESS": True}})
    answers = {
        "matrices": np.stack(
            [
                transforms.get_affine_transform(center, scale, rotation, job["size_wh"])
                for center, scale, rotation in zip(
                    arrays["centers"], arrays["scales"], arrays["rotations"], strict=True
                )
            ]
        )
    }
    painter = types.SimpleNamespace(
        num_joints=arrays["joints"].shape[1],
        target_type="gaussian",
        heatmap_size=np.array(job["size_wh"]) // 4,
        image_size=np.array(job["size_wh"]),
        sigma=2,
        use_different_joints_weight=False,
    )
    pairs = [
        joints_dataset.generate_target(painter, joints, visible)
        for joints, visible in zip(arrays["joints"], arrays["visible"], strict=True)
    ]
    answers["targets"] = np.stack([target for target, _ in pairs])
    answers["target_weights"] = np.stack([weight for _, weight in pairs])
    maps, flipped = arrays["maps"], arrays["flipped"]
    answers["coords"], answers["maxima"] = inference.get_max_preds(maps)
    people = arrays["centers"][: len(maps)], arrays["scales"][: len(maps)]
    answers["preds"], _ = inference.get_final_preds(config, maps.copy(), *people)
    back = transforms.flip_back(flipped.copy(), job["flip_pairs"]).copy()
    back[:, :, :, 1:] = back.copy()[:, :, :, 0:-1]
    merged = (maps + back) * 0.5
    answers["flip_preds"], answers["flip_maxima"] = inference.get_final_preds(
        config, merged, *people
    )
    mpii = importlib.import_module("dataset.mpii").MPIIDataset
    root = config_of({"DATASET": {"ROOT": str(folder), "TEST_SET": "valid"}})
    scores, _ = mpii.evaluate(None, root, arrays["predictions"], None)
    answers["pckh"] = np.array([float(value) for value in scores.values()])
    suppress = importlib.import_module("nms.nms").oks_nms
    records = [
        {"keypoints": pose, "score": float(score), "area": float(area)}
        for pose, score, area in zip(
            arrays["poses"], arrays["pose_scores"], arrays["pose_areas"], strict=True
        )
    ]
    answers["kept"] = np.array(suppress(records, 0.5), int)
    return answers


def main() -> None:
    """Run the job of the folder given on the command line."""
    folder = Path(sys.argv[1])
    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    torch.set_num_threads(job["threads"])
    without: list[str] = []
    if job["what"] == "pipeline":
        answers = run_pipeline(job, folder)
    elif job["what"] == "challenger":
        answers = importlib.import_module("mmpose_side").challenger(job, folder, package)
    elif job["what"] == "visibility":
        answers = importlib.import_module("visibility_side").visibility(job, folder, package)
    elif job["what"] == "half":
        answers = importlib.import_module("half_side").half(job, folder, build, load, outputs_of)
    elif job["what"] == "newell":
        answers = importlib.import_module("princeton_side").newell(job, folder)
    elif job["what"] == "lightweight":
        answers = importlib.import_module("lightweight_side").lightweight(job, folder)
    elif job["what"] == "bearpaw":
        answers = importlib.import_module("bearpaw_side").everything(job, folder, package)
    else:
        answers, without = run_network(job, folder)
        if "config" in job and job["kind"] != "alphapose":  # whose rates begin again
            answers["schedule"] = schedule(job)
    np.savez(folder / "answers.npz", **answers)
    facts = {"torch": torch.__version__, "numpy": np.__version__, "without_weights": without}
    (folder / "answers.json").write_text(json.dumps(facts), encoding="utf-8")


if __name__ == "__main__":
    main()
