"""AlphaPose's three forms: by hand, and its own files to the letter."""

from __future__ import annotations

import json

import numpy as np
import pytest

from paddle_pose.errors import UserError
from paddle_pose.poses import alphapose_json as forms
from paddle_pose.skeletons import COCO17, MPII16


def test_neck_and_order():
    pose = np.column_stack([np.arange(17.0), np.arange(17.0) + 100, np.full(17, 0.5)])[None]
    found = forms.picture(pose, "open")
    places = np.reshape(found["people"][0]["pose_keypoints_2d"], (-1, 3))
    assert places[:, 0].tolist() == [0, 5.5, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3]
    assert places[1].tolist() == [5.5, 105.5, 0.5]
    assert found["version"] == "AlphaPose v0.3"


def test_joints_that_a_form_has_no_place_for():
    assert forms.require_form("alphapose", MPII16) == ""
    assert "middle of the shoulders" in forms.require_form("cmu", COCO17)
    with pytest.raises(UserError, match="--format open: needs a network whose first 17 joints"):
        forms.require_form("open", MPII16)


def test_as_recorded(reference_data):
    """Text for text: the recorded numbers are doubles, which pass through."""
    file = reference_data / "parity" / "alphapose" / "json_output.json"
    for case in json.loads(file.read_text("utf-8"))["cases"].values():
        for form, numbers in (("default", False), ("default_for_eval", True)):
            found = []
            for image in case["input"]:
                name = forms.base_name(image["imgname"])
                for one in image["result"]:
                    pose = np.concatenate([one["keypoints"], one["kp_score"]], 1)[None]
                    box = np.array([one["box"]]) if "box" in one else None
                    ids = [one["idx"]] if "idx" in one else None
                    image_id = int(forms.stem(name)) if numbers else name
                    score = np.array(one["proposal_score"])
                    found += forms.records(image_id, pose, score, box, ids)
            assert json.dumps(found) == case[form]["text"]
        for form in forms.KEYS:
            pictures, parts = {}, {}
            for image in case["input"]:
                people = image["result"]
                poses = [[one[key] for one in people] for key in ("keypoints", "kp_score")]
                name = forms.base_name(image["imgname"])
                pictures[name] = forms.picture(np.concatenate(poses, -1), form)
                parts[f"{forms.stem(name)}.json"] = json.dumps(pictures[name])
            assert json.dumps(pictures) == case[form]["text"]
            assert parts == case[form]["sep_json_files"]
