"""Pictures → poses: threads read and cut out ahead, and people of many pictures share batches."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from paddle_pose.codecs.views import View
from paddle_pose.errors import UserError
from paddle_pose.inference.people import FoundPoses, Given, People
from paddle_pose.inference.predictor import PosePredictor
from paddle_pose.poses.poses import Poses

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Frame:
    """A picture, and who is to be found in it.

    Attributes:
        pixels: (H, W, 3) uint8 RGB.
        people: cut out of it.
        number: of the photo among the photos, or of the frame in its video; from 0.
        given: boxes that the people were cut out by; None where nobody said any.
    """

    pixels: np.ndarray
    people: People
    number: int
    given: Given | None = None


@dataclass(frozen=True)
class Seen:
    """A picture and what was found; ``maps`` (P, J, h, w) where they were asked for."""

    frame: Frame
    poses: FoundPoses
    maps: np.ndarray | None


def ahead(
    pool: ThreadPoolExecutor,
    work: Callable[[Item], Result],
    items: Iterable[Item],
    depth: int,
) -> Iterator[Future[Result]]:
    """``work`` done on each item in their order, at most ``depth`` of them ahead."""
    waiting: deque[Future[Result]] = deque()
    for item in items:
        waiting.append(pool.submit(work, item))
        if len(waiting) >= depth:
            yield waiting.popleft()
    while waiting:
        yield waiting.popleft()


def closer(
    predictor: PosePredictor, frames: Iterable[Frame], *, batch_size: int
) -> Iterator[Frame]:
    """Frames of which nobody said where their one person is, cut out as a first look finds them."""
    if predictor.whole:  # it looks at all of it as it is
        yield from frames
        return
    for seen in look(predictor, frames, batch_size=batch_size):
        frame, joints = seen.frame, seen.poses.keypoints[seen.poses.instances == 0]
        image_id = int(frame.people.place.image_id[0])
        yield replace(frame, people=predictor.closer(frame.pixels, joints, image_id))


def look(
    predictor: PosePredictor, frames: Iterable[Frame], *, batch_size: int, maps: bool = False
) -> Iterator[Seen]:
    """The poses of each frame, in order, computed in full batches.

    Where few frames have people, no more than ``batch_size`` of them wait for a batch to fill.

    Raises:
        UserError: the network gives what are no numbers.
    """
    if predictor.whole:
        yield from _look_at_all(predictor, frames, maps=maps)
        return
    waiting: deque[Frame] = deque()
    cut: deque[People] = deque()
    done: deque[tuple[Poses, np.ndarray | None]] = deque()
    left = 0  # people in ``cut``
    for frame in frames:
        waiting.append(frame)
        if len(frame.people):
            cut.append(frame.people)
            left += len(frame.people)
        while left >= batch_size or (left > 0 and len(waiting) > batch_size):
            done.extend(_computed(predictor, _batch(cut, batch_size), maps))
            left -= batch_size
            yield from _finished(waiting, done, predictor)
        left = max(left, 0)
        yield from _finished(waiting, done, predictor)
    while left > 0:
        done.extend(_computed(predictor, _batch(cut, batch_size), maps))
        left -= batch_size
        yield from _finished(waiting, done, predictor)
    yield from _finished(waiting, done, predictor)


def _look_at_all(
    predictor: PosePredictor, frames: Iterable[Frame], *, maps: bool
) -> Iterator[Seen]:
    """Everybody in each frame, one after the other; poses are read while the next is computed."""
    if maps:
        raise UserError("--heatmaps: shows the maps of one person in a box; this network has none")

    def read(frame: Frame, views: list[View]) -> Seen:
        poses = predictor.decoded(views, frame.people)
        return Seen(frame, FoundPoses.of(poses, predictor.skeleton), None)

    def computed() -> Iterator[tuple[Frame, list[View]]]:
        for frame in frames:
            yield frame, predictor.views(frame.people)

    with ThreadPoolExecutor(1) as reading:
        for seen in ahead(reading, lambda both: read(*both), computed(), 2):
            yield seen.result()


def _batch(cut: deque[People], batch_size: int) -> list[People]:
    """The first people, at most so many; of the last picture perhaps only some."""
    parts: list[People] = []
    room = batch_size
    while cut and room:
        people = cut.popleft()
        if len(people) > room:
            cut.appendleft(people.part(slice(room, None)))
            people = people.part(slice(0, room))
        parts.append(people)
        room -= len(people)
    return parts


def _computed(
    predictor: PosePredictor, parts: list[People], maps: bool
) -> list[tuple[Poses, np.ndarray | None]]:
    """Poses of each part, of one forward pass."""
    poses, cells = predictor.found(People.joined(parts), maps=maps)
    found, start, each = [], 0, predictor.instances
    for part in parts:
        own = slice(start, start := start + len(part))
        rows = np.arange(own.start * each, own.stop * each)
        found.append((poses.select(rows), None if cells is None else cells[own]))
    return found


def _finished(
    waiting: deque[Frame],
    done: deque[tuple[Poses, np.ndarray | None]],
    predictor: PosePredictor,
) -> Iterator[Seen]:
    """The first frames, as far as all their people are done."""
    while waiting:
        frame, parts, count = waiting[0], [], 0
        for poses, cells in done:
            if count >= len(frame.people):
                break
            parts.append((poses, cells))
            count += len(poses) // predictor.instances
        if count < len(frame.people):
            return
        waiting.popleft()
        for _ in parts:
            done.popleft()
        none = Poses.none(len(predictor.skeleton))
        joined = Poses.joined([none, *(poses for poses, _ in parts)])
        maps = [cells for _, cells in parts if cells is not None]
        yield Seen(
            frame,
            FoundPoses.of(joined, predictor.skeleton),
            np.concatenate(maps) if maps else None,
        )
