"""Weights or saved predictions to scores, predicted to disk first."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paddle_pose.codecs.codec import maps_of
from paddle_pose.commands.analyse import FILES, show
from paddle_pose.commands.record import RunFolder
from paddle_pose.configs import load
from paddle_pose.errors import UserError
from paddle_pose.evaluation import analysis, evaluator_for
from paddle_pose.evaluation.evaluator import Asked, DataFiles, Evaluator, Scores
from paddle_pose.files import leftovers, lock_folder, write_json
from paddle_pose.models.architectures import with_joints
from paddle_pose.names import require_not_read, require_plain
from paddle_pose.recipes.checks import require_sound
from paddle_pose.recipes.recipe import Recipe
from paddle_pose.system import ending, parallel, runtime
from paddle_pose.understood import NOTHING, Understood, counted

if TYPE_CHECKING:
    from paddle_pose.inference.exported import Exported
    from paddle_pose.models.blocks import PoseNetwork


def evaluate(
    recipe: str | Recipe,
    weights: str | Path | None,
    data: str | Path | DataFiles | Evaluator,
    *,
    predictions: str | Path | None = None,
    benchmark: str | None = None,
    output: str | Path | None = None,
    pixel_origin: int | None = None,
    made_by_recipe: bool = False,
    batch_size: int | None = None,
    num_workers: int | None = None,
    device: str | None = None,
    engine: str | None = None,
    precision: str | None = None,
    network: PoseNetwork | Exported | None = None,
    analyse: bool = False,
    understood: Understood = NOTHING,
) -> Scores | None:
    """Predict to disk, read from disk, score, and print the table and the [EVAL] line.

    Args:
        recipe: what the weights are of (a recipe, ``family:name`` or a ``.yaml`` file); its data
            settings say what is scored.
        weights: PyTorch's, Paddle's or our own, in any format; None with ``predictions``,
            or with a ``network`` that has its weights.
        data: the data set's folder, its files, or an evaluator of one's own.
        predictions: to score instead of a network: ours, .mat, .h5, or COCO results.
        benchmark: one of the recipe's protocols; its first by default.
        output: folder for predictions, files for servers and scores.json; by default
            ``eval_<benchmark>`` in the run folder that the weights lie in, else in
            ``output/<recipe>``, or nothing where predictions are given.
        pixel_origin: 0 or 1, of coordinates in ``predictions`` that do not say it.
        made_by_recipe: refuse predictions that another recipe made.
        batch_size: samples at a time; the recipe's by default.
        num_workers: loader processes; one per core by default.
        device: ``auto`` (default), ``cpu``, ``gpu`` or ``gpu:N``.
        engine: ``auto`` (default), ``eager`` or ``onednn``.
        precision: ``float32`` (default) or ``bfloat16``.
        network: one that is built already, or an exported one; by default the recipe's.
        analyse: say what kinds of errors there are, too, in a table and files.
        understood: how the arguments were chosen, to be said and kept with the scores.

    Returns:
        The scores; None where the split has no published truth, and on all ranks but the first.

    Raises:
        UserError: files that cannot be used, or predictions of something else.
    """
    recipe = load(recipe) if isinstance(recipe, str) else recipe
    require_sound(recipe)
    weights, predictions, output = (
        None if path is None else Path(path) for path in (weights, predictions, output)
    )
    if weights is None and predictions is None and network is None:
        raise UserError("weights: name a file, or give predictions or a network that has them")
    if batch_size is not None and batch_size < 1:
        raise UserError(f"batch_size {batch_size}: must be at least 1")
    protocol = recipe.benchmark(benchmark)
    parallel.quiet_unless_first()
    where = _where(data, device, num_workers, predicts=predictions is None)
    runtime.tell()
    understood.tell()
    if isinstance(data, Evaluator):
        if benchmark is not None:
            raise UserError("benchmark: an evaluator of one's own has its own; leave this out")
        evaluator, protocol = data, data.benchmark
    else:
        files = data if isinstance(data, DataFiles) else DataFiles(Path(data))
        evaluator = evaluator_for(recipe, protocol, files, with_images=predictions is None)
        maps = maps_of(recipe.codec, len(evaluator.skeleton))
        recipe = replace(recipe, model=with_joints(recipe.model, maps))
    analysis.require_known(evaluator, asked=analyse)
    if predictions is None and output is None:
        stem = require_plain(protocol.name, "benchmark")
        run = None if weights is None else RunFolder.of(weights)
        output = (Path("output") / recipe.name if run is None else run.root) / f"eval_{stem}"
    if output is not None:
        read = (predictions, weights, *_named(data))
        require_not_read(_outputs(output, recipe, predictions is None), read)
    asked = Asked(
        recipe=recipe.name if made_by_recipe else None,
        benchmark=protocol.protocol() if made_by_recipe or benchmark else None,
        rescore=benchmark is not None,
    )
    with contextlib.ExitStack() as stack:
        folder = None
        if output is not None and parallel.is_first():
            folder = stack.enter_context(_Folder(output))
        if predictions is None:
            parts = (recipe, weights, evaluator, network, folder)
            predictions = _predicted(*parts, *where, batch_size, engine, precision)
            if predictions is None:
                return None
        how_read = (asked, pixel_origin, analyse, understood)
        return _scored(recipe, evaluator, predictions, folder, *how_read)


def _where(
    data: str | Path | DataFiles | Evaluator,
    device: str | None,
    num_workers: int | None,
    *,
    predicts: bool,
) -> tuple[str, int]:
    """The device, and loader processes; Raises UserError for these or data that are not there."""
    if not isinstance(data, Evaluator):
        (data if isinstance(data, DataFiles) else DataFiles(Path(data))).require_there()
    if not predicts:
        return "", 0
    runtime.import_paddle()
    parallel.start()
    return runtime.choose_device(device or "auto"), runtime.worker_count(num_workers)


def _scored(
    recipe: Recipe,
    evaluator: Evaluator,
    file: Path,
    folder: _Folder | None,
    asked: Asked,
    pixel_origin: int | None,
    analyse: bool,
    understood: Understood,
) -> Scores | None:
    found = evaluator.read(file, asked=asked, pixel_origin=pixel_origin)
    written = None if folder is None else evaluator.write_files(folder.replacing(), found)
    scores = evaluator.score(found, resamples=recipe.eval.bootstrap, seed=recipe.seed)
    if scores is None:
        where = f"wrote {written}" if written else "--output_dir makes the files for its server"
        print(f"=> {evaluator.no_truth()}, so no score; {where}")
        return None
    print(evaluator.report(scores, found), flush=True)
    if folder is not None:
        path = folder.replacing() / "scores.json"
        facts = evaluator.facts(found, file)
        facts["understood"] = {**understood.plain(), **facts["understood"]}
        write_json(path, {**asdict(scores), **facts})
        print(f"=> {path}")
    if analyse:
        show(evaluator, found, folder.replacing() if folder else None)
    return scores


def _named(data: str | Path | DataFiles | Evaluator) -> tuple[Path | None, ...]:
    """Files that a user named as those of the data set."""
    return (data.annotations, data.boxes) if isinstance(data, DataFiles) else ()


def _outputs(folder: Path, recipe: Recipe, predicts: bool) -> list[Path]:
    """All that an evaluation of whichever data set writes."""
    names = ["scores.json", "pred.mat", *FILES, f"keypoints_{recipe.data.val_split}_results.json"]
    return [folder / name for name in (*names, *(["predictions.json"] if predicts else []))]


class _Folder:
    """Where results go: this process's alone until it is closed.

    Raises:
        UserError: before hours of work, not after them: it cannot be written, or another process
            writes there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._is_new = not path.exists()
        try:
            path.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=path):
                pass
            self._lock = lock_folder(path)
        except OSError as error:
            reason = error.strerror or error
            raise UserError(f"--output_dir {path}: cannot write there ({reason})") from error
        for file in leftovers(path):
            file.unlink(missing_ok=True)
        earlier = path / "scores.json"
        self._earlier = earlier.stat().st_mtime if earlier.is_file() else None

    def replacing(self) -> Path:
        """The folder, about to be written into; says once what that loses."""
        if self._earlier is not None:
            made = time.strftime("%Y-%m-%d %H:%M", time.localtime(self._earlier))
            print(f"=> {self.path}: replacing the evaluation of {made}; --output_dir keeps both")
            self._earlier = None
        return self.path

    def __enter__(self) -> _Folder:
        return self

    def __exit__(self, *error: object) -> None:
        os.close(self._lock)
        if self._is_new and error[0] is not None:
            with contextlib.suppress(OSError):  # what was written stays
                self.path.rmdir()


def _predicted(
    recipe: Recipe,
    weights: Path | None,
    evaluator: Evaluator,
    network: PoseNetwork | Exported | None,
    folder: _Folder | None,
    device: str,
    num_workers: int,
    batch_size: int | None,
    engine: str | None,
    precision: str | None,
) -> Path | None:
    """Predict everybody and write ``predictions.json``; returns its path, on the first rank alone.

    Several processes each predict their batches of people.
    """
    from paddle_pose.commands import predicting
    from paddle_pose.commands.fitting import require_batch
    from paddle_pose.inference.exported import Exported
    from paddle_pose.inference.streams import or_onednn
    from paddle_pose.models.blocks import PoseNetwork
    from paddle_pose.models.build import build
    from paddle_pose.porting.loading import Use, load_weights

    precision = precision or "float32"
    how = predicting.Computing(
        batch_size=batch_size or recipe.eval.batch_size,
        num_workers=num_workers,
        engine=predicting.choose(engine or "auto", precision, evaluator),
        precision=precision,
    ).of(network, evaluator)
    built = network is None
    network = build(recipe.model) if network is None else network
    if weights is not None and not isinstance(network, Exported):
        use = Use(recipe.data, getattr(evaluator, "skeleton", None))
        print("\n".join(load_weights(network, weights, recipe.model, use=use).lines), flush=True)
    if built and isinstance(network, PoseNetwork):
        fitted = replace(recipe, eval=replace(recipe.eval, batch_size=how.batch_size))
        people = len(evaluator.samples(1.0))
        require_batch(fitted, network, device, people=people, trained=False)
    name = evaluator.benchmark.name
    print(f"=> {recipe.name}, benchmark {name}, on {device}, {how}", flush=True)
    began = time.perf_counter()
    parallel.watch(lambda: "start the same command again")
    with ending.politely():
        computed = partial(predicting.computed, network, recipe, evaluator, how)
        poses, how = or_onednn(engine, how.engine, computed)
        parallel.stop_if_asked()
    parallel.unwatch()
    if folder is None:  # not the first rank
        return None
    seconds = time.perf_counter() - began
    print(f"=> predicted {counted(len(poses), 'pose')} in {seconds:.1f} s", flush=True)
    file = folder.replacing() / "predictions.json"
    evaluator.write(poses, file, **_origin(recipe, weights, network, str(how)))
    return file


def _origin(recipe: Recipe, weights: Path | None, network: Any, engine: str) -> dict[str, Any]:
    from paddle_pose.files import sha256

    card = getattr(network, "card", None)  # of an exported one
    digest = getattr(card, "weights_sha256", "") if weights is None else sha256(weights)
    return {"recipe": recipe.name, "weights_sha256": digest, "engine": engine}
