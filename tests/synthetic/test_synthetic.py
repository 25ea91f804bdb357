"""The drawn data set: layout, determinism, labels that agree with each other and the pictures."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.io import loadmat

from paddle_pose.data import mpii
from paddle_pose.errors import UserError
from paddle_pose.skeletons import COCO17, MPII16
from paddle_pose.synthetic import dataset as synthetic
from paddle_pose.synthetic import mpii_layout
from paddle_pose.synthetic.facets import Facets, paint, project
from paddle_pose.synthetic.figure import build, face
from paddle_pose.synthetic.look import Look
from paddle_pose.synthetic.pose import POSES, Body, Limb, Pose, assemble, sample_figure
from paddle_pose.synthetic.scene import draw_scene

TRAIN, VAL = 16, 8


def _write(root: Path, seed: int = 0, workers: int = 1) -> Path:
    synthetic.write_dataset(
        root, seed=seed, train_people=TRAIN, val_people=VAL, workers=workers, progress=False
    )
    return root


def _digests(root: Path) -> dict[str, str]:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files
    }


def _records(root: Path, split: str) -> list[dict]:
    return json.loads((root / "annot" / f"{split}.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _write(tmp_path_factory.mktemp("drawn") / "set")


@pytest.fixture(scope="module")
def figures() -> list:
    return [sample_figure(np.random.default_rng([7, index])) for index in range(600)]


def test_same_bytes_with_any_number_of_workers(drawn: Path, tmp_path: Path) -> None:
    assert _digests(_write(tmp_path / "set", workers=2)) == _digests(drawn)


def test_another_seed_draws_other_pictures(drawn: Path, tmp_path: Path) -> None:
    first, second = _digests(drawn), _digests(_write(tmp_path / "set", seed=1))
    assert not set(first.values()) & set(second.values())


def test_counts_and_disjoint_pictures(drawn: Path) -> None:
    train, valid = _records(drawn, "train"), _records(drawn, "valid")
    assert (len(train), len(valid)) == (TRAIN, VAL)
    names = [{record["image"] for record in split} for split in (train, valid)]
    assert not names[0] & names[1]
    on_disk = {path.name for path in (drawn / "images").iterdir()}
    assert on_disk == names[0] | names[1]
    contents = {digest for name, digest in _digests(drawn).items() if name.startswith("images")}
    assert len(contents) == len(on_disk)


@pytest.mark.parametrize("split", ["train", "valid"])
def test_visible_joints_are_inside_and_missing_ones_marked(drawn: Path, split: str) -> None:
    for record in _records(drawn, split):
        height, width = cv2.imread(str(drawn / "images" / record["image"])).shape[:2]
        joints, visible = np.array(record["joints"]), np.array(record["joints_vis"]) == 1
        assert joints.shape == (16, 2)
        assert visible.sum() >= 6
        assert (joints[visible] >= 1).all()  # 1-based: the first pixel's centre is (1, 1)
        assert (joints[visible] <= (width, height)).all()
        assert (joints[~visible] == -1).all()
        if split == "valid":
            assert visible[[MPII16.index("upper_neck"), MPII16.index("head_top")]].all()


def test_coco_files_are_of_the_same_pictures_and_joints(drawn: Path, tmp_path: Path) -> None:
    root = tmp_path / "set"
    sizes = {"train_people": TRAIN, "val_people": VAL, "workers": 1, "progress": False}
    synthetic.write_dataset(root, **sizes, layout="coco")
    body = [MPII16.index(name) for name in COCO17.joints[5:]]
    for split, coco_split in (("train", "train2017"), ("valid", "val2017")):
        file = root / f"annotations/person_keypoints_{coco_split}.json"
        content = json.loads(file.read_text(encoding="utf-8"))
        records = _records(drawn, split)
        for image in content["images"]:
            picture = root / "images" / coco_split / image["file_name"]
            assert picture.read_bytes() == (drawn / "images" / image["file_name"]).read_bytes()
            height, width = cv2.imread(str(picture)).shape[:2]
            assert (image["width"], image["height"]) == (width, height)
        assert len(content["annotations"]) == len(records)
        for person, record in zip(content["annotations"], records, strict=True):
            joints = np.array(person["keypoints"]).reshape(17, 3)
            seen = joints[:, 2] == 2
            assert person["num_keypoints"] == seen.sum()
            assert (joints[~seen] == 0).all()
            assert (seen[5:] == (np.array(record["joints_vis"])[body] == 1)).all()
            # 0-based here, 1-based there; both have two decimals.
            expected = np.array(record["joints"])[body][seen[5:]] - 1
            np.testing.assert_allclose(joints[5:, :2][seen[5:]], expected, atol=0.0101)
            left, top, wide, high = person["bbox"]
            inside = joints[seen, :2] - (left, top)
            assert (inside >= 0).all()
            assert (inside <= (wide, high)).all()


def test_faces_are_seen_from_the_front_and_ears_on_their_side() -> None:
    figure = sample_figure(np.random.default_rng(0))
    for turn, nose_seen, left_is_right in ((0, True, True), (np.pi, False, False)):
        frame = np.array(
            [[np.cos(turn), 0, np.sin(turn)], [0, 1, 0], [-np.sin(turn), 0, np.cos(turn)]]
        )
        points, seen = face(replace(figure, head=frame))
        assert bool(seen[0]) == nose_seen
        # A person who faces the camera has the left side at the picture's right.
        assert (points[[1, 3], 0] > points[[2, 4], 0]).all() == left_is_right


def test_missing_joints_are_those_outside_the_picture() -> None:
    missing = 0
    for index in range(25):
        image, labels = draw_scene(np.random.default_rng([3, index]), 1, need_head=False)
        high = np.array(image.shape[1::-1]) - 1
        for label in labels:
            inside = ((label.joints_xy >= 0) & (label.joints_xy <= high)).all(1)
            assert (inside == label.inside).all()
            missing += int((~inside).sum())
    assert missing > 0


def test_head_box_scale_and_centre_follow_mpii(drawn: Path) -> None:
    mat = loadmat(drawn / "annot" / "gt_valid.mat")
    boxes, truth = mat["headboxes_src"], mat["pos_gt_src"]
    head_size = 0.6 * np.linalg.norm(boxes[1] - boxes[0], axis=0)
    records = _records(drawn, "valid")
    person_px = 200 * np.array([record["scale"] for record in records])
    # The scale has six decimals: 200 × 5e-7 = 1e-4 px; the box is not rounded.
    np.testing.assert_allclose(person_px, 8 * head_size, atol=1.1e-4)
    top, neck = truth[MPII16.index("head_top")], truth[MPII16.index("upper_neck")]
    # Joints have two decimals: each end is off by 0.5e-2 × √2 at most.
    length = np.linalg.norm(top - neck, axis=0)
    np.testing.assert_allclose(head_size, 0.75 * length, atol=0.75 * 2 * 0.0071)
    np.testing.assert_allclose(boxes.mean(0), (top + neck) / 2, atol=0.0051)
    for record, size in zip(records, person_px, strict=True):
        seen = np.array(record["joints"])[np.array(record["joints_vis"]) == 1]
        middle = (seen.min(0) + seen.max(0)) / 2
        # Raised by 0.031 of the person; the jitter has sigma 0.01, so 0.045 is 4.5 sigma.
        offset = (np.array(record["center"]) - middle) / size + np.array([0, 0.031])
        assert np.abs(offset).max() < 0.045


def test_mat_agrees_with_the_json(drawn: Path) -> None:
    mat = loadmat(drawn / "annot" / "gt_valid.mat")
    records = _records(drawn, "valid")
    visible = np.array([record["joints_vis"] for record in records]) == 1
    joints = np.array([record["joints"] for record in records])
    assert (mat["jnt_missing"] == ~visible.T).all()
    np.testing.assert_array_equal(mat["pos_gt_src"].transpose(2, 0, 1)[visible], joints[visible])
    names = [str(name[0]) for name in mat["dataset_joints"][0]]
    assert [names.index("head"), names.index("lsho"), names.index("rsho")] == [9, 13, 12]


def test_the_loader_of_hrnets_layout_reads_it(drawn: Path) -> None:
    for split, people in (("train", TRAIN), ("valid", VAL)):
        table = mpii.load(drawn, split)
        assert len(table) == people
        assert mpii.missing_images(table) == []
        # The loader's padded scale is 1.25 × eight head sizes. The .mat's box is exact, so only
        # the scale's six decimals count; the training split derives its heads from joints of two.
        atol = 1.25 * (1.1e-4 if split == "valid" else 8 * 0.75 * 2 * 0.0071)
        padded_px = 200 * table.scale_wh[:, 0]
        known = table.visible[:, [8, 9]].all(1)
        expected = 1.25 * 8 * table.head_size_px
        np.testing.assert_allclose(padded_px[known], expected[known], atol=atol)
    truth = mpii.truth(drawn, "valid")
    visible = truth.visible > 0
    np.testing.assert_allclose(
        truth.joints_xy[visible] - 1, mpii.load(drawn, "valid").joints_xy[visible], atol=1e-9
    )


def test_front_and_back_views_both_occur(figures: list) -> None:
    left, right = MPII16.index("left_shoulder"), MPII16.index("right_shoulder")
    mirrored = np.mean([figure.joints[left, 0] < figure.joints[right, 0] for figure in figures])
    front = np.mean([figure.faces_camera() for figure in figures])
    assert 0.3 < mirrored < 0.7
    assert 0.3 < front < 0.7


def test_every_pose_occurs_about_as_often_as_stated(figures: list) -> None:
    for name, odds in POSES.items():
        share = np.mean([figure.pose == name for figure in figures])
        expected = odds / sum(POSES.values())
        # Four sigma of a binomial share, and half of a pose may be turned away by its head.
        sigma = np.sqrt(expected * (1 - expected) / len(figures))
        assert 0.5 * expected - 4 * sigma < share < 1.3 * expected + 4 * sigma, name


def test_left_is_on_the_images_right_from_the_front_and_front_is_near() -> None:
    body = Body.sample(np.random.default_rng(0))
    arms, legs = ({side: Limb(bend=60) for side in (1, -1)} for _ in range(2))
    for yaw, sign in ((0, 1), (180, -1)):
        figure = assemble(body, Pose("standing", arms=arms, legs=legs), yaw, 0.0)
        shoulders = figure.joint("left_shoulder") - figure.joint("right_shoulder")
        assert np.sign(shoulders[0]) == sign
        assert figure.faces_camera() == (sign == 1)
        # Elbows bend forward and knees backward.
        assert sign * (figure.joint("left_wrist") - figure.joint("left_elbow"))[2] > 0
        assert sign * (figure.joint("left_ankle") - figure.joint("left_knee"))[2] < 0
        pixels = project(figure.joints, np.zeros(2), 10.0, 20.0)
        assert pixels[MPII16.index("head_top"), 1] < pixels[MPII16.index("left_ankle"), 1]


def test_limbs_keep_their_lengths(figures: list) -> None:
    for figure in figures[:100]:
        for side in ("left", "right"):
            for end, start, length in (
                ("ankle", "knee", figure.body.shank),
                ("knee", "hip", figure.body.thigh),
                ("elbow", "shoulder", figure.body.upper_arm),
                ("wrist", "elbow", figure.body.forearm),
            ):
                bone = figure.joint(f"{side}_{end}") - figure.joint(f"{side}_{start}")
                # Three rotations and a sum of numbers below 10 in float64.
                assert abs(np.linalg.norm(bone) - length) < 1e-12


def test_the_body_is_painted_where_the_joints_are(figures: list) -> None:
    light = np.array([0.0, 0.0, 1.0])
    for index, figure in enumerate(figures[:12]):
        look = Look.sample(np.random.default_rng([5, index]), np.zeros(3))
        place = (np.array([150.0, 150.0]), 25.0, 20.0)
        _, cover = paint(build(figure, look), *place, light, (300, 300))
        columns, rows = np.rint(project(figure.joints, *place)).astype(int).T
        # The head top is on the outline; all other joints are deep inside a limb.
        rows[MPII16.index("head_top")] += 2
        assert cover[rows, columns].min() > 0.6


@pytest.mark.parametrize("at", [(40.0, 30.0), (40.37, 29.81)])
def test_a_lit_facet_is_where_its_projection_says(at: tuple[float, float]) -> None:
    facets = Facets([], [], [])
    square = 0.5 * np.array([[-1.0, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]])
    facets.add_quad(square, np.full(3, 200.0), 0.0)
    _, cover = paint(facets, np.array(at), 10.0, 20.0, np.array([0.0, 0, 1]), (80, 60))
    rows, columns = np.indices(cover.shape)
    centroid = np.array([(columns * cover).sum(), (rows * cover).sum()]) / cover.sum()
    # Edges fall on pixels of the doubled canvas: each of two is off by a quarter pixel at most.
    np.testing.assert_allclose(centroid, at, atol=0.26)
    # Ten pixels wide, and borders are drawn inclusively: at most one doubled pixel on each side.
    assert 10.0 <= np.sqrt(cover.sum()) <= 11.0


def test_a_complete_set_is_kept_and_another_replaces_it(tmp_path: Path) -> None:
    def write(seed: int) -> int:
        synthetic.write_dataset(
            root, seed=seed, train_people=1, val_people=1, workers=1, progress=False
        )
        return (root / "annot" / "valid.json").stat().st_mtime_ns

    root = tmp_path / "set"
    first = write(0)
    assert write(0) == first
    assert write(1) != first
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_nothing_is_left_of_an_interrupted_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(mpii_layout, "evaluation_mat", interrupted)
    with pytest.raises(KeyboardInterrupt):
        synthetic.write_dataset(
            tmp_path / "set", train_people=1, val_people=1, workers=1, progress=False
        )
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(UserError, match="holds other files"):
        _write(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
