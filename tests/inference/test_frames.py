"""People of many pictures share batches, and come back to their pictures in order."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from paddle_pose.inference.frames import Frame, ahead, look
from paddle_pose.inference.people import cut_out
from paddle_pose.poses.poses import Poses
from paddle_pose.skeletons import MPII16


class Toy:
    """Notes its batches; a joint's score is the crop's first value."""

    skeleton = MPII16
    instances = 1
    whole = False

    def __init__(self) -> None:
        self.batches: list[int] = []

    def found(self, people, *, maps):
        self.batches.append(len(people))
        keypoints = np.zeros((len(people), 16, 3))
        keypoints[..., 2] += people.crops[0][:, 32, 32, :1]
        cells = people.crops[0][:, None, :, :, 0] if maps else None
        return Poses.at(people.place, keypoints), cells


def frames(counts):
    """Pictures of one grey each, with so many people."""
    for number, count in enumerate(counts):
        pixels = np.full((100, 100, 3), number, np.uint8)
        boxes = np.array([[10, 10, 80, 80]] * count, float).reshape(-1, 4)
        yield Frame(pixels, cut_out(pixels, boxes, (64, 64), [1.0], 50 + number), number)


@pytest.mark.parametrize(
    ("counts", "batches"),
    [
        ([1, 2, 0, 3, 1], [4, 3]),
        ([9], [4, 4, 1]),
        ([0, 0], []),
        ([4, 4], [4, 4]),
        ([], []),
        ([3, 6, 0], [4, 4, 1]),
    ],
)
def test_batches_are_full_and_pictures_whole(counts, batches):
    predictor = Toy()
    seen = list(look(predictor, frames(counts), batch_size=4, maps=True))
    assert predictor.batches == batches
    assert [one.frame.number for one in seen] == list(range(len(counts)))
    for number, (one, count) in enumerate(zip(seen, counts, strict=True)):
        assert len(one.poses) == count
        assert (one.poses.keypoints[..., 2] == number).all()
        assert (one.poses.image_ids == 50 + number).all()
        assert one.poses.rows.tolist() == list(range(count))
        assert (one.maps is None) if count == 0 else (one.maps[:, 0, 32, 32] == number).all()


def test_pictures_without_people_do_not_pile_up():
    """One person, then nobody for long: the picture comes out before the batch is full."""
    predictor, given = Toy(), []

    def coming():
        for frame in frames([1, *[0] * 20]):
            given.append(frame.number)
            yield frame

    seen = look(predictor, coming(), batch_size=4)
    assert next(seen).frame.number == 0
    assert len(given) == 5
    assert [one.frame.number for one in seen] == list(range(1, 21))
    assert predictor.batches == [1]


def test_work_goes_ahead_but_not_too_far():
    begun = []
    lock = threading.Lock()

    def work(item):
        with lock:
            begun.append(item)
        return item * item

    with ThreadPoolExecutor(2) as pool:
        coming = ahead(pool, work, iter(range(100)), 3)
        assert next(coming).result() == 0
        assert len(begun) <= 3
        assert [future.result() for future in coming] == [n * n for n in range(1, 100)]
