"""Protocols of networks that find everybody in whole pictures: NVIDIA's three ways to look."""

from __future__ import annotations

from dataclasses import replace

from paddle_pose.settings import Benchmark, OksProtocol, WholeImage

SINGLE = Benchmark(
    name="coco_val_single",
    boxes="none",
    flip_test=False,
    shift_heatmap=False,
    metric=OksProtocol(),
    whole=WholeImage((368, 368), "adjust", "reference"),
)
"""``infer_spec``: the shorter side (by the input's aspect) 368 pixels, the other one more."""

MULTI_SCALE = replace(SINGLE, name="coco_val_multi_scale", test_scales=(0.5, 1.0, 1.5, 2.0))
"""``infer_spec_refine``: maps of four scales averaged."""

STRICT = replace(SINGLE, name="coco_val_strict", whole=WholeImage((288, 384), "pad", "reference"))
"""``infer_spec_strict``: what a TensorRT engine is validated by: one size, grey around."""

BENCHMARKS = (SINGLE, MULTI_SCALE, STRICT)
