"""Drawing: the right pixel in the right colour, what is left out, the door on both files."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from paddle_pose import drawing
from paddle_pose.data import predictions
from paddle_pose.errors import UserError
from paddle_pose.skeletons import COCO17, MPII16

ROOT = Path(__file__).parent.parent


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


def test_prediction_grid_has_three_columns():
    image = _grey()
    sheet = drawing.prediction_grid(
        [image], [_alone("nose", 50, 40)], [_alone("nose", 20, 40, 0.9)], COCO17, captions=["1"]
    )
    assert sheet.shape == (80 + 22 + 8, 3 * 104 + 4, 3)
    centre = (sheet == drawing.SIDE_RGB["centre"]).all(2)
    columns = np.flatnonzero(centre.any(0))
    # Cells start at 4 + 104 · column: truth at 108 + 50, prediction at 212 + 20.
    assert {158, 232} <= set(columns.tolist())
    assert not centre[:, :104].any()


def test_heat_map_is_red_at_its_peak():
    heatmaps = np.zeros((2, 20, 15), np.float32)
    heatmaps[0, 5, 3] = 0.8
    sheet = drawing.draw_heatmaps(_grey(80, 60), heatmaps, ["nose", "eye"])
    # The second cell starts at column 68, row 26; cell (5, 3) covers pixels 20-23, 12-15.
    at = sheet[26 + 21, 68 + 13].astype(int)
    assert at[0] > at[2] + 50


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
    [((TRAIN, "{broken", EVAL), "line 2 is not JSON"), (("",), "no train or eval lines")],
)
def test_broken_metrics(tmp_path: Path, lines: tuple, message: str):
    with pytest.raises(UserError, match=message):
        drawing.curves(_metrics(tmp_path, *lines), tmp_path / "c.png")


def _door(*arguments: object) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "paddle_pose.drawing", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def _photos(folder: Path, *names: str) -> Path:
    folder.mkdir()
    for name in names:
        cv2.imwrite(str(folder / name), _grey())
    return folder


def test_door_draws_coco_results(tmp_path: Path):
    photos = _photos(tmp_path / "photos", "000000000007.png", "COCO_val2014_000000000012.png")
    record = {"category_id": 1, "keypoints": _alone("nose", 50, 40).ravel().tolist()}
    results = [
        {**record, "image_id": 7, "score": 0.9},
        {**record, "image_id": 12, "score": 0.8},
        {**record, "image_id": 12, "score": 0.1},
    ]
    file = tmp_path / "results.json"
    file.write_text(json.dumps(results))
    asked = ["--predictions", file, "--images", photos, "--save_path", tmp_path / "out"]
    done = _door(*asked)
    assert done.returncode == 0, done.stderr
    written = sorted((tmp_path / "out").iterdir())
    assert [path.name for path in written] == [
        "000000000007.png",
        "COCO_val2014_000000000012.png",
    ]
    assert tuple(cv2.imread(str(written[0]))[40, 50][::-1]) == drawing.SIDE_RGB["centre"]
    file.write_text(json.dumps([{**results[0], "image_id": 99}]))
    done = _door(*asked)
    assert done.returncode == 2
    assert "no image 000000000099" in done.stderr
    assert "Traceback" not in done.stderr


def test_door_draws_our_predictions(tmp_path: Path, capsys: pytest.CaptureFixture):
    photos = _photos(tmp_path / "photos", "a.png", "b.png")
    keypoints = np.zeros((2, 16, 3))
    keypoints[:, MPII16.index("head_top")] = [30, 20, 0.9]
    made = predictions.Predictions(
        rows=np.arange(2),
        images=("a.png", "b.png"),
        center_xy=np.zeros((2, 2)),
        scale_wh=np.ones((2, 2)),
        keypoints=keypoints,
        scores=np.array([0.1, 0.2]),
        skeleton="mpii16",
    )
    predictions.write_json(made, tmp_path / "predictions.json")
    asked = ["--predictions", tmp_path / "predictions.json", "--images", photos, "--limit", "1"]
    drawing.main([*map(str, asked), "--save_path", str(tmp_path / "out")])
    assert "1 pictures" in capsys.readouterr().out
    drawn = cv2.imread(str(tmp_path / "out/a.png"))
    assert tuple(drawn[20, 30][::-1]) == drawing.SIDE_RGB["centre"]
    with pytest.raises(SystemExit) as stop:
        drawing.main([*map(str, asked), "--save_path", str(tmp_path), "--min_pose_score", "0.5"])
    assert stop.value.code == 2
    assert "--min_pose_score" in capsys.readouterr().err
