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
import statistics
import sys
import time

import gear
from gear import constants

from benchmarks.harness import MACHINE, add_noops, durable_site, flags, folder_of_sites, show, worked
from tests.acceptance.brokers import BACKENDS, Broker
from tests.support.beanstalkd import Beanstalkd
from tests.support.gearmand import Gearmand
from tests.support.site import Site
from wpbg.queues.gearman_connection import Connection

BODY = b"x" * 420
"""About what an envelope of a small job has."""


def main() -> None:
    parser = flags(__doc__, "brokers")
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--slots", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--mode", choices=["fork", "loop"], default="loop")
    options = parser.parse_args()
    with folder_of_sites() as (folder, sites), contextlib.ExitStack() as stack:
        site = durable_site(sites, options.engine)
        brokers = [Broker.of(backend, folder / backend) for backend in BACKENDS]
        for broker in brokers:
            stack.callback(broker.server.stop)
        report(measure(site, brokers, options), options)


def measure(site: Site, brokers: list[Broker], options: argparse.Namespace) -> dict[str, list[float]]:
    """Jobs a second, one figure a round. The first round only warms up and does not count."""
    found: dict[str, list[float]] = {}
    for number in range(options.rounds + 1):
        for broker in brokers:
            name = broker.backend
            for what, rate in (
                (f"{name}: client alone", alone(broker.server, options.jobs)),
                (f"{name}: enqueue", enqueued(site, broker, options.jobs)),
                (f"{name}: wpbg", worked(site, options.mode, options.jobs, options.slots)),
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
    seconds = add_noops(site, jobs)
    assert broker.waiting(site) == jobs, "they are in the broker"
    return jobs / seconds


def report(found: dict[str, list[float]], options: argparse.Namespace) -> None:
    lines = [
        f"Jobs a second, {options.jobs} no-op jobs, {options.mode}, {options.slots} slot(s), {options.engine},",
        f"medians of {options.rounds} interleaved rounds; {MACHINE}.",
        "",
        "| what | jobs/s | spread |",
        "|---|---|---|",
    ]
    for name, figures in found.items():
        lines.append(f"| {name} | {statistics.median(figures):.0f} | {min(figures):.0f}–{max(figures):.0f} |")
    show(lines, "brokers" if options.save else None)


if __name__ == "__main__":
    main()
