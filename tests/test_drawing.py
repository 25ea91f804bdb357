"""Drawing: the right pixel in the right colour, what is left out, the door on both files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from paddle_pose import drawing
from paddle_pose.errors import UserError
from paddle_pose.skeletons import COCO17, MPII16


def _grey(height: int = 80, width: int = 100) -> np.ndarray:
    return np.full((height, width, 3), 128, np.uint8)


def _alone(joint: str, x: float, y: float, score: float = 1.0) -> np.ndarray:
    keypoints = np.zeros((17, 3))
    keypoints[COCO17.index(joint)] = [x, y, score]
    return keypoints


@pytest.mark.parametrize(
    ("joint", "side"), [("left_knee", "left"), ("right_knee", "right"), ("nose", "centre")]
)
def test_a_joint_is_on_its_pixel_in_its_sides_colour(joint: str, side: str):
    drawn = drawing.draw_pose(_grey(), _alone(joint, 60, 20), COCO17)
    assert tuple(drawn[20, 60]) == drawing.SIDE_RGB[side]
    changed = np.argwhere((drawn != 128).any(2))
    # A disc about (row 20, column 60), whose smooth edge OpenCV draws a little lopsided (0.3 px);
    # one pixel off, or x and y swapped, would show.
    np.testing.assert_allclose(changed.mean(0), [20, 60], rtol=0, atol=0.5)
    assert np.abs(changed - [20, 60]).max() <= 4


def _near(pixel: np.ndarray, side: str) -> bool:
    """Within what smoothing takes from a thin line, and far from the other colours (over 100)."""
    return np.abs(pixel.astype(int) - drawing.SIDE_RGB[side]).max() < 20


def test_a_limb_joins_its_joints():
    keypoints = _alone("left_hip", 10, 40) + _alone("left_knee", 90, 40)
    drawn = drawing.draw_pose(_grey(), keypoints, COCO17)
    assert _near(drawn[40, 50], "left")
    keypoints = _alone("left_hip", 10, 40) + _alone("right_hip", 90, 40)
    drawn = drawing.draw_pose(_grey(), keypoints, COCO17)
    assert _near(drawn[40, 50], "centre")


def test_what_is_not_drawn():
    image = _grey()
    for x, y, score in ((50, 40, 0.19), (np.nan, 40, 1), (np.inf, 40, 1), (1e12, 40, 1)):
        drawn = drawing.draw_pose(image, _alone("nose", x, y, score), COCO17)
        assert (drawn == 128).all()
    drawing.draw_pose(image, _alone("nose", 50, 40), COCO17)
    assert (image == 128).all()  # never in place


def test_scores_are_written_on_request():
    pose = _alone("nose", 20, 40, 0.75)
    plain = drawing.draw_pose(_grey(), pose, COCO17)
    scored = drawing.draw_pose(_grey(), pose, COCO17, show_scores=True)
    right = slice(26, 60)
    assert (plain[:, right] == 128).all()
    assert (scored[30:46, right] > 200).any()  # white letters, smoothed
    assert (scored[30:46, right] < 50).any()  # with a black edge


def test_keypoints_of_another_skeleton_are_refused():
    with pytest.raises(UserError, match="mpii16"):
        drawing.draw_pose(_grey(), np.zeros((17, 3)), MPII16)


def test_grid_places_every_image():
    images = [np.full((10 + i, 20, 3), 40 * i, np.uint8) for i in range(5)]
    sheet = drawing.grid(images, 2, [str(i) for i in range(5)])
    for i in range(5):
        # Each grey value occurs exactly as often as its image has pixels; black is also ink.
        if i:
            assert (sheet == 40 * i).all(2).sum() >= images[i].shape[0] * 20
    assert drawing.grid(images[:1], 3).shape == (10 + 8, 20 + 8, 3)
    with pytest.raises(ValueError, match="captions"):
        drawing.grid(images, 2, ["one"])


def _metrics(folder: Path, *lines: str) -> Path:
    file = folder / "metrics.jsonl"
    file.write_text("\n".join(lines))
    return file


TRAIN = '{"kind": "train", "epoch": 0, "step": 1, "loss": 0.5, "lr": 0.001, "pckh": null}'
EVAL = '{"kind": "eval", "epoch": 0, "Mean": 12.5, "Mean@0.1": 1.5}'


def test_curves(tmp_path: Path):
    file = _metrics(tmp_path, TRAIN, TRAIN.replace("null", "3.5"), EVAL, '{"kind": "tra')
    for name in ("curves.png", "deep/curves.svg"):
        drawing.curves(file, tmp_path / name)
        assert (tmp_path / name).stat().st_size > 1000


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ((TRAIN, "{broken", EVAL), "line 2: not valid JSON"),
        (('{"a": 1}',), "no train or eval lines"),
        ((TRAIN, "[1]", EVAL), "line 2: expected an object"),
        (
            ('{"kind": "train", "epoch": "x", "loss": 1}',),
            "line 1: expected an object with numbers",
        ),
    ],
)
def test_broken_metrics(tmp_path: Path, lines: tuple, message: str):
    with pytest.raises(UserError, match=message):
        drawing.curves(_metrics(tmp_path, *lines), tmp_path / "c.png")
