"""Every recipe: loads, survives YAML, is called as its function, and says where it is from."""

from __future__ import annotations

import inspect
import re

import pytest

from paddle_pose import configs
from paddle_pose.codecs.codec import maps_of
from paddle_pose.codecs.cut import TRUNCATED
from paddle_pose.codecs.offsets import OFFSETS
from paddle_pose.codecs.unbiased import SUBCELL
from paddle_pose.models.architectures import LightOpenPose
from paddle_pose.recipes import recipe as recipes
from paddle_pose.recipes.recipe import Recipe
from paddle_pose.settings import OksProtocol
from paddle_pose.skeletons import skeleton_named

NAMES = configs.all_names()

PUBLISHED_ROWS = [
    *(f"hrnet:w{w}_mpii_256x256" for w in (32, 48)),
    *(f"hrnet:w{w}_coco_{s}" for w in (32, 48) for s in ("256x192", "384x288")),
    *(
        f"simple_baseline:res{n}_{s}"
        for n in (50, 101, 152)
        for s in ("mpii_256x256", "mpii_384x384", "coco_256x192", "coco_384x288")
    ),
    *(
        f"mmpose:res{n}_{s}_mmpose"
        for n in (50, 101, 152)
        for s in ("mpii_256x256", "coco_256x192", "coco_384x288")
    ),
    *(f"mmpose:{n}_coco_256x192_mmpose_fp16" for n in ("res50", "w32")),
    *(f"mmpose:w32_coco_256x192_{n}" for n in ("coarsedropout", "gridmask", "photometric")),
    "mipnet:w48_coco_384x288",
    "mipnet:w48_ochuman_384x288",
    "mipnet:w48_crowdpose_384x288",
    *(f"fastpose:{n}_coco_256x192" for n in ("simple_r50", "r50_duc", "r50_dcn", "r152_duc")),
    "fastpose:r50_coco_256x192_2x",
    *(
        f"fastpose:{n}_256x192"
        for n in (
            "r50_heatmap_halpe136",
            "r50_halpe136",
            "r50_dcn_halpe136",
            "r152_halpe136",
            "r50_dcn_combined_halpe136",
            "r50_multi_domain",
        )
    ),
    *(
        f"hrnet:w{w}_coco_{s}_{way}"
        for w in (32, 48)
        for s in ("256x192", "384x288")
        for way in ("dark", "udp")
    ),
    "hrnet:w32_coco_256x192_udp_regress",
    *(f"hrnet:w{w}_mpii_256x256_dark" for w in (32, 48)),
    *(
        f"simple_baseline:res{n}_coco_{s}_dark"
        for n in (50, 101, 152)
        for s in ("256x192", "384x288")
    ),
    *(
        f"hourglass:hourglass52_{s}"
        for s in ("mpii_256x256", "mpii_384x384", "coco_256x256", "coco_384x384")
    ),
]

COCO_SCORES = {"AP", "AP50", "AP75", "APM", "APL", "AR", "AR50", "AR75", "ARM", "ARL"}
DECODERS = {
    *("quarter_offset", "quarter_offset_per_axis", "dark", "argmax"),
    *(*SUBCELL, *OFFSETS, *TRUNCATED),
}


@pytest.fixture(params=NAMES)
def named(request: pytest.FixtureRequest) -> tuple[str, Recipe]:
    return request.param, configs.load(request.param)


def test_every_published_row_has_a_recipe():
    assert set(PUBLISHED_ROWS) <= set(NAMES)


def test_name_is_the_functions(named: tuple[str, Recipe]):
    name, recipe = named
    assert recipe.name == name.partition(":")[2]


def test_yaml_gives_the_recipe_back(named: tuple[str, Recipe], tmp_path):
    _, recipe = named
    file = tmp_path / "recipe.yaml"
    file.write_text(recipes.dump_yaml(recipe), encoding="utf-8")
    assert configs.load(str(file)) == recipe


def test_docstring_states_source_and_result(named: tuple[str, Recipe]):
    family, _, function = named[0].partition(":")
    text = inspect.getdoc(getattr(configs.FAMILIES[family], function)) or ""
    assert "Source:" in text or "no published row" in text
    assert re.search(r"published|no published row|\d\d\.\d|\.\d{3}", text), text
    assert "Cost:" in text or "cost: as" in text or "no published row" in text


def test_parts_fit_together(named: tuple[str, Recipe]):
    _, recipe = named
    joints = len(skeleton_named(recipe.data.skeleton))
    assert recipe.model.joints == maps_of(recipe.codec, joints)
    multiple = 8 if isinstance(recipe.model, LightOpenPose) else 32
    assert all(side % multiple == 0 for side in recipe.data.image_size_wh)
    if recipe.train.schedule == "multistep":
        assert all(epoch < recipe.train.epochs for epoch in recipe.train.milestones)
    assert recipe.train.select_metric == ("Mean" if recipe.data.dataset == "mpii" else "AP")
    names = [benchmark.name for benchmark in recipe.benchmarks]
    assert len(set(names)) == len(names)


def test_size_in_the_name_is_height_by_width(named: tuple[str, Recipe]):
    _, recipe = named
    width, height = recipe.data.image_size_wh
    sizes = re.findall(r"(\d+)x(\d+)", recipe.name)
    assert not sizes or sizes == [(str(height), str(width))]


def test_benchmarks_name_their_boxes_and_known_scores(named: tuple[str, Recipe]):
    _, recipe = named
    for benchmark in recipe.benchmarks:
        if benchmark.whole is not None:
            assert (benchmark.boxes, benchmark.published) == ("none", {})
            continue
        assert benchmark.boxes in ("ground_truth", "detector")
        assert benchmark.decoder in DECODERS
        assert bool(benchmark.published) <= bool(benchmark.source)
        if recipe.data.dataset != "mpii":
            assert benchmark.boxes in benchmark.name
            assert set(benchmark.published) <= COCO_SCORES
            assert all(0 < value < 1 for value in benchmark.published.values())
            if named[0].startswith(("fastpose:", "light:")):
                assert benchmark.metric == OksProtocol(score="alphapose")
                continue
            if named[0].startswith("scenes:"):  # as the whole pictures beside them are scored
                assert benchmark.metric == OksProtocol()
                continue
            assert benchmark.metric.rescore
            # MIPNet's code suppresses nothing on CrowdPose; benchmarks called nms do.
            nothing = recipe.data.dataset == "crowdpose" and "nms" not in benchmark.name
            assert benchmark.metric.oks_nms == (0.0 if nothing else 0.9)
        else:
            assert benchmark.boxes == "ground_truth"
            assert all(1 < value < 100 for value in benchmark.published.values())


def test_hrnets_tables_say_eleven_where_they_print_ten():
    for name in NAMES:
        if name.startswith(("hrnet:", "simple_baseline:")) and not name.endswith("_dark"):
            official = configs.load(name).benchmarks[0].published
            assert not {"Mean@0.1", "Mean@0.10"} & set(official), name


@pytest.mark.parametrize(
    ("name", "sigma", "epochs", "batch"),
    [
        ("hrnet:w32_mpii_256x256", 2, 210, 128),
        ("hrnet:w32_coco_384x288", 3, 210, 128),
        ("hrnet:w48_coco_384x288", 3, 210, 96),
        ("simple_baseline:res50_coco_256x192", 2, 140, 128),
        ("simple_baseline:res152_mpii_384x384", 3, 140, 96),
        ("hourglass:hourglass52_coco_384x384", 3, 210, 256),
        ("mipnet:w48_coco_384x288", 3, 110, 40),
        ("mipnet:w32_coco_256x192", 2, 110, 96),
        ("mipnet:w48_crowdpose_384x288", 3, 210, 30),
        ("mipnet:res101_crowdpose_384x288", 3, 210, 48),
    ],
)
def test_settings_of_the_official_files(name: str, sigma: float, epochs: int, batch: int):
    recipe = configs.load(name)
    found = (recipe.codec.sigma_px, recipe.train.epochs, recipe.train.batch_size)
    assert found == (sigma, epochs, batch)
    assert recipe.train.optimizer.l2 == 0  # the yaml's WD never reaches Adam
