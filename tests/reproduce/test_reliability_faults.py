"""One try of every fault of ``make soak``, and a long run in short."""

from __future__ import annotations

import pytest

from reproduce.reliability import faults, soaking, tries
from reproduce.reliability.runs import Lab

SEED = 3


@pytest.fixture(scope="module")
def lab(tmp_path_factory) -> Lab:
    return Lab(tmp_path_factory.mktemp("lab"), epochs=2)


@pytest.mark.parametrize("fault", faults.FAULTS, ids=lambda fault: fault.name)
def test_fault(lab, fault):
    found = tries.run_fault(fault, lab, SEED, 1)
    if found["wrong"] and fault.name == "ranks":  # the launcher may kill what is still to speak
        found = tries.run_fault(fault, lab, SEED, 1)
    if "not_tried" in found:
        pytest.skip(found["not_tried"])
    assert not found["wrong"], found["wrong"]


def test_a_long_run_in_short(lab):
    found = soaking.watched(lab, 32, first=5, width=10)
    assert found["exit_code"] == 0
    assert found["steps"] == 32
    assert found["left_in_shared_memory"] == 0
    assert {len(row) for row in found["samples"]} == {len(soaking.COLUMNS)}
