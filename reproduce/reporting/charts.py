"""Figures as data, and as SVG that takes its colours and type from the page (matplotlib)."""

from __future__ import annotations

import hashlib
import html
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass

SERIES = 6
"""Colours in the page's style sheet: --series-0 … --series-5."""

_DASHES = ("-", (0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)), (0, (3, 1)), (0, (8, 3)))
_MARKERS = "osD^vP"
_INK, _SOFT, _GRID, _PAPER = "#010101", "#020202", "#030303", "#040404"
_EVERYWHERE = '<style type="text/css">*{stroke-linejoin: round; stroke-linecap: butt}</style>'
_PLACEHOLDERS = {
    _INK: "var(--ink)",
    _SOFT: "var(--ink-soft)",
    _GRID: "var(--grid)",
    _PAPER: "var(--paper)",
    **{f"#0a0a{index:02x}": f"var(--series-{index})" for index in range(SERIES)},
}


@dataclass(frozen=True)
class Series:
    """One line or one set of points.

    Attributes:
        name: in the legend; empty for none.
        x, y: as long as each other; for ``Dots`` x is the value.
        color: 0 … 5, with its own dash pattern or marker, so that print without colour will do.
        low, high: interval around y (``Lines``: a band) or around x (``Dots``: a bar).
        thin: drawn lightly, for single runs beside their mean.
        dash: pattern, where it is not the colour's own.
    """

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    color: int = 0
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    thin: bool = False
    dash: int | None = None


@dataclass(frozen=True)
class Chart:
    """One figure.

    Attributes:
        name: unique on the page.
        kind: ``lines``, or ``dots`` with one row per category.
        title: what it shows, or better what it says.
        caption: where it comes from and how to read it, Markdown.
        alt: what a reader who cannot see it should know.
        x_label, y_label: with units.
        series: drawn in order.
        categories: of ``dots``, from the top.
        x_range, y_range: ends of the axes; None leaves them to the data.
        log_x, log_y: logarithmic axes.
        marks: vertical lines (x, text).
    """

    name: str
    kind: str
    title: str
    caption: str
    alt: str
    x_label: str
    y_label: str
    series: tuple[Series, ...]
    categories: tuple[str, ...] = ()
    x_range: tuple[float, float] | None = None
    y_range: tuple[float, float] | None = None
    log_x: bool = False
    log_y: bool = False
    marks: tuple[tuple[float, str], ...] = ()

    @property
    def digest(self) -> str:
        """Short sha256 of everything that is drawn: equal data, equal digest, on any machine."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:16]


def library() -> str:
    """Name and version of what draws: other versions write other coordinates."""
    import matplotlib

    return f"matplotlib {matplotlib.__version__}"


def numbers(values: Sequence[float], digits: int = 6) -> tuple[float, ...]:
    """Rounded to significant digits, so that a record's last bits do not reach the picture."""
    return tuple(float(f"{value:.{digits}g}") for value in values)


def to_svg(chart: Chart) -> str:
    """One ``<svg>`` element: scalable, labelled, without fonts, ids or dates of its own."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    rows = len(chart.categories) * (0.16 + 0.1 * len(chart.series))
    height = 3.05 if chart.kind == "lines" else 1.0 + rows
    settings = {
        "svg.fonttype": "none",
        "svg.hashsalt": chart.name,
        "font.family": ["DejaVu Sans"],
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.edgecolor": _SOFT,
        "axes.labelcolor": _INK,
        "axes.linewidth": 0.8,
        "axes.axisbelow": True,
        "axes.grid": True,
        "axes.grid.axis": "both" if chart.kind == "lines" else "x",
        "grid.color": _GRID,
        "grid.linewidth": 0.7,
        "xtick.color": _SOFT,
        "ytick.color": _SOFT,
        "xtick.labelcolor": _INK,
        "ytick.labelcolor": _INK,
        "text.color": _INK,
        "legend.frameon": True,
        "legend.facecolor": _PAPER,
        "legend.edgecolor": _PAPER,
        "legend.framealpha": 0.8,
        "legend.fontsize": 8.5,
        "legend.handlelength": 2.4,
    }
    with matplotlib.rc_context(settings):
        figure = Figure(figsize=(5.0, height), layout="constrained")
        figure.patch.set_visible(False)
        axes = figure.add_subplot()
        axes.patch.set_visible(False)
        if chart.kind == "lines":
            _draw_lines(axes, chart)
        else:
            _draw_dots(axes, chart)
        axes.set_xlabel(chart.x_label)
        axes.set_ylabel(chart.y_label)
        if chart.log_x:
            axes.set_xscale("log")
        if chart.log_y:
            axes.set_yscale("log")
        if chart.x_range:
            axes.set_xlim(*chart.x_range)
        if chart.y_range:
            axes.set_ylim(*chart.y_range)
        for x, text in chart.marks:
            axes.axvline(x, color=_SOFT, linewidth=0.8, linestyle=(0, (2, 2)), zorder=1)
            axes.annotate(
                text,
                (x, 1.0),
                xycoords=("data", "axes fraction"),
                xytext=(3, -2),
                textcoords="offset points",
                va="top",
                fontsize=8,
                color=_SOFT,
            )
        if any(one.name for one in chart.series) and len(chart.series) > 1:
            _legend(axes, chart)
        file = io.StringIO()
        FigureCanvasSVG(figure).print_svg(file, metadata={"Date": None})
    return _for_page(file.getvalue(), chart)


def _color(series: Series) -> str:
    return f"#0a0a{series.color % SERIES:02x}"


def _draw_lines(axes: object, chart: Chart) -> None:
    for one in chart.series:
        color = _color(one)
        if one.low:
            axes.fill_between(one.x, one.low, one.high, color=color, alpha=0.18, linewidth=0)
        dash = _DASHES[(one.color if one.dash is None else one.dash) % SERIES]
        axes.plot(
            one.x,
            one.y,
            color=color,
            linewidth=0.9 if one.thin else 1.8,
            alpha=0.65 if one.thin else 1.0,
            linestyle=dash,
            marker=_MARKERS[one.color % SERIES] if len(one.x) <= 24 and not one.thin else None,
            markersize=3.5,
            label=one.name or None,
        )


def _draw_dots(axes: object, chart: Chart) -> None:
    count = len(chart.series)
    for index, one in enumerate(chart.series):
        color = _color(one)
        offset = (index - (count - 1) / 2) * 0.6 / max(count, 1)
        rows = [y + offset for y in one.y]
        if one.low:
            axes.hlines(rows, one.low, one.high, color=color, linewidth=1.6, alpha=0.7)
        axes.plot(
            one.x,
            rows,
            color=color,
            linestyle="none",
            marker=_MARKERS[one.color % SERIES],
            markersize=4.5,
            label=one.name or None,
        )
    axes.set_yticks(range(len(chart.categories)), chart.categories)
    axes.set_ylim(len(chart.categories) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)


def _legend(axes: object, chart: Chart) -> None:
    named = [one.name for one in chart.series if one.name]
    if chart.kind == "dots":
        axes.legend(
            loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=min(len(named), 2), borderaxespad=0
        )
    else:
        axes.legend(loc="best")


def _for_page(svg: str, chart: Chart) -> str:
    """Matplotlib's file → an element that inherits type and colours from the page."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r' (?:d|x|y|transform)="[^"]*"', _to_hundredths, svg)
    svg = re.sub(r'<svg [^>]*?viewBox="([^"]+)"[^>]*>', _opening(chart), svg, count=1)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    svg = re.sub(r"'DejaVu Sans'[^;\"]*", "var(--type)", svg)
    for placeholder, variable in _PLACEHOLDERS.items():
        svg = svg.replace(placeholder, variable)
    svg = svg.replace("xlink:href", "href").replace(_EVERYWHERE, "")  # page.css says it
    svg = re.sub(r"\n\s*", " ", svg)
    return re.sub(r"<!--.*?-->\s*", "", svg, flags=re.DOTALL).strip()


def _to_hundredths(found: re.Match[str]) -> str:
    """Places of a drawing, to a hundredth of a pixel: Matplotlib writes millionths."""
    return re.sub(r"(\.\d\d)\d+", r"\1", found[0])


def _opening(chart: Chart) -> str:
    alt = html.escape(chart.alt).replace("\\", "\\\\")
    return rf'<svg viewBox="\1" role="img" aria-label="{alt}" data-digest="{chart.digest}">'
