"""What a worker's memory does over many jobs: resident set, unique and proportional, sampled while it works.

    script/bench memory [--jobs 100000] [--slots 8] [--mode loop] [--engine maria71|sqlite71] [--save]

Flat means: the last fifth of the run within 5 % of the second fifth (the first one warms up). The figures are those of
the `wpbg` process alone; its PHP processes have limits of their own.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

from benchmarks.harness import add_noops, durable_site, flags, folder_of_sites, show
from tests.support.site import Site

CHUNK = 20_000
FLAT = 0.05


def main() -> int:
    parser = flags(__doc__, "memory")
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--slots", type=int, default=8)
    parser.add_argument("--mode", choices=["loop", "fork", "restart"], default="loop")
    options = parser.parse_args()
    with folder_of_sites() as (_, sites):
        return report(profile(durable_site(sites, options.engine), options), options)


def profile(site: Site, options: argparse.Namespace) -> list[tuple[int, float]]:
    """Jobs done so far, and the worker's memory in MB by then."""
    for at in range(0, options.jobs, CHUNK):
        add_noops(site, min(CHUNK, options.jobs - at))
    flags = ("--mode", options.mode, "--concurrency", str(options.slots), "--stop-when-empty")
    worker = site.start_wpbg("listen", *flags)
    found: list[tuple[int, float]] = []
    while worker.returncode is None:
        done = site.query(f"SELECT COUNT(*) AS n FROM {site.jobs} WHERE status = 'completed'")[0]["n"]
        memory = resident(worker.pid)
        if memory:
            found.append((int(done), memory))
        worker.lines.clear()  # What this process remembers of its log is not measured, but it is not needed either.
        time.sleep(0.5)
    assert worker.wait() == 0
    rows = site.query(f"SELECT status, attempts, COUNT(*) AS n FROM {site.jobs} GROUP BY status, attempts")
    assert rows == [{"status": "completed", "attempts": 1, "n": options.jobs}], rows
    return found


def resident(pid: int) -> float:
    """MB; 0 once it has ended."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    return 0.0


def report(found: list[tuple[int, float]], options: argparse.Namespace) -> int:
    fifths: list[list[float]] = [[] for _ in range(5)]
    for done, memory in found:
        if 0 < done < options.jobs:
            fifths[min(4, done * 5 // options.jobs)].append(memory)
    medians = [statistics.median(fifth) if fifth else 0.0 for fifth in fifths]
    growth = medians[4] / medians[1] - 1 if medians[1] else 1.0
    lines = [
        f"Resident memory of a worker with {options.slots} slots over {options.jobs} no-op jobs, {options.mode}, "
        f"{options.engine}; medians by fifth of the run.",
        "",
        "| 1st | 2nd | 3rd | 4th | 5th | 5th against 2nd | peak |",
        "|---|---|---|---|---|---|---|",
        f"| {' | '.join(f'{each:.1f} MB' for each in medians)} | {growth:+.1%} | {max(m for _, m in found):.1f} MB |",
    ]
    show(lines, "memory" if options.save else None)
    if not all(fifths):
        print("The run was too short to be looked at in each fifth: take more --jobs.", file=sys.stderr)
        return 1
    return 0 if growth <= FLAT else 1


if __name__ == "__main__":
    sys.exit(main())
