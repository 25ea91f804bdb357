"""Where data sets of COCO's form keep their files, and how large their official splits are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from paddle_pose.errors import UserError
from paddle_pose.names import require_plain
from paddle_pose.understood import ASSUMED, Fact


@dataclass(frozen=True)
class Layout:
    """The files of a data set, below its folder; ``{split}`` stands for the split.

    Attributes:
        annotations: the first that is there is read.
        tests: the same for splits with ``test`` in their names; None for no difference.
        boxes: of a detector.
        images: split → how many the official file lists.
        folders: of pictures, tried before COCO's.
        sample: other annotations, read where the split's are missing and no split is named.
        missing: what a person puts where, if anything is missing.
    """

    annotations: tuple[str, ...]
    boxes: str
    tests: tuple[str, ...] | None = None
    images: Mapping[str, int] = field(default_factory=dict)
    folders: tuple[str, ...] = ()
    sample: str = ""
    missing: str = ""


LAYOUTS = {
    # leoxiaobin/deep-high-resolution-net.pytorch lib/dataset/coco.py:112 @6f69e46
    "coco": Layout(
        ("annotations/person_keypoints_{split}.json",),
        "person_detection_results/COCO_{split}_detections*.json",
        ("annotations/image_info_{split}.json",),
        {"train2017": 118_287, "val2017": 5000},
    ),
    # Jeff-sjtu/CrowdPose README @86fe5e1; rawalkhirodkar/MIPNet lib/dataset/crowdpose.py @245651d
    "crowdpose": Layout(
        tuple(
            f"{folder}/{prefix}crowdpose_{{split}}.json{packed}"
            for prefix in ("", "mmpose_")
            for folder in ("annotations", "json")
            for packed in ("", ".gz")
        ),
        "person_detection_results/*crowd*_{split}*.json",
        images={"train": 10_000, "val": 2000, "trainval": 12_000, "test": 8000},
    ),
    # liruilong940607/OCHumanApi README @958aa20
    "ochuman": Layout(
        ("annotations/ochuman_coco_format_{split}_range_0.00_1.00.json",),
        "person_detection_results/OCHuman_{split}*_detections*.json",
        images={"val": 2500, "test": 2231},
    ),
    # Fang-Haoshu/Halpe-FullBody README @70d6014; MVIG-SJTU/AlphaPose
    # configs/halpe_136/resnet/256x192_res50_lr1e-3_2x.yaml @c60106d
    "halpe": Layout(
        ("annotations/halpe_{split}_v1.json", "halpe_{split}_v1.json"),
        "person_detection_results/halpe_{split}*.json",
        folders=(
            "images/train2015",
            "train2015",
            "images/train2017",
            "train2017",
            "hico_20160224_det/images/train2015",
            "images/val2017",
            "val2017",
            "../coco/images/val2017",
            "../coco/val2017",
        ),
        sample="annotations/halpe_*.json",
        missing=(
            "Halpe's halpe_train_v1.json and halpe_val_v1.json go into annotations, HICO-DET's "
            "train2015 into images/train2015 (or train2017), COCO's val2017 into images/val2017 "
            "(or ../coco/val2017)"
        ),
    ),
    # jin-s13/COCO-WholeBody README @main; MVIG-SJTU/AlphaPose
    # configs/halpe_coco_wholebody_136/resnet/256x192_res50_lr1e-3_2x-regression.yaml @c60106d
    "wholebody": Layout(
        tuple(
            f"{folder}annotations/coco_wholebody_{{split}}_v1.0.json"
            for folder in ("../coco/", "", "../wholebody/")
        ),
        "person_detection_results/COCO_{split}*_detections*.json",
        folders=(
            "../coco/images/{split}2017",
            "../coco/{split}2017",
            "images/{split}2017",
            "{split}2017",
            "images/val2017",
        ),
        sample="../wholebody/annotations/coco_wholebody_*.json",
        missing=(
            "COCO-WholeBody's coco_wholebody_train_v1.0.json goes into ../coco/annotations, COCO's "
            "train2017 into ../coco/images/train2017 (or ../coco/train2017)"
        ),
    ),
    # open-mmlab/mmpose docs/en/dataset_zoo/2d_body_keypoint.md:208 @759b39c
    "aic": Layout(
        ("../aic/annotations/aic_{split}.json",),
        "person_detection_results/aic_{split}*.json",
        images={"train": 210_000},
        folders=(
            "../aic/ai_challenger_keypoint_train_20170902/keypoint_train_images_20170902",
            "../aic/images",
        ),
        missing=(
            "AI Challenger's aic_train.json, as mmpose gives it, goes into ../aic/annotations, its "
            "pictures into ../aic/ai_challenger_keypoint_train_20170902/"
            "keypoint_train_images_20170902"
        ),
    ),
}
"""Data sets that are read as COCO's files."""


def annotation_file(dataset_root: Path, split: str, dataset: str = "coco") -> Path:
    """A split's annotations: the first file of the layout that is there, else its first."""
    require_plain(split, "split")
    layout = LAYOUTS[dataset]
    names = layout.tests if layout.tests is not None and "test" in split else layout.annotations
    files = [Path(dataset_root) / name.format(split=split) for name in names]
    return next((file for file in files if file.is_file()), files[0])


def sample_file(dataset_root: Path, split: str, dataset: str) -> Path | None:
    """The one annotation file that names no split, where the split's own is missing."""
    layout = LAYOUTS[dataset]
    if not layout.sample or annotation_file(dataset_root, split, dataset).is_file():
        return None
    folder = Path(dataset_root) / Path(layout.sample).parent
    found = folder.glob(Path(layout.sample).name) if folder.is_dir() else ()
    named = [file for file in found if "_v1" not in file.stem]
    return named[0] if len(named) == 1 else None


def box_file(dataset_root: Path, split: str, dataset: str = "coco") -> Path:
    """The one detector-box file of a split in ``person_detection_results``.

    Raises:
        UserError: there is none, or several; lists them.
    """
    pattern = LAYOUTS[dataset].boxes.format(split=split)
    folder = Path(dataset_root) / Path(pattern).parent
    found = sorted(folder.glob(Path(pattern).name)) if folder.is_dir() else []
    if len(found) == 1:
        return found[0]
    if not found:
        raise UserError(
            f"{folder}: no detector boxes {Path(pattern).name}; "
            "put the file there, name one (val.py --boxes FILE), or take the boxes of the "
            "annotated people (val.py --benchmark NAME, one whose boxes are ground_truth)"
        )
    names = ", ".join(file.name for file in found)
    raise UserError(
        f"{folder}: several box files for '{split}' ({names}); choose one (val.py --boxes FILE)"
    )


def is_official(dataset: str, split: str, images: int) -> bool:
    """Whether a file lists as many images as the official one of that split."""
    return LAYOUTS[dataset].images.get(split) == images


def split_fact(dataset: str, split: str, images: int) -> Fact | None:
    """What is said where a file lists another number of images than the official split has."""
    official = LAYOUTS[dataset].images.get(split)
    if official in (None, images):
        return None
    text = f"'{split}' has {images:,} images, the official one {official:,}: read as a part of it"
    return Fact("split", {"images": images, "official": official}, text, ASSUMED)
