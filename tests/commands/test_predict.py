"""predict.py: pictures, files and ends, with a small network of drawn weights."""

from __future__ import annotations

import csv
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time

import cv2
import numpy as np
import paddle
import pytest
from places import ROOT, TINY

from paddle_pose import configs
from paddle_pose.commands import predict as command
from paddle_pose.commands.predict import Drawing, Network, Where, outputs, predict
from paddle_pose.data.images import read_rgb
from paddle_pose.errors import UserError
from paddle_pose.inference import predictor
from paddle_pose.inference.predictor import PosePredictor, trained
from paddle_pose.inference.sources import Video
from paddle_pose.inference.video import OneEuro
from paddle_pose.models.build import build
from paddle_pose.poses.coco_results import read_results
from paddle_pose.recipes.recipe import dump_yaml, override, to_dict
from paddle_pose.serving import predict_line
from paddle_pose.skeletons import MPII16
from paddle_pose.system import ending
from paddle_pose.weights import checkpoint, tensors
from paddle_pose.weights.facts import facts_of


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """Weights in a run folder."""
    folder = tmp_path_factory.mktemp("run")
    recipe = override(configs.load("quickstart:newell_hg1_synthetic"), TINY)
    paddle.seed(3)
    file = folder / "best_model" / "model.pdparams"
    checkpoint.save_weights(build(recipe.model), file)
    (folder / "recipe.yaml").write_text(dump_yaml(recipe), encoding="utf-8")
    return Network(file, device="cpu", engine="eager")


@pytest.fixture
def photos(tmp_path):
    """Six photos, one in a folder below, and one that is broken."""
    folder = tmp_path / "photos"
    (folder / "below").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(5):
        pixels = rng.integers(0, 255, (90 + number, 120, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f"im_{number + 10}.png"), pixels)
    cv2.imwrite(str(folder / "below" / "im_20.jpg"), pixels)
    return folder


@pytest.fixture
def video(tmp_path):
    """Twelve frames of 64 × 48."""
    path = tmp_path / "v.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 10, (64, 48))
    for number in range(12):
        writer.write(np.full((48, 64, 3), number * 20, np.uint8))
    writer.release()
    return path


def run(photos, tmp_path, network, where=None, **options):
    limit = options.pop("limit", None)
    paths = [str(photos)] if not isinstance(photos, list) else [*map(str, photos)]
    how = Drawing(tmp_path / "out", **options)
    return predict(paths, network, where or Where(), how, limit=limit)


def test_a_folder(photos, tmp_path, network):
    before = {file: file.read_bytes() for file in photos.rglob("*.*")}
    boxes = [[10, 10, 50, 60], [0, 0, 30, 80]]
    assert run(photos, tmp_path, network, Where(box=boxes), heatmaps=True) == 6
    out = tmp_path / "out"
    names = sorted(str(f.relative_to(out)) for f in out.glob("**/im_*") if "heat" not in str(f))
    assert names == ["below/im_20.jpg", *(f"im_1{n}.jpg" for n in range(5))]
    assert read_rgb(out / "im_12.jpg").shape == (92, 120, 3)
    assert (out / "heatmaps" / "below" / "im_20_person2.jpg").is_file()
    assert before == {file: file.read_bytes() for file in photos.rglob("*.*")}
    # The files say what the library object gives, picture by picture.
    found = read_results(out / "results.json")
    assert found.image_ids.tolist() == [20, 20, *np.repeat(np.arange(10, 15), 2)]
    predictor = PosePredictor.from_weights(network.weights, engine="eager")
    poses = predictor(photos / "im_12.png", boxes)
    # Another batch sums in another order: a few float32 roundings of 100 px.
    own = found.select(found.image_ids == 12)
    np.testing.assert_allclose(own.keypoints[..., 2], poses.keypoints[..., 2], atol=1e-4)
    assert json.loads((out / "results.json").read_text())[0]["file_name"] == "below/im_20.jpg"
    rows = list(csv.DictReader((out / "results.csv").open()))
    assert [row["person"] for row in rows] == ["1", "2"] * 6
    assert rows[6]["file"] == "im_12.png"
    x = float(rows[6][f"{predictor.skeleton.joints[0]}_x"])
    assert x == pytest.approx(own.keypoints[0, 0, 0], abs=1e-4)  # four digits are written


def test_one_bad_photo_is_said_and_the_rest_goes_on(photos, tmp_path, network, capsys):
    (photos / "bad.jpg").write_bytes(b"\xff\xd8abc")
    with pytest.raises(UserError, match=r"left out 1 of 7; the rest is written: .*bad\.jpg"):
        run(photos, tmp_path, network)
    said = capsys.readouterr().out
    assert "6 pictures, 6 poses" in said
    assert len(read_results(tmp_path / "out" / "results.json")) == 6


def test_boxes_of_a_file(photos, tmp_path, network, capsys):
    file = tmp_path / "boxes.json"
    box = {"category_id": 1, "bbox": [5, 5, 40, 60]}
    records = [box | {"image_id": i, "score": s} for i, s in ((12, 0.9), (12, 0.2), (13, 0.8))]
    file.write_text(json.dumps(records))
    run(photos, tmp_path, network, Where(boxes=file, threshold=0.5))
    assert read_results(tmp_path / "out" / "results.json").image_ids.tolist() == [12, 13]
    said = capsys.readouterr().out
    assert ("4 of 6 photos have no box" in said, "assumed: image ids" in said) == (True, False)
    file.write_text(json.dumps([box | {"image_id": 99, "score": 1}]))
    with pytest.raises(UserError, match="no box for any of these photos, whose ids are 10, 11"):
        run(photos, tmp_path, network, Where(boxes=file))


def test_what_is_assumed_of_boxes_of_a_file_is_said(photos, tmp_path, network, capsys):
    """Ids by place, where a name has no number; boxes outside of a photo."""
    (photos / "im_10.png").rename(photos / "first.png")
    file, box = tmp_path / "boxes.json", {"category_id": 1, "score": 1, "image_id": 1}
    corners = ([5, 5, 40, 60], [500, 5, 40, 60], [5, -50, 9, 9])
    file.write_text(json.dumps([box | {"bbox": corner} for corner in corners]))
    run(photos, tmp_path, network, Where(boxes=file))
    said = capsys.readouterr().out
    assert "assumed: image ids are the photos' places in the list" in said
    assert "=> image 1: left out 2 boxes outside of its 120×9" in said
    assert len(read_results(tmp_path / "out" / "results.json")) == 1


def test_a_video(video, tmp_path, network):
    assert run(video, tmp_path, network, smooth=OneEuro(), limit=7) == 7
    capture = cv2.VideoCapture(str(tmp_path / "out" / "v.mp4"))
    frames = []
    while (frame := capture.read()[1]) is not None:
        frames.append(frame)
    assert [frame.shape for frame in frames] == [(48, 64, 3)] * 7
    # A frame of one grey stays about so outside of what is drawn: they are in their order.
    greys = [np.median(frame) for frame in frames]
    np.testing.assert_allclose(greys, np.arange(7) * 20, atol=6)
    records = json.loads((tmp_path / "out" / "results.json").read_text())
    assert [record["frame"] for record in records] == list(range(7))
    assert {record["track"] for record in records} >= {1}
    assert len({record["image_id"] for record in records}) == 7
    assert not list((tmp_path / "out").glob(".*"))


def test_a_rate_that_is_not_said_is_assumed(video, monkeypatch, capsys):
    assert Video(video, "v.mp4").open().rate == 10
    assert not capsys.readouterr().out
    monkeypatch.setattr(cv2, "CAP_PROP_FPS", -1)  # of which nothing is known
    assert Video(video, "v.mp4").open().rate == 25
    assert "v.mp4: 25 frames a second, as it says" in capsys.readouterr().out


def test_what_cannot_be_played_is_one_line(tmp_path, network):
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(bytes(range(256)) * 9)
    with pytest.raises(UserError, match=r"bad\.mp4: cannot be played; is it a video\?"):
        run(bad, tmp_path, network)
    with pytest.raises(UserError, match="camera 99: cannot be played; is one connected"):
        run(["99"], tmp_path, network)
    assert not (tmp_path / "out").exists()
    # Neither OpenCV nor FFmpeg adds lines of its own.
    opening = "from paddle_pose.inference.sources import Video; import sys, pathlib; " \
        "Video(pathlib.Path(sys.argv[1]), 'x').open()"  # fmt: skip
    line = [sys.executable, "-c", opening, str(bad)]
    said = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False).stderr
    assert "moov" not in said
    assert said.splitlines()[-1].endswith("is it a video?")


def test_all_that_cannot_be_played_is_named(video, tmp_path, network, capsys):
    bad = [tmp_path / f"bad{number}.mp4" for number in range(2)]
    for file in bad:
        file.write_bytes(bytes(range(256)) * 9)
    with pytest.raises(UserError, match="left out 2 of 3; the rest is written"):
        run([*bad, video], tmp_path, network)
    said = capsys.readouterr().out
    assert [f"left out: {file}" in said for file in bad] == [True, True]


def test_a_box_outside_of_a_video_is_said_once(video, tmp_path, network, capsys):
    with pytest.raises(UserError, match=r"left out 1 of 1: v\.mp4: frame 0: --box 500,0,5,5 lies"):
        run(video, tmp_path, network, Where(box=[[500, 0, 5, 5]]))
    assert capsys.readouterr().out.count("left out") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names are text")
def test_names_that_are_no_text_or_not_plain(photos, tmp_path, network):
    names = [os.fsdecode(b"caf\xe9.png"), 'com,ma "q"\nx.png']
    for name in names:
        (photos / name).write_bytes((photos / "im_10.png").read_bytes())
    run([photos / name for name in names], tmp_path, network)
    found = json.loads((tmp_path / "out" / "results.json").read_text("utf-8"))
    assert [record["file_name"] for record in found] == names
    with (tmp_path / "out" / "results.csv").open(encoding="utf-8", newline="") as file:
        assert [row["file"] for row in csv.DictReader(file)] == [r"caf\udce9.png", names[1]]


def test_results_that_do_not_fit_on_the_disk_leave_nothing(photos, tmp_path, network):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (12_000, before[1]))
    try:
        with pytest.raises(UserError, match=r"out/results\.(csv|json): cannot write this file"):
            run(photos / "im_10.png", tmp_path, network, Where(box=[[0, 0, 50, 50]] * 60))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list((tmp_path / "out").glob("*results*"))


def test_what_is_assumed_of_people_is_said(photos, tmp_path, network, capsys):
    run(photos / "im_10.png", tmp_path, network)
    assert "assumed: one person in each picture" in capsys.readouterr().out


def test_what_is_refused(photos, video, tmp_path, network):
    with pytest.raises(UserError, match="no such file or folder"):
        run(photos / "none.jpg", tmp_path, network)
    with pytest.raises(UserError, match="PATH: is empty"):  # not all of the folder it runs in
        run([""], tmp_path, network)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no photos and no videos in this folder"):
        run(tmp_path / "empty", tmp_path, network)
    with pytest.raises(UserError, match="--heatmaps: is for photos"):
        run(video, tmp_path, network, heatmaps=True)
    (photos / "heatmaps").mkdir()
    (photos / "heatmaps" / "im_10_person1.png").write_bytes((photos / "im_10.png").read_bytes())
    with pytest.raises(UserError, match=r"im_10_person1\.png would be drawn among the maps"):
        run(photos, tmp_path, network, heatmaps=True)
    with pytest.raises(UserError, match="--smooth: is for videos"):
        run(photos, tmp_path, network, smooth=OneEuro())
    with pytest.raises(UserError, match="which is read, lies there"):
        predict([str(photos / "im_10.png")], network, Where(), Drawing(photos))
    with pytest.raises(UserError, match="cannot be made"):
        predict([str(photos)], network, Where(), Drawing(video / "x"))
    with pytest.raises(UserError, match=r"lies outside of its 120×90 pixels"):
        run(photos / "im_10.png", tmp_path, network, Where(box=[[500, 0, 5, 5]]))
    assert not (tmp_path / "out" / "results.json").exists()


def test_its_own_pictures_are_not_looked_at(photos, tmp_path, network, capsys):
    for _ in range(2):
        predict([str(photos)], network, Where(), Drawing(photos / "drawn"))
    said = capsys.readouterr().out
    assert "left out 6 files" in said
    assert said.count("6 pictures") == 2


def test_no_two_pictures_have_one_name(tmp_path):
    names = ["a.jpg", "a.png", "A.jpg", "b/a.jpg"]
    found = [str(f.relative_to(tmp_path)) for f in outputs(tmp_path, names, ".jpg")]
    assert found == ["a.jpg", "a.png.jpg", "A_2.jpg", "b/a.jpg"]


def test_poses_of_which_nothing_is_drawn_are_said(photos, tmp_path, network, capsys):
    run(photos, tmp_path, network, Where(box=[[10, 10, 50, 60]]), min_score=2.0)
    assert "6 poses in" in (said := capsys.readouterr().out)
    assert "of 6 poses nothing is drawn, as no joint scores 2 (--box or --detector" in said


def test_a_second_look_goes_where_the_first_one_saw_joints(photos, network):
    predictor = PosePredictor.from_weights(network.weights, engine="eager")
    pixels = read_rgb(photos / "im_12.png")
    first = predictor.found(predictor.people(pixels))[0]
    joints = first.keypoints[0].copy()
    joints[:, 2] = 1
    joints[:, :2] = joints[:, :2] / 4 + 30
    side = 1.15 * (joints[:, :2].max(0) - joints[:, :2].min(0)).max()
    near = predictor.closer(pixels, joints[None])
    assert near.place.boxes_xywh()[0, 2] == pytest.approx(1.25 * max(side, 23), rel=1e-6)
    assert len(predictor([pixels, pixels])) == 2


def test_packaged_weights_say_their_recipe(photos, tmp_path, network, monkeypatch, capsys):
    """Half the numbers' bits, and what they are of in the file itself."""
    loaded = trained(network.weights)
    arrays = {n: v.numpy().astype(np.float16) for n, v in loaded.network.state_dict().items()}
    facts = facts_of(to_dict(loaded.recipe), loaded.recipe.data, MPII16)
    file = tmp_path / "small.safetensors"
    tensors.write_safetensors(file, arrays, {tensors.OURS: facts.text(arrays)})
    monkeypatch.setattr(predictor, "PACKAGED", file)
    assert run(photos / "im_10.png", tmp_path, Network(engine="eager", device="cpu")) == 1
    assert "small.safetensors" in capsys.readouterr().out


def test_without_weights(monkeypatch, tmp_path):
    monkeypatch.setattr(predictor, "PACKAGED", tmp_path / "small.safetensors")
    with pytest.raises(UserError, match=r"no weights given, and .*small\.safetensors is not there"):
        predictor.packaged_weights()


def test_a_signal_keeps_what_is_found(photos, tmp_path, network, monkeypatch):
    """The signal comes while the third photo is drawn; the files hold what was drawn."""
    drawn = []

    def write_image(path, image):
        drawn.append(path)
        if len(drawn) == 3:
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
            time.sleep(0.2)  # the main thread takes it meanwhile

    monkeypatch.setattr(command.drawing, "write_image", write_image)
    monkeypatch.setattr(command, "AHEAD", 1)
    with pytest.raises(ending.Stopped, match=r"stopped by Ctrl-C; so far [3-6] pictures"):
        run(photos, tmp_path, network)
    assert len(read_results(tmp_path / "out" / "results.json")) == len(drawn)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("a.jpg --box 1,2,3", "is not left,top,width,height"),
        ("a.jpg --box 1,2,3,nan", "is not left,top,width,height"),
        ("a.jpg --box 1,2,3,4 --detector picodet", "give one of them"),
        ("a.jpg --exported x --weights y", "--weights: has no meaning with --exported"),
        ("a.jpg --config hrnet:w32_coco_256x192", "give both"),
        ("a.jpg --threshold 0.5", "only with --boxes or --detector"),
        ("a.jpg --detector x --nms 2", "between 0 and 1"),
        ("a.jpg --limit 0", "at least 1"),
        ("a.jpg --output_dir x", "did you mean '--output'"),
    ],
)
def test_options(words, said):
    line = [sys.executable, "predict.py", *words.split()]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert said in done.stderr.splitlines()[-1]


def test_help_fits_a_screen():
    line = [sys.executable, "predict.py", "--help"]
    said = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert said.count("\n") <= 45
    assert "python predict.py photo.jpg folder/ video.mp4" in said


@pytest.mark.parametrize(
    "words",
    [
        "none.jpg",
        "{0} --boxes none.json",
        "{0} --exported none",
        "{0} --weights none.pdparams",
        "{0} --weights {1} --config none.yaml",
    ],
)
def test_what_is_not_there_is_said_before_paddle_is_loaded(
    words, photos, network, monkeypatch, capsys
):
    monkeypatch.setattr(predict_line.runtime, "configure", lambda **_: {})
    monkeypatch.setattr(predict_line.runtime, "import_paddle", lambda: pytest.fail("too late"))
    with pytest.raises(SystemExit) as ended:
        predict_line.main(words.format(photos, network.weights).split())
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "none" in said
    assert "no such file" in said
