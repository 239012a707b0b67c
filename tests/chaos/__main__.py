"""`script/chaos`: trials of every lifetime on every backend, and one table."""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
import tempfile
import time
from pathlib import Path

from tests.chaos.bench import BACKENDS, LEASE
from tests.chaos.trial import Result, trial

LIFETIMES = ("loop", "fork", "restart")
HEAD = (
    "backend",
    "lifetime",
    "jobs",
    "faults",
    "lost",
    "twice",
    "unexplained",
    "stuck",
    "failed",
    "recovery s",
    "seed",
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
    parser.add_argument("--log", type=Path, help="folder for the workers' logs")
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
                    (args.log / f"{backend}-{lifetime}.log").write_text("\n".join(result.log))
                print(line(result), f"  ({result.seconds:.0f} s)", file=sys.stderr, flush=True)
    print(table(results))
    return 1 if any(bad(result) for result in results) else 0


def bad(result: Result) -> bool:
    """Whether it shows a defect: a job lost, stuck or failed, a double run without a fault, a slow recovery."""
    slow = result.median_recovery > LEASE + 2
    return bool(result.lost or result.stuck or result.unexplained or result.failed or slow)


def cells(result: Result) -> list[str]:
    return [
        result.backend,
        result.lifetime,
        f"{result.jobs}",
        f"{result.faults.total()}",
        f"{len(result.lost)}",
        f"{result.twice}",
        f"{len(result.unexplained)}",
        f"{result.stuck}",
        f"{result.failed}",
        f"{result.median_recovery:.1f}",
        f"{result.seed}",
    ]


def line(result: Result) -> str:
    kinds = ", ".join(f"{number} × {name}" for name, number in sorted(result.faults.items()))
    return f"{' | '.join(cells(result))} | {kinds}"


def table(results: list[Result]) -> str:
    """In Markdown."""
    rows = ["| " + " | ".join(HEAD) + " | faults by kind |", "|" + "---|" * (len(HEAD) + 1)]
    return "\n".join([*rows, *(f"| {line(result)} |" for result in results)])


if __name__ == "__main__":
    sys.exit(main())
