"""Jobs a second in each lifetime beside a plain `wp eval` per job: one machine, one run, interleaved, medians.

    script/bench lifetimes [--rounds 5] [--engine maria71|sqlite71] [--slots 1]

A round enqueues no-op jobs, runs one worker until the queue is empty, and divides the jobs by the time between the
first claim and the last recorded outcome, as the jobs' own rows tell it. The baseline starts `wp eval` as often and
one after the other. The database is durable (innodb_flush_log_at_trx_commit=1), and all that the worker records and
guarantees is on.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.support.site import Site  # noqa: E402
from tests.support.sites import Sites  # noqa: E402

JOBS = {"restart": 25, "fork": 600, "loop": 10_000}
BASELINE = 12
NEEDED = {"restart": 2, "fork": 40, "loop": 500}
"""How many times the baseline each has to reach."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--engine", choices=["maria71", "sqlite71"], default="maria71")
    parser.add_argument("--slots", type=int, default=1)
    parser.add_argument("--save", action="store_true", help="write the table to benchmarks/results/lifetimes.md")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="wpbg-bench-") as folder:
        sites = Sites(Path(folder))
        try:
            site = prepare(sites, options.engine)
            report(measure(site, options.rounds, options.slots), options)
        finally:
            sites.close_all()


def prepare(sites: Sites, engine: str) -> Site:
    """A site with a callback that does nothing."""
    site = sites.clone(engine)
    site.mu_plugin("noop", "function noop( $n ) { return $n; }")
    if site.server:
        site.server.execute("SET GLOBAL innodb_flush_log_at_trx_commit = 1")
    return site


def measure(site: Site, rounds: int, slots: int) -> dict[str, list[float]]:
    """Jobs a second, by lifetime, one figure a round. The first round only warms up and does not count."""
    found: dict[str, list[float]] = {"wp eval": [], **{mode: [] for mode in JOBS}}
    for number in range(rounds + 1):
        for name, figures in found.items():
            rate = baseline(site) if name == "wp eval" else worked(site, name, JOBS[name], slots)
            print(f"round {number}: {name:8} {rate:9.1f} jobs/s", file=sys.stderr)
            if number:
                figures.append(rate)
    return found


def baseline(site: Site) -> float:
    began = time.monotonic()
    for _ in range(BASELINE):
        site.wp("eval", "noop( 1 );")
    return BASELINE / (time.monotonic() - began)


def worked(site: Site, mode: str, jobs: int, slots: int) -> float:
    """One worker's rate on `jobs` jobs; none may be lost or run twice."""
    site.query(f"DELETE FROM {site.jobs}")
    added = site.eval_php(
        f"$ids = add_async_jobs( ( function () {{ for ( $n = 0; $n < {jobs}; $n++ ) {{"
        " yield (object) array( 'function' => 'noop', 'user_data' => $n ); } } )() ); echo count( $ids );"
    )
    assert added == str(jobs), added
    site.wpbg("listen", "--mode", mode, "--concurrency", str(slots), "--stop-when-empty", check=True, timeout=900)
    row = site.query(
        "SELECT count(*) AS jobs, min(attempts) AS least, max(attempts) AS most, min(started_at) AS began,"
        f" max(finished_at) AS ended FROM {site.jobs} WHERE status = 'completed'"
    )[0]
    assert (row["jobs"], row["least"], row["most"]) == (jobs, 1, 1), row
    return jobs * 1000 / (row["ended"] - row["began"])


def report(found: dict[str, list[float]], options: argparse.Namespace) -> None:
    base = statistics.median(found["wp eval"])
    lines = [
        f"Jobs a second, no-op job, {options.engine}, {options.slots} slot(s), medians of {options.rounds} interleaved",
        f"rounds; Python {platform.python_version()}, {platform.machine()}, {platform.system()} {platform.release()}.",
        "",
        "| lifetime | jobs/s | × plain `wp eval` | at least | spread |",
        "|---|---|---|---|---|",
    ]
    for name, figures in found.items():
        rate = statistics.median(figures)
        need = f"{NEEDED[name]}×" if name in NEEDED else ""
        spread = f"{min(figures):.0f}–{max(figures):.0f}" if rate > 50 else f"{min(figures):.1f}–{max(figures):.1f}"
        lines.append(f"| {name} | {rate:.1f} | {rate / base:.1f}× | {need} | {spread} |")
    print("\n".join(lines))
    if options.save:
        target = ROOT / "benchmarks/results/lifetimes.md"
        target.parent.mkdir(exist_ok=True)
        target.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
