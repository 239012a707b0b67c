"""Jobs a second in each lifetime beside a plain `wp eval` per job: one machine, one run, interleaved, medians.

    script/bench lifetimes [--rounds 5] [--engine maria71|sqlite71] [--slots 1]

A round enqueues no-op jobs, runs one worker until the queue is empty, and divides the jobs by the time between the
first claim and the last recorded outcome, as the jobs' own rows tell it. The baseline starts `wp eval` as often and
one after the other. The database is durable (innodb_flush_log_at_trx_commit=1), and all that the worker records and
guarantees is on.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time

from benchmarks.harness import MACHINE, add_noops, durable_site, flags, folder_of_sites, show, worked
from tests.support.site import Site

JOBS = {"restart": 25, "fork": 600, "loop": 10_000}
BASELINE = 12
NEEDED = {"restart": 2, "fork": 40, "loop": 500}
"""How many times the baseline each has to reach."""


def main() -> None:
    parser = flags(__doc__, "lifetimes")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--slots", type=int, default=1)
    options = parser.parse_args()
    with folder_of_sites() as (_, sites):
        report(measure(durable_site(sites, options.engine), options.rounds, options.slots), options)


def measure(site: Site, rounds: int, slots: int) -> dict[str, list[float]]:
    """Jobs a second, by lifetime, one figure a round. The first round only warms up and does not count."""
    found: dict[str, list[float]] = {"wp eval": [], **{mode: [] for mode in JOBS}}
    for number in range(rounds + 1):
        for name, figures in found.items():
            rate = baseline(site) if name == "wp eval" else fresh(site, name, JOBS[name], slots)
            print(f"round {number}: {name:8} {rate:9.1f} jobs/s", file=sys.stderr)
            if number:
                figures.append(rate)
    return found


def baseline(site: Site) -> float:
    began = time.monotonic()
    for _ in range(BASELINE):
        site.wp("eval", "noop( 1 );")
    return BASELINE / (time.monotonic() - began)


def fresh(site: Site, mode: str, jobs: int, slots: int) -> float:
    """One worker's rate on `jobs` new jobs, alone in the table."""
    site.query(f"DELETE FROM {site.jobs}")
    add_noops(site, jobs)
    return worked(site, mode, jobs, slots)


def report(found: dict[str, list[float]], options: argparse.Namespace) -> None:
    base = statistics.median(found["wp eval"])
    lines = [
        f"Jobs a second, no-op job, {options.engine}, {options.slots} slot(s), medians of {options.rounds} interleaved",
        f"rounds; {MACHINE}.",
        "",
        "| lifetime | jobs/s | × plain `wp eval` | at least | spread |",
        "|---|---|---|---|---|",
    ]
    for name, figures in found.items():
        rate = statistics.median(figures)
        need = f"{NEEDED[name]}×" if name in NEEDED else ""
        spread = f"{min(figures):.0f}–{max(figures):.0f}" if rate > 50 else f"{min(figures):.1f}–{max(figures):.1f}"
        lines.append(f"| {name} | {rate:.1f} | {rate / base:.1f}× | {need} | {spread} |")
    show(lines, "lifetimes" if options.save else None)


if __name__ == "__main__":
    main()
