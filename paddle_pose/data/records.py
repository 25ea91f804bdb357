"""The table of people that every data set yields, and its typed row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from paddle_pose.understood import Fact, Understood


@dataclass(frozen=True)
class PersonRecord:
    """One person to predict; a row of a PersonTable.

    Attributes:
        row: position in the annotation file (truth), or in the box file (detections).
        image: image name as the annotation file has it.
        center_xy: (2,) crop centre, image pixels, 0-based.
        scale_wh: (2,) crop size in units of 200 image pixels, padding included.
        joints_xy: (J, 2) image pixels, 0-based; meaningless where not visible.
        visible: (J,) 1 labelled, 0 missing.
        head_size_px: PCKh's reference length (0.6 × head-box diagonal); nan where unknown.
        box_score: detector confidence; 1 for ground truth.
        box_xywh: (4,) what the crop was made of, image pixels; None where there is no box.
    """

    row: int
    image: str
    center_xy: np.ndarray
    scale_wh: np.ndarray
    joints_xy: np.ndarray
    visible: np.ndarray
    head_size_px: float
    box_score: float
    box_xywh: np.ndarray | None = None


@dataclass(frozen=True)
class PersonTable:
    """People as arrays (small in memory, shared by worker processes), rows on demand.

    Attributes:
        skeleton: name of the joint set.
        image_root: folder that holds ``image_names``.
        image_names: distinct image names.
        image_ids: their ids as the data set counts them (COCO); the position where it has none.
        image_index: (N,) int, which image each person is on.
        rows: (N,) int, see PersonRecord.row.
        center_xy, scale_wh, joints_xy, visible, head_size_px, box_score: as in PersonRecord,
            with a leading N.
        boxes_xywh: (N, 4), likewise; None where there are no boxes.
        image_sizes_wh: (M, 2) int pixels of the images as they were annotated, 0 where the data
            set does not say it; None where it says it of none.
        summary: one line for the user about what was found.
        understood: what was understood of the files.
        files: the annotation files that were read.
    """

    skeleton: str
    image_root: Path
    image_names: tuple[str, ...]
    image_ids: np.ndarray
    image_index: np.ndarray
    rows: np.ndarray
    center_xy: np.ndarray
    scale_wh: np.ndarray
    joints_xy: np.ndarray
    visible: np.ndarray
    head_size_px: np.ndarray
    box_score: np.ndarray
    image_sizes_wh: np.ndarray | None = field(default=None, compare=False)
    boxes_xywh: np.ndarray | None = field(default=None, compare=False)
    summary: str = field(default="", compare=False)
    understood: Understood = field(default_factory=Understood, compare=False)
    files: tuple[Path, ...] = field(default=(), compare=False)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> PersonRecord:
        return PersonRecord(
            row=int(self.rows[index]),
            image=self.image_names[self.image_index[index]],
            center_xy=self.center_xy[index],
            scale_wh=self.scale_wh[index],
            joints_xy=self.joints_xy[index],
            visible=self.visible[index],
            head_size_px=float(self.head_size_px[index]),
            box_score=float(self.box_score[index]),
            box_xywh=None if self.boxes_xywh is None else self.boxes_xywh[index],
        )

    def __iter__(self) -> Iterator[PersonRecord]:
        return (self[index] for index in range(len(self)))

    def index_of(self, rows: np.ndarray) -> np.ndarray:
        """(P,) positions of the people with these rows, which need not ascend.

        Raises:
            KeyError: nobody has a row.
        """
        order = np.argsort(self.rows, kind="stable")
        place = np.minimum(np.searchsorted(self.rows[order], rows), len(order) - 1)
        found = order[place]
        if (self.rows[found] != rows).any():
            raise KeyError(f"no person of row {rows[self.rows[found] != rows][0]}")
        return found

    def select(self, keep: np.ndarray) -> PersonTable:
        """The rows named by an index array or a mask; image names stay as they are."""
        names = [
            "image_index", "rows", "center_xy", "scale_wh", "joints_xy", "visible",
            "head_size_px", "box_score",
        ]  # fmt: skip
        names += [] if self.boxes_xywh is None else ["boxes_xywh"]
        return replace(self, **{name: getattr(self, name)[keep] for name in names})

    def head(self, limit: int | None) -> PersonTable:
        """The first ``limit`` people; all of them for None."""
        if limit is None or limit >= len(self):
            return self
        said = Fact("limit", limit, f"the first {limit:,} of {len(self):,} people", "recipe")
        first = self.select(np.arange(limit))
        return replace(first, understood=self.understood + Understood((said,)))

    def size_wh(self, index: int) -> tuple[int, int] | None:
        """Width and height of an image as it was annotated; None where nobody says it."""
        if self.image_sizes_wh is None or not self.image_sizes_wh[index].all():
            return None
        width, height = self.image_sizes_wh[index].tolist()
        return width, height
