"""Lightweight OpenPose's samples: who they are made for, crowds, one lit pixel, refusals."""

from __future__ import annotations

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest

from paddle_pose import configs
from paddle_pose.data.light_people import LightChange, LightSamples, main_persons, people
from paddle_pose.errors import UserError
from reproduce.aligning import lightweight_scene as scene

RECIPE = configs.load("lightweight:three_stages_coco")


def test_distances_are_of_the_width_of_those_before():
    boxes = np.array([[0, 0, 40, 100], [11, 0, 40, 100], [13, 0, 10, 10], [0, 35, 40, 100.0]])
    # 0.3 × 40 = 12: the second's middle is 11 away, the third's (2, 45), the fourth's 35 down.
    assert main_persons(boxes, np.arange(4)).tolist() == [0, 2, 3]
    assert main_persons(boxes, np.array([1, 0])).tolist() == [1]


@pytest.fixture(scope="module")
def samples(tmp_path_factory) -> LightSamples:
    root = tmp_path_factory.mktemp("light")
    drawn = scene.drawn(3)
    for image in drawn.truth["images"]:
        cv2.imwrite(str(root / image["file_name"]), drawn.arrays[f"photo/{image['id']}"])
    (root / "truth.json").write_text(json.dumps(drawn.truth), encoding="utf-8")
    table = people(root, "train2017", RECIPE.data, annotations=root / "truth.json")
    return LightSamples(table, RECIPE.data, RECIPE.codec, augment=RECIPE.augment_by_epoch())


def test_crowds_are_masked_and_nobody_is_made_of_them(samples):
    table = samples.people
    assert not (table.boxes_xywh[table.main, 2] == 30).any()  # as wide as the crowds are
    masks = [table.source.mask(image) for image in range(6)]
    assert [int((mask == 0).sum() / mask.shape[0]) for mask in masks] == [30, 0, 30, 0, 30, 0]
    one, again, other = (samples[key] for key in ((0, 1), (0, 1), (1, 1)))
    assert (one.image_HWC == again.image_HWC).all()
    assert (one.image_HWC.shape != other.image_HWC.shape) or (
        one.image_HWC != other.image_HWC
    ).any()
    assert one.targets["mask"].shape == (46, 46)


@pytest.mark.parametrize("flip", [False, True])
def test_a_lit_pixel_goes_where_a_joint_goes(samples, monkeypatch, flip):
    index = 0
    main = samples.people.main[index]
    image = samples.people.image_index[main]
    width, height = samples.people.sizes_wh[image]
    x, y = np.rint(samples.people.boxes_xywh[main, :2] + samples.people.boxes_xywh[main, 2:] / 2)
    picture = np.zeros((height, width, 3), np.uint8)
    picture[int(y) - 1 : int(y) + 2, int(x) - 1 : int(x) + 2] = 255
    content = cv2.imencode(".png", picture)[1].tobytes()
    source = replace(samples.people.source)
    monkeypatch.setattr(type(source), "photo", lambda *_: (content, "lit.png"))
    xy = samples.joints_xy.copy()
    xy[main] = (x, y)
    seen = samples.counts.copy()
    seen[:] = 0
    seen[main] = 1
    monkeypatch.setattr(samples, "joints_xy", xy)
    monkeypatch.setattr(samples, "counts", seen)
    made = samples.changed(index, LightChange(0.9, 25.0, (12, -7), flip), 0.6)
    light = made.image_HWC[..., 0].astype(float)
    light[light < 200] = 0
    found = np.array([(light.sum(0) * np.arange(368)).sum(), (light.sum(1) * np.arange(368)).sum()])
    found /= light.sum()
    heat = made.targets["heatmaps"][0]
    cell = np.array(np.unravel_index(heat.argmax(), heat.shape))[::-1]
    # A cell is 8 pixels; joints are zoomed without the half pixel that OpenCV keeps.
    assert np.abs(cell * 8 + 3.5 - found).max() <= 4 + 1.5


def test_other_changes_are_refused(samples):
    augment = RECIPE.augment
    for spatial in (replace(augment.spatial, mode="standard"),
                    replace(augment.spatial, flip_vertical_probability=0.5)):  # fmt: skip
        with pytest.raises(UserError, match="LightPafCodec has mode=person_centric"):
            LightSamples(samples.people, RECIPE.data, RECIPE.codec,
                         augment={0: replace(augment, spatial=spatial)})  # fmt: skip
