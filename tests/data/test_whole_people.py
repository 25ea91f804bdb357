"""Main persons of whole pictures: recorded ones, the rule by hand, necks, what is said."""

from __future__ import annotations

import numpy as np
import pytest
import whole_pictures

from paddle_pose.data.whole_people import from_annotations, joints_of, main_persons
from paddle_pose.errors import UserError
from paddle_pose.settings import DataSettings
from paddle_pose.skeletons import BODYPOSE18, COCO17
from reproduce.aligning import bodyposenet_data as aligning


def test_recorded_people_masks_and_necks(reference_data):
    rows = list(aligning.people_rows(reference_data))
    assert len(rows) == 13
    assert all(row.ok for row in rows), rows


def test_the_official_rule_asks_the_last_box_for_a_size():
    boxes = np.array([[0, 0, 40, 40], [20, 0, 40, 40], [500, 0, 100, 100.0]])
    areas, labelled = np.full(3, 2000.0), np.array([17, 17, 0])
    # 20 pixels apart: more than 0.3 × 40, less than 0.3 × 100, the last box's.
    assert main_persons(boxes, areas, labelled, "intended").tolist() == [0, 1]
    assert main_persons(boxes, areas, labelled, "reference").tolist() == [0]
    assert main_persons(boxes[:2], areas[:2], labelled[:2], "reference").tolist() == [0, 1]
    areas[0], labelled[1] = 32 * 32 - 0.1, 4
    assert not len(main_persons(boxes, areas, labelled, "intended"))


def test_samples_of_a_file(tmp_path):
    found = from_annotations(whole_pictures.write(tmp_path), "train2017", "bodypose18")
    assert found.rows[found.main].tolist() == [0, 1, 3, 5]
    assert found.people_of(0).tolist() == [0, 1]
    assert found.people_of(1).tolist() == [1, 0]  # itself first, the crowd not at all
    assert found.people_of(2).tolist() == [3]
    assert len(found.head(2)) == 2
    text = " ".join(fact.line() for fact in found.understood.facts)
    assert "4 main persons on 3 images, by the reference rule (distances by" in text
    mask = found.source.mask(0)
    # The crowd has columns 100 … 119, the second person 80 … 129 of rows 20 … 109 in front of it.
    assert (mask[:20, 100:120] == 0).all()
    assert (mask[20:110] == 255).all()
    assert (mask[:, :100] == 255).all()
    assert (found.source.mask(1)[30:45, 30:45] == 0).all()
    assert (found.source.mask(2) == 255).all()


def test_a_box_stands_for_a_shape_that_is_lacking(tmp_path):
    people = whole_pictures.people()
    del people[4]["segmentation"]
    root = whole_pictures.write(tmp_path, people)
    found = from_annotations(root, "train2017", "bodypose18")
    wanted = np.full((120, 160), 255)
    wanted[30:45, 30:45] = 0
    np.testing.assert_array_equal(found.source.mask(1), wanted)
    lines = [f.line() for f in found.understood.facts if f.line().startswith("assumed: masks")]
    assert len(lines) == 1
    assert "1 of 2 crowds and unlabelled people have no shape" in lines[0]


def test_nobody_to_make_a_sample_for(tmp_path):
    root = whole_pictures.write(tmp_path, whole_pictures.people()[6:])
    with pytest.raises(UserError, match=r"train2017.json: nobody has 5 labelled joints, an area"):
        from_annotations(root, "train2017", "bodypose18")


@pytest.mark.parametrize("side", [2, 3])
def test_a_box_without_size_makes_no_main_person(tmp_path, side):
    people = whole_pictures.people()
    for size in (0, 0.001):
        people[3]["bbox"] = [20, 20, 80, 80]
        people[3]["bbox"][side] = size
        root = whole_pictures.write(tmp_path / str(size), people)
        found = from_annotations(root, "train2017", "bodypose18")
        assert found.rows[found.main].tolist() == [0, 1, 5]
        lines = [fact.line() for fact in found.understood.facts]
        assert sum("1 person with a box of less than a pixel a side (first: annotations[3])"
            in line for line in lines) == 1  # fmt: skip
    for person in people:
        person["bbox"][side] = 0
    root = whole_pictures.write(tmp_path / "all", people)
    with pytest.raises(UserError, match="a box of a pixel a side"):
        from_annotations(root, "train2017", "bodypose18")


def test_a_neck_needs_both_shoulders_unless_as_official():
    keypoints = np.zeros((1, 17, 3))
    keypoints[0, COCO17.index("left_shoulder")] = 30, 40, 2
    neck = BODYPOSE18.index("neck")
    for rule, counts in (("intended", False), ("reference", True)):
        xy, counted = joints_of(keypoints, COCO17, "bodypose18", rule)
        assert xy[0, neck].tolist() == [15, 20]  # halfway to the corner
        assert counted[0, neck] == counts
    keypoints[0, COCO17.index("right_shoulder")] = 10, 44, 1
    xy, counted = joints_of(keypoints, COCO17, "bodypose18", "intended")
    assert xy[0, neck].tolist() == [20, 42]
    assert np.flatnonzero(counted[0]).tolist() == [1, 2, 5]


def test_a_pose_of_ones_own_is_taken_as_it_is(tmp_path):
    root = whole_pictures.write(tmp_path)
    stated = DataSettings("coco", "from_file", limbs=((0, 5), (0, 6)))
    found = from_annotations(root, "train2017", "from_file", stated=stated)
    xy, counted = joints_of(found.keypoints, found.skeleton, "from_file", "intended")
    np.testing.assert_array_equal(xy, found.keypoints[..., :2])
    assert counted.sum() == (found.keypoints[..., 2] > 0).sum()
    assert found.skeleton.limbs == (("nose", "left_shoulder"), ("nose", "right_shoulder"))
