"""Where the reference data lies: ``../shared`` or PADDLE_POSE_REFERENCE_DATA."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from places import ROOT

from paddle_pose import skeletons
from paddle_pose.system import ending, runtime

runtime.configure(quiet=True)
os.environ["PADDLE_POSE_ENGINES"] = "0"  # compiled networks of tests stay out of the user's cache

for _number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    if signal.getsignal(_number) == signal.SIG_IGN:  # in the background of a script, nohup
        signal.signal(_number, lambda *_: None)  # ignored here, but not by what is started here


@pytest.fixture(autouse=True)
def no_joint_set_of_another_test() -> Iterator[None]:
    """Joints that a test reads from a file are forgotten with it."""
    skeletons.SKELETONS.pop("from_file", None)
    yield
    skeletons.SKELETONS.pop("from_file", None)


@pytest.fixture(autouse=True)
def no_signal_of_another_test(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A command takes the signals for the rest of its process: a test gives them back.

    Else one that is asked to stop would stop the next one that looks (``ending.asked``).
    """
    for name in ("_asked", "_interrupts", "_owner"):
        monkeypatch.setattr(ending, name, getattr(ending, name))
    before = {number: signal.getsignal(number) for number in ending.SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="session")
def reference_data() -> Path:
    """The folder of recorded references and real data; skips the test where it is absent."""
    folder = Path(os.environ.get("PADDLE_POSE_REFERENCE_DATA", ROOT.parent / "shared"))
    if not (folder / "parity").is_dir():
        pytest.skip(f"reference data not found at {folder} (PADDLE_POSE_REFERENCE_DATA names it)")
    return folder


@pytest.fixture(scope="session")
def small_people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A rendered data set in MPII layout: 24 people to train on, 8 to validate."""
    from paddle_pose.synthetic import dataset as synthetic

    root = tmp_path_factory.mktemp("people") / "data"
    synthetic.write_dataset(root, seed=3, train_people=24, val_people=8, workers=1, progress=False)
    return root
