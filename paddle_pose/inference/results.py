"""The COCO results and the table that ``predict.py`` writes while it goes on."""

from __future__ import annotations

import contextlib
import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from paddle_pose.files import as_utf8, atomic, json_text
from paddle_pose.inference.people import FoundPoses
from paddle_pose.settings import INSTANCES

RESULTS = ("results.json", "results.csv")


def counted(count: int, what: str) -> str:
    """``1 pose``, ``2 poses``."""
    return f"{count} {what}{'' if count == 1 else 's'}"


class Written:
    """What was found so far, in files that get their names at the end: a camera has none."""

    def __init__(self, output: Path, joints: Sequence[str], min_score: float) -> None:
        self.pictures = self.poses = self.bare = 0
        self._min_score = min_score
        self.failures: list[str] = []
        self._output, self._stack = output, contextlib.ExitStack()
        self._files: list[BinaryIO] = []
        sides = ("crop_left", "crop_top", "crop_width", "crop_height")
        columns = [f"{joint}_{what}" for joint in joints for what in ("x", "y", "score")]
        self._head = ["file", "frame", "image_id", "person", "track", "score", *sides, *columns]

    def add(
        self, poses: FoundPoses, name: str, frame: int | None, tracks: np.ndarray | None
    ) -> None:
        """The poses of one picture; Raises UserError, and then there will be no files."""
        records: list[dict[str, Any]] = []
        rows: list[list[Any]] = [] if self.pictures else [[*self._head]]
        for person, record in enumerate(poses.to_coco()):
            track = None if tracks is None else int(tracks[person])
            more: dict[str, Any] = {} if frame is None else {"frame": frame, "track": track}
            if poses.instances.any():
                whose = INSTANCES[poses.instances[person]]
                more |= {"box": int(poses.rows[person]) + 1, "instance": whose}
            records.append({**record, "file_name": name, **more})
            box = [round(value, 2) for value in poses.boxes_xywh[person].tolist()]
            joints = [round(value, 4) for value in poses.keypoints[person].ravel().tolist()]
            score = round(record["score"], 4)
            rows.append([name, frame, record["image_id"], person + 1, track, score, *box, *joints])
        start = ("" if self.pictures else "[") + (", " if self.poses and records else "")
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows)
        if not self._files:
            opened = [atomic(self._output / name) for name in RESULTS]
            self._files = [self._stack.enter_context(file) for file in opened]
        self._put(start + json_text(records)[1:-1], text.getvalue())
        self.pictures, self.poses = self.pictures + 1, self.poses + len(records)
        self.bare += int((poses.keypoints[:, :, 2] < self._min_score).all(1).sum())

    def summary(self) -> str:
        """How many pictures and poses, and how many of these nobody sees."""
        said = (
            f"{counted(self.pictures, 'picture')}, {counted(self.poses, 'pose')} in {self._output}"
        )
        if self.bare:
            said += (
                f"; of {counted(self.bare, 'pose')} nothing is drawn, as no joint scores "
                f"{self._min_score:g} (--box or --detector helps to find people)"
            )
        return said

    def close(self) -> None:
        """Both files, whole or not at all; none without a picture."""
        if self._files:
            self._put("]\n", "")
            self._stack.close()

    def _put(self, *texts: str) -> None:
        try:
            for file, text in zip(self._files, texts, strict=True):
                file.write(as_utf8(text))
        except OSError as error:
            self._files = []
            self._stack.__exit__(type(error), error, error.__traceback__)  # removes both, raises
