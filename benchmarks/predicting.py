"""predict.py on a folder of photos: wall time over that of the network alone, on the same crops.

python -m benchmarks.predicting                      (200 rendered photos of 1280×720, five pairs)
python -m benchmarks.predicting --weights FILE [--config RECIPE] [--photos DIR]

Both sides run in turn in one process, with one network that is ready: reading photos, cutting out,
drawing and writing are in the one, forward passes over the same crops in the same batches in the
other. ``cores``: processor time of the process over its wall time.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from paddle_pose.command_line import CommandLine
from paddle_pose.errors import EXIT_CODES, UserError, one_line_errors
from paddle_pose.system import runtime

SIZE_WH = (1280, 720)
TARGET = 1.15


def render(folder: Path, count: int) -> None:
    """So many photos of rendered people, as JPEG files."""
    from paddle_pose.synthetic.scene import draw_scene

    for number in range(count):
        rng = np.random.default_rng(number)
        image_bgr = cv2.resize(draw_scene(rng, 1, need_head=False)[0], SIZE_WH)
        name = str(folder / f"photo_{number:04}.jpg")
        cv2.imwrite(name, image_bgr, [cv2.IMWRITE_JPEG_QUALITY, 90])  # 110 kB; MPII's have 100


def small_network() -> Any:
    """As large as the packaged one: two stacks of 128 features on 128×128; drawn weights."""
    import paddle

    from paddle_pose import configs
    from paddle_pose.models.build import build
    from paddle_pose.recipes.recipe import override

    words = ["model.stacks=2", "model.features=128", "model.stem=32", "model.depth=4"]
    words += ["data.image_size_wh=[128,128]", "benchmarks=[{name: val, decoder: dark}]"]
    recipe = override(configs.load("quickstart:newell_hg1_synthetic"), words)
    paddle.seed(0)
    return build(recipe.model), recipe


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Wall and processor seconds of one run."""
    wall, busy = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - busy


def measure(
    predictor: Any, photos: Path, pairs: int
) -> Iterator[tuple[float, float, float, float]]:
    """Of each pair wall and processor seconds of the command, then of the network alone."""
    from paddle_pose.commands import predict as command

    class Ready(command.Network):
        def open(self, pictures: int | None) -> Any:
            return predictor

    def whole() -> None:
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
            how = command.Drawing(Path(folder) / "out")
            command.predict([str(photos)], Ready(), command.Where(), how)

    forward, seen = predictor._forward, []

    def kept(crops: np.ndarray) -> Any:
        seen.append(crops.copy())
        return forward(crops)

    predictor._forward = kept  # the crops of both looks, in the command's own batches
    try:
        whole()
    finally:
        predictor._forward = forward

    def alone() -> None:
        for crops in seen:
            forward(crops)

    alone()
    for _ in range(pairs):
        yield (*timed(whole), *timed(alone))


def parse(words: list[str] | None) -> argparse.Namespace:
    """The command line; Raises UserError."""
    parser = CommandLine(
        description=__doc__,
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--weights", type=Path, help="default: a network as large, drawn weights")
    parser.add_argument("--config", metavar="RECIPE", help="of the weights")
    parser.add_argument("--photos", type=Path, metavar="DIR", help="default: 200 rendered ones")
    parser.add_argument("--count", type=int, default=200, help="photos to render (200)")
    parser.add_argument("--pairs", type=int, default=5, help="runs of each side (5)")
    parser.add_argument("--engine", default="auto", help="auto (default), eager or onednn")
    given = parser.parse_args(words)
    if min(given.count, given.pairs) < 1:
        raise UserError("--count, --pairs: must be at least 1")
    return given


def main(words: list[str] | None = None) -> None:
    """Measure, and print a line for each pair and their medians."""
    with one_line_errors():
        given = parse(words)
        runtime.configure(quiet=True)
        runtime.import_paddle()
        from paddle_pose.inference import engine
        from paddle_pose.inference.predictor import PosePredictor

        with tempfile.TemporaryDirectory() as folder:
            photos = given.photos or Path(folder)
            if given.photos is None:
                render(photos, given.count)
            count = len([*photos.iterdir()])
            how = {"engine": engine.choose(given.engine, "float32", people=count)}
            if given.weights is None:
                predictor = PosePredictor(*small_network(), **how)
            else:
                predictor = PosePredictor.from_weights(given.weights, given.config, **how)
            print(f"=> {count} photos, {how['engine']}, load {os.getloadavg()[0]:.1f}", flush=True)
            found = []
            for wall, busy, alone, alone_busy in measure(predictor, photos, given.pairs):
                found.append((wall, busy, alone, alone_busy))
                print(
                    f"command {1e3 * wall / count:.2f} ms a photo ({busy / wall:.2f} cores), "
                    f"network {1e3 * alone / count:.2f} ({alone_busy / alone:.2f} cores): "
                    f"{wall / alone:.3f}",
                    flush=True,
                )
        ratio = statistics.median(wall / alone for wall, _, alone, _ in found)
        cost = statistics.median(busy / alone for _, busy, _, alone in found)
        print(
            f"=> wall time {ratio:.3f} of the network's alone (target {TARGET}), "
            f"processor time {cost:.3f}"
        )


if __name__ == "__main__":
    main()
