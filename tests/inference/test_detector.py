"""Detectors: every layout on a small file, its boxes worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from paddle_pose.errors import UserError
from paddle_pose.inference.boxes import overlaps, suppressed
from paddle_pose.inference.detector import letterbox, open_detector

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

SIDE = 64
CELLS = 8 * 8 + 4 * 4 + 2 * 2
PICTURE = np.full((32, 64, 3), 50, np.uint8)
"""In 64 × 64 its scale is 1, with 16 grey rows above and below (YOLOX: all 32 below)."""


def write(path, *outputs, names=None, given=(1, 3, SIDE, SIDE), kind=None):
    """An ONNX file that always gives these arrays."""
    helper, numpy_helper = onnx.helper, onnx.numpy_helper
    arrays = [np.asarray(one) for one in outputs]
    nodes = [
        helper.make_node("Constant", [], [f"o{n}"], value=numpy_helper.from_array(one))
        for n, one in enumerate(arrays)
    ]
    infos = [
        helper.make_tensor_value_info(
            f"o{n}", helper.np_dtype_to_tensor_dtype(one.dtype), one.shape
        )
        for n, one in enumerate(arrays)
    ]
    images = helper.make_tensor_value_info("images", kind or onnx.TensorProto.FLOAT, given)
    model = helper.make_model(
        helper.make_graph(nodes, "toy", [images], infos),
        opset_imports=[helper.make_opsetid("", 13)],
    )
    model.ir_version = 8
    if names is not None:
        helper.set_model_props(model, {"names": str(names)})
    onnx.save(model, str(path))
    return str(path)


def rows(count, columns, **at):
    """(1, count, columns) zeros but for some rows."""
    found = np.zeros((1, count, columns), np.float32)
    for row, values in at.items():
        found[0, int(row[1:])] = values
    return found


def boxes_of(path, picture=PICTURE, **options):
    boxes, scores = open_detector(path, **options)(picture)
    return boxes.tolist(), np.round(scores, 4).tolist()


def test_v5(tmp_path):
    found = rows(
        3 * CELLS, 7,
        r3=[20, 32, 10, 12, 0.9, 0.8, 0.1],  # 0.9 × 0.8; corners 15, 26 in the box, 16 less outside
        r4=[21, 32, 10, 12, 0.9, 0.7, 0.1],  # the same person once more: they share 9/11
        r5=[40, 32, 10, 12, 0.9, 0.2, 0.8],  # of another class
        r6=[50, 32, 10, 12, 0.6, 0.8, 0.1],  # 0.48 is below 0.5
    )  # fmt: skip
    path = write(tmp_path / "a.onnx", found)
    assert boxes_of(path) == ([[15, 10, 10, 12]], [0.72])
    two = boxes_of(path, threshold=0.4, most_overlap=0.9)[0]
    assert two == [[15, 10, 10, 12], [16, 10, 10, 12], [45, 10, 10, 12]]
    # At a threshold of 0 what is of another class, or nothing at all, is nobody still.
    assert boxes_of(path, threshold=0)[0] == [[15, 10, 10, 12], [45, 10, 10, 12]]


def test_v8_knows_its_classes_and_leaves_what_follows_them(tmp_path):
    found = rows(CELLS, 9, r0=[32, 32, 20, 8, 0.2, 0.9, 99, 99, 99]).transpose(0, 2, 1)
    path = write(tmp_path / "a.onnx", found, names={0: "car", 1: "person"})
    assert boxes_of(path) == ([[22, 12, 20, 8]], [0.9])


def test_yolox(tmp_path, capsys):
    found = rows(
        CELLS, 6,
        r9=[0.5, 0.25, np.log(2), np.log(1.5), 0.8, 1],  # cell (1, 1) of stride 8
        r65=[1, 0.5, 0, 0, 1, 0.6],  # cell (1, 0) of stride 16
    )  # fmt: skip
    # Centre (1.5, 1.25) × 8, size (16, 12); centre (2, 0.5) × 16, size 16.
    expected = [[4, 4, 16, 12], [24, 0, 16, 16]]
    boxes, scores = boxes_of(write(tmp_path / "a.onnx", found))
    np.testing.assert_allclose(boxes, expected, atol=1e-5)  # float32 of e^(log 2) × 8
    assert scores == [0.8, 0.6]
    said = capsys.readouterr().out
    assert "layout yolox, 64×64" in said
    assert "assumed: a.onnx: people are its class 0" in said


def test_with_nms_inside(tmp_path):
    six = rows(300, 6, r0=[10, 20, 30, 40, 0.9, 0], r1=[10, 20, 30, 40, 0.9, 7])
    expected = [[10, 4, 20, 20]], [0.9]
    assert boxes_of(write(tmp_path / "a.onnx", six)) == expected
    seven = np.array([[0, 10, 20, 30, 40, 0, 0.9]], np.float32)
    assert boxes_of(write(tmp_path / "b.onnx", seven)) == expected
    four = (
        np.array([[1]], np.int32),
        rows(100, 4, r0=[10, 20, 30, 40], r1=[0, 20, 5, 40]),
        np.full((1, 100), 0.9, np.float32),
        np.zeros((1, 100), np.int32),
    )
    assert boxes_of(write(tmp_path / "c.onnx", *four)) == expected


def test_boxes_end_at_the_picture_and_scale_back(tmp_path):
    six = rows(300, 6, r0=[-5, 0, 20, 90, 0.9, 0], r1=[0, 0, 60, 10, 0.8, 0])
    # 128 × 64 at scale 0.5: (-10, -32, 40, 148) is cut to (0, 0, 40, 64); the other lies above.
    picture = np.zeros((64, 128, 3), np.uint8)
    assert boxes_of(write(tmp_path / "a.onnx", six), picture) == ([[0, 0, 40, 64]], [0.9])


def test_what_the_network_sees():
    boxed, ratio, shift = letterbox(PICTURE, (32, 32), middle=True)
    assert (ratio, shift) == (0.5, (0, 8))
    assert boxed[8:24].tolist() == np.full((16, 32, 3), 50).tolist()
    assert {*boxed[:8].ravel(), *boxed[24:].ravel()} == {114}


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda p: write(p, np.zeros((1, 9, 9), np.float32)), r"gives \[\(1, 9, 9\)\] for 64×64"),
        (lambda p: write(p, np.zeros((1, 300, 6), np.float32), given=(1, 1, 8, 8)), r"takes one"),
        (lambda p: write(p, rows(300, 6), names={0: "cat"}), "finds no people, but"),
        (lambda p: write(p, rows(300, 6), kind=onnx.TensorProto.UINT8), "expected float"),
        (lambda p: p.write_bytes(b"onnx") and str(p), "cannot be loaded"),
        (lambda p: str(p), "no such file"),
    ],
)
def test_what_is_no_detector(tmp_path, make, said):
    with pytest.raises(UserError, match=said):
        open_detector(make(tmp_path / "a.onnx"))


def test_other_names(tmp_path):
    with pytest.raises(UserError, match="did you mean 'picodet'"):
        open_detector("picodett")
    with pytest.raises(UserError, match=r"no infer_cfg\.yml there"):
        open_detector(str(tmp_path))


def test_overlaps_and_suppression():
    boxes = np.array([[0, 0, 10, 10], [5, 0, 10, 10], [40, 0, 10, 10]], float)
    np.testing.assert_allclose(overlaps(boxes, boxes)[0], [1, 50 / 150, 0])
    scores = np.array([0.5, 0.9, 0.1])
    assert suppressed(boxes, scores, 0.3).tolist() == [1, 2]
    assert suppressed(boxes, scores, 0.4).tolist() == [1, 0, 2]
