"""What poses are looked for in: photos, folders, videos and cameras, as one list."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

import cv2
import numpy as np

from paddle_pose.data.archives import ENDINGS
from paddle_pose.errors import UserError

VIDEO_ENDINGS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv")


@dataclass(frozen=True)
class Photo:
    """One picture.

    Attributes:
        path: of the file.
        name: below the folder that was given; of a single file its own name.
        image_id: the number that its name ends in, or its place in the list.
        by_name: whether it is the former.
    """

    path: Path
    name: str
    image_id: int
    by_name: bool = True


@dataclass(frozen=True)
class Video:
    """A video file, or a camera by its index.

    Attributes:
        path: of the file; None for a camera.
        name: of the file, or ``camera0``.
        camera: its index; -1 for a file.
    """

    path: Path | None
    name: str
    camera: int = -1

    def open(self) -> Frames:
        """Its frames; Raises UserError where it cannot be played."""
        return Frames(self)


class Frames:
    """The frames of a video, one after the other.

    Attributes:
        size_wh, rate, count: of the frames; 0 of them where the file does not say.
    """

    def __init__(self, video: Video) -> None:
        where = f"camera {video.camera}" if video.path is None else str(video.path)
        os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # the error below says enough
        quiet = getattr(cv2, "setLogLevel", None) or cv2.utils.logging.setLogLevel  # OpenCV 4, 5
        quiet(0)
        if video.path is None:
            self._capture = cv2.VideoCapture(video.camera)
        else:
            self._capture = cv2.VideoCapture(str(video.path))
        opened = self._capture.isOpened()
        self._first = self._next() if opened else None
        if self._first is None:
            self._capture.release()
            hint = "is one connected, and not in use?" if video.path is None else "is it a video?"
            raise UserError(f"{where}: cannot be played; {hint}")
        self.size_wh = self._first.shape[1], self._first.shape[0]
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.rate = float(rate) if 0 < rate < 1000 else 25.0
        if self.rate != rate:
            print(f"assumed: {where}: 25 frames a second, as it says {rate:g}", flush=True)
        count = self._capture.get(cv2.CAP_PROP_FRAME_COUNT) if video.path is not None else 0
        self.count = int(count) if 0 < count < 1 << 31 else 0

    def __iter__(self) -> Iterator[np.ndarray]:
        """(H, W, 3) uint8 RGB each."""
        frame = self._first
        try:
            while frame is not None:
                yield frame
                frame = self._next()
        finally:
            self._capture.release()

    def _next(self) -> np.ndarray | None:
        ok, frame = self._capture.read()
        return cv2.cvtColor(frame, cv2.COLOR_BGR2RGB) if ok and frame is not None else None


def sources_of(
    words: Sequence[str], output: Path, *, say: bool = True
) -> tuple[list[Photo], list[Video]]:
    """Photos and videos of the given paths, folders with all below them, each file once.

    What lies in ``output`` is of an earlier run and left out, which ``say`` tells; a number is a
    camera.

    Raises:
        UserError: a path that is not there, a file of another kind, nothing at all.
    """
    photos: dict[str, tuple[Path, str]] = {}
    videos: dict[str, Video] = {}
    left_out = 0
    place = os.path.realpath(output) + os.sep
    for word in words:
        path = Path(word)
        if not word:
            raise UserError("PATH: is empty; is a variable of the shell not set?")
        if re.fullmatch(r"\d{1,3}", word) and not path.exists():
            videos[f"camera {int(word)}"] = Video(None, f"camera{int(word)}", int(word))
            continue
        for file, name in _files(path):
            real = os.path.realpath(file)
            if path.is_dir() and real.startswith(place):
                left_out += 1
            elif file.suffix.lower() in VIDEO_ENDINGS:
                videos.setdefault(real, Video(file, name))
            else:
                photos.setdefault(real, (file, name))
    if left_out and say:
        print(f"=> left out {left_out} files in {output}, which are of an earlier run", flush=True)
    if not photos and not videos:
        raise UserError("nothing to look at: name photos, folders, videos or a camera's index")
    return _numbered(list(photos.values())), list(videos.values())


def _files(path: Path) -> list[tuple[Path, str]]:
    """Photos and videos with their names; of a folder all below it, but hidden ones."""
    endings = (*ENDINGS, *VIDEO_ENDINGS)
    try:
        if path.is_dir():
            below = ((file, file.relative_to(path)) for file in sorted(path.rglob("*")))
            files = [
                (file, str(name))
                for file, name in below
                if file.suffix.lower() in endings and file.is_file()
                if not any(part.startswith(".") for part in name.parts)
            ]
            if not files:
                raise UserError(f"{path}: no photos and no videos in this folder")
            return files
        if path.is_file():
            if path.suffix.lower() not in endings:
                kinds = " ".join(endings)
                raise UserError(f"{path}: neither a photo nor a video by its ending ({kinds})")
            return [(path, path.name)]
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error})") from error
    raise UserError(f"{path}: no such file or folder")


def _numbered(files: list[tuple[Path, str]]) -> list[Photo]:
    """Photos by the numbers that their names end in, as COCO's do; by their order where not."""
    ends = [end_number(name) for _, name in files]
    by_name = None not in ends and len({*ends}) == len(files)
    numbers = ends if by_name else range(1, len(files) + 1)
    return [Photo(*file, n or 0, by_name) for file, n in zip(files, numbers, strict=True)]


def end_number(name: str) -> int | None:
    """The number that the name of a photo ends in; None where it ends in none."""
    found = re.search(r"(\d{1,18})$", PurePath(name).stem)
    return int(found[1]) if found else None
