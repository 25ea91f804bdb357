"""Sound files, of made-up people alone, and how the project reads each of them to its end.

A reading gives plain arrays by name; names that begin with ``score`` are what a user would quote.
"""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from paddle_pose import configs
from paddle_pose.commands import draw
from paddle_pose.data.image_sizes import header_of
from paddle_pose.data.images import read_image, read_rgb
from paddle_pose.evaluation import evaluator_for
from paddle_pose.evaluation.evaluator import DataFiles
from paddle_pose.evaluation.task import task_for
from paddle_pose.poses.poses import Poses
from paddle_pose.recipes import recipe as recipes
from paddle_pose.recipes.recipe import Recipe
from paddle_pose.skeletons import COCO17
from paddle_pose.synthetic import dataset

Reading = dict[str, Any]

RECIPE = "quickstart:newell_hg1_synthetic"
SMALL = (
    "model.features=16", "model.stem=8", "model.depth=2", "data.image_size_wh=[64,64]",
    "train.batch_size=6", "train.log_every=1", "train.save_every=2", "train.validate_every=1",
    "eval.batch_size=4", "eval.bootstrap=0",
)  # fmt: skip
"""Overrides that make the quickstart recipe train in seconds."""


def people(root: Path, train: int = 6, valid: int = 4) -> None:
    """Rendered people in HRNet's layout of MPII."""
    dataset.write_dataset(
        root, seed=5, train_people=train, val_people=valid, workers=1, progress=False
    )


def small(*more: str) -> Recipe:
    """The recipe of every run here."""
    return configs.chosen(RECIPE, None, [*SMALL, *more])


# MPII.


def hrnet_layout(folder: Path) -> None:
    """People, and predictions of the validation people."""
    people(folder / "data")
    _predictions(folder, folder / "data")


def mmpose_layout(folder: Path) -> None:
    """The same people as mmpose names the files."""
    hrnet_layout(folder)
    annotations = folder / "data" / "annotations"
    (folder / "data" / "annot").rename(annotations)
    for old, new in (("train.json", "mpii_train.json"), ("valid.json", "mpii_val.json"),
                     ("gt_valid.mat", "mpii_gt_val.mat")):  # fmt: skip
        (annotations / old).rename(annotations / new)
    (folder / "predictions.json").unlink()
    _predictions(folder, folder / "data")


def packed(folder: Path, kind: str) -> None:
    """The images in an archive in their folder's place."""
    hrnet_layout(folder)
    images = folder / "data" / "images"
    shutil.make_archive(str(images), kind, folder / "data", "images")
    shutil.rmtree(images)


def _predictions(folder: Path, root: Path) -> None:
    """Poses a few pixels beside the truth: ours, and the same as .mat and .h5."""
    import h5py

    from paddle_pose.poses import predictions

    recipe = small()
    with contextlib.redirect_stdout(io.StringIO()):
        evaluator = evaluator_for(recipe, recipe.benchmark(None), DataFiles(root))
    table, count = evaluator.table, len(evaluator.table)
    rng = np.random.default_rng(0)
    near = evaluator.truth.joints_xy - 1 + rng.normal(0, 3, (count, 16, 2))  # type: ignore[attr-defined]
    poses = Poses(
        image_ids=table.image_index,
        keypoints=np.concatenate([near, np.ones((count, 16, 1))], 2),
        scores=np.ones(count),
        boxes_xywh=np.full((count, 4), np.nan),
        rows=table.rows,
        instances=np.zeros(count, np.int64),
    )
    evaluator.write(
        poses, folder / "predictions.json", recipe=recipe.name, weights_sha256="", engine=""
    )
    found = evaluator.read(folder / "predictions.json")
    predictions.write_mat(found, folder / "predictions.mat")
    with h5py.File(folder / "predictions.h5", "w") as file:
        file["preds"] = near


def read_mpii(folder: Path, *, file: str = "predictions.json") -> Reading:
    """People and truth loaded, predictions scored, the first crops cut.

    Only ``predictions.json`` holds the digest of its annotations, and is refused under others.
    """
    recipe, files = small(), DataFiles(folder / "data")
    origin = 0 if file.endswith(".h5") else None
    evaluator = evaluator_for(recipe, recipe.benchmark(None), files)
    scores = evaluator.score(evaluator.read(folder / file, pixel_origin=origin), resamples=20)
    crop = evaluator.samples(1.0)[(0, 0)]
    return _table(evaluator.table) | _scores(scores.values) | {"crop": crop.image_HWC}


def read_training_people(folder: Path) -> Reading:
    """The training split, derived head sizes, augmented crops and targets."""
    task, _ = task_for(small(), DataFiles(folder / "data"), DataFiles(folder / "data"))
    samples = [task.samples[(epoch, index)] for epoch in (0, 1) for index in (0, 1)]
    targets = np.stack([sample.targets["heatmaps"] for sample in samples])
    return _table(task.samples.table) | {"targets": targets}  # type: ignore[attr-defined]


def _table(table: Any) -> Reading:
    names = ("center_xy", "scale_wh", "joints_xy", "visible", "head_size_px", "box_score", "rows")
    images = [table.image_names[i] for i in table.image_index]
    return {name: getattr(table, name) for name in names} | {"images": images}


def _scores(values: dict[str, float]) -> Reading:
    return {f"score {name}": values[name] for name in values if name in QUOTED}


QUOTED = ("Mean", "Mean@0.1", "Mean@0.11", "AUC", "AP", "AR")
"""Scores of everybody; those of groups are nan, or COCO's -1, where a group has nobody."""


# COCO.

COCO = "hrnet:w32_coco_256x192"


def coco_layout(folder: Path) -> None:
    """Six drawn people in four pictures as a COCO file, detector boxes, and results."""
    rng = np.random.default_rng(1)
    images, annotations, boxes, results = [], [], [], []
    for number in range(1, 5):
        name = f"{number:012d}.jpg"
        (folder / "images").mkdir(parents=True, exist_ok=True)
        photo = cv2.resize(rng.integers(0, 255, (12, 16, 3), np.uint8), (160, 120))
        cv2.imwrite(str(folder / "images" / name), photo)
        images.append({"id": number, "file_name": name, "width": 160, "height": 120})
    for number in range(1, 7):
        left, top = rng.integers(5, 60), rng.integers(5, 40)
        x, y = left + rng.random(17) * 60, top + rng.random(17) * 60
        joints = np.stack([x, y, np.full(17, 2)], 1).round(2)
        image = (number - 1) % 4 + 1
        box = [float(left - 3), float(top - 3), 68.0, 68.0]
        annotations.append(
            {"id": number, "image_id": image, "category_id": 1, "iscrowd": 0, "bbox": box,
             "area": 2_500.0 + number, "num_keypoints": 17, "keypoints": joints.ravel().tolist()}
        )  # fmt: skip
        found = joints + np.array([*rng.normal(0, 1.5, 2), -1.1])
        boxes.append({"image_id": image, "category_id": 1, "bbox": box, "score": 0.9})
        results.append({"image_id": image, "category_id": 1, "score": 0.8 + number / 100,
                        "area": 4_000.0, "keypoints": found.ravel().tolist()})  # fmt: skip
    limbs = [[a + 1, b + 1] for a, b in ((5, 6), (5, 7), (11, 12))]
    category = {"id": 1, "name": "person", "supercategory": "person", "skeleton": limbs,
                "keypoints": list(COCO17.joints), "sigmas": list(COCO17.oks_sigmas)}  # fmt: skip
    content = {"info": {"year": 2026}, "images": images, "annotations": annotations,
               "categories": [category]}  # fmt: skip
    for name, value in (("truth", content), ("boxes", boxes), ("results", results)):
        (folder / f"{name}.json").write_text(json.dumps(value))


def own_layout(folder: Path) -> None:
    """The same as annotation programs leave it: names of their own, much unsaid, crowds, a dog."""
    coco_layout(folder)
    content = json.loads((folder / "truth.json").read_text())
    category = content["categories"][0]
    del category["sigmas"]
    names = [name.replace("left_", "l_").replace("right_", "r_") for name in COCO17.joints]
    category["keypoints"] = names
    content["categories"].append({"id": 2, "name": "dog", "supercategory": "animal"})
    for image in content["images"][1:]:
        del image["width"], image["height"]
    rest = content["annotations"][1:]
    for one in rest:
        del one["area"], one["num_keypoints"]
    rest[0]["keypoints"][:6] = [0, 0, 0, *rest[0]["keypoints"][3:5], 1]
    rle = {"counts": [100, 50, 19050], "size": [120, 160]}
    other = {"image_id": 2, "area": 50, "bbox": [1, 2, 30, 40]}
    content["annotations"] += [
        {"id": 8, **other, "category_id": 1, "iscrowd": 1, "segmentation": rle, "num_keypoints": 0,
         "keypoints": [0] * 51},
        {"id": 9, **other, "category_id": 2, "iscrowd": 0},
    ]  # fmt: skip
    (folder / "truth.json").write_text(json.dumps(content))


def compressed_results(folder: Path) -> None:
    """COCO results as ``.json.gz``."""
    import gzip

    coco_layout(folder)
    (folder / "results.json.gz").write_bytes(gzip.compress((folder / "results.json").read_bytes()))


def read_coco(folder: Path, *more: str, results: str = "results.json") -> Reading:
    """People by annotated boxes, results scored as they are and by the benchmark, first crops."""
    recipe = configs.chosen(COCO, None, ["eval.bootstrap=0", *more])
    files = DataFiles(folder, annotations=folder / "truth.json")
    evaluator = evaluator_for(recipe, recipe.benchmark("coco_val_ground_truth"), files)
    found = evaluator.score(evaluator.read(folder / results), resamples=20)
    crop = evaluator.samples(1.0)[(0, 0)]
    task, _ = task_for(recipe, files, files)
    target = task.samples[(0, 0)].targets["heatmaps"]
    crops = {"crop": crop.image_HWC, "targets": target}
    return _table(evaluator.table) | _scores(found.values) | crops


def read_own_joints(folder: Path) -> Reading:
    """The same with the joints that the file describes."""
    return read_coco(folder, "data.skeleton=from_file")


def read_detector_boxes(folder: Path) -> Reading:
    """People by a detector's boxes, and a crop."""
    recipe = configs.chosen(COCO, None, ["eval.bootstrap=0"])
    files = DataFiles(folder, folder / "truth.json", folder / "boxes.json")
    evaluator = evaluator_for(recipe, recipe.benchmark("coco_val_detector"), files)
    return _table(evaluator.table) | {"crop": evaluator.samples(1.0)[(0, 0)].image_HWC}


def read_to_draw(folder: Path) -> Reading:
    """What ``paddle_pose draw`` draws."""
    saved = draw.read_poses(folder / "results.json", folder / "images", folder / "truth.json")
    return {"names": saved.names, "keypoints": saved.keypoints, "scores": saved.scores}


# Photos.


def photo(folder: Path, ending: str) -> None:
    """A smooth picture of 160×120 in one of the formats."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(2)
    picture = cv2.resize(rng.integers(0, 255, (12, 16, 3), np.uint8), (160, 120))
    cv2.imwrite(str(folder / f"photo.{ending}"), picture)


def read_photo(folder: Path, ending: str) -> Reading:
    """As a data set's image and as a user's photo."""
    name = f"photo.{ending}"
    upright = read_rgb(folder / name, apply_exif=True)
    header_of(folder, name)  # as a data set's sizes and turns are looked at
    return {"pixels": read_image(folder, name), "upright": upright}


def read_packed(folder: Path) -> Reading:
    """Every image of the archive, and the first crop."""
    recipe, files = small(), DataFiles(folder / "data")
    evaluator = evaluator_for(recipe, recipe.benchmark(None), files)
    table = evaluator.table
    whole = {name: read_image(table.image_root, name) for name in table.image_names}
    return whole | {"crop": evaluator.samples(1.0)[(0, 0)].image_HWC}


# Recipes.


def recipe_file(folder: Path) -> None:
    """A recipe, and people for it."""
    people(folder / "data")
    hrnet_layout(folder)
    (folder / "recipe.yaml").write_text(recipes.dump_yaml(small()))


def keys_to_set(folder: Path) -> None:
    """Every key of the recipe, by which ``--set`` may reach it."""
    recipe_file(folder)
    (folder / "set.txt").write_text("\n".join(_flat(recipes.to_dict(small()))))


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    if isinstance(value, dict | list) and value:
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        return {k: v for n, item in pairs for k, v in _flat(item, f"{prefix}{n}.").items()}
    return {prefix[:-1]: value}


def read_recipe(folder: Path) -> Reading:
    """A recipe file, used."""
    return _used(configs.chosen(str(folder / "recipe.yaml")), folder)


def read_assignment(folder: Path) -> Reading:
    """An overridden recipe, used; the sound file lists all keys instead."""
    text = (folder / "set.txt").read_bytes().decode(errors="replace")
    listed = "\n" in text and "=" not in text.partition("\n")[0]
    return _used(configs.chosen(RECIPE, None, [*SMALL, *([] if listed else [text])]), folder)


def _used(recipe: Recipe, folder: Path) -> Reading:
    """Crops, the network's first outputs, rates and scores under the recipe."""
    import paddle

    from paddle_pose.models.build import build
    from paddle_pose.training.loop import Trainer
    from paddle_pose.training.schedules import rate_by_step

    files = DataFiles(folder / "data")
    task, recipe = task_for(recipe, files, files)
    samples = [task.samples[(0, index)] for index in range(3)]
    paddle.seed(0)
    network = build(recipe.model)
    Trainer(network, recipe.train, recipe.data)
    rates = rate_by_step(recipe, 2)
    evaluator = evaluator_for(recipe, recipe.benchmark(None), files)
    found = evaluator.read(folder / "predictions.json")
    scores = evaluator.score(found, resamples=recipe.eval.bootstrap, seed=recipe.seed)
    images = [sample.image_HWC for sample in samples]
    numbers = [v for v in _flat(recipes.to_dict(recipe)).values() if isinstance(v, float)]
    return {
        "numbers of the recipe": np.array(numbers),
        "images": np.stack(images),
        "targets": np.stack([sample.targets["heatmaps"] for sample in samples]),
        "rates": np.array([rates(step) for step in range(3)], np.float64),
        "all scores": np.array(list(scores.values.values())),
    } | _scores(scores.values)
