"""Training samples from 1280×720 JPEGs by one core, against HRNet's loader."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import ROOT, Comparison, Options, Side, Target
from benchmarks.worker import SkippedError, Work

SIZE_WH = (1280, 720)
FILES = 640
"""So many that no cache keeps them (``KEEP_DECODED_BYTES``), decoded to half their size either."""
RENDERED = 8
RENDERED_BYTES = 95_000
"""A rendered photo is stored as finely as MPII's of that size are: about 95 kB."""
EXPERIMENT = "mpii/hrnet/w32_256x256_adam_lr1e-3.yaml"
CHECKED = 8


def _real() -> list[tuple[bytes, dict[str, Any]]]:
    """Photos of that size with their records, where MPII's reference photos are at hand."""
    import cv2

    folder = Path(os.environ.get("PADDLE_POSE_REFERENCE_DATA", ROOT.parent / "shared"))
    file = folder / "data" / "mpii" / "annot" / "valid_5.json"
    if not file.is_file():
        return []
    found = []
    for record in json.loads(file.read_text(encoding="utf-8")):
        data = (file.parent.parent / "images" / record["image"]).read_bytes()
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        if image.shape[1::-1] == SIZE_WH:
            found.append((data, record))
    return found


def _rendered() -> list[tuple[bytes, dict[str, Any]]]:
    """Rendered people, enlarged to that size."""
    import cv2

    from paddle_pose.synthetic.scene import draw_scene

    found = []
    for number in range(RENDERED):
        rng = np.random.default_rng([7, number])
        image, (label,) = draw_scene(rng, 1, need_head=False)
        factor = max(SIZE_WH[0] / image.shape[1], SIZE_WH[1] / image.shape[0])
        large = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
        large = large[: SIZE_WH[1], : SIZE_WH[0]]
        grain = rng.normal(0, 4, large.shape)
        large = np.clip(large + grain, 0, 255).astype(np.uint8)
        for quality in range(50, 100, 2):
            data = cv2.imencode(".jpg", large, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
            if len(data) >= RENDERED_BYTES:
                break
        record = {
            "joints": (label.joints_xy * factor + 1).tolist(),
            "joints_vis": label.inside.astype(int).tolist(),
            "center": (label.center_xy * factor + 1).tolist(),
            "scale": 0.9 * SIZE_WH[1] / 250,  # a crop of 650 pixels
        }
        found.append((data, record))
    return found


def write_photos(folder: Path) -> str:
    """A data set in MPII layout under ``folder``, unless it is there; says what its photos are."""
    label = folder / "photos.txt"
    if not label.is_file():
        photos = _real()
        kind = "MPII photos" if photos else "rendered photos"
        photos = photos or _rendered()
        shutil.rmtree(folder, ignore_errors=True)
        for name in ("images", "annot"):
            (folder / name).mkdir(parents=True)
        records = []
        for number in range(FILES):
            data, record = photos[number % len(photos)]
            name = f"{number:04d}.jpg"
            (folder / "images" / name).write_bytes(data)
            records.append(record | {"image": name})
        (folder / "annot" / "train.json").write_text(json.dumps(records), encoding="utf-8")
        mean_kb = round(sum(len(data) for data, _ in photos) / len(photos) / 1000)
        label.write_text(f"{len(photos)} {kind} of {mean_kb} kB", encoding="utf-8")
    return label.read_text(encoding="utf-8")


def _figures(crops: list[np.ndarray], targets: list[np.ndarray]) -> dict[str, float]:
    return {
        "pixel": float(np.mean(crops, dtype=np.float64)),
        "target": float(np.mean(targets, dtype=np.float64)),
    }


def ours(folder: str, samples: int, reduced: bool) -> Work:
    """``PersonCrops`` as a worker process runs it: one thread."""
    from paddle_pose.system import runtime

    runtime.configure(quiet=True)
    from paddle_pose.codecs.heatmap import HeatmapCodec
    from paddle_pose.data import mpii
    from paddle_pose.data.samples import start_worker
    from paddle_pose.data.top_down import PersonCrops, reduction_for
    from paddle_pose.settings import AugmentSettings, DataSettings

    photos = write_photos(Path(folder))
    start_worker()
    table = mpii.load(Path(folder), "train")
    data, codec = DataSettings(reduced_decoding=reduced), HeatmapCodec()
    crops = PersonCrops(table, data, codec, augment=AugmentSettings())
    counter = iter(range(1 << 60))

    def run() -> None:
        for number in (next(counter) for _ in range(samples)):
            crops[number // FILES, number % FILES]

    def figures() -> dict[str, float]:
        plain = PersonCrops(table, data, codec)
        checked = [plain[index] for index in range(CHECKED)]
        return _figures([s.image_HWC for s in checked], [s.targets["heatmaps"] for s in checked])

    shrunk = [reduction_for(crops[0, i].place.scale_wh, data.image_size_wh) for i in range(FILES)]
    facts = {"photos": photos, "shrunk_twofold": float(np.mean(np.array(shrunk) > 1))}
    return Work(run, units=samples, facts=facts, figures=figures)


def theirs(clone: str, folder: str, samples: int) -> Work:
    """HRNet's ``MPIIDataset`` as a worker process runs it, with torchvision's two transforms.

    Source: leoxiaobin/deep-high-resolution-net.pytorch tools/train.py:135, lib/dataset/mpii.py
    """
    import cv2
    import torch

    from benchmarks import official

    if not (Path(folder) / "photos.txt").is_file():
        raise SkippedError("its photos are written by the other side, which did not run")
    dataset = official.hrnet_module(clone, "dataset.mpii").MPIIDataset
    config = official.hrnet_config(clone, EXPERIMENT)
    defaults = {"SELECT_DATA": False, "DATA_FORMAT": "jpg", "PROB_HALF_BODY": -1.0}
    for name, value in defaults.items():
        config["DATASET"].setdefault(name, value)
    config["LOSS"].setdefault("USE_DIFFERENT_JOINTS_WEIGHT", False)
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    mean = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
    std = torch.tensor([0.229, 0.224, 0.225])[:, None, None]

    def to_tensor(image_HWC: np.ndarray) -> torch.Tensor:
        """As ToTensor and Normalize do; written out, as torchvision may not be installed."""
        chw = torch.from_numpy(image_HWC.transpose(2, 0, 1)).contiguous()
        return chw.to(torch.float32).div(255).sub_(mean).div_(std)

    train = dataset(config, folder, "train", True, to_tensor)
    counter = iter(range(1 << 60))

    def run() -> None:
        for number in (next(counter) for _ in range(samples)):
            train[number % len(train)]

    def figures() -> dict[str, float]:
        plain = dataset(config, folder, "train", False, to_tensor)
        checked = [plain[index] for index in range(CHECKED)]
        crops = [((item[0] * std + mean) * 255).numpy() for item in checked]
        return _figures(crops, [item[1].numpy() for item in checked])

    facts = {"official": f"deep-high-resolution-net.pytorch @{official.commit(Path(clone))}"}
    return Work(run, units=samples, facts=facts, figures=figures)


def comparisons(options: Options) -> list[Comparison]:
    """Whole decoding, the same pixels; reduced decoding."""
    folder, samples = str(options.folder / f"loading_{FILES}"), 40 if options.quick else 160
    clone = options.hrnet
    official_side = Side(
        "benchmarks.loading:theirs",
        "HRNet, MPIIDataset",
        {"clone": str(clone), "folder": folder, "samples": samples},
        in_torch=True,
    )
    return [
        Comparison(
            name=name,
            work=f"training sample from a 1280×720 JPEG, 256×256, one core, {how}",
            ours=Side(
                "benchmarks.loading:ours",
                label,
                {"folder": folder, "samples": samples, "reduced": reduced},
            ),
            theirs=official_side if clone else None,
            target=Target("speedup", target),
            unit="s/sample",
            missing="" if clone else "no --hrnet DIR",
            # Their bytes went through float32 and back: 255 × 2**-24 each, twice.
            tolerance=1e-4,
            pairs=9,
            anew=True,  # HRNet's side is slow or fast by how its memory falls at the start
        )
        for name, how, label, reduced, target in (
            ("loading", "same pixels", "PersonCrops", False, 2.0),
            ("loading_reduced", "JPEG decoded smaller", "PersonCrops, reduced_decoding", True, 4.0),
        )
    ]
