"""The house is open: three ways of estimating poses that the package does not know, added here.

(a) coordinates instead of maps, with a codec and a loss of two parts of their own; (b) whole images
with several people each and no rows; (c) two poses a box. Each trains by the library, is killed and
resumed, predicts to disk and is scored by an evaluator of its own. ``python test_extension.py KIND
FOLDER`` is one such run; KILL_AT=epoch,index kills it at a sample.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import paddle
import pytest
from paddle import nn
from paddle.nn import functional as F
from safetensors.numpy import load_file

from paddle_pose.codecs.views import View
from paddle_pose.data.samples import Sample
from paddle_pose.evaluation.evaluator import Evaluator, Scores
from paddle_pose.evaluation.task import Task
from paddle_pose.models.blocks import PoseNetwork
from paddle_pose.poses.poses import NO_ROW, Place, Poses
from paddle_pose.recipes.recipe import Recipe
from paddle_pose.settings import Benchmark, DataSettings, TrainSettings
from paddle_pose.skeletons import Skeleton

ROOT = Path(__file__).parents[1]
SIZE_PX = 32
PICTURES = 8
JOINTS = Skeleton("toy2", ("left_end", "right_end"), (("left_end", "right_end"),), ())


def dots(seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """A black picture with so many white dots, and their places (count, 2)."""
    rng = np.random.default_rng(seed)
    places = rng.uniform(6, SIZE_PX - 7, (count, 2))
    y, x = np.mgrid[:SIZE_PX, :SIZE_PX]
    lit = sum(np.exp(-((x - px) ** 2 + (y - py) ** 2) / 8) for px, py in places)
    grey = np.clip(255 * lit, 0, 255).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, 2), places


def whole_place(image_id: int, row: int, joints_xy: np.ndarray) -> Place:
    """Of a picture that is its own crop."""
    middle = np.full(2, SIZE_PX / 2)
    size = np.full(2, SIZE_PX / 200)
    ids = np.int64(image_id), np.int64(row)
    return Place(middle, size, *ids, joints_xy, np.ones(len(joints_xy)))


@dataclass(frozen=True)
class Dots:
    """Pictures with dots as samples of any codec; ``rows`` says whether people have rows."""

    codec: object
    count: int
    rows: bool = True
    with_targets: bool = True

    def __len__(self) -> int:
        return PICTURES

    def people(self, index: int) -> int:
        """Dots of a picture: whole images have one to ``count`` of them."""
        return self.count if self.rows else 1 + index % self.count

    def __getitem__(self, key: int | tuple[int, int]) -> Sample:
        epoch, index = key if isinstance(key, tuple) else (0, key)
        if os.environ.get("KILL_AT") == f"{epoch},{index}" and self.with_targets:
            os.kill(os.getpid(), signal.SIGKILL)
        picture, places = dots(index, self.people(index))
        targets = {}
        if self.with_targets:
            targets = self.codec.encode(places, np.ones(len(places)), (SIZE_PX, SIZE_PX))
        row = index if self.rows else NO_ROW
        seen = places if self.with_targets and self.rows else np.empty((0, 2))
        return Sample(picture, targets, whole_place(index, row, seen))


class DotsEvaluator(Evaluator):
    """Minus the mean distance in pixels of joints from those found, and how many were found."""

    skeleton = JOINTS
    score_names = ("Closeness", "Found")

    def __init__(self, samples: Dots, benchmark: Benchmark) -> None:
        """Of these samples."""
        self._samples, self.benchmark = samples, benchmark

    def samples(self, scale: float) -> Dots:
        """The same pictures, whatever the scale."""
        return self._samples

    def score(self, found: object, *, resamples: int = 0, seed: int = 0) -> Scores:
        """From what ``read`` gave."""
        poses, distances = found.poses, []
        for image_id in range(PICTURES):
            _, truth = dots(image_id, self._samples.people(image_id))
            here = poses.keypoints[poses.image_ids == image_id][:, :, :2].reshape(-1, 2)
            if len(here):
                apart = np.linalg.norm(truth[:, None] - here[None], axis=2)
                distances.append(apart.min(1).mean())
        mean = float(np.mean(distances)) if distances else SIZE_PX
        return Scores({"Closeness": -mean, "Found": float(len(poses))})


# (a) coordinates


class Ends(NamedTuple):
    """Where the joints are, in halves of the picture's size, and how sure that is."""

    coordinates_BJ2: paddle.Tensor
    sureness_BJ: paddle.Tensor


@dataclass(frozen=True)
class EndsNet:
    """The numbers of either network here."""

    width: int = 4


class EndsNetwork(PoseNetwork):
    """(B, 3, H, W) -> [Ends]."""

    def __init__(self, config: EndsNet) -> None:
        """As the numbers say."""
        super().__init__()
        self.conv = nn.Conv2D(3, config.width, 3, stride=4, padding=1)
        self.ends = nn.Linear(config.width * (SIZE_PX // 4) ** 2, 4)
        self.sureness = nn.Linear(config.width * (SIZE_PX // 4) ** 2, 2)

    def forward(self, images_BCHW: paddle.Tensor) -> list[Ends]:
        """Two joints a picture."""
        flat = F.relu(self.conv(images_BCHW)).flatten(1)
        return [Ends(self.ends(flat).reshape([-1, 2, 2]), self.sureness(flat))]


@dataclass(frozen=True)
class EndsCodec:
    """Coordinates as they are."""

    half_px: float = SIZE_PX / 2

    def encode(
        self, joints_xy: np.ndarray, visible: np.ndarray, image_size_wh: tuple[int, int]
    ) -> dict[str, np.ndarray]:
        """Joints in halves of the picture's size from its middle."""
        places = (joints_xy - self.half_px) / self.half_px
        return {"ends": places.astype(np.float32), "seen": visible.astype(np.float32)}

    def decode(
        self, views: Sequence[View], place: Place, benchmark: Benchmark, flip_order: np.ndarray
    ) -> Poses:
        """The inverse."""
        outputs = views[0].outputs
        xy = outputs["coordinates"] * self.half_px + self.half_px
        return Poses.at(place, np.concatenate([xy, outputs["sureness"][..., None]], 2))


def ends_loss(
    outputs: Sequence[Ends], targets: dict[str, paddle.Tensor]
) -> dict[str, paddle.Tensor]:
    """Two parts."""
    final = outputs[-1]
    place = (final.coordinates_BJ2 - targets["ends"]).square().mean()
    return {"place": place, "sureness": 0.1 * (final.sureness_BJ - targets["seen"]).square().mean()}


# (b) whole images, and (c) two poses a box: maps


class Maps(NamedTuple):
    """One map for whoever stands first, one for the second."""

    heatmaps_B1HW: paddle.Tensor
    second_heatmaps_B1HW: paddle.Tensor


class MapsNetwork(PoseNetwork):
    """(B, 3, H, W) -> [Maps]."""

    def __init__(self, config: EndsNet) -> None:
        """As the numbers say."""
        super().__init__()
        self.conv = nn.Conv2D(3, config.width, 3, padding=1)
        self.head = nn.Conv2D(config.width, 2, 3, padding=1)

    def forward(self, images_BCHW: paddle.Tensor) -> list[Maps]:
        """Two maps a picture."""
        maps = self.head(F.relu(self.conv(images_BCHW)))
        return [Maps(maps[:, :1], maps[:, 1:])]


def spot(x: float, y: float) -> np.ndarray:
    """(1, H, W) Gaussian of two pixels."""
    rows, columns = np.mgrid[:SIZE_PX, :SIZE_PX]
    return np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 8)[None].astype(np.float32)


def joint_at(maps_HW: np.ndarray, cell: int) -> np.ndarray:
    """(2, 3): both joints of the toy's people on one cell."""
    y, x = divmod(int(cell), SIZE_PX)
    return np.tile([x, y, float(maps_HW.reshape(-1)[cell])], (2, 1))


@dataclass(frozen=True)
class CrowdCodec:
    """Every dot of a picture a person: as many poses as there are peaks."""

    threshold: float = 0.2

    def encode(
        self, joints_xy: np.ndarray, visible: np.ndarray, image_size_wh: tuple[int, int]
    ) -> dict[str, np.ndarray]:
        """All dots on both maps."""
        whole = np.max([spot(x, y) for x, y in joints_xy], axis=0)
        return {"heatmaps": whole, "second_heatmaps": whole}

    def decode(
        self, views: Sequence[View], place: Place, benchmark: Benchmark, flip_order: np.ndarray
    ) -> Poses:
        """Peaks above the threshold; a picture may have none."""
        parts = [Poses.none(2)]
        for number, maps in enumerate(views[0].outputs["heatmaps"][:, 0]):
            inner = maps[1:-1, 1:-1]
            near = [
                maps[1 + dy : SIZE_PX - 1 + dy, 1 + dx : SIZE_PX - 1 + dx]
                for dy in (-1, 0, 1)
                for dx in (-1, 0, 1)
                if dy or dx
            ]
            ys, xs = np.nonzero((inner > np.max(near, axis=0)) & (inner > self.threshold))
            cells = (ys + 1) * SIZE_PX + xs + 1
            if len(cells):
                one = Place(*(np.repeat(v[number : number + 1], len(cells), 0) for v in place))
                parts.append(Poses.at(one, np.stack([joint_at(maps, cell) for cell in cells])))
        return Poses.joined(parts)


@dataclass(frozen=True)
class PairCodec:
    """Two dots in a box: the left one owns it."""

    def encode(
        self, joints_xy: np.ndarray, visible: np.ndarray, image_size_wh: tuple[int, int]
    ) -> dict[str, np.ndarray]:
        """The left dot on the first map, the right one on the second."""
        (first, second) = joints_xy[np.argsort(joints_xy[:, 0])]
        return {"heatmaps": spot(*first), "second_heatmaps": spot(*second)}

    def decode(
        self, views: Sequence[View], place: Place, benchmark: Benchmark, flip_order: np.ndarray
    ) -> Poses:
        """Two poses of each row, the owner's first."""
        both = []
        for instance, name in enumerate(("heatmaps", "second_heatmaps")):
            maps = views[0].outputs[name][:, 0]
            points = np.stack([joint_at(one, one.argmax()) for one in maps])
            poses = Poses.at(place, points)
            poses.instances[:] = instance
            both.append(poses)
        joined = Poses.joined(both)
        return joined.select(np.lexsort((joined.instances, joined.rows)))


def maps_loss(
    outputs: Sequence[Maps], targets: dict[str, paddle.Tensor]
) -> dict[str, paddle.Tensor]:
    """A part for each map."""
    final = outputs[-1]
    return {
        "owner": (final.heatmaps_B1HW - targets["heatmaps"]).square().mean(),
        "second": (final.second_heatmaps_B1HW - targets["second_heatmaps"]).square().mean(),
    }


class Kind(NamedTuple):
    """One of the three ways."""

    codec: object
    model: object
    network: type
    loss: object
    count: int
    rows: bool


KINDS = {
    "coordinates": Kind(EndsCodec(), EndsNet(), EndsNetwork, ends_loss, 2, True),
    "whole_images": Kind(CrowdCodec(), EndsNet(), MapsNetwork, maps_loss, 3, False),
    "two_in_a_box": Kind(PairCodec(), EndsNet(), MapsNetwork, maps_loss, 2, True),
}
BENCHMARK = Benchmark(name="toy", flip_test=False)


def parts_of(kind: str) -> tuple[Recipe, Task, PoseNetwork]:
    """Recipe, task and network of a way."""
    chosen = KINDS[kind]
    recipe = Recipe(
        name=kind,
        model=chosen.model,
        codec=chosen.codec,
        data=DataSettings(image_size_wh=(SIZE_PX, SIZE_PX)),
        train=TrainSettings(
            epochs=3, batch_size=4, learning_rate=0.01, log_every=1, save_every=1,
            select_metric="Closeness",
        ),
        benchmarks=(BENCHMARK,),
    )  # fmt: skip
    seen = Dots(chosen.codec, chosen.count, chosen.rows, with_targets=False)
    task = Task(
        Dots(chosen.codec, chosen.count, chosen.rows),
        DotsEvaluator(seen, BENCHMARK),
        facts={"train": {"people": PICTURES}, "valid": {"people": PICTURES}},
    )
    paddle.seed(1)
    return recipe, task, chosen.network(chosen.model)


def main(kind: str, folder: str) -> None:
    """Train, or go on; then predict to disk and score."""
    from paddle_pose import evaluate, train

    recipe, task, network = parts_of(kind)
    paths = Path(folder)
    best = train(
        recipe, task, paths / "run", network=network, loss=KINDS[kind].loss,
        resume=True, device="cpu", num_workers=0,
    )  # fmt: skip
    recipe, task, network = parts_of(kind)
    evaluate(
        recipe, best, task.evaluator, output=paths / "eval", network=network,
        num_workers=0, device="cpu",
    )  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_a_way_that_the_package_does_not_know(kind: str, tmp_path: Path):
    def run(folder: Path, **extra: str) -> subprocess.CompletedProcess:
        words = [sys.executable, __file__, kind, str(folder)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), **extra}
        return subprocess.run(words, env=environment, capture_output=True, text=True, check=False)

    whole = run(tmp_path / "whole")
    assert whole.returncode == 0, whole.stderr
    killed = run(tmp_path / "killed", KILL_AT="1,5")
    assert killed.returncode == -signal.SIGKILL
    resumed = run(tmp_path / "killed")
    assert resumed.returncode == 0, resumed.stderr
    assert "=> resumed at epoch" in resumed.stdout

    state = "run/last/checkpoint.safetensors"
    one, other = (load_file(tmp_path / name / state) for name in ("whole", "killed"))
    assert one.keys() == other.keys()
    assert all(np.array_equal(one[name], other[name]) for name in one)

    lines = [*map(json.loads, (tmp_path / "whole/run/metrics.jsonl").read_text().splitlines())]
    trained = [line for line in lines if line["kind"] == "train"]
    assert len(trained) == 6
    assert all(len(line["losses"]) == 2 for line in trained)
    assert all(line["loss"] == sum(line["losses"].values()) for line in trained)
    saved = json.loads((tmp_path / "whole/eval/predictions.json").read_text())["poses"]
    scores = json.loads((tmp_path / "whole/eval/scores.json").read_text())["values"]
    validated = [line for line in lines if line["kind"] == "eval"]
    # The best epoch's weights again, by the same path; metrics.jsonl keeps four decimals.
    assert round(scores["Closeness"], 4) == max(line["Closeness"] for line in validated)
    assert len(saved) == scores["Found"]
    if kind == "coordinates":
        assert [pose["row"] for pose in saved] == list(range(PICTURES))
    elif kind == "whole_images":
        assert {pose["row"] for pose in saved} <= {NO_ROW}
    else:
        assert [pose["instance"] for pose in saved] == [0, 1] * PICTURES


if __name__ == "__main__":
    main(*sys.argv[1:])
