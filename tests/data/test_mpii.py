"""MPII's loader against HRNet's checksums, and its errors on files broken in every usual way."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import loadmat, savemat

from paddle_pose.data import mpii
from paddle_pose.errors import UserError

JOINTS = "rank rkne rhip lhip lkne lank pelv thor neck head rwri relb rsho lsho lelb lwri"


def person(number: int = 0, **changes) -> dict:
    joints = [[10.0 + number + 3 * j, 20.0 + 5 * j] for j in range(16)]
    record = {"image": f"{number:03d}.jpg", "center": [50.0, 60.0], "scale": 2.0}
    return {**record, "joints": joints, "joints_vis": [1] * 16, **changes}


def truth_content(people: int) -> dict:
    boxes = np.zeros((2, 2, people))
    boxes[1, 0], boxes[1, 1] = 30.0, 40.0  # diagonal 50, head size 30
    return {
        "dataset_joints": np.array([JOINTS.split()], dtype=object),
        "jnt_missing": np.zeros((16, people), np.uint8),
        "pos_gt_src": np.ones((16, 2, people)),
        "headboxes_src": boxes,
    }


def write_root(root: Path, people: object, *, layout: str = "HRNet", truth: int | None = 2) -> Path:
    folder = root / ("annot" if layout == "HRNet" else "annotations")
    folder.mkdir(parents=True)
    text = people if isinstance(people, str) else json.dumps(people)
    name, mat = ("valid.json", "gt_valid.mat")
    if layout == "mmpose":
        name, mat = ("mpii_val.json", "mpii_gt_val.mat")
    (folder / name).write_text(text)
    if truth is not None:
        savemat(folder / mat, truth_content(truth))
    return root


def error_of(root: Path, split: str = "valid", load=mpii.load) -> str:
    with pytest.raises(UserError) as caught:
        load(root, split)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_equals_the_reference_loader_on_all_2958_people(reference_data: Path) -> None:
    expected = json.loads((reference_data / "parity/pipeline/mpii_db.json").read_text())
    table = mpii.load(reference_data / "data/mpii", "valid")
    assert len(table) == expected["n"]  # row 2921, which select_data would drop, is there
    # Sums of n doubles in another order differ by at most n roundings of 2^-53.
    sums = {"rtol": expected["n"] * 2.0**-53, "atol": 0}
    np.testing.assert_allclose(table.center_xy.sum(0), expected["center_sum"], **sums)
    np.testing.assert_allclose(table.scale_wh.sum(0), [expected["scale_sum"]] * 2, **sums)
    np.testing.assert_array_equal(table.visible.sum(0), expected["joint_vis_sum"])
    for record, reference in zip(table, expected["first3"], strict=False):
        assert record.center_xy.tolist() == reference["center"]
        assert record.scale_wh.tolist() == reference["scale"]


def test_table_and_truth_are_one_pixel_apart(reference_data: Path) -> None:
    table = mpii.load(reference_data / "data/mpii", "valid")
    truth = mpii.truth(reference_data / "data/mpii", "valid")
    np.testing.assert_array_equal(table.visible, truth.visible)
    np.testing.assert_array_equal(table.head_size_px, truth.head_size_px)
    difference = (truth.joints_xy - table.joints_xy)[truth.visible > 0]
    # The json is rounded to 4 decimals, the .mat is not: 5e-5 plus a rounding of the subtraction.
    np.testing.assert_allclose(difference, 1.0, atol=5.1e-5, rtol=0)


def test_center_moves_down_before_the_scale_grows(tmp_path: Path) -> None:
    table = mpii.load(write_root(tmp_path, [person(), person(1, center=[-1, 60])]), "valid")
    assert table.center_xy.tolist() == [[49.0, 60 + 15 * 2 - 1], [-2.0, 59.0]]
    assert table.scale_wh.tolist() == [[2.5, 2.5], [2.0, 2.0]]  # an unknown centre changes nothing
    assert table.joints_xy[0, 0].tolist() == [9.0, 19.0]
    assert table.head_size_px.tolist() == [30.0, 30.0]


def test_both_layouts_give_the_same_table(tmp_path: Path) -> None:
    people = [person(), person(1)]
    one = mpii.load(write_root(tmp_path / "a", people), "valid")
    other = mpii.load(write_root(tmp_path / "b", people, layout="mmpose"), "valid")
    by_its_name = mpii.load(tmp_path / "b", "val")
    for table in (other, by_its_name):
        for name in ("center_xy", "scale_wh", "joints_xy", "visible", "head_size_px"):
            np.testing.assert_array_equal(getattr(one, name), getattr(table, name))
    assert [file.name for file in other.files] == ["mpii_val.json", "mpii_gt_val.mat"]


def test_wrong_folder_is_told_with_what_was_looked_for(tmp_path: Path) -> None:
    assert "no such folder" in error_of(tmp_path / "nowhere")
    (tmp_path / "photos").mkdir()
    line = error_of(tmp_path)
    assert "annot/valid.json" in line
    assert "annotations/mpii_val.json" in line
    assert "photos" in line
    write_root(tmp_path / "mpii", [person()], truth=1)
    assert f"one level down: --dataset_root {tmp_path / 'mpii'}" in error_of(tmp_path)


def test_two_layouts_at_once_are_refused(tmp_path: Path) -> None:
    write_root(tmp_path, [person()], truth=1)
    write_root(tmp_path, [person()], layout="mmpose", truth=1)
    assert "both layouts" in error_of(tmp_path)


def test_missing_split_lists_the_others(tmp_path: Path) -> None:
    line = error_of(write_root(tmp_path, [person()]), "train")
    assert "train.json: no such file" in line
    assert "valid" in line


@pytest.mark.parametrize(
    ("people", "expected"),
    [
        ('[\n{"image": "a.jpg",\n"scale": }]', "not valid JSON (Expecting value at line 3"),
        ("", "expected a list of people"),
        ("[]", "lists nobody"),
        ('{"images": [], "annotations": []}', "expected a list of people"),
        ("[1, 2]", "expected a list of people"),
        ([person(), person(1, joints=[[1.0, 2.0]] * 15)], "record 1 (001.jpg): 15 joints"),
        ([person(), person(1, joints_vis=[1] * 17)], "record 1 (001.jpg): 16 joints and 17"),
        ([person(joints=[[1.0, 2.0, 3.0]] * 16)], "record 0 (000.jpg): a point has not two"),
        ([person(joints=[[1.0, None]] * 16)], "record 0 (000.jpg): a coordinate or scale is not"),
        ([person(joints=[[1.0, True]] * 16)], "record 0 (000.jpg): a coordinate or scale is not"),
        ([person(center=["12", 3.0])], "record 0 (000.jpg): a coordinate or scale is not"),
        ([person(center=5)], "record 0 (000.jpg): 'center' must be a list"),
        ([[person()]], "other items or lists in it"),
        ([person(), [person(1)]], "other items or lists in it"),
        ([person(image="../a.jpg")], "is not a relative path inside the images' folder"),
        ([person(image="/etc/a.jpg")], "is not a relative path inside the images' folder"),
        ([person(image="a\0.jpg")], "is not a relative path inside the images' folder"),
        ([person(image="\ud800.jpg")], "cannot be a file's name"),
        ([person(image="a" * 5000)], "a file name of 5,000 bytes; the limit is 255"),
        ([{"img_paths": "a.jpg", "joint_self": []}], "pytorch-pose's mpii_annotations.json"),
        ([person(), person(1, scale=float("nan"))], "record 1 (001.jpg): a coordinate or scale"),
        ([person(), person(1, center=[float("inf"), 0])], "record 1 (001.jpg): a coordinate"),
        ([person(scale=0)], "record 0 (000.jpg): scale must be positive"),
        ([person(joints_vis=[2] * 16)], "record 0 (000.jpg): joints_vis or jnt_missing must"),
        ([person(), {**person(1), "image": 7}], "record 1: 'image' must be a file name"),
    ],
)
def test_broken_records_are_named(tmp_path: Path, people: object, expected: str) -> None:
    line = error_of(write_root(tmp_path, people))
    assert "valid.json" in line
    assert expected in line


def test_missing_key_names_the_nearest(tmp_path: Path) -> None:
    record = person()
    record["gt_joints"] = record.pop("joints")
    line = error_of(write_root(tmp_path, [record]))
    assert "record 0: no key 'joints'; did you mean" in line


def test_truth_of_another_split_is_refused(tmp_path: Path) -> None:
    root = write_root(tmp_path, [person(), person(1)], truth=5)
    for load in (mpii.load, mpii.truth):
        line = error_of(root, load=load)
        assert "gt_valid.mat has 5 people" in line
        assert "valid.json has 2" in line


def test_truth_without_its_file_or_fields(tmp_path: Path) -> None:
    root = write_root(tmp_path, [person(), person(1)], truth=None)
    assert "gt_valid.mat: no such file" in error_of(root)
    assert np.isnan(mpii.load(root, "valid", with_truth=False).head_size_px).all()
    mat = root / "annot/gt_valid.mat"
    mat.write_bytes(b"not a mat file, but long enough to have a header" * 5)
    assert "cannot be read as a MATLAB file" in error_of(root)
    content = truth_content(2)
    savemat(mat, {k: v for k, v in content.items() if k != "jnt_missing"})
    assert "no field 'jnt_missing'" in error_of(root)
    savemat(mat, {**content, "dataset_joints": content["dataset_joints"][:, ::-1]})
    assert "joints are 'lwri" in error_of(root)
    savemat(mat, {**content, "headboxes_src": np.zeros((2, 2, 2))})
    assert "person 0 (and 1 more): its head box is empty" in error_of(root)
    savemat(mat, {**content, "pos_gt_src": np.ones((2, 16, 2))})
    assert "expected 16×N, 16×2×N" in error_of(root)


def test_test_split_has_no_joints(tmp_path: Path) -> None:
    root = write_root(tmp_path, [person(), person(1)])
    bare = [{k: v for k, v in person(i).items() if "joints" not in k} for i in range(3)]
    (root / "annot/test.json").write_text(json.dumps(bare))
    table = mpii.load(root, "test")
    assert len(table) == 3
    assert not table.visible.any()
    assert np.isnan(table.head_size_px).all()
    assert mpii.truth_file(root, "test") is None
    assert mpii.truth_file(root, "valid") == root / "annot/gt_valid.mat"


def test_head_sizes_for_training(tmp_path: Path) -> None:
    root = write_root(tmp_path, [person(), person(1)])
    joints = person()["joints"]
    joints[8], joints[9] = [10.0, 10.0], [10.0, 50.0]  # upper neck to head top: 40 px
    no_head = [1] * 9 + [0] + [1] * 6
    people = [person(joints=joints), person(joints=joints, joints_vis=no_head), person()]
    (root / "annot/train.json").write_text(json.dumps(people))
    sizes = mpii.load(root, "train").head_size_px
    # 0.75 × 40; 25 × scale 2; the third's 5.8 px neck is below the smallest head.
    assert sizes.tolist() == [30.0, 50.0, 7.5]


def test_training_rule_is_the_rule_of_lspet(reference_data: Path, tmp_path: Path) -> None:
    source = reference_data / "data/lspet_mpii/annot"
    (tmp_path / "annot").mkdir()
    shutil.copy(source / "valid.json", tmp_path / "annot/train.json")
    boxes = loadmat(source / "gt_valid.mat")["headboxes_src"]
    expected = 0.6 * np.linalg.norm(boxes[1] - boxes[0], axis=0)
    # Four joint coordinates rounded to 4 decimals: 0.75 × √2 × 2 × 5e-5, and as much in the box.
    sizes = mpii.load(tmp_path, "train").head_size_px
    np.testing.assert_allclose(sizes, expected, atol=2.2e-4, rtol=0)


def test_training_rule_is_close_to_mpii(reference_data: Path, tmp_path: Path) -> None:
    (tmp_path / "annot").mkdir()
    source = reference_data / "data/mpii"
    shutil.copy(source / "annot/valid.json", tmp_path / "annot/train.json")
    ratio = mpii.load(tmp_path, "train").head_size_px / mpii.truth(source, "valid").head_size_px
    # What the docstring of load states: within 1 % for 98 % of people.
    assert np.mean(np.abs(ratio - 1) < 0.01) >= 0.98


def test_missing_images_by_name_case_and_ending(tmp_path: Path) -> None:
    people = [person(i) for i in range(4)]
    root = write_root(tmp_path, people, truth=4)
    table = mpii.load(root, "valid")
    with pytest.raises(UserError, match="images: no such folder"):
        mpii.require_images(table)
    (root / "images").mkdir()
    for name in ("000.jpg", "001.JPG", "002.png", "003.txt"):
        (root / "images" / name).touch()
    assert mpii.missing_images(table) == ["003.jpg"]
    with pytest.raises(UserError, match=r"1 of 4 images are missing: 003\.jpg"):
        mpii.require_images(table)
    mpii.require_images(table.head(3))  # nobody asks for the fourth image


def test_loads_and_checks_8344_people_quickly(reference_data: Path) -> None:
    start = time.process_time()
    table = mpii.load(reference_data / "data/lspet_mpii", "train")
    assert mpii.missing_images(table) == []
    # Measured 0.15 s, so 22,246 people of MPII take 0.4 s.
    assert time.process_time() - start < 1.0
    per_person = sum(
        value.nbytes for value in vars(table).values() if isinstance(value, np.ndarray)
    ) / len(table)
    assert per_person < 512  # 200,000 people in 100 MB


def test_describe_counts_what_is_used(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    people = [person(0), person(0), person(1)]
    table = mpii.load(write_root(tmp_path, people, truth=3), "valid")
    mpii.describe(table)
    mpii.describe(table.head(2))
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["=> num_images: 2", "=> load 3 samples"]
    assert "3 people on 2 images, 48 visible joints" in lines[2]
    second = lines.index("=> num_images: 1")
    assert "=> people: 3 in valid.json (HRNet layout), nobody left out" in lines[:second]
    assert lines[second + 1] == "=> load 2 samples"


def joints_of(value: float) -> np.ndarray:
    joints = np.ones((16, 2, 2))
    joints[3, 0, 1] = value
    return joints


def missing(value: float) -> np.ndarray:
    flags = np.zeros((16, 2))
    flags[5, 1] = value
    return flags


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        *(({"pos_gt_src": joints_of(v)}, "person 1: a coordinate is not a finite number")
          for v in (np.nan, np.inf, -np.inf, 1e9)),
        *(({"jnt_missing": missing(v)}, "person 1: joints_vis or jnt_missing must be 0 or 1")
          for v in (np.nan, 2, 0.5, -1, -np.inf, 255)),
        *(({"headboxes_src": np.full((2, 2, 2), v)}, "its head box is not a finite number")
          for v in (np.nan, np.inf, 1e9, 1e300)),
        ({"jnt_missing": "text"}, "expected numbers in jnt_missing"),
        ({"dataset_joints": np.ones((1, 16))}, "joints are"),
        ({"pos_gt_src": {"a": 1}}, "'pos_gt_src' is not a plain array of numbers"),
    ],
)  # fmt: skip
def test_truth_is_checked_as_its_people_are(tmp_path: Path, changes: dict, expected: str) -> None:
    root = write_root(tmp_path, [person(), person(1)])
    savemat(root / "annot/gt_valid.mat", {**truth_content(2), **changes})
    for load in (mpii.load, mpii.truth):
        assert expected in error_of(root, load=load)


def test_what_is_missing_may_lie_anywhere(tmp_path: Path) -> None:
    root = write_root(tmp_path, [person(), person(1)])
    flags = np.zeros((16, 2))
    flags[3, 1] = 1
    content = {**truth_content(2), "pos_gt_src": joints_of(np.nan), "jnt_missing": flags}
    savemat(root / "annot/gt_valid.mat", content)
    assert mpii.truth(root, "valid").visible[1, 3] == 0


def test_people_that_differ_from_their_truth_are_counted(tmp_path: Path) -> None:
    people = [person(), person(1)]
    root = write_root(tmp_path, people)
    joints = np.array([one["joints"] for one in people]).transpose(1, 2, 0)
    huge = {"headboxes_src": truth_content(2)["headboxes_src"] * [1, 100]}
    savemat(root / "annot/gt_valid.mat", {**truth_content(2), "pos_gt_src": joints, **huge})
    found = mpii.disagreement(mpii.load(root, "valid"), mpii.truth(root, "valid"))
    assert found.startswith("1 of 2 people have a head in the .mat 10 times as large")
    for change, expected in ((0.9, ""), (1.1, "1 of 2 people have other joints in the .mat")):
        moved = joints.copy()
        moved[4, 1, 1] += change
        savemat(root / "annot/gt_valid.mat", {**truth_content(2), "pos_gt_src": moved})
        found = mpii.disagreement(mpii.load(root, "valid"), mpii.truth(root, "valid"))
        assert found.startswith(expected)
        assert bool(found) == bool(expected)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be", "utf-32"])
def test_any_unicode_encoding(tmp_path: Path, encoding: str) -> None:
    root = write_root(tmp_path, [person(), person(1)])
    expected = mpii.load(root, "valid").joints_xy
    file = root / "annot/valid.json"
    file.write_bytes((" " + file.read_text()).encode(encoding))
    np.testing.assert_array_equal(mpii.load(root, "valid").joints_xy, expected)


def test_the_layout_of_pytorch_pose_is_named(tmp_path: Path) -> None:
    (tmp_path / "mpii_annotations.json").write_text("[]")
    assert "mpii_annotations.json is pytorch-pose's" in error_of(tmp_path)


@settings(max_examples=120, deadline=None)
@given(
    name=st.sampled_from(["image", "center", "scale", "joints", "joints_vis", "joint", "flag", ""]),
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
        max_leaves=8,
    ),
)
def test_whatever_stands_in_a_file_it_is_read_or_one_line(
    tmp_path_factory: pytest.TempPathFactory, name: str, value: object
) -> None:
    root = tmp_path_factory.getbasetemp() / "anything"
    if not root.exists():
        write_root(root, [person(), person(1)])
    people = [person(), person(1)]
    if name == "":
        people[1] = value
    elif name in ("joint", "flag"):
        people[1][{"joint": "joints", "flag": "joints_vis"}[name]][3] = value
    else:
        people[1][name] = value
    (root / "annot/valid.json").write_text(json.dumps(people))
    try:
        table = mpii.load(root, "valid")
    except UserError:
        return
    assert np.isfinite(table.joints_xy).all()
    assert np.isfinite(table.scale_wh).all()
    assert set(np.unique(table.visible)) <= {0.0, 1.0}
