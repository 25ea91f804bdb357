"""The predecessor's curves: figures that follow from them, and the times an ETA gives back."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from paddle_pose.errors import UserError
from reproduce import training_logs

RECORD = training_logs.read()


def test_figures_follow_from_the_curves():
    assert training_logs.stale(RECORD) == []
    run = RECORD["runs"]["hourglass52_mpii_256x256"]
    broken = {"runs": {"x": run | {"curves": run["curves"] | {"Mean": run["curves"]["Knee"]}}}}
    assert training_logs.stale(broken) == ["x"]


@pytest.mark.parametrize("size", [256, 384])
def test_curves_are_the_reference_datas(reference_data: Path, size: int):
    file = reference_data / "published" / f"txyugood_hourglass52_mpii_{size}.csv"
    with file.open(encoding="utf-8") as content:
        rows = list(csv.DictReader(content))
    curves = RECORD["runs"][f"hourglass52_mpii_{size}x{size}"]["curves"]
    assert len(rows) == 210
    for name, curve in curves.items():
        assert curve == [float(row[name]) for row in rows]  # both keep four decimals


def test_spread_by_hand():
    found = training_logs.spread([0.0] * 160 + [1.0, 3.0] * 20 + [5.0] + [2.0, 4.0] * 4 + [3.0])
    assert (found["best"], found["best_epoch"], found["last"]) == (5.0, 200, 3.0)
    assert found["best_minus_last"] == 2.0
    # The last ten: 5, four times 2 and 4, 3: mean 3.2; squares 3.24 + 4·1.44 + 4·0.64 + 0.04 = 11.6
    assert found["last_10"]["mean"] == 3.2
    assert found["last_10"]["sd"] == pytest.approx((11.6 / 9) ** 0.5, abs=1e-4)
    assert (found["last_10"]["min"], found["last_10"]["max"]) == (2.0, 5.0)
    assert found["last_10"]["best_minus_mean"] == 1.8


def test_choosing_by_one_score_says_what_it_does_to_both():
    curve = {"Mean": [1.0] * 9 + [7.0] + [2.0] * 10, "Mean@0.1": [5.0] + [4.0] * 19}
    assert training_logs.chosen_by(curve, "Mean") == {"epoch": 9, "Mean": 5.0, "Mean@0.1": 0.0}
    assert training_logs.chosen_by(curve, "Mean@0.1") == {"epoch": 0, "Mean": -1.0, "Mean@0.1": 1.0}


def log_of(step_s: float, validation_s: float) -> str:
    """A log as the predecessor writes it: a line each ten steps, ETA from their mean time."""
    lines, whole, spent, step = [], 210 * 347, 0.0, 0
    for epoch in range(210):
        for batch in range(1, 348):
            step += 1
            spent += step_s + (validation_s if batch == 1 and epoch else 0.0)
            if step % 10 == 0:
                eta = int((whole - step) * spent / 10)
                clock = f"{eta // 3600:02}:{eta // 60 % 60:02}:{eta % 60:02}"
                lines.append(
                    f"[TRAIN] epoch={epoch}, batch_id={batch}, loss=0.1, lr=0.1 ETA {clock}"
                )
                spent = 0.0
        lines.append(f"[EVAL] epoch={epoch}:Mean={epoch}.5 Mean@0.1=1.0 ")
    return "\n".join(lines)


def test_hours_from_etas():
    text = log_of(step_s=2.0, validation_s=30.0)
    true = (210 * 347 * 2.0 + 209 * 30.0) / 3600
    # Half a second of an ETA of at least 1,800 s is 0.03 % of a line; the last half hour, 900 of
    # 72,870 steps, is taken at the mean; the record keeps one decimal.
    assert training_logs.gpu_hours(text, "log") == pytest.approx(true, abs=0.05 + 0.001 * true)
    assert training_logs.curves(text, "log")["Mean"][:2] == [0.5, 1.5]


def test_a_log_that_is_cut_is_refused():
    lines = log_of(2.0, 0.0).splitlines()
    half = "\n".join(lines[: len(lines) // 2])
    with pytest.raises(UserError, match=r"10\d validations, expected 210"):
        training_logs.curves(half, "log")
    with pytest.raises(UserError, match="is it the whole log"):
        training_logs.gpu_hours(half, "log")
    twice = "\n".join(lines + lines)
    with pytest.raises(UserError, match="epoch 0 follows epoch 209"):
        training_logs.curves(twice, "log")
