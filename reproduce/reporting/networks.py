"""One section per network: published values, alignment, notes, curves."""

from __future__ import annotations

from reproduce.reporting import alignment, logs, notes, published_rows, rescored, trained
from reproduce.reporting.content import Block, Section, Text, absent

ALIGNED = {
    "Hourglass": {
        "hourglass52": "Hourglass-52 (mmpose)",
        "newell_hg2": "Newell's hourglass, 2 stacks (princeton-vl)",
    },
    "HRNet": {"hrnet_w32": "HRNet-W32 (MPII)", "hrnet_w48": "HRNet-W48 (COCO)"},
    "SimpleBaseline": {"pose_resnet50": "PoseResNet-50"},
    "MIPNet": {"mipnet": "MIPNet-W32, with W48 and ResNet-50"},
    "FastPose": {
        "fastpose": "FastPose, light and full",
        "fastpose_r50": "FastPose-50",
        "fastpose_dcn_r50": "FastPose-DCN-50",
        "fastpose_duc_r50": "FastPose-DUC-50",
        "fastpose_duc_r152": "FastPose-DUC-152",
        "simplepose_r50": "SimplePose-50",
        "fastpose_r50_wide": "FastPose-50, 256 channels",
        "fastpose_dcn_r50_wide": "FastPose-DCN-50, 256 channels",
        "fastpose_r152_wide": "FastPose-152, 256 channels",
    },
    "BodyPoseNet": {"bodyposenet": "BodyPoseNet"},
}
SHARED = {
    "mpii": "MPII: data, decoding, metric",
    "coco": "COCO: data, decoding, metric",
    "crowds": "Two people in a box: data, merging, metric",
    "encodings": "DARK and UDP: crops, targets, offsets, decoding",
    "pixels": "Holes and colours of mmpose's rows",
    "bfloat16": "bfloat16 on a CPU, beside PyTorch's autocast",
}
APART = {
    "newell_hg8": "Newell's hourglass, 8 stacks",
    **{
        f"pose_resnet{layers}{end}": f"PoseResNet-{layers}{words}"
        for end, words in (("", ""), ("_caffe", " (Caffe-style)"))
        for layers in (50, 101, 152)
        if f"{layers}{end}" != "50"
    },
    "paddledetection": "PaddleDetection's HRNet",
    "challenger": "AI Challenger beside COCO",
    "newell": "Newell's own test",
    "half": "Half precision",
    "pose_resnet50_vis": "PoseResNet-50 (visibility head)",
    "visibility": "Visible joints, beside maps",
    "lightweight": "Lightweight OpenPose",
}
"""What the page counts and has no table of: each record is a file."""
DATA_SETS = {
    "mpii": "MPII, PCKh in per cent",
    "coco": "COCO, AP and AR",
    "ochuman": "OCHuman, AP and AR",
    "crowdpose": "CrowdPose, AP",
    "halpe": "Halpe-136, AP of the full body",
}
WHAT = {
    "Hourglass": (
        "Two different networks bear the name. Newell's stacked hourglass (25.1 M parameters in "
        "eight stacks) and mmpose's Hourglass-52 (94.8 M in one), which the Paddle predecessor "
        "ported too, are never compared in one row."
    ),
    "HRNet": (
        "HRNet-W32 and W48. PaddleDetection's rows are decoded by DARK and, on COCO, made with "
        "true boxes: they stand beside the official ones, and are not compared with them."
    ),
    "SimpleBaseline": (
        "ResNet with three deconvolutions, published by its authors, by HRNet's repository, by "
        "mmpose and by Paddle Fluid, each under a protocol of its own."
    ),
    "MIPNet": (
        "HRNet asked twice about a box: for its owner, and for the second person in it, whose "
        "score is halved. Its rows with true boxes stand beside no detector's. Ascend's rows under "
        "its name are of plain HRNet-W48 ([HRNet](#hrnet)) and never stand beside 78.8."
    ),
    "FastPose": (
        "AlphaPose's network, its SimplePose, and the light one under MobileNetV3, with COCO's 17 "
        "or Halpe's 136 joints. Its table is with YOLOv3's boxes and flip, its logs with true "
        "boxes and without: they never stand in one row. The light network has no published AP."
    ),
    "BodyPoseNet": (
        "Everybody in a picture at once. NVIDIA's figures are of COCO val2017, but by one scale, "
        "four or strictly: its model card does not say. Other networks that find everybody are "
        "listed with it, each under its own protocol; none of their rows compares with another."
    ),
}
NO_CURVES = {
    "HRNet": (
        "Curves: the [twins](#twins). Nobody published HRNet's predictions on MPII, so there is "
        "no curve over thresholds and no error by joint or head size until its weights are tested "
        "or a training is run: the commands stand [below](#open)."
    ),
    "SimpleBaseline": (
        "No training has been recorded here, and nobody published predictions: no curves, no error "
        "by joint or head size until its weights are tested or a training is run: the commands "
        "stand [below](#open)."
    ),
    "MIPNet": (
        "The one published checkpoint is on a drive that no program can fetch from; nobody "
        "published predictions, so there are no curves."
    ),
    "FastPose": (
        "The published checkpoints are on drives that no program can fetch from; nobody "
        "published predictions, so there are no curves."
    ),
    "BodyPoseNet": "NVIDIA's weights are encrypted, and nobody published predictions: no curves.",
}
NOTES = {
    "Hourglass": ("hourglass", "Implementation notes: Hourglass"),
    "HRNet": ("hrnet", "Implementation notes: HRNet and SimpleBaseline"),
    "SimpleBaseline": ("hrnet", "Implementation notes: SimpleBaseline and HRNet"),
    "MIPNet": ("mipnet", "Implementation notes: MIPNet, and the Ascend port of that name"),
    "FastPose": ("fastpose", "Implementation notes: AlphaPose's FastPose, and the light one"),
    "BodyPoseNet": ("bodyposenet", "Implementation notes: BodyPoseNet"),
}


def alignment_section() -> Section:
    """Step by step, all networks in one table."""
    title = "Alignment with the official code, step by step"
    lead = Text(
        "Forward, data, metric, decoding, loss, learning rate, backward, optimiser, batch norm "
        "and initialisation, each compared with what the official PyTorch code computed, in "
        "float64 and float32. Each quantity, its tolerance and where that comes from stand in "
        "the networks' sections. To run it: `python -m reproduce.align`. Most tolerances were set "
        "before anything was compared. Widened after fresh seeds had failed them, each by a cause "
        "and not by the size of the failure: what follows Adam's steps in live runs (batch norm's "
        "epsilon, which Paddle holds in float32, counts), live losses in float32 (the maps' error "
        "in training mode counts), several of PaddleDetection's, and bfloat16's limit of 1.25 "
        "times what PyTorch's autocast is off."
    )
    labels = {name: label for family in ALIGNED.values() for name, label in family.items()}
    overview = alignment.overview(labels | SHARED | APART, APART)
    shared = [t for name, label in SHARED.items() if (t := alignment.table(name, label))]
    blocks: list[Block] = [lead, overview or absent("the alignment"), *shared]
    return Section("alignment", title, blocks)


def section(family: str) -> Section:
    """One network."""
    rows = [row for row in published_rows.table_rows() if row.family == family]
    blocks: list[Block] = [Text(f"{WHAT[family]}\n\n{NO_CURVES.get(family, '')}")]
    for dataset, words in DATA_SETS.items():
        caption = f"All published values on {words}, each linked to its source"
        table = published_rows.values_table(rows, dataset, caption)
        blocks += [table] if table else []
    for name, label in ALIGNED[family].items():
        blocks.append(alignment.table(name, f"Alignment of {label}") or absent(label))
    blocks.append(notes.note(*NOTES[family]))
    figures = [rescored.figures_section(), logs.section(), trained.section()]
    return Section(family.lower(), family, blocks, figures if family == "Hourglass" else ())


def sections() -> list[Section]:
    """All of them."""
    return [section(family) for family in ALIGNED]
