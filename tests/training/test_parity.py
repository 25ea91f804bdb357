"""Adam steps follow the official PyTorch networks, losses and optimiser.

The records in tests/parity/training start from name-seeded weights and repeat one batch; the
comparison, with its tolerances, is ``reproduce.aligning.training``. Few steps run by default;
PADDLE_POSE_ALL_STEPS=1 runs every one that can be followed (12 minutes on a busy machine).
"""

from __future__ import annotations

import os

import pytest

from reproduce.aligning import training

RUNS = {  # record: (network, steps by default)
    "newell_hg2": ("newell_hg2", 3),
    "newell_hg2_own_loss": ("newell_hg2", 2),
    "hrnet_w32": ("hrnet_w32", 3),
    "hourglass52_batch8": ("hourglass52", 1),
}
COMPARED = {"loss", "backward", "optimiser", "batch norm"}


@pytest.mark.parametrize("run", RUNS)
def test_training_follows_the_reference(run: str) -> None:
    network, steps = RUNS[run]
    if os.environ.get("PADDLE_POSE_ALL_STEPS") == "1":
        steps = training.FOLLOWABLE[run]
    rows = training.follow(network, run, "float64", steps)
    for row in rows:
        print(f"{row.quantity}: off by {row.difference:.1e} of {row.tolerance:.1e}")
    assert all(row.ok for row in rows), [row for row in rows if not row.ok]
    assert {row.step for row in rows} == COMPARED
    assert any(f"losses of {steps} Adam steps" in row.quantity for row in rows) == (steps > 1)
