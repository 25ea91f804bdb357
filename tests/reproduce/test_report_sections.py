"""Sections of the report on records made up here: they say what the records say."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from benchmarks import results
from reproduce.published import PublishedRow
from reproduce.reporting import (
    alignment,
    chinese,
    evidence,
    markdown,
    missing,
    photos,
    published_rows,
    records,
    reliability,
    speed,
    summary,
    trained,
    twins,
)
from reproduce.reporting.content import NOT_YET, Cell, Charts, Section, Table
from reproduce.verdicts import NO_TRAINING, Verdict


@pytest.fixture
def root(tmp_path, monkeypatch) -> Path:
    """An empty repository."""
    monkeypatch.setattr(records, "ROOT", tmp_path)
    monkeypatch.setattr(photos, "ROOT", tmp_path)
    monkeypatch.setattr(results, "FOLDER", tmp_path / "benchmarks" / "results")
    return tmp_path


def write(root: Path, path: str, *content: object) -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(map(json.dumps, content)) + "\n", encoding="utf-8")


def text_of(section: Section) -> str:
    return "\n".join(markdown.MarkdownWriter(Path("reproduce")).section(section))


@pytest.mark.parametrize("part", [twins, speed, trained, photos, reliability])
def test_what_is_not_recorded_says_so(root, part):
    assert NOT_YET in text_of(part.section())


RUN = {
    "paddle": {"Mean": 40.5, "Mean@0.1": 4.0},
    "torch": {"Mean": 40.0, "Mean@0.1": 4.1},
    "paddle_intervals": {"Mean": [38.5, 42.5], "Mean@0.1": [3.5, 4.5]},
    "torch_intervals": {"Mean": [38.0, 42.0], "Mean@0.1": [3.6, 4.6]},
    "paired": {
        "Mean": {"difference": 0.5, "interval": [-0.4, 1.4]},
        "Mean@0.1": {"difference": -0.1, "interval": [-0.5, 0.3]},
    },
}


def write_twins(root: Path) -> None:
    seen = {
        "seeds": 2, "paddle_sd": 0.3, "torch_sd": 0.4, "difference": 0.5, "seen_beyond": 1.2,
        "verdict": "no difference seen",
    }  # fmt: skip
    folder = "reproduce/runs/twins"
    content = {
        "newell_hg1_lspet": {
            "runs": [{"seed": seed, **RUN} for seed in (0, 1)],
            "judgement": {"Mean": seen, "Mean@0.1": seen | {"difference": -0.1}},
        }
    }
    write(root, f"{folder}/twins.json", content)
    for seed in (0, 1):
        for number, side in enumerate(("paddle", "torch")):
            run = f"{folder}/newell_hg1_lspet_s{seed}_{side}"
            lines = [
                {"kind": "train", "epoch": 0, "step": 0, "loss": 4.0},
                {"kind": "train", "epoch": 0, "step": 1, "loss": 2.0},
                {"kind": "eval", "epoch": 0, "Mean": 30.0 + number},
            ]
            write(root, f"{run}/metrics.jsonl", *lines)
            official = {
                "repository": "a/b",
                "commit": "0123456789",
                "network": "n.py",
                "loss": "l.py",
            }
            write(root, f"{run}/record.json", {"official": official} if side == "torch" else {})
    steps = {
        "paddle": [1.0, 1.0],
        "torch": [1.0, 1.0],
        "relative_difference": [0.0, 3e-9],
        "first_step_beyond": {"1e-12": 1, "1e-06": None},
    }
    write(root, f"{folder}/first_steps.json", {"newell_hg1_lspet": {"float64": steps}})


def test_twins_show_difference_spread_and_judgement(root):
    write_twins(root)
    text = text_of(twins.section())
    assert (
        "| Newell hourglass, 1 stack | PCKh@0.5 | 2 | [+0.50](runs/twins/twins.json) "
        "| 0.30 / 0.40 | 1.20 | *no difference seen* |"
    ) in text
    assert "| [−0.10](runs/twins/twins.json) |" in text
    assert "[40.50 (38.5 – 42.5)](runs/twins/newell_hg1_lspet_s0_paddle/scores.json)" in text
    assert "[+0.50 (−0.4 to +1.4)](runs/twins/twins.json)" in text
    assert "https://github.com/a/b/blob/0123456789/n.py" in text


def test_twins_say_at_which_step_they_part(root):
    write_twins(root)
    # Steps are counted from 1 for readers, from 0 in the record.
    row = "float64 | [3.0e-09](runs/twins/first_steps.json) | 2 | never |"
    assert row in text_of(twins.section())


def test_curves_of_both_frameworks_stand_in_one_picture(root):
    write_twins(root)
    charts = next(b for b in twins.section().blocks if isinstance(b, Charts)).charts
    score, loss = charts
    assert [one.color for one in score.series] == [0, 0, 1, 1]
    assert [one.name for one in score.series if one.name] == list(twins.FRAMEWORKS.values())
    assert [one.y for one in score.series] == [(30.0,), (30.0,), (31.0,), (31.0,)]
    assert loss.series[0].y == (3.0,)  # mean of the epoch's lines
    assert len({chart.digest for chart in charts}) == 2


def test_alignment_names_what_is_outside_its_tolerance(root):
    row = {
        "network": "x",
        "step": "forward",
        "precision": "float32",
        "quantity": "maps",
        "difference": 2e-6,
        "tolerance": 1e-6,
        "tolerance_source": "rounding",
        "ok": False,
        "reference": {"repository": "a/b", "commit": "abcdef0", "file": "m.py (f)"},
        "evidence": "recorded",
    }
    good = row | {"step": "loss", "ok": True, "difference": 0.0}
    effect = row | {"step": "loss", "ok": None, "tolerance": None, "difference": 0.3}
    write(root, "reproduce/alignment/x.json", [row, good, effect])
    assert alignment.judged("x") == (1, 2)
    overview = alignment.overview({"x": "X"})
    assert [(cell.text, cell.badge) for cell in overview.rows[0][1:]] == [
        ("2", "bad"),
        ("exact", "good"),
    ]
    table = alignment.table("x", "X")
    assert [cell.text for cell in (line[5] for line in table.rows)] == [
        "not within",
        "within",
        "effect",
    ]
    assert table.rows[0][-1].link == "https://github.com/a/b/blob/abcdef0/m.py"


@pytest.mark.parametrize("outside", ["Mean", "Mean@0.11"])
def test_a_row_is_worth_its_weakest_main_value(monkeypatch, outside):
    def verdict(row: PublishedRow) -> Verdict:
        if row.metric_name == outside:
            return Verdict("ported and aligned", lacking="outside")
        return Verdict("reproduced", row.value, within=True)

    monkeypatch.setattr(evidence.verdicts, "verdict", verdict)
    found = evidence.of.__wrapped__("hrnet_readme:hrnet_w32_mpii_256x256")
    assert (found.word, found.why_not_better) == ("ported and aligned", "outside")


def test_commands_of_a_training_stand_only_beside_its_own_rows():
    table = next(block for block in evidence.open_section().blocks if isinstance(block, Table))
    mmpose = [r for r in table.rows if "mmpose" in r[0].below and r[0].text.startswith("HRNet")]
    plain = [r for r in mmpose if r[0].text.count(",") == 1]  # "HRNet-W32, 256×192": no technique
    assert len(plain) == 14
    for row in plain:
        assert row[2] == NO_TRAINING
        assert "train.py" not in row[3]
        assert "val.py" in row[3]


def test_speed_shows_the_record_and_links_to_it(root, monkeypatch):
    record = {"date": "2025-01-01"}
    write(root, "benchmarks/results/a.json", record)
    lines = [("forward", "torch", "1 s", "2 s", "2.00", "≥ 1.6", "yes", "", "50 %")]
    monkeypatch.setattr(results, "table_rows", lambda _: lines)
    monkeypatch.setattr(results, "caption", lambda _: "caption")
    table = next(block for block in speed.section().blocks if isinstance(block, Table))
    cells = dict(zip(table.header, table.rows[0], strict=True))
    assert cells["met"] == Cell("yes", badge="good")
    assert cells["ours"] == Cell("1 s", "benchmarks/results/a.json")
    assert cells["memory"] == "–"


def reliability_record(*, wrong: int) -> dict:
    stamp = {"seed": 11, "commit": "0123456789", "date": "2026-11-26T10:00:00Z", "cpu": "A CPU"}
    words = ["same", "other content", "refused", "traceback", "crash", "hang", "memory", "silent",
             "unclear"]  # fmt: skip
    endings = dict.fromkeys(words, 0) | {"refused": 90, "same": 10, "traceback": wrong}
    example = {"file": "00-11-3-x.json", "how": "a.0: drop", "line": "KeyError: 'x'"}
    kinds = {"traceback: KeyError at a.py:3": {"times": wrong, "examples": [example]}}
    fuzz = {"tried": 100 + wrong, "endings": endings, "faults": kinds if wrong else {}, **stamp}
    short = [{"what": "left 3 files", "line": "interrupted"}] * wrong
    kills = {"title": "kill -9", "promise": "equal", "tried": 27, "hits": 51, "lost_steps": 2,
             "as_promised": 27 - wrong, "wrong": short, "line": "", **stamp}  # fmt: skip
    columns = ["step", "rank_mib", "all_mib", "files", "threads", "shared_files"]
    samples = [[step, 500 + step / 100, 700, 40, 20, 3] for step in range(0, 660, 60)]
    soak = {"steps": 660, "validations": 132, "workers": 2, "exit_code": 0, "columns": columns,
            "growth": dict.fromkeys(columns[1:], 0.012), "samples": samples, **stamp}  # fmt: skip
    disks = {"title": "disk full", "promise": "one line", "not_tried": "needs root", **stamp}
    return {"fuzz": {"boxes": fuzz}, "faults": {"kills": kills, "disks": disks}, "soak": soak}


def test_reliability_says_what_was_tried_and_what_fell_short(root):
    write(root, reliability.FILE, reliability_record(wrong=0))
    text = text_of(reliability.section())
    assert "100 broken files: 90 refused in one line, 10 read as before" in text
    assert "51 `kill -9` in 27 runs, 27 of which" in text
    assert "| kill -9 | equal | 27 | *27 of 27* | 2 | – |" in text
    assert "| disk full | one line | – | – | – | needs root |" in text
    assert "+1.2%" in text
    assert "What ended badly" not in reliability.document("note", "reproduce/report.html")
    write(root, reliability.FILE, reliability_record(wrong=2))
    text = reliability.document("note", "reproduce/report.html")
    assert "*25 of 27*" in text
    assert "left 3 files: `interrupted`" in text
    assert "traceback: KeyError at a.py:3 | 2 | `a.0: drop` | `KeyError: 'x'` |" in text


# Editions of one table, and what is missing.


def test_editions_are_one_row_everywhere():
    rows = published_rows.table_rows()
    lines = published_rows.lines(rows)
    names = [row.id for line in lines for row in line.editions]
    assert sorted(names) == sorted(row.id for row in rows)
    three = next(x for x in lines if x.newest.id == "mmpose1:resnet_50_mpii_256x256")
    publishers = [row.publisher for row in three.editions]
    assert publishers == ["mmpose, 2020", "mmpose 0.x", "mmpose 1.x"]
    two = next(x for x in lines if x.newest.id == "hrnet_readme:hrnet_w48_coco_256x192")
    assert [row.publisher for row in two.editions] == ["HRNet paper", "HRNet README"]
    assert evidence.line_badge(two).below == "HRNet README"  # where the weights are
    counts = summary.Counts.of(rows)
    users = sum(evidence.best(line)[1].word == evidence.BY_A_USER for line in lines)
    assert counts.rows == sum(counts.by_word.values()) == len(lines) - users
    assert len(summary.row_table(rows).rows) == len(lines)
    cell = published_rows.line_cells(three)[0]
    assert isinstance(cell, Cell)
    assert [text.count("](https://") for text in cell.text.split(" / ")] == [1, 1, 1]


def test_the_best_edition_is_named(monkeypatch):
    rows = [r for r in published_rows.table_rows() if r.id.endswith(":resnet_50_mpii_256x256")]
    rows = [row for row in rows if row.id.startswith("mmpose")]
    words = {"mmpose0:resnet_50_mpii_256x256": "tested"}

    def of(name: str) -> evidence.Evidence:
        return evidence.Evidence(words.get(name, "ported and aligned"), "", {})

    monkeypatch.setattr(evidence, "of", of)
    (line,) = published_rows.lines(rows)
    assert evidence.best(line)[0].publisher == "mmpose 0.x"
    assert evidence.line_badge(line).below == "mmpose 0.x"
    words.clear()
    assert evidence.best(line)[0] is line.newest
    assert evidence.line_badge(line).below == "mmpose, 2020 / mmpose 0.x / mmpose 1.x"


def test_both_answers_count_every_row_once():
    rows = published_rows.table_rows()
    for text in (summary.answer(rows), chinese.answer()):
        numbers = [int(one) for one in re.findall(r"\d+", text.split("**")[1])]
        assert numbers[0] == sum(numbers[2:])
        assert summary.Counts.of(rows).by_word["aligned"] in numbers[2:]
    assert set(evidence.MEANING) == set(chinese.WORDS) == set(evidence.WORDS)


def test_every_row_that_is_not_tested_says_what_is_missing():
    for line in published_rows.lines(published_rows.table_rows()):
        row, found = evidence.best(line)
        if found.word in missing.WITHOUT_TEST:
            assert evidence.line_badge(line).below
            assert missing.kind(found.why_not_better)
    counts = summary.Counts.of(published_rows.table_rows()).by_word
    table = summary.missing_table(published_rows.table_rows())
    for column, word in enumerate(missing.WITHOUT_TEST, 1):
        assert table.header[column] == word
        assert sum(int(row[column]) for row in table.rows) == counts[word] > 0
    with pytest.raises(ValueError, match="nothing says why"):
        missing.sentence(row, "")
    with pytest.raises(ValueError, match="no kind of reason"):
        missing.kind("because")
