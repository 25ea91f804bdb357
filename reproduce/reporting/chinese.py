"""The report's summary in Chinese, from the same records."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from reproduce.reporting import (
    alignment,
    evidence,
    logs,
    published_rows,
    rescored,
    summary,
    trained,
    twins,
)
from reproduce.reporting.content import Cell, Fact, Section, Table, Text, badge
from reproduce.reporting.markdown import MarkdownWriter
from reproduce.reporting.records import points, read_json, signed

TITLE = "PaddlePaddle 二维人体姿态估计：已发表的数字能否成立？"
LEAD = (
    "Stacked Hourglass、HRNet、SimpleBaseline、MIPNet、FastPose 与 BodyPoseNet 在 MPII、COCO、"
    "OCHuman、CrowdPose 和 Halpe 上的逐项复现研究：发表了什么数字，"
    "本项目有什么证据，以及如何验证。每个测得的数字都链接到记录，每个发表的数字都链接到出处。"
    "完整报告见 [REPORT.md](reproduce/REPORT.md) 与 [report.html](reproduce/report.html)。"
)
NOT_YET = "*尚无记录。*"
WORDS = {
    "reproduced": (
        "已复现",
        "用其自身的训练配方按原协议完整训练，且各主要数值都在训练前设定的容差之内",
    ),
    "re-scored": (
        "已重新评分",
        "用本项目的评测代码对作者公开的预测结果评分；与发表的数字是否相等，逐项另列",
    ),
    "tested": (
        "已测试",
        "其公开权重经转换后在整个划分上按原协议评分；与发表的数字是否相等，逐项另列",
    ),
    "ported and aligned": (
        "已移植并对齐",
        "公开权重无需 PyTorch 即可转换；网络及其前后各步骤与官方代码逐步一致"
        "（mmpose 的 HRNet 取 HRNet 官方代码与训练配方，AlphaPose 的可变形卷积取其公式）；"
        "尚未完整训练",
    ),
    "aligned": (
        "已对齐",
        "网络及其前后各步骤与发表者的官方代码逐步一致（AlphaPose 的可变形卷积取其公式），"
        "但其权重、所用检测框或测试集真值未公开，数值无法从外部测试；各行写明缺少什么",
    ),
    "not run": ("未运行", "以上皆无；缩短的训练不算"),
    evidence.BY_A_USER: ("用户自测", "来自 issue，仅供参照，不是发表的数字"),
}
JUDGEMENT = {
    "no difference seen": "未见差异",
    "a difference is seen": "可见差异",
    "too few seeds: the spread between them is not known": "种子太少，种子间波动未知",
}
FACTS = {
    r"printed values that their authors' own predictions score here, to the last printed digit; "
    r"(\d+) public sets of predictions re-scored": (
        r"个作者给出的数值，用其自己的预测结果在此评分即可重现，直到最后一位；共重新评分 \1 组"
    ),
    r"points PCKh@0\.5 between Paddle and PyTorch, (.+?), (\d+ / \d+) seeds: (.+)": (
        r"个百分点，Paddle 与 PyTorch 的 PCKh@0.5 之差，\1，种子数 \2：\3"
    ),
    r'points that "Mean@0\.1" is higher where it means 0\.11 head sizes, not 0\.10': (
        r"个百分点：“Mean@0.1” 指 0.11 倍头部尺寸而非 0.10 时高出这么多"
    ),
    re.escape(summary.BOXES): (
        r"AP 点：HRNet-W32 256×192 在 COCO val2017 上用标注框而非检测框（已发表的 76.5 与 74.4）"
    ),
}
"""The headlines of ``summary.facts``, and what they are here."""


def facts() -> list[Fact]:
    """Headline numbers, as the English summary has them.

    Raises:
        ValueError: one that has no translation.
    """
    return [
        replace(
            one,
            value=one.value.replace(" of ", " / ").replace(" to ", " 至 "),
            label=_translated(one.label),
        )
        for one in summary.facts(published_rows.table_rows())
    ]


def answer() -> str:
    """``summary.answer``."""
    counts = summary.Counts.of(published_rows.table_rows())
    word, trained = counts.by_word, counts.by_word["reproduced"]
    full = f"{trained} 行在此完整训练" if trained else "没有一行在此完整训练"
    tested = f"{word['tested']} 行的公开权重已测试，" if word["tested"] else ""
    against = "此处未发现任何与之矛盾的结果"
    if counts.differing:
        against += f"，除了 {'；'.join(counts.differing)}"
    return (
        f"**{counts.rows} 行已发表结果（{counts.values} 个数值；同一表的各版本算一行）中，"
        f"{word['ported and aligned']} 行已移植并对齐，"
        f"{word['aligned']} 行已对齐（其数值无法从外部测试），"
        f"{word['re-scored']} 行已重新评分，{tested}"
        f"{word['not run']} 行未运行；{full}；{against}。** "
        f"对齐：与官方代码比较的 {counts.compared} 个量中有 {counts.within} 个"
        "在所述的容差之内。"
        f"重新评分：{counts.rescored} 个作者给出的数值中有 {counts.equal} 个"
        "由其自己的预测结果重现，直到最后一位。"
    )


def _translated(label: str) -> str:
    for english, words in FACTS.items():
        if found := re.fullmatch(english, label):
            text = found.expand(words)
            for verdict, judged in JUDGEMENT.items():
                text = text.replace(verdict, judged)
            return text
    raise ValueError(f"no Chinese words for: {label}")


def report(note: str) -> str:
    """REPORT_cn.md."""
    sections = [
        verdict_section(),
        alignment_section(),
        rescored_section(),
        twins_section(),
        logs_section(),
        trained_section(),
    ]
    return MarkdownWriter(Path("reproduce")).document(TITLE, LEAD, sections, note)


def verdict_table() -> Table:
    """How many rows of each network have which verdict."""
    rows = published_rows.table_rows()
    published = summary.Counts.of(rows)
    counts = summary.words_by_family(rows)
    lines = []
    for word in evidence.WORDS:
        numbers = [counts[family, word] for family in published_rows.FAMILIES]
        if summary.is_left_out(word, numbers):
            continue
        name, meaning = WORDS[word]
        lines.append([badge("plain", name), *[str(n) for n in numbers], str(sum(numbers)), meaning])
    caption = (
        f"共 {published.rows} 行已发表结果、{published.values} 个数值"
        "（[published.csv](reproduce/published.csv)），按现有的最强证据分类："
    )
    header = ["结论", *published_rows.FAMILIES, "合计", "含义"]
    numeric = frozenset(range(1, len(published_rows.FAMILIES) + 2))
    return Table(caption, header, lines, numeric)


def verdict_section() -> Section:
    """What holds."""
    words = (
        "只有当决定数值的全部条件（数据、检测框、翻转测试、解码方式、关键点、平均方式、阈值）都已说明"
        "且完全相同时，两个数值才作比较。"
    )
    return Section("summary", "结论", [Text(answer()), verdict_table(), Text(words)])


def alignment_section() -> Section:
    """How many quantities are within their tolerance."""
    lines = []
    for name in alignment.networks():
        within, count = alignment.judged(name)
        kept = (f"{alignment.FOLDER}/{name}.json", f"{alignment.FOLDER}/live_{name}.json")
        record = next(file for file in kept if read_json(file))
        lines.append([name, Cell(f"{within} / {count}", record)])
    if not lines:
        return Section("alignment", "与官方代码逐步对齐", [Text(NOT_YET)])
    caption = "前向、数据、指标、损失、学习率、反向、优化器各步骤中，误差在容差之内的量："
    table = Table(caption, ["网络或数据集", "容差之内"], lines, frozenset({1}))
    return Section("alignment", "与官方代码逐步对齐", [table])


def rescored_table() -> Table | None:
    """Scores of published predictions."""
    found = rescored.sets()
    if not found:
        return None
    lines = [
        [
            Cell(record["label"], rescored.source_address(record["source"])),
            *[
                Cell(rescored.scored(record["scores"]["Mean"][threshold]), rescored.path(name))
                for threshold in rescored.THRESHOLDS
            ],
        ]
        for name, record in found.items()
    ]
    caption = "MPII 验证集全部 2,958 人；括号内为按人重采样的 95 % 自助法区间："
    header = ["公开的预测结果", *rescored.THRESHOLDS.values()]
    return Table(caption, header, lines, frozenset({1, 2, 3}))


def rescored_section() -> Section:
    """Published predictions."""
    table = rescored_table()
    if table is None:
        return Section("rescored", "公开预测结果的重新评分", [Text(NOT_YET)])
    words = (
        "**“Mean@0.1” 有两种含义。** HRNet、SimpleBaseline 与 PaddleDetection 的表格在这一名称下"
        "给出的是头部尺寸 0.11 倍处的 PCKh；mmpose 与 Paddle 前作给出的是 0.10 倍处。"
        f"{_index_11()}两者不可混用。"
    )
    return Section("rescored", "公开预测结果的重新评分", [table, Text(words)])


def _index_11() -> str:
    """What the other meaning is worth, over all sets."""
    worth = summary.index_11()
    if worth is None:
        return ""
    where = f"（[记录]({rescored.FOLDER}/conventions.json)）"
    return f"上表中两者相差 {worth[0]:.1f} 至 {worth[1]:.1f} 个百分点{where}，"


def twins_section() -> Section:
    """The same run in both frameworks."""
    title = "孪生训练：同一训练在 Paddle 与 PyTorch 中各做一次"
    found = read_json(f"{twins.FOLDER}/twins.json")
    if not found:
        return Section("twins", title, [Text(NOT_YET)])
    lines = [
        [
            twins.label(name),
            twins.METRICS[metric],
            str(words["seeds"]),
            Cell(signed(words["difference"]), f"{twins.FOLDER}/twins.json"),
            points(words["seen_beyond"]) if "seen_beyond" in words else "–",
            JUDGEMENT.get(words["verdict"], words["verdict"]),
        ]
        for name, twin in found.items()
        for metric, words in twin["judgement"].items()
    ]
    caption = (
        "相同的初始权重、相同顺序的相同批次、相同的学习率安排"
        "（LSPET 照片，与任何已发表数字不可比）。"
        "差异为 Paddle 减 PyTorch 的百分点；超出种子间波动所给的 95 % 界限才算可见："
    )
    header = ["网络", "指标", "种子数", "差异", "可见界限", "判断"]
    return Section("twins", title, [Table(caption, header, lines, frozenset({2, 3, 4}))])


def logs_section() -> Section:
    """What choosing the best epoch is worth."""
    title = "前作的训练日志：选取最佳轮次值多少"
    record = read_json(logs.FILE)
    if record is None:
        return Section("logs", title, [Text(NOT_YET)])
    lines = []
    for name, run in record["runs"].items():
        for metric, words in logs.METRICS.items():
            score = run["scores"][metric]
            values = (score["best"], score["last_10"]["mean"], score["last_10"]["sd"])
            gain = signed(score["last_10"]["best_minus_mean"])
            lines.append(
                [
                    f"{logs.label(name)}，{words}",
                    *[Cell(points(value), logs.FILE) for value in values],
                    Cell(gain, logs.FILE),
                ]
            )
    caption = "Paddle 前作公开了 Hourglass-52 两次完整训练（210 轮）的日志："
    header = ["训练与指标", "210 轮中最佳", "最后 10 轮平均", "其标准差", "最佳减平均"]
    return Section("logs", title, [Table(caption, header, lines, frozenset(range(1, 5)))])


def trained_section() -> Section:
    """Runs made here."""
    table = trained.result_table()
    if table is None:
        return Section("trained", "本项目的训练", [Text(NOT_YET)])
    caption = "真实照片（LSPET）上的训练；不是 MPII，与任何已发表数字不可比："
    chinese = Table(caption, ["训练", *table.header[1:]], table.rows, table.numeric)
    return Section("trained", "本项目的训练", [chinese])
