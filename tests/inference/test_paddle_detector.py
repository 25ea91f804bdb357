"""PaddleDetection's exported folders: three layouts, settings, and the official file's way here."""

from __future__ import annotations

import contextlib
import http.server
import io
import tarfile
import threading

import numpy as np
import paddle
import pytest
import yaml

from paddle_pose.errors import UserError
from paddle_pose.inference import paddle_detector
from paddle_pose.inference.detector import open_detector
from paddle_pose.inference.paddle_detector import fetched, read_outputs, read_settings

RESIZE = {"type": "Resize", "target_size": [32, 64], "keep_ratio": False, "interp": 2}
NORMALIZE = {
    "type": "NormalizeImage", "is_scale": True, "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.25, 0.5],
}  # fmt: skip
SETTINGS = {
    "arch": "PicoDet",
    "Preprocess": [RESIZE, NORMALIZE, {"type": "Permute"}],
    "label_list": ["car", "person"],
    "fpn_stride": [16, 32],
}


class Toy(paddle.nn.Layer):
    """Boxes that show what came in: the picture's mean, and its scale factor."""

    def __init__(self):
        super().__init__()
        self.score = self.create_parameter(
            [1, 1], default_initializer=paddle.nn.initializer.Constant(0.75)
        )

    def forward(self, image, scale_factor):
        number = paddle.ones([1], "int32")
        left = scale_factor[:, 1:] * 10
        top = scale_factor[:, :1] * 20
        right, bottom = left + 10, top + (image.mean() + 2).reshape([1, 1])
        one = paddle.ones([1, 1])
        return paddle.concat([one, self.score, left, top, right, bottom], 1), number


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An exported detector with post-processing."""
    place = tmp_path_factory.mktemp("toy")
    given = [
        paddle.static.InputSpec([1, 3, 32, 64], "float32", name="image"),
        paddle.static.InputSpec([1, 2], "float32", name="scale_factor"),
    ]
    # The older format, as the official files have it; Paddle 2.6 knows no other.
    with getattr(paddle.pir_utils, "DygraphOldIrGuard", contextlib.nullcontext)():
        static = paddle.jit.to_static(Toy(), input_spec=given, full_graph=True)
        paddle.jit.save(static, str(place / "model"))
    (place / "infer_cfg.yml").write_text(yaml.safe_dump(SETTINGS))
    return place


def test_with_post_processing(folder):
    # 128 × 96 becomes 64 × 32: factors 1/3 down and 1/2 across, so left 5 and top 20/3. Its pixels
    # are 1 in every channel after /255: (1 - 0.5) / 0.5 = 1, / 0.25 = 2, 1; the mean is 4/3.
    boxes, scores = open_detector(str(folder))(np.full((96, 128, 3), 255, np.uint8))
    np.testing.assert_allclose(boxes, [[5, 20 / 3, 10, 4 / 3 + 2]], rtol=1e-5)  # float32
    assert scores.tolist() == [0.75]


def test_without_nms():
    boxes = np.zeros((1, 5, 4), np.float32)
    boxes[0, 2] = [1, 2, 3, 4]
    scores = np.zeros((1, 2, 5), np.float32)
    scores[0, 1, 2] = 0.5
    for found in ([boxes, scores], [scores, boxes], [boxes, scores.transpose(0, 2, 1)]):
        corners, values, scaled = read_outputs(found, 1, (32, 64), (16, 32), "toy")
        assert corners[2].tolist() == [1, 2, 3, 4]
        assert values.tolist() == [0, 0, 0.5, 0, 0]
        assert not scaled


def test_without_post_processing():
    """Cells of 32 × 64: 2 × 4 of stride 16, 1 × 2 of stride 32; distances 0 … 3."""
    scores = [np.zeros((1, 8, 2), np.float32), np.zeros((1, 2, 2), np.float32)]
    logits = [np.zeros((1, 8, 16), np.float32), np.zeros((1, 2, 16), np.float32)]
    scores[0][0, 5, 1] = 0.9  # row 1, column 1: centre (24, 24)
    for side, distance in enumerate((1, 0, 2, 3)):
        logits[0][0, 5, 4 * side + distance] = 50  # the other weights are e^-50
    corners, values, scaled = read_outputs([*scores, *logits], 1, (32, 64), (16, 32), "toy")
    np.testing.assert_allclose(corners[5], [24 - 16, 24, 24 + 32, 24 + 48], atol=1e-4)
    # Level logits: the mean distance is 1.5 strides; the first cell of stride 32 has centre 16.
    np.testing.assert_allclose(corners[8], [16 - 48, 16 - 48, 16 + 48, 16 + 48], atol=1e-4)
    assert values[5] == np.float32(0.9)
    assert scaled


def test_other_outputs_are_refused():
    with pytest.raises(UserError, match=r"toy: gives \[\(3,\)\]"):
        read_outputs([np.zeros(3)], 0, (32, 64), (16, 32), "toy")


def settings(tmp_path, **changes):
    file = tmp_path / "infer_cfg.yml"
    file.write_text(yaml.safe_dump(SETTINGS | changes))
    return read_settings(file)


def test_without_names_people_are_class_0_and_that_is_said(tmp_path, capsys):
    assert settings(tmp_path, label_list=[])[1] == 0
    assert "infer_cfg.yml: people are its class 0" in capsys.readouterr().out


def test_preparing(tmp_path):
    prepare, person, strides = settings(tmp_path)
    assert (person, strides) == (1, (16, 32))
    image, factors = prepare(np.zeros((64, 64, 3), np.uint8))
    assert image.shape == (1, 3, 32, 64)
    assert image[0, :, 0, 0].tolist() == [-1, -2, -1]
    assert factors.tolist() == [0.5, 1]
    resize = RESIZE | {"keep_ratio": True, "target_size": [40, 60]}
    # 100 × 50: 40 / 50 would make 80, above 60, so 0.6: 60 × 30, filled up to 64 × 32.
    steps = [resize, NORMALIZE | {"norm_type": "none"}, {"type": "PadStride", "stride": 32}]
    image, factors = settings(tmp_path, Preprocess=steps)[0](np.full((50, 100, 3), 255, np.uint8))
    assert image.shape == (1, 3, 32, 64)
    assert factors.tolist() == [0.6, 0.6]
    assert (image[0, :, :30, :60] == 1).all()
    assert image.sum() == 3 * 30 * 60
    steps = [resize, {"type": "Pad", "size": [64, 64], "fill_value": [114.0] * 3}]
    image, _ = settings(tmp_path, Preprocess=steps)[0](np.zeros((50, 100, 3), np.uint8))
    assert image[0, 0, 63, 63] == 114
    assert image[0, 0, 29, 59] == 0


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"Preprocess": None}, "a list 'Preprocess'"),
        ({"Preprocess": [{"type": "Resise"}]}, "did you mean 'Resize'"),
        ({"Preprocess": [{"type": "Resize"}]}, "Resize: KeyError 'target_size'"),
        ({"Preprocess": [{"type": "Permute"}]}, "has no Resize"),
        ({"Preprocess": [RESIZE, NORMALIZE | {"std": [0, 1, 1]}]}, "std: expected three numbers"),
        ({"Preprocess": [RESIZE | {"target_size": [0, 5]}]}, "must be positive"),
        ({"Preprocess": [RESIZE | {"target_size": [99999, 5]}]}, "the limit is"),
        ({"Preprocess": [RESIZE | {"interp": 99}]}, "interp: OpenCV's are 0 to 4"),
        ({"Preprocess": [{"type": "Pad", "size": 8, "fill_value": [1]}]}, "three numbers"),
        ({"Preprocess": [RESIZE | {"target_size": True}]}, "list of numbers"),
        ({"label_list": ["cat"]}, "finds no people, but cat"),
        ({"fpn_stride": [0]}, "fpn_stride: must be positive"),
    ],
)
def test_settings_that_are_none(tmp_path, changes, said):
    with pytest.raises(UserError, match=said):
        settings(tmp_path, **changes)


@pytest.fixture
def server(monkeypatch, folder):
    """The official file from here; the first transfer breaks off after 1,000 bytes."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for file in folder.iterdir():
            tar.add(file, f"picodet/{file.name}")
    content, asked = packed.getvalue(), []

    class Handler(http.server.BaseHTTPRequestHandler):
        """Serves one file with ranges."""

        def do_GET(self):
            said = self.headers.get("Range")
            asked.append(said)
            start = int(said[6:-1]) if said else 0
            self.send_response(206 if start else 200)
            if start:
                self.send_header(
                    "Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}"
                )
            self.send_header("ETag", '"one"')
            self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            self.wfile.write(content[start:] if start else content[:1000])

        def log_message(self, *_):
            pass

    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    url = f"http://127.0.0.1:{running.server_port}/picodet.tar"
    monkeypatch.setitem(paddle_detector.OFFICIAL, "picodet", paddle_detector._Official(url))
    yield asked
    running.shutdown()
    thread.join()
    running.server_close()


def test_the_official_file_is_resumed_checked_and_fetched_once(server, tmp_path):
    place = fetched("picodet", tmp_path, pause_s=0.0)
    assert server == [None, "bytes=1000-"]
    boxes, _ = open_detector(str(place))(np.full((96, 128, 3), 255, np.uint8))
    assert len(boxes) == 1
    assert fetched("picodet", tmp_path) == place
    assert len(server) == 2
    archive = tmp_path / "picodet" / "picodet.tar"
    archive.write_bytes(archive.read_bytes()[:-1] + b"x")
    with pytest.raises(UserError, match=r"is not what was fetched first.*picodet\.tar\.sha256"):
        fetched("picodet", tmp_path)
    assert fetched("picodet", tmp_path, pause_s=0.0) == place


def test_an_archive_that_is_damaged_is_fetched_again(server, tmp_path):
    archive = tmp_path / "picodet" / "picodet.tar"
    archive.parent.mkdir()
    archive.write_bytes(b"no tar" * 999)
    with pytest.raises(UserError, match=r"picodet\.tar: cannot be unpacked.*removed, try again"):
        fetched("picodet", tmp_path)
    assert (fetched("picodet", tmp_path, pause_s=0.0) / "infer_cfg.yml").is_file()


def test_a_hash_that_is_known_is_checked(server, tmp_path, monkeypatch):
    url = paddle_detector.OFFICIAL["picodet"].url
    known = paddle_detector._Official(url, "0" * 64)
    monkeypatch.setitem(paddle_detector.OFFICIAL, "picodet", known)
    with pytest.raises(UserError, match="its name promises 0000"):
        fetched("picodet", tmp_path, pause_s=0.0)
