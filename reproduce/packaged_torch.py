"""How ``predict.py``'s weights were made, in PyTorch, and that the port scores what they scored.

``paddle_pose/weights_files/small_person.safetensors`` (recipe ``quickstart:small_person``) was
trained on one NVIDIA H200 by the official network's code. This file and ``packaged_training.py``
are a cleaned form of the scripts that ran: the same steps in other words, not the same bytes. DATA
is LSPET in MPII layout, CLONE a clone of princeton-vl/pytorch_stacked_hourglass, TORCH the
interpreter of a PyTorch environment (requirements-torch.txt, tqdm and safetensors).

python -m reproduce.packaged_torch prepare --dataset_root DATA --output_dir OUT/photos
TORCH -m reproduce.packaged_torch train --photos OUT/photos --reference CLONE --output_dir OUT/run
python -m paddle_pose port OUT/run/model.pt --recipe quickstart:small_person \
    --output OUT/model.pdparams
python val.py --config quickstart:small_person --dataset_root DATA \
    --pretrained_model OUT/model.pdparams --output_dir OUT/ours
TORCH -m reproduce.packaged_torch score --weights OUT/run/model.pt --dataset_root DATA \
    --reference CLONE --ours OUT/ours/predictions.json --output_dir OUT/torch
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from paddle_pose import configs
from paddle_pose.command_line import CommandLine
from paddle_pose.data import mpii
from paddle_pose.data.records import PersonTable
from paddle_pose.data.top_down import read_photo
from paddle_pose.errors import UserError, one_line_errors
from paddle_pose.evaluation import evaluator_for, validation_benchmark
from paddle_pose.evaluation.evaluator import DataFiles
from paddle_pose.files import read_json, sha256, write_json
from paddle_pose.geometry import UNIT_PX, crop_matrix, transform_points
from paddle_pose.recipes.recipe import Recipe
from paddle_pose.skeletons import skeleton_named

if TYPE_CHECKING:
    import torch

RECIPE = "quickstart:small_person"
STORED_PX, ENLARGED = 288, 1.5
"""Photos are kept as squares of that size, so many times as large as the test crop."""

QUALITY = {"train": 86, "valid": 92}
"""WebP's."""

MIDDLES = {"pelvis": ("right_hip", "left_hip"), "thorax": ("right_shoulder", "left_shoulder")}
"""LSPET labels neither; they are the middle of two others where both of these are labelled."""

NEEDED = {
    "prepare": ("dataset_root",),
    "train": ("photos", "reference"),
    "score": ("weights", "dataset_root", "reference"),
}
OPTIONAL = {"prepare": (), "train": ("device", "seconds", "max_steps"), "score": ("ours",)}


def with_middles(table: PersonTable) -> tuple[np.ndarray, np.ndarray]:
    """Joints (N, J, 2) and visibility (N, J) of the people, pelvis and thorax derived."""
    joints_xy, visible = table.joints_xy.copy(), table.visible.astype(np.float32)
    names = skeleton_named(table.skeleton).joints
    for middle, two in MIDDLES.items():
        index, pair = names.index(middle), [names.index(name) for name in two]
        both = visible[:, pair].all(1)
        joints_xy[both, index] = joints_xy[both][:, pair].mean(1)
        visible[both, index] = 1
    return joints_xy, visible


def prepare(dataset_root: Path, output: Path, limit: int | None = None) -> None:
    """``train.npz`` and ``valid.npz``: squares around everybody, joints in their pixels.

    Raises:
        UserError: data that cannot be read.
    """
    import cv2

    output.mkdir(parents=True, exist_ok=True)
    for split, quality in QUALITY.items():
        table = mpii.load(dataset_root, split).head(limit)
        mpii.require_images(table)
        arrays: dict[str, np.ndarray] = {}
        if split == "train":
            joints_xy, visible = with_middles(table)
        else:
            truth = mpii.truth(dataset_root, split).select(table.rows)
            joints_xy, visible = truth.joints_xy - 1, truth.visible  # its file is 1-based
            stored_per_photo_px = STORED_PX / (table.scale_wh[:, 0] * UNIT_PX * ENLARGED)
            arrays["heads"] = (truth.head_size_px * stored_per_photo_px).astype(np.float32)
        codes, places = [], np.zeros(joints_xy.shape, np.float32)
        for index in range(len(table)):
            person = table[index]
            size = (STORED_PX, STORED_PX)
            matrix = crop_matrix(person.center_xy, person.scale_wh * ENLARGED, 0, size)
            pixels = read_photo(table.image_root, person.image).pixels_HWC
            square = cv2.warpAffine(pixels, matrix, size, flags=cv2.INTER_LINEAR)
            settings = [cv2.IMWRITE_WEBP_QUALITY, quality]
            codes.append(cv2.imencode(".webp", square[..., ::-1], settings)[1].ravel())
            places[index] = transform_points(joints_xy[index], matrix)
        arrays |= {"codes": np.concatenate(codes), "sizes": np.array([len(one) for one in codes])}
        arrays |= {"joints_xy": places, "visible": np.asarray(visible, np.float32)}
        np.savez(output / f"{split}.npz", **arrays)
        print(f"=> {output / split}.npz: {len(table):,} people, {arrays['codes'].size:,} bytes")


def load_checkpoint(network: torch.nn.Module, file: Path) -> None:
    """Weights that ``train`` wrote; Raises UserError where they are another network's."""
    import torch

    try:
        state = torch.load(file, map_location="cpu", weights_only=True)["state_dict"]
        network.load_state_dict({name.removeprefix("model."): v for name, v in state.items()})
    except (OSError, KeyError, RuntimeError) as error:
        raise UserError(f"{file}: cannot be loaded ({str(error).splitlines()[0]})") from error


def score(
    recipe: Recipe,
    weights: Path,
    *,
    dataset_root: Path,
    reference: Path,
    output: Path,
    ours: Path | None = None,
) -> dict[str, Any]:
    """The official network in float32 on this project's crops: predictions.json, scores.json.

    With ``ours``, the predictions of the ported weights, how far they are from these.

    Raises:
        UserError: files that cannot be used.
    """
    import torch

    from reproduce.twins_torch import Normalizer, official, predict

    twin = official(recipe, reference)
    load_checkpoint(twin.network, weights)
    evaluator = evaluator_for(recipe, validation_benchmark(recipe), DataFiles(dataset_root))
    poses = predict(twin, Normalizer(recipe.data, torch.float32), evaluator, recipe)
    output.mkdir(parents=True, exist_ok=True)
    file = output / "predictions.json"
    origin = {"weights_sha256": sha256(weights), "engine": f"torch {torch.__version__} float32"}
    evaluator.write(poses, file, recipe=recipe.name, **origin)
    found = evaluator.read(file)
    scores = evaluator.score(found, resamples=recipe.eval.bootstrap, seed=recipe.seed)
    print(evaluator.report(scores, found), flush=True)
    record = {**asdict(scores), **evaluator.facts(found, file), "official": twin.source}
    if ours is not None:
        record["ported"] = compared(found.poses.keypoints, evaluator.read(ours).poses.keypoints)
        mine = read_json(ours.with_name("scores.json"))["values"]
        apart = [abs(mine[name] - value) for name, value in scores.values.items()]
        record["ported"]["largest_score_difference"] = max(apart)
        print(f"=> ported: {record['ported']}")
    write_json(output / "scores.json", record)
    return record


def compared(torch_side: np.ndarray, ours: np.ndarray) -> dict[str, Any]:
    """How far key points (N, J, 3) of the same people are apart, in photo pixels and scores."""
    apart_px = np.linalg.norm(torch_side[..., :2] - ours[..., :2], axis=2)
    return {
        "keypoints": int(apart_px.size),
        "largest_px": float(f"{apart_px.max():.3g}"),
        "median_px": float(f"{np.median(apart_px):.3g}"),
        "beyond_0.01_px": int((apart_px > 0.01).sum()),
        "largest_keypoint_score": float(f"{np.abs(torch_side - ours)[..., 2].max():.3g}"),
    }


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = CommandLine(
        prog="python -m reproduce.packaged_torch",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("what", choices=tuple(NEEDED))
    add = command.add_argument
    add("--output_dir", type=Path, required=True)
    add("--dataset_root", type=Path, help="prepare, score: LSPET in MPII layout")
    add("--photos", type=Path, help="train: what prepare wrote")
    add("--reference", type=Path, help="train, score: clone of the official repository")
    add("--weights", type=Path, help="score: model.pt")
    add("--ours", type=Path, help="score: predictions.json of the ported weights, to compare with")
    add("--device", help="train: cuda (default) or cpu, to try the mechanics")
    add("--seconds", type=float, help="train: how long, 405 by default")
    add("--max_steps", type=int, help="train: end earlier")
    return command


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Checked; ends the process where an option is missing or not for this command."""
    options = parser().parse_args(arguments)
    given = {name for name, value in vars(options).items() if value is not None}
    taken = NEEDED[options.what] + OPTIONAL[options.what]
    for name in sorted(given - {"what", "output_dir", *taken}):
        parser().error(f"--{name} is not for {options.what}; leave it out")
    for name in NEEDED[options.what]:
        if name not in given:
            parser().error(f"{options.what} needs --{name}")
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; Raises UserError."""
    options = parse_arguments(arguments)
    recipe = configs.load(RECIPE)
    if options.what == "prepare":
        prepare(options.dataset_root, options.output_dir)
    elif options.what == "score":
        score(
            recipe,
            options.weights,
            dataset_root=options.dataset_root,
            reference=options.reference,
            output=options.output_dir,
            ours=options.ours,
        )
    else:
        from reproduce.packaged_training import train

        train(
            recipe,
            photos=options.photos,
            reference=options.reference,
            output=options.output_dir,
            device=options.device or "cuda",
            seconds=options.seconds or 405.0,
            max_steps=options.max_steps,
        )


if __name__ == "__main__":
    with one_line_errors():
        main()
