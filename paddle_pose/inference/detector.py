"""Person detectors of others: boxes for PosePredictor from ONNX files of the YOLO family.

The layouts are told apart by the shapes of what comes out, for an input of ``cells`` = the sum of
(H / stride) × (W / stride) over the strides 8, 16, 32 (and 64) and C classes:

- v5 (v7): (1, 3 × cells, 5 + C), three anchors a cell: centre, size, objectness, classes
- v8, v9, 11: (1, 4 + C, cells): centre, size, classes; no objectness
- YOLOX: (1, cells, 5 + C) in units of a stride from the cell, sizes as logarithms; its picture is
  BGR in 0 … 255 at the upper left, where the others' is RGB in 0 … 1 in the middle
- with NMS inside: (1, N, 6) (v10, 26, v8's nms=True): corners, score, class; (N, 7) (v7): the
  image's index, corners, class, score; four outputs (TensorRT's): number, corners, scores, classes

Source: ultralytics/yolov5 export.py; ultralytics/ultralytics engine/exporter.py;
Megvii-BaseDetection/YOLOX yolox/utils/demo_utils.py; WongKinYiu/yolov7 export.py
"""

from __future__ import annotations

import ast
import threading
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from paddle_pose.errors import UserError
from paddle_pose.inference import engine, paddle_detector
from paddle_pose.inference.boxes import PERSON, suppressed
from paddle_pose.inference.exported import INSTALL
from paddle_pose.inference.paddle_detector import Candidates, fetched
from paddle_pose.limits import LIMITS
from paddle_pose.system import runtime

DEFAULT_SIDE_PX = 640
"""Of a model that takes any size."""
GREY = 114
STRIDES = (8, 16, 32)


class Detector:
    """Finds people: ``detector(image)`` gives boxes and scores, the best first."""

    def __init__(
        self,
        find: Callable[[np.ndarray], Candidates],
        *,
        threshold: float,
        most_overlap: float,
    ) -> None:
        """``find`` gives candidates as corners in image pixels; it is called by one thread."""
        self._find, self._lock = find, threading.Lock()
        self._threshold, self._most_overlap = threshold, most_overlap

    def __call__(self, image_rgb: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(N, 4) left, top, width, height inside the image and (N,) scores, of (H, W, 3) uint8."""
        with self._lock:
            corners, scores = self._find(image_rgb)
        # What is of another class scores 0, and is nobody at a threshold of 0 either.
        keep = (scores >= self._threshold) & (scores > 0) & np.isfinite(corners).all(1)
        corners, scores = corners[keep].astype(np.float64), scores[keep].astype(np.float64)
        height, width = image_rgb.shape[:2]
        corners = np.clip(corners, 0, [width, height, width, height])
        boxes = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], 1)
        solid = (boxes[:, 2:] > 0).all(1)
        boxes, scores = boxes[solid], scores[solid]
        kept = suppressed(boxes, scores, self._most_overlap)
        return boxes[kept], scores[kept]


def open_detector(name: str, *, threshold: float = 0.5, most_overlap: float = 0.6) -> Detector:
    """A detector that is ready.

    Args:
        name: ``FILE.onnx``, a folder with ``infer_cfg.yml``, or what ``fetched`` knows.
        threshold: boxes that score less are left out.
        most_overlap: of two boxes (intersection over union).

    Raises:
        UserError: no such file, or not a detector that is known here.
    """
    path = Path(name)
    find: Callable[[np.ndarray], Candidates]
    if path.suffix.lower() == ".onnx":
        find = OnnxDetector(path)
    elif path.is_dir():
        find = paddle_detector.PaddleDetector(path)
    elif path.exists():
        raise UserError(f"--detector {name}: neither a .onnx file nor a folder")
    else:
        find = paddle_detector.PaddleDetector(fetched(name))
    return Detector(find, threshold=threshold, most_overlap=most_overlap)


class OnnxDetector:
    """A YOLO network as an ONNX file, by onnxruntime on the CPU."""

    def __init__(self, path: Path) -> None:
        """Load it and try it on an empty picture; Raises UserError."""
        if not path.is_file():
            raise UserError(f"--detector {path}: no such file")
        try:
            import onnxruntime
        except ImportError as error:
            raise UserError(f"{path}: {error.name} is needed: {INSTALL}") from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = runtime.thread_count()
        options.log_severity_level = 4
        self._path = path
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # a kind for every fault
            raise UserError(f"{path}: cannot be loaded ({engine.reason(error)})") from error
        given = self._session.get_inputs()
        shape = given[0].shape if given else []
        planes = shape[1] if len(shape) == 4 else 0
        if len(given) != 1 or (isinstance(planes, int) and planes != 3):
            raise UserError(
                f"{path}: takes {[g.shape for g in given]}; a detector takes one (1, 3, H, W)"
            )
        kinds = {"tensor(float)": np.float32, "tensor(float16)": np.float16}
        if given[0].type not in kinds:
            raise UserError(f"{path}: takes {given[0].type}; expected float or float16")
        self._input, self._kind = given[0].name, kinds[given[0].type]
        sides = [side if isinstance(side, int) else DEFAULT_SIDE_PX for side in shape[2:]]
        LIMITS["image_side_px"].require(max(sides), str(path))
        self.size_wh = sides[1], sides[0]
        self.layout = ""
        self._person, self._classes = self._person_class()
        # What layout it is decides what picture it takes: an empty one tells.
        empty = np.zeros((1, 3, *sides), self._kind)
        self.layout, self._read = layout_of(self._run(empty), self.size_wh, str(path))
        print(f"=> {path.name}: layout {self.layout}, {self.size_wh[0]}×{self.size_wh[1]}")

    def __call__(self, image_rgb: np.ndarray) -> Candidates:
        """Candidates in image pixels, of (H, W, 3) uint8."""
        middle = self.layout != "yolox"
        boxed, ratio, shift = letterbox(image_rgb, self.size_wh, middle=middle)
        pixels = boxed.astype(np.float32) / 255 if middle else boxed[..., ::-1].astype(np.float32)
        images = np.ascontiguousarray(pixels.transpose(2, 0, 1)[None], self._kind)
        corners, scores = self._read(self._run(images), self._person)
        return (corners - np.tile(shift, 2)) / ratio, scores

    def _run(self, images: np.ndarray) -> list[np.ndarray]:
        try:
            found = self._session.run(None, {self._input: images})
            found = [np.asarray(one, np.float32) for one in found]
        except Exception as error:
            raise UserError(f"{self._path}: does not run ({engine.reason(error)})") from error
        if self._classes and found[0].ndim == 3:  # behind the classes a pose or mask may follow
            found[0] = found[0][:, : 4 + self._classes] if self.layout == "v8" else found[0]
            found[0] = found[0][..., : 5 + self._classes] if self.layout == "v5" else found[0]
        return found

    def _person_class(self) -> tuple[int, int]:
        """The class of people by the file's own list, and its length; COCO's first without one."""
        text = self._session.get_modelmeta().custom_metadata_map.get("names", "")
        try:
            names = ast.literal_eval(text) if len(text) < 100_000 else {}
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            names = {}
        if isinstance(names, list | tuple):
            names = dict(enumerate(names))
        if not isinstance(names, dict) or not all(isinstance(n, int) and n >= 0 for n in names):
            names = {}
        numbers = [n for n, one in names.items() if str(one).lower() in PERSON]
        if names and not numbers:
            raise UserError(f"{self._path}: finds no people, but {str(names)[:80]}")
        if not names:
            print(f"assumed: {self._path.name}: people are its class 0, as in COCO", flush=True)
        return (numbers[0] if numbers else 0), len(names)


Reader = Callable[[list[np.ndarray], int], Candidates]
"""Outputs and the class of people -> corners in pixels of the input, and scores."""


def layout_of(
    outputs: list[np.ndarray], size_wh: tuple[int, int], where: str
) -> tuple[str, Reader]:
    """Name of the layout and what reads it, by shapes alone; Raises UserError."""
    shapes = [one.shape for one in outputs]
    width, height = size_wh
    grids = {
        sum((height // s) * (width // s) for s in strides): strides
        for strides in (STRIDES, (*STRIDES, 64))
    }
    if len(outputs) == 4 and shapes[0] in ((1, 1), (1,)) and shapes[1][2:] == (4,):
        return "four outputs with NMS", _read_four
    first: tuple[int, ...] = shapes[0] if shapes else ()
    if len(first) == 2 and first[1] == 7:
        return "rows of 7 with NMS", _read_seven
    if len(first) == 3 and first[0] == 1:
        _, rows, columns = first
        if columns in grids and rows > 4:
            return "v8", _read_v8
        if rows % 3 == 0 and rows // 3 in grids and columns > 5:
            return "v5", _read_v5
        if rows in grids and columns > 5:
            strides = grids[rows]
            return "yolox", lambda found, person: _read_yolox(found, person, size_wh, strides)
        if columns == 6:
            return "rows of 6 with NMS", _read_six
    raise UserError(
        f"{where}: gives {shapes} for {width}×{height}; known are YOLO v5, v8, 11, YOLOX and those "
        "with NMS inside (docs/predict.md has the shapes)"
    )


def _corners(centers: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    return np.concatenate([centers - sizes / 2, centers + sizes / 2], 1)


def _scores(values: np.ndarray, person: int) -> np.ndarray:
    """(N,) of (N, C) classes: of people, where they are what a box most likely is."""
    if person >= values.shape[1]:
        raise UserError(f"--detector: has {values.shape[1]} classes, and none is people's {person}")
    best = values.argmax(1) == person
    return np.where(best, values[:, person], 0)


def _read_v5(found: list[np.ndarray], person: int) -> Candidates:
    rows = found[0][0]
    return _corners(rows[:, :2], rows[:, 2:4]), _scores(rows[:, 5:], person) * rows[:, 4]


def _read_v8(found: list[np.ndarray], person: int) -> Candidates:
    rows = found[0][0].T
    return _corners(rows[:, :2], rows[:, 2:4]), _scores(rows[:, 4:], person)


def _read_yolox(
    found: list[np.ndarray], person: int, size_wh: tuple[int, int], strides: tuple[int, ...]
) -> Candidates:
    cells, steps = [], []
    for stride in strides:
        y, x = np.mgrid[: size_wh[1] // stride, : size_wh[0] // stride]
        cells.append(np.column_stack([x.ravel(), y.ravel()]))
        steps.append(np.full((x.size, 1), stride))
    at, step, rows = np.concatenate(cells), np.concatenate(steps), found[0][0]
    sizes = np.exp(np.minimum(rows[:, 2:4], 20)) * step
    scores = _scores(rows[:, 5:], person) * rows[:, 4]
    return _corners((rows[:, :2] + at) * step, sizes), scores


def _read_six(found: list[np.ndarray], person: int) -> Candidates:
    rows = found[0][0]
    return rows[:, :4], np.where(rows[:, 5] == person, rows[:, 4], 0)


def _read_seven(found: list[np.ndarray], person: int) -> Candidates:
    rows = found[0]
    return rows[:, 1:5], np.where(rows[:, 5] == person, rows[:, 6], 0)


def _read_four(found: list[np.ndarray], person: int) -> Candidates:
    count = max(0, min(int(found[0].ravel()[0]), found[1].shape[1]))
    scores, classes = (one.reshape(1, -1)[0, :count] for one in found[2:4])
    return found[1][0, :count], np.where(classes == person, scores, 0)


def letterbox(
    image_rgb: np.ndarray, size_wh: tuple[int, int], *, middle: bool
) -> tuple[np.ndarray, float, tuple[int, int]]:
    """The whole picture in a grey one of that size; its scale and the place of its corner."""
    height, width = image_rgb.shape[:2]
    ratio = min(size_wh[0] / width, size_wh[1] / height)
    inner_wh = max(1, round(width * ratio)), max(1, round(height * ratio))
    left, top = ((size_wh[i] - inner_wh[i]) // 2 if middle else 0 for i in (0, 1))
    boxed = np.full((size_wh[1], size_wh[0], 3), GREY, np.uint8)
    boxed[top : top + inner_wh[1], left : left + inner_wh[0]] = cv2.resize(image_rgb, inner_wh)
    return boxed, ratio, (left, top)
