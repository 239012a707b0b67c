"""The table. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from benchmarks.figures import Figure, Goal, Verdict, show

HEAD = ("| what | figure | spread | of | at least | aim | |", "|---|---:|---:|---:|---:|---:|---|")


def document(
    figures: Sequence[Figure],
    about: Sequence[str],
    machine: Sequence[tuple[str, str]],
    charts: dict[str, tuple[str, str]],
) -> list[str]:
    """The lines of the Markdown file. `about` says how it was measured, `charts` the file and title by part."""
    lines = ["# Benchmark", "", *about, "", "## The machine", "", "| | |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in machine]
    lines += ["", "## Beside the goals", "", *summary(figures)]
    for part in dict.fromkeys(figure.part for figure in figures):
        lines += ["", f"## {part[0].upper()}{part[1:]}", ""]
        if part in charts:
            file, title = charts[part]
            lines += [f"![{title}]({file})", ""]
        lines += [*HEAD, *(row(figure) for figure in figures if figure.part == part)]
    return lines


def summary(figures: Iterable[Figure]) -> list[str]:
    """How many figures reach their goals, and those that do not."""
    judged = [figure for figure in figures if figure.goal]
    if not judged:
        return ["No figure of this run has a goal."]
    by = {verdict: [figure for figure in judged if figure.verdict is verdict] for verdict in Verdict}
    lines = [
        f"Of {len(judged)} figures that have a goal, {len(by[Verdict.AIM])} reach the aim, {len(by[Verdict.LEAST])}"
        f" what is asked at least, {len(by[Verdict.MISSED])} have an aim only and miss it, {len(by[Verdict.BELOW])} are"
        " below what is asked at least.",
    ]
    if short := by[Verdict.BELOW] + by[Verdict.MISSED]:
        lines += ["", *HEAD, *(row(figure, with_part=True) for figure in short)]
    return lines


def row(figure: Figure, *, with_part: bool = False) -> str:
    """One line of a table."""
    name = f"{figure.part}: {figure.name}" if with_part else figure.name
    spread = f"{show(figure.low)}–{show(figure.high)}" if figure.count > 1 else ""
    bounds = [bound(figure.goal, which, figure.unit) for which in ("at_least", "aim")]
    verdict = figure.verdict.value if figure.verdict else ""
    cells = [name, show(figure.value, figure.unit), spread, str(figure.count), *bounds, verdict]
    return f"| {' | '.join(cells)} |"


def bound(goal: Goal | None, which: str, unit: str) -> str:
    """A goal's bound as people read it: `≥ 3,000 jobs/s`, `≤ 10 ms`."""
    value = getattr(goal, which) if goal else None
    if goal is None or value is None:
        return ""
    text = f"{value:,.3g}" if value < 1000 else f"{value:,.0f}"
    return f"{'≤' if goal.low else '≥'} {text}{unit if unit == '×' else f' {unit}'}"
