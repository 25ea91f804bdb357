"""PosePredictor: the library object gives what val.py's path gives."""

from __future__ import annotations

import cv2
import numpy as np
import paddle
import pytest
from PIL import Image

from paddle_pose import configs
from paddle_pose.commands import predicting
from paddle_pose.data.images import read_rgb
from paddle_pose.errors import UserError
from paddle_pose.evaluation import evaluator_for
from paddle_pose.evaluation.evaluator import DataFiles
from paddle_pose.inference import people
from paddle_pose.inference import predictor as predictor_file
from paddle_pose.inference.predictor import PosePredictor
from paddle_pose.models.build import build
from paddle_pose.recipes.recipe import dump_yaml, override
from paddle_pose.weights import checkpoint

SMALL = ("model.features=16", "model.stem=8", "model.depth=2", "data.image_size_wh=[64,64]")


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    """A run folder with drawn weights."""
    folder = tmp_path_factory.mktemp("run")
    recipe = override(configs.load("quickstart:newell_hg1_synthetic"), SMALL)
    paddle.seed(3)
    network = build(recipe.model)
    checkpoint.save_weights(network, folder / "best_model" / "model.pdparams")
    (folder / "recipe.yaml").write_text(dump_yaml(recipe), encoding="utf-8")
    return folder, recipe, network


def test_equals_the_evaluations_poses(run_folder, small_people):
    folder, recipe, network = run_folder
    predictor = PosePredictor.from_weights(folder / "best_model" / "model.pdparams")
    assert predictor.recipe == recipe
    evaluator = evaluator_for(recipe, recipe.benchmark(), DataFiles(small_people))
    how = predicting.Computing(batch_size=1, num_workers=0)
    expected = predicting.poses_of(network, recipe, evaluator, how)
    table = evaluator.table
    for index in range(3):
        # The box whose crop is the person's: 1.25 is the padding that every box gets.
        size = table.scale_wh[index] * 200 / 1.25
        box = [*(table.center_xy[index] - size / 2), *size]
        poses = predictor(table.image_root / table[index].image, boxes=[box])
        assert len(poses) == 1
        # The crop's centre and size are float32 here: 2^-24 of 1,000 px; a warped pixel may round
        # to its neighbour, and a map of a network that has learnt nothing may have its maximum
        # elsewhere then.
        apart = np.abs(poses.keypoints[0] - expected.keypoints[index]).max(1)
        assert np.mean(apart < 0.05) > 0.8


def test_boxes_in_their_order_and_batches(run_folder, small_people):
    _, _, network = run_folder
    image = read_rgb(next((small_people / "images").iterdir()))
    predictor = PosePredictor(network, run_folder[1], batch_size=2)
    boxes = [[10, 10, 100, 120], [30, 5, 80, 90], [0, 0, 50, 150]]
    together = predictor(image, boxes)
    assert together.rows.tolist() == [0, 1, 2]
    again = predictor(image, boxes[2:])
    np.testing.assert_allclose(together.keypoints[2], again.keypoints[0], atol=1e-2)
    whole = predictor(image)
    height, width = image.shape[:2]
    center = whole.boxes_xywh[0, :2] + whole.boxes_xywh[0, 2:] / 2
    np.testing.assert_allclose(center, [width / 2, height / 2], rtol=0, atol=1e-4)
    assert len(predictor(image, [])) == 0


def test_poses_are_drawn_and_written(run_folder):
    predictor = PosePredictor(run_folder[2], run_folder[1])
    image = np.full((80, 60, 3), 90, np.uint8)
    poses = predictor(image, [[5, 5, 40, 60], [0, 0, 60, 80]])
    drawn = poses.draw(image, min_score=-1)
    assert drawn.shape == image.shape
    assert (drawn != image).any()
    assert (image == 90).all()
    records = poses.to_coco()
    assert [len(record["keypoints"]) for record in records] == [3 * len(predictor.skeleton)] * 2
    assert records[1]["score"] == poses.scores[1]
    assert len(poses.select(np.array([1])).to_coco()) == 1
    assert predictor(image, []).to_coco() == []


def test_pictures_of_every_kind_give_one_answer(run_folder, small_people):
    predictor = PosePredictor(run_folder[2], run_folder[1])
    file = next((small_people / "images").iterdir())
    pixels = read_rgb(file)
    box = (10, 10, 100, 120)
    expected = predictor(pixels, [box])
    for image in (str(file), file, Image.open(file), Image.fromarray(pixels).convert("RGBA")):
        for boxes in (box, [list(box)], np.array([box])):
            assert (predictor(image, boxes).keypoints == expected.keypoints).all()
    bgr = predictor(cv2.imread(str(file)), box, channel_order="bgr")
    assert (bgr.keypoints == expected.keypoints).all()
    assert (expected.draw(file) == expected.draw(pixels)).all()


def test_a_photo_on_its_side_is_turned(run_folder, tmp_path):
    predictor = PosePredictor(run_folder[2], run_folder[1])
    exif = Image.Exif()
    exif[0x0112] = 6  # the file's left side is up
    noise = np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.png", exif=exif)
    poses = [predictor(image) for image in (tmp_path / "a.png", Image.open(tmp_path / "a.png"))]
    assert (poses[0].keypoints == poses[1].keypoints).all()
    assert poses[0].draw(tmp_path / "a.png").shape == (60, 40, 3)


def test_a_list_of_images_shares_batches(run_folder, small_people):
    predictor = PosePredictor(run_folder[2], run_folder[1], batch_size=4)
    images = sorted((small_people / "images").iterdir())[:3]
    boxes = [[[10, 10, 100, 120]] * 3, [], None]
    poses = predictor(images, boxes)
    assert poses.image_ids.tolist() == [0, 0, 0, 2]
    assert poses.rows.tolist() == [0, 1, 2, 0]
    one = predictor(images[2])
    np.testing.assert_allclose(poses.of_image(2).keypoints, one.keypoints, atol=1e-2)
    assert [r["image_id"] for r in poses.to_coco([7, 8, 9])] == [7, 7, 7, 9]
    assert len(predictor(images)) == 3
    assert len(predictor([])) == 0
    with pytest.raises(UserError, match="2 image_ids for 3 images"):
        poses.to_coco([7, 8])
    with pytest.raises(UserError, match="poses of 2 images"):
        poses.draw(images[0])
    with pytest.raises(UserError, match="of 1 images, for 3"):
        predictor(images, [None])
    with pytest.raises(UserError, match=r"images\[1\]: image: expected a file"):
        predictor([images[0], 3])


def test_they_say_what_they_are(run_folder):
    predictor = PosePredictor(run_folder[2], run_folder[1])
    poses = predictor(np.zeros((50, 60, 3), np.uint8), [[0, 0, 50, 50]] * 12)
    assert poses.joint_names == predictor.skeleton.joints
    lines = repr(poses).splitlines()
    assert lines[0] == "12 poses on 1 images, 16 joints (mpii16)"
    assert len(lines) == 12
    assert "crop 62 × 62 px at (-6, -6)" in lines[1]  # 1.25 × 50, around (25, 25)
    assert repr(predictor(np.zeros((50, 60, 3), np.uint8), [])).startswith("0 poses on 0 images")
    grid = predictor.draw_heatmaps(np.zeros((50, 60, 3), np.uint8))
    assert grid.dtype == np.uint8
    assert grid.shape[1] > 6 * predictor.recipe.data.image_size_wh[0]
    with pytest.raises(UserError, match="expected one box, got 2"):
        predictor.draw_heatmaps(np.zeros((50, 60, 3), np.uint8), [[0, 0, 9, 9]] * 2)


def test_what_are_no_numbers_is_said(run_folder, monkeypatch):
    predictor = PosePredictor(run_folder[2], run_folder[1])
    forward = predictor._forward

    def damaged(crops):
        return tuple(
            {name: np.nan * maps for name, maps in half.items()} for half in forward(crops)
        )

    monkeypatch.setattr(predictor, "_forward", damaged)
    with pytest.raises(UserError, match="are its weights damaged"):
        predictor(np.zeros((50, 60, 3), np.uint8))


def test_packaged_weights(run_folder, monkeypatch, tmp_path):
    monkeypatch.setattr(predictor_file, "PACKAGED", tmp_path / "none.safetensors")
    with pytest.raises(UserError, match="no weights given"):
        PosePredictor.from_weights()
    packaged = run_folder[0] / "best_model" / "model.pdparams"
    monkeypatch.setattr(predictor_file, "PACKAGED", packaged)
    assert PosePredictor.from_weights(engine="eager").recipe == run_folder[1]


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        ([[1, 2, 3]], "expected rows of left, top, width, height"),
        ([[1, 2, 3, 4], [1, 2]], "expected rows of left, top, width, height"),
        ("0,0,5,5", "expected rows of left, top, width, height"),
        (7, "expected rows of left, top, width, height"),
        ([[0, 0, 0, 5]], r"boxes\[0\] \(0, 0, 0, 5\): expected rows of"),
        ([[0, 0, 5, 5], [8, 8, 5, -3]], r"boxes\[1\] \(8, 8, 5, -3\): .*the last two above 0"),
        ([[0, 0, np.nan, 5]], "expected rows of left, top, width, height"),
        ([20, 0, 5, 5], r"boxes\[0\] \(20, 0, 5, 5\) lies outside of the 20×20 image"),
    ],
)
def test_boxes_that_are_none(run_folder, boxes, message):
    predictor = PosePredictor(run_folder[2], run_folder[1])
    with pytest.raises(UserError, match=message):
        predictor(np.zeros((20, 20, 3), np.uint8), boxes)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((20, 20)), r"expected \(H, W, 3\) uint8, RGB or with channel_order='bgr', got"),
        (np.zeros((3, 20, 20), np.uint8), r"got \(3, 20, 20\) uint8"),
        (Image.new("I;16", (9, 9)), "more than 8 bits"),
        (None, "expected a file, an array or a Pillow image, got NoneType"),
        ("nowhere.jpg", "nowhere.jpg"),
    ],
)
def test_images_that_are_none(run_folder, image, message):
    predictor = PosePredictor(run_folder[2], run_folder[1])
    with pytest.raises(UserError, match=message):
        predictor(image)
    with pytest.raises(UserError, match="must be 'rgb' or 'bgr'"):
        predictor(image, channel_order="rgba")


def test_weights_without_a_recipe(run_folder, tmp_path):
    file = tmp_path / "model.pdparams"
    checkpoint.save_weights(run_folder[2], file)
    with pytest.raises(UserError, match=r"no recipe\.yaml beside it"):
        PosePredictor.from_weights(file)
    assert PosePredictor.from_weights(file, run_folder[1]).recipe is run_folder[1]


def test_the_package_gives_its_three_names():
    import paddle_pose

    assert paddle_pose.PosePredictor is PosePredictor
    assert callable(paddle_pose.train)
    assert callable(paddle_pose.evaluate)
    with pytest.raises(AttributeError, match="no attribute 'trein'"):
        _ = paddle_pose.trein


def test_train_and_evaluate_take_a_recipes_name(tmp_path):
    import paddle_pose

    with pytest.raises(UserError, match="did you mean 'quickstart:newell_hg1_synthetic'"):
        paddle_pose.train("quickstart:newell_hg1_syntetic", tmp_path, tmp_path / "out")
    with pytest.raises(UserError, match="no MPII annotations here"):
        paddle_pose.evaluate("quickstart:newell_hg1_synthetic", tmp_path / "x", tmp_path)


def test_a_first_look_takes_all_and_squares_and_a_second_one_the_joints():
    crops = people.windows((200, 100))
    crops = np.c_[crops[:, :2] - crops[:, 2:] / 8, crops[:, 2:] * 1.25]  # padded by 1.25
    squares = [[0, 0, 100, 100], [50, 0, 100, 100], [100, 0, 100, 100]]
    np.testing.assert_allclose(crops, [[0, 0, 200, 100], *squares], atol=1e-9)
    assert len(people.windows((100, 100))) == 1
    assert people.windows((100, 120))[-1, 1] == pytest.approx(30)  # 20 + a tenth of 100
    # A box of 60 × 100 around (50, 70): 1.15 × its longer side; the third joint was not seen.
    joints = np.array([[20.0, 20, 1], [80, 120, 1], [400, 600, 0.05]])
    worse = np.array([[0.0, 0, 0.6], [9, 9, 0.6], [5, 5, 0.6]])
    found = people.around(np.stack([worse, joints]), (500, 500))
    assert found[0] == pytest.approx([-7.5, 12.5, 115, 115])
    few = people.around(joints[None, 1:], (200, 100))
    assert few.tolist() == people.windows((200, 100))[:1].tolist()


def test_joints_stay_in_their_crop():
    joints = np.array([[[-119054.0, 132105], [5, 6]]])
    inside = predictor_file._into(joints, np.array([[0.0, 2, 20, 10]]))
    assert inside.tolist() == [[[0, 12], [5, 6]]]
