"""Published numbers: read strictly, agreeing with recipes, never compared across protocols."""

from __future__ import annotations

import csv
import dataclasses
import itertools
import re
from pathlib import Path

import pytest

from paddle_pose import configs
from paddle_pose.codecs.pairs import PairCodec
from paddle_pose.errors import UserError
from paddle_pose.recipes import recipe as recipes
from paddle_pose.settings import Benchmark, OksProtocol, WholeImage
from reproduce import published
from reproduce.published import (
    NOT_STATED,
    PROTOCOL_COLUMNS,
    Protocol,
    comparable,
    differences,
    protocol_of,
)

ROWS = published.load()
WEIGHTS = published.FILE.parent.parent / "paddle_pose" / "porting" / "published_weights.csv"
RUNNABLE = [row for row in ROWS if row.benchmark]
STATED = [row for row in RUNNABLE if NOT_STATED not in dataclasses.astuple(row.protocol)]
CROWDS = ("crowdpose", "ochuman")


def by_id(name: str, metric: str) -> published.PublishedRow:
    return next(row for row in ROWS if (row.id, row.metric_name) == (name, metric))


def measured(row: published.PublishedRow, **changes: object) -> Protocol:
    """The protocol of the row's own recipe and benchmark here, with some of its keys changed."""
    recipe = configs.load(row.recipe)
    if row.protocol.dataset in CROWDS:  # whose protocols name their split
        recipe = recipes.override(recipe, [f"data.val_split={row.protocol.split}"])
    benchmark = dataclasses.replace(recipe.benchmark(row.benchmark), **changes)
    return protocol_of(recipe, benchmark, row.metric_name)


# --- the file


def test_every_family_and_publisher_is_there():
    publishers = {row.id.split(":")[0] for row in ROWS if row.kind != "user"}
    assert publishers == {
        *("hrnet_readme", "hrnet_paper", "simplebaseline_readme", "newell_paper", "princeton"),
        *("bearpaw", "mmpose0_2020", "mmpose0", "mmpose1", "paddledetection", "fluid"),
        *("predecessor", "mipnet_zoo", "mipnet_paper", "ascend"),
        *("alphapose_zoo", "alphapose_log"),
        *("nvidia_card", "openpose_paper", "osokin_readme", "openvino_readme", "tensorboy_readme"),
    }
    assert {row.id.split(":")[0] for row in ROWS if row.kind == "user"} == {
        "hrnet_issue_174",
        "princeton_issue_14",
        "osokin_issue_124",
    }


def test_sorted_and_in_one_form():
    lines = published.FILE.read_text(encoding="utf-8").splitlines()
    assert lines == [line.strip() for line in lines]
    assert [r.id for r in ROWS] == [
        r.id for r in sorted(ROWS, key=lambda r: (r.protocol.dataset, r.id))
    ]


@pytest.mark.parametrize(
    ("row", "metric", "value"),
    [  # by hand from the pages
        ("hrnet_readme:hrnet_w32_mpii_256x256", "Mean", 90.3),
        ("hrnet_readme:hrnet_w32_mpii_256x256", "Mean@0.11", 37.7),
        ("hrnet_readme:hrnet_w48_coco_384x288", "AP", 0.763),
        ("simplebaseline_readme:res152_mpii_384x384", "Mean@0.11", 39.433),
        ("mmpose1:hourglass52_mpii_384x384", "Mean@0.1", 36.7),
        ("mmpose0:hourglass52_mpii_384x384", "Mean@0.1", 36.6),
        ("mmpose0_2020:hourglass52_mpii_384x384", "Mean@0.11", 40.9),
        ("paddledetection:w32_coco_256x192", "AP", 0.769),
        ("predecessor:hourglass52_mpii_256x256", "Mean@0.1", 32.108),
        ("bearpaw:hourglass8_last_mpii_256x256", "Elbow", 90.08),
        ("princeton:hourglass8_mpii_256x256", "Mean", 90.2),
        ("mipnet_zoo:w48_coco_384x288", "AP", 0.788),
        ("mipnet_zoo:w48_ochuman_384x288", "AR", 0.810),
        ("mipnet_paper:w48_ochuman_384x288", "AP", 0.420),
        ("mipnet_paper:w48_ochuman_test_384x288", "AP", 0.425),
        ("mipnet_paper:w48_crowdpose_test_384x288", "AP", 0.700),
        ("mipnet_paper:w48_coco_test_dev_384x288", "AP", 0.757),
        ("ascend:w48_coco_384x288_8npu", "AP", 0.780),
        ("ascend:w48_coco_384x288_8gpu", "images/s", 212.988),
        ("nvidia_card:bodyposenet_coco", "APL", 0.549),
        ("tensorboy_readme:rtpose_coco_val", "AP", 0.653),
    ],
)
def test_values_by_hand(row: str, metric: str, value: float):
    assert by_id(row, metric).value == value


def test_every_row_has_a_source_with_a_place_and_a_tolerance_above_rounding():
    for row in ROWS:
        place = (
            r"(README(_en)?\.md|_\w+\.md|\.log):\d+ @[0-9a-f]{7}|Tables? \d|issue \d+|abstract|"
            r"lists its|model card"
        )
        assert re.search(place, row.source), row.source
        assert row.tolerance >= row.rounding
        assert row.tolerance_reason


def test_tolerances_as_promised():
    for row in ROWS:
        protocol = row.protocol
        if protocol.metric == published.SPEED:
            assert row.tolerance == float(f"{row.value / 10:.3g}")
            continue
        expected = {
            **dict.fromkeys(("coco", *CROWDS), 0.002 if protocol.metric == "AP" else 0.005),
            "halpe": 0.005,
            "mpii": 0.8
            if protocol.metric != "Mean"
            else 0.3
            if protocol.threshold == "0.5"
            else 0.5,
        }
        assert row.tolerance == max(expected[protocol.dataset], row.rounding)


def test_recipes_and_benchmarks_exist_or_the_note_says_why_not():
    names = set(configs.all_names())
    for row in ROWS:
        assert not row.recipe or row.recipe in names
        if row.benchmark:
            configs.load(row.recipe).benchmark(row.benchmark)
        else:
            assert row.note.startswith(("no recipe: ", "no benchmark: ")), row.id


def test_weights_are_those_of_the_list():
    with WEIGHTS.open(newline="", encoding="utf-8") as content:
        listed = {entry["name"]: entry["published"] for entry in csv.DictReader(content)}
    for row in ROWS:
        if not row.weights:
            continue
        said = dict(part.split("=") for part in listed[row.weights].split("; ") if "=" in part)
        values = {
            name if "@" not in name else f"Mean@{float(name.split('@')[1]):g}": text.split(" ")[0]
            for name, text in said.items()
        }
        # A list entry is one page's row; the same file may stand in a later page with other digits.
        if row.metric_name in values and row.source.rsplit(" ", 1)[0] in listed[row.weights]:
            assert float(values[row.metric_name]) == row.value


# --- agreement with the recipes


def test_a_rows_protocol_is_its_benchmarks():
    for row in RUNNABLE:
        left_out = [name for name in PROTOCOL_COLUMNS if getattr(row.protocol, name) == NOT_STATED]
        found = differences(measured(row), row.protocol)
        assert [one.partition(":")[0] for one in found] == left_out, row.id
    assert len(RUNNABLE) > 350  # 389 when written


def test_values_in_the_recipes_are_values_of_the_file():
    checked = 0
    for name in configs.all_names():
        for benchmark in configs.load(name).benchmarks:
            for metric, value in benchmark.published.items():
                base, _, threshold = metric.partition("@")
                key = base + (f"@{float(threshold):g}" if threshold else "")
                known = {
                    row.value
                    for row in ROWS
                    if (row.recipe, row.benchmark, row.metric_name) == (name, benchmark.name, key)
                }
                assert value in known, (name, benchmark.name, metric, value, known)
                checked += 1
    assert checked > 200  # 206 when written


# --- what can never stand side by side


def test_no_pair_of_rows_is_compared_across_a_convention():
    """All pairs: those that compare agree in everything that is known to move a number."""
    decisive = (
        *("dataset", "split", "network", "input_hw", "boxes", "detector_ap", "flip_test"),
        *("shift_heatmap", "test_scales", "decoder", "joints", "mean", "threshold", "metric"),
    )
    pairs = 0
    for one, other in itertools.combinations(ROWS, 2):
        if comparable(one.protocol, other):
            pairs += 1
            for name in decisive:
                left, right = getattr(one.protocol, name), getattr(other.protocol, name)
                assert left == right
                assert NOT_STATED not in left
    assert pairs > 50  # the same networks in several tables


@pytest.mark.parametrize(
    ("one", "other", "why"),
    [
        (("hrnet_readme:hrnet_w32_mpii_256x256", "Mean@0.11"),
         ("mmpose1:hrnet_w32_mpii_256x256", "Mean@0.1"), "threshold"),
        (("mmpose0_2020:hourglass52_mpii_256x256", "Mean@0.11"),
         ("mmpose0:hourglass52_mpii_256x256", "Mean@0.1"), "threshold"),
        (("hrnet_readme:hrnet_w32_coco_256x192", "AP"),
         ("hrnet_issue_174:w32_coco_256x192", "AP"), "boxes"),
        (("hrnet_readme:hrnet_w32_coco_256x192", "AP"),
         ("paddledetection:w32_coco_256x192", "AP"), "decoder"),
        (("hrnet_readme:hrnet_w32_mpii_256x256", "Mean@0.11"),
         ("paddledetection:w32_mpii_256x256", "Mean@0.11"), "decoder"),
        (("princeton:hourglass2_mpii_256x256", "Mean"),
         ("princeton_issue_14:hourglass2_mpii_256x256", "Mean"), "joints"),
        (("bearpaw:hourglass8_last_mpii_256x256", "Mean"),
         ("princeton:hourglass8_mpii_256x256", "Mean"), "mean"),
        (("mmpose1:hourglass52_mpii_256x256", "Mean"),
         ("predecessor:hourglass52_mpii_256x256", "Mean"), "shift_heatmap"),
        (("hrnet_readme:hrnet_w32_mpii_256x256", "Mean"),
         ("hrnet_paper:w32_mpii_test", "Mean"), "split"),
        (("alphapose_zoo:r50_coco_256x192", "AP"),
         ("alphapose_log:r50_coco_256x192", "AP"), "boxes"),
        (("alphapose_zoo:simple_r50_coco_256x192", "AP"),
         ("simplebaseline_readme:res50_coco_256x192", "AP"), "network"),
        (("alphapose_zoo:r50_halpe136_256x192", "AP"),
         ("alphapose_zoo:r50_heatmap_halpe136_256x192", "AP"), "decoder"),
        (("simplebaseline_readme:res50_coco_256x192", "AP"),
         ("fluid:res50_coco_256x192", "AP"), "boxes"),
        (("mipnet_zoo:w48_coco_384x288", "AP"),
         ("ascend:w48_coco_384x288_8gpu", "AP"), "network"),
        (("mipnet_zoo:w48_coco_384x288", "AP"),
         ("mipnet_paper:w48_coco_test_dev_384x288", "AP"), "boxes"),
        (("nvidia_card:bodyposenet_coco", "AP"),
         ("openpose_paper:coco_test_dev", "AP"), "split"),
        (("nvidia_card:bodyposenet_coco", "AP"),
         ("osokin_readme:lightweight_coco_val", "AP"), "network"),
        (("ascend:w48_coco_384x288_1gpu", "images/s"),
         ("ascend:w48_coco_384x288_1npu", "images/s"), "threshold"),
    ],
)  # fmt: skip
def test_mixtures_seen_in_the_field(one: tuple[str, str], other: tuple[str, str], why: str):
    left, right = by_id(*one), by_id(*other)
    assert not comparable(left.protocol, right)
    assert not comparable(right.protocol, left)
    assert why in {text.split(":")[0] for text in differences(left.protocol, right.protocol)}


@pytest.mark.parametrize("name", published.PROTOCOL_COLUMNS)
def test_one_changed_field_is_enough(name: str):
    """Every runnable row against its own protocol with every other value that the file knows."""
    values = {getattr(row.protocol, name) for row in ROWS} | {NOT_STATED}
    for row in STATED[:: 7 if len(values) > 8 else 1]:
        own = measured(row)
        for value in values - {getattr(own, name)}:
            other = dataclasses.replace(own, **{name: value})
            assert differences(other, row.protocol) == (
                f"{name}: {value or 'none'}, {getattr(row.protocol, name) or 'none'}",
            )


BENCHMARK_CHANGES = {
    "boxes": ("ground_truth", "detector"),
    "flip_test": (True, False),
    "shift_heatmap": (True, False),
    "test_scales": ((1.0,), (0.5,), (0.9, 1.0, 1.1)),
    "decoder": ("argmax", "quarter_offset", "quarter_offset_per_axis", "dark"),
    "whole": (None, WholeImage(), WholeImage(mode="pad"), WholeImage(coordinates="reference")),
}
METRIC_CHANGES = {
    "oks_nms": (0.0, 0.5, 0.9),
    "rescore": (True, False),
    "box_threshold": (0.0, 0.3),
    "score": ("product", "alphapose", "alphapose_demo"),
}
UNRELATED = {"name", "published", "source", "metric"}  # what is printed, not what is measured
ONLY_BESIDE = {"soft_oks_nms": ("oks_nms", (True, False)), "rescore_threshold": ("rescore", (0.1,))}


def test_every_key_of_a_benchmark_keeps_numbers_apart():
    keys = {field.name for field in dataclasses.fields(Benchmark)}
    assert keys == BENCHMARK_CHANGES.keys() | UNRELATED
    for row in {row.id: row for row in STATED}.values():
        recipe = configs.load(row.recipe)
        benchmark = recipe.benchmark(row.benchmark)
        for key, values in BENCHMARK_CHANGES.items():
            for value in values:
                unread = benchmark.whole is not None and key == "decoder"  # the codec says it
                same = unread or value == getattr(benchmark, key)
                assert comparable(measured(row, **{key: value}), row) == same, (row.id, key, value)
        rules = benchmark.metric
        if not isinstance(rules, OksProtocol):
            continue
        wanted = METRIC_CHANGES.keys() | ONLY_BESIDE.keys() | {"second_score"}
        assert {field.name for field in dataclasses.fields(OksProtocol)} == wanted
        for key, values in METRIC_CHANGES.items():
            for value in values:
                changed = dataclasses.replace(rules, **{key: value})
                same = value == getattr(rules, key)
                assert comparable(measured(row, metric=changed), row) == same, (row.id, key, value)
        whole = dataclasses.replace(rules, second_score=1.0)
        of_one = not isinstance(recipe.codec, PairCodec)
        assert comparable(measured(row, metric=whole), row) == of_one, row.id
        for key, (only_with, values) in ONLY_BESIDE.items():
            for value in values:
                changed = dataclasses.replace(rules, **{key: value})
                same = value == getattr(rules, key) or not getattr(rules, only_with)
                assert comparable(measured(row, metric=changed), row) == same, (row.id, key, value)


def test_another_mean_other_joints_or_another_detector_do_not_compare():
    row = by_id("hrnet_readme:hrnet_w32_mpii_256x256", "Mean")
    recipe = configs.load(row.recipe)
    benchmark = recipe.benchmark(row.benchmark)
    assert comparable(protocol_of(recipe, benchmark, "Mean"), row)
    assert not comparable(protocol_of(recipe, benchmark, "Mean", joints=16), row)
    assert not comparable(protocol_of(recipe, benchmark, "Mean", mean="plain"), row)
    row = by_id("hrnet_readme:hrnet_w32_coco_256x192", "AP")
    recipe = configs.load(row.recipe)
    benchmark = recipe.benchmark(row.benchmark)
    assert comparable(protocol_of(recipe, benchmark, "AP"), row)
    assert not comparable(protocol_of(recipe, benchmark, "AP", detector_ap="60.9"), row)
    own_split = recipes.override(recipe, ["data.val_split=minival"])
    assert not comparable(protocol_of(own_split, benchmark, "AP"), row)


def test_what_is_not_stated_equals_nothing_not_even_itself():
    row = by_id("newell_paper:hourglass8_mpii_256x256", "Mean")
    assert not comparable(row.protocol, row)
    assert any(text.startswith("joints") for text in differences(row.protocol, row.protocol))


def test_changed_networks_are_not_the_published_ones():
    recipe = configs.load("hourglass:newell_hg1_lspet_128x128")
    with pytest.raises(UserError, match="not a network of published"):
        published.network_name(recipe.model)


# --- mistakes in the file


@pytest.mark.parametrize(
    ("column", "text", "says"),
    [
        ("value", "ninety", "value 'ninety' is not a number"),
        ("value", "901", "more than a percent"),
        ("value", "-1", "above 0"),
        ("tolerance", "", "is not a number"),
        ("threshold", "0.10", "threshold '0.10'"),
        ("boxes", "detectr", "did you mean 'detector'"),
        ("boxes", "detector", "detector_ap belongs"),
        ("metric", "Toe", "metric 'Toe'"),
        ("joints", "15", "joints '15'"),
        ("source", "", "source is empty"),
        ("decoder", " dark", "begins or ends with a space"),
        ("recipe", "", "trains 'yes'"),
        ("trains", "maybe", "trains 'maybe'"),
        ("trains", "", "trains ''"),
        ("benchmark", "", "why"),
    ],
)
def test_mistakes_name_their_line(tmp_path: Path, column: str, text: str, says: str):
    with published.FILE.open(newline="", encoding="utf-8") as content:
        table = list(csv.reader(content))
    name = "simplebaseline_readme:res50_mpii_256x256"
    line = next(i for i, cells in enumerate(table) if cells[0] == name)
    table[line][published.COLUMNS.index("note")] = ""
    table[line][published.COLUMNS.index(column)] = text
    file = tmp_path / "published.csv"
    with file.open("w", newline="", encoding="utf-8") as content:
        csv.writer(content, lineterminator="\n").writerows(table)
    with pytest.raises(UserError, match=re.escape(says)) as error:
        published.load(file)
    assert f"published.csv:{line + 1}:" in str(error.value)


def test_other_mistakes(tmp_path: Path):
    lines = published.FILE.read_text(encoding="utf-8").splitlines(keepends=True)
    file = tmp_path / "published.csv"
    file.write_text("".join([*lines[:5], lines[4]]), encoding="utf-8")
    with pytest.raises(UserError, match="twice"):
        published.load(file)
    file.write_text(lines[0].replace("decoder", "decodr") + lines[1], encoding="utf-8")
    with pytest.raises(UserError, match=r"published.csv:1: .*did you mean 'decoder'"):
        published.load(file)
    file.write_text(lines[0] + lines[1].replace(",coco,", ",coco,extra,"), encoding="utf-8")
    with pytest.raises(UserError, match="30 cells, expected 29"):
        published.load(file)
    with pytest.raises(UserError, match="cannot be read"):
        published.load(tmp_path / "nowhere.csv")
