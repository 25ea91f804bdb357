"""What is measured as cost grows: five axes, each point in a process of its own."""

from __future__ import annotations

import json
import os
import resource
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness import Options, Side
from benchmarks.networks import load_recipe
from benchmarks.pipeline import command, rendered, temporary_folder
from benchmarks.worker import Work

NEWELL = "hourglass:newell_hg2_mpii_256x256"
HRNET = "hrnet:w32_coco_256x192"


@dataclass(frozen=True)
class Axis:
    """What grows.

    Attributes:
        name: of its files and of its part of the record.
        title: of its plot and table.
        x: what the horizontal axis counts.
        unit: of the times.
        points: value → curve → the side that measures it.
        runs: measured runs of a point, after one that warms up.
        log_x: powers of two (or ten) apart.
    """

    name: str
    title: str
    x: str
    unit: str
    points: dict[float, dict[str, Side]]
    runs: int = 2
    log_x: bool = False


def _training(recipe: str, batch: int, overrides: list[str]) -> Side:
    options = {"recipe": recipe, "batch": batch, "overrides": overrides}
    return Side("benchmarks.networks:training_step", "training step", options)


def _forward(recipe: str, batch: int, overrides: list[str]) -> Side:
    options = {"recipe": recipe, "batch": batch, "overrides": overrides}
    options |= {"engine": "onednn", "precision": "float32"}
    return Side("benchmarks.networks:forward_with_flip", "evaluation with flip", options)


def _both(recipe: str, batch: int, *overrides: str) -> dict[str, Side]:
    return {
        "training step": _training(recipe, batch, list(overrides)),
        "evaluation with flip": _forward(recipe, batch, list(overrides)),
    }


def network_axes(options: Options) -> list[Axis]:
    """Image size, stacks, width and batch."""
    quick = options.quick
    sizes = (64, 128) if quick else (128, 192, 256, 320, 384)
    stacks = (1, 2) if quick else (1, 2, 4, 8)
    widths = (16, 32) if quick else (16, 24, 32, 40, 48)
    batches = (1, 2) if quick else (1, 2, 4, 8, 16, 32)
    small = ["data.image_size_wh=[64,64]"] if quick else []
    batch = 1 if quick else 2
    return [
        Axis(
            "image_size",
            f"Image size: Newell's hourglass, 2 stacks, batch {batch}",
            "image side, pixels",
            "s/image",
            {s: _both(NEWELL, batch, f"data.image_size_wh=[{s},{s}]") for s in sizes},
        ),
        Axis(
            "stacks",
            "Stacks: Newell's hourglass, " + ("64×64" if quick else "256×256") + ", batch 1",
            "stacks",
            "s/image",
            {n: _both(NEWELL, 1, f"model.stacks={n}", *small) for n in stacks},
            log_x=True,
        ),
        Axis(
            "width",
            "Width: HRNet, " + ("64×64" if quick else "256×192") + f", batch {batch}",
            "channels at the highest resolution",
            "s/image",
            {w: _both(HRNET, batch, f"model.width={w}", *small) for w in widths},
        ),
        Axis(
            "batch",
            "Batch: Newell's hourglass, 1 stack, " + ("64×64" if quick else "128×128"),
            "people in a batch",
            "s/image",
            {
                b: _both(NEWELL, b, "model.stacks=1", *(small or ["data.image_size_wh=[128,128]"]))
                for b in batches
            },
            log_x=True,
        ),
    ]


def people_axis(options: Options) -> Axis:
    """Start-up against the people in the data set, as COCO and as MPII lay it out."""
    counts = (500, 1_000) if options.quick else (2_000, 20_000, 200_000)
    layouts = {"COCO": "coco", "MPII": "mpii"}

    def side(label: str, people: int) -> Side:
        words = {"people": people, "layout": layouts[label]}
        return Side("benchmarks.people_growth:start_up", label, words)

    return Axis(
        "people",
        "People in the data set: from start to the first batch, 2 workers",
        "people",
        "s",
        {n: {label: side(label, n) for label in layouts} for n in counts},
        runs=1,
        log_x=True,
    )


def ranks_axis(options: Options) -> Axis:
    """The same global batch by one process and by two on gloo; they share this machine's cores."""
    people = 16 if options.quick else 96
    batch = 4 if options.quick else 16
    label = "training step"
    return Axis(
        "ranks",
        f"Ranks on one machine: Newell's hourglass, 1 stack, 128×128, {batch} people a step, gloo",
        "processes",
        "s/step",
        {
            n: {
                label: Side(
                    "benchmarks.growth_points:ranked_training",
                    label,
                    {"root": str(options.folder), "ranks": n, "people": people, "batch": batch},
                )
            }
            for n in (1, 2)
        },
        runs=1,
    )


def ranked_training(root: str, ranks: int, people: int, batch: int) -> Work:
    """Mean ``batch_cost`` of a short ``train.py``'s second epoch; memory of its largest process."""
    data, output = rendered(root, people, 8), temporary_folder()
    launch = ["-m", "paddle.distributed.launch", "--backend", "gloo"]
    launch += ["--nproc_per_node", str(ranks), "--log_dir", output / "log"]
    words = ["train.py", "--config", NEWELL, "--dataset_root", data, "--num_workers", "1"]
    words += ["--set", "model.stacks=1", "data.image_size_wh=[128,128]", "train.epochs=2"]
    words += [f"train.batch_size={batch}", "train.log_every=1", "train.validate_every=2"]
    # The stated threads are of all ranks together; each would take them all otherwise.
    threads = str(max(int(os.environ["OMP_NUM_THREADS"]) // ranks, 1))
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "FLAGS_paddle_num_threads")
    shared = dict.fromkeys(names, threads)
    runs: list[Path] = []

    def run() -> float:
        runs.append(output / f"run{len(runs)}")
        command(
            *(launch if ranks > 1 else ()), *words, "--output_dir", runs[-1], environment=shared
        )
        lines = (runs[-1] / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        logged = [line for line in map(json.loads, lines) if line["kind"] == "train"]
        second = [line["batch_cost"] for line in logged if line["epoch"] == 1]
        return sum(second) / len(second)

    def figures() -> dict[str, float]:
        largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        return {"peak_mib": largest / 1024}

    return Work(run, figures=figures)


def gradient_bytes(recipe: str) -> Work:
    """Four bytes a parameter: what every step sends around the ring."""
    from paddle_pose.models.build import build

    network = build(load_recipe(recipe).model)
    from paddle_pose.models.counting import count_parameters

    return Work(lambda: 4.0 * count_parameters(network))
