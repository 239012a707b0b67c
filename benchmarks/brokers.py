"""Jobs a second through each broker, beside what the broker's own client reaches: one machine, one run, interleaved.

    script/bench brokers [--jobs 10000] [--slots 4] [--rounds 3] [--mode loop] [--engine maria71|sqlite71]

A round puts no-op jobs into the broker by add_async_jobs(), runs one worker until nothing is left, and divides the
jobs by the time between the first claim and the last recorded outcome, as the jobs' own rows tell it. None may be
lost, none may run twice. Beside it, on the same server: greenstalk's `reserve` + `delete`, or gear's grab + complete,
of bodies of the same size, one at a time on one connection, and nothing done with them.
"""

from __future__ import annotations

import argparse
import contextlib
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import gear  # noqa: E402
from gear import constants  # noqa: E402

from tests.acceptance.brokers import BACKENDS, Broker  # noqa: E402
from tests.support.beanstalkd import Beanstalkd  # noqa: E402
from tests.support.gearmand import Gearmand  # noqa: E402
from tests.support.site import Site  # noqa: E402
from tests.support.sites import Sites  # noqa: E402
from wpbg.queues.gearman import Connection  # noqa: E402

BODY = b"x" * 420
"""About what an envelope of a small job has."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--slots", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--mode", choices=["fork", "loop"], default="loop")
    parser.add_argument("--engine", choices=["maria71", "sqlite71"], default="maria71")
    parser.add_argument("--save", action="store_true", help="write the table to benchmarks/results/brokers.md")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="wpbg-bench-") as folder, contextlib.ExitStack() as stack:
        sites = Sites(Path(folder) / "sites")
        stack.callback(sites.close_all)
        site = prepare(sites, options.engine)
        brokers = [Broker.of(backend, Path(folder) / backend) for backend in BACKENDS]
        for broker in brokers:
            stack.callback(broker.server.stop)
        report(measure(site, brokers, options), options)


def prepare(sites: Sites, engine: str) -> Site:
    """A site with a callback that does nothing, on a database that waits for the disk."""
    site = sites.clone(engine)
    site.mu_plugin("noop", "function noop( $n ) { return $n; }")
    if site.server:
        site.server.execute("SET GLOBAL innodb_flush_log_at_trx_commit = 1")
    return site


def measure(site: Site, brokers: list[Broker], options: argparse.Namespace) -> dict[str, list[float]]:
    """Jobs a second, one figure a round. The first round only warms up and does not count."""
    found: dict[str, list[float]] = {}
    for number in range(options.rounds + 1):
        for broker in brokers:
            name = broker.backend
            for what, rate in (
                (f"{name}: client alone", alone(broker.server, options.jobs)),
                (f"{name}: enqueue", enqueued(site, broker, options.jobs)),
                (f"{name}: wpbg", worked(site, options)),
            ):
                print(f"round {number}: {what:26} {rate:9.1f} jobs/s", file=sys.stderr)
                if number:
                    found.setdefault(what, []).append(rate)
    return found


def alone(server: Beanstalkd | Gearmand, jobs: int) -> float:
    """The client's own rate of taking and finishing jobs, one at a time."""
    if isinstance(server, Beanstalkd):
        with server.client("bare") as client:
            for _ in range(jobs):
                client.put(BODY)
            began = time.monotonic()
            for _ in range(jobs):
                client.delete(client.reserve(timeout=0))
            return jobs / (time.monotonic() - began)
    with contextlib.closing(Connection(server.address)) as client:
        client.send(*[(constants.SUBMIT_JOB_BG, b"\0".join([b"bare", b"%d" % n, BODY])) for n in range(jobs)])
        for _ in range(jobs):
            client.receive(constants.JOB_CREATED)
        client.send((constants.CAN_DO, b"bare"))
        began = time.monotonic()
        for _ in range(jobs):
            client.send((constants.GRAB_JOB_UNIQ, b""))
            job: gear.Packet = client.receive(constants.JOB_ASSIGN_UNIQ)
            client.send((constants.WORK_COMPLETE, job.getArgument(0) + b"\0"))
        return jobs / (time.monotonic() - began)


def enqueued(site: Site, broker: Broker, jobs: int) -> float:
    """The rate of add_async_jobs()."""
    broker.serve(site)
    site.query(f"DELETE FROM {site.jobs}")
    told = site.eval_php(
        f"$began = microtime( true ); $ids = add_async_jobs( ( function () {{ for ( $n = 0; $n < {jobs}; $n++ ) {{"
        " yield (object) array( 'function' => 'noop', 'user_data' => $n ); } } )() );"
        " echo count( array_unique( $ids ) ), ' ', microtime( true ) - $began;"
    )
    added, seconds = told.split()
    assert added == str(jobs), told
    assert broker.waiting(site) == jobs, "they are in the broker"
    return jobs / float(seconds)


def worked(site: Site, options: argparse.Namespace) -> float:
    """One worker's rate; none may be lost or run twice."""
    slots = str(options.slots)
    site.wpbg("listen", "--mode", options.mode, "--concurrency", slots, "--stop-when-empty", check=True, timeout=900)
    row = site.query(
        "SELECT count(*) AS jobs, count(DISTINCT result) AS each_one, min(attempts) AS least, max(attempts) AS most,"
        f" min(started_at) AS began, max(finished_at) AS ended FROM {site.jobs} WHERE status = 'completed'"
    )[0]
    assert (row["jobs"], row["each_one"], row["least"], row["most"]) == (options.jobs, options.jobs, 1, 1), row
    return float(options.jobs * 1000 / (row["ended"] - row["began"]))


def report(found: dict[str, list[float]], options: argparse.Namespace) -> None:
    lines = [
        f"Jobs a second, {options.jobs} no-op jobs, {options.mode}, {options.slots} slot(s), {options.engine},",
        f"medians of {options.rounds} interleaved rounds; Python {platform.python_version()}, {platform.machine()},",
        f"{platform.system()} {platform.release()}.",
        "",
        "| what | jobs/s | spread |",
        "|---|---|---|",
    ]
    for name, figures in found.items():
        lines.append(f"| {name} | {statistics.median(figures):.0f} | {min(figures):.0f}–{max(figures):.0f} |")
    print("\n".join(lines))
    if options.save:
        target = ROOT / "benchmarks/results/brokers.md"
        target.parent.mkdir(exist_ok=True)
        target.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
