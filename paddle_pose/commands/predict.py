"""Poses on one's own photos and videos: pictures, a COCO results file and a table."""

from __future__ import annotations

import contextlib
import itertools
import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from paddle_pose import drawing
from paddle_pose.commands.looking import Network
from paddle_pose.data.images import read_rgb
from paddle_pose.errors import UserError
from paddle_pose.inference.bpnet_file import Detections
from paddle_pose.inference.frames import Frame, Seen, ahead, closer, look
from paddle_pose.inference.people import Given, draw_maps
from paddle_pose.inference.predictor import PosePredictor
from paddle_pose.inference.results import Written, result_files
from paddle_pose.inference.sources import Photo, Video, sources_of
from paddle_pose.inference.tracking import (
    PHOTOS_RATE,
    Follower,
    Following,
    Kept,
    Suppression,
    in_order,
    picture_names,
)
from paddle_pose.inference.video import OneEuro, VideoFile
from paddle_pose.inference.where import Boxes, Where
from paddle_pose.names import require_apart, require_not_read, say_replaced
from paddle_pose.poses import alphapose_json
from paddle_pose.system import ending

MAPS = "heatmaps"

AHEAD = 8
"""Pictures that are read, and that are drawn, while the network computes."""


@dataclass(frozen=True)
class Drawing:
    """What is drawn and written.

    Attributes:
        output: folder for all of it.
        min_score: joints below are not drawn; all of them are in the files.
        heatmaps: also a picture of each person's maps.
        smooth: filters the joints of people who are followed.
        form: of the results, one of ``alphapose_json.FORMS``.
    """

    output: Path
    min_score: float = drawing.DRAWN
    heatmaps: bool = False
    smooth: OneEuro | None = None
    form: str = "coco"


def predict(
    paths: Sequence[str],
    network: Network,
    where: Where,
    how: Drawing,
    following: Following | None = None,
    *,
    limit: int | None = None,
) -> int:
    """Draw and write the poses of everything that the paths name; the number of pictures.

    Args:
        paths: photos, folders, videos, camera indices.
        network: which one looks.
        where: how people are found.
        how: what is drawn and written.
        following: which poses are left, and how people are followed; by default all, and by boxes.
        limit: of each video and camera the first so many frames.

    Raises:
        UserError: nothing to look at, an output that is read; at the end, when all else is
            written, for pictures that could not be read.
        ending.Stopped: by a signal, when what was found is written.
    """
    following = following or Following()
    photos, videos = sources_of(paths, how.output)
    photos = in_order(photos) if following.track else photos
    pictures = outputs(how.output, [photo.name for photo in photos], ".jpg")
    films = outputs(how.output, [video.name for video in videos], ".mp4")
    inputs = [photo.path for photo in photos] + [v.path for v in videos if v.path is not None]
    require_apart(how.output, inputs, "--output")
    planned = [*(how.output / name for name in result_files(how.form)), *pictures, *films]
    if how.form in alphapose_json.KEYS and where.boxes is not None:
        planned.append(how.output / alphapose_json.FOLDER / where.boxes.name)
    reads = [network.weights, where.boxes, *_recipe_file(network.recipe)]
    require_not_read(planned, [*inputs, *reads])
    _require_meaning(how, following, limit, photos, videos, network)
    predictor, boxes = network.looking_at(where, photos, videos)
    detections = Detections(how.output, predictor, photos)
    require_not_read(detections.files, inputs)
    suppress = Suppression(following.nms, predictor)
    if said := alphapose_json.require_form(how.form, predictor.skeleton):
        print(f"=> {said}", flush=True)
    new = _make_folder(how.output)
    say_replaced([*planned, *detections.files])
    joints, score = predictor.skeleton.joints, how.min_score
    written = Written(how.output, joints, score, form=how.form, tracked=following.track)
    began = time.perf_counter()
    cv2.setNumThreads(0)  # its threads would only wait for ours, which work side by side
    with ending.politely():
        try:
            parts = predictor, boxes, how, written, suppress, following, detections
            job = _Job(*parts, sought=where.sought, alone=len(photos) + len(videos) == 1)
            if photos:
                job.photos(photos, pictures)
            for video, film in zip(videos, films, strict=True):
                if not ending.asked():
                    job.video(video, film, limit)
            detections.write()
        finally:
            written.close()
            _remove_empty(new)
        number = ending.asked()
    seconds = time.perf_counter() - began
    rate = f"{written.pictures / max(seconds, 1e-9):.1f} a second"
    said = f"{written.summary()} ({rate})"
    if number:
        raise ending.Stopped(number, f"so far {said}")
    if written.pictures:
        print(f"=> {said}", flush=True)
        if went := suppress.summary():
            print(f"=> {went}", flush=True)
    if failures := written.failures:
        rest = "; the rest is written" if written.pictures else ""
        raise UserError(
            f"left out {len(failures)} of {len(photos) + len(videos)}{rest}: {failures[0]}"
        )
    return written.pictures


def _require_meaning(
    how: Drawing,
    following: Following,
    limit: int | None,
    photos: list[Photo],
    videos: list[Video],
    network: Network,
) -> None:
    """Raises UserError for what photos, videos or the network's joints cannot have."""
    if how.form in alphapose_json.KEYS and (known := network.joints()) is not None:
        alphapose_json.require_form(how.form, known)
    if network.instances > 1 and (videos or following.track):
        raise UserError("--instances: is for photos; leave the videos, cameras and --track out")
    if how.heatmaps and following.nms != "none":
        raise UserError("--heatmaps: shows what is in every box; --nms none leaves all poses")
    if how.heatmaps and videos:
        raise UserError("--heatmaps: is for photos; leave the videos and cameras out")
    same = [photo for photo in photos if photo.name.lower().startswith(f"{MAPS}{os.sep}")]
    if how.heatmaps and same:
        raise UserError(
            f"--heatmaps: {same[0].path} would be drawn among the maps, which lie in {MAPS}/ too; "
            "give that folder alone"
        )
    for option, given, enough in (("--smooth", how.smooth, following.track), ("--limit", limit, 0)):
        if given is not None and not (videos or enough):
            raise UserError(f"{option}: is for videos and cameras, and there are only photos")


def _make_folder(folder: Path) -> list[Path]:
    """Before any work; the folders that are new, innermost first; Raises UserError."""
    try:
        new = [one for one in (folder, *folder.parents) if not one.exists()]
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--output {folder}: cannot be made ({error.strerror or error})") from error
    return new


def _remove_empty(folders: Sequence[Path]) -> None:
    with contextlib.suppress(OSError):  # from the first one on that has something in it
        for one in folders:
            one.rmdir()


def _recipe_file(recipe: str | None) -> list[Path]:
    return [] if recipe is None else [Path(recipe)]


class _Job:
    """One run: pictures come in, and are drawn and written while the next ones are computed."""

    def __init__(
        self,
        predictor: PosePredictor,
        boxes: Boxes,
        how: Drawing,
        written: Written,
        suppress: Suppression,
        following: Following,
        detections: Detections,
        *,
        sought: bool,
        alone: bool,
    ) -> None:
        self._predictor, self._boxes, self._how = predictor, boxes, how
        self._written, self._batch_size = written, predictor.batch_size
        self._suppress, self._following = suppress, following
        self._sought, self._alone = sought, alone
        self._detections = detections
        self._threads = max(2, min(4, os.cpu_count() or 2))
        self._next_id = 1

    def photos(self, photos: list[Photo], pictures: list[Path]) -> None:
        """Look at photos; each becomes a picture."""
        self._next_id = max(photo.image_id for photo in photos) + 1

        def read(number: int) -> Frame:
            photo = photos[number]
            pixels = read_rgb(photo.path, apply_exif=True)
            try:
                given = self._boxes(pixels, photo.image_id)
                return self._frame(pixels, given, photo.image_id, number)
            except UserError as error:
                raise UserError(f"{photo.path}: {error}") from error

        def draw(kept: Kept) -> None:
            seen = kept.seen
            picture = pictures[seen.frame.number]
            drawn = self._drawn(kept)
            drawing.write_image(picture, drawn)
            for person, maps in enumerate(seen.maps if seen.maps is not None else ()):
                name = picture.relative_to(self._how.output).with_suffix("")
                path = self._how.output / MAPS / f"{name}_person{person + 1}.jpg"
                crop = seen.frame.people.crops[0][person]
                drawing.write_image(path, draw_maps(crop, maps, self._predictor.skeleton))

        bar = tqdm(total=len(photos), unit="photo", desc="predict", disable=None)
        names = picture_names(photos)
        follow = self._follow_photos(photos)
        with (
            bar,
            ThreadPoolExecutor(self._threads) as reading,
            ThreadPoolExecutor(1) as following,  # pictures come one after the other
            ThreadPoolExecutor(self._threads) as drawers,
        ):
            frames = self._frames(ahead(reading, read, range(len(photos)), AHEAD), bar)
            work: deque[Future[None]] = deque()
            looked = self._look(frames, self._batch_size)
            for future in ahead(following, follow, looked, 2):
                kept = future.result()
                number = kept.seen.frame.number
                self._written.add(kept, photos[number].name, None, names[number])
                work.append(drawers.submit(draw, kept))
                _wait(work, AHEAD)
                bar.update()
            _wait(work, 0)

    def video(self, video: Video, film: Path, limit: int | None) -> None:
        """Look at a video; it becomes a video."""
        try:
            frames = video.open()
        except UserError as error:
            self._left_out(error)
            return
        first_id = self._next_id
        source = itertools.islice(frames, limit)
        follow = Follower(self._suppress, self._following, frames.rate, self._how.smooth)

        def read(number: int) -> Frame | None:
            pixels = next(source, None)
            if pixels is None:
                return None
            image_id = first_id + number
            try:
                return self._frame(pixels, self._boxes(pixels, image_id), image_id, number)
            except UserError as error:
                raise UserError(f"{video.name}: frame {number}: {error}") from error

        def write(drawn: Future[np.ndarray]) -> None:
            target.write(drawn.result())

        total = min(filter(None, (frames.count, limit)), default=None)
        bar = tqdm(total=total, unit="frame", desc=video.name, disable=None)
        target = VideoFile(film, frames.size_wh, frames.rate)
        whole = False
        try:
            with (
                bar,
                ThreadPoolExecutor(1) as reading,  # frames come one after the other
                ThreadPoolExecutor(1) as following,
                ThreadPoolExecutor(self._threads) as drawers,
                ThreadPoolExecutor(1) as writing,
            ):
                live = video.path is None
                coming = ahead(reading, read, itertools.count(), 2 if live else AHEAD)
                work: deque[Future[None]] = deque()
                found = self._frames(coming, bar, to_first_fault=True)
                looked = self._look(found, 1 if live else self._batch_size)
                for future in ahead(following, follow, looked, 1 if live else 2):
                    kept = future.result()
                    number = kept.seen.frame.number
                    picture = f"{number}.jpg" if self._alone else f"{video.name}/{number}.jpg"
                    self._written.add(kept, video.name, number, picture)
                    self._next_id = first_id + number + 1
                    drawn = drawers.submit(self._drawn, kept)
                    work.append(writing.submit(write, drawn))
                    _wait(work, AHEAD)
                    bar.update()
                _wait(work, 0)
            seen_frames = self._next_id - first_id
            whole = seen_frames > 0
            if 0 < seen_frames < (total or 0) and not ending.asked():
                print(f"=> {video.name}: ended after {seen_frames} of {total} frames", flush=True)
        finally:
            target.close() if whole else target.drop()

    def _frame(self, pixels: np.ndarray, given: Given | None, image_id: int, number: int) -> Frame:
        boxes = None if given is None else given.boxes_xywh
        return Frame(pixels, self._predictor.people(pixels, boxes, image_id), number, given)

    def _drawn(self, kept: Kept) -> np.ndarray:
        numbers = kept.numbers if self._following.track else None
        pixels, least = kept.seen.frame.pixels, self._how.min_score
        return kept.poses.draw(pixels, min_score=least, numbers=numbers)

    def _follow_photos(self, photos: list[Photo]) -> Callable[[Seen], Kept]:
        """With ``--track`` each folder is a sequence of frames."""
        smooth, track = self._how.smooth, self._following.track
        if smooth is not None and track:
            print(f"assumed: --smooth: photos are {PHOTOS_RATE:g} frames a second", flush=True)
        rate = PHOTOS_RATE if track else None
        make = partial(Follower, self._suppress, self._following, rate, smooth)
        followers = {photo.path.parent: make() for photo in photos}
        return lambda seen: followers[photos[seen.frame.number].path.parent](seen)

    def _look(self, frames: Iterator[Frame], batch_size: int) -> Iterator[Seen]:
        if self._sought:
            frames = closer(self._predictor, frames, batch_size=batch_size)
        for seen in look(self._predictor, frames, batch_size=batch_size, maps=self._how.heatmaps):
            self._detections.add(seen)
            yield seen

    def _left_out(self, error: UserError) -> None:
        self._written.failures.append(str(error))
        tqdm.write(f"left out: {error}")

    def _frames(
        self, coming: Iterator[Future[Any]], bar: tqdm, *, to_first_fault: bool = False
    ) -> Iterator[Frame]:
        """What could be read, until the end or a signal."""
        for future in coming:
            if ending.asked():
                future.cancel()
                return
            try:
                frame = future.result()
            except UserError as error:
                self._left_out(error)
                if to_first_fault:
                    return
                bar.update()
                continue
            if frame is None:
                return
            yield frame


def _wait(work: deque[Future[None]], most: int) -> None:
    """Until at most so many are under way; raises what they raised."""
    while len(work) > most:
        work.popleft().result()


def outputs(folder: Path, names: Sequence[str], suffix: str) -> list[Path]:
    """A file for each name, in its own sub-folder, and none twice: ``a.jpg``, ``a.png.jpg``."""
    taken: set[str] = set()
    files = []
    for name in names:
        path, number = Path(name).with_suffix(suffix), 1
        if str(path).lower() in taken and Path(name).suffix.lower() != suffix:
            path = Path(name + suffix)
        while str(path).lower() in taken:
            number += 1
            path = path.with_name(f"{Path(name).stem}_{number}{suffix}")
        taken.add(str(path).lower())
        files.append(folder / path)
    return files
