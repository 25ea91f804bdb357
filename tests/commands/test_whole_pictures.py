"""predict.py and val.py with a network that finds everybody: files, words, refusals, scores."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from oracle_maps import oracle, people_at, tiny_recipe, weights_of

from paddle_pose.codecs.paf import PafCodec
from paddle_pose.commands.evaluate import evaluate
from paddle_pose.commands.predict import Drawing, Network, Where, predict
from paddle_pose.errors import UserError
from paddle_pose.evaluation import evaluator_for
from paddle_pose.evaluation.evaluator import DataFiles
from paddle_pose.inference import bottom_up
from paddle_pose.inference import predictor as predictor_file
from paddle_pose.poses.coco_results import read_results
from paddle_pose.recipes.recipe import Recipe, from_dict, override, to_dict
from paddle_pose.settings import Benchmark, OksProtocol, PckhProtocol
from paddle_pose.skeletons import BODYPOSE18, COCO17
from reproduce.aligning import bodyposenet_inference as aligning
from reproduce.aligning import bodyposenet_oracle as ceiling

SIZE_WH = 420, 240
JOINTS = people_at((90, 120), (210, 130), (330.3, 121.7))
RECIPE = tiny_recipe()


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    return weights_of(RECIPE, tmp_path_factory.mktemp("run"))


@pytest.fixture
def sees(monkeypatch):
    """The network of whatever benchmark is the oracle."""
    made = lambda network, data, benchmark, **_: oracle(JOINTS, SIZE_WH, benchmark)  # noqa: E731
    monkeypatch.setattr(predictor_file, "forward_of", made)
    monkeypatch.setattr(bottom_up, "forward_of", made)


@pytest.fixture
def photos(tmp_path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("a_7.png", "b_8.jpg"):
        cv2.imwrite(str(folder / name), np.full((SIZE_WH[1], SIZE_WH[0], 3), 90, np.uint8))
    (folder / "c_9.png").write_bytes(b"no picture")
    return folder


def test_photos_need_no_detector(sees, weights, photos, tmp_path, capsys):
    network, how = Network(weights, device="cpu"), Drawing(tmp_path / "out")
    with pytest.raises(UserError, match=r"left out 1 of 3.*c_9"):
        predict([str(photos)], network, Where(), how)
    said = capsys.readouterr().out
    assert "one person in each picture" not in said
    assert "2 pictures, 6 poses" in said
    results = read_results(how.output / "results.json")
    assert results.image_ids.tolist() == [7] * 3 + [8] * 3
    assert (how.output / "results.csv").read_text().count("\n") == 7
    picture = cv2.imread(str(how.output / "a_7.jpg"))
    assert picture.shape[:2] == SIZE_WH[::-1]
    assert picture.std() > 5  # drawn on plain grey

    written = json.loads((how.output / "detections.json").read_text())
    spec = written["inference_spec"]
    assert spec["keep_aspect_ratio_mode"] == "adjust_network_input"
    assert (spec["input_shape"], spec["heatmap_threshold"]) == ([130, 130], 0.1)
    person = written["categories"][0]
    assert person["keypoints"] == list(BODYPOSE18.joints)
    assert person["skeleton"][0] == [2, 9]
    first, second, unread = written["images"]
    assert first["full_image_path"].endswith("a_7.png")
    assert np.array(first["keypoints"]).shape == (3, 18, 2)
    assert len(second["scores"]) == 3
    np.testing.assert_allclose(first["keypoints"][0], results.keypoints[0, :, :2], atol=1e-9)
    assert "keypoints" not in unread
    with pytest.raises(UserError, match=r"left out 1 of 3.*c_9"):
        predict([str(photos)], replace(network, benchmark="coco_val_strict"), Where(), how)
    spec = json.loads((how.output / "detections.json").read_text())["inference_spec"]
    assert (spec["input_shape"], spec["keep_aspect_ratio_mode"]) == ([120, 160], "pad_image_input")


def test_a_video_and_boxes_refused(sees, weights, tmp_path, capsys):
    path = tmp_path / "v.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 10, SIZE_WH)
    for _ in range(3):
        writer.write(np.full((SIZE_WH[1], SIZE_WH[0], 3), 90, np.uint8))
    writer.release()
    network, how = Network(weights, device="cpu"), Drawing(tmp_path / "out")
    predict([str(path)], network, Where(), how)
    assert "3 pictures, 9 poses" in capsys.readouterr().out
    assert (how.output / "v.mp4").is_file()
    assert not (how.output / "detections.json").exists()
    records = json.loads((how.output / "results.json").read_text())
    assert {record["frame"] for record in records} == {0, 1, 2}
    with pytest.raises(UserError, match="finds everybody in whole pictures"):
        predict([str(path)], network, Where(box=[[0, 0, 10, 10]]), how)
    with pytest.raises(UserError, match="--heatmaps"):
        predict([str(path)], network, Where(), replace(how, heatmaps=True))


@pytest.fixture
def data(tmp_path) -> Path:
    """Two pictures of the three people, one of nobody, in COCO's layout."""
    root = tmp_path / "coco"
    (root / "annotations").mkdir(parents=True)
    (root / "images/val2017").mkdir(parents=True)
    order = [BODYPOSE18.index(joint) for joint in COCO17.joints]
    images, annotations = [], []
    for number in (1, 2, 3):
        name = f"{number:012d}.png"
        pixels = np.full((SIZE_WH[1], SIZE_WH[0], 3), 90, np.uint8)
        cv2.imwrite(str(root / "images/val2017" / name), pixels)
        width, height = SIZE_WH
        images.append({"id": number, "file_name": name, "width": width, "height": height})
        for joints in JOINTS if number < 3 else ():
            low, high = joints.min(0), joints.max(0)
            flat = np.concatenate([joints[order], np.full((17, 1), 2)], 1).ravel().tolist()
            box = [*low.tolist(), *(high - low).tolist()]
            annotations.append(
                {"id": len(annotations) + 1, "image_id": number, "category_id": 1, "iscrowd": 0,
                 "bbox": box, "area": box[2] * box[3], "keypoints": flat, "num_keypoints": 17}
            )  # fmt: skip
    content = {"images": images, "annotations": annotations,
               "categories": [{"id": 1, "name": "person", "keypoints": list(COCO17.joints),
                               "skeleton": []}]}  # fmt: skip
    (root / "annotations/person_keypoints_val2017.json").write_text(json.dumps(content))
    return root


@pytest.mark.parametrize("name", [one.name for one in RECIPE.benchmarks])
def test_all_pictures_are_scored_in_three_ways(sees, weights, data, tmp_path, name, capsys):
    how = {"num_workers": 0, "device": "cpu", "benchmark": name}
    scores = evaluate(RECIPE, weights, data, output=tmp_path / "out", **how)
    # Three people of nobody's picture are the oracle's only mistakes: with equal scores, they lower
    # precision from the first step of recall on: at most to 6 of 9.
    assert 0.6 < scores.values["AP"] < 1
    assert scores.values["AR"] == pytest.approx(scores.values["AR50"], abs=0.2)
    assert "3 whole pictures" in capsys.readouterr().out
    saved = json.loads((tmp_path / "out/predictions.json").read_text())
    assert len(saved["poses"]) == 9
    assert {pose["row"] for pose in saved["poses"]} == {-1}
    assert saved["benchmark"]["whole"]["mode"] == ("pad" if "strict" in name else "adjust")
    # The file again, and as COCO's results; then the first two pictures alone, all of them right.
    file = tmp_path / "out/predictions.json"
    again = evaluate(RECIPE, None, data, predictions=file, benchmark=name, analyse=True,
                     output=tmp_path / "again")  # fmt: skip
    assert json.loads((tmp_path / "again/analysis.json").read_text())["by_joint"].keys() == {
        *COCO17.joints
    }
    assert again.values == scores.values
    results = tmp_path / "out/keypoints_val2017_results.json"
    assert evaluate(RECIPE, None, data, predictions=results).values == scores.values
    two = override(RECIPE, ["data.limit=2"])
    part = evaluate(two, None, data, predictions=file, benchmark=name)
    assert part.values["AP50"] == 1


def test_coordinates_are_cut_off_by_the_reference_alone(sees, weights, data, tmp_path):
    protocol = RECIPE.benchmark("coco_val_single")
    for coordinates in ("reference", "exact"):
        one = replace(protocol, whole=replace(protocol.whole, coordinates=coordinates))
        recipe = replace(RECIPE, benchmarks=(one,))
        evaluate(recipe, weights, data, output=tmp_path / coordinates, num_workers=0, device="cpu")
    cut, exact = (
        read_results(tmp_path / name / "keypoints_val2017_results.json").keypoints[..., :2]
        for name in ("reference", "exact")
    )
    assert np.array_equal(cut, np.trunc(exact))
    assert (cut != exact).mean() > 0.5
    with pytest.raises(UserError, match=r"whole=.*was asked for"):
        evaluate(RECIPE, None, data, predictions=tmp_path / "exact/predictions.json")


def test_what_cannot_be_scored_is_refused(weights, data):
    files = DataFiles(data)
    protocol = RECIPE.benchmarks[0]
    with pytest.raises(UserError, match="--boxes"):
        evaluator_for(RECIPE, protocol, replace(files, boxes=data / "b.json"))
    mpii = override(RECIPE, ["data.dataset=mpii"])
    with pytest.raises(UserError, match="whole pictures are scored on coco"):
        evaluator_for(mpii, protocol, files)
    with pytest.raises(UserError, match="PCKh"):
        evaluator_for(RECIPE, replace(protocol, metric=PckhProtocol()), files)
    (data / "images/val2017/000000000002.png").unlink()
    with pytest.raises(UserError, match=r"1 of 3 pictures are missing: 000000000002\.png"):
        evaluate(RECIPE, weights, data, device="cpu", num_workers=0)
    with pytest.raises(UserError, match=r"whole\.mode: unknown 'padd'; did you mean 'pad'"):
        evaluate(override(RECIPE, ["benchmarks.0.whole.mode=padd"]), weights, data)

    one = override(RECIPE, ["benchmarks.1.flip_test=true"])
    with pytest.raises(UserError, match=r"benchmarks\.1: whole pictures need boxes=none"):
        evaluate(one, weights, data)
    boxes = replace(RECIPE, benchmarks=(Benchmark(name="boxes", metric=OksProtocol()),))
    with pytest.raises(UserError, match="PafCodec needs a section 'whole'"):
        evaluate(boxes, weights, data)
    with pytest.raises(UserError, match="HeatmapCodec needs no section 'whole'"):
        evaluate(replace(Recipe("boxes"), benchmarks=RECIPE.benchmarks), weights, data)


def test_recipes_are_written_and_read():
    assert from_dict(to_dict(RECIPE)) == RECIPE


def test_recorded_results_and_figures(reference_data: Path):
    rows = list(aligning.score_rows(reference_data))
    assert len(rows) == 6
    assert all(row.ok for row in rows), rows


@pytest.mark.parametrize("neck", ["intended", "reference"])
def test_recorded_poses_of_targets_and_noise(reference_data: Path, neck: str):
    record = aligning.Record.of(reference_data / "parity/bodyposenet")
    some = np.array(record.facts["coco"]["image_ids"][:6])
    evaluator = aligning.oracle_evaluator(reference_data)
    poses = ceiling.oracle_poses(evaluator, some, PafCodec(neck=neck))
    assert len(poses) > 6
    rows = list(ceiling.pose_rows(record, neck, poses))
    assert all(row.ok for row in rows), rows


def test_nobody_found_is_an_analysis_too(weights, data, tmp_path):
    none = replace(RECIPE, codec=replace(RECIPE.codec, heatmap_threshold=1.0))
    how = {"num_workers": 0, "device": "cpu", "analyse": True, "output": tmp_path / "out"}
    evaluate(none, weights, data, **how)
    assert (tmp_path / "out/analysis.png").is_file()
