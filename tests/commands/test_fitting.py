"""A batch that cannot fit is refused before it is asked for, with one that does."""

from __future__ import annotations

from dataclasses import replace

import pytest

from paddle_pose.commands import fitting
from paddle_pose.configs import load
from paddle_pose.errors import UserError
from paddle_pose.models.build import build
from paddle_pose.models.counting import activations_per_pixel, count_parameters
from paddle_pose.system import memory


@pytest.fixture(scope="module")
def small():
    recipe = load("quickstart:newell_hg1_synthetic")
    recipe = replace(recipe, model=replace(recipe.model, features=16, stem=8, depth=2))
    return recipe, build(recipe.model)


def image_bytes(recipe, network) -> float:
    width, height = recipe.data.image_size_wh
    return activations_per_pixel(network) * 4 * width * height


def with_memory_for(images: float, monkeypatch, recipe, network) -> None:
    needed = images * image_bytes(recipe, network) + 16 * count_parameters(network)
    monkeypatch.setattr(memory, "total_bytes", lambda: int(needed / 0.9) + 1)


def refused(recipe, network, people: int = 1000, *, trained: bool = True) -> str:
    with pytest.raises(UserError) as error:
        fitting.require_batch(recipe, network, "cpu", people=people, trained=trained)
    return str(error.value)


def test_what_fits_is_named_and_fits(small, monkeypatch):
    recipe, network = small  # batches of 16
    with_memory_for(4.5, monkeypatch, recipe, network)
    line = refused(recipe, network)
    assert "train.batch_size: 16 images of 96×96 need" in line
    assert line.endswith("train.batch_size=4 fits, or --set train.accumulate_steps=4")
    for remedy in ({"batch_size": 4}, {"accumulate_steps": 4}):
        mended = replace(recipe, train=replace(recipe.train, **remedy))
        fitting.require_batch(mended, network, "cpu", people=1000, trained=True)
    fitting.require_batch(recipe, network, "cpu", people=4, trained=True)  # there are no more
    fitting.require_batch(recipe, network, "gpu:0", people=1000, trained=True)


def test_not_even_one_image(small, monkeypatch):
    recipe, network = small
    with_memory_for(0.5, monkeypatch, recipe, network)
    assert "choose a smaller data.image_size_wh" in refused(recipe, network)


def test_prediction_holds_less(small, monkeypatch):
    recipe, network = small
    with_memory_for(5, monkeypatch, recipe, network)
    many = replace(recipe, eval=replace(recipe.eval, batch_size=500))
    assert "(--batch_size): 500 images" in refused(many, network, trained=False)
    few = replace(recipe, eval=replace(recipe.eval, batch_size=16))
    fitting.require_batch(few, network, "cpu", people=1000, trained=False)


def test_an_absurd_size_is_refused_without_being_tried(small):
    recipe, network = small
    huge = replace(recipe, data=replace(recipe.data, image_size_wh=(100_000, 100_000)))
    assert "GiB" in refused(huge, network)


def test_a_container_s_limit_counts(monkeypatch, tmp_path):
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(memory, "_LIMITS", (str(limit),))
    machine = memory.total_bytes()
    limit.write_text("max\n")
    assert memory.total_bytes() == machine > 0
    limit.write_text("1000\n")
    assert memory.total_bytes() == 1000
