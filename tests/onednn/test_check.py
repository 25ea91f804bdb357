"""oneDNN is used where its numbers are Paddle's, and only there."""

from __future__ import annotations

import re

import paddle
import pytest

from paddle_pose.errors import UserError
from paddle_pose.models.blocks import Conv2D
from paddle_pose.onednn import check, layout, library, norm

pytestmark = pytest.mark.skipif(
    not check.usable(paddle.zeros([1])), reason="this Paddle has no oneDNN 3, or it is off"
)


@pytest.fixture(autouse=True)
def _check_anew():
    check._passes.cache_clear()
    yield
    check._passes.cache_clear()


def is_blocked_by_a_convolution() -> bool:
    return layout.is_blocked(Conv2D(16, 16, 3, padding=1)(paddle.ones([1, 16, 4, 4])))


def test_this_library_passes_far_inside_the_tolerance(capsys):
    # Rounding errors of sums are a random walk: sqrt(n) steps of them, not n.
    assert check._difference() < 0.1 * check.TOLERANCE
    with paddle.no_grad(), layout.in_bfloat16():  # float32 is checked all the same
        assert is_blocked_by_a_convolution()
    assert capsys.readouterr().out == ""


def test_no_value_is_so_near_the_relus_corner_that_rounding_turns_it(monkeypatch):
    relu = check.F.relu
    seen = []
    monkeypatch.setattr(check.F, "relu", lambda x: seen.append(x.numpy()) or relu(x))
    check._results(by_onednn=False)
    assert abs(seen[0]).min() > check.TOLERANCE


@pytest.mark.parametrize("kind", ["wrong", "not finite"])
def test_other_numbers_switch_it_off_with_one_line(kind, monkeypatch, capsys):
    batch_norm, factor = norm.batch_norm, {"wrong": 1.001, "not finite": float("nan")}[kind]

    def other(*arguments: object, **named: object) -> tuple[paddle.Tensor, ...]:
        out, *moments = batch_norm(*arguments, **named)
        return out * factor, *moments

    monkeypatch.setattr(norm, "batch_norm", other)
    for _ in range(2):
        assert not is_blocked_by_a_convolution()
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("=> oneDNN's results differ from Paddle's by ")
    assert line.endswith("our layers use Paddle's own")
    assert {"wrong": "1.0e-03", "not finite": "nan"}[kind] in line


@pytest.mark.parametrize("error", [UserError, library.Failed])
def test_a_library_that_fails_is_switched_off(error, monkeypatch, capsys):
    def fail(*arguments: object, **named: object) -> None:
        raise error("primitive_execute")

    monkeypatch.setattr(norm, "batch_norm", fail)
    assert not is_blocked_by_a_convolution()
    assert "differ from Paddle's by inf" in capsys.readouterr().out


def test_a_wrong_constant_is_found(monkeypatch):
    """Two gradients the other way round, as a library with other numbers would write them."""
    monkeypatch.setattr(norm, "DIFF_SCALE", library.DIFF_SHIFT)
    monkeypatch.setattr(norm, "DIFF_SHIFT", library.DIFF_SCALE)
    norm._batch_norm.cache_clear()
    try:
        assert not check._difference() <= check.TOLERANCE
    finally:
        norm._batch_norm.cache_clear()


@pytest.mark.parametrize(
    ("flags", "factor", "line"),
    [
        (set(), 1.0, "this CPU has neither avx512_bf16 nor amx_bf16"),
        ({"amx_bf16"}, 1.1, r"oneDNN's bfloat16 is off by \d\.\de-0[12] of the largest value"),
        ({"amx_bf16"}, float("nan"), "oneDNN's bfloat16 is off by nan of the largest value"),
    ],
)
def test_where_there_is_no_bfloat16_the_fault_says_why(flags, factor, line, monkeypatch):
    assert check.usable()  # before the numbers are wrong
    monkeypatch.setattr(check.runtime, "cpu_facts", lambda: ("", frozenset(flags), 1))
    monkeypatch.setattr(check, "block", lambda: 16)
    batch_norm = norm.batch_norm

    def other(*arguments: object, **named: object) -> tuple[paddle.Tensor, ...]:
        out, *moments = batch_norm(*arguments, **named)
        return out.scale(factor), *moments

    monkeypatch.setattr(norm, "batch_norm", other)
    assert re.fullmatch(line, check.bfloat16_fault.__wrapped__())
