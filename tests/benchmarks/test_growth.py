"""How time and memory grow: plots and page from one record, and rings by hand."""

from __future__ import annotations

import json

import pytest
from test_benchmarks import OPTIONS, assert_is_there

from benchmarks import growth, growth_page, results, ring
from paddle_pose.errors import UserError


def test_growth_page_is_not_stale():
    stale = growth_page.stale(results.newest(results.GROWTH))
    assert stale is None, "run python -m benchmarks.growth --redraw"


def growth_record() -> dict:
    points = [
        {"x": x, "curves": {"step": {"median": x / 10, "samples": [], "peak_mib": 100.0 * x}}}
        for x in (1, 2)
    ]
    points[1]["curves"]["step"] = {"error": "no memory"}
    axis = {"name": "batch", "title": "Batch", "x": "people", "unit": "s", "log_x": True}
    sizes = {"hourglass:hourglass52_mpii_256x256": 4e8}
    made = results.header(OPTIONS)
    return json.loads(
        json.dumps(made | {"axes": [axis | {"points": points}], "gradient_bytes": sizes})
    )


def test_growth_plots_repeat_and_know_their_numbers(tmp_path, monkeypatch):
    monkeypatch.setattr(growth_page, "PAGE", tmp_path / "growth.md")
    monkeypatch.setattr(growth_page, "PLOTS", tmp_path / "growth")
    made = growth_record()
    assert growth_page.stale(made) == "benchmarks/growth.md"
    growth_page.draw(made)
    plot = tmp_path / "growth" / "batch.svg"
    first = plot.read_bytes()
    assert growth_page.stale(made) is None
    growth_page.draw(made)
    assert plot.read_bytes() == first
    text = (tmp_path / "growth.md").read_text(encoding="utf-8")
    assert "no memory" in text
    assert "Computed, not measured" in text
    made["axes"][0]["points"][0]["curves"]["step"]["median"] = 9.0
    (tmp_path / "growth.md").write_text(growth_page.page(made), encoding="utf-8")
    assert growth_page.stale(made) == "benchmarks/growth/batch.svg"


def test_ring_by_hand():
    # 4 ranks, 400 MB at 1 GB/s: 6 messages of 100 MB take 0.6 s, and wait 6 × 1 ms.
    link = ring.Link("by hand", 1e9, 1e-3)
    assert ring.all_reduce_s(400e6, 4, link) == pytest.approx(0.606, abs=1e-12)
    assert ring.all_reduce_s(400e6, 1, link) == 0
    # A step of 0.3 s hides 0.2 s of it.
    low, high = ring.efficiency(0.3, 400e6, 4, link)
    assert low == pytest.approx(0.3 / 0.906, abs=1e-12)
    assert high == pytest.approx(0.3 / 0.706, abs=1e-12)


def test_published_step_times_are_found():
    hours = ring.jobs()[0]
    # 44.1 h over 210 epochs of 348 steps (22,246 people by 64)
    assert hours.step_s == pytest.approx(44.1 * 3600 / (210 * 348), abs=1e-12)
    assert hours.people == 64


def test_every_point_of_growth_has_its_side():
    axes = growth.all_axes(OPTIONS, None)
    names = ["image_size", "stacks", "width", "batch", "ranks", "people"]
    assert [axis.name for axis in axes] == names
    assert list(axes[0].points) == [128, 192, 256, 320, 384]
    assert max(axes[5].points) == 200_000
    for axis in axes:
        for point in axis.points.values():
            for one in point.values():
                assert_is_there(one)
    with pytest.raises(UserError, match="image_size"):
        growth.all_axes(OPTIONS, ["imagesize"])
