"""Random pictures, people, maps and results for both sides of Lightweight OpenPose."""

from __future__ import annotations

from typing import Any, NamedTuple

import cv2
import numpy as np

from paddle_pose.codecs.light_images import fit
from paddle_pose.codecs.light_paf import LightPafCodec
from paddle_pose.settings import WholeImage
from paddle_pose.skeletons import COCO17

SCALES = [[1.0], [1.0], [0.5, 1.0, 1.5, 2.0], [1.0, 1.5]]
SIZES_WH = ((150, 110), (90, 130), (120, 100), (260, 70))
"""Of pictures that are decoded, and the scales that each is looked at."""
WHOLE = WholeImage((368, 368), "height", "exact")
SHAPE = np.array(
    [[0, -.45], [0, -.3], [-.12, -.28], [-.2, -.1], [-.22, .05], [.12, -.28], [.2, -.1],
     [.22, .05], [-.08, .05], [-.09, .27], [-.1, .47], [.08, .05], [.09, .27], [.1, .47],
     [-.03, -.48], [.03, -.48], [-.07, -.45], [.07, -.45]]
)  # fmt: skip
"""(18, 2) a person of height 1, bodypose18's joints."""


class Drawn(NamedTuple):
    """Arrays for the child; truth and results as COCO has them."""

    arrays: dict[str, np.ndarray]
    truth: dict[str, Any]
    results: list[dict[str, Any]]


def drawn(seed: int) -> Drawn:
    """All of it."""
    rng = np.random.default_rng([seed, 11])
    cells = (4, 8, 8)
    arrays = {
        "in/images": rng.standard_normal((1, 3, 90, 136)),
        "in/train_images": rng.standard_normal((4, 3, 64, 64)),
        "in/heatmaps": rng.uniform(0, 1, (cells[0], 19, *cells[1:])),
        "in/pafs": rng.uniform(-1, 1, (cells[0], 38, *cells[1:])),
        "in/mask": rng.integers(0, 2, cells).astype(np.float64),
        "draws": rng.uniform(0, 1, (40, 6)),
    }
    for number, (size_wh, scales) in enumerate(zip(SIZES_WH, SCALES, strict=True)):
        arrays[f"picture/{number}"] = _picture(rng, size_wh)
        where = [(rng.uniform(0.15, 0.85, 2) * size_wh, rng.uniform(0.4, 0.8) * size_wh[1])
                 for _ in range(4)]  # fmt: skip
        people = np.stack([middle + high * (SHAPE + rng.normal(0, 0.02, SHAPE.shape))
                           for middle, high in where])  # fmt: skip
        counts = rng.random(people.shape[:2]) > 0.1
        for at, scale in enumerate(scales):
            how = fit(size_wh, WHOLE, scale, 8)
            left, top, right, below = how.pad_ltrb
            inside = how.size_wh[0] + left + right, how.size_wh[1] + top + below
            codec = LightPafCodec(sigma_px=12.0, limb_px=12.0)
            maps = codec.encode(people * how.zoom + (left, top), counts, inside)
            for name, values in maps.items():
                noisy = values + rng.normal(0, 0.03, values.shape)
                arrays[f"map/{name}/{number}/{at}"] = noisy.astype(np.float32)
    truth = _truth(rng, arrays)
    return Drawn(arrays, truth, _results(rng, truth))


def _picture(rng: np.random.Generator, size_wh: tuple[int, int]) -> np.ndarray:
    """(H, W, 3) uint8, smooth, with values at both ends."""
    small = rng.integers(-60, 316, (8, 10, 3)).astype(np.float32)
    made = cv2.resize(small, size_wh, interpolation=cv2.INTER_CUBIC)
    return np.clip(made, 0, 255).astype(np.uint8)


def _truth(rng: np.random.Generator, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """Six pictures of people: some near others, thinly labelled, small, or crowds."""
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    # Neither eyes and ears nor the neck of SHAPE stand in COCO's order.
    order = [0, 15, 14, 17, 16, 5, 2, 6, 3, 7, 4, 11, 8, 12, 9, 13, 10]
    for number in range(1, 7):
        width, height = (int(v) for v in rng.integers(140, 220, 2))
        images.append({"id": number, "file_name": f"{number:012d}.png", "width": width,
                       "height": height})  # fmt: skip
        arrays[f"photo/{number}"] = _picture(rng, (width, height))
        for place in range(5):
            high = rng.uniform(60, 130)
            middle = rng.uniform(0.2, 0.8, 2) * (width, height)
            if place == 1:  # near the one before
                box = annotations[-1]["bbox"]
                middle = np.array(box[:2]) + np.array(box[2:]) / 2 + rng.uniform(0, 8, 2)
            xy = np.rint(middle + high * (SHAPE[order] + rng.normal(0, 0.02, (17, 2))))
            flags = rng.integers(0, 3, 17) if place == 3 else rng.integers(1, 3, 17)
            flags[rng.integers(0, 17, 14 if place == 2 else 2)] = 0
            joints = np.column_stack([xy, flags]).astype(int)
            joints[flags == 0] = 0
            low, more = middle - high * 0.5, np.array([0.6, 1.0]) * high
            annotations.append({
                "id": len(annotations) + 1, "image_id": number, "category_id": 1, "iscrowd": 0,
                "bbox": [round(float(v), 2) for v in (*low, *more)],
                "area": float(np.prod(more)) if place != 4 else 900.0,
                "keypoints": joints.ravel().tolist(),
                "num_keypoints": int((joints[:, 2] > 0).sum()),
                "segmentation": [],
            })  # fmt: skip
        if number % 2:
            run = int(rng.integers(5, width // 2)) * height
            counts = [run, 30 * height, width * height - run - 30 * height]
            annotations.append({
                "id": len(annotations) + 1, "image_id": number, "category_id": 1, "iscrowd": 1,
                "bbox": [run / height, 0.0, 30.0, float(height)], "area": 30.0 * height,
                "keypoints": [0] * 51, "num_keypoints": 0,
                "segmentation": {"counts": counts, "size": [height, width]},
            })  # fmt: skip
    category = {"id": 1, "name": "person", "keypoints": list(COCO17.joints), "skeleton": []}
    return {"images": images, "annotations": annotations, "categories": [category]}


def _results(rng: np.random.Generator, truth: dict[str, Any]) -> list[dict[str, Any]]:
    """Of most people, some joints moved or not found; scores are sums, not shares."""
    made = []
    for one in truth["annotations"]:
        if one["iscrowd"] or rng.random() < 0.2:
            continue
        joints = np.array(one["keypoints"], float).reshape(17, 3)
        joints[:, :2] += rng.normal(0, rng.choice([0.5, 2, 5]), (17, 2)) + 0.5
        joints[:, 2] = rng.random(17) > 0.15
        joints[joints[:, 2] == 0] = 0
        made.append({"image_id": one["image_id"], "category_id": 1,
                     "keypoints": joints.ravel().tolist(),
                     "score": float(rng.uniform(1, 400))})  # fmt: skip
    return made
