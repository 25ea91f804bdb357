"""The order of a run: a function of seed and epoch, whatever the workers and the start."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import paddle
import pytest

from paddle_pose.codecs.heatmap import HeatmapCodec
from paddle_pose.data import mpii
from paddle_pose.data import workers as workers_of
from paddle_pose.data.loader import (
    evaluation_batches,
    steps_per_epoch,
    training_batches,
)
from paddle_pose.data.order import epoch_order
from paddle_pose.data.samples import Sample, start_worker
from paddle_pose.data.top_down import PersonCrops
from paddle_pose.errors import Fault, UserError
from paddle_pose.poses.poses import Place
from paddle_pose.settings import AugmentSettings, DataSettings


@pytest.fixture(scope="module")
def crops(small_people) -> PersonCrops:
    data = DataSettings(image_size_wh=(64, 64))
    table = mpii.load(small_people, "train")
    return PersonCrops(table, data, HeatmapCodec(), augment=AugmentSettings(), seed=7)


def stream(crops: PersonCrops, workers: int, start: tuple[int, int] = (0, 0)) -> list[tuple]:
    batches = training_batches(
        crops, batch_size=5, epochs=2, start=start, seed=7, num_workers=workers
    )
    return [
        (b.epoch, b.step, b.place.row.tolist(), b.images.numpy(), b.targets["heatmaps"].numpy())
        for b in batches
    ]


def assert_same(left: list[tuple], right: list[tuple]) -> None:
    assert [b[:3] for b in left] == [b[:3] for b in right]
    for one, other in zip(left, right, strict=True):
        np.testing.assert_array_equal(one[3], other[3])
        np.testing.assert_array_equal(one[4], other[4])


def test_workers_change_nothing(crops):
    whole = stream(crops, 0)
    assert_same(whole, stream(crops, 2))
    seen = sorted(index for b in whole[:5] for index in b[2])
    assert seen == list(range(24))  # each person once per epoch
    assert whole[0][2] != whole[5][2]  # another order in the next epoch
    first = {b[0]: b[3] for b in whole if b[1] == 0}
    assert not np.array_equal(first[0], first[1])


def test_a_later_start_gives_the_rest(crops):
    assert_same(stream(crops, 0)[7:], stream(crops, 1, start=(1, 2)))


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux's")
def test_a_worker_ends_with_its_process_whatever_it_waits_for():
    code = """if True:
        import os, time
        from paddle_pose.data.samples import start_worker
        worker = os.fork()
        if worker == 0:
            start_worker()
            print(os.getpid(), flush=True)
            time.sleep(60)
        time.sleep(60)
    """
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    worker = Path("/proc", parent.stdout.readline().strip())
    assert worker.exists()
    parent.kill()
    parent.wait()
    # The pipe closes when the last process that holds it has ended: not before the sleep is over,
    # if the worker is left alone.
    began = time.monotonic()
    assert parent.stdout.read() == ""
    assert time.monotonic() - began < 30


def test_order_depends_on_seed_and_epoch_alone():
    np.testing.assert_array_equal(epoch_order(50, 1, 2), epoch_order(50, 1, 2))
    assert not np.array_equal(epoch_order(50, 1, 2), epoch_order(50, 1, 3))
    assert not np.array_equal(epoch_order(50, 1, 2), epoch_order(50, 2, 2))


def test_evaluation_sees_everybody_in_order(crops):
    test = PersonCrops(crops.table, DataSettings(image_size_wh=(64, 64)), HeatmapCodec())
    indices = [b.place.row for b in evaluation_batches(test, batch_size=7, num_workers=2)]
    np.testing.assert_array_equal(np.concatenate(indices), np.arange(24))


@pytest.mark.parametrize("workers", [0, 1])
def test_places_never_become_tensors(crops, workers, monkeypatch):
    """On a GPU a tensor's way back to the host waits for all work there."""
    made = []
    to_tensor = paddle.to_tensor
    monkeypatch.setattr(paddle, "to_tensor", lambda v: made.append(v.shape) or to_tensor(v))

    def refuse(*arguments: object) -> None:
        raise AssertionError("a tensor went back to the host")

    monkeypatch.setattr(paddle.Tensor, "__array__", refuse)
    monkeypatch.setattr(paddle.Tensor, "numpy", refuse)
    batch = next(evaluation_batches(crops, batch_size=3, num_workers=workers))
    sample = crops[2]
    for column, value in zip(batch.place, sample.place, strict=True):
        assert isinstance(column, np.ndarray)
        assert column.dtype == np.asarray(value).dtype
        np.testing.assert_array_equal(column[2], value)
    assert len(made) == 3


class Foreign:
    """Samples of somebody else, with names and types of their own."""

    def __init__(self, broken: int = -1) -> None:
        self.broken = broken

    def __len__(self) -> int:
        return 7

    def __getitem__(self, key: tuple[int, int]) -> Sample:
        epoch, index = key
        if index == self.broken:
            raise UserError("photo 4.jpg: broken")
        number = 10 * epoch + index
        targets = {"pafs": np.full((2, 3), number, np.float64), "count": np.int64(number)}
        one = np.array([number])
        place = Place(one, one, np.int64(index), np.int64(-1), np.empty((0, 2)), np.empty(0))
        return Sample(np.full((4, 4, 3), number, np.uint8), targets, place)


@pytest.mark.parametrize("workers", [0, 2])
def test_any_names_travel_alike(workers):
    batches = list(training_batches(Foreign(), batch_size=3, epochs=2, seed=1, num_workers=workers))
    assert [(b.epoch, b.step) for b in batches] == [(e, s) for e in range(2) for s in range(3)]
    for one in batches:
        numbers = 10 * one.epoch + one.place.image_id
        assert list(one.targets) == ["pafs", "count"]
        np.testing.assert_array_equal(one.targets["count"].numpy(), numbers)
        np.testing.assert_array_equal(one.targets["pafs"].numpy()[:, 1, 2], numbers)
        np.testing.assert_array_equal(one.images.numpy()[:, 0, 0, 0], numbers)
        assert one.targets["pafs"].dtype == paddle.float64
        assert one.place.joints_xy.shape == (len(numbers), 0, 2)


@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_of_a_sample_is_one_line(workers):
    batches = evaluation_batches(Foreign(broken=4), batch_size=3, num_workers=workers)
    assert next(batches).targets.keys() == {"pafs", "count"}
    with pytest.raises(UserError, match=r"^photo 4\.jpg: broken$"):
        list(batches)


def test_steps():
    assert steps_per_epoch(24, 5, drop_last=False) == 5
    assert steps_per_epoch(24, 5, drop_last=True) == 4
    with pytest.raises(UserError, match="batch"):
        steps_per_epoch(4, 5, drop_last=True)


def test_start_worker_takes_one_thread() -> None:
    threads = cv2.getNumThreads()
    try:
        start_worker()
        assert cv2.getNumThreads() <= 1
    finally:
        cv2.setNumThreads(threads)


class Odd(Foreign):
    """Samples that end their worker, or fail by a fault of the program."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how

    def __getitem__(self, key: tuple[int, int]) -> Sample:
        if key[1] == 4:
            if self.how == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            if self.how == "memory":
                raise MemoryError
            raise ZeroDivisionError("of mine")
        return super().__getitem__(key)

    def name_of(self, key: tuple[int, int]) -> str:
        return f"photo {key[1]}.jpg"


@pytest.mark.parametrize(
    ("how", "workers", "line"),
    [
        ("killed", 2, r"^a loader process was killed \(signal 9; out of memory\?\)"),
        ("bug", 2, r"^photo 4\.jpg, epoch 1: ZeroDivisionError: of mine"),
        ("bug", 0, r"^photo 4\.jpg, epoch 1: ZeroDivisionError: of mine"),
        ("memory", 2, r"memory ran out .* fewer --num_workers"),
    ],
)
def test_every_other_failure_is_a_fault(how, workers, line):
    batches = evaluation_batches(Odd(how), batch_size=3, num_workers=workers)
    next(batches)
    with pytest.raises(Fault, match=line) as fault:
        list(batches)
    assert fault.value.trace.count("Traceback") == (how == "bug")


def test_a_worker_that_sleeps_is_waited_for_aloud(monkeypatch, capfd):
    monkeypatch.setattr(workers_of, "PATIENCE_S", 0.0)
    batches = evaluation_batches(Foreign(), batch_size=1, num_workers=1)
    next(batches)
    (worker,) = multiprocessing.active_children()
    os.kill(worker.pid, signal.SIGSTOP)
    threading.Timer(3, os.kill, (worker.pid, signal.SIGCONT)).start()
    assert len(list(batches)) == 6
    assert f"loader process {worker.pid} stopped" in capfd.readouterr().err


def test_a_batch_larger_than_its_slot_goes_through_the_pipe(monkeypatch):
    monkeypatch.setattr(workers_of, "SLOT_BYTES", 4096)
    batches = evaluation_batches(Foreign(), batch_size=3, num_workers=2)
    assert [b.images.numpy()[0, 0, 0, 0] for b in batches] == [0, 3, 6]
    monkeypatch.setattr(workers_of, "_slot", lambda: None)
    batches = evaluation_batches(Foreign(), batch_size=3, num_workers=2)
    assert [b.images.numpy()[0, 0, 0, 0] for b in batches] == [0, 3, 6]


def test_no_named_shared_memory_and_no_process_is_left(crops):
    folder = Path("/dev/shm")  # noqa: S108
    before = set(folder.iterdir()) if folder.exists() else set()
    batches = training_batches(crops, batch_size=5, epochs=2, seed=7, num_workers=2)
    next(batches)
    mine = {f for f in set(folder.iterdir()) - before if str(os.getpid()) in f.name}
    assert not mine
    assert len(multiprocessing.active_children()) == 2
    batches.close()
    assert not multiprocessing.active_children()
