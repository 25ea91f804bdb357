"""``python -m paddle_pose draw`` on both kinds of prediction files."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from places import ROOT

from paddle_pose import drawing
from paddle_pose.commands import draw
from paddle_pose.errors import UserError
from paddle_pose.poses import predictions
from paddle_pose.poses.poses import Poses
from paddle_pose.skeletons import COCO17, MPII16


def _grey(height: int = 80, width: int = 100) -> np.ndarray:
    return np.full((height, width, 3), 128, np.uint8)


def _alone(joint: str, x: float, y: float) -> np.ndarray:
    keypoints = np.zeros((17, 3))
    keypoints[COCO17.index(joint)] = [x, y, 1.0]
    return keypoints


def _door(*arguments: object) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "paddle_pose", "draw", *map(str, arguments)]
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
    assert "assumed: joints: those of 'coco17', as they are 17, on images by" in done.stdout
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
    poses = Poses(
        image_ids=np.arange(2),
        keypoints=keypoints,
        scores=np.array([0.1, 0.2]),
        boxes_xywh=np.ones((2, 4)),
        rows=np.arange(2),
        instances=np.zeros(2, np.int64),
    )
    made = predictions.Predictions(poses, "mpii16", ("a.png", "b.png"))
    predictions.write_json(made, tmp_path / "predictions.json")
    asked = ["--predictions", tmp_path / "predictions.json", "--images", photos, "--limit", "1"]
    draw.main([*map(str, asked), "--save_path", str(tmp_path / "out")])
    printed = capsys.readouterr().out
    assert "1 picture in" in printed
    assert "30 of 32 joints in the file score below --min_score 0.2 and are not drawn" in printed
    drawn = cv2.imread(str(tmp_path / "out/a.png"))
    assert tuple(drawn[20, 30][::-1]) == drawing.SIDE_RGB["centre"]
    with pytest.raises(UserError, match="--min_score -1: must be at least 0, which draws all"):
        draw.main([*map(str, asked), "--save_path", str(tmp_path), "--min_score", "-1"])
    with pytest.raises(UserError, match="--min_pose_score"):
        draw.main([*map(str, asked), "--save_path", str(tmp_path), "--min_pose_score", "0.5"])


def test_photos_are_turned_as_they_were_annotated(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    from PIL import Image

    photos = tmp_path / "photos"
    photos.mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (100, 80)).save(photos / "7.jpg", exif=exif)  # upright 80 wide, 100 high
    own = {
        "images": [{"id": 7, "file_name": "7.jpg", "width": 80, "height": 100}],
        "annotations": [],
        "categories": [{"id": 1, "name": "person", "keypoints": list(COCO17.joints)}],
    }
    annotations, results = tmp_path / "own.json", tmp_path / "r.json"
    annotations.write_text(json.dumps(own))
    pose = _alone("nose", 50, 40).ravel().tolist()
    record = {"image_id": 7, "category_id": 1, "keypoints": pose, "score": 0.9}
    results.write_text(json.dumps([record]))
    for named, shape in ((annotations, (100, 80)), (None, (80, 100))):
        saved = draw.read_poses(results, photos, named)
        draw.draw_file(saved, photos, tmp_path / "out")
        assert cv2.imread(str(tmp_path / "out/7.png")).shape[:2] == shape
    said = capsys.readouterr().out
    assert said.count("assumed: 1 pictures with an EXIF turn are drawn as they are stored") == 1
    own["images"][0]["width"] = 90
    annotations.write_text(json.dumps(own))
    with pytest.raises(UserError, match="the picture is 100×80, the annotation file says 90×100"):
        draw.draw_file(draw.read_poses(results, photos, annotations), photos, tmp_path / "out")
