"""A small network of drawn weights, a rendered photo, and the page's server in a thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import paddle
import pytest
from places import TINY

from paddle_pose import configs
from paddle_pose.commands.predict import Network
from paddle_pose.models.build import build
from paddle_pose.recipes.recipe import dump_yaml, override
from paddle_pose.weights import checkpoint


def write_run(folder: Path, seed: int) -> Path:
    """A run folder's weights, whose maps have peaks and whose joints lie beside them."""
    recipe = override(configs.load("quickstart:newell_hg1_synthetic"), TINY)
    benchmark = replace(recipe.benchmark(), decoder="quarter_offset", test_scales=(1.0,))
    recipe = replace(recipe, benchmarks=(benchmark,))
    paddle.seed(seed)
    network = build(recipe.model)
    weight = network.state_dict()["outs.0.conv.weight"]
    weight.set_value(weight * 60)  # of logits: the softmax becomes steep
    file = folder / "best_model" / "model.pdparams"
    checkpoint.save_weights(network, file)
    (folder / "recipe.yaml").write_text(dump_yaml(recipe), encoding="utf-8")
    return file


@pytest.fixture(scope="session")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What train.py leaves: two runs."""
    folder = tmp_path_factory.mktemp("output")
    write_run(folder / "first", 3)
    write_run(folder / "second", 4)
    return folder


@pytest.fixture(scope="session")
def given(output: Path) -> Network:
    """The first run's weights by ``--weights``."""
    weights = output / "first" / "best_model" / "model.pdparams"
    return Network(weights, device="cpu", engine="eager")


@pytest.fixture(scope="session")
def photo(small_people: Path) -> Path:
    """A rendered one."""
    return min((small_people / "images").iterdir())


@pytest.fixture(scope="session")
def address(given: Network, output: Path) -> Iterator[str]:
    """Where the page is served."""
    waitress = pytest.importorskip("waitress", reason="requirements-demo.txt is not installed")
    from paddle_pose.serving.app import make_app
    from paddle_pose.serving.networks import Networks

    app = make_app(Networks(given, output), ThreadPoolExecutor(1))
    server = waitress.create_server(app, host="127.0.0.1", port=0)
    threading.Thread(target=server.run, daemon=True).start()
    yield f"http://127.0.0.1:{server.effective_port}"
    server.close()
