"""The commands that say where the time goes."""

from __future__ import annotations

import pytest

from benchmarks import profile_row, profile_step
from benchmarks.worker import Work
from paddle_pose.errors import UserError


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
    ],
)
def test_profiles_refuse_in_one_line(module, words, said):
    with pytest.raises(UserError, match=said) as caught:
        module.main(words)
    assert "\n" not in str(caught.value)


def test_profile_counts_functions_and_leaves_preparation_out():
    prepared = []

    def prepare() -> None:
        prepared.append(sorted(range(100_000), key=lambda number: -number))

    text = profile_row.table(Work(lambda: sum(range(300_000)), prepare=prepare), 2)
    assert len(prepared) == 1 + 2 + 2
    assert "| <built-in method builtins.sum> | 1 |" in text
    assert "sorted" not in text
