"""The state before the last one."""

from __future__ import annotations

from pathlib import Path

from paddle_pose.weights.tensors import _keep


def test_a_state_that_is_kept_twice_leaves_nothing_else(tmp_path: Path):
    (tmp_path / "a").write_bytes(b"state")
    for _ in range(2):
        _keep(tmp_path / "a", tmp_path / "earlier")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "earlier"]
