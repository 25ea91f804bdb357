"""One command fills a row: on a local server, in a copy of the project, to report and README."""

from __future__ import annotations

import csv
import hashlib
import http.server
import json
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import torch_files
from places import ROOT
from seeded_networks import seeded

from paddle_pose import configs
from paddle_pose.errors import UserError
from paddle_pose.porting.loading import keys_of
from reproduce import fill, published, verdicts
from reproduce.aligning.name_seeded import official_name

ROWS = {"mmpose_hrnet_w32_mpii_256x256": False, "official_res50_mpii_256x256": True}
"""Weights, and whether they come in the older of PyTorch's formats."""

RUN = "from reproduce import fill, verdicts\nfrom paddle_pose.errors import one_line_errors\n"
"""Everything else is the command's own way."""


def row_of(weights: str) -> str:
    return next(row.id for row in published.load() if row.weights == weights and row.benchmark)


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Prints no requests."""

    def log_message(self, *_: object) -> None: ...


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's files, without what git does not have."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True
    )
    target = tmp_path_factory.mktemp("copy") / "project"
    for name in listed.stdout.split("\0"):
        if name and not name.startswith("tests/") and (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, target / name)
    return target


@pytest.fixture
def address(copy: Path, tmp_path: Path) -> Iterator[str]:
    """A server with name-seeded weights, which the copy's table names."""
    served = tmp_path / "served"
    served.mkdir()
    table = copy / "paddle_pose/porting/published_weights.csv"
    with table.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(Quiet, directory=str(served))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for row in rows:
        if row["name"] in ROWS:
            file = served / row["file"]
            network = seeded(configs.load(row["recipe"]).model)
            wanted = keys_of(network)
            state = {
                official_name(key): tensor.numpy()
                for key, tensor in network.state_dict().items()
                if key in wanted.shapes
            }
            torch_files.write(file, state, ROWS[row["name"]])
            row["url"] = f"http://127.0.0.1:{server.server_port}/{row['file']}"
            row["home"] = "direct"
            row["sha256_prefix"] = hashlib.sha256(file.read_bytes()).hexdigest()[:8]
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.fixture
def data(reference_data: Path, tmp_path: Path) -> Path:
    """The people of the five photos, as a whole split."""
    given, made = reference_data / "data/mpii", tmp_path / "data/mpii"
    (made / "annot").mkdir(parents=True)
    (made / "images").symlink_to(given / "images")
    for name in ("valid.json", "gt_valid.mat"):
        stem, _, suffix = name.partition(".")
        shutil.copyfile(given / "annot" / f"{stem}_5.{suffix}", made / "annot" / name)
    return made.parent


def run(copy: Path, tmp_path: Path, people: int, *words: object) -> subprocess.CompletedProcess:
    code = RUN + f"verdicts.VALIDATION['mpii', 'valid'] = {{'people': {people}}}\n"
    code += f"with one_line_errors():\n    fill.main({[str(word) for word in words]!r})\n"
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=copy,
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin", "PADDLE_POSE_CACHE": str(tmp_path / "cache")},
    )


def test_rows_are_filled_from_the_server_to_the_report(
    copy: Path, address: str, data: Path, tmp_path: Path
) -> None:
    people = len(json.loads((data / "mpii/annot/valid.json").read_text()))
    for weights in ROWS:
        name = row_of(weights)
        done = run(copy, tmp_path, people, name, "--data_root", data, "--device", "cpu")
        assert done.returncode == 0, done.stderr
        assert re.search(
            r"Mean: published [\d.]+, measured .*: tested, NOT within 0\.1", done.stdout
        )
        record = copy / "reproduce/runs/tested" / verdicts.folder_of(name) / "scores.json"
        kept = json.loads(record.read_text())
        assert (kept["row"], kept["weights"], kept["counts"]["people"]) == (name, weights, people)
        relative = record.relative_to(copy / "reproduce").as_posix()
        assert relative in (copy / "reproduce/REPORT.md").read_text()
        assert relative in (copy / "reproduce/report.html").read_text()
    for page, word in (("README.md", "tested"), ("README_cn.md", "已测试")):
        line = next(one for one in (copy / page).read_text().splitlines() if f"*{word}*" in one)
        assert "| 2 |" in line
    assert "2 tested by their weights" in (copy / "README.md").read_text()
    assert "except" in (copy / "README.md").read_text()  # seeded weights are nobody's network


def test_weights_scored_on_a_part_of_the_split_fill_nothing(
    copy: Path, address: str, data: Path, tmp_path: Path
) -> None:
    weights = next(reversed(ROWS))
    done = run(copy, tmp_path, 2958, row_of(weights), "--data_root", data, "--device", "cpu")
    assert done.returncode == 0, done.stderr
    assert "not recorded: a part of the split: 5 of 2958 people" in done.stdout
    assert "tested" not in done.stdout.split("Mean: ")[1]


def test_without_network_it_says_which_file_goes_where(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PADDLE_POSE_CACHE", str(tmp_path))
    row = fill.find(row_of("official_hrnet_w32_mpii_256x256"))
    with pytest.raises(
        UserError, match=r"pose_hrnet_w32_256x256\.pth and put it at " + str(tmp_path)
    ):
        fill.weights_of(row)


def test_what_cannot_be_filled_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no published row; did you mean 'hrnet_readme:hrnet_w32_m"):
        fill.find("hrnet_readme:hrnet_w32_mpii_256x255")
    with pytest.raises(UserError, match="cannot be measured here: no "):
        fill.find(next(row.id for row in published.load() if not row.benchmark))
    with pytest.raises(UserError, match="cannot be measured here: no boxes: "):
        fill.find("alphapose_zoo:r50_coco_256x192")
    with pytest.raises(UserError, match=f"{tmp_path}/mpii: no such folder"):
        fill.data_of(fill.find("hrnet_readme:hrnet_w32_mpii_256x256"), tmp_path)
    with pytest.raises(UserError, match="only with --train"):
        fill.main(["hrnet_readme:hrnet_w32_mpii_256x256", "--set", "train.epochs=1"])
    with pytest.raises(UserError, match="name a row"):
        fill.main([])


def test_open_rows_with_weights_lead(capsys: pytest.CaptureFixture) -> None:
    fill.main(["--list"])
    lines = capsys.readouterr().out.splitlines()
    closed = [line for line in lines if "aligned, not to be filled: no " in line]
    fetched = ["weights to fetch" in line for line in lines[: -1 - len(closed)]]
    assert fetched == sorted(fetched, reverse=True)
    assert lines[-1 - len(closed) : -1] == closed
    assert lines[-1] == f"=> {len(fetched)} rows can be filled, {len(closed)} aligned ones cannot"


@pytest.mark.parametrize("word", ["hrnet_readme:hrnet_w32_mpii_256x256", "--train"])
def test_a_list_is_of_all_rows(word):
    with pytest.raises(UserError, match="--list: lists all rows"):
        fill.main([word, "--list"])
