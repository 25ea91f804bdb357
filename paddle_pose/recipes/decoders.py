"""Which decoder reads which maps, and when a mirrored map may be moved."""

from __future__ import annotations

from paddle_pose.codecs.codec import is_udp
from paddle_pose.codecs.cut import TRUNCATED, CutCodec
from paddle_pose.codecs.heatmap import HeatmapCodec
from paddle_pose.codecs.offsets import OFFSETS, OffsetCodec
from paddle_pose.codecs.unbiased import SUBCELL
from paddle_pose.errors import UserError
from paddle_pose.recipes.recipe import KINDS, Recipe
from paddle_pose.settings import DECODERS


def require_decoders(recipe: Recipe) -> None:
    """Raises UserError where a benchmark and the codec do not go together, by their keys."""
    if not isinstance(recipe.codec, KINDS["codec"]):
        return
    codec, offsets = type(recipe.codec).__name__, isinstance(recipe.codec, OffsetCodec)
    for number, benchmark in enumerate(recipe.benchmarks):
        key = f"benchmarks.{number}"
        if offsets != (benchmark.decoder in OFFSETS):
            needed = f"{key}.decoder={OFFSETS[0]}" if offsets else f"one of {', '.join(DECODERS)}"
            raise UserError(f"{key}.decoder={benchmark.decoder}: codec.kind={codec} needs {needed}")
        if benchmark.decoder in SUBCELL and not isinstance(recipe.codec, HeatmapCodec):
            raise UserError(
                f"{key}.decoder={benchmark.decoder}: is of codec.kind=HeatmapCodec, not {codec}"
            )
        if benchmark.decoder in TRUNCATED and not isinstance(recipe.codec, CutCodec):
            raise UserError(f"{key}.decoder={benchmark.decoder}: is of CutCodec, not {codec}")
        if offsets and benchmark.test_scales != (1.0,):
            raise UserError(f"{key}.test_scales: offsets are of one scale, [1.0]")
        if is_udp(recipe.codec) and benchmark.flip_test and benchmark.shift_heatmap:
            raise UserError(
                f"{key}.shift_heatmap=true: by UDP a mirrored map is in its place, and would be "
                f"moved off it; set {key}.shift_heatmap=false"
            )
