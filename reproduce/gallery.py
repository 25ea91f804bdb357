"""Best, median and worst people of a network, with heat maps, as pictures and a record.

python -m reproduce.gallery --weights output/quickstart/run/best_model/model.pdparams \
    --dataset_root output/quickstart/data

Writes ``reproduce/gallery/``, which the report shows; only rendered people may go there. For one's
own photos see ``python -m reproduce.report --gallery DATASET_ROOT``.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from paddle_pose import configs, drawing
from paddle_pose.command_line import CommandLine
from paddle_pose.commands.gallery import panel
from paddle_pose.data import mpii
from paddle_pose.data.records import PersonTable
from paddle_pose.errors import UserError, one_line_errors
from paddle_pose.files import sha256, write_json
from paddle_pose.metrics.pckh import scored_joints
from paddle_pose.skeletons import Skeleton, skeleton_named
from paddle_pose.system import runtime

if TYPE_CHECKING:
    from paddle_pose.recipes.recipe import Recipe

OUTPUT = Path(__file__).parent / "gallery"
PANEL_PX = 224
RANKS = ("best", "median", "worst")
PANELS = ("truth", "prediction", "all heat maps", "one heat map")
RENDERED = "synthetic.json"
"""What ``synthetic/dataset.py`` leaves beside its people; without it they are somebody's photos."""


@dataclass(frozen=True)
class Shown:
    """One person of the gallery.

    Attributes:
        rank: of RANKS.
        position: in the split, from 0.
        place: among all people by mean error, from 1.
        mean_error: over labelled joints, in head sizes.
        pckh: PCKh@0.5 of this person, in per cent.
        worst_joint: the joint with the largest error, whose heat map is shown.
        worst_error: that error, in head sizes.
        files: PANELS' pictures, names in the gallery's folder.
    """

    rank: str
    position: int
    place: int
    mean_error: float
    pckh: float
    worst_joint: str
    worst_error: float
    files: tuple[str, ...]


def add_network_options(parser: argparse.ArgumentParser) -> None:
    """--weights, --config and --benchmark: what predicts."""
    parser.add_argument("--weights", type=Path, help="of the network to show: .pdparams")
    parser.add_argument("--config", default="quickstart:newell_hg1_synthetic", help="its recipe")
    parser.add_argument("--benchmark", help="protocol of the recipe; its first by default")


def is_rendered(root: Path) -> bool:
    """Whether this project drew the people there."""
    return (root / RENDERED).is_file()


def chosen(mean_errors: np.ndarray, each: int) -> list[tuple[str, int]]:
    """(rank, position) of ``each`` best, median and worst people; nan is nobody's error.

    Raises:
        UserError: fewer than one of each, or fewer people than that takes.
    """
    if each < 1:
        raise UserError(f"--each {each}: must be at least 1")
    order = np.argsort(mean_errors, kind="stable")[: int(np.isfinite(mean_errors).sum())]
    if len(order) < 3 * each:
        raise UserError(f"{len(order)} people with labelled joints: too few to show {each} of each")
    middle = (len(order) - each) // 2
    parts = (order[:each], order[middle : middle + each], order[-each:][::-1])
    return [(rank, int(p)) for rank, part in zip(RANKS, parts, strict=True) for p in part]


def overlay(image_rgb: np.ndarray, heatmap: np.ndarray) -> np.ndarray:
    """(H, W, 3) greyed image under a (h, w) map, from 0 to its maximum (at least 0.1)."""
    height, width = image_rgb.shape[:2]
    large = cv2.resize(heatmap, (width, height), interpolation=cv2.INTER_LINEAR)
    relative = np.clip(large / max(float(heatmap.max()), 0.1), 0.0, 1.0)[..., None]
    colors = cv2.applyColorMap(np.uint8(255 * relative), cv2.COLORMAP_INFERNO)[..., ::-1]
    grey = image_rgb.mean(2, keepdims=True) * 0.45
    return np.uint8(np.clip(grey * (1 - relative) + colors * relative, 0, 255))


def panels(
    table: PersonTable, position: int, keypoints: np.ndarray, maps_JHW: np.ndarray, joint: int
) -> list[np.ndarray]:
    """PANELS of one person: (P, P', 3) uint8 each."""
    skeleton = skeleton_named(table.skeleton)
    one = panel(table, position, keypoints, panel_size(maps_JHW))
    poses = (one.truth, one.prediction)
    return [
        *(drawing.draw_pose(one.image_rgb, pose, skeleton, min_score=0.5) for pose in poses),
        overlay(one.image_rgb, maps_JHW.max(0)),
        overlay(one.image_rgb, maps_JHW[joint]),
    ]


def panel_size(maps_JHW: np.ndarray) -> tuple[int, int]:
    """Width and height of a panel with the network's aspect ratio."""
    height, width = maps_JHW.shape[1:]
    return round(PANEL_PX * width / height), PANEL_PX


def errors_by_person(
    keypoints: np.ndarray, truth: mpii.MpiiTruth, skeleton: Skeleton
) -> np.ndarray:
    """(N, J) errors in head sizes; nan where a joint is not labelled or not scored."""
    errors = truth.errors(keypoints)
    return np.where((truth.visible > 0) & scored_joints(skeleton), errors, np.nan)


def make(
    recipe: Recipe, benchmark_name: str | None, weights: Path, root: Path, folder: Path, each: int
) -> Path:
    """Predict everybody, write the pictures of some; returns the record's path.

    Raises:
        UserError: not a data set in MPII's layout, too few people, weights of another network.
    """
    runtime.import_paddle()
    from paddle_pose.codecs.views import View
    from paddle_pose.commands import predicting
    from paddle_pose.evaluation import evaluator_for
    from paddle_pose.evaluation.evaluator import DataFiles
    from paddle_pose.inference.engine import make_forward
    from paddle_pose.models.build import build
    from paddle_pose.porting.loading import load_weights

    if recipe.data.dataset != "mpii":
        raise UserError(f"recipe '{recipe.name}': the gallery needs head sizes, which MPII has")
    benchmark = recipe.benchmark(benchmark_name)
    evaluator = evaluator_for(recipe, benchmark, DataFiles(root))
    table, truth = evaluator.table, evaluator.truth
    network = build(recipe.model)
    load_weights(network, weights, recipe.model)
    how = predicting.Computing(recipe.eval.batch_size, num_workers=0)
    keypoints = predicting.poses_of(network, recipe, evaluator, how).keypoints
    skeleton = skeleton_named(table.skeleton)
    errors = errors_by_person(keypoints, truth, skeleton)
    seen = np.isfinite(errors)
    counts = np.maximum(seen.sum(1), 1)
    means = np.where(seen.any(1), np.nansum(errors, 1) / counts, np.nan)
    places = np.argsort(np.argsort(means, kind="stable"), kind="stable") + 1
    people = chosen(means, each)
    crops = evaluator.samples(1.0)
    images = np.stack([crops[position].image_HWC for _, position in people])
    forward = make_forward(network, recipe.data, flip_test=benchmark.flip_test, engine="eager")
    view, shift = View(*forward(images)), benchmark.shift_heatmap
    maps = recipe.codec.heatmaps([view], skeleton.flip_order, shift=shift)
    shown = []
    for index, (rank, position) in enumerate(people):
        joint = int(np.nanargmax(errors[position]))
        files = tuple(
            f"{rank}-{index % each + 1}-{panel.replace(' ', '-')}.jpg" for panel in PANELS
        )
        drawn = panels(table, position, keypoints[position], maps[index], joint)
        for name, picture in zip(files, drawn, strict=True):
            drawing.write_image(folder / name, picture)
        shown.append(
            Shown(
                rank=rank,
                position=position,
                place=int(places[position]),
                mean_error=round(float(means[position]), 4),
                pckh=round(100.0 * float((errors[position][seen[position]] <= 0.5).mean()), 2),
                worst_joint=skeleton.joints[joint],
                worst_error=round(float(errors[position][joint]), 4),
                files=files,
            )
        )
    record = {
        "what": "people by mean error in head sizes; heat maps at test scale 1",
        "recipe": recipe.name,
        "benchmark": benchmark.name,
        "weights_sha256": sha256(weights),
        "files": {file.name: sha256(file) for file in table.files},
        "people_in_all": len(table),
        "panels": PANELS,
        "people": [asdict(one) for one in shown],
    }
    write_json(folder / "gallery.json", record)
    return folder / "gallery.json"


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the committed gallery of rendered people."""
    parser = CommandLine(description=__doc__.splitlines()[0])
    add_network_options(parser)
    parser.add_argument("--dataset_root", type=Path, required=True, help="rendered people")
    parser.add_argument("--output_dir", type=Path, default=OUTPUT)
    parser.add_argument("--each", type=int, default=2, help="best, median and worst: so many each")
    options = parser.parse_args(arguments)
    if options.weights is None:
        parser.error("--weights: name the network's weights")
    runtime.configure(quiet=True)
    recipe = configs.load(options.config)
    inside = options.output_dir.resolve().is_relative_to(Path(__file__).parent.resolve())
    if inside and not is_rendered(options.dataset_root):
        raise UserError(
            f"--dataset_root {options.dataset_root}: not people that this project rendered; photos "
            "of others stay out of the repository, so name another --output_dir"
        )
    root, folder = options.dataset_root, options.output_dir
    print(f"=> {make(recipe, options.benchmark, options.weights, root, folder, options.each)}")


if __name__ == "__main__":
    with one_line_errors():
        main()
