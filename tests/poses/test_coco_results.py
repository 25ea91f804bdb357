"""Results files: every form in which they are read, and errors that name the record."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paddle_pose.errors import UserError
from paddle_pose.poses.coco_results import is_results_file, read_results

IMAGES = [{"id": 7, "file_name": "val/5.jpg"}, {"id": 9, "file_name": "val/12.jpg"}]


def pose(number: int = 0, **changes: object) -> dict:
    keypoints = [float(value + number) for value in range(51)]
    record = {"image_id": (7, 9)[number % 2], "category_id": 1, "keypoints": keypoints}
    return {**record, "score": 0.5, **changes}


def write(folder: Path, content: object) -> Path:
    file = folder / "results.json"
    file.write_text(json.dumps(content))
    return file


@settings(max_examples=60, deadline=None)
@given(
    ids=st.lists(st.sampled_from(["int", "float", "text", "name", "path"]), min_size=4, max_size=4),
    wrapper=st.sampled_from([None, "annotations", "results", "predictions"]),
    own_images=st.booleans(),
    category=st.sampled_from([1, 1.0, "1"]),
)
def test_valid_in_many_forms_is_the_same(
    tmp_path_factory: pytest.TempPathFactory,
    ids: list[str], wrapper: str | None, own_images: bool, category: object,
) -> None:  # fmt: skip
    plain = [pose(number) for number in range(4)]
    changed = []
    for record, form in zip(plain, ids, strict=True):
        number = record["image_id"]
        name = {7: "5.jpg", 9: "12.jpg"}[number]
        forms = {"int": number, "float": float(number), "text": str(number), "name": name}
        image_id = forms.get(form, f"val/{name}")
        if wrapper and own_images and form in ("int", "float", "text"):
            image_id = {7: 100, 9: 7}[number]  # an export counts anew, and 7 is another's id
        changed.append({**record, "image_id": image_id, "category_id": category})
    content: object = changed
    if wrapper:
        own = [{"id": 100, "file_name": "5.jpg"}, {"id": 7, "file_name": "12.jpg"}]
        content = {wrapper: changed} | ({"images": own} if own_images else {})
    folder = tmp_path_factory.getbasetemp()
    file = write(folder, content)
    assert is_results_file(file)
    found = read_results(file, IMAGES, 1)
    expected = read_results(write(folder, plain))
    np.testing.assert_array_equal(found.image_ids, expected.image_ids)
    np.testing.assert_array_equal(found.keypoints, expected.keypoints)
    assert (found.category_id, found.notes) == (1, "")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ([], "holds no results"),
        ({"results": [pose()], "predictions": [pose()]}, "expected a list of results"),
        ({"5.jpg": {"version": 1, "people": []}}, "AlphaPose's 'open' or 'cmu' format"),
        ({"5.jpg": {"version": "AlphaPose", "bodies": []}}, "AlphaPose's 'open' or 'cmu' format"),
        ([[pose()]], "result 0: expected an object"),
        ([pose(), pose(image_id="6.jpg")], "result 1: image_id: no image is called '6.jpg'"),
        ([pose(image_id=785.9)], "result 0: image_id: must be an integer"),
        ([pose(image_id=True)], "result 0: image_id: must be an integer"),
        ([pose(image_id=float("inf"))], "result 0: image_id: must be an integer"),
        ([pose(image_id=1 << 63)], "result 0: image_id: must be an integer"),
        ([pose(image_id=None)], "result 0: image_id: must be an integer"),
        ([pose(category_id=1.5)], "result 0: category_id: must be an integer"),
        ([pose(category_id="person")], "result 0: category_id: must be an integer"),
        ([pose(keypoints=[[1, 2, 3]] * 17)], "result 0: keypoints: must be a list of numbers"),
        ([pose(keypoints=["1"] * 51)], "result 0: keypoints: must be a list of numbers"),
        ([pose(keypoints=[True] * 51)], "result 0: keypoints: must be a list of numbers"),
        ([pose(keypoints=[1, 2, float("nan")])], "result 0: keypoints: a number is not finite"),
        ([pose(keypoints=[1, 2, 10**400])], "result 0: keypoints: a number is not finite"),
        ([pose(keypoints=[1, 2, 1e300])], "result 0: keypoints: a place or length"),
        ([pose(keypoints=[])], "result 0: keypoints must be finite triples"),
        ([pose(keypoints=[1, 2])], "result 0: keypoints must be finite triples"),
        ([pose(score=None)], "result 0: score: must be"),
        ([pose(area="5")], "result 0: area: must be"),
        ([pose(area=float("nan"))], "result 0: area: must be a finite number"),
        ([pose(scale=1.5)], "result 0: scale: must be a list"),
        ([pose(scale=[1.5])], "result 0: scale must be two numbers"),
        ([pose(), pose(keypoints=[1, 2, 3])], "results of several joint sets"),
        ([pose(category_id=2), pose(category_id=3)], "all 2 results are of category 2, 3"),
    ],
)
def test_errors_name_file_and_record(tmp_path: Path, content: object, expected: str) -> None:
    with pytest.raises(UserError, match=expected) as caught:
        read_results(write(tmp_path, content), IMAGES, 1)
    assert "results.json" in str(caught.value)


def test_names_need_to_be_known_and_clear(tmp_path: Path) -> None:
    file = write(tmp_path, [pose(image_id="5.jpg")])
    with pytest.raises(UserError, match=r"no image is called '5\.jpg' in what is known without"):
        read_results(file)
    with pytest.raises(UserError, match=r"several images end in '5\.jpg'"):
        read_results(file, [*IMAGES, {"id": 8, "file_name": "train/5.jpg"}])


def test_what_is_left_out_or_there_twice_is_said(tmp_path: Path) -> None:
    records = [pose(), pose(), pose(1), pose(1, category_id=2)]
    found = read_results(write(tmp_path, records), IMAGES, 1)
    assert len(found) == 3
    assert found.notes == (
        "; left out 1 of category 2; 1 of them are there a second time and count again"
    )


def test_areas_that_are_not_positive_are_unknown(tmp_path: Path) -> None:
    records = [pose(0, area=-1), pose(1, area=0), pose(2, area=None), pose(3, scale=[0, 1])]
    assert np.isnan(read_results(write(tmp_path, records)).areas).all()
    records = [pose(0, area=5), pose(1, scale=[1, 0.5]), pose(2, area=6, scale=[1, 1])]
    assert read_results(write(tmp_path, records)).areas.tolist() == [5.0, 20_000.0, 6.0]


def test_windows_paths_fractions_and_unlisted_images(tmp_path: Path) -> None:
    file = write(tmp_path, [pose(image_id="C:\\x\\7.jpg", keypoints=[0.5, 1, 2] * 17)])
    found = read_results(file, [{"id": 9, "file_name": "7.jpg"}], 1)
    assert found.image_ids.tolist() == [9]
    assert "are they fractions?" in found.notes
    with pytest.raises(UserError, match=r"results\.json: result 0 is on image 5, which"):
        read_results(write(tmp_path, [pose(image_id=5)]), [{"id": 9, "file_name": "7.jpg"}], 1)


def test_alphapose_form(tmp_path: Path) -> None:
    """Images by names, areas of boxes 1.25 times as large, tracks left out; all of it said."""
    records = [
        {**pose(0, image_id="5.jpg", idx=3), "box": [1.0, 2.0, 40.0, 100.0]},
        {**pose(1, image_id="12.jpg", idx=[4.0]), "box": [0.0, 0.0, 8.0, 10.0]},
        pose(2),
    ]
    found = read_results(write(tmp_path, records), IMAGES, 1)
    assert found.image_ids.tolist() == [7, 9, 7]
    np.testing.assert_allclose(found.areas, [4000 * 1.5625, 80 * 1.5625, np.nan])
    for said in (
        "2 name their images, which are looked up in the annotations",
        "2 areas are of 'box', 1.25 times as wide and high (OKS-NMS's)",
        "tracks ('idx') are not scored",
    ):
        assert said in found.notes
    own = {**pose(0), "box": 1, "instance": "owner"}  # predict.py --instances 2
    assert np.isnan(read_results(write(tmp_path, [own]), IMAGES, 1).areas).all()
    with pytest.raises(UserError, match="result 0: box must be four numbers"):
        read_results(write(tmp_path, [{**pose(0), "box": [1, 2]}]), IMAGES, 1)
