"""Where the reference data lies: ``../shared`` or PADDLE_POSE_REFERENCE_DATA."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from paddle_pose import runtime

runtime.configure(quiet=True)

ROOT = Path(__file__).parent.parent
PARITY = Path(__file__).parent / "parity"


@pytest.fixture(scope="session")
def reference_data() -> Path:
    """The folder of recorded references and real data; skips the test where it is absent."""
    folder = Path(os.environ.get("PADDLE_POSE_REFERENCE_DATA", ROOT.parent / "shared"))
    if not (folder / "parity").is_dir():
        pytest.skip(f"reference data not found at {folder} (PADDLE_POSE_REFERENCE_DATA names it)")
    return folder
