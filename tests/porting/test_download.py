"""Downloads from a local server that breaks off, ignores ranges, changes or lies."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from paddle_pose import configs
from paddle_pose.errors import UserError
from paddle_pose.porting import download
from paddle_pose.porting.download import PublishedWeights, fetch

CONTENT = bytes(range(256)) * 4096  # 1 MiB
OTHER = CONTENT[::-1]
HALF = 500_000


@dataclass
class Behaviour:
    """What the server does; ``ranges`` notes the Range header of every request."""

    content: bytes = CONTENT
    etag: str | None = '"one"'
    break_after: list[int | None] = field(default_factory=list)
    with_ranges: bool = True
    statuses: list[int] = field(default_factory=list)
    wrong_start: bool = False
    ranges: list[str | None] = field(default_factory=list)


class Server(ThreadingHTTPServer):
    """A server with a Behaviour."""

    daemon_threads = True
    behaviour: Behaviour

    def handle_error(self, *_: object) -> None:
        """Clients that hang up are part of these tests."""


class Handler(BaseHTTPRequestHandler):
    """Serves ``behaviour.content`` at any path."""

    def do_GET(self) -> None:
        """One answer, maybe cut."""
        is_now = self.server.behaviour
        asked = self.headers.get("Range")
        is_now.ranges.append(asked)
        if is_now.statuses and (status := is_now.statuses.pop(0)) != 200:
            self.send_error(status)
            return
        start = 0
        fresh = self.headers.get("If-Range") in (None, is_now.etag)
        if asked and is_now.with_ranges and fresh:
            start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1])
            if start >= len(is_now.content):
                self.send_error(416)
                return
        body = is_now.content[start:]
        self.send_response(206 if start else 200)
        if start:
            said = start + (7 if is_now.wrong_start else 0)
            whole = len(is_now.content)
            self.send_header("Content-Range", f"bytes {said}-{whole - 1}/{whole}")
        if is_now.etag:
            self.send_header("ETag", is_now.etag)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        cut = is_now.break_after.pop(0) if is_now.break_after else None
        self.wfile.write(body if cut is None else body[:cut])

    def log_message(self, *_: object) -> None:
        """Nothing on the terminal."""


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server(("127.0.0.1", 0), Handler)
    running.behaviour = Behaviour()
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield running
    running.shutdown()
    thread.join()
    running.server_close()


@pytest.fixture
def weights(server) -> PublishedWeights:
    return PublishedWeights(
        name="net",
        recipe="hrnet:w32_mpii_256x256",
        kind="pose",
        home="direct",
        url=f"http://127.0.0.1:{server.server_port}/net.pth",
        file="net.pth",
        sha256_prefix=hashlib.sha256(CONTENT).hexdigest()[:8],
        licence="MIT",
        published="",
        source="",
    )


def test_fetched_once_then_taken_from_the_cache(server, weights, tmp_path):
    path = fetch(weights, tmp_path)
    assert path == tmp_path / "net" / "net.pth"
    assert path.read_bytes() == CONTENT
    assert fetch(weights, tmp_path) == path
    assert server.behaviour.ranges == [None]
    assert [file.name for file in path.parent.iterdir()] == ["net.pth"]


def test_goes_on_where_the_transfer_broke(server, weights, tmp_path):
    server.behaviour.break_after = [HALF, 100_000]
    assert fetch(weights, tmp_path, pause_s=0).read_bytes() == CONTENT
    assert server.behaviour.ranges == [None, f"bytes={HALF}-", f"bytes={HALF + 100_000}-"]


def test_goes_on_in_a_later_run(server, weights, tmp_path):
    server.behaviour.break_after = [HALF, 0, 0, 0, 0]
    with pytest.raises(UserError, match=r"broke off 5 times .*500,000 bytes are kept"):
        fetch(weights, tmp_path, pause_s=0)
    assert not (tmp_path / "net" / "net.pth").exists()
    assert fetch(weights, tmp_path).read_bytes() == CONTENT
    assert server.behaviour.ranges[-1] == f"bytes={HALF}-"


@pytest.mark.parametrize("has_hash", [True, False])
def test_starts_again_where_the_server_ignores_ranges(server, weights, has_hash, tmp_path):
    server.behaviour.break_after = [HALF]
    server.behaviour.with_ranges = False
    row = weights if has_hash else replace(weights, sha256_prefix="")
    assert fetch(row, tmp_path, pause_s=0).read_bytes() == CONTENT


def test_starts_again_where_the_file_has_changed_meanwhile(server, weights, tmp_path):
    server.behaviour.break_after = [HALF, 0, 0, 0, 0]
    with pytest.raises(UserError, match="broke off"):
        fetch(weights, tmp_path, pause_s=0)
    server.behaviour.content, server.behaviour.etag = OTHER, '"two"'
    row = replace(weights, sha256_prefix=hashlib.sha256(OTHER).hexdigest()[:8])
    assert fetch(row, tmp_path, pause_s=0).read_bytes() == OTHER


@pytest.mark.parametrize("etag", [None, 'W/"weak"'])
def test_without_a_validator_only_a_hash_allows_going_on(server, weights, etag, tmp_path):
    server.behaviour.etag = etag
    server.behaviour.break_after = [HALF]
    assert fetch(weights, tmp_path, pause_s=0).read_bytes() == CONTENT
    assert server.behaviour.ranges == [None, f"bytes={HALF}-"]

    server.behaviour.ranges.clear()
    server.behaviour.break_after = [HALF]
    row = replace(weights, name="unhashed", sha256_prefix="")
    assert fetch(row, tmp_path, pause_s=0).read_bytes() == CONTENT
    assert server.behaviour.ranges == [None, None]


def test_wrong_content_is_removed_and_the_next_run_is_clean(server, weights, tmp_path):
    server.behaviour.content = OTHER
    with pytest.raises(UserError, match=f"promises {weights.sha256_prefix}"):
        fetch(weights, tmp_path)
    assert list((tmp_path / "net").iterdir()) == []
    server.behaviour.content = CONTENT
    assert fetch(weights, tmp_path).read_bytes() == CONTENT


def test_a_damaged_file_in_the_cache_is_noticed(weights, tmp_path):
    path = fetch(weights, tmp_path)
    path.write_bytes(CONTENT[:-1])
    with pytest.raises(UserError, match="in the cache, but has SHA-256"):
        fetch(weights, tmp_path)
    assert fetch(weights, tmp_path).read_bytes() == CONTENT


def test_a_part_longer_than_the_file_starts_again(server, weights, tmp_path):
    server.behaviour.break_after = [HALF, 0, 0, 0, 0]
    with pytest.raises(UserError, match="broke off"):
        fetch(weights, tmp_path, pause_s=0)
    (tmp_path / "net" / "net.pth.part").write_bytes(CONTENT + b"more")
    assert fetch(weights, tmp_path, pause_s=0).read_bytes() == CONTENT


def test_another_part_than_asked_for_is_not_written(server, weights, tmp_path):
    server.behaviour.break_after = [HALF]
    server.behaviour.wrong_start = True
    with pytest.raises(UserError, match="another part than was asked for"):
        fetch(weights, tmp_path, pause_s=0)
    assert (tmp_path / "net" / "net.pth.part").stat().st_size == HALF


def test_busy_servers_are_asked_again_missing_files_are_not(server, weights, tmp_path):
    server.behaviour.statuses = [503, 429]
    assert fetch(weights, tmp_path, pause_s=0).read_bytes() == CONTENT
    server.behaviour.statuses = [404]
    server.behaviour.ranges.clear()
    with pytest.raises(UserError, match=r"net\.pth: the server answers 404"):
        fetch(replace(weights, name="other"), tmp_path, pause_s=0)
    assert len(server.behaviour.ranges) == 1


def test_a_web_page_is_not_a_weights_file(server, weights, tmp_path):
    server.behaviour.content = b"\n<!DOCTYPE html><html>Too many downloads</html>"
    with pytest.raises(UserError, match="is a web page"):
        fetch(replace(weights, sha256_prefix=""), tmp_path)


def test_no_server(weights, tmp_path):
    row = replace(weights, url="http://127.0.0.1:9/net.pth")
    with pytest.raises(UserError, match="broke off 5 times"):
        fetch(row, tmp_path, pause_s=0)
    with pytest.raises(UserError, match="only http and https"):
        fetch(replace(weights, url="file:///etc/passwd"), tmp_path)


def test_a_cache_that_cannot_be_written(weights, tmp_path):
    (tmp_path / "net").write_text("a file where a folder must be")
    with pytest.raises(UserError, match="cannot be written"):
        fetch(weights, tmp_path)


def test_drives_say_what_to_fetch_by_hand(tmp_path, monkeypatch):
    monkeypatch.setenv("PADDLE_POSE_CACHE", str(tmp_path))
    row = download.find("official_hrnet_w32_mpii_256x256")
    place = tmp_path / row.name / "pose_hrnet_w32_256x256.pth"
    with pytest.raises(UserError, match="a program cannot fetch") as error:
        fetch(row)
    assert str(place) in str(error.value)
    assert row.url in str(error.value)
    place.parent.mkdir()
    place.write_bytes(CONTENT)
    assert fetch(row) == place


def test_the_table():
    rows, recipes = download.published_weights(), set(configs.all_names())
    assert len({row.name for row in rows}) == len(rows)
    for row in rows:
        assert row.kind in ("pose", "backbone")
        assert row.home in ("direct", "drive")
        assert row.licence
        assert row.recipe in recipes, row.name
        assert re.search(r" @[0-9a-f]{7}$", row.source), row.name
        in_name = re.search(r"-([0-9a-f]{8})[_.]", row.file)
        assert row.sha256_prefix == (in_name[1] if in_name else ""), row.name
        if row.home == "direct":
            assert row.url.endswith("/" + row.file)
        assert row.file.endswith((".pth", ".pt", ".pth.tar", ".pdparams"))
    with pytest.raises(UserError, match="did you mean 'princeton_8hg'"):
        download.find("princeton_8hq")
