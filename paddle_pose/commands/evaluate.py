"""Weights or saved predictions to scores, predicted to disk first: what ``val.py`` does."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paddle_pose import configs
from paddle_pose.errors import UserError
from paddle_pose.recipes import checks as limits
from paddle_pose.recipes import recipe as recipes
from paddle_pose.system import parallel, runtime

if TYPE_CHECKING:
    import numpy as np

    from paddle_pose.data.records import PersonTable
    from paddle_pose.evaluation.coco import CocoTruth
    from paddle_pose.poses.coco_results import CocoResults
    from paddle_pose.recipes.recipe import Recipe
    from paddle_pose.settings import Benchmark

MPII_VALID_PEOPLE = 2958
"""Published MPII values are shown beside scores on so many people, and no others."""

COCO_VAL_IMAGES = 5000
"""Published COCO values are shown beside scores on so many images, and no others."""

ONLY_WITH_WEIGHTS = (
    "pretrained_model",
    "batch_size",
    "num_workers",
    "device",
    "engine",
    "precision",
    "gpus",
    "master",
    "nnodes",
)


def check_arguments(arguments: argparse.Namespace) -> None:
    """Raises UserError for options that are missing or have no meaning together."""
    if arguments.dataset_root is None:
        raise UserError("--dataset_root: give the folder that holds annotations and images")
    if arguments.predictions is None:
        if arguments.pretrained_model is None:
            raise UserError(
                "give --pretrained_model FILE to predict, or --predictions FILE to score"
            )
        if arguments.pixel_origin is not None:
            raise UserError("--pixel_origin: has a meaning only with --predictions")
        if not arguments.pretrained_model.is_file():
            raise UserError(f"--pretrained_model {arguments.pretrained_model}: no such file")
    else:
        for name in ONLY_WITH_WEIGHTS:
            if getattr(arguments, name) is not None:
                raise UserError(
                    f"--{name}: has no meaning with --predictions; leave one of them out"
                )
    if arguments.batch_size is not None and arguments.batch_size < 1:
        raise UserError(f"--batch_size {arguments.batch_size}: must be at least 1")


def prepare_folder(folder: Path) -> None:
    """Make it, and say what it loses; Raises UserError before hours of work, not after them."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(f"--output_dir {folder}: cannot write there ({error.strerror})") from error
    earlier = folder / "scores.json"
    if earlier.is_file():
        made = time.strftime("%Y-%m-%d %H:%M", time.localtime(earlier.stat().st_mtime))
        print(f"=> {folder}: replacing the evaluation of {made}; --output_dir keeps both")


def predict(
    arguments: argparse.Namespace, recipe: Recipe, benchmark: Benchmark, table: PersonTable
) -> tuple[np.ndarray, str]:
    """(N, J, 3) key points in image pixels, 0-based, with their scores; and what computed them.

    Several processes each predict their batches of people; all but the first end here.
    """
    runtime.import_paddle()
    from paddle_pose.evaluation import people
    from paddle_pose.inference import engine
    from paddle_pose.inference import top_down as inference
    from paddle_pose.models.build import build
    from paddle_pose.weights import checkpoint

    parallel.quiet_unless_first()
    parallel.start()
    workers = people.worker_count(arguments.num_workers)
    device = runtime.choose_device(arguments.device or "auto")
    precision = arguments.precision or "float32"
    chosen = engine.choose(arguments.engine or "auto", precision, people=len(table))
    network = build(recipe.model)
    checkpoint.load_weights(network, arguments.pretrained_model)
    computed = f"{chosen} {precision}"
    print(f"=> {recipe.name}, benchmark {benchmark.name}, on {device}, {computed}", flush=True)
    start = time.perf_counter()
    batch_size = arguments.batch_size or recipe.eval.batch_size
    keypoints = inference.predict(
        network,
        table.select(parallel.rows(len(table), batch_size)),
        recipe.data,
        recipe.codec,
        benchmark,
        batch_size=batch_size,
        num_workers=workers,
        engine=chosen,
        precision=precision,
    )
    keypoints = parallel.gather(keypoints, len(table), batch_size)
    if not parallel.is_first():
        sys.exit(0)
    seconds = time.perf_counter() - start
    print(f"=> predicted {len(table)} people in {seconds:.1f} s", flush=True)
    return keypoints, computed


def predict_to_disk(
    arguments: argparse.Namespace,
    recipe: Recipe,
    benchmark: Benchmark,
    table: PersonTable,
    annotation_sha256: str,
    folder: Path,
) -> Path:
    """Predict everybody on the table and write ``predictions.json``; returns its path."""
    from paddle_pose.data import mpii
    from paddle_pose.data.mpii_files import sha256
    from paddle_pose.evaluation import people
    from paddle_pose.poses import predictions

    mpii.require_images(table)
    keypoints, computed = predict(arguments, recipe, benchmark, table)
    made = people.predictions_of(
        table,
        keypoints,
        recipe=recipe.name,
        benchmark=benchmark.protocol(),
        annotation_sha256=annotation_sha256,
        weights_sha256=sha256(arguments.pretrained_model),
        engine=computed,
    )
    file = folder / "predictions.json"
    predictions.write_json(made, file)
    return file


def evaluate_mpii(arguments: argparse.Namespace, recipe: Recipe, benchmark: Benchmark) -> None:
    """MPII: predict to disk where there are no predictions yet, then score from disk."""
    from paddle_pose.data import mpii
    from paddle_pose.data.mpii_files import sha256
    from paddle_pose.evaluation import mpii as evaluation
    from paddle_pose.poses import predictions
    from paddle_pose.skeletons import MPII16

    split, root = recipe.data.val_split, arguments.dataset_root
    if recipe.data.skeleton != MPII16.name:
        raise UserError(f"data.skeleton: mpii has '{MPII16.name}', not '{recipe.data.skeleton}'")
    if benchmark.boxes != "ground_truth":
        raise UserError(f"benchmark '{benchmark.name}': MPII has no '{benchmark.boxes}' boxes")
    everyone = mpii.load(root, split, with_truth=False)
    table = everyone.head(recipe.data.limit)
    mpii.describe(table)
    truth_file = mpii.truth_file(root, split)
    truth = mpii.truth(root, split).select(table.rows) if truth_file else None
    digest = sha256(mpii.annotation_file(root, split))
    protocol = benchmark.protocol()
    folder, file = arguments.output_dir, arguments.predictions
    if file is None:
        folder = folder or Path("output") / recipe.name / f"eval_{benchmark.name}"
        prepare_folder(folder)
        file = predict_to_disk(arguments, recipe, benchmark, table, digest, folder)
    elif folder is not None:
        prepare_folder(folder)

    found = predictions.read(file, arguments.pixel_origin, joints=len(MPII16), skeleton=MPII16.name)
    stated = "" if found.origin_stated else " (assumed; --pixel_origin says it)"
    print(f"=> {file}: {len(found)} people, {found.file_origin}-based coordinates{stated}")
    recipe_asked = arguments.config is not None or arguments.image_size is not None
    predictions.require_made_for(
        found,
        file,
        recipe=recipe.name if recipe_asked else None,
        benchmark=protocol if recipe_asked or arguments.benchmark else None,
        annotation_sha256=digest,
    )
    found = predictions.for_rows(found, file, table.rows, len(everyone))
    if folder is not None:
        predictions.write_mat(found, folder / "pred.mat")
    if truth is None:
        where = f"wrote {folder / 'pred.mat'}" if folder else "--output_dir makes pred.mat"
        print(f"=> split '{split}' has no published truth, so there is no score; {where}")
        return

    scores = evaluation.score_mpii(
        found,
        truth,
        MPII16,
        resamples=recipe.eval.bootstrap,
        thresholds=benchmark.thresholds,
        seed=recipe.seed,
    )
    same_recipe = found.recipe == recipe.name and found.benchmark == protocol
    comparable = same_recipe and split in ("valid", "val") and len(truth) == MPII_VALID_PEOPLE
    print(evaluation.format_table(scores, benchmark.published if comparable else None))
    print(evaluation.THRESHOLD_NOTE)
    if not found.origin_stated:
        other = evaluation.mean_if_other_origin(found, truth, MPII16)
        print(f"=> read as {1 - found.file_origin}-based, Mean@0.1 would be {other:.3f}")
    print(evaluation.eval_line(scores), flush=True)
    if folder is not None:
        evaluation.write_scores(
            scores,
            folder / "scores.json",
            recipe=found.recipe,
            benchmark=found.benchmark,
            split=split,
            pixel_origin={"file": found.file_origin, "stated": found.origin_stated},
            weights_sha256=found.weights_sha256,
            engine=found.engine,
            files={path.name: sha256(path) for path in (file, table.files[0], truth_file)},
        )
        print(f"=> {folder / 'scores.json'}")


def coco_results_file(
    arguments: argparse.Namespace, truth: CocoTruth, benchmark: Benchmark
) -> tuple[CocoResults, dict[str, Any]]:
    """A foreign results file as it is, or under the benchmark if --benchmark names it."""
    from paddle_pose.data.mpii_files import sha256
    from paddle_pose.evaluation import coco as evaluation_coco

    for name in ("pixel_origin", "boxes"):
        if getattr(arguments, name) is not None:
            raise UserError(f"--{name}: has no meaning for a COCO results file")
    file, chosen = arguments.predictions, benchmark if arguments.benchmark else None
    results = evaluation_coco.read_finished(file, truth, chosen)
    under = f"under benchmark {chosen.name}" if chosen else "as it is"
    print(f"=> {file}: {len(results)} poses, scored {under}")
    files = {path.name: sha256(path) for path in (file, truth.file)}
    protocol = chosen.protocol() if chosen else None
    return results, {"recipe": "", "benchmark": protocol, "files": files}


def coco_predictions(
    arguments: argparse.Namespace,
    recipe: Recipe,
    benchmark: Benchmark,
    truth: CocoTruth,
    folder: Path | None,
) -> tuple[CocoResults, dict[str, Any]]:
    """Predict to disk where there are no predictions yet, read them, rescore and suppress."""
    from paddle_pose.data import coco
    from paddle_pose.data.mpii_files import sha256
    from paddle_pose.evaluation import coco as evaluation_coco
    from paddle_pose.poses import predictions

    file, protocol = arguments.predictions, benchmark.protocol()
    everyone = coco.load(
        arguments.dataset_root,
        recipe.data.val_split,
        image_size_wh=recipe.data.image_size_wh,
        skeleton_name=recipe.data.skeleton,
        boxes=benchmark.boxes,
        annotations=arguments.annotations,
        boxes_file=arguments.boxes,
        box_threshold=benchmark.box_threshold,
        with_images=file is None,
    )
    table = everyone.head(recipe.data.limit)
    coco.describe(table)
    digest = sha256(table.files[-1])
    if file is None:
        file = predict_to_disk(arguments, recipe, benchmark, table, digest, folder)
    joints = len(truth.category.skeleton)
    found = predictions.read(file, arguments.pixel_origin, joints=joints, skeleton=table.skeleton)
    predictions.require_made_for(
        found,
        file,
        recipe=recipe.name if arguments.config else None,
        benchmark=protocol,
        annotation_sha256=digest,
    )
    found = predictions.for_rows(found, file, table.rows, len(everyone))
    raw = evaluation_coco.raw_results(found.keypoints, table, truth.category.id)
    results = evaluation_coco.finished(raw, truth.category.skeleton, benchmark)
    files = {path.name: sha256(path) for path in (file, *table.files)}
    return results, {
        "recipe": found.recipe,
        "benchmark": protocol,
        "weights_sha256": found.weights_sha256,
        "engine": found.engine,
        "images": raw.image_ids if recipe.data.limit is not None else None,
        "files": files,
    }


def evaluate_coco(arguments: argparse.Namespace, recipe: Recipe, benchmark: Benchmark) -> None:
    """COCO: predictions or a results file → results for the server, AP table, scores.json."""
    from paddle_pose.evaluation import coco as evaluation_coco
    from paddle_pose.models.architectures import with_joints
    from paddle_pose.poses import coco_results

    split, folder = recipe.data.val_split, arguments.output_dir
    truth = evaluation_coco.read_truth(
        arguments.dataset_root,
        split,
        skeleton_name=recipe.data.skeleton,
        annotations=arguments.annotations,
    )
    recipe = replace(recipe, model=with_joints(recipe.model, len(truth.category.skeleton)))
    if arguments.predictions is None:
        folder = folder or Path("output") / recipe.name / f"eval_{benchmark.name}"
    if folder is not None:
        prepare_folder(folder)
    if arguments.predictions is not None and coco_results.is_results_file(arguments.predictions):
        results, facts = coco_results_file(arguments, truth, benchmark)
    else:
        results, facts = coco_predictions(arguments, recipe, benchmark, truth, folder)
    if folder is not None:
        coco_results.write_results(results, folder / evaluation_coco.results_name(split))
        print(f"=> {folder / evaluation_coco.results_name(split)}: {len(results)} poses")
    if not truth.has_people:
        print(f"=> {truth.file.name} has no published truth, so there is no score")
        return
    images = facts.pop("images", None)
    values, intervals = evaluation_coco.score_with_intervals(
        results, truth, image_ids=images, resamples=recipe.eval.bootstrap, seed=recipe.seed
    )
    whole = images is None and split == "val2017" and truth.image_count == COCO_VAL_IMAGES
    comparable = whole and facts["recipe"] == recipe.name
    published = benchmark.published if comparable else None
    print(evaluation_coco.format_table(values, published, intervals))
    print(evaluation_coco.eval_line(values), flush=True)
    if folder is not None:
        file = folder / "scores.json"
        facts |= {"split": split, "poses": len(results), "intervals": intervals}
        draws = {"resamples": recipe.eval.bootstrap, "level": 0.95, "seed": recipe.seed}
        evaluation_coco.write_scores(values, file, bootstrap=draws | {"over": "images"}, **facts)
        print(f"=> {file}")


def evaluate(arguments: argparse.Namespace) -> None:
    """Run ``val.py``'s arguments to the end; Raises UserError."""
    check_arguments(arguments)
    recipe = recipes.override(
        configs.load(arguments.config, arguments.image_size), arguments.assignments
    )
    limits.require_sound(recipe)
    benchmark = recipe.benchmark(arguments.benchmark)
    if recipe.data.dataset == "mpii":
        for name in ("annotations", "boxes"):
            if getattr(arguments, name) is not None:
                raise UserError(f"--{name}: has a meaning only for COCO recipes")
        evaluate_mpii(arguments, recipe, benchmark)
    elif recipe.data.dataset == "coco":
        evaluate_coco(arguments, recipe, benchmark)
    else:
        raise UserError(f"data.dataset: unknown '{recipe.data.dataset}'; valid: coco, mpii")
