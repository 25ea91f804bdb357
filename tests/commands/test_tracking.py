"""predict.py --track, --nms and --format: a film, numbered frames, files and refusals."""

from __future__ import annotations

import csv
import json
import subprocess
import sys

import crossing_people
import cv2
import numpy as np
import paddle
import pytest
from places import ROOT, TINY

from paddle_pose import configs
from paddle_pose.commands.looking import Network
from paddle_pose.commands.predict import Drawing, predict
from paddle_pose.data.images import read_rgb
from paddle_pose.errors import UserError
from paddle_pose.inference.tracking import Following
from paddle_pose.inference.video import OneEuro
from paddle_pose.inference.where import Where
from paddle_pose.models.build import build
from paddle_pose.poses.coco_results import read_results
from paddle_pose.recipes.recipe import dump_yaml, override
from paddle_pose.weights import checkpoint

FRAMES = 6
TRACK = Following("none", track=True)


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """Drawn weights: joints lie anywhere in the box, and boxes are what keeps people apart."""
    folder = tmp_path_factory.mktemp("run")
    recipe = override(configs.load("quickstart:newell_hg1_synthetic"), TINY)
    paddle.seed(3)
    checkpoint.save_weights(build(recipe.model), folder / "model.pdparams")
    (folder / "recipe.yaml").write_text(dump_yaml(recipe), encoding="utf-8")
    return Network(folder / "model.pdparams", device="cpu", engine="eager")


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """Three people who do not pass each other yet, as a video, as frames, and their boxes."""
    folder = tmp_path_factory.mktemp("film")
    shots = crossing_people.film(FRAMES, until=0.12)
    video, boxes = crossing_people.write_film(folder, shots)
    for number, shot in enumerate(shots, 1):
        (folder / "frames").mkdir(exist_ok=True)
        file = folder / "frames" / f"frame_{number}.png"
        cv2.imwrite(str(file), shot.pixels[..., ::-1])
    return shots, video, folder / "frames", boxes


def run(paths, tmp_path, network, boxes, following=TRACK, **drawing):
    where = Where(boxes=boxes)
    return predict([str(paths)], network, where, Drawing(tmp_path / "out", **drawing), following)


def people_of(shots, records, name):
    """By id, who it is in each frame: the person whose box's middle is nearest."""
    found = {}
    for record in records:
        shot = shots[record["image_id"] - 1]
        middles = shot.boxes_xywh[:, :2] + shot.boxes_xywh[:, 2:] / 2
        middle = np.reshape(record["keypoints"], (-1, 3))[:, :2].mean(0)
        who = int(np.linalg.norm(middles - middle, axis=1).argmin())
        found.setdefault(record[name], set()).add(who)
    return found


def test_a_film(film, tmp_path, network, capsys):
    shots, video, _, boxes = film
    assert run(video, tmp_path, network, boxes, smooth=OneEuro()) == FRAMES
    assert "assumed: image ids are frames: 1 is the first of" in capsys.readouterr().out
    records = json.loads((tmp_path / "out" / "results.json").read_text())
    assert people_of(shots, records, "track_id") == {1: {2}, 2: {0}, 3: {1}}
    assert not any("track" in record for record in records)
    with (tmp_path / "out" / "results.csv").open() as file:
        assert {row["track"] for row in csv.DictReader(file)} == {"1", "2", "3"}
    capture = cv2.VideoCapture(str(tmp_path / "out" / "crossing.mp4"))
    assert int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) == FRAMES


def test_a_folder_of_numbered_frames(film, tmp_path, network, capsys):
    """The same ids as the video's; the first frame lists the third person first."""
    shots, _, frames, boxes = film
    how = Following("none", track=True, by_points=True)
    assert run(frames, tmp_path, network, boxes, how, smooth=OneEuro()) == FRAMES
    assert "assumed: --smooth: photos are 25 frames a second" in capsys.readouterr().out
    records = json.loads((tmp_path / "out" / "results.json").read_text())
    assert [record["image_id"] for record in records[::3]] == list(range(1, FRAMES + 1))
    assert people_of(shots, records, "track_id") == {1: {2}, 2: {0}, 3: {1}}
    assert read_rgb(tmp_path / "out" / "frame_2.jpg").shape == shots[0].pixels.shape


def test_alphapose_form_comes_back(film, tmp_path, network, capsys):
    shots, _, frames, boxes = film
    run(frames, tmp_path, network, boxes, form="alphapose")
    file = tmp_path / "out" / "alphapose-results.json"
    records = json.loads(file.read_text())
    assert list(records[0]) == ["image_id", "category_id", "keypoints", "score", "box", "idx"]
    assert records[0]["image_id"] == "frame_1.png"
    assert {record["idx"] for record in records} == {1, 2, 3}
    np.testing.assert_allclose(records[0]["box"], np.roll(shots[0].boxes_xywh, 1, 0)[0], atol=0.01)
    images = [{"id": n + 70, "file_name": f"any/frame_{n}.png"} for n in range(1, FRAMES + 1)]
    found = read_results(file, images, 1)
    assert found.image_ids.tolist() == np.repeat(np.arange(71, 71 + FRAMES), 3).tolist()
    run(frames, tmp_path, network, boxes, form="alphapose_eval")
    assert read_results(file).image_ids.tolist() == np.repeat(np.arange(1, 7), 3).tolist()
    capsys.readouterr()
    with pytest.raises(UserError, match="--format cmu: needs a network whose first 17 joints"):
        run(frames, tmp_path, network, boxes, form="cmu")
    assert capsys.readouterr().out == ""  # before weights are loaded, which says what they are


def test_what_has_no_meaning(film, tmp_path, network):
    _, video, frames, boxes = film
    with pytest.raises(UserError, match="--heatmaps: shows what is in every box"):
        run(frames, tmp_path, network, boxes, Following("pose"), heatmaps=True)
    with pytest.raises(UserError, match="--smooth: is for videos"):
        run(frames, tmp_path, network, boxes, Following("pose"), smooth=OneEuro())
    with pytest.raises(UserError, match="--boxes: is for photos or for one video alone"):
        predict([str(frames), str(video)], network, Where(boxes=boxes), Drawing(tmp_path / "out"))
    boxes = tmp_path / "none.json"
    boxes.write_text("[]")
    with pytest.raises(UserError, match="has no box that counts"):
        run(video, tmp_path, network, boxes)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--nms 2 --detector x", "--nms 2.0: must be a number between 0 and 1"),
        ("--nms 0.5 --box 1,1,9,9", "--nms 0.5: a number is for a detector's boxes"),
        ("--nms poses", "did you mean 'pose'"),
        ("--nms pose --nms oks", "one number for boxes and one way for poses"),
        ("--orb", "--orb: has a meaning only with --track"),
        ("--format coco2", "invalid choice"),
        ("--min_score -1", "--min_score -1.0: must be a number between 0 and"),
    ],
)
def test_options(words, said):
    line = [sys.executable, "predict.py", "a.jpg", *words.split()]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert said in done.stderr.splitlines()[-1]
