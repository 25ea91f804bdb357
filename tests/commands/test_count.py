"""The table of parameters and multiply-adds."""

from __future__ import annotations

import pytest

from paddle_pose.commands import count as counting
from paddle_pose.errors import UserError


def test_a_row_per_recipe(capsys):
    counting.main(["hourglass:newell_hg2_mpii_256x256"])
    head, row = capsys.readouterr().out.splitlines()
    assert head.split()[:1] == ["recipe"]
    # 8,429,088 - 1,858,688 unused parameters; 8,334,606,336 multiply-adds (the recorded count),
    # over 1024³ 7.76; it has no transposed convolution.
    assert row.split() == ["hourglass:newell_hg2_mpii_256x256", "256×256", "6.57", "8.33", "7.76"]


def test_mistakes_are_named():
    with pytest.raises(UserError, match="--all"):
        counting.main([])
    with pytest.raises(UserError, match="did you mean 'hourglass:newell_hg2_mpii_256x256'"):
        counting.main(["hourglass:newell_hg2_mpii_256x25"])
