"""What the page's server answers: the same as predict.py writes, and one line for each mistake."""

from __future__ import annotations

import base64
import io
import json
import os
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import cv2
import numpy as np
import pytest
from PIL import Image
from places import ROOT

from paddle_pose.codecs.heatmap import HeatmapCodec
from paddle_pose.commands.predict import Drawing, Where, predict
from paddle_pose.errors import UserError
from paddle_pose.inference.frames import Frame, Seen
from paddle_pose.inference.people import FoundPoses, cut_out
from paddle_pose.limits import LIMITS
from paddle_pose.poses.poses import Poses
from paddle_pose.skeletons import MPII16

pytest.importorskip("flask", reason="requirements-demo.txt is not installed")

from paddle_pose.serving.app import SHOWN_PX, _answer, make_app
from paddle_pose.serving.networks import Networks

BOX = [20.0, 10.5, 90.0, 150.0]


@pytest.fixture
def client(given, output):
    return make_app(Networks(given, output), ThreadPoolExecutor(1)).test_client()


@pytest.fixture(scope="module")
def turned(photo, tmp_path_factory):
    """The photo as a telephone stores it: on its side, with EXIF saying so."""
    file = tmp_path_factory.mktemp("turned") / "im_0042.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.open(photo).save(file, exif=exif, quality=95)
    return file


def query(**given):
    boxes = json.dumps(given.pop("boxes", []))
    return {"name": "im_0042.jpg", "boxes": boxes, **given}


@pytest.mark.parametrize("boxes", [[], [BOX, [0, 0, 50, 60]]], ids=["whole", "boxes"])
def test_it_is_what_predict_writes(client, turned, given, tmp_path, boxes):
    where = Where(box=boxes or None)
    predict([str(turned)], replace(given, batch_size=4), where, Drawing(tmp_path / "out"))
    args, body = query(boxes=boxes), turned.read_bytes()
    answer = client.post("/poses", query_string=args, data=body).json
    assert answer["results"] == (tmp_path / "out" / "results.json").read_text()
    picture = client.post("/picture", query_string=args, data=body).data
    assert picture == (tmp_path / "out" / "im_0042.jpg").read_bytes()


def test_a_map_lies_where_its_joint_is(client, photo):
    person = client.post("/poses", query_string=query(boxes=[BOX]), data=photo.read_bytes()).json
    joints = np.array(person["people"][0]["joints"])
    left, top, width, height = person["people"][0]["place"]
    for (x, y, score), url in zip(joints, person["people"][0]["maps"], strict=True):
        data = np.frombuffer(base64.b64decode(url.split(",")[1]), np.uint8)
        picture = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
        rows, columns = picture.shape[:2]
        cell = np.array([width / columns, height / rows])
        # The joint's cell, where the decoder moved it by a quarter of one at most.
        at = (np.array([x, y]) - (left, top)) / cell
        nearest = np.clip(np.round(at - 0.5), 0, (columns - 1, rows - 1)).astype(int)
        level = int(np.clip(score * 255, 0, 255))
        color = cv2.applyColorMap(np.array([[level]], np.uint8), cv2.COLORMAP_JET)[0, 0]
        assert picture[nearest[1], nearest[0], :3].tolist() == color.tolist()


def test_by_udp_the_outermost_cells_centres_lie_on_the_crops_border():
    people = cut_out(np.zeros((90, 80, 3), np.uint8), np.array([[10.0, 20, 40, 50]]), (64, 64), [1])
    poses = FoundPoses.of(Poses.at(people.place, np.zeros((1, 16, 3))), MPII16)
    seen = Seen(Frame(np.zeros((90, 80, 3), np.uint8), people, 0), poses, np.zeros((1, 16, 16, 16)))
    with pytest.importorskip("flask").Flask(__name__).test_request_context():
        answer = _answer(seen, HeatmapCodec(encoding="udp"))
    left, top, width, height = answer["people"][0]["place"]
    inner = [left + width / 32, top + height / 32, width * 15 / 16, height * 15 / 16]
    # A few operations on float64 below 128 px: each within 2^-46 px = 1.4e-14.
    np.testing.assert_allclose(inner, people.place.boxes_xywh()[0], rtol=0, atol=1e-12)


def test_the_photo_is_shown_upright_and_no_larger_than_a_screen(client, turned):
    reply = client.post("/photo", query_string=query(), data=turned.read_bytes())
    width, height = Image.open(turned).size[::-1]
    assert reply.headers["X-Size"] == f"{width} {height}"
    assert Image.open(io.BytesIO(reply.data)).size == (width, height)
    large = cv2.imencode(".png", np.zeros((20, 4000, 3), np.uint8))[1].tobytes()
    reply = client.post("/photo", data=large)
    assert reply.headers["X-Size"] == "4000 20"
    assert Image.open(io.BytesIO(reply.data)).size == (SHOWN_PX, 8)


MISTAKES = {
    "not an image": ({}, b"hello", r"^im_0042\.jpg: not an image"),
    "empty": ({}, b"", r"^im_0042\.jpg: this image is cut short \(0 bytes\)"),
    "no size": ({"boxes": [BOX, [5, 5, 0, 9]]}, None, "^box 2: width and height must be above 0"),
    "nan": ({"boxes": [[5, 5, None, 9]]}, None, "^box 1: width and height"),
    "no box": ({"boxes": 7}, None, "^box 1: "),
    "outside": ({"boxes": [[9000, 5, 9, 9]]}, None, r"^box 1 \(9000, 5, 9, 9\) lies outside"),
    "huge": ({"boxes": [[10**400, 0, 9, 9]]}, None, "^boxes: expected rows of left, top"),
    "far": ({"boxes": [[0, 0, 1e7, 9]]}, None, "the limit is 1,000,000 px"),
    "many": ({"boxes": [BOX] * 101}, None, "the limit is 100 boxes"),
    "network": ({"network": "../../etc"}, None, "is not offered any more; reload the page"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_and_the_next_request_works(client, photo, mistake):
    args, body, line = MISTAKES[mistake]
    good = photo.read_bytes()
    reply = client.post("/poses", query_string=query(**args), data=good if body is None else body)
    assert reply.status_code == 422
    assert re.search(line, reply.json["error"])
    assert client.post("/poses", query_string=query(), data=good).status_code == 200


def test_boxes_that_are_no_json(client, photo):
    reply = client.post("/poses", query_string={"boxes": "[[1,"}, data=photo.read_bytes())
    assert (reply.status_code, "boxes" in reply.json["error"]) == (422, True)


def test_a_file_that_is_too_large(client, photo, monkeypatch):
    monkeypatch.setitem(LIMITS, "image_file_bytes", replace(LIMITS["image_file_bytes"], most=99))
    reply = client.post("/photo", query_string=query(), data=photo.read_bytes())
    assert re.search(r"an image file of .* the limit is 99 bytes", reply.json["error"])


def test_a_fault_is_one_line_too(client, photo, monkeypatch, caplog):
    def fail(*_, **__):
        raise RuntimeError("secret of the machine")

    with monkeypatch.context() as patched:
        patched.setattr("paddle_pose.serving.app.look", fail)
        reply = client.post("/poses", query_string=query(), data=photo.read_bytes())
    assert reply.status_code == 500
    assert "secret" not in reply.text
    assert "secret" in caplog.text
    assert client.post("/poses", query_string=query(), data=photo.read_bytes()).status_code == 200


def test_networks_are_those_that_are_there(client, given, output, photo):
    offered = client.get("/networks").json["networks"]
    assert offered[0] == str(given.weights)
    assert {str(output / "first"), str(output / "second")} <= {*offered}
    found = [
        client.post("/poses", query_string=query(network=name), data=photo.read_bytes()).json
        for name in (*offered, "")
    ]
    by_name = dict(zip((*offered, ""), (one["results"] for one in found), strict=True))
    assert by_name[str(output / "first")] == by_name[offered[0]] == by_name[""]
    assert by_name[str(output / "second")] != by_name[""]


def test_exported_networks_are_offered_and_a_broken_one_is_said(given, output, tmp_path):
    for folder in ("served", "more/onnx"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "model.yaml").write_text("format: none\n")
    networks = Networks(given, tmp_path)
    names = [str(tmp_path / "served"), str(tmp_path / "more" / "onnx")]
    assert [name for name in networks.names() if name.startswith(str(tmp_path))] == names
    with pytest.raises(UserError, match=r"model\.yaml"):
        networks.get(names[0])


def test_a_network_that_was_trained_on_is_read_again(given, output, tmp_path):
    file = tmp_path / "run" / "best_model" / "model.pdparams"
    file.parent.mkdir(parents=True)
    (tmp_path / "run" / "recipe.yaml").write_bytes((output / "first/recipe.yaml").read_bytes())
    networks = Networks(replace(given, weights=None), tmp_path)
    file.write_bytes((output / "first/best_model/model.pdparams").read_bytes())
    os.utime(file, (1, 1))
    first = networks.get(str(tmp_path / "run"))
    assert networks.get(str(tmp_path / "run")) is first
    os.utime(file, (2, 2))
    assert networks.get(str(tmp_path / "run")) is not first
    file.unlink()
    with pytest.raises(UserError, match=r"not offered any more|no weights given"):
        networks.get(str(tmp_path / "run"))


def test_a_name_of_another_site_that_leads_here_is_refused(given, output):
    """A site may point its own name at 127.0.0.1; the browser takes the page for its own then."""
    networks = Networks(given, output)
    own = make_app(networks, ThreadPoolExecutor(1), ("127.0.0.1", "localhost", "::1")).test_client()
    for host in ("127.0.0.1:8000", "localhost", "LOCALHOST:1", "[::1]:8000"):
        assert own.get("/networks", headers={"Host": host}).status_code == 200
    for host in ("evil.example:8000", "127.0.0.1.evil.example", "localhost@evil.example", "["):
        reply = own.get("/networks", headers={"Host": host})
        assert (reply.status_code // 100, "networks" in reply.text) == (4, False)


def test_other_sites_may_not_ask_and_the_page_fetches_nothing_from_them(client, photo):
    for asker in ("cross-site", "same-site"):  # same-site: another port of this machine
        headers = {"Sec-Fetch-Site": asker}
        reply = client.post("/poses", data=photo.read_bytes(), headers=headers)
        assert "another web site" in reply.json["error"]
    page = client.get("/")
    assert page.headers["Content-Security-Policy"].startswith("default-src 'self'; img-src 'self'")
    assert page.headers["Cache-Control"] == "no-store"
    for file in (ROOT / "paddle_pose" / "serving" / "page").iterdir():
        assert client.get(f"/{file.name}").data == file.read_bytes()
        text = file.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?:|//\w+\.\w", text)
    assert client.get("/none.js").json["error"]
