"""Training accuracy as AlphaPose logs it, and ours; its scores of poses."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import paddle
import pytest

from paddle_pose.codecs.heatmap import HeatmapCodec
from paddle_pose.codecs.integral import IntegralCodec
from paddle_pose.evaluation.coordinate_scores import AlphaPoseAccuracy, InputPck
from paddle_pose.evaluation.oks_results import finished
from paddle_pose.evaluation.task import no_score, together
from paddle_pose.poses.coco_results import CocoResults
from paddle_pose.settings import Benchmark, OksProtocol
from paddle_pose.skeletons import COCO17
from paddle_pose.training.progress import TrainLog

CODEC = IntegralCodec("divide_sum")


def batch_of(joints_xy: np.ndarray, visible: np.ndarray) -> SimpleNamespace:
    """One person's batch with an input of 192 × 256 pixels."""
    targets = CODEC.encode(joints_xy, visible, (192, 256))
    return SimpleNamespace(
        images=paddle.zeros([1, 256, 192, 3], "uint8"),
        targets={name: paddle.to_tensor(one[None]) for name, one in targets.items()},
        place=SimpleNamespace(joints_xy=joints_xy[None], visible=visible[None]),
    )


def maps_at(cells_xy: np.ndarray) -> dict[str, np.ndarray]:
    maps = np.zeros((1, len(cells_xy), 64, 48), np.float32)
    maps[0, np.arange(len(cells_xy)), cells_xy[:, 1], cells_xy[:, 0]] = 1
    return {"heatmaps": maps}


def test_a_doubled_weight_asks_twice_as_much_of_the_body_and_ours_does_not():
    # Cells of 4 pixels. 0.05 of 48 cells is 2.4: 2 cells aside is a hit, twice that is none.
    cells = np.full((136, 2), 20)
    batch = batch_of(cells * 4.0, np.ones(136))
    outputs = maps_at(cells + np.array([2, 0]))
    accuracy, people = AlphaPoseAccuracy(CODEC)(batch, outputs)
    assert people == 1
    assert accuracy == pytest.approx(110 / 136, rel=1e-15)
    assert InputPck(CODEC)(batch, outputs) == (136, 136)
    outputs = maps_at(cells + np.array([3, 0]))
    assert AlphaPoseAccuracy(CODEC)(batch, outputs)[0] == 0
    assert InputPck(CODEC)(batch, outputs) == (0, 136)


def test_by_udp_a_cell_is_another_part_of_the_input():
    # Cell 40 of 48 lies at 40 * 191 / 47 = 162.6 pixels. A hit is within 0.05 of 191 there, 9.55
    # pixels: 9.4 more are one, and would not be by cells of 4 pixels (12 of 9.6).
    cells, joints = np.full((1, 2), 40), np.array([[40 * 191 / 47 + 9.4, 40 * 255 / 63]])
    batch = batch_of(np.tile(joints, (17, 1)), np.ones(17))
    outputs = maps_at(np.tile(cells, (17, 1)))
    assert InputPck(HeatmapCodec(encoding="udp"))(batch, outputs) == (17, 17)
    assert InputPck(HeatmapCodec())(batch, outputs) == (0, 17)


def test_joints_without_truth_are_in_no_score():
    cells = np.full((17, 2), 20)
    joints, visible = cells * 4.0, np.ones(17)
    visible[0], joints[1] = 0, [-9, 40]
    batch = batch_of(joints, visible)
    assert InputPck(CODEC)(batch, maps_at(cells)) == (15, 15)
    assert AlphaPoseAccuracy(CODEC)(batch, maps_at(cells)) == (1, 1)
    blind = SimpleNamespace(images=batch.images, place=SimpleNamespace(joints_xy=np.empty((1, 0))))
    assert InputPck(CODEC)(blind, maps_at(cells)) == (0, 0)


def test_heat_maps_are_scored_too():
    codec = HeatmapCodec(sigma_px=2.0)
    joints = np.full((17, 2), 80.0)
    batch = batch_of(joints, np.ones(17))
    batch.targets = {
        name: paddle.to_tensor(one[None])
        for name, one in codec.encode(joints, np.ones(17), (192, 256)).items()
    }
    outputs = {"heatmaps": batch.targets["heatmaps"].numpy()}
    assert AlphaPoseAccuracy(codec)(batch, outputs) == (1, 1)
    assert InputPck(codec)(batch, outputs) == (17, 17)
    outputs = {"heatmaps": np.roll(outputs["heatmaps"], 3, 3)}
    assert AlphaPoseAccuracy(codec)(batch, outputs) == (0, 1)
    assert InputPck(codec)(batch, outputs) == (0, 17)


def test_a_log_line_names_every_score():
    score = together({"one": lambda *_: (1, 4), "two": lambda *_: (0.5, 1)})
    assert score(None, {}) == [1, 4, 0.5, 1]
    assert together({}) is no_score
    log = TrainLog(0, 0, 1, 1.0, {"coordinates": 1.0}, 1e-3, 0, 1, 1, 0, {"one": 25.0, "two": 50.0})
    assert log.line().endswith("eta: 0:00:00, train one: 25.00, train two: 50.00")
    assert "train" not in replace(log, scores={}).line()


@pytest.mark.parametrize(
    ("rule", "boxes", "expected"),
    [
        ("product", "detector", 0.9),
        ("alphapose", "detector", 0.9 + 0.2 + 1.25 * 0.6),
        ("alphapose", "ground_truth", 0.2 + 1.25 * 0.6),
        ("alphapose_demo", "ground_truth", 0.9 + 0.2 + 1.25 * 0.6),
    ],
)
def test_poses_score_as_alphapose_has_it(rule, boxes, expected):
    keypoints = np.zeros((1, 17, 3))
    keypoints[0, :, 2] = [0.6] + [(0.2 * 17 - 0.6) / 16] * 16
    results = CocoResults(np.array([1]), keypoints, np.array([0.9]), np.array([100.0]))
    benchmark = Benchmark(name="x", boxes=boxes, metric=OksProtocol(score=rule))
    # A mean of 17 terms and two sums: a few steps of float64.
    assert finished(results, COCO17, benchmark).scores[0] == pytest.approx(expected, rel=1e-14)
