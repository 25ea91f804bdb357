"""Metrics against the official tools, on random people: same figures, in what time?"""

from __future__ import annotations

import atexit
import contextlib
import copy
import io
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.harness import ROOT, Comparison, Options, Side, Target
from benchmarks.random_people import COCO_IMAGES, coco_set, mpii_people
from benchmarks.worker import Work

THRESHOLD_INDEX = {"Mean@0.5": 50, "Mean@0.11": 11}
"""Of the 51 thresholds 0, 0.01, …, 0.5; HRNet prints the second one as Mean@0.1."""


def pckh_ours() -> Work:
    """Distances in head sizes, and the rate of each joint at 51 thresholds."""
    from paddle_pose.system import runtime

    runtime.configure(quiet=True)
    from paddle_pose.metrics import pckh
    from paddle_pose.skeletons import MPII16

    people = mpii_people()
    corners = people.head_boxes_xyxy.reshape(-1, 2, 2)
    head_size_px = 0.6 * np.linalg.norm(corners[:, 1] - corners[:, 0], axis=1)
    result = []

    def run() -> None:
        errors = pckh.normalised_errors(people.found_xy, people.truth_xy, head_size_px)
        result[:] = [pckh.pckh(errors, 1 - people.missing, MPII16, pckh.AUC_THRESHOLDS)]

    def figures() -> dict[str, float]:
        found = {name: float(result[0].mean[i]) for name, i in THRESHOLD_INDEX.items()}
        return found | {name: float(rates[50]) for name, rates in result[0].groups.items()}

    return Work(run, figures=figures)


def pckh_official(clone: str) -> Work:
    """HRNet's ``evaluate``, with the truth in memory, as ours has it.

    Source: leoxiaobin/deep-high-resolution-net.pytorch lib/dataset/mpii.py:97 @6f69e46
    """
    from benchmarks import official

    module = official.hrnet_module(clone, "dataset.mpii")
    people = mpii_people()
    module.loadmat = lambda file: people.mat()
    config = official.Attributes.of({"DATASET": {"TEST_SET": "valid", "ROOT": ""}})
    found_xy = people.found_xy - 1.0
    result = {}

    def run() -> None:
        result.update(module.MPIIDataset.evaluate(None, config, found_xy, None)[0])

    def figures() -> dict[str, float]:
        named = {"Mean": "Mean@0.5", "Mean@0.1": "Mean@0.11"}
        return {named.get(name, name): float(value) for name, value in result.items()}

    facts = {"official": f"deep-high-resolution-net.pytorch @{official.commit(Path(clone))}"}
    return Work(run, facts=facts, figures=figures)


def coco_ours(images: int) -> Work:
    """From records in memory to the ten scores."""
    from paddle_pose.system import runtime

    runtime.configure(quiet=True)
    from paddle_pose.metrics.coco_ap import coco_ap
    from paddle_pose.skeletons import COCO17

    truth, poses = coco_set(images)
    result = {}

    def run() -> None:
        result.update(coco_ap(truth, poses, sigmas=COCO17.oks_sigmas))

    return Work(run, facts={"poses": len(poses)}, figures=lambda: result)


def coco_official(images: int) -> Work:
    """Pycocotools on the same records; its copies, which it writes into, are not timed."""
    from importlib import metadata

    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    names = ("AP", "AP50", "AP75", "APM", "APL", "AR", "AR50", "AR75", "ARM", "ARL")
    truth, poses = coco_set(images)
    copies, result = [], {}

    def prepare() -> None:
        copies[:] = copy.deepcopy((truth, poses))

    def run() -> None:
        coco = COCO()
        coco.dataset = copies[0]
        with contextlib.redirect_stdout(io.StringIO()):
            coco.createIndex()
            evaluation = COCOeval(coco, coco.loadRes(copies[1]), "keypoints")
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
        result.update(zip(names, map(float, evaluation.stats), strict=True))

    facts = {"official": f"pycocotools {metadata.version('pycocotools')}"}
    return Work(run, facts=facts, figures=lambda: result, prepare=prepare)


def val_command() -> Work:
    """Processor seconds of ``val.py --predictions`` from its start to its end."""
    from scipy.io import savemat

    people = mpii_people()
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    root = Path(folder.name)
    (root / "annot").mkdir()
    (root / "annot" / "valid.json").write_text(json.dumps(people.records()), encoding="utf-8")
    savemat(root / "annot" / "gt_valid.mat", people.mat())
    savemat(root / "found.mat", {"preds": people.found_xy})
    words = ["val.py", "--predictions", root / "found.mat", "--pixel_origin", "1"]
    words += ["--dataset_root", root, "--set", "eval.bootstrap=0"]

    def run() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(  # noqa: S603
            [sys.executable, *map(str, words)], cwd=ROOT, check=True, stdout=subprocess.DEVNULL
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime

    return Work(run)


def comparisons(options: Options) -> list[Comparison]:
    """PCKh, COCO AP, and the command that scores saved predictions."""
    images = 300 if options.quick else COCO_IMAGES
    clone = options.hrnet
    official_pckh = Side(
        "benchmarks.scoring:pckh_official", "HRNet, evaluate", {"clone": str(clone)}, in_torch=True
    )
    return [
        Comparison(
            name="pckh",
            work="PCKh at 51 thresholds, 2,958 people",
            ours=Side("benchmarks.scoring:pckh_ours", "metrics.pckh"),
            theirs=official_pckh if clone else None,
            target=Target("speedup", 2),
            missing="" if clone else "no --hrnet DIR",
            # Percentages of some 44,000 joints: sums of at most 51 × 16 terms in float64.
            tolerance=1e-9,
            warm_up=3,
            pairs=25,
        ),
        Comparison(
            name="coco_ap",
            work=f"COCO AP, {images:,} images, {20 * images:,} poses",
            ours=Side("benchmarks.scoring:coco_ours", "metrics.coco_ap", {"images": images}),
            theirs=Side(
                "benchmarks.scoring:coco_official",
                "pycocotools",
                {"images": images},
                in_torch=True,
            ),
            target=Target("speedup", 3),
            tolerance=1e-9,
            warm_up=0,
        ),
        Comparison(
            name="val_predictions",
            work="val.py --predictions, 2,958 people, start to end, no bootstrap",
            ours=Side("benchmarks.scoring:val_command", "val.py"),
            target=Target("limit", 4.0),
            unit="processor s",
        ),
    ]
