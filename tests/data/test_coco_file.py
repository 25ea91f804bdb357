"""COCO-form files as users have them: the right number, or one line that names the record."""

from __future__ import annotations

import copy
import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from own_coco import AP, PLAIN, RESULTS, ap, assumed, changed, plain, read

from paddle_pose import skeletons
from paddle_pose.data import coco, coco_file
from paddle_pose.errors import UserError
from paddle_pose.evaluation.coco import score_results
from paddle_pose.skeletons import COCO17

FUZZ = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture(autouse=True)
def fresh_skeletons(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(skeletons, "SKELETONS", dict(skeletons.SKELETONS))


@st.composite
def forms(draw: st.DrawFn) -> dict[str, Any]:
    """The plain file in another form with the same meaning."""
    content = copy.deepcopy(PLAIN)
    number = st.sampled_from([lambda i: i, str, float])
    as_id, as_annotation, as_category = draw(number), draw(number), draw(number)
    for image in content["images"]:
        image["id"] = as_id(image["id"])
        image["license"] = 3
    for record in content["annotations"]:
        record["image_id"] = draw(number)(record["image_id"])
        record["category_id"] = as_category(record["category_id"])
        record["id"] = draw(st.sampled_from([record["id"], as_annotation(record["id"])]))
        if draw(st.booleans()):
            record["keypoints"] = np.reshape(record["keypoints"], (-1, 3)).tolist()
        for key, other in (("iscrowd", False), ("num_keypoints", ...), ("id", None)):
            if draw(st.booleans()):
                record[key] = other
        kept = {key: value for key, value in record.items() if value is not ...}
        extra = {"segmentation": [[1, 2, 3]], "visible": True, "attributes": {"a": None}}
        keys = draw(st.permutations([*kept, "segmentation"]))
        record.clear()
        record.update({key: {**extra, **kept}[key] for key in keys})
    for key in ("images", "annotations"):
        content[key] = draw(st.permutations(content[key]))
    content["categories"] += draw(st.sampled_from([[], [{"id": 7, "name": "car"}]]))
    if draw(st.booleans()):
        content["annotations"] += copy.deepcopy(content["annotations"])
    if draw(st.booleans()):
        content["images"] += content["images"]
    if draw(st.booleans()):
        lost = {**content["annotations"][0], "image_id": 99, "id": 99}
        content["annotations"] += [lost]
    names = draw(st.sampled_from([None, [], list(COCO17.joints), [*COCO17.joints, "toe_l"]]))
    content["categories"][0]["keypoints"] = names
    return content


@FUZZ
@given(content=forms())
def test_other_forms_with_the_same_meaning_score_the_same(tmp_path: Path, content: dict):
    truth = read(tmp_path, content)
    assert ap(truth) == AP
    table = coco.people(truth, tmp_path, "x", image_size_wh=(192, 256), with_images=False)
    assert len(table) == len(PLAIN["annotations"])


JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from([1e300, 10**25, -1, 0, "1", "1.5", "../a", float("inf"), float("nan")]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)


def places(node: Any, path: tuple = ()) -> list[tuple]:
    inner = node.items() if isinstance(node, dict) else enumerate(node)
    found = [path] if path else []
    if isinstance(node, dict | list):
        for key, value in inner:
            found += (
                places(value, (*path, key)) if isinstance(value, dict | list) else [(*path, key)]
            )
    return found


@settings(FUZZ, max_examples=300)
@given(data=st.data(), junk=JUNK, name=st.sampled_from(["coco17", "from_file"]))
def test_anything_anywhere_is_read_or_refused_in_one_line(
    tmp_path: Path, data: st.DataObject, junk: Any, name: str
):
    content = copy.deepcopy(PLAIN)
    content["categories"][0] |= {"skeleton": [[1, 2]], "sigmas": [0.1] * 17, "flip_pairs": [[1, 2]]}
    path = data.draw(st.sampled_from(places(content)))
    node = content
    for key in path[:-1]:
        node = node[key]
    if data.draw(st.booleans()):
        node[path[-1]] = junk
    else:
        del node[path[-1]]
    line, values = "", {"AP": 0.0}
    try:
        truth = read(tmp_path, content, name)
        if truth.has_people:
            values = score_results(RESULTS, truth)
        if truth.people is not None:
            coco.people(truth, tmp_path, "x", image_size_wh=(192, 256), with_images=False)
    except UserError as error:
        line = str(error)
    assert values["AP"] >= 0
    assert "\n" not in line
    assert len(line) < 700


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bbox": ...}, r"annotations\[2\]: expected bbox"),
        ({"bbox": []}, r"annotations\[2\]: expected bbox"),
        ({"bbox": None}, r"annotations\[2\]: expected bbox"),
        ({"bbox": [1, 2, -3, 4]}, r"annotations\[2\]: bbox .* below zero"),
        ({"bbox": [1, 2, float("nan"), 4]}, r"annotations\[2\]: bbox: nan"),
        ({"bbox": [1, 2, "3", 4]}, r"annotations\[2\]: bbox: '3'"),
        ({"bbox": [1e300, 2, 3, 4]}, r"annotations\[2\]: bbox: 1e\+300"),
        ({"category_id": ...}, r"annotations\[2\]: has no 'category_id'"),
        ({"category_id": 1.5}, r"annotations\[2\]: category_id: .* found 1\.5"),
        ({"category_id": True}, r"annotations\[2\]: category_id: .* found True"),
        ({"image_id": 1.5}, r"annotations\[2\]: image_id: .* found 1\.5"),
        ({"image_id": 10**30}, r"annotations\[2\]: image_id"),
        ({"image_id": float("inf")}, r"annotations\[2\]: image_id: .* found inf"),
        ({"iscrowd": None}, r"annotations\[2\]: iscrowd: .* found None"),
        ({"iscrowd": "no"}, r"annotations\[2\]: iscrowd: .* found 'no'"),
        ({"iscrowd": 2}, r"annotations\[2\]: iscrowd is 2"),
        ({"area": None}, r"annotations\[2\]: area: None"),
        ({"area": float("nan")}, r"annotations\[2\]: area: nan"),
        ({"area": -1}, r"annotations\[2\]: area -1"),
        ({"area": 0}, r"annotations\[2\]: area 0"),
        ({"num_keypoints": None}, r"annotations\[2\]: num_keypoints: .* found None"),
        ({"num_keypoints": -1}, r"annotations\[2\]: num_keypoints -1"),
        ({"keypoints": None}, r"annotations\[2\]: num_keypoints \d+, but it has no keypoints"),
        ({"keypoints": [None] * 51}, r"annotations\[2\]: keypoints: must be numbers"),
        ({"keypoints": [True] * 51}, r"annotations\[2\]: keypoints: must be numbers"),
        ({"keypoints": ["1"] * 51}, r"annotations\[2\]: keypoints: must be numbers"),
        ({"keypoints": [[1, 2]] * 17}, r"annotations\[2\]: keypoints: must be numbers"),
        ({"keypoints": [float("nan")] * 51}, r"annotations\[2\]: keypoints: expected 51 finite"),
        ({"keypoints": [1] * 50}, r"annotations\[2\]: keypoints: 50 numbers"),
        ({"keypoints": [1] * 48}, r"annotations\[2\]: keypoints: expected 51"),
        ({"id": 1}, r"annotations\[2\]: id 1 is that of annotations\[0\]"),
    ],
)
def test_broken_records_are_named(tmp_path: Path, changes: dict, message: str):
    with pytest.raises(UserError, match=message):
        read(tmp_path, changed(**changes))


def test_nobody_is_never_scored(tmp_path: Path):
    for key, value in (("num_keypoints", 0), ("category_id", 2), ("iscrowd", 1), ("image_id", 99)):
        content = copy.deepcopy(PLAIN)
        for record in content["annotations"]:
            record[key] = value
        with pytest.raises(UserError, match="score over nobody"):
            ap(read(tmp_path, content))


def test_no_labels_are_no_truth(tmp_path: Path):
    for people in ([], None, [{"image_id": 1, "category_id": 1, "bbox": [1, 2, 30, 40]}]):
        truth = read(tmp_path, {**PLAIN, "annotations": people})
        assert not truth.has_people
    with pytest.raises(UserError, match="left out 0 crowds, 1 without keypoints"):
        coco.people(truth, tmp_path, "x", image_size_wh=(192, 256), with_images=False)


def test_two_files_of_one_image_id(tmp_path: Path):
    content = {**PLAIN, "images": [*PLAIN["images"], {"id": "1", "file_name": "b.jpg"}]}
    with pytest.raises(UserError, match=r"image id 1 is 'b\.jpg' here and '1\.jpg' before"):
        read(tmp_path, content)


@pytest.mark.parametrize("name", ["../a.jpg", "/a.jpg", "a/../../b.jpg", "x" * 300, "", 5, None])
def test_names_stay_in_their_folder(tmp_path: Path, name: Any):
    images = [{"id": 1, "file_name": name, "width": 9, "height": 9}]
    with pytest.raises(UserError, match=r"images\[0\]"):
        read(tmp_path, {**PLAIN, "images": images})


def test_the_category_with_keypoints_is_taken(tmp_path: Path):
    own = {**PLAIN["categories"][0], "name": "pose"}
    root = {"id": 0, "name": "person", "supercategory": "none"}
    assert ap(read(tmp_path, {**PLAIN, "categories": [root, own]})) == AP
    assert ap(read(tmp_path, {**PLAIN, "categories": [{**own, "id": "1"}]})) == AP
    with pytest.raises(UserError, match="several keypoint categories"):
        read(tmp_path, {**PLAIN, "categories": [own, {**own, "id": 2, "name": "dog"}]})


def test_others_are_left_out_and_counted(tmp_path: Path):
    content = copy.deepcopy(PLAIN)
    content["annotations"] += [
        {**content["annotations"][0], "id": 50, "image_id": 77},
        {**content["annotations"][0], "id": 51, "category_id": 9},
        content["annotations"][1],
    ]
    truth = read(tmp_path, content)
    assert ap(truth) == AP
    assert dict(truth.left_out) == {
        "of other categories": 1,
        "on images that are not listed": 1,
        "listed twice": 1,
    }
    assert "left out 1 of other categories, 1 on images that are not" in str(truth.understood)


def test_copies_with_ids_of_their_own_are_said(tmp_path: Path):
    content = copy.deepcopy(PLAIN)
    content["annotations"] += [{**p, "id": p["id"] + 50} for p in content["annotations"]]
    assert any("6 people have box and joints of another" in line for line in assumed(
        read(tmp_path, content)
    ))  # fmt: skip


def test_areas(tmp_path: Path):
    lacking = copy.deepcopy(PLAIN)
    for record in lacking["annotations"]:
        del record["area"]
    truth = read(tmp_path, lacking)
    assert truth.people is not None
    assert assumed(truth)[0].startswith("assumed: area: 1 × the box's for 6 of 6 people")
    np.testing.assert_array_equal(truth.people.areas_px2, 150 * 140.5)
    for area, factor in (("box", 1), (0.53, 0.53)):
        stated = read(tmp_path, PLAIN, area=area)
        assert stated.people is not None
        np.testing.assert_allclose(stated.people.areas_px2, factor * 150 * 140.5, rtol=1e-15)
        assert not assumed(stated)
    for area in ("x", 0, -1, float("nan"), True, None, (1,)):
        with pytest.raises(UserError, match=r"data\.area"):
            read(tmp_path, PLAIN, area=area)


def test_crowdpose_is_scored_by_its_own_protocol(tmp_path: Path):
    joints = [*COCO17.joints[5:], "head", "neck"]
    content = plain()
    content["categories"][0]["keypoints"] = joints
    for record in content["annotations"]:
        del record["area"]
        record["keypoints"] = record["keypoints"][:42]
    truth = read(tmp_path, content, "from_file")
    assert truth.category.skeleton.oks_sigmas[-2:] == (0.079, 0.079)
    assert truth.people is not None
    np.testing.assert_allclose(truth.people.areas_px2, 0.53 * 150 * 140.5, rtol=1e-15)
    assert "assumed: area" not in str(assumed(truth))


def test_joints_of_other_layouts(tmp_path: Path):
    names = [*COCO17.joints, "left_finger", "right_finger", "left_toe", "right_toe"]
    for skeleton in ("coco17", "from_file"):
        content = {**PLAIN, "categories": [{"id": 1, "name": "person", "keypoints": names}]}
        truth = read(tmp_path, content, skeleton)
        assert truth.category.skeleton.joints == COCO17.joints
        assert ap(truth) == AP
        assert "the first 17 of the 21" in str(assumed(truth))
    content["categories"][0]["keypoints"] = names[::-1]
    with pytest.raises(UserError, match="lists 21 keypoints, but its people have 17"):
        read(tmp_path, content, "from_file")


def test_unnamed_joints_are_numbered_and_nothing_sends_back_and_forth(tmp_path: Path):
    content = {**plain(), "categories": []}
    for record in content["annotations"]:
        record["keypoints"] = [[5, 6, 2]] * 21
    with pytest.raises(UserError, match=r"have 21 joints.*data\.skeleton=from_file"):
        read(tmp_path, content)
    truth = read(tmp_path, content, "from_file")
    assert len(truth.category.skeleton) == 21
    told = [line.split(": ")[1] for line in assumed(truth)]
    assert told == ["category_id", "joint names", "sigmas", "copies"]
    with pytest.raises(UserError, match=r"data\.flip_pairs"):
        truth.category.skeleton.require_pairs("flip_test")


@pytest.mark.parametrize(
    ("category", "stated", "pairs", "source"),
    [
        ({}, {}, ((1, 2),), "known name"),
        ({"flip_pairs": [["nose", "l_paw"]]}, {}, ((0, 1),), "file"),
        ({"flip_pairs": [[0, 1]]}, {}, ((0, 1),), "file"),
        ({"flip_pairs": [[2, 3]]}, {}, ((1, 2),), "file"),
        ({"swap": ["", "r_paw", "l_paw"]}, {}, ((1, 2),), "file"),
        ({"flip_pairs": [[0, 1]]}, {"flip_pairs": ((1, 2),)}, ((1, 2),), "recipe"),
        ({}, {"flip_pairs": ()}, (), "recipe"),
    ],
)
def test_pairs_of_file_and_recipe(tmp_path: Path, category, stated, pairs, source):
    names = {"id": 1, "name": "cat", "keypoints": ["nose", "l_paw", "r_paw"], **category}
    content = {**PLAIN, "annotations": [], "categories": [names]}
    truth = read(tmp_path, content, "from_file", **stated)
    assert truth.category.skeleton.flip_pairs == pairs
    facts = {fact.what: fact for fact in truth.understood.facts}
    assert facts["flip_pairs"].source == source


@pytest.mark.parametrize(
    "stated",
    [
        {"flip_pairs": (("a", "b"),)},
        {"flip_pairs": ((0, 17),)},
        {"flip_pairs": ((0, 1), (1, 2))},
        {"flip_pairs": ((1, 1),)},
        {"flip_pairs": (3,)},
        {"sigmas": (0.1,)},
        {"sigmas": (float("nan"),) * 17},
        {"limbs": ((0,),)},
        {"limbs": (("nose", 1.5),)},
    ],
)
def test_what_a_recipe_states_is_checked(tmp_path: Path, stated: dict):
    with pytest.raises(UserError, match=rf"data\.{next(iter(stated))}"):
        read(tmp_path, PLAIN, "from_file", **stated)
    with pytest.raises(UserError, match="has its own"):
        read(tmp_path, PLAIN, "coco17", **stated)


def test_known_joints_have_cocos_sigmas_in_any_spelling(tmp_path: Path):
    names = [n.replace("left_", "L-").replace("right_", "R-").title() for n in COCO17.joints]
    content = {**PLAIN, "categories": [{"id": 1, "name": "person", "keypoints": names}]}
    for skeleton in ("from_file", "coco17"):
        truth = read(tmp_path, content, skeleton)
        assert ap(truth) == AP
        assert not assumed(truth)
    content["categories"][0]["keypoints"] = [*names[:16], "Tail"]
    truth = read(tmp_path, content, "from_file")
    assert truth.category.skeleton.oks_sigmas[-1] == 0.1
    assert "0.1 for Tail; COCO's for the others" in str(assumed(truth))
    assert "R-Ankle" not in truth.category.skeleton.joints


def test_compressed_and_published_numbers(reference_data: Path, tmp_path: Path):
    base = (reference_data / "cases/base.json").read_bytes()
    (tmp_path / "base.json.gz").write_bytes(gzip.compress(base))
    from paddle_pose.poses.coco_results import read_results

    truth = coco_file.read(tmp_path / "base.json.gz", tmp_path, "coco17")
    values = score_results(read_results(reference_data / "cases/res.json"), truth)
    assert values["AP"] == pytest.approx(0.542079, abs=5e-7)  # as pycocotools prints it


def test_every_image_size_is_a_size_or_none(tmp_path: Path):
    for width in (0, -5, 1.5, "x", True, [], 2**40):
        images = [{**PLAIN["images"][0], "width": width}, *PLAIN["images"][1:]]
        with pytest.raises(UserError, match=r"images\[0\]"):
            read(tmp_path, {**PLAIN, "images": images})
    images = [{**image, "width": None, "height": None} for image in PLAIN["images"]]
    truth = read(tmp_path, {**PLAIN, "images": images})
    assert ap(truth) == AP
    with pytest.raises(UserError, match="without width and height"):
        coco.people(truth, tmp_path, "x", image_size_wh=(192, 256), with_images=False)
