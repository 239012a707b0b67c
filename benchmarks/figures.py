"""What was measured, and how many measurements become one figure. Pure.

Plain medians, minima and maxima of rounds that are interleaved: a busy moment of the machine hits every contender of
a round, and the median forgets it. pyperf, which starts Python functions in processes of its own, has no place for what
is measured here: rates of programs that work together, a round of which takes seconds.
"""

from __future__ import annotations

import enum
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass


class Verdict(str, enum.Enum):
    """How a figure stands beside its goal, in the words of the table."""

    AIM = "aim met"
    LEAST = "met"
    MISSED = "aim missed"  # Where nothing less is asked.
    BELOW = "**not met**"


@dataclass(frozen=True)
class Goal:
    """`at_least` is what has to be reached, `aim` what would be good; None where only the other is set.

    With `low`, less is better, and both are upper bounds.
    """

    at_least: float | None
    aim: float | None
    low: bool = False

    def judge(self, value: float) -> Verdict:
        def reached(bound: float | None) -> bool:
            return bound is not None and (value <= bound if self.low else value >= bound)

        if reached(self.aim):
            return Verdict.AIM
        if self.at_least is None:
            return Verdict.MISSED
        return Verdict.LEAST if reached(self.at_least) else Verdict.BELOW


@dataclass(frozen=True)
class Figure:
    """One figure: `value` in `unit`; `low` and `high` are the least and most of the `count` rounds or samples."""

    part: str
    labels: tuple[str, ...]
    unit: str
    value: float
    low: float
    high: float
    count: int
    goal: Goal | None = None

    @classmethod
    def of(
        cls, part: str, labels: Sequence[str], unit: str, values: Sequence[float], goal: Goal | None = None
    ) -> Figure:
        """The median of rounds. ValueError when there are none."""
        if not values:
            raise ValueError(f"nothing was measured of {', '.join(labels)}")
        return cls(
            part, tuple(labels), unit, statistics.median(values), min(values), max(values), len(values), goal
        )  # fmt: skip

    @classmethod
    def percentile(
        cls, part: str, labels: Sequence[str], unit: str, samples: Sequence[float], at: float, goal: Goal | None = None
    ) -> Figure:
        """A percentile of samples; its spread is that of the thirds, in the order they were taken."""
        thirds = [percentile(third, at) for third in in_thirds(samples)]
        value = percentile(samples, at)
        return cls(part, tuple(labels), unit, value, min(thirds), max(thirds), len(samples), goal)

    @property
    def name(self) -> str:
        return ", ".join(self.labels)

    @property
    def verdict(self) -> Verdict | None:
        return self.goal.judge(self.value) if self.goal else None


def percentile(samples: Sequence[float], at: float) -> float:
    """The smallest sample that at least `at` per cent of them do not exceed (nearest rank). ValueError without any."""
    if not samples:
        raise ValueError("there are no samples")
    ordered = sorted(samples)
    return ordered[max(0, math.ceil(at / 100 * len(ordered)) - 1)]


def in_thirds(samples: Sequence[float]) -> list[Sequence[float]]:
    """First, middle and last third; all of them in one where there are fewer than three."""
    each = len(samples) // 3
    if not each:
        return [samples]
    return [samples[:each], samples[each : 2 * each], samples[2 * each :]]


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Ours divided by theirs, round by round: what they share of a round's luck goes out."""
    return [one / other for one, other in zip(ours, theirs, strict=True)]


def steady_rate(jobs: int, first_batch: int, claimed_ms: int, first_ms: int, last_ms: int) -> float:
    """Jobs a second of a worker that has found its pace: what was recorded after the first outcomes, by the time since.

    `first_batch` jobs were recorded at `first_ms`, all of them by `last_ms`. Booting PHP for the first job is no part
    of the pace. Where the first record holds most of the jobs, there is no pace yet: then all of them since the first
    claim.
    """
    if 2 * first_batch <= jobs and last_ms > first_ms:
        return (jobs - first_batch) * 1000 / (last_ms - first_ms)
    return jobs * 1000 / max(1, last_ms - claimed_ms)


def show(value: float, unit: str = "") -> str:
    """With three digits that count and its unit: `3,210 jobs/s`, `0.91×`, `12.3 ms`."""
    size = abs(value)
    digits = 0 if size >= 99.5 else 1 if size >= 9.95 else 2
    text = f"{value:,.{digits}f}" if size >= 0.0095 or not size else f"{value:.4f}"
    if not unit:
        return text
    return f"{text}{unit}" if unit == "×" else f"{text} {unit}"
