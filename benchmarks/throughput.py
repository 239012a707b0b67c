"""Jobs a second: lifetimes on backends with 1, 2 and 4 slots, a plain `wp eval` per job, the brokers' own clients."""

from __future__ import annotations

import contextlib
import time
from collections import defaultdict
from collections.abc import Callable

import gear
from gear import constants

from benchmarks import goals
from benchmarks.figures import Figure, ratios, steady_rate
from benchmarks.ground import Ground, Plot
from benchmarks.scale import Scale
from tests.support.beanstalkd import Beanstalkd
from tests.support.gearmand import Gearmand
from wpbg.queues.gearman_connection import Connection

PART = "throughput"
BODY = b"x" * 420
"""About what an envelope of a small job has."""

Found = dict[tuple[str, ...], list[float]]


def measure(ground: Ground, scale: Scale, tell: Callable[[str], None]) -> list[Figure]:
    plots = {cell.backend: ground.plot(cell.backend) for cell in scale.cells}
    brokers = [plot for plot in plots.values() if plot.broker]
    for plot in plots.values() if scale.warms_up else ():  # The first process fills OPcache's file cache.
        run(ground, plot, "restart", 1, 1)
    found: Found = defaultdict(list)

    def keep(labels: tuple[str, ...], rate: float) -> None:
        found[labels].append(rate)
        tell(f"{', '.join(labels)}: {rate:,.1f} jobs/s")

    def cell(lifetime: str, backend: str, slots: int) -> Callable[[], None]:
        jobs = scale.jobs_for(lifetime, slots)
        labels = (lifetime, backend, f"{slots} slot{'s' if slots > 1 else ''}")
        return lambda: keep(labels, run(ground, plots[backend], lifetime, slots, jobs))

    def client(plot: Plot) -> Callable[[], None]:
        assert plot.broker
        server = plot.broker.server

        def both() -> None:
            put, taken = alone(server, scale.bare)
            keep(("bare client", plot.backend, "put"), put)
            keep(("bare client", plot.backend, "take and finish"), taken)

        return both

    for _ in range(scale.rounds):
        works = [cell(each.lifetime, each.backend, slots) for each in scale.cells for slots in scale.slots]
        works += [lambda: keep(("wp eval", "one after the other"), wp_eval(plots["MariaDB"], scale.evals))]
        works += [client(plot) for plot in brokers]
        ground.shuffled(works)
    return figures(found)


def run(ground: Ground, plot: Plot, lifetime: str, slots: int, jobs: int) -> float:
    """Jobs a second of one worker on so many new jobs, alone in the table."""
    plot.clear()
    plot.add(jobs)
    plot.check_waiting(jobs)
    site = plot.site
    flags = ("--mode", lifetime, "--concurrency", str(slots), "--stop-when-empty")
    site.wpbg("listen", *flags, check=True, timeout=900)
    told = ground.check(site, jobs)
    batch = site.query(f"SELECT count(*) AS jobs FROM {site.jobs} WHERE finished_at = %s", (told["first"],))[0]["jobs"]
    return steady_rate(jobs, batch, told["claimed"], told["first"], told["last"])


def wp_eval(plot: Plot, times: int) -> float:
    began = time.monotonic()
    for _ in range(times):
        plot.site.wp("eval", "bench_noop( 1 );")
    return times / (time.monotonic() - began)


def alone(server: Beanstalkd | Gearmand, jobs: int) -> tuple[float, float]:
    """The client's own rates of adding, and of taking and finishing jobs; one at a time on one connection."""
    if isinstance(server, Beanstalkd):
        with server.client("bare") as client:
            began = time.monotonic()
            for _ in range(jobs):
                client.put(BODY)
            between = time.monotonic()
            for _ in range(jobs):
                client.delete(client.reserve(timeout=0))
            return jobs / (between - began), jobs / (time.monotonic() - between)
    with contextlib.closing(Connection(server.address)) as client:
        began = time.monotonic()
        for number in range(jobs):
            client.send((constants.SUBMIT_JOB_BG, b"\0".join([b"bare", b"%d" % number, BODY])))
            client.receive(constants.JOB_CREATED)
        between = time.monotonic()
        client.send((constants.CAN_DO, b"bare"))
        for _ in range(jobs):
            client.send((constants.GRAB_JOB_UNIQ, b""))
            job: gear.Packet = client.receive(constants.JOB_ASSIGN_UNIQ)
            client.send((constants.WORK_COMPLETE, job.getArgument(0) + b"\0"))
        return jobs / (between - began), jobs / (time.monotonic() - between)


def figures(found: Found) -> list[Figure]:
    """The rates, and those of restart and fork beside a plain `wp eval`."""
    made, times = [], []
    base = found["wp eval", "one after the other"]
    for labels, rates in sorted(found.items(), key=lambda item: _order(item[0])):
        lifetime, backend, *rest = labels
        slots = int(rest[0].split()[0]) if rest and rest[0][0].isdigit() else 0
        goal = goals.LOOP.get(backend) if lifetime == "loop" and slots == 1 else None
        made.append(Figure.of(PART, labels, "jobs/s", rates, goal))
        wanted = goals.TIMES_WP_EVAL.get((lifetime, slots))
        if wanted:
            # A round's own baseline: both saw the same machine.
            times.append(Figure.of(PART, (*labels, "against wp eval"), "×", ratios(rates, base), wanted))
    return made + times


def _order(labels: tuple[str, ...]) -> tuple[int, int, str]:
    first = ("loop", "fork", "restart", "wp eval", "bare client")
    backends = ("MariaDB", "SQLite", "beanstalkd", "gearman")
    backend = backends.index(labels[1]) if labels[1] in backends else 9
    return first.index(labels[0]), backend, labels[-1]
