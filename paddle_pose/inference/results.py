"""The results and the table that ``predict.py`` writes while it goes on."""

from __future__ import annotations

import contextlib
import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

from paddle_pose.files import as_utf8, atomic, json_text, write_text
from paddle_pose.inference.tracking import Kept
from paddle_pose.poses import alphapose_json
from paddle_pose.settings import INSTANCES

TABLE = "results.csv"


def result_files(form: str) -> tuple[str, str]:
    """Names of the results in a form of ``alphapose_json.FORMS``, and of the table."""
    return ("results.json" if form == "coco" else alphapose_json.FILE), TABLE


def counted(count: int, what: str) -> str:
    """``1 pose``, ``2 poses``."""
    return f"{count} {what}{'' if count == 1 else 's'}"


class Written:
    """What was found so far, in files that get their names at the end: a camera has none."""

    def __init__(
        self,
        output: Path,
        joints: Sequence[str],
        min_score: float,
        *,
        form: str = "coco",
        tracked: bool = False,
    ) -> None:
        """``tracked``: the numbers are of ``--track``, which records call ``track_id``."""
        self.pictures = self.poses = self.bare = 0
        self._min_score, self._form, self._tracked = min_score, form, tracked
        self.failures: list[str] = []
        self._output, self._stack = output, contextlib.ExitStack()
        self._files: list[BinaryIO] = []
        self._entries = 0
        self._parts: set[str] = set()
        sides = ("crop_left", "crop_top", "crop_width", "crop_height")
        columns = [f"{joint}_{what}" for joint in joints for what in ("x", "y", "score")]
        self._head = ["file", "frame", "image_id", "person", "track", "score", *sides, *columns]

    def add(self, kept: Kept, name: str, frame: int | None, picture: str) -> None:
        """The poses of one picture; Raises UserError, and then there will be no files.

        Args:
            kept: what was found.
            name: of the photo or video.
            frame: of a video.
            picture: what AlphaPose's forms call the picture.
        """
        poses, tracks = kept.poses, kept.numbers
        records: list[dict[str, Any]] = []
        rows: list[list[Any]] = [] if self.pictures else [[*self._head]]
        for person, record in enumerate(poses.to_coco()):
            track = None if tracks is None else int(tracks[person])
            more: dict[str, Any] = {} if frame is None else {"frame": frame}
            if track is not None:
                more["track_id" if self._tracked else "track"] = track
            if poses.instances.any():
                whose = INSTANCES[poses.instances[person]]
                more |= {"box": int(poses.rows[person]) + 1, "instance": whose}
            records.append({**record, "file_name": name, **more})
            box = [round(value, 2) for value in poses.boxes_xywh[person].tolist()]
            joints = [round(value, 4) for value in poses.keypoints[person].ravel().tolist()]
            score = round(record["score"], 4)
            rows.append([name, frame, record["image_id"], person + 1, track, score, *box, *joints])
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows)
        if not self._files:
            files = [atomic(self._output / name) for name in result_files(self._form)]
            self._files = [self._stack.enter_context(file) for file in files]
            self._brackets = "{}" if self._form in alphapose_json.KEYS else "[]"
        entries = json_text(self._in_form(kept, records, picture))[1:-1]
        start = ("" if self.pictures else self._brackets[0]) + (
            ", " if self._entries and records else ""
        )
        self._put(start + entries, text.getvalue())
        self._entries += bool(records)
        self.pictures, self.poses = self.pictures + 1, self.poses + len(records)
        self.bare += int((poses.keypoints[:, :, 2] < self._min_score).all(1).sum())

    def _in_form(self, kept: Kept, records: list[dict[str, Any]], picture: str) -> Any:
        """A list or an object, to be joined with those of other pictures."""
        poses = kept.poses
        if self._form == "coco" or not len(poses):
            return records
        if self._form in alphapose_json.KEYS:
            one = alphapose_json.picture(poses.keypoints, self._form)
            name = alphapose_json.stem(picture)
            if name in self._parts:  # a.jpg and a.png, which the reference writes into one file
                name = alphapose_json.flat(picture)
            while name in self._parts:  # a/b.jpg and a_b.jpg
                name += "_"
            self._parts.add(name)
            write_text(self._output / alphapose_json.FOLDER / f"{name}.json", json_text(one))
            return {picture: one}
        ids = kept.numbers.tolist() if self._tracked and kept.numbers is not None else None
        named = picture if self._form == "alphapose" else int(poses.image_ids[0])
        return alphapose_json.records(named, poses.keypoints, poses.scores, kept.boxes_xywh, ids)

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
            self._put(f"{self._brackets[1]}\n", "")
            self._stack.close()

    def _put(self, *texts: str) -> None:
        try:
            for file, text in zip(self._files, texts, strict=True):
                file.write(as_utf8(text))
        except OSError as error:
            self._files = []
            self._stack.__exit__(type(error), error, error.__traceback__)  # removes both, raises
