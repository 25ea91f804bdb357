"""Published weights by name: fetched once into a cache, resumed where broken off, verified.

The cache is ``$PADDLE_POSE_CACHE`` or ``~/.cache/paddle_pose``.
"""

from __future__ import annotations

import csv
import http.client
import os
import re
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from tqdm import tqdm

from paddle_pose.errors import UserError, nearest
from paddle_pose.files import holding, read_json, sha256, write_json

TABLE = Path(__file__).with_name("published_weights.csv")
ATTEMPTS = 5
_TIMEOUT_S = 30
_CHUNK = 1 << 18
_BROKEN = (
    urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError, ssl.SSLError,
)  # fmt: skip


@dataclass(frozen=True)
class PublishedWeights:
    """A row of ``published_weights.csv``.

    Attributes:
        name: what ``--download`` takes.
        recipe: the network it is for, as ``--recipe`` takes it; of a backbone, one of several.
        kind: ``pose``, or ``backbone`` for ImageNet weights without a pose head.
        home: ``direct``, or ``drive`` where a program cannot fetch it.
        url: of the file, or of the drive's folder.
        file: its name at the publisher's.
        sha256_prefix: first digits of its SHA-256, as they stand in its name; empty where the
            publisher gives none.
        licence: of the publisher's repository.
        published: metrics as ``name=value``, ``; `` between: under the publisher's own
            protocol, PCKh by its threshold (what HRNet prints as "Mean@0.1" stands at Mean@0.11).
        source: where URL and numbers were read: repository, file:line @commit.
    """

    name: str
    recipe: str
    kind: str
    home: str
    url: str
    file: str
    sha256_prefix: str
    licence: str
    published: str
    source: str


def published_weights() -> list[PublishedWeights]:
    """Every row of the table."""
    with TABLE.open(encoding="utf-8", newline="") as file:
        return [PublishedWeights(**row) for row in csv.DictReader(file)]


def find(name: str) -> PublishedWeights:
    """The row of that name; Raises UserError with the nearest one."""
    rows = {row.name: row for row in published_weights()}
    if name not in rows:
        hint = nearest(name, rows, "--list shows all names")
        raise UserError(f"--download {name}: unknown name{hint}")
    return rows[name]


def cache_folder() -> Path:
    """Where downloads are kept."""
    chosen = os.environ.get("PADDLE_POSE_CACHE")
    return Path(chosen) if chosen else Path.home() / ".cache" / "paddle_pose"


def fetch(weights: PublishedWeights, folder: Path | None = None, pause_s: float = 1.0) -> Path:
    """The file of published weights, from the cache or from its home.

    A file on a drive is taken from the cache if it was put there by hand.

    Args:
        weights: the row.
        folder: the cache; None for ``cache_folder()``.
        pause_s: before the second attempt; it doubles with every further one, up to ten-fold.

    Raises:
        UserError: it must be fetched by hand; the server does not give it; its content is not
            what its name promises.
    """
    folder = cache_folder() if folder is None else folder
    target = folder / weights.name / weights.file
    if target.exists():
        _verify(target, weights, f"{target}: in the cache, but")
        return target
    if weights.home == "drive":
        raise UserError(
            f"{weights.name}: its home is a drive that a program cannot fetch from; open "
            f"{weights.url}, download {weights.file} and put it at {target}"
        )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(target.name + ".part")
        with holding(target.parent):
            if not target.exists():  # else another process has fetched it
                _transfer(weights.url, part, bool(weights.sha256_prefix), pause_s)
                _verify(part, weights, f"{weights.url}: what the server sent")
                os.replace(part, target)
    except OSError as error:
        raise UserError(f"{target}: cannot be written ({error.strerror or error})") from error
    return target


def _verify(path: Path, weights: PublishedWeights, said: str) -> None:
    """Compare the hash; the file is removed if it is wrong, so that the next attempt is clean."""
    digest = sha256(path)
    if weights.sha256_prefix:
        if not digest.startswith(weights.sha256_prefix):
            path.unlink()
            raise UserError(
                f"{said} has SHA-256 {digest[:8]}…, its name promises {weights.sha256_prefix}; "
                "it was removed, try again"
            )
        return
    with path.open("rb") as file:
        start = file.read(512).lstrip().lower()
    if start.startswith((b"<!doctype", b"<html", b"<?xml")):
        path.unlink()
        raise UserError(f"{said} is a web page, not {weights.file}; it was removed")


class _Interrupted(Exception):
    """The transfer broke; what came so far is kept and the next attempt goes on there."""


def _transfer(url: str, part: Path, has_hash: bool, pause_s: float) -> None:
    """Download to ``part``, going on where an earlier attempt or run broke off."""
    if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
        raise UserError(f"{url}: only http and https can be fetched")
    reason = ""
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(min(2.0 ** (attempt - 1), 10.0) * pause_s)
        try:
            _attempt(url, part, has_hash)
            return
        except _Interrupted as error:
            reason = str(error)
    have = part.stat().st_size if part.exists() else 0
    raise UserError(
        f"{url}: broke off {ATTEMPTS} times ({reason}); {have:,} bytes are kept, the same command "
        "goes on from there",
        f"; or put the file at {part.with_suffix('')} by hand",
    )


def _attempt(url: str, part: Path, has_hash: bool) -> None:
    """One request; returns when the file is complete, raises _Interrupted when it is not."""
    stamp_file = part.with_name(part.name + ".json")
    have = part.stat().st_size if part.exists() else 0
    stamp = _read_stamp(stamp_file) if have else {}
    validator = stamp.get("validator")
    if stamp.get("url") != url or not (validator or has_hash):
        have = 0  # nothing would tell if the server had another file by now
    request = urllib.request.Request(url, headers={"User-Agent": "paddle-pose"})  # noqa: S310
    if have:
        request.add_header("Range", f"bytes={have}-")
        if validator:
            request.add_header("If-Range", validator)
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as response:  # noqa: S310
            start, total = _place(response, have)
            sent = response.headers.get("ETag") or response.headers.get("Last-Modified") or ""
            strong = "" if sent.startswith("W/") else sent
            write_json(stamp_file, {"url": url, "validator": strong})
            with part.open("r+b" if start else "wb") as file:
                file.truncate(start)
                file.seek(start)
                _receive(response, file, start, total, part.name.removesuffix(".part"))
    except urllib.error.HTTPError as error:
        if error.code == 416:  # what is kept is longer than the file: start afresh
            part.unlink(missing_ok=True)
            raise _Interrupted("the kept part does not fit the file") from error
        if error.code >= 500 or error.code in (408, 429):
            raise _Interrupted(f"the server answers {error.code} {error.reason}") from error
        raise UserError(f"{url}: the server answers {error.code} {error.reason}") from error
    except _BROKEN as error:
        raise _Interrupted(str(getattr(error, "reason", error)) or type(error).__name__) from error
    stamp_file.unlink(missing_ok=True)


def _place(response: http.client.HTTPResponse, have: int) -> tuple[int, int | None]:
    """Where the body of an answer starts in the file, and the file's length if it is said."""
    if response.status == 206:
        match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
        if match is None or int(match[1]) != have:
            raise _Interrupted("the server sent another part than was asked for")
        return have, None if match[2] == "*" else int(match[2])
    length = response.headers.get("Content-Length")
    return 0, int(length) if length and length.isdigit() else None


def _receive(
    response: http.client.HTTPResponse, file: BinaryIO, start: int, total: int | None, name: str
) -> None:
    """Write the body behind ``start``; raises _Interrupted if it is shorter than announced."""
    with tqdm(
        total=total, initial=start, unit="B", unit_scale=True, desc=name, disable=None
    ) as bar:
        done = start
        while chunk := response.read1(_CHUNK):
            file.write(chunk)
            done += len(chunk)
            bar.update(len(chunk))
    file.flush()
    os.fsync(file.fileno())
    if total is not None and done != total:
        raise _Interrupted(f"{done:,} of {total:,} bytes came")


def _read_stamp(path: Path) -> dict[str, str]:
    try:
        stamp = read_json(path)
    except UserError:
        return {}
    return stamp if isinstance(stamp, dict) else {}
