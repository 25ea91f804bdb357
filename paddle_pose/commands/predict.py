"""Poses on one's own photos and videos: pictures, a COCO results file and a table."""

from __future__ import annotations

import itertools
import os
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from paddle_pose import drawing
from paddle_pose.data.images import read_rgb
from paddle_pose.errors import UserError
from paddle_pose.inference import bpnet_file
from paddle_pose.inference import engine as engines
from paddle_pose.inference.frames import Frame, Seen, ahead, closer, look
from paddle_pose.inference.people import FoundPoses, draw_maps
from paddle_pose.inference.predictor import PosePredictor
from paddle_pose.inference.results import RESULTS, Written
from paddle_pose.inference.sources import Photo, Video, sources_of
from paddle_pose.inference.video import OneEuro, Tracker, VideoFile
from paddle_pose.inference.where import Boxes, Where
from paddle_pose.names import require_apart, require_not_read, say_replaced
from paddle_pose.poses.poses import Poses
from paddle_pose.system import ending, runtime

MAPS = "heatmaps"
GPU_BATCH = 32

AHEAD = 8
"""Pictures that are read, and that are drawn, while the network computes."""


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
    """

    weights: Path | None = None
    recipe: str | None = None
    exported: Path | None = None
    device: str | None = None
    engine: str | None = None
    precision: str | None = None
    batch_size: int | None = None
    instances: int = 1

    def open(self, pictures: int | None) -> PosePredictor:
        """Ready for so many pictures, None where nobody knows it; Raises UserError."""
        device = "cpu" if self.exported else self.device or "auto"
        on_gpu = runtime.choose_device(device) != "cpu"
        size = self.batch_size or (GPU_BATCH if on_gpu else engines.PEOPLE_AT_A_TIME)
        if self.exported is not None:
            return PosePredictor.from_exported(
                self.exported, batch_size=size, instances=self.instances
            )
        precision = self.precision or "float32"
        many = engines.AUTO_PEOPLE if pictures is None else pictures
        return PosePredictor.from_weights(
            self.weights,
            self.recipe,
            engine=engines.choose(self.engine or "auto", precision, people=many),
            precision=precision,
            batch_size=size,
            instances=self.instances,
        )


@dataclass(frozen=True)
class Drawing:
    """What is drawn and written.

    Attributes:
        output: folder for all of it.
        min_score: joints below are not drawn; all of them are in the files.
        heatmaps: also a picture of each person's maps.
        smooth: filters the joints of a video's people.
    """

    output: Path
    min_score: float = drawing.DRAWN
    heatmaps: bool = False
    smooth: OneEuro | None = None


def predict(
    paths: Sequence[str], network: Network, where: Where, how: Drawing, *, limit: int | None = None
) -> int:
    """Draw and write the poses of everything that the paths name; the number of pictures.

    Args:
        paths: photos, folders, videos, camera indices.
        network: which one looks.
        where: how people are found.
        how: what is drawn and written.
        limit: of each video and camera the first so many frames.

    Raises:
        UserError: nothing to look at, an output that is read; at the end, when all else is
            written, for pictures that could not be read.
        ending.Stopped: by a signal, when what was found is written.
    """
    photos, videos = sources_of(paths, how.output)
    pictures = outputs(how.output, [photo.name for photo in photos], ".jpg")
    films = outputs(how.output, [video.name for video in videos], ".mp4")
    inputs = [photo.path for photo in photos] + [v.path for v in videos if v.path is not None]
    require_apart(how.output, inputs, "--output")
    planned = [*(how.output / name for name in RESULTS), *pictures, *films]
    reads = [network.weights, where.boxes, *_recipe_file(network.recipe)]
    require_not_read(planned, [*inputs, *reads])
    _require_meaning(how, limit, photos, videos, network.instances)
    boxes = None if where.sought else where.open(photos, videos)
    predictor = network.open(None if videos else len(photos))
    if boxes is None or predictor.whole:
        boxes = where.open(photos, videos, whole=predictor.whole)
    if predictor.whole and photos:
        planned.append(how.output / bpnet_file.FILE)
        require_not_read(planned, inputs)
    _make_folder(how.output)
    say_replaced(planned)
    written = Written(how.output, predictor.skeleton.joints, how.min_score)
    began = time.perf_counter()
    cv2.setNumThreads(0)  # its threads would only wait for ours, which work side by side
    with ending.politely():
        try:
            job = _Job(predictor, boxes, how, written, sought=where.sought)
            if photos:
                job.photos(photos, pictures)
            for video, film in zip(videos, films, strict=True):
                if not ending.asked():
                    job.video(video, film, limit)
            if predictor.whole and photos:
                facts = (predictor.skeleton, predictor.recipe, predictor.benchmark)
                bpnet_file.write(how.output / bpnet_file.FILE, photos, job.found, *facts)
        finally:
            written.close()
        number = ending.asked()
    seconds = time.perf_counter() - began
    rate = f"{written.pictures / max(seconds, 1e-9):.1f} a second"
    said = f"{written.summary()} ({rate})"
    if number:
        raise ending.Stopped(number, f"so far {said}")
    if written.pictures:
        print(f"=> {said}", flush=True)
    if failures := written.failures:
        rest = "; the rest is written" if written.pictures else ""
        raise UserError(
            f"left out {len(failures)} of {len(photos) + len(videos)}{rest}: {failures[0]}"
        )
    return written.pictures


def _require_meaning(
    how: Drawing, limit: int | None, photos: list[Photo], videos: list[Video], instances: int
) -> None:
    """Raises UserError for what is asked of photos and is for videos, and the other way round."""
    if instances > 1 and videos:
        raise UserError("--instances: is for photos; leave the videos and cameras out")
    if how.heatmaps and videos:
        raise UserError("--heatmaps: is for photos; leave the videos and cameras out")
    same = [photo for photo in photos if photo.name.lower().startswith(f"{MAPS}{os.sep}")]
    if how.heatmaps and same:
        raise UserError(
            f"--heatmaps: {same[0].path} would be drawn among the maps, which lie in {MAPS}/ too; "
            "give that folder alone"
        )
    for option, given in (("--smooth", how.smooth), ("--limit", limit)):
        if given is not None and not videos:
            raise UserError(f"{option}: is for videos and cameras, and there are only photos")


def _make_folder(folder: Path) -> None:
    """Before any work; Raises UserError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--output {folder}: cannot be made ({error.strerror or error})") from error


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
        *,
        sought: bool,
    ) -> None:
        self._predictor, self._boxes, self._how = predictor, boxes, how
        self._written, self._batch_size = written, predictor.batch_size
        self._sought = sought
        self.found: dict[int, Poses] = {}
        """Of photos, by image id, for a network that finds everybody."""
        self._noted: set[int] = set()
        self._threads = max(2, min(4, os.cpu_count() or 2))
        self._next_id = 1

    def photos(self, photos: list[Photo], pictures: list[Path]) -> None:
        """Look at photos; each becomes a picture."""
        self._next_id = max(photo.image_id for photo in photos) + 1
        self._noted = {photo.image_id for photo in photos} if self._predictor.whole else set()

        def read(number: int) -> Frame:
            photo = photos[number]
            pixels = read_rgb(photo.path, apply_exif=True)
            try:
                found = self._boxes(pixels, photo.image_id)
            except UserError as error:
                raise UserError(f"{photo.path}: {error}") from error
            people = self._predictor.people(pixels, found, photo.image_id)
            return Frame(pixels, people, number)

        def draw(seen: Seen) -> None:
            picture = pictures[seen.frame.number]
            drawn = seen.poses.draw(seen.frame.pixels, min_score=self._how.min_score)
            drawing.write_image(picture, drawn)
            for person, maps in enumerate(seen.maps if seen.maps is not None else ()):
                name = picture.relative_to(self._how.output).with_suffix("")
                path = self._how.output / MAPS / f"{name}_person{person + 1}.jpg"
                crop = seen.frame.people.crops[0][person]
                drawing.write_image(path, draw_maps(crop, maps, self._predictor.skeleton))

        bar = tqdm(total=len(photos), unit="photo", desc="predict", disable=None)
        with (
            bar,
            ThreadPoolExecutor(self._threads) as reading,
            ThreadPoolExecutor(self._threads) as drawers,
        ):
            frames = self._frames(ahead(reading, read, range(len(photos)), AHEAD), bar)
            work: deque[Future[None]] = deque()
            for seen in self._look(frames, self._batch_size):
                self._written.add(seen.poses, photos[seen.frame.number].name, None, None)
                work.append(drawers.submit(draw, seen))
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
        tracker = Tracker(frames.rate, self._how.smooth)

        def read(number: int) -> Frame | None:
            pixels = next(source, None)
            if pixels is None:
                return None
            image_id = first_id + number
            try:
                people = self._predictor.people(pixels, self._boxes(pixels, image_id), image_id)
            except UserError as error:
                raise UserError(f"{video.name}: frame {number}: {error}") from error
            return Frame(pixels, people, number)

        def draw(seen: Seen, poses: FoundPoses) -> np.ndarray:
            return poses.draw(seen.frame.pixels, min_score=self._how.min_score)

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
                ThreadPoolExecutor(self._threads) as drawers,
                ThreadPoolExecutor(1) as writing,
            ):
                live = video.path is None
                coming = ahead(reading, read, itertools.count(), 2 if live else AHEAD)
                work: deque[Future[None]] = deque()
                found = self._frames(coming, bar, to_first_fault=True)
                for seen in self._look(found, 1 if live else self._batch_size):
                    poses, numbers = tracker(seen.poses)
                    self._written.add(poses, video.name, seen.frame.number, numbers)
                    self._next_id = first_id + seen.frame.number + 1
                    drawn = drawers.submit(draw, seen, poses)
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

    def _look(self, frames: Iterator[Frame], batch_size: int) -> Iterator[Seen]:
        if self._sought:
            frames = closer(self._predictor, frames, batch_size=batch_size)
        for seen in look(self._predictor, frames, batch_size=batch_size, maps=self._how.heatmaps):
            if self._noted and (image_id := int(seen.frame.people.place.image_id[0])):
                self.found |= {image_id: seen.poses} if image_id in self._noted else {}
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
