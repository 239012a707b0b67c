"""Bars as SVG: readable by daylight and at night, and told in words to who does not see them. Pure.

Written by hand: horizontal bars with two marks are a hundred lines, and no library among the project's tools draws.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import escape

from benchmarks.figures import Figure, show

WIDTH, LABEL, VALUE = 880, 330, 100
"""Pixels: all of it, the labels' part at the left, the values' at the right."""
ROW, BAR, TOP, BOTTOM = 24, 14, 64, 40

STYLE = """
.paper { fill: #ffffff; } .text { fill: #1f2328; } .faint { fill: #59636e; } .grid { stroke: #d1d9e0; }
.bar { fill: #2a6fbb; } .spread { stroke: #1f2328; } .least { stroke: #b35900; } .aim { stroke: #1a7f37; }
text { font: 12px system-ui, -apple-system, 'Segoe UI', sans-serif; } .title { font-size: 15px; font-weight: 600; }
@media (prefers-color-scheme: dark) {
.paper { fill: #0d1117; } .text { fill: #f0f6fc; } .faint { fill: #9198a1; } .grid { stroke: #3d444d; }
.bar { fill: #4493f8; } .spread { stroke: #f0f6fc; } .least { stroke: #f0883e; } .aim { stroke: #3fb950; }
}
""".strip()


@dataclass(frozen=True)
class Axis:
    """A logarithmic scale over whole powers of ten, in pixels."""

    first: int
    last: int

    @classmethod
    def over(cls, values: Sequence[float]) -> Axis:
        """ValueError where no value is above zero."""
        some = [value for value in values if value > 0]
        if not some:
            raise ValueError("nothing above zero can be drawn on a logarithmic scale")
        first, last = math.floor(math.log10(min(some))), math.ceil(math.log10(max(some)))
        return cls(first, max(last, first + 1))

    def at(self, value: float) -> float:
        """Where a value is; what is below the scale is at its beginning."""
        share = (math.log10(max(value, 10.0**self.first)) - self.first) / (self.last - self.first)
        return LABEL + min(1.0, share) * (WIDTH - LABEL - VALUE)


def bars(title: str, figures: Sequence[Figure]) -> str:
    """One bar a figure, all of one unit, with the spread and the marks of its goal. ValueError without figures."""
    if len({figure.unit for figure in figures}) != 1:
        raise ValueError("the figures of a chart have one unit, and there is at least one")
    unit = figures[0].unit
    bounds = [each for figure in figures if figure.goal for each in (figure.goal.at_least, figure.goal.aim) if each]
    axis = Axis.over([each for figure in figures for each in (figure.value, figure.low, figure.high)] + bounds)
    height = TOP + ROW * len(figures) + BOTTOM
    said = "; ".join(f"{figure.name}: {show(figure.value, unit)}" for figure in figures)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
        ' role="img" aria-labelledby="title desc">',
        f'<title id="title">{escape(title)}</title>',
        f'<desc id="desc">{escape(f"Bars on a logarithmic scale. {said}.")}</desc>',
        f"<style>{STYLE}</style>",
        f'<rect class="paper" width="{WIDTH}" height="{height}"/>',
        _text(16, 26, f"{title} ({unit})", "title text"),
        *_legend(bool(bounds)),
        *_grid(axis, height),
    ]
    for number, figure in enumerate(figures):
        parts += _bar(axis, figure, TOP + ROW * number)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _text(x: float, y: float, what: str, kind: str = "text", anchor: str = "start") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(what)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, kind: str, width: float) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke-width="{width}"/>'


def _legend(goals: bool) -> list[str]:
    """What the marks mean."""
    marks = [("spread", "least to most of the rounds")] + [("least", "at least"), ("aim", "aim")] * goals
    drawn, x = [], 16.0
    for kind, what in marks:
        drawn.append(_line(x, 44, x + 16, 44, kind, 3 if kind != "spread" else 1.5))
        drawn.append(_text(x + 22, 48, what, "faint"))
        x += 40 + 7 * len(what)
    return drawn


def _grid(axis: Axis, height: int) -> list[str]:
    drawn = []
    for power in range(axis.first, axis.last + 1):
        x = axis.at(10.0**power)
        drawn.append(_line(x, TOP - 4, x, height - BOTTOM + 4, "grid", 1))
        drawn.append(_text(x, height - BOTTOM + 20, f"{10.0**power:,.10g}", "faint", "middle"))
    return drawn


def _bar(axis: Axis, figure: Figure, top: float) -> list[str]:
    middle = top + ROW / 2
    start, end = axis.at(10.0**axis.first), axis.at(figure.value)
    drawn = [
        _text(LABEL - 10, middle + 4, figure.name, anchor="end"),
        f'<rect class="bar" x="{start:.1f}" y="{middle - BAR / 2:.1f}" width="{max(1.0, end - start):.1f}"'
        f' height="{BAR}" rx="2"/>',
        _text(WIDTH - 12, middle + 4, show(figure.value), anchor="end"),
    ]
    if figure.count > 1:
        drawn.append(_line(axis.at(figure.low), middle, axis.at(figure.high), middle, "spread", 1.5))
    if figure.goal:
        for kind, value in (("least", figure.goal.at_least), ("aim", figure.goal.aim)):
            if value is not None:
                drawn.append(_line(axis.at(value), top + 2, axis.at(value), top + ROW - 2, kind, 3))
    return drawn


@dataclass(frozen=True)
class Chart:
    """Which figures of a part are drawn, and into what."""

    file: str
    title: str
    units: tuple[str, ...] = ("jobs/s",)
    last_labels: tuple[str, ...] = ()
    """Only figures with one of these; none named: all."""

    def has(self, figure: Figure) -> bool:
        named = not self.last_labels or figure.labels[-1] in self.last_labels
        return figure.unit in self.units and named and figure.value > 0


CHARTS = {
    "throughput": Chart("bench-throughput.svg", "Jobs a second, by lifetime, backend and slots"),
    "latency": Chart("bench-latency.svg", "From add_async_job to the callback", ("ms",), ("p50", "p99")),
    "enqueue": Chart("bench-enqueue.svg", "Jobs and rows added a second", ("jobs/s", "rows/s")),
    "claim": Chart("bench-claim.svg", "Jobs claimed a second, by how many wait"),
    "plugins": Chart("bench-plugins.svg", "Jobs a second beside other plugins"),
}
"""By part. Figures of several units are drawn as the first of them."""


def chosen(figures: Sequence[Figure]) -> dict[str, list[Figure]]:
    """The figures of each part that are drawn; only parts that have some."""
    found = {
        part: [replace(each, unit=chart.units[0]) for each in figures if each.part == part and chart.has(each)]
        for part, chart in CHARTS.items()
    }
    return {part: some for part, some in found.items() if some}


def titles(figures: Sequence[Figure]) -> dict[str, tuple[str, str]]:
    """The file and title of each part's chart."""
    return {part: (CHARTS[part].file, CHARTS[part].title) for part in chosen(figures)}


def drawn(figures: Sequence[Figure]) -> dict[str, str]:
    """The charts, by file."""
    return {CHARTS[part].file: bars(CHARTS[part].title, some) for part, some in chosen(figures).items()}
