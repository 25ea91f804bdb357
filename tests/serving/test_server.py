"""predict.py --serve from its start to its end: address, port, missing library, Ctrl-C, disk."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from places import ROOT

from paddle_pose.errors import UserError
from paddle_pose.serving import predict_line
from paddle_pose.serving.server import _is_own, serve

PREDICT = [sys.executable, str(ROOT / "predict.py"), "--serve"]


@pytest.fixture
def served():
    pytest.importorskip("waitress", reason="requirements-demo.txt is not installed")


def test_it_serves_keeps_nothing_and_ends_by_ctrl_c(served, given, tmp_path):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    command = [*PREDICT, "--weights", str(given.weights), "--port", "0", "--host", "0.0.0.0"]  # noqa: S104
    environment = os.environ | {"TMPDIR": str(temporary), "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        said = []
        while not said or not said[-1].startswith("=> http"):
            said.append(process.stdout.readline())
            assert said[-1], process.stderr.read()
        assert "warning: --host 0.0.0.0: whoever reaches this machine" in said[-2]
        port = re.search(r":(\d+) \(Ctrl-C ends it\)", said[-1])[1]
        pixels = np.random.default_rng(0).integers(0, 255, (700, 700, 3), np.uint8)
        photo = cv2.imencode(".png", pixels)[1].tobytes()
        assert len(photo) > 1 << 20  # more than libraries keep in memory by themselves
        request = urllib.request.Request(f"http://127.0.0.1:{port}/poses", photo)
        with urllib.request.urlopen(request, timeout=60) as reply:  # noqa: S310
            assert len(json.load(reply)["people"]) == 1
        assert [*tmp_path.rglob("*")] == [temporary]
        with ThreadPoolExecutor(12) as visitors:  # the signal comes while many wait
            asked = [visitors.submit(answered, request) for _ in range(24)]
            asked[0].result()
            process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    finally:
        process.kill()
    assert (process.returncode, errors.strip()) == (130, "stopped by Ctrl-C")
    assert [*tmp_path.rglob("*")] == [temporary]


def answered(request: urllib.request.Request) -> bool:
    """Whether the server still did."""
    try:
        with urllib.request.urlopen(request, timeout=60) as reply:  # noqa: S310
            return bool(reply.read())
    except (OSError, http.client.HTTPException):
        return False


def test_localhost_of_two_addresses_says_a_port(served, given, tmp_path, monkeypatch, capsys):
    def two(host, port, *more):
        return [one for ip in ("127.0.0.1", "127.0.0.2") for one in lookup(ip, port, *more)]

    class Begun(Exception):
        pass

    def run(server):
        server.close()
        raise Begun

    lookup = socket.getaddrinfo
    monkeypatch.setattr("waitress.adjustments.socket.getaddrinfo", two)
    monkeypatch.setattr("waitress.server.MultiSocketServer.run", run)
    with pytest.raises(Begun):
        serve(given, "localhost", 0, tmp_path)
    assert re.search(r"=> http://localhost:[1-9]\d+ \(Ctrl-C", capsys.readouterr().out)


def test_a_taken_port_and_no_such_address(served, given, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"^--port {port}: is taken; give another one"):
            serve(given, "127.0.0.1", port, tmp_path)
    with pytest.raises(UserError, match=r"^--host 192\.0\.2\.1"):  # an address of nobody's
        serve(given, "192.0.2.1", 0, tmp_path)
    with pytest.raises(UserError, match=r"^--host no such: no address of this machine"):
        serve(given, "no such", 0, tmp_path)


def test_weights_that_cannot_be_read_are_said_before_anything_listens(served, tmp_path):
    from paddle_pose.commands.predict import Network

    (tmp_path / "x.pdparams").write_bytes(b"no weights")
    began = time.monotonic()
    with pytest.raises(UserError, match=r"x\.pdparams"):
        serve(Network(tmp_path / "x.pdparams", device="cpu"), "127.0.0.1", 0, tmp_path)
    with pytest.raises(UserError, match=r"none\.pdparams"):
        serve(Network(tmp_path / "none.pdparams", device="cpu"), "127.0.0.1", 0, tmp_path)
    assert time.monotonic() - began < 60


@pytest.mark.parametrize("library", ["flask", "waitress"])
def test_without_the_library(library, given, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, library, None)
    monkeypatch.delitem(sys.modules, "paddle_pose.serving.app", raising=False)
    line = f"^--serve: {library} is not installed: pip install -r requirements-demo.txt$"
    with pytest.raises(UserError, match=line):
        serve(given, "127.0.0.1", 0, tmp_path)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--serve", "a.jpg"], "paths: no meaning with --serve"),
        (["--serve", "--box", "1,2,3,4"], "--box: no meaning with --serve"),
        (["--serve", "--port", "70000"], "--port 70000: must be from 0 to 65535"),
        (["a.jpg", "--port", "80"], "--port, --host: have a meaning only with --serve"),
        ([], "the following arguments are required: PATH (or --serve)"),
    ],
)
def test_options_without_meaning(arguments, line, capsys):
    with pytest.raises(SystemExit) as ended:
        predict_line.parse_arguments(arguments)
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith(f"error: {line}")


def test_a_box_may_begin_left_of_the_photo():
    given = predict_line.parse_arguments(["a.jpg", "--box", "-5,0,9,8", "--box", "1,2,3,4"])
    assert given.box == [[-5, 0, 9, 8], [1, 2, 3, 4]]


def test_what_is_this_machine_alone():
    own = [host for host in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "::") if _is_own(host)]  # noqa: S104
    assert own == ["127.0.0.1", "::1", "localhost"]


def test_requirements_pin_what_is_imported():
    text = Path(ROOT / "requirements-demo.txt").read_text(encoding="utf-8")
    assert re.findall(r"^(\w+)==", text, re.MULTILINE) == ["Flask", "waitress"]
    assert "-r requirements-demo.txt" in (ROOT / "requirements-dev.txt").read_text("utf-8")
