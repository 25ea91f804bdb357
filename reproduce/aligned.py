"""Which records of alignment a published row leans on, and what they lack."""

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
    "HRNet-W32": "hrnet_w32",
    "HRNet-W48": "hrnet_w48",
    **{f"PoseResNet-{layers}": f"pose_resnet{layers}" for layers in (50, 101, 152)},
    "MIPNet-W48": "mipnet",
    **{f"PoseResNet-{n} (Caffe-style)": f"pose_resnet{n}_caffe" for n in (50, 101, 152)},
}
"""Network → its records in ``alignment/``: from recorded arrays, and ``live_`` from a clone."""

TWO_PEOPLE = "crowds"
"""The records of data, merging and scores of two people in a box, on all of their data sets."""

NETWORK_STEPS = ("forward", "loss", "backward", "optimiser")
DATA_STEPS = ("data", "metric", "decode")
ENCODINGS, ENCODING_STEPS = "encodings", ("data", "decode", "loss", "backward")


def wanted(row: PublishedRow) -> Iterator[tuple[str, Sequence[str]]]:
    """Names of records, and the steps that each must have."""
    name = ALIGNED_AS[row.protocol.network]
    yield name, NETWORK_STEPS
    yield TWO_PEOPLE if name == "mipnet" else row.protocol.dataset, DATA_STEPS
    if row.recipe and configs.load(row.recipe).data.join.startswith("aic"):
        yield "challenger", ("data", "decode")
    if row.recipe and getattr(configs.load(row.recipe).codec, "encoding", "cell") != "cell":
        yield ENCODINGS, ENCODING_STEPS
    if row.recipe and configs.load(row.recipe).train.amp != "none":
        yield "half", ("forward", "optimiser")
    if row.benchmark == "mpii_val_newell":
        yield "newell", ("data", "decode", "metric")
    if row.id.startswith("paddledetection:"):
        yield "paddledetection", (*NETWORK_STEPS, "data", "decode")


def files(name: str, root: Path) -> list[str]:
    """Records of a network or data set that exist, from recorded arrays and from a clone."""
    both = (f"alignment/{name}.json", f"alignment/live_{name}.json")
    return [file for file in both if (root / file).is_file()]


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
