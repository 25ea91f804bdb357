"""Signals in processes of their own: when they end at once, and when they only ask."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest
from places import ROOT

HEAD = """
import sys, time, os, signal
from paddle_pose.errors import one_line_errors
from paddle_pose.system import ending
me = os.getpid()
"""


def run(body: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", HEAD + body],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_what_is_half_written_is_cleared_away(number, tmp_path):
    file = tmp_path / "x.json"
    done = run(f"""
from pathlib import Path
from paddle_pose.files import atomic
with one_line_errors():
    with atomic(Path({str(file)!r})) as out:
        out.write(b"half")
        os.kill(me, {int(number)})
        time.sleep(60)
""")
    assert done.returncode == 128 + number
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("stopped by")
    assert list(tmp_path.iterdir()) == []


def test_politely_asked_twice():
    done = run("""
with one_line_errors(), ending.politely():
    os.kill(me, signal.SIGTERM)
    os.kill(me, signal.SIGTERM)
    os.kill(me, signal.SIGINT)
    print("goes on", ending.asked(), flush=True)
    os.kill(me, signal.SIGINT)
    time.sleep(60)
""")
    assert done.stdout == "goes on 15\n"
    assert done.returncode == 130


def test_in_an_import(tmp_path):
    """A library turns what is raised there into its own ImportError."""
    (tmp_path / "broken.py").write_text("""
import os, time
try:
    os.kill(os.getpid(), 2)
    time.sleep(60)
except BaseException as error:
    raise ImportError("numpy is broken, please reinstall") from error
""")
    done = run(f"""
sys.path.insert(0, {str(tmp_path)!r})
with one_line_errors():
    import broken
""")
    assert done.returncode == 130
    assert done.stderr.split() == ["stopped", "by", "Ctrl-C"]


def test_ignored_by_who_started_it_stays_ignored():
    done = run("""
signal.signal(signal.SIGHUP, signal.SIG_IGN)  # nohup
with one_line_errors():
    os.kill(me, signal.SIGHUP)
    print("on")
""")
    assert (done.returncode, done.stdout) == (0, "on\n")


def test_a_program_of_ones_own_keeps_its_handlers():
    done = run("""
before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
with ending.politely():
    os.kill(me, signal.SIGINT)
    print(ending.asked())
print(ending.asked(), before == (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)))
""")
    assert done.stdout == "2\n0 True\n"


def test_held_signals_come_later():
    done = run("""
with one_line_errors():
    with ending.held():
        os.kill(me, signal.SIGTERM)
        print("written", flush=True)
    time.sleep(60)
""")
    assert (done.returncode, done.stdout) == (143, "written\n")


def test_held_signals_come_later_where_a_library_has_threads_that_do_not_block_them():
    done = run("""
import threading
threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
with one_line_errors():
    with ending.held():
        os.kill(me, signal.SIGTERM)
        time.sleep(0.2)
        print("written", flush=True)
    time.sleep(60)
""")
    assert (done.returncode, done.stdout) == (143, "written\n")


def test_python_has_the_last_word_before_an_abort_of_a_library():
    done = run("""
import threading
ending.before_abort(lambda: time.sleep(60))
def watch():
    time.sleep(0.3)
    print("told", flush=True)
    os._exit(3)
threading.Thread(target=watch, daemon=True).start()
os.abort()
""")
    assert (done.returncode, done.stdout) == (3, "told\n")


def test_a_full_disk_under_the_output_is_one_line():
    done = run("""
with one_line_errors(), open("/dev/full", "w") as full:
    print("x", file=full, flush=True)
""")
    assert done.returncode == 2
    assert done.stderr.startswith("error: what this program prints: cannot be written (No space")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "script", ["train.py", "val.py", "-m paddle_pose recipes", "-m paddle_pose render --output x"]
)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_start_up(script, number, tmp_path):
    """At any moment of the first second: one line or none, and the code."""
    words = [sys.executable, *script.split()]
    if not script.startswith("-m"):
        words[1] = str(ROOT / script)
        words += ["--config", "quickstart:newell_hg1_synthetic", "--dataset_root", "nowhere"]
    env = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    process = subprocess.Popen(
        words, cwd=tmp_path, env=env, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    time.sleep(0.5)
    process.send_signal(number)
    said = process.communicate(timeout=60)
    if process.returncode in (0, 2):  # it was done before
        return
    assert "Traceback" not in said[1]
    assert process.returncode in (128 + number, -number), said
    assert [f for f in tmp_path.iterdir() if "partial" in f.name] == []
