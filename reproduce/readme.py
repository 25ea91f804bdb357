"""The results of both READMEs, short, from records, as ``reproduce.report`` writes them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from reproduce.reporting import chinese, evidence, published_rows, rescored, summary
from reproduce.reporting.content import Fact, Facts, Table
from reproduce.reporting.markdown import MarkdownWriter

BEGIN, END = "<!-- results: written by python -m reproduce.report -->", "<!-- end of results -->"
REPORT, CHINESE = "reproduce/REPORT.md", "reproduce/REPORT_cn.md"

WHERE = (
    f"Number by number, with the twin runs in both frameworks and those trained here: "
    f"[REPORT.md]({REPORT}), [中文]({CHINESE}), and as a page with figures "
    "`reproduce/report.html`, which a browser opens from a clone."
)
VERDICTS = (
    "Published table rows by the strongest evidence for them here "
    f"([what each word means]({REPORT}#verdicts)):"
)
RESCORED = (
    "*Re-scored*: published predictions of all 2,958 MPII validation people, with 95 % bootstrap "
    "intervals:"
)
CHINESE_WHERE = (
    f"逐个数字的说明，连同两个框架中的孪生训练与本项目的训练：[REPORT_cn.md]({CHINESE})，"
    f"[English]({REPORT})；带图的网页为 `reproduce/report.html`，克隆后用浏览器打开。"
)
CHINESE_VERDICTS = f"已发表结果各行在此的最强证据（[各词的含义]({CHINESE}#summary)）："
CHINESE_RESCORED = "*已重新评分*：全部 2,958 名 MPII 验证人物的公开预测结果，附 95 % 自助法区间："
LEFT_OUT = ("what it means", "含义", "PCKh@0.11")
"""Columns of the report's tables that the READMEs do without."""
NOT_PUBLISHED = (evidence.BY_A_USER, chinese.WORDS[evidence.BY_A_USER][0])
"""First cells of rows that they do without."""


def block() -> str:
    """Everything between README.md's marks."""
    rows = published_rows.table_rows()
    tables = summary.verdict_table(rows), rescored.result_table()
    words = (VERDICTS, RESCORED, WHERE)
    return _block(REPORT, summary.answer(rows), summary.facts(rows), tables, words)


def chinese_block() -> str:
    """Everything between README_cn.md's marks."""
    tables = chinese.verdict_table(), chinese.rescored_table()
    words = (CHINESE_VERDICTS, CHINESE_RESCORED, CHINESE_WHERE)
    return _block(CHINESE, chinese.answer(), chinese.facts(), tables, words)


def _block(
    report: str,
    answer: str,
    facts: Sequence[Fact],
    tables: tuple[Table, Table | None],
    words: tuple[str, str, str],
) -> str:
    writer = MarkdownWriter(Path())
    linked = [
        replace(fact, link=report + fact.link) if fact.link.startswith("#") else fact
        for fact in facts
    ]
    parts = [BEGIN, answer, *writer.block(Facts(linked))]
    for caption, table in zip(words, tables, strict=False):
        if table is not None:
            parts += [caption, writer.table(_without(table, LEFT_OUT))]
    return "\n\n".join([*parts, writer.text(words[2]), END])


def _without(table: Table, columns: Sequence[str]) -> Table:
    kept = [index for index, name in enumerate(table.header) if name not in columns]
    return replace(
        table,
        header=[table.header[index] for index in kept],
        rows=[
            [row[index] for index in kept]
            for row in table.rows
            if getattr(row[0], "text", row[0]) not in NOT_PUBLISHED
        ],
        numeric=frozenset(place for place, index in enumerate(kept) if index in table.numeric),
    )


def with_results(readme: str, today: str | None = None) -> str:
    """The README's text with the block of today, by default README.md's."""
    text = block() if today is None else today
    return re.sub(
        f"<!-- results: [^>]*-->.*{re.escape(END)}", lambda _: text, readme, flags=re.DOTALL
    )
