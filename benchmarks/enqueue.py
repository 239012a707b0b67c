"""What adding costs: one job beside a bare `$wpdb->insert`, and many in one call, with the memory that they take."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Callable

from benchmarks import goals
from benchmarks.figures import Figure, ratios
from benchmarks.ground import Ground, Requests, WrongRun
from benchmarks.scale import BACKENDS, Scale

PART = "enqueue"
DATABASES = ("MariaDB", "SQLite")


def measure(ground: Ground, scale: Scale, tell: Callable[[str], None]) -> list[Figure]:
    return single(ground, scale, tell) + bulk(ground, scale, tell)


def single(ground: Ground, scale: Scale, tell: Callable[[str], None]) -> list[Figure]:
    """In one PHP process, in turn: a job, an insert of its columns, an insert of a queue and a payload of its size."""
    rates: dict[tuple[str, str], list[float]] = defaultdict(list)

    def one(backend: str) -> None:
        plot = ground.plot(backend)
        plot.clear()
        took = plot.requests.ask("single", scale.singles, "single")
        for way, seconds in took.items():
            rates[backend, way].append(scale.singles / seconds)
            tell(f"{backend}, one at a time, {way}: {scale.singles / seconds:,.0f}/s")
        if plot.broker:
            plot.broker.server.take_all(plot.lane("single"))

    for _ in range(max(1, scale.rounds * 2 - 1)):
        ground.shuffled([lambda backend=backend: one(backend) for backend in BACKENDS])  # type: ignore[misc]
    made = []
    for backend in BACKENDS:
        job, columns, bare = (rates[backend, way] for way in ("job", "columns", "bare"))
        made += [
            Figure.of(PART, (backend, "add_async_job"), "jobs/s", job),
            Figure.of(PART, (backend, "bare insert, 2 columns"), "rows/s", bare),
        ]
        if backend in DATABASES:
            compared = (backend, "add_async_job against a bare insert")
            made += [
                Figure.of(PART, (backend, "bare insert, all columns"), "rows/s", columns),
                Figure.of(PART, (*compared, "2 columns"), "×", ratios(job, bare), goals.ENQUEUE),
                Figure.of(PART, (*compared, "all columns"), "×", ratios(job, columns)),
            ]
    return made


def bulk(ground: Ground, scale: Scale, tell: Callable[[str], None]) -> list[Figure]:
    """Each in a PHP process of its own, whose peak is that of this one call."""
    rates: dict[tuple[str, int], list[float]] = defaultdict(list)
    peaks: dict[tuple[str, int], list[float]] = defaultdict(list)
    own: dict[tuple[str, int], list[float]] = defaultdict(list)

    def many(backend: str, jobs: int) -> None:
        plot = ground.plot(backend)
        plot.clear()
        with contextlib.closing(Requests(plot.site)) as requests:
            told = requests.ask("bulk", jobs, "bulk")
        rows = plot.site.query(f"SELECT count(*) AS jobs, count(DISTINCT callback) AS kinds FROM {plot.site.jobs}")[0]
        if (told["ids"], rows["jobs"], rows["kinds"]) != (jobs, jobs, 1):
            raise WrongRun(f"{backend}: of {jobs} jobs {told['ids']} have ids and {rows['jobs']} are in the table.")
        key = (backend, jobs)
        rates[key].append(jobs / told["seconds"])
        peaks[key].append(told["peak"] / 1e6)
        own[key].append(told["peak_own"] / 1e6)
        tell(f"{backend}, {jobs} at once: {rates[key][-1]:,.0f}/s, peak {peaks[key][-1]:.1f} MB")

    for _ in range(scale.rounds):
        ground.shuffled([lambda b=b, n=n: many(b, n) for b in DATABASES for n in scale.bulk])  # type: ignore[misc]
    made, few, most = [], min(scale.bulk), max(scale.bulk)
    for backend in DATABASES:
        ground.plot(backend).clear()
        for jobs in scale.bulk:
            goal = goals.BULK[backend] if jobs == most else None
            what = (backend, f"add_async_jobs, {jobs:,}")
            made += [
                Figure.of(PART, what, "jobs/s", rates[backend, jobs], goal),
                Figure.of(PART, (*what, "peak memory with the ids"), "MB", peaks[backend, jobs]),
                Figure.of(PART, (*what, "peak memory without them"), "MB", own[backend, jobs]),
            ]
        grown = ratios(own[backend, most], own[backend, few])
        made.append(Figure.of(PART, (backend, f"that memory, {most:,} against {few:,}"), "×", grown, goals.FLAT))
    return made
