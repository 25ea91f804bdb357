"""What training runs leave, to compare to the bit."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from paddle_pose.weights.safe_pickle import load_arrays

RECIPE = "quickstart:newell_hg1_synthetic"


def results(output: Path) -> tuple[dict, dict, dict, list[dict]]:
    """Last weights, optimiser state, best weights, and the metrics without their timings."""
    state = load_file(output / "last/checkpoint.safetensors")
    metrics = [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]
    timings = ("reader_cost", "batch_cost", "ips")
    metrics = [{k: v for k, v in line.items() if k not in timings} for line in metrics]
    best = load_arrays(output / "best_model/model.pdparams")
    return load_arrays(output / "last/model.pdparams"), state, best, metrics


def assert_identical(left: dict, right: dict) -> None:
    assert left.keys() == right.keys()
    for name in left:
        np.testing.assert_array_equal(left[name], right[name], err_msg=name)
