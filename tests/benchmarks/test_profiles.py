"""The commands that say where the time goes."""

from __future__ import annotations

import pytest

from benchmarks import profile_forward, profile_row, profile_step
from benchmarks.worker import Work
from paddle_pose.errors import UserError
from paddle_pose.inference import engine


@pytest.mark.parametrize(
    ("module", "words", "said"),
    [
        (profile_row, ["pkch"], "pckh"),
        (profile_row, ["val_predictions"], "no such row"),
        (profile_row, ["pckh", "--runs", "0"], "--runs"),
        (profile_step, ["hrnet"], "hrnet_w32"),
        (profile_step, ["quickstart", "--steps", "0"], "--steps"),
        (profile_step, ["quickstart", "--threads", "0"], "--threads"),
        (profile_step, ["--quick", "--steps", "2"], "--quick"),
        (profile_forward, ["--quick", "--runs", "10"], "--quick"),
        (profile_forward, ["--runs", "0"], "--runs"),
        (profile_forward, ["--precision", "bfloat16"], "neither avx512_bf16 nor amx_bf16"),
    ],
)
def test_profiles_refuse_in_one_line(module, words, said, monkeypatch):
    monkeypatch.setattr(engine, "bfloat16_here", lambda: False)
    with pytest.raises(UserError, match=said) as caught:
        module.main(words)
    assert "\n" not in str(caught.value)


def test_a_child_that_refuses_has_said_why(capfd):
    with pytest.raises(SystemExit) as ended:
        profile_step.child_lines(["benchmarks.profile_step", "hrnet"], {})
    assert ended.value.code == 2
    said = capfd.readouterr().err
    assert said.startswith("error: hrnet: no such network")
    assert said.count("\n") == 1
    with pytest.raises(UserError, match="ended with exit code 1"):
        profile_step.child_lines(["benchmarks.nowhere"], {})


def test_by_default_the_precisions_of_the_cpu(monkeypatch):
    monkeypatch.setattr(engine, "onednn_here", lambda: True)
    for here, found in ((True, ["float32", "bfloat16"]), (False, ["float32"])):
        monkeypatch.setattr(engine, "bfloat16_here", lambda here=here: here)
        assert profile_forward.possible(None) == found


def test_profile_counts_functions_and_leaves_preparation_out():
    prepared = []

    def prepare() -> None:
        prepared.append(sorted(range(100_000), key=lambda number: -number))

    text = profile_row.table(Work(lambda: sum(range(300_000)), prepare=prepare), 2)
    assert len(prepared) == 1 + 2 + 2
    assert "| <built-in method builtins.sum> | 1 |" in text
    assert "sorted" not in text
