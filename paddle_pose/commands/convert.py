"""Annotations of other kinds → MPII's or COCO's layout: ``python -m paddle_pose convert``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from paddle_pose.command_line import CommandLine
from paddle_pose.converting import (
    bottom_up,
    bpnet_spec,
    coco,
    labelme,
    lsp,
    mpii,
    ochuman,
    yolo_pose,
)
from paddle_pose.converting.converted import Converted, link_images, require_file, require_folder
from paddle_pose.data import whole_people
from paddle_pose.errors import UserError

EXAMPLES = {
    "mpii": ("--mat release.mat --images images --output data/mpii",
             "--mat m.mat --images images --valid_list valid.h5 --output mpii"),
    "lsp": ("--mat joints.mat --images images --output data/lsp",
            "--mat joints.mat --images images --valid 500 --output data/lspet"),
    "coco": ("person.json --keep_person_keypoints --output people.json",
             "c.json --keep_person_keypoints --for_scoring --output p.json"),
    "labelme": ("folder --output people.json",
                "folder --images photos --joints nose,neck --output p.json"),
    "yolo_pose": ("data.yaml --output converted",
                  "data.yaml --class person --joints nose,neck --output coco"),
    "bpnet_spec": ("experiment_spec.yaml --output recipe.yaml",
                   "s.yaml --pose_config p.json --devices 4 --output r.yaml"),
    "ochuman": ("ochuman.json --output data/ochuman", "o.json --output data/ochuman"),
    "bottom_up": ("--dataset_root coco --split train --output shards --masks",
                  "--dataset_root d --split x --annotations o.json --output s"),
}  # fmt: skip
_PROG = "python -m paddle_pose convert"


def _parser() -> argparse.ArgumentParser:
    parser = CommandLine(
        _PROG,
        description=f"{__doc__.partition(':')[0]}. KIND --help says what a kind takes.",
        examples=[f"{_PROG} {kind} {EXAMPLES[kind][0]}" for kind in ("mpii", "coco", "labelme")],
    )
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="KIND", help="of annotations")

    def kind(name: str, what: str) -> argparse.ArgumentParser:
        examples = [f"{_PROG} {name} {words}" for words in EXAMPLES[name]]
        return kinds.add_parser(name, help=what, description=what, examples=examples)

    one = kind("mpii", "MPII's official release: train, valid and test json, gt_valid.mat")
    one.add_argument("--mat", type=Path, required=True, help="mpii_human_pose_v1_u12_1.mat")
    one.add_argument("--images", type=Path, required=True, help="folder of the photos")
    one.add_argument("--output", type=Path, required=True, help="folder for annot/ and images")
    one.add_argument(
        "--valid_list", "--valid-list", type=Path,
        help="who is for validation: Tompson's detections.mat, Newell's valid.h5, HRNet's "
        "valid.json, or image names, one a line",
    )  # fmt: skip
    one = kind("lsp", "Leeds Sports Pose and its extension: MPII's layout")
    one.add_argument("--mat", type=Path, required=True, help="joints.mat")
    one.add_argument("--images", type=Path, required=True, help="folder of im0001.jpg …")
    one.add_argument("--output", type=Path, required=True, help="folder for annot/ and images")
    one.add_argument("--valid", type=int, help="people to validate (LSP: its own last 1,000)")
    one.add_argument(
        "--pixel_origin", type=int, choices=(0, 1), default=0, help="of joints.mat (0)"
    )
    one = kind("coco", "a COCO file: its person keypoints alone")
    one.add_argument("file", type=Path, help="COCO file to read")
    one.add_argument("--output", type=Path, required=True, help="COCO file to write")
    one.add_argument("--keep_person_keypoints", "--keep-person-keypoints", action="store_true",
        help="must be given: it says what is kept")  # fmt: skip
    one.add_argument("--for_scoring", action="store_true", help="keep also all that AP looks at")
    one = kind("ochuman", "OCHuman's own json: its official COCO files, val and test")
    one.add_argument("file", type=Path, help="ochuman.json")
    one.add_argument("--output", type=Path, required=True, help="folder for annotations/")
    one = kind("bottom_up", "a COCO file: shards of everybody, to train BodyPoseNet on")
    one.add_argument("--dataset_root", "--dataset-root", type=Path, required=True,
        help="folder of annotations and images")  # fmt: skip
    one.add_argument("--split", required=True, help="train, val, or as the file is called")
    one.add_argument("--output", type=Path, required=True, help="folder for the shards")
    one.add_argument("--masks", action="store_true", help="of crowds and unlabelled people, as PNG")
    one.add_argument("--rule", choices=whole_people.RULES, default=whole_people.RULES[0],
        help="main persons as the official code runs, or as it is meant (reference)")  # fmt: skip
    one.add_argument("--annotations", type=Path, help="COCO file in place of the layout's")
    one.add_argument("--skeleton", default="coco17", help="joints: coco17, or from_file (coco17)")
    one.add_argument("--pictures", type=int, default=bottom_up.PICTURES,
        help=f"in a shard ({bottom_up.PICTURES})")  # fmt: skip
    one = kind("labelme", "a folder of labelme files: one COCO file")
    one.add_argument("folder", type=Path, help="of .json files")
    one.add_argument("--output", type=Path, required=True, help="COCO file to write")
    one.add_argument("--images", type=Path, help="folder of the images (where the files say)")
    one.add_argument("--joints", default="", help="their order: nose,left_eye,…")
    one = kind("yolo_pose", "a YOLO pose data set: one COCO file a split")
    one.add_argument("data_yaml", type=Path, help="the data set's data.yaml")
    one.add_argument("--output", type=Path, required=True, help="folder for annotations/")
    one.add_argument("--joints", default="", help="their names: nose,left_eye,…")
    one.add_argument("--class", dest="class_name", help="which class is people")
    one = kind("bpnet_spec", "BodyPoseNet's experiment spec: a recipe")
    one.add_argument("file", type=Path, help="experiment_spec.yaml")
    one.add_argument("--output", type=Path, required=True, help="recipe.yaml to write")
    one.add_argument("--pose_config", type=Path, help="its pose config json (NVIDIA's 18 joints)")
    one.add_argument("--devices", type=int, default=1, help="that it is for (1)")
    return parser


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")] if text else []
    if len(set(names)) != len(names) or "" in names:
        raise UserError(f"--joints {text}: a name is empty or there twice")
    return names


def _mpii_layout(given: argparse.Namespace) -> Converted:
    require_file(given.mat, "--mat")
    require_folder(given.images, "--images")
    if given.kind == "lsp":
        return lsp.convert(
            given.mat,
            given.images,
            given.output,
            valid=given.valid,
            pixel_origin=given.pixel_origin,
        )
    if given.valid_list:
        require_file(given.valid_list, "--valid_list")
    return mpii.convert(given.mat, given.images, given.output, given.valid_list)


def _coco_layout(given: argparse.Namespace) -> Converted:
    if given.kind == "coco":
        if not given.keep_person_keypoints:
            raise UserError("convert coco: say what to keep: --keep_person_keypoints")
        require_file(given.file, "convert coco")
        return coco.convert(given.file, given.output, for_scoring=given.for_scoring)
    if given.kind == "bpnet_spec":
        require_file(given.file, "convert bpnet_spec")
        if given.pose_config:
            require_file(given.pose_config, "--pose_config")
        return bpnet_spec.convert(
            given.file, given.output, pose_config=given.pose_config, devices=given.devices
        )
    if given.kind == "ochuman":
        require_file(given.file, "convert ochuman")
        return ochuman.convert(given.file, given.output)
    joints = _names(given.joints)
    if given.kind == "labelme":
        require_folder(given.folder, "convert labelme")
        if given.images:
            require_folder(given.images, "--images")
        return labelme.convert(given.folder, given.output, images=given.images, joints=joints)
    require_file(given.data_yaml, "convert yolo_pose")
    return yolo_pose.convert(
        given.data_yaml, given.output, joints=joints, class_name=given.class_name
    )


def main(words: Sequence[str] | None = None) -> None:
    """Convert, say what was assumed and left out, write."""
    given = _parser().parse_args(words)
    if given.kind == "bottom_up":
        require_folder(given.dataset_root, "--dataset_root")
        fields = {key: value for key, value in vars(given).items() if key != "kind"}
        bottom_up.convert(bottom_up.Plan(**fields))
        return
    in_folder = given.kind in ("mpii", "lsp")
    converted = _mpii_layout(given) if in_folder else _coco_layout(given)
    last = ""
    if in_folder:
        last = link_images(given.output, given.images)
    elif given.kind == "yolo_pose" and converted.image_root is not None:
        last = link_images(given.output, converted.image_root)
    elif converted.image_root is not None:
        last = _where_images_are(given.output, converted.image_root)
    converted.write()
    print(last, end="\n" if last else "", flush=True)


def _where_images_are(file: Path, root: Path) -> str:
    """How a file alone is used: with the images where they are, or where a layout has them."""
    line = f"=> images: {root}; use --dataset_root {root} --annotations {file}"
    if file.parent.name == "annotations":
        folder = file.parent.parent
        line += f", or put them into {folder / 'images'} and use --dataset_root {folder}"
    return line
