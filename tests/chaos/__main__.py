"""`script/chaos`: trials of every lifetime on every backend, and one table."""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.chaos.bench import BACKENDS
from tests.chaos.trial import trial
from tests.chaos.verdict import Result

LIFETIMES = ("loop", "fork", "restart")
HEAD = (
    "backend",
    "lifetime",
    "jobs",
    "faults",
    "lost",
    "stuck",
    "run twice",
    "unexplained",
    "not recorded",
    "recovery s, median",
    "slowest",
    "seed",
    "faults by kind",
    "run twice after",
)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="script/chaos",
        description="Kills, freezes and cuts off whatever takes part while jobs run, and counts what is left.",
    )
    parser.add_argument("--jobs", type=int, default=5000, help="jobs in each trial (5000)")
    parser.add_argument("--faults", type=int, default=100, help="faults in each trial (100)")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="decides which faults come when")
    parser.add_argument("--backend", action="append", choices=BACKENDS, help="repeatable; all")
    parser.add_argument("--lifetime", action="append", choices=LIFETIMES, help="repeatable; all")
    parser.add_argument("--log", type=Path, help="folder for the logs: what the workers and the faults did, by time")
    args = parser.parse_args()
    results = []
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        for backend in args.backend or BACKENDS:
            for lifetime in args.lifetime or LIFETIMES:
                with contextlib.redirect_stdout(io.StringIO()):  # Sites that are closed print their workers' logs.
                    result = trial(Path(folder), backend, lifetime, args.jobs, args.faults, args.seed)
                results.append(result)
                if args.log:
                    args.log.mkdir(parents=True, exist_ok=True)
                    (args.log / f"{backend}-{lifetime}.log").write_text(f"{result.timeline}\n")
                print(
                    line(result), f"  ({result.seconds:.0f} s, {result.refused} refused)", file=sys.stderr, flush=True
                )
    print(table(results))
    for result in results:
        if why := complaint(result, args):
            print(f"{result.backend}, {result.lifetime}: {why}", file=sys.stderr)
    return 1 if any(complaint(result, args) for result in results) else 0


def complaint(result: Result, args: argparse.Namespace) -> str:
    """What is wrong with the site, or with the trial itself."""
    small = result.jobs < args.jobs or result.faults.total() < args.faults
    return result.bad or ("not all jobs were added, or not all faults happened" if small else "")


def cells(result: Result) -> list[str]:
    return [
        result.backend,
        result.lifetime,
        f"{result.jobs}",
        f"{result.faults.total()}",
        f"{len(result.lost)}",
        f"{len(result.stuck)}",
        f"{result.twice.total() + len(result.unexplained)}",
        f"{len(result.unexplained)}",
        f"{len(result.unrecorded)}",
        f"{result.median_recovery:.1f} (of {len(result.recovery)})",
        f"{max(result.recovery, default=0):.1f}",
        f"{result.seed}",
        kinds(result.faults),
        kinds(result.twice),
    ]


def kinds(counted: Counter[str]) -> str:
    return ", ".join(f"{number} × {name}" for name, number in sorted(counted.items())) or "–"


def line(result: Result) -> str:
    return " | ".join(cells(result))


def table(results: list[Result]) -> str:
    """In Markdown."""
    rows = ["| " + " | ".join(HEAD) + " |", "|" + "---|" * len(HEAD)]
    return "\n".join([*rows, *(f"| {line(result)} |" for result in results)])


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:  # What was started is ended by then.
        print("chaos: stopped", file=sys.stderr)
        sys.exit(130)
