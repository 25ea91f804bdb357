"""Codecs, decoders, losses and flip tests of DARK and UDP that do not go together are refused."""

from __future__ import annotations

import pytest

from paddle_pose import configs
from paddle_pose.errors import UserError
from paddle_pose.recipes.recipe import read_yaml

UDP, OFFSETS = "hrnet:w32_coco_256x192_udp", "hrnet:w32_coco_256x192_udp_regress"
DARK, PLAIN = "hrnet:w32_coco_384x288_dark", "hrnet:w32_coco_256x192"
LARGE = "simple_baseline:res152_coco_384x288_dark"


@pytest.mark.parametrize(
    ("recipe", "assignments", "said"),
    [
        (PLAIN, ["codec.encoding=dark"], "codec.encoding: unknown 'dark'; .*unbiased"),
        (PLAIN, ["codec.encoding=udp"], r"benchmarks\.0\.shift_heatmap=true: by UDP .*=false"),
        (UDP, ["benchmarks.1.shift_heatmap=true"], r"benchmarks\.1\.shift_heatmap=true"),
        (UDP, ["benchmarks.0.decoder=offsets"], "decoder=offsets: codec.kind=HeatmapCodec needs"),
        (UDP, ["benchmarks.0.decoder=udq"], "did you mean 'udp'"),
        (UDP, ["train.loss=offset_mse"], "offset_mse and OffsetCodec belong together"),
        (UDP, ["codec={kind: OffsetCodec}"], "train.loss=joints_mse: .* belong together"),
        (OFFSETS, ["benchmarks.0.decoder=udp"], "decoder=udp: .*OffsetCodec needs .*=offsets"),
        (OFFSETS, ["benchmarks.2.test_scales=[0.9, 1.0]"], r"benchmarks\.2\.test_scales"),
        (OFFSETS, ["codec.encoding=cell"], "codec.encoding=cell: .*encoding=udp"),
        (OFFSETS, ["codec.maps=logits"], "codec.maps=logits"),
        (UDP, ["augment.shift_factor=0"], "shift_probability: changes nothing without"),
        (OFFSETS, ["codec.radius=0"], "codec.radius: must be above 0"),
        (OFFSETS, ["train.loss=joints_mse"], "offset_mse and OffsetCodec belong together"),
        (
            "mipnet:w32_coco_256x192",
            ["codec={kind: OffsetCodec}"],
            "train.loss=two_people_mse: does not go with codec.kind=OffsetCodec",
        ),
        (
            "fastpose:r50_halpe136_256x192",
            ["benchmarks.0.decoder=udp"],
            "decoder=udp: is of codec.kind=HeatmapCodec, not IntegralCodec",
        ),
    ],
)
def test_what_does_not_go_together(recipe: str, assignments: list[str], said: str) -> None:
    with pytest.raises(UserError, match=said):
        configs.chosen(recipe, None, assignments)


def test_the_editions_blur_differently() -> None:
    """In mmpose 1.x the blur is left at 11 cells where sigma is 3, but for one; 0.x has 17."""
    names = (DARK, UDP, LARGE)
    decoders = {name: [b.decoder for b in configs.load(name).benchmarks] for name in names}
    assert decoders == {
        DARK: ["dark_11", "dark", "dark_11"],
        UDP: ["udp", "udp_mirrored", "udp"],
        LARGE: ["dark", "dark", "dark"],
    }


def test_a_recipe_from_before_encodings_is_read(tmp_path) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text("name: old\ncodec: {kind: HeatmapCodec, sigma_px: 3.0}\n", encoding="utf-8")
    assert read_yaml(file).codec.encoding == "cell"
