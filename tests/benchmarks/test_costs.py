"""Tables of what networks cost, from records made by hand; and that the documents have them."""

from __future__ import annotations

import re

import pytest

from benchmarks import bottom_up, costs, light, profile_step
from paddle_pose.errors import UserError


def network(one: costs.Network, *samples: float, **changed: object) -> dict:
    """A row of a record; bfloat16 could not be measured."""
    time = {"samples": list(samples), "median": sorted(samples)[len(samples) // 2],
            "facts": {"paddle": "3.3.1"}, "peak_mib": 512.4}  # fmt: skip
    times = {"float32": time, "bfloat16": {"note": "no bfloat16 here"}, "onnx": time, "int8": time}
    row = {"title": one.title, "parameters": 7_860_664, "macs": 1.5e9, "note": "", "filters": {},
           "bytes": {"weights": 3 << 20, "int8": 1 << 20}, "size_wh": [192, 256],
           "joints": 136}  # fmt: skip
    return {**row, "times": times, **changed}


HEAD = {
    "date": "2026-01-02T00:00:00Z",
    "code": {"commit": "0123456789"},
    "machine": {"cpu": "X"},
    "options": {"threads": 2},
    "rounds": 3,
    "batch": 8,
}
STEP = {
    "batch": 2,
    "rows": {
        "oneDNN convolution forward_training depthwise": (3, 10.0),
        "oneDNN convolution backward_data 1×1": (3, 25.0),
        "oneDNN hard-swish backward": (3, 5.0),
        "Python and the rest": (1, 60.0),
    },
}


def light_record(*full: float) -> dict:
    rows = {one.name: network(one, 0.01, 0.01, 0.02) for one in light.NETWORKS}
    rows[light.FULL] = network(light.NETWORKS[0], *full)
    return {**HEAD, "networks": rows, "step": STEP}


def tables(block: str) -> list[list[str]]:
    return [line.split("|")[2:] for line in block.splitlines() if line.startswith("|")][2:]


def test_the_light_networks_table_and_what_it_says():
    english, chinese = light.blocks(light_record(0.03, 0.02, 0.06))  # × 3, 2, 3: median 3
    row = "| FastPoseMobile, large | 136 | 7,860,664 | 1.50 | 3.0 / 1.0 | 10.0 | – | 10.0 | 10.0 |"
    assert f"{row} 512 / 512 |" in english
    assert (
        "float32 3.00, ONNX 3.00, INT8 3.00. Asked: at least 2.5 in float32; met: yes." in english
    )
    assert "no bfloat16 here." in english
    said = (
        "50 ms an image on one thread, 2 at a time: depthwise convolutions 10.0 %, hard-swish 5.0 %"
    )
    assert said in english
    assert tables(english) == tables(chinese)
    assert "met: **no**" in light.blocks(light_record(0.02, 0.02, 0.02))[0]


def test_pruned_networks_and_reading_people_off_maps(monkeypatch, tmp_path):
    monkeypatch.setattr(bottom_up, "SCENES", tmp_path / "scenes.json")
    rows = {one.name: network(one, 0.02, 0.02, 0.02) for one in bottom_up.NETWORKS}
    rows["pruned"] = network(bottom_up.NETWORKS[2], 0.01, 0.01, 0.01, filters={"of": 8, "kept": 5})
    parts = {"peaks": 0.005, "limbs": 0.003, "people": 0.0005, "found": 20}
    group = {"people": 20, "size_wh": [496, 368], "median": 0.0085, "parts": parts}
    english, chinese = bottom_up.blocks({**HEAD, "networks": rows, "grouping": group})
    assert "| 3 stages, pruned | 5 / 8 | 7,860,664 |" in english
    assert "float32 2.00" in english
    assert "8.5 ms (peaks 5.0, limbs 3.0, people 0.5; 20 people found)" in english
    assert "met: yes" in english
    assert "no pruned network is trained yet" in english
    assert tables(english) == tables(chinese)


def test_ap_of_the_rendered_scenes_is_said_where_it_is_recorded(monkeypatch, tmp_path):
    file = tmp_path / "scenes.json"
    monkeypatch.setattr(bottom_up, "SCENES", file)
    file.write_text('{"over_seeds": {"vgg_scenes": {"strict": {"all": {"mean": 0.5}}, '
                    '"int8_strict": {"all": {"mean": 0.4}}}, '
                    '"vgg_scenes_pruned": {"strict": {"all": {"mean": 0.45}}}}}')  # fmt: skip
    for text in bottom_up.scores_on_scenes():
        assert re.findall(r"0\.\d+", text) == ["0.500", "0.450", "0.400"]


@pytest.mark.parametrize("module", [light, bottom_up])
def test_the_documents_have_the_records_tables(module):
    texts = module.PAGE.texts()
    assert len(texts) == 2
    for before, after in texts.values():
        assert module.PAGE.name in before
        assert before == after


@pytest.mark.parametrize("words", [["--threads", "0"], ["--quick"], ["--table", "--quick"]])
def test_what_cannot_be_measured_is_refused(words):
    with pytest.raises(UserError, match=words[0]):
        light.main(words)


def test_twenty_people_are_found_on_the_maps_that_are_timed():
    work = bottom_up.grouping(20, (496, 368))
    work.run()
    assert work.figures()["found"] == 20


def test_convolutions_of_groups_and_hard_swish_are_told_apart():
    def kind(primitive: str, aux: str, problem: str) -> str:
        said = ["exec", "cpu", primitive, "jit", "backward", "mem", "attr", aux, problem, "1.5"]
        return profile_step.kind_of(said)

    swish = "alg:eltwise_hardswish alpha:0.166667 beta:0.5"
    assert kind("eltwise", swish, "2x16x4x4") == "oneDNN hard-swish backward"
    assert kind("eltwise", "alg:eltwise_relu", "2x16x4x4") == "oneDNN eltwise backward"
    direct = "alg:convolution_direct"
    assert kind("convolution", direct, "g16mb2_ic16oc16_kh3").endswith("depthwise")
    assert kind("convolution", direct, "mb2_ic16oc16_kh3").endswith("larger")
    assert kind("convolution", direct, "mb2_ic16oc16_kh1").endswith("1×1")
