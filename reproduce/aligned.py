"""Which records of alignment stand behind a published row, and what they lack."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from paddle_pose import configs
from paddle_pose.files import read_json
from reproduce.published import PublishedRow

ALIGNED_AS = {
    "Hourglass-52, 1 stack": "hourglass52",
    "Newell hourglass, 2 stacks": "newell_hg2",
    "Newell hourglass, 8 stacks": "newell_hg8",
    **{f"bearpaw hourglass, {stacks} stacks": f"bearpaw_hg{stacks}" for stacks in (2, 8)},
    "HRNet-W32": "hrnet_w32",
    "HRNet-W48": "hrnet_w48",
    **{f"PoseResNet-{layers}": f"pose_resnet{layers}" for layers in (50, 101, 152)},
    "MIPNet-W48": "mipnet",
    "FastPose-50": "fastpose_r50",
    "FastPose-DCN-50": "fastpose_dcn_r50",
    **{f"FastPose-DUC-{layers}": f"fastpose_duc_r{layers}" for layers in (50, 152)},
    "SimplePose-50": "simplepose_r50",
    "FastPose-50, 256 channels": "fastpose_r50_wide",
    "FastPose-152, 256 channels": "fastpose_r152_wide",
    "FastPose-DCN-50, 256 channels": "fastpose_dcn_r50_wide",
    **{f"PoseResNet-{n} (Caffe-style)": f"pose_resnet{n}_caffe" for n in (50, 101, 152)},
    "BodyPoseNet, 3 stages": "bodyposenet",
    "PoseResNet-50 (visibility head)": "pose_resnet50_vis",
    "Lightweight OpenPose, MobileNet": "lightweight",
}
"""Network → its records in ``alignment/``: from recorded arrays, and ``live_`` from a clone."""

OWN_DATA = {"mipnet": "crowds", **{name: name for name in ("bodyposenet", "lightweight")}}
"""Records of data and scores that are a network's own, on all of its data sets."""

NEVER_RUN = {
    "fluid": "its own code, of Paddle Fluid, was never run here",
    "predecessor": "its own code, a port of mmpose, was never run here",
    "ascend": "its own code, for Ascend's devices, was never run here",
}
"""Publisher, as ids begin → why its rows are compared with nobody's code."""

ALPHAPOSE = "fastpose"
"""The records of AlphaPose's crops, codecs, losses and scores, which all of its networks share."""

NETWORK_STEPS = ("forward", "loss", "backward", "optimiser")
DATA_STEPS = ("data", "metric", "decode")
PIXELS = "pixels"
ENCODINGS, ENCODING_STEPS = "encodings", ("data", "decode", "loss", "backward")


def wanted(row: PublishedRow) -> Iterator[tuple[str, Sequence[str]]]:
    """Names of records, and the steps that a row needs of each."""
    name = ALIGNED_AS[row.protocol.network]
    recipe = configs.load(row.recipe) if row.recipe else None
    yield name, NETWORK_STEPS
    if row.id.startswith("alphapose"):
        yield ALPHAPOSE, (*DATA_STEPS, "loss", "backward", "learning rate")
    else:
        yield OWN_DATA.get(name, row.protocol.dataset), DATA_STEPS
    if recipe and recipe.data.join.startswith("aic"):
        yield "challenger", ("data", "decode")
    if recipe and recipe.train.loss == "maps_and_visibility":
        yield "visibility", ("data", "decode")
    if recipe and getattr(recipe.codec, "encoding", "cell") != "cell":
        yield ENCODINGS, ENCODING_STEPS
    if recipe and recipe.augment.pixels != "none":
        yield PIXELS, ("data",)
    if recipe and recipe.train.amp != "none":
        yield "half", ("forward", "optimiser")
    if row.benchmark == "mpii_val_bearpaw":
        yield "bearpaw", ("data", "decode", "metric", "optimiser", "learning rate")
    if row.benchmark == "mpii_val_newell":
        yield "newell", ("data", "decode", "metric")
    if row.id.startswith("paddledetection:"):
        yield "paddledetection", (*NETWORK_STEPS, "data", "decode")


def not_compared(row: PublishedRow, root: Path) -> str:
    """What keeps a row from being equal to its publisher's code, as shown; empty where nothing."""
    if why := NEVER_RUN.get(row.id.partition(":")[0]):
        return why
    if row.protocol.network not in ALIGNED_AS:
        return f"no alignment record of {row.protocol.network}"
    return next(filter(None, (lacking(*one, root) for one in wanted(row))), "")


def files(name: str, root: Path) -> list[str]:
    """Records of a network or data set that exist, from recorded arrays and from a clone."""
    paths = (f"alignment/{name}.json", f"alignment/live_{name}.json")
    return [file for file in paths if (root / file).is_file()]


def lacking(name: str, steps: Sequence[str], root: Path) -> str:
    """Which steps the records of a network or data set lack or miss; empty where none."""
    present = set()
    for file in files(name, root):
        for entry in read_json(root / file):
            if entry["ok"] is False:
                return f"{file}: {entry['step']} is outside its tolerance"
            present |= {entry["step"]} if entry["ok"] else set()
    absent = [step for step in steps if step not in present]
    return f"alignment/{name}.json: no record of {', '.join(absent)}" if absent else ""
