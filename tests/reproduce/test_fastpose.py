"""Light AlphaPose's alignment: a list of parts, each with rows and the code that they judge."""

from __future__ import annotations

import pytest
from places import ROOT

from reproduce.aligning import fastpose, freshness, groups
from reproduce.aligning import fastpose_networks as networks
from reproduce.aligning.networks import GROUPS, chosen
from reproduce.aligning.rows import STEPS, read


def test_the_group_is_chosen_by_its_name():
    assert chosen("fastpose") == ["fastpose"]
    assert {"fastpose", "bodyposenet"} <= set(GROUPS)
    assert "fastpose" in chosen(None)


@pytest.mark.parametrize("module", fastpose.MODULES, ids=lambda one: one.__name__)
def test_a_part_has_jobs_and_roots_of_known_steps(module):
    assert set(module.ROOTS) <= set(STEPS)
    assert all(freshness.OURS.find(root) for step in module.ROOTS for root in module.ROOTS[step])
    jobs = module.jobs(None, True)
    assert all(isinstance(what, str) and weight > 0 for what, weight, _ in jobs)


def test_a_digest_has_the_numbers_of_its_networks(monkeypatch):
    before = freshness.digest("fastpose", "loss", freshness.package())
    monkeypatch.setitem(networks.GIVEN, "loss", [networks.MODELS["fastpose_r50_coco"][0]])
    assert freshness.digest("fastpose", "loss", freshness.package()) != before


def test_networks_are_judged_with_all_that_they_are_made_of():
    names = {one.name for one in freshness.reached("fastpose", "forward")}
    assert {"AlphaResNet", "SqueezeExcitation", "mobilenet_features", "pixel_shuffle"} <= names
    assert "AlphaResNet" not in {one.name for one in freshness.reached("fastpose", "backward")}


def test_committed_rows_are_within_their_tolerance():
    rows = read(ROOT / "reproduce/alignment/fastpose.json")
    assert {row.step for row in rows} == groups.steps("fastpose")
    assert not [row for row in rows if row.ok is False]  # effects are not judged
