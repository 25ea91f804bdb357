"""Published values by table row, as the summary and the networks' sections show them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cache

from reproduce import published
from reproduce.published import PublishedRow
from reproduce.reporting import sources
from reproduce.reporting.content import Cell, Table

FAMILIES = ("Hourglass", "HRNet", "SimpleBaseline", "MIPNet", "FastPose", "BodyPoseNet")
PUBLISHERS = {
    "newell_paper": "Newell et al. (paper)",
    "princeton": "princeton-vl README",
    "princeton_issue_14": "a user of princeton-vl",
    "bearpaw": "bearpaw README",
    "hrnet_paper": "HRNet paper",
    "hrnet_readme": "HRNet README",
    "hrnet_issue_174": "users of HRNet",
    "simplebaseline_readme": "SimpleBaseline README",
    "mmpose0_2020": "mmpose, 2020",
    "mmpose0": "mmpose 0.x",
    "mmpose1": "mmpose 1.x",
    "paddledetection": "PaddleDetection",
    "fluid": "Paddle Fluid",
    "mipnet_zoo": "MIPNet MODEL_ZOO",
    "mipnet_paper": "MIPNet paper",
    "ascend": "Ascend ModelZoo, as MIPNet",
    "alphapose_zoo": "AlphaPose MODEL_ZOO",
    "alphapose_log": "AlphaPose training logs",
    "nvidia_card": "NVIDIA model card",
    "openpose_paper": "OpenPose paper",
    "osokin_issue_124": "author of Lightweight OpenPose",
    "osokin_readme": "Lightweight OpenPose README",
    "openvino_readme": "OpenVINO README",
    "tensorboy_readme": "tensorboy README",
    "predecessor": "txyugood/PaddlePose",
}
DATA_SETS = {
    ("mpii", "valid"): "MPII val",
    ("mpii", "test"): "MPII test",
    ("coco", "val2017"): "COCO val2017",
    ("coco", "test-dev2017"): "COCO test-dev",
    ("ochuman", "val"): "OCHuman val",
    ("ochuman", "test"): "OCHuman test",
    ("crowdpose", "test"): "CrowdPose test",
    ("halpe", "val"): "Halpe val",
}
DECODERS = {
    "quarter_offset": "quarter offset",
    "quarter_offset_per_axis": "quarter offset per axis",
    "quarter_offset_truncated": "quarter offset, truncated",
    "quarter_offset_always": "quarter offset, always",
    "dark": "DARK",
    "udp": "UDP",
    "dark_11": "DARK, blur 11",
    "udp_11": "UDP, blur 11",
    "udp_mirrored": "UDP, mirrored border",
    "offsets": "UDP's offsets",
    "offsets_blurred": "UDP's offsets, blurred",
    "quarter_offset; integral": "quarter offset; face and hands integral",
}
SHOWN = {
    "mpii": (*published.MPII_METRICS, "Mean@0.1", "Mean@0.11"),
    **dict.fromkeys(published.JOINTS, (*published.COCO_METRICS, published.SPEED)),
}
HEADERS = {"Mean": "PCKh@0.5", "Mean@0.1": "@0.10", "Mean@0.11": "@0.11"}
HEADERS[published.SPEED] = f"{published.SPEED} (training)"
MAIN: dict[str, tuple[str, ...]] = {
    "mpii": ("Mean", "Mean@0.1", "Mean@0.11"),
    **dict.fromkeys(published.JOINTS, ("AP", "AR", published.SPEED)),
}


@dataclass(frozen=True)
class TableRow:
    """One row of a published table: the values that one source gives for one network.

    Attributes:
        id: as in published.csv.
        values: metric name → value with its protocol; equal but for metric and threshold.
    """

    id: str
    values: dict[str, PublishedRow]

    @property
    def any(self) -> PublishedRow:
        """What the values share."""
        return next(iter(self.values.values()))

    @property
    def family(self) -> str:
        """Of FAMILIES; all that find everybody stand by BodyPoseNet."""
        network = self.any.protocol.network
        if self.any.protocol.boxes == "none":
            return "BodyPoseNet"
        if network.startswith(("HRNet", "MIPNet")):
            return network.partition("-")[0]
        if network.startswith(("FastPose", "SimplePose")):
            return "FastPose"
        return "SimpleBaseline" if network.startswith("PoseResNet") else "Hourglass"

    @property
    def data_set(self) -> str:
        """``MPII val``."""
        protocol = self.any.protocol
        return DATA_SETS.get((protocol.dataset, protocol.split), protocol.split)

    @property
    def publisher(self) -> str:
        """Whose table."""
        return PUBLISHERS.get(self.id.partition(":")[0], self.id.partition(":")[0])

    @property
    def variant(self) -> str:
        """What sets it apart from the plain network: ``udp``, ``coarsedropout``; or nothing."""
        plain = r"hourglass\d*|hrnet|w\d+|res(net)?\d*|\d+|caffe|val|test|dev|\d+x\d+|"
        plain += r"simple|r\d+|duc|dcn|halpe\d+"
        plain += "|".join(("", "mpii", *published.JOINTS))
        words = self.id.partition(":")[2].split("_")
        return " ".join(word for word in words if not re.fullmatch(plain, word))

    @property
    def name(self) -> str:
        """Network, size and variant."""
        protocol = self.any.protocol
        size = protocol.input_hw.replace("x", "×")
        return f"{protocol.network}, {size}" + (f", {self.variant}" if self.variant else "")

    @property
    def protocol(self) -> str:
        """Boxes, flip and decoder in a few words."""
        protocol = self.any.protocol
        boxes = {
            "ground_truth": "true boxes",
            "ground_truth_selected": "true boxes, selected people",
            "none": "whole pictures",
            "detector": f"detector {protocol.detector_ap}",
        }[protocol.boxes]
        flip = {"true": "flip", "false": "no flip"}.get(protocol.flip_test, "flip not stated")
        if protocol.flip_test == "true" and protocol.shift_heatmap == "false":
            flip += " without shift"
        scales = "" if protocol.test_scales in ("1", published.NOT_STATED) else ", many scales"
        decoder = DECODERS.get(protocol.decoder, protocol.decoder)
        if decoder == published.NOT_STATED:
            decoder = "decoder not stated"
        return f"{boxes}, {flip}{scales}, {decoder}"


@cache
def table_rows() -> tuple[TableRow, ...]:
    """Every table row, by family, data set, network and size."""
    grouped: dict[str, dict[str, PublishedRow]] = {}
    for row in published.load():
        grouped.setdefault(row.id, {})[row.metric_name] = row
    rows = [TableRow(name, values) for name, values in grouped.items()]
    order = list(DATA_SETS.values())

    def key(row: TableRow) -> tuple:
        protocol = row.any.protocol
        size = [int(side) for side in re.findall(r"\d+", protocol.input_hw)]
        place = order.index(row.data_set) if row.data_set in order else len(order)
        names = list(PUBLISHERS.values())
        numbers = [int(number) for number in re.findall(r"\d+", protocol.network)]
        publisher = names.index(row.publisher) if row.publisher in names else len(names)
        family = FAMILIES.index(row.family)
        kind = re.sub(r"\d+", "", protocol.network)
        return (place, family, kind, numbers, size, row.variant, publisher, row.id)

    return tuple(sorted(rows, key=key))


EDITIONS = ("mmpose0_2020", "mmpose0", "mmpose1")
"""Three editions of one publisher's tables, oldest first."""


@dataclass(frozen=True)
class Line:
    """One row of a table, in every edition that prints it.

    Attributes:
        editions: oldest first; most tables have one.
    """

    editions: tuple[TableRow, ...]

    @property
    def newest(self) -> TableRow:
        """Whose name stands for all."""
        return self.editions[-1]


def lines(rows: Sequence[TableRow]) -> tuple[Line, ...]:
    """Table rows with their editions together, where the first of them stood."""
    grouped: dict[str, list[TableRow]] = {}
    for row in rows:
        publisher, _, name = row.id.partition(":")
        grouped.setdefault(name if publisher in EDITIONS else row.id, []).append(row)

    def age(row: TableRow) -> int:
        return EDITIONS.index(row.id.partition(":")[0])

    return tuple(
        Line(tuple(sorted(found, key=age) if len(found) > 1 else found))
        for found in grouped.values()
    )


def printed(row: PublishedRow) -> str:
    """The value with the digits that were printed; fractions as the papers write them."""
    digits = -Decimal(str(row.rounding)).normalize().as_tuple().exponent - 1
    text = f"{row.value:.{max(digits, 0)}f}"
    return text.removeprefix("0") if row.unit == "fraction" else text


def value_cell(row: PublishedRow) -> Cell:
    """A published value with its source."""
    return Cell(printed(row), sources.address(row.source), title=row.source)


def main_names(row: TableRow) -> list[str]:
    """Its main metrics, first the one that it is known by."""
    return [name for name in MAIN[row.any.protocol.dataset] if name in row.values]


def main_cells(row: TableRow) -> list[Cell | str]:
    """PCKh@0.5 or AP over its tolerance, then the finer one over its threshold, or AR."""
    names = main_names(row)
    first = row.values[names[0]]
    tolerance = f"{first.tolerance:g}"
    tolerance = tolerance.removeprefix("0") if first.unit == "fraction" else tolerance
    unit = f" {first.unit}" if first.unit == published.SPEED else ""
    cells: list[Cell | str] = [replace(value_cell(first), below=f"± {tolerance}{unit}")]
    if names[1:]:
        below = HEADERS.get(names[1], "")
        cells.append(replace(value_cell(row.values[names[1]]), below=below))
    return cells + ["–"] * (2 - len(cells))


def line_cells(line: Line) -> list[Cell | str]:
    """``main_cells``, with the values of all editions, oldest first."""
    if len(line.editions) == 1:
        return main_cells(line.newest)
    columns = zip(*[main_cells(row) for row in line.editions], strict=True)
    return [_joined(column) for column in columns]


def _joined(cells: Sequence[Cell | str]) -> Cell:
    shown = [cell if isinstance(cell, Cell) else Cell(cell) for cell in cells]
    texts = [f"[{one.text}]({one.link})" if one.link else one.text for one in shown]
    belows = dict.fromkeys(one.below for one in shown if one.below)
    return Cell(" / ".join(texts), below=" / ".join(belows))


def values_table(rows: Sequence[TableRow], dataset: str, caption: str) -> Table | None:
    """All values of some table rows on one data set."""
    rows = [row for row in rows if row.any.protocol.dataset == dataset]
    if not rows:
        return None
    names = [name for name in SHOWN[dataset] if any(name in row.values for row in rows)]
    lines = [
        [
            row.name,
            Cell(row.publisher, below=f"{row.data_set}, {row.protocol}"),
            *[value_cell(row.values[name]) if name in row.values else "–" for name in names],
        ]
        for row in rows
    ]
    header = ["network", "published by", *[HEADERS.get(name, name) for name in names]]
    return Table(caption, header, lines, frozenset(range(2, len(header))), folded=True)
