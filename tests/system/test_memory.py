"""A batch that no memory holds is refused before it is begun."""

from __future__ import annotations

import pytest

from paddle_pose.errors import UserError
from paddle_pose.system import memory


def test_what_cannot_fit_is_refused(monkeypatch):
    monkeypatch.setattr(memory, "memory_bytes", lambda device: 8 << 30)
    memory.require_room("train.batch_size", 64, (256, 256), "cpu", 1000)
    with pytest.raises(UserError, match=r"train\.batch_size: 32 people of 4096×4096 .* 500 GiB"):
        memory.require_room("train.batch_size", 32, (4096, 4096), "cpu", 1000)


def test_this_machine_has_some():
    assert 1 << 28 < memory.memory_bytes("cpu") < 1 << 50
