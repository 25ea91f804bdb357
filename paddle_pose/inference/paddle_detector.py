"""Detectors that PaddleDetection exported: PicoDet, PP-YOLOE and others with these outputs.

- with post-processing: (N, 6) class, score, corners, and the number of boxes of each image
- without NMS: (1, A, 4) corners and (1, C, A) scores
- PicoDet without post-processing: at each stride (1, A, C) scores, then (1, A, 4 (R + 1)) logits of
  the distances 0 … R to the four sides

Corners are in image pixels where the model takes a ``scale_factor``, else in its input's.

Source: PaddlePaddle/PaddleDetection deploy/python/infer.py, preprocess.py,
picodet_postprocess.py @98fb689
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml
from paddle import inference as paddle_inference

from paddle_pose.errors import UserError, nearest
from paddle_pose.files import atomic_folder, holding, read_bytes, sha256, write_text
from paddle_pose.inference import engine
from paddle_pose.inference.boxes import PERSON
from paddle_pose.limits import LIMITS
from paddle_pose.plain import finite
from paddle_pose.porting import download

Candidates = tuple[np.ndarray, np.ndarray]
"""Corners (N, 4) left, top, right, bottom, and scores (N,)."""

SETTINGS = "infer_cfg.yml"
GRAPHS = ("model.json", "model.pdmodel", "inference.json", "inference.pdmodel")


@dataclass(frozen=True)
class Preparing:
    """How a picture becomes the input, as ``infer_cfg.yml`` says it.

    Attributes:
        size_wh: of the resized picture, or its bounds.
        keep_ratio: whether sides keep their proportion, within ``size_wh``.
        interpolation: OpenCV's number.
        mean, deviation: of RGB after ``scale``.
        scale: 1/255 or 1.
        stride: sides are filled up with zeros to a multiple of it; 1 for none.
        canvas_wh, fill: a larger picture it is put into the upper left of; None for none.
    """

    size_wh: tuple[int, int]
    keep_ratio: bool = False
    interpolation: int = cv2.INTER_LINEAR
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    deviation: tuple[float, ...] = (1.0, 1.0, 1.0)
    scale: float = 1.0
    stride: int = 1
    canvas_wh: tuple[int, int] | None = None
    fill: tuple[float, ...] = (0.0, 0.0, 0.0)

    def __call__(self, image_rgb: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(1, 3, H, W) float32, and (2,) by how much it was scaled: down and across."""
        height, width = image_rgb.shape[:2]
        factors = np.array([self.size_wh[1] / height, self.size_wh[0] / width])
        if self.keep_ratio:
            shorter, longer = sorted(self.size_wh)
            factors[:] = min(shorter / min(height, width), longer / max(height, width))
        size = max(1, round(width * factors[1])), max(1, round(height * factors[0]))
        pixels = cv2.resize(image_rgb, size, interpolation=self.interpolation).astype(np.float32)
        # The canvas is filled with colours before they are normalised, the stride's rest after.
        if self.canvas_wh is not None:
            canvas = np.empty((self.canvas_wh[1], self.canvas_wh[0], 3), np.float32)
            canvas[:] = self.fill
            canvas[: size[1], : size[0]] = pixels[: canvas.shape[0], : canvas.shape[1]]
            pixels = canvas
        pixels = (pixels * self.scale - np.array(self.mean, np.float32)) / np.array(
            self.deviation, np.float32
        )
        down, across = (-side % self.stride for side in pixels.shape[:2])
        pixels = np.pad(pixels, [(0, down), (0, across), (0, 0)])
        return np.ascontiguousarray(pixels.transpose(2, 0, 1)[None], np.float32), factors


def read_settings(path: Path) -> tuple[Preparing, int, tuple[int, ...]]:
    """Of an ``infer_cfg.yml``: preparing, the class of people, strides; Raises UserError."""
    data = read_bytes(path)
    LIMITS["recipe_bytes"].require(len(data), str(path))
    try:
        content = yaml.safe_load(data)
    except (yaml.YAMLError, UnicodeError, RecursionError) as error:
        raise UserError(f"{path}: not valid YAML ({' '.join(str(error).split())[:120]})") from error
    steps = content.get("Preprocess") if isinstance(content, dict) else None
    if not isinstance(steps, list) or not all(isinstance(step, dict) for step in steps):
        raise UserError(f"{path}: expected PaddleDetection's settings with a list 'Preprocess'")
    changes: dict[str, Any] = {}
    for number, step in enumerate(steps):
        where = f"{path}: Preprocess[{number}]"
        kind = str(step.get("type"))
        if kind not in _STEPS:
            raise UserError(f"{where}: type: unknown '{kind[:40]}'{nearest(kind[:40], _STEPS)}")
        try:
            changes |= _STEPS[kind](step, where)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise UserError(f"{where}: {kind}: {type(error).__name__} {error}") from error
    if "size_wh" not in changes:
        raise UserError(f"{path}: Preprocess has no Resize")
    return Preparing(**changes), _person(content, path), _strides(content, path)


def _person(content: Mapping[str, Any], path: Path) -> int:
    labels = content.get("label_list") or []
    if not isinstance(labels, list):
        raise UserError(f"{path}: label_list: expected a list of names")
    numbers = [n for n, label in enumerate(labels) if str(label).lower() in PERSON]
    if labels and not numbers:
        raise UserError(f"{path}: finds no people, but {', '.join(map(str, labels))[:80]}")
    if not labels:
        print(f"assumed: {path}: people are its class 0, as it has no label_list", flush=True)
    return numbers[0] if numbers else 0


def _strides(content: Mapping[str, Any], path: Path) -> tuple[int, ...]:
    given = content.get("fpn_stride") or [8, 16, 32, 64]
    strides = tuple(int(s) for s in finite(given, f"{path}: fpn_stride"))
    if min(strides) < 1:
        raise UserError(f"{path}: fpn_stride: must be positive, got {given}")
    return strides


def _size_wh(values: Any, where: str) -> tuple[int, int]:
    height, width = finite([values] * 2 if isinstance(values, int) else values, where)
    if min(height, width) < 1:
        raise UserError(f"{where}: must be positive, got {values}")
    LIMITS["image_side_px"].require(max(height, width), where)
    return int(width), int(height)


def _resize(step: Mapping[str, Any], where: str) -> dict[str, Any]:
    interpolation = int(step.get("interp", cv2.INTER_LINEAR))
    if not cv2.INTER_NEAREST <= interpolation <= cv2.INTER_LANCZOS4:
        raise UserError(f"{where}: interp: OpenCV's are 0 to 4, got {interpolation}")
    return {
        "size_wh": _size_wh(step["target_size"], f"{where}: target_size"),
        "keep_ratio": bool(step.get("keep_ratio", True)),
        "interpolation": interpolation,
    }


def _normalise(step: Mapping[str, Any], where: str) -> dict[str, Any]:
    found: dict[str, Any] = {"scale": 1 / 255 if step.get("is_scale", True) else 1.0}
    if step.get("norm_type", "mean_std") == "mean_std":
        for key, name in (("mean", "mean"), ("std", "deviation")):
            values = tuple(finite(step[key], f"{where}: {key}"))
            if len(values) != 3 or (key == "std" and min(values) <= 0):
                raise UserError(f"{where}: {key}: expected three numbers, got {values}")
            found[name] = values
    return found


def _stride(step: Mapping[str, Any], where: str) -> dict[str, Any]:
    stride = int(step.get("stride", 0)) or 1
    if not 1 <= stride <= 1024:
        raise UserError(f"{where}: stride: must be between 1 and 1024, got {stride}")
    return {"stride": stride}


def _canvas(step: Mapping[str, Any], where: str) -> dict[str, Any]:
    fill = tuple(finite(step.get("fill_value", [114.0] * 3), f"{where}: fill_value"))
    if len(fill) != 3:
        raise UserError(f"{where}: fill_value: expected three numbers, got {fill}")
    return {"canvas_wh": _size_wh(step["size"], f"{where}: size"), "fill": fill}


_STEPS = {
    "Resize": _resize,
    "NormalizeImage": _normalise,
    "Permute": lambda step, where: {},
    "PadStride": _stride,
    "Pad": _canvas,
}


class PaddleDetector:
    """An exported folder, by Paddle Inference on the CPU."""

    def __init__(self, folder: Path) -> None:
        """Load it; Raises UserError."""
        settings = folder / SETTINGS
        if not settings.is_file():
            raise UserError(f"--detector {folder}: no {SETTINGS} there; is it PaddleDetection's?")
        self._folder = folder
        self._prepare, self._person, self._strides = read_settings(settings)
        graph = next((folder / name for name in GRAPHS if (folder / name).is_file()), None)
        if graph is None or not graph.with_suffix(".pdiparams").is_file():
            raise UserError(f"{folder}: no model.pdmodel (or model.json) with its model.pdiparams")
        try:
            with engine.quiet():
                config = engine.cpu_config(graph, graph.with_suffix(".pdiparams"))
                self._predictor = paddle_inference.create_predictor(config)
        except Exception as error:  # Paddle raises many kinds
            raise UserError(f"{graph}: cannot be loaded ({engine.reason(error)})") from error
        self._inputs = self._predictor.get_input_names()
        unknown = {*self._inputs} - {"image", "x", "x0", "scale_factor", "im_shape"}
        if unknown:
            raise UserError(f"{graph}: takes '{min(unknown)[:40]}', which no detector here does")

    def __call__(self, image_rgb: np.ndarray) -> Candidates:
        """Candidates in image pixels, of (H, W, 3) uint8."""
        image, factors = self._prepare(image_rgb)
        given = {
            "scale_factor": factors[None].astype(np.float32),
            "im_shape": np.array([image.shape[2:]], np.float32),
        }
        try:
            for name in self._inputs:
                handle = self._predictor.get_input_handle(name)
                handle.copy_from_cpu(given.get(name, image))
            self._predictor.run()
            names = self._predictor.get_output_names()
            found = [self._predictor.get_output_handle(name).copy_to_cpu() for name in names]
        except Exception as error:
            raise UserError(f"{self._folder}: does not run ({engine.reason(error)})") from error
        input_hw = image.shape[2], image.shape[3]
        corners, scores, scaled = read_outputs(
            found, self._person, input_hw, self._strides, str(self._folder)
        )
        if scaled or "scale_factor" not in self._inputs:
            corners = corners / np.tile(factors[::-1], 2)
        return corners, scores


def read_outputs(
    found: list[np.ndarray],
    person: int,
    input_hw: tuple[int, int],
    strides: tuple[int, ...],
    where: str,
) -> tuple[np.ndarray, np.ndarray, bool]:
    """Corners, scores, and whether the corners are surely in the input's pixels.

    Raises:
        UserError: outputs of none of the three layouts.
    """
    shapes = [one.shape for one in found]
    if found and len(shapes[0]) == 2 and shapes[0][1] == 6:
        rows = found[0][: int(found[1].sum())] if len(found) > 1 else found[0]
        return rows[:, 2:], np.where(rows[:, 0] == person, rows[:, 1], 0), False
    if len(found) == 2 and all(len(shape) == 3 for shape in shapes):
        boxes, scores = sorted(found, key=lambda one: one.shape[2] != 4)
        count = boxes.shape[1]
        if scores.shape[2] == count:
            scores = scores.transpose(0, 2, 1)
        if boxes.shape[2] == 4 and scores.shape[1] == count and person < scores.shape[2]:
            return boxes[0], scores[0, :, person], False
    levels = len(strides)
    if len(found) == 2 * levels and all(len(shape) == 3 for shape in shapes):
        pairs = list(zip(strides, found[:levels], found[levels:], strict=True))
        cells = [-(-input_hw[0] // s) * -(-input_hw[1] // s) for s in strides]
        fits = all(
            c.shape[1] == d.shape[1] == n and d.shape[2] % 4 == 0 and person < c.shape[2]
            for (_, c, d), n in zip(pairs, cells, strict=True)
        )
        if fits:
            corners = np.concatenate([_sides(d[0], s, input_hw) for s, _, d in pairs])
            return corners, np.concatenate([c[0, :, person] for _, c, _ in pairs]), True
    raise UserError(
        f"{where}: gives {shapes}; known are PaddleDetection's with post-processing, without NMS, "
        "and PicoDet's without post-processing"
    )


def _sides(logits: np.ndarray, stride: int, input_hw: tuple[int, int]) -> np.ndarray:
    """Corners of one stride's cells: the distances are means of what their logits weigh."""
    y, x = np.mgrid[: -(-input_hw[0] // stride), : -(-input_hw[1] // stride)]
    centers = (np.column_stack([x.ravel(), y.ravel()]) + 0.5) * stride
    bins = logits.reshape(len(logits), 4, -1)
    weights = np.exp(bins - bins.max(2, keepdims=True))
    weights /= weights.sum(2, keepdims=True)
    distances = weights @ np.arange(bins.shape[2]) * stride
    return np.concatenate([centers - distances[:, :2], centers + distances[:, 2:]], 1)


@dataclass(frozen=True)
class _Official:
    """A file of the makers.

    Attributes:
        url: of a .tar with one folder.
        sha256: digits of its hash; empty where the makers state none. Then the hash of what came
            first is kept beside it, and a later change is noticed.
    """

    url: str
    sha256: str = ""


OFFICIAL = {
    "picodet": _Official(
        "https://paddledet.bj.bcebos.com/deploy/Inference/picodet_s_320_coco_lcnet.tar"
    ),
}
"""By name, all Apache-2.0. Source: PaddlePaddle/PaddleDetection configs/picodet/README_en.md"""


def fetched(name: str, folder: Path | None = None, pause_s: float = 1.0) -> Path:
    """The folder of an official detector, unpacked in the cache; fetched where it is not there.

    Raises:
        UserError: unknown, the server does not give it, or its content is not what it should be.
    """
    if name not in OFFICIAL:
        raise UserError(f"--detector {name}: no such file or folder{nearest(name, OFFICIAL)}")
    official = OFFICIAL[name]
    file = official.url.rsplit("/", 1)[1]
    row = download.PublishedWeights(
        name, "", "detector", "direct", official.url, file, official.sha256, "Apache-2.0", "", ""
    )
    folder = download.cache_folder() if folder is None else folder
    archive = download.fetch(row, folder, pause_s)
    with holding(archive.parent):
        return _unpacked(name, archive)


def _unpacked(name: str, archive: Path) -> Path:
    digest, noted = sha256(archive), archive.with_name(f"{archive.name}.sha256")
    known = noted.read_text(errors="replace").strip() if noted.is_file() else ""
    if known and known != digest:
        archive.unlink()
        raise UserError(
            f"{archive}: is not what was fetched first; removed, try again (where its makers "
            f"changed it, remove {noted}, too)"
        )
    write_text(noted, digest + "\n")
    target = archive.with_name(digest[:16])
    if not target.is_dir():
        try:
            _unpack(archive, target)
        except UserError as error:
            for file in (archive, noted):
                file.unlink()
            raise UserError(f"{error}; it was removed, try again") from error
        print(f"=> {name}: fetched to {target} (SHA-256 {digest[:16]}…)", flush=True)
    return target


def _unpack(archive: Path, target: Path) -> None:
    """The files that a detector needs, from whatever folder they lie in; Raises UserError."""
    wanted = {SETTINGS, *GRAPHS, "model.pdiparams", "inference.pdiparams"}
    try:
        with tarfile.open(fileobj=io.BytesIO(archive.read_bytes())) as tar, \
                atomic_folder(target) as place:  # fmt: skip
            for member in tar:
                name = Path(member.name).name
                stream = tar.extractfile(member) if name in wanted and member.isfile() else None
                if stream is not None:
                    LIMITS["image_file_bytes"].require(member.size, f"{archive}: {name}")
                    (place / name).write_bytes(stream.read())
            if not (place / SETTINGS).is_file():
                raise UserError(f"{archive}: holds no {SETTINGS}")
    except (tarfile.TarError, OSError, EOFError) as error:
        raise UserError(f"{archive}: cannot be unpacked ({error})") from error
