"""Which network looks at photos and videos, and how it is run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from paddle_pose.inference import engine as engines
from paddle_pose.inference.predictor import PosePredictor, joints_of
from paddle_pose.inference.sources import Photo, Video
from paddle_pose.inference.streams import or_onednn
from paddle_pose.inference.where import Boxes, Where
from paddle_pose.skeletons import Skeleton
from paddle_pose.system import runtime

GPU_BATCH = 32


@dataclass(frozen=True)
class Network:
    """Which network looks, and how it is run.

    Attributes:
        weights: a file; by default what is packaged.
        recipe: of the weights; by default their own.
        exported: what ``export.py`` wrote, instead of both.
        device, engine, precision: as ``val.py`` has them; None with ``exported``.
        batch_size: people at a time; by default by the device.
        instances: poses a box.
        benchmark: whose flip test, scales and decoder; by default the recipe's first one.
    """

    weights: Path | None = None
    recipe: str | None = None
    exported: Path | None = None
    device: str | None = None
    engine: str | None = None
    precision: str | None = None
    batch_size: int | None = None
    instances: int = 1
    benchmark: str | None = None

    def joints(self) -> Skeleton | None:
        """What the files say of the network's joints, before it is built; None where they do not.

        Raises:
            UserError: files that cannot be read.
        """
        return None if self.exported is not None else joints_of(self.weights, self.recipe)

    def looking_at(
        self, where: Where, photos: Sequence[Photo], videos: Sequence[Video]
    ) -> tuple[PosePredictor, Boxes]:
        """Ready for these, and where people are in them: boxes first, which cost less to refuse."""
        boxes = None if where.sought else where.open(photos, videos)
        predictor = self.open(None if videos else len(photos))
        if boxes is None or predictor.whole:
            boxes = where.open(photos, videos, whole=predictor.whole)
        return predictor, boxes

    def open(self, pictures: int | None) -> PosePredictor:
        """Ready for so many pictures, None where nobody knows it; Raises UserError."""
        device = "cpu" if self.exported else self.device or "auto"
        on_gpu = runtime.choose_device(device) != "cpu"
        size = self.batch_size or (GPU_BATCH if on_gpu else engines.PEOPLE_AT_A_TIME)
        if self.exported is not None:
            return PosePredictor.from_exported(
                self.exported,
                batch_size=size,
                instances=self.instances,
                benchmark=self.benchmark,
            )
        precision = self.precision or "float32"
        many = engines.AUTO_PEOPLE if pictures is None else pictures
        return or_onednn(
            self.engine,
            engines.choose(self.engine or "auto", precision, people=many),
            lambda kind: PosePredictor.from_weights(
                self.weights,
                self.recipe,
                engine=kind,
                precision=precision,
                batch_size=size,
                instances=self.instances,
                benchmark=self.benchmark,
            ),
        )
