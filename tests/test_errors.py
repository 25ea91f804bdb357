"""Ends of a command."""

from __future__ import annotations

from paddle_pose.errors import UserError


def test_a_way_out_is_never_cut():
    command = "; go on with: python train.py " + "--set seed=1 " * 100
    text = str(UserError("x" * 1000, command))
    assert " … " in text
    assert text.endswith(command)
