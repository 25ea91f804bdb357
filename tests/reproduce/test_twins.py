"""Judging twins: hand-worked differences, and records that name no folder of a machine."""

from __future__ import annotations

import json

import numpy as np
import pytest

from paddle_pose import configs
from paddle_pose.commands.record import RunFolder
from paddle_pose.errors import UserError
from paddle_pose.files import write_json
from reproduce import twins, twins_judge, twins_run
from reproduce.small_runs import SmallRun


def test_seeds_far_apart_hide_a_small_difference():
    words = twins_judge.judged([10.0, 12.0, 14.0], [10.5, 12.5, 14.5])
    # sd 2 on both sides: standard error 2·√(2/3) = 1.633; Student's point at 4 degrees is 2.7764.
    assert words["seen_beyond"] == pytest.approx(2.7764 * 2 * (2 / 3) ** 0.5, abs=1e-3)
    assert words["difference"] == -0.5
    assert words["verdict"] == "no difference seen"


def test_a_difference_larger_than_the_seeds_is_seen():
    words = twins_judge.judged([10.0, 10.1, 10.2], [12.0, 12.1, 12.2])
    assert words["verdict"] == "a difference is seen"


def test_too_few_seeds_judge_nothing():
    assert "not known" in twins_judge.judged([10.0], [12.0, 12.0])["verdict"]
    assert "not known" in twins_judge.judged([10.0], [12.0])["verdict"]


def test_sides_may_have_unequal_seeds():
    # Squares about the means: 2 and 0.5, three degrees of freedom, √(1/3 + 1/2) of s.
    words = twins_judge.judged([10.0, 11.0, 12.0], [11.0, 12.0])
    assert words["pooled_sd"] == pytest.approx((2.5 / 3) ** 0.5, abs=1e-4)
    assert words["seen_beyond"] == pytest.approx(
        3.1824 * (2.5 / 3) ** 0.5 * (5 / 6) ** 0.5, abs=1e-3
    )


def test_commands_lose_the_machines_folders():
    command = "python twins.py torch --initial /a/b/hg_s0/initial.safetensors --dataset_root ../c/d"
    assert twins_judge._clean(command) == (
        "python twins.py torch --initial hg_s0/initial.safetensors --dataset_root d"
    )


def test_first_steps_say_where_the_two_part(tmp_path):
    losses = {"paddle": [1.0, 1.0 + 1e-10, 1.0 + 1e-7], "torch": [1.0, 1.0, 1.0]}
    for side, values in losses.items():
        folder = tmp_path / f"small_{side}_float64"
        folder.mkdir()
        (folder / "losses.json").write_text(json.dumps(values))
    folder = tmp_path / "small_torch_float64_paddle_epsilon"
    folder.mkdir()
    (folder / "losses.json").write_text(json.dumps(losses["paddle"]))
    both = twins_judge.read_first_steps(tmp_path)["small"]
    assert both.keys() == {"float64", "float64, PyTorch with Paddle's epsilon"}
    assert max(both["float64, PyTorch with Paddle's epsilon"]["relative_difference"]) == 0
    found = both["float64"]
    assert found["first_step_beyond"] == {"1e-12": 1, "1e-09": 2, "1e-06": None, "0.001": None}
    np.testing.assert_allclose(found["relative_difference"], [0, 1e-10, 1e-7], rtol=0.05)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("initial --steps 50", "--steps is not for initial"),
        ("initial --float64", "--float64 is not for initial"),
        ("initial --reference .", "--reference is not for initial"),
        ("initial --dataset_root .", "--dataset_root is not for initial"),
        ("initial --initial x", "--initial is not for initial"),
        ("steps --reference .", "--reference is not for steps"),
        ("steps --paddle_epsilon", "--paddle_epsilon is not for steps"),
        ("steps --dataset_root .", "steps needs --initial"),
        ("steps --dataset_root . --initial x --steps 0", "--steps: must be at least 1"),
        ("torch --dataset_root . --initial x", "torch needs --reference"),
    ],
)
def test_options_of_another_command_are_refused(words, said, capsys):
    rest = ["--config", "twins:newell_hg1_lspet", "--output_dir", "never_made"]
    with pytest.raises(SystemExit) as ended:
        twins.main([*words.split(), *rest])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_every_seed_is_found_in_the_order_of_numbers(tmp_path):
    for name in ("hg_s10", "hg_s2", "a_s1_s0", "hg_sx", "first_steps"):
        (tmp_path / name).mkdir()
    (tmp_path / "hg_s3").touch()
    found = [(name, seed) for name, seed, _ in twins_judge.pairs_in(tmp_path)]
    assert found == [("a_s1", 0), ("hg", 2), ("hg", 10)]
    assert twins_judge.pairs_in(tmp_path / "nowhere") == []


@pytest.mark.parametrize(
    ("name", "people", "epochs"),
    [
        ("newell_hg1_lspet", 3200, 10),
        ("newell_hg1_lspet_cells", None, 7),
        ("hrnet_w8_lspet", 3200, 10),
    ],
)
def test_how_many_people_twins_see_and_how_often(name, people, epochs):
    recipe = configs.load(f"twins:{name}", None)
    assert (recipe.data.limit, recipe.train.epochs) == (people, epochs)
    assert not recipe.benchmarks[0].published


def test_a_run_of_all_does_what_is_left(tmp_path, monkeypatch, capsys):
    told = []
    monkeypatch.setattr(twins_run, "run_script", lambda *words, **more: told.append(words))
    monkeypatch.setattr(twins_run.small_runs, "run", lambda one, *rest: told.append(one))
    monkeypatch.setattr(twins_run.twins_judge, "main", lambda words: told.append("judged"))
    done = RunFolder(tmp_path / "runs" / "hrnet_w8_lspet_s1" / "torch")
    done.root.mkdir(parents=True)
    write_json(done.record_file, {"result": {"finished": "2026-01-01"}})
    twins_run.main([
        *("--dataset_root", "data", "--hrnet", "clone", "--seeds", "2", "--at_once", "1"),
        *("--output_dir", str(tmp_path / "runs"), "--record_dir", str(tmp_path / "record")),
    ])  # fmt: skip
    ours = [one for one in told if isinstance(one, SmallRun)]
    assert [one.name for one in ours] == [f"hrnet_w8_lspet_s{seed}/paddle" for seed in (0, 1)]
    assert all(one.last for one in ours)
    scripts = [one[1][0] for one in told if isinstance(one, tuple)]
    assert sorted(scripts) == ["initial", "initial", "torch"]  # seed 1 of PyTorch is there
    assert told[-1] == "judged"
    assert "left out, without a clone: newell_hg1_lspet_cells" in capsys.readouterr().out


def test_a_run_without_a_clone_is_refused(tmp_path):
    words = ["--dataset_root", "data", "--output_dir", str(tmp_path / "x")]
    with pytest.raises(UserError, match="--newell, --hrnet: neither is given"):
        twins_run.main(words)
    assert not (tmp_path / "x").exists()
