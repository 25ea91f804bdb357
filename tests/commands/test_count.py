"""The table of parameters and multiply-adds."""

from __future__ import annotations

import pytest

from paddle_pose import configs
from paddle_pose.commands import count as counting
from paddle_pose.errors import UserError
from paddle_pose.models.build import build
from paddle_pose.models.counting import count, count_layers, grouped


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
    with pytest.raises(UserError, match="--depth 0: must be at least 1"):
        counting.main(["--all", "--depth", "0"])
    with pytest.raises(UserError, match="did you mean 'hourglass:newell_hg2_mpii_256x256'"):
        counting.main(["hourglass:newell_hg2_mpii_256x25"])


def test_a_name_alone_is_printed_in_full(capsys):
    counting.main(["newell_hg1_synthetic"])
    assert capsys.readouterr().out.splitlines()[-1].startswith("quickstart:newell_hg1_synthetic")


def test_layers_add_up():
    """Each layer alone and summed by stage: the same sums as the recipe's row."""
    network = build(configs.load("simple_baseline:res50_mpii_256x256").model)
    layers, counts = count_layers(network, (64, 96)), count(network, (64, 96))
    for rows in (layers, grouped(layers, 1), grouped(layers, 2)):
        assert sum(row.macs for row in rows) == counts.macs
        assert sum(row.parameters for row in rows) == counts.parameters
        assert sum(row.hrnet_macs for row in rows) == counts.hrnet_macs
    first = layers[0]
    assert first.output == (64, 48, 32)  # 7×7, stride 2, from RGB
    assert (first.parameters, first.macs) == (9408, 9408 * 48 * 32)


def test_layers_are_listed(capsys):
    name = "quickstart:newell_hg1_synthetic"
    counting.main([name, "--layers"])
    every = capsys.readouterr().out.splitlines()
    assert any("Conv2D" in line.split() for line in every)
    counting.main([name, "--depth", "1"])
    assert len(capsys.readouterr().out.splitlines()) < 20 < len(every)
