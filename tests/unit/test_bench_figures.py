"""From measurements to figures, and from figures to the table and its charts."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from benchmarks.charts import Axis, bars, chosen, drawn, titles
from benchmarks.figures import Figure, Goal, Verdict, percentile, ratios, show, steady_rate
from benchmarks.report import HEAD, bound, document, row, summary
from benchmarks.scale import FULL, LIFETIMES, QUICK

FAST = Goal(3_000, 10_000)
SOON = Goal(10, 3, low=True)


@pytest.mark.parametrize(
    ("goal", "value", "verdict"),
    [
        (FAST, 2_999, Verdict.BELOW),
        (FAST, 3_000, Verdict.LEAST),
        (FAST, 10_000, Verdict.AIM),
        (SOON, 10.1, Verdict.BELOW),
        (SOON, 10, Verdict.LEAST),
        (SOON, 3, Verdict.AIM),
        (Goal(45, None), 44, Verdict.BELOW),
        (Goal(45, None), 1_000, Verdict.LEAST),
        (Goal(None, 100), 99, Verdict.MISSED),
        (Goal(None, 100), 100, Verdict.AIM),
    ],
)
def test_a_goal_is_met_at_its_bound(goal: Goal, value: float, verdict: Verdict) -> None:
    assert goal.judge(value) is verdict


def test_a_figure_of_rounds_is_their_median() -> None:
    figure = Figure.of("claim", ["loop", "SQLite"], "jobs/s", [50, 1, 3, 2, 4])
    assert (figure.value, figure.low, figure.high, figure.count, figure.name) == (3, 1, 50, 5, "loop, SQLite")
    assert figure.verdict is None
    with pytest.raises(ValueError, match="nothing was measured of loop"):
        Figure.of("claim", ["loop"], "jobs/s", [])


def test_percentiles_are_samples_at_their_rank() -> None:
    hundred = [float(n) for n in range(100, 0, -1)]
    assert [percentile(hundred, at) for at in (0, 1, 50, 99, 99.5, 100)] == [1, 1, 50, 99, 100, 100]
    assert percentile([7.0], 99) == 7
    with pytest.raises(ValueError, match="no samples"):
        percentile([], 50)


def test_a_percentile_tells_the_spread_of_its_thirds() -> None:
    figure = Figure.percentile("latency", ["idle"], "ms", [1, 1, 1, 5, 5, 5, 3, 3, 3], 50)
    assert (figure.value, figure.low, figure.high, figure.count) == (3, 1, 5, 9)
    few = Figure.percentile("latency", ["idle"], "ms", [4, 2], 50)
    assert (few.value, few.low, few.high) == (2, 2, 2)


def test_ratios_are_taken_round_by_round() -> None:
    assert ratios([10, 30], [5, 10]) == [2, 3]
    with pytest.raises(ValueError, match="zip"):
        ratios([1], [1, 2])


def test_a_steady_rate_leaves_out_the_start() -> None:
    # Claimed at 0 ms, PHP boots until 900; ten recorded at 1,000; the other ninety by 2,000.
    assert steady_rate(100, 10, 0, 1_000, 2_000) == 90
    # Most recorded at once, or everything: no pace to be seen, so all of it counts from the claim.
    assert steady_rate(100, 51, 0, 1_000, 2_000) == 50
    assert steady_rate(100, 100, 0, 1_000, 1_000) == 100


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (3210.4, "jobs/s", "3,210 jobs/s"),
        (0.914, "×", "0.91×"),
        (12.34, "ms", "12.3 ms"),
        (99.96, "", "100"),
        (9.996, "", "10.0"),
        (0, "%", "0.00 %"),
        (0.0042, "%", "0.0042 %"),
        (-3.21, "ms", "-3.21 ms"),
    ],
)
def test_figures_are_shown_with_the_digits_that_count(value: float, unit: str, shown: str) -> None:
    assert show(value, unit) == shown


FIGURES = [
    Figure.of("throughput", ("loop", "MariaDB", "1 slot"), "jobs/s", [2_000, 2_500, 4_000], FAST),
    Figure.of("throughput", ("loop", "SQLite <b>", "1 slot"), "jobs/s", [12_000], FAST),
    Figure.of("throughput", ("restart", "MariaDB", "against wp eval"), "×", [2.5], Goal(2, 3)),
    Figure.percentile("latency", ("loop", "MariaDB", "idle", "p99"), "ms", [2.0, 3.0, 4.0], 99, SOON),
    Figure.percentile("latency", ("loop", "MariaDB", "idle", "of it the call, p50"), "ms", [0.5], 50),
]


def test_a_row_has_the_figure_its_spread_and_its_bounds() -> None:
    assert row(FIGURES[0]) == (
        "| loop, MariaDB, 1 slot | 2,500 jobs/s | 2,000–4,000 | 3 | ≥ 3,000 jobs/s | ≥ 10,000 jobs/s | **not met** |"
    )
    assert row(FIGURES[4]) == "| loop, MariaDB, idle, of it the call, p50 | 0.50 ms |  | 1 |  |  |  |"
    assert bound(SOON, "aim", "ms") == "≤ 3 ms"
    assert bound(Goal(0.8, 0.95), "aim", "×") == "≥ 0.95×"


def test_the_summary_names_what_is_below() -> None:
    aimed = Figure.of("throughput", ("fork", "MariaDB", "2 slots"), "×", [93.2], Goal(None, 100))
    text = "\n".join(summary([aimed, *FIGURES]))
    assert "Of 5 figures that have a goal, 1 reach the aim, 2 what is asked at least," in text
    assert ", 1 have an aim only and miss it, 1 are below what is asked at least." in text
    assert "| throughput: fork, MariaDB, 2 slots | 93.2× |  | 1 |  | ≥ 100× | aim missed |" in text
    assert text.index("| throughput: loop, MariaDB, 1 slot | 2,500 jobs/s") < text.index("| throughput: fork, MariaDB")
    assert "SQLite" not in text
    assert len(summary(FIGURES[1:])) == 1
    assert summary(FIGURES[4:]) == ["No figure of this run has a goal."]


def test_the_document_has_every_figure_and_its_charts() -> None:
    lines = document(FIGURES, ["How."], [("CPU", "a fast one")], titles(FIGURES))
    assert lines[0] == "# Benchmark"
    for figure in FIGURES:
        assert row(figure) in lines
    assert "| CPU | a fast one |" in lines
    assert lines.index("## Throughput") < lines.index(row(FIGURES[0])) < lines.index("## Latency")
    assert "![From add_async_job to the callback](bench-latency.svg)" in lines
    columns = {line.count("|") for line in lines if line.startswith("| ") and "CPU" not in line and line != "| | |"}
    assert columns == {HEAD[0].count("|")}


def test_charts_are_xml_that_says_what_it_shows() -> None:
    charts = drawn(FIGURES)
    assert set(charts) == {"bench-throughput.svg", "bench-latency.svg"}
    svg = charts["bench-throughput.svg"]
    root = ElementTree.fromstring(svg)
    space = "{http://www.w3.org/2000/svg}"
    assert root.attrib["role"] == "img"
    title, told = root.find(f"{space}title"), root.find(f"{space}desc")
    assert title is not None
    assert told is not None
    assert root.attrib["aria-labelledby"].split() == [title.attrib["id"], told.attrib["id"]]
    assert title.text == "Jobs a second, by lifetime, backend and slots"
    assert told.text is not None
    assert "loop, MariaDB, 1 slot: 2,500 jobs/s; loop, SQLite <b>, 1 slot: 12,000 jobs/s" in told.text
    # The ratio has another unit, and is not drawn with the rates.
    bars_drawn = root.findall(f"{space}rect[@class='bar']")
    assert len(bars_drawn) == 2
    assert float(bars_drawn[0].attrib["width"]) < float(bars_drawn[1].attrib["width"])
    assert "prefers-color-scheme: dark" in svg
    # One round has no spread; each bar has both marks of its goal; the legend has one of each.
    kinds = [line.attrib["class"] for line in root.findall(f"{space}line")]
    assert [kinds.count(kind) for kind in ("spread", "least", "aim")] == [2, 3, 3]


def test_nothing_is_drawn_outside_of_the_picture() -> None:
    root = ElementTree.fromstring(bars("Figures", FIGURES[:2]))
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    for element in root.iter():
        for name, value in element.attrib.items():
            if re.fullmatch(r"x[12]?|width", name):
                assert 0 <= float(value) <= width, (element.tag, element.attrib)
            elif re.fullmatch(r"y[12]?|height", name):
                assert 0 <= float(value) <= height, (element.tag, element.attrib)


def test_a_chart_has_one_unit_and_something_to_show() -> None:
    with pytest.raises(ValueError, match="one unit"):
        bars("Mixed", FIGURES)
    with pytest.raises(ValueError, match="one unit"):
        bars("Nothing", [])
    with pytest.raises(ValueError, match="above zero"):
        Axis.over([0, 0])
    assert "latency" not in chosen([Figure.of("latency", ("loop", "p50"), "ms", [0])])


def test_a_scale_has_whole_powers_of_ten() -> None:
    axis = Axis.over([3, 4_000])
    assert (axis.first, axis.last) == (0, 4)
    assert axis.at(0.0) == axis.at(1) < axis.at(10) < axis.at(10_000)
    assert Axis.over([10]) == Axis(1, 2)


def test_a_full_run_has_every_lifetime_on_every_backend_and_a_quick_one_each_once() -> None:
    assert len(set(FULL.cells)) == 12
    assert FULL.slots == (1, 2, 4)
    assert {cell.lifetime for cell in QUICK.cells} == set(LIFETIMES)
    assert {cell.backend for cell in QUICK.cells} == {cell.backend for cell in FULL.cells}
    assert FULL.samples["loop"] >= 300 <= FULL.samples["fork"]
    # 20 jobs a claim, and not all that wait, so that the smallest queue stays what it is.
    for scale in (FULL, QUICK):
        assert max(scale.claims, max(2, scale.claims // 5) * 20) < min(scale.waiting)
