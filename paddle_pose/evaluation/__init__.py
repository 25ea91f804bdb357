"""Per data set: people, truth, score, table, files; chosen by the recipe's ``data.dataset``."""

from __future__ import annotations

from paddle_pose.codecs.pairs import PairCodec
from paddle_pose.errors import UserError, nearest
from paddle_pose.evaluation.evaluator import DataFiles, TableEvaluator
from paddle_pose.recipes.recipe import Recipe
from paddle_pose.settings import Benchmark, DataSettings

DATASETS = ("coco", "crowdpose", "halpe", "mpii", "ochuman")


def evaluator_for(
    recipe: Recipe, benchmark: Benchmark, files: DataFiles, *, with_images: bool = True
) -> TableEvaluator:
    """The evaluator of the recipe's data set.

    Args:
        recipe: names data set, split and joints.
        benchmark: one of its protocols.
        files: where the data set lies.
        with_images: whether the images must be there; not needed to score.

    Raises:
        UserError: an unknown data set, or files that cannot be used.
    """
    name = recipe.data.dataset
    # Imported when asked for: COCO's evaluation loads OpenCV, which takes a tenth of a second.
    if benchmark.whole is not None:
        from paddle_pose.evaluation.whole_images import WholeImageEvaluator

        if name not in ("coco", "ochuman"):
            raise UserError(f"benchmark '{benchmark.name}': whole pictures are scored on coco")
        return WholeImageEvaluator(recipe, benchmark, files, with_images=with_images)
    if name in ("coco", "ochuman"):  # which is of COCO's joints and scored as COCO
        from paddle_pose.evaluation.coco import CocoEvaluator

        return CocoEvaluator(recipe, benchmark, files, with_images=with_images)
    if name == "crowdpose":
        from paddle_pose.evaluation.crowdpose import CrowdPoseEvaluator

        return CrowdPoseEvaluator(recipe, benchmark, files, with_images=with_images)
    if name == "halpe":
        from paddle_pose.evaluation.halpe import HalpeEvaluator

        return HalpeEvaluator(recipe, benchmark, files, with_images=with_images)
    for key in ("flip_pairs", "sigmas", "limbs", "area"):
        if name == "mpii" and getattr(recipe.data, key) != getattr(DataSettings, key):
            raise UserError(f"data.{key}: is for COCO files; '{name}' has its own")
    if name == "mpii" and isinstance(recipe.codec, PairCodec):
        raise UserError(
            "codec.kind=PairCodec: MPII is scored by one pose a person; two people in a box are "
            "scored on coco, crowdpose and ochuman"
        )
    if name == "mpii":
        from paddle_pose.evaluation.mpii import MpiiEvaluator

        return MpiiEvaluator(recipe, benchmark, files, with_images=with_images)
    raise UserError(f"data.dataset: unknown '{name}'{nearest(name, DATASETS)}")


def validation_benchmark(recipe: Recipe) -> Benchmark:
    """The first protocol with ground-truth boxes: a detector's are rarely at hand while training.

    The first one of all where every protocol needs a detector.
    """
    with_truth = [b for b in recipe.benchmarks if b.boxes == "ground_truth"]
    return (with_truth or list(recipe.benchmarks))[0]
