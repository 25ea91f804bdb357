"""The child process that runs PaddleDetection's own code: ``python paddledet_side.py FOLDER``.

It needs what that code needs of Paddle, OpenCV and YAML. Its packages are imported one by one, not
all of its detectors; pycocotools is replaced by a reader of the same file where it is not there.
FOLDER holds ``job.json``, ``inputs.npz`` and ``mpii.json``; the answers go there as
``answers.npz`` and ``answers.json``, a network's weights as ``network.pdparams``.
"""

from __future__ import annotations

import copy
import importlib
import json
import sys
import types
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import yaml

SAMPLE = 20_000
"""Values of a tensor that are kept, evenly spread."""


class CocoFile:
    """What the loader asks of pycocotools' COCO."""

    def __init__(self, file: str) -> None:
        content = json.loads(Path(file).read_text(encoding="utf-8"))
        self.imgs = {image["id"]: image for image in content["images"]}
        self._anns = content["annotations"]

    def getImgIds(self) -> list[int]:
        """In the file's order."""
        return list(self.imgs)

    def loadImgs(self, image: int) -> list[dict]:
        """Of one number."""
        return [self.imgs[image]]

    def getAnnIds(self, imgIds: int, iscrowd: bool | None = None) -> list[int]:
        """Places of an image's people in the file."""
        return [
            place
            for place, one in enumerate(self._anns)
            if one["image_id"] == imgIds and (iscrowd is None or one["iscrowd"] == iscrowd)
        ]

    def loadAnns(self, places: list[int]) -> list[dict]:
        """Of these places."""
        return [self._anns[place] for place in places]


def prepare(clone: Path) -> None:
    """Empty packages, so that their own ``__init__`` and what that needs is not run."""
    for name in (
        *("", ".modeling", ".modeling.architectures", ".modeling.backbones", ".modeling.losses"),
        *(".data", ".data.transform", ".data.source", ".optimizer", ".utils"),
    ):
        module = types.ModuleType(f"ppdet{name}")
        module.__path__ = [str(clone / "ppdet" / name[1:].replace(".", "/"))]
        sys.modules[f"ppdet{name}"] = module
    unused = types.ModuleType("ppdet.modeling.post_process")
    unused.nms = None  # of detectors
    sys.modules["ppdet.modeling.post_process"] = unused
    try:
        importlib.import_module("pycocotools.coco")
    except ImportError:
        package, module = types.ModuleType("pycocotools"), types.ModuleType("pycocotools.coco")
        package.__path__, package.mask, module.COCO = [], None, CocoFile
        sys.modules |= {"pycocotools": package, "pycocotools.coco": module}


def config_of(clone: Path, name: str) -> dict[str, Any]:
    """A configuration of its folder; a tag of YAML becomes the key ``tag``."""
    loader = type("Loader", (yaml.SafeLoader,), {})
    loader.add_multi_constructor(
        "!", lambda self, tag, node: {"tag": tag, **self.construct_mapping(node, deep=True)}
    )
    text = (clone / f"configs/keypoint/hrnet/{name}.yml").read_text(encoding="utf-8")
    return yaml.load(text, Loader=loader)  # noqa: S506


def sample(array: np.ndarray) -> np.ndarray:
    """Up to SAMPLE values."""
    flat = array.ravel()
    return flat[:: max(1, -(-len(flat) // SAMPLE))].copy()


def fresh(name: str, shape: list[int], gain: float, seed: int) -> np.ndarray:
    """A float64 tensor that its name and the seed decide."""
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    if name.endswith("_mean"):
        return rng.standard_normal(shape) * 0.1
    if name.endswith("bias"):
        return rng.uniform(-0.1, 0.1, shape)
    if len(shape) == 1:
        return rng.uniform(0.5, 1.5, shape)
    return rng.standard_normal(shape) * gain / np.sqrt(np.prod(shape[1:]))


def built(config: dict[str, Any]) -> Any:
    """The network of a configuration."""
    backbones = importlib.import_module("ppdet.modeling.backbones.hrnet")
    architectures = importlib.import_module("ppdet.modeling.architectures.keypoint_hrnet")
    losses = importlib.import_module("ppdet.modeling.losses.keypoint_loss")
    chosen = {
        **config["TopDownHRNet"],
        "backbone": backbones.HRNet(**config["HRNet"]),
        "loss": losses.KeyPointMSELoss(**config["KeyPointMSELoss"]),
    }
    return architectures.TopDownHRNet(**chosen)


def optimizer_of(config: dict[str, Any], network: Any, rate: float) -> Any:
    """As its builder makes it."""
    builder = importlib.import_module("ppdet.optimizer.optimizer").OptimizerBuilder
    return builder(**config["OptimizerBuilder"])(rate, network)


def network_answers(job: dict[str, Any], inputs: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Maps, loss, gradients and steps, in both precisions; the flip test with both decoders."""
    config, answers = config_of(Path(job["clone"]), job["config"]), {}
    for dtype in ("float64", "float32"):
        paddle.set_default_dtype(dtype)
        network = built(config)
        state = network.state_dict()
        for name, value in state.items():
            value.set_value(fresh(name, value.shape, job["gain"], job["seed"]).astype(dtype))
        if dtype == "float64":
            paddle.save(state, str(folder / "network.pdparams"))
        network.eval()
        with paddle.no_grad():
            for key in ("images_256", "images_384"):
                image = paddle.to_tensor(inputs[key].astype(dtype))
                maps = network.final_conv(network.backbone({"image": image})[0])
                answers[f"{dtype}/{key}"] = maps.numpy()
            if dtype == "float32":
                answers |= flip_answers(network, inputs)
        answers |= training_answers(job, inputs, network, dtype)
    return answers


def training_answers(
    job: dict[str, Any], inputs: dict[str, Any], network: Any, dtype: str
) -> dict[str, Any]:
    """Losses of some steps; of the first one gradients, and what they made of the tensors."""
    config, answers = config_of(Path(job["clone"]), job["config"]), {}
    network.train()
    adam = optimizer_of(config, network, job["rate"])
    given = ("train_images", "targets", "weights")
    image, target, seen = (paddle.to_tensor(inputs[key].astype(dtype)) for key in given)
    losses = []
    for step in range(job["steps"]):
        network.inputs = {"image": image, "target": target, "target_weight": seen}
        loss = network.get_loss()["loss"]
        loss.backward()
        losses.append(float(loss))
        if step == 0:
            for name, parameter in network.named_parameters():
                if parameter.grad is not None:  # branches that its last stage never uses
                    answers[f"{dtype}/gradient/{name}"] = sample(parameter.grad.numpy())
        adam.step()
        adam.clear_grad()
        if step == 0:
            for name, value in network.state_dict().items():
                answers[f"{dtype}/after/{name}"] = sample(value.numpy())
    answers[f"{dtype}/losses"] = np.array(losses)
    return answers


def flip_answers(network: Any, inputs: dict[str, Any]) -> dict[str, np.ndarray]:
    """The merged maps of its flip test, and its poses (1, J, 3) in the image."""
    kept, process = [], network.post_process

    def keep(maps: Any, center: np.ndarray, scale: np.ndarray) -> Any:
        kept.append(maps.numpy().copy())
        return process(maps, center, scale)

    network.post_process = keep
    network.inputs = {
        "image": paddle.to_tensor(inputs["images_256"].astype("float32")),
        "center": paddle.to_tensor(inputs["centers"][:1].astype("float32")),
        "scale": paddle.to_tensor(inputs["scales"][:1].astype("float32")),
    }
    poses = network.get_pred()["keypoint"][0][0]
    return {"flip_maps": kept[0], "flip_poses": poses}


def decode_answers(inputs: dict[str, Any]) -> dict[str, np.ndarray]:
    """Its two decoders on given maps."""
    module = importlib.import_module("ppdet.modeling.architectures.keypoint_hrnet")
    answers = {}
    for use_dark in (True, False):
        poses, maxima = module.HRNetPostProcess(use_dark).get_final_preds(
            inputs["maps"].copy(), inputs["centers"], inputs["scales"]
        )
        answers[f"poses_{use_dark}"] = poses
        answers["maxima"] = maxima
    return answers


def rate_answers(job: dict[str, Any]) -> dict[str, np.ndarray]:
    """The rate of every step of a run with few steps an epoch."""
    config = config_of(Path(job["clone"]), job["config"])
    module = importlib.import_module("ppdet.optimizer.optimizer")
    stated, made = config["LearningRate"], []
    for scheduler in copy.deepcopy(stated["schedulers"]):
        made.append(getattr(module, scheduler.pop("tag"))(**scheduler))
    rate = module.LearningRate(stated["base_lr"], made)(job["steps_per_epoch"])
    rates = []
    for _ in range(config["epoch"] * job["steps_per_epoch"]):
        rates.append(rate())
        rate.step()
    return {"rates": np.array(rates)}


def people_answers(job: dict[str, Any]) -> dict[str, np.ndarray]:
    """People of a COCO file; the samples of each configuration, drawn and still."""
    source = importlib.import_module("ppdet.data.source.keypoint_coco")
    operators = importlib.import_module("ppdet.data.transform.keypoint_operators")
    answers: dict[str, Any] = {}
    for name, steps in job["pipelines"].items():
        config = config_of(Path(job["clone"]), steps["config"])
        listed = config["TrainReader"]["sample_transforms"]
        stated = {key: value for one in listed for key, value in one.items()}
        chosen = [(key, {**stated[key], **more}) for key, more in steps["taken"]]
        if steps["target"] != "as stated":
            chosen.append((steps["target"], next(iter(listed[-1].values()))))
        else:
            chosen.append(next(iter(listed[-1].items())))
        people = source.KeypointTopDownCocoDataset(
            dataset_dir=job["data"],
            image_dir=job["images"],
            anno_path=job["annotations"],
            num_joints=config["num_joints"],
            trainsize=config["trainsize"],
            use_gt_bbox=True,
        )
        people.parse_dataset()
        made = [getattr(operators, key)(**settings) for key, settings in chosen]
        people.transform = lambda record, made=made: through(made, record)
        rows = []
        for index in job["people"]:
            np.random.seed(job["seed"] + index)  # noqa: NPY002
            rows.append(people[index])
        for key in ("image", "target", "target_weight", "center", "scale"):
            answers[f"{name}/{key}"] = np.stack([np.asarray(row[key]) for row in rows])
        answers["count"] = np.array(len(people))
        answers["first_centers"] = np.stack([one["center"] for one in people.db])
        answers["first_scales"] = np.stack([one["scale"] for one in people.db])
        answers["image_ids"] = np.array([one["im_id"] for one in people.db])
    return answers


def through(operators: list[Any], record: dict[str, Any]) -> dict[str, Any]:
    """One after another."""
    for operator in operators:
        record = operator(record)
    return record


def mpii_answers(job: dict[str, Any], folder: Path) -> dict[str, np.ndarray]:
    """How many joints its MPII loader sees in a file of each key, and their places."""
    source = importlib.import_module("ppdet.data.source.keypoint_coco")
    content, answers = json.loads((folder / "mpii.json").read_text(encoding="utf-8")), {}
    for key in ("joints", "gt_joints"):
        lines = [{key if k == "joints" else k: v for k, v in one.items()} for one in content]
        (folder / f"{key}.json").write_text(json.dumps(lines), encoding="utf-8")
        people = source.KeypointTopDownMPIIDataset(str(folder), "", f"{key}.json", 16)
        people.parse_dataset()
        for name in ("gt_joints", "joints_vis", "center", "scale"):
            answers[f"mpii_{key}/{name}"] = np.stack([one[name] for one in people.db])
    return answers


def main(folder: Path) -> None:
    """Answer the job of a folder."""
    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    inputs = dict(np.load(folder / "inputs.npz"))
    prepare(Path(job["clone"]))
    answers = {**decode_answers(inputs), **rate_answers(job), **mpii_answers(job, folder)}
    if "data" in job:
        answers |= people_answers(job)
    if job["steps"]:
        answers |= network_answers(job, inputs, folder)
    np.savez(folder / "answers.npz", **answers)
    facts = {"paddle": paddle.__version__, "numpy": np.__version__}
    (folder / "answers.json").write_text(json.dumps(facts), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
