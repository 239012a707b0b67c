"""What is true of the site and of this worker at the moment somebody asks."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence

from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from wpbg import __version__
from wpbg.errors import WpbgError
from wpbg.ledger import Ledger
from wpbg.ledger.views import View
from wpbg.pool import Pool

KEPT = 5.0
"""Seconds an answer of the database serves further scrapes: counting a million jobs is not free."""

PATIENCE = 3.0
"""Seconds that a scrape waits for the database. Prometheus gives it ten in all, and a worker without a database is just
when somebody needs the rest."""

HANGS = 30.0
"""Seconds after which a database that has not answered is taken for gone. Until then what it said last is told again:
on a busy machine, counting may take longer than a scrape waits."""

MOST = 100
"""Queues that are told of one by one: each has six series, and a site may have a queue for every user."""

OTHERS = "(others)"
"""What the rest are called together."""

WORKER_INFO = ("wpbg_worker", "This worker: name, version, mode, queues.")

GAUGES: dict[str, tuple[str, tuple[str, ...]]] = {
    "wpbg_slots": ("Jobs that this worker runs at a time, at most.", ()),
    "wpbg_slots_busy": ("Jobs that this worker runs now.", ()),
    "wpbg_stopping": ("1 while this worker takes no more jobs.", ()),
    "wpbg_database_up": ("1 when the database answered.", ()),
    "wpbg_queue_jobs": (
        f"Jobs in a queue of the site, by status. Beyond {MOST} queues the smaller ones are one, `{OTHERS}`.",
        ("queue", "status"),
    ),
    "wpbg_queue_oldest_waiting_seconds": ("How long the oldest job of a queue has been ready.", ("queue",)),
    "wpbg_queue_paused": ("1 while no job of the queue is begun.", ("queue",)),
}
"""Meaning and labels."""

STATUSES = ("queued", "delayed", "running", "failed")


class SiteView(Collector):
    """Asks with a connection of its own, in a thread of its own: no job waits for it, and no scrape for long."""

    def __init__(self, pool: Pool, ledger: Ledger) -> None:
        self._pool, self._ledger = pool, ledger
        self._lock = threading.Lock()
        self._asking: threading.Thread | None = None
        self._asking_since = 0.0
        self._answered_at = float("-inf")
        self._queues: list[View] | None = None
        """What it said last; None where it could not be reached."""

    def collect(self) -> Iterator[Metric]:
        options, slots = self._pool.options, self._pool.slots
        about = {"version": __version__, "mode": options.mode, "name": options.name, "queues": ",".join(options.queues)}
        yield InfoMetricFamily(*WORKER_INFO, about)
        yield _gauge("wpbg_slots", len(slots))
        yield _gauge("wpbg_slots_busy", sum(slot.running is not None for slot in slots))
        yield _gauge("wpbg_stopping", self._pool.stopping)
        queues, up = self._ask()
        yield _gauge("wpbg_database_up", up)
        yield from _of_queues(summed_up(queues, options.queues))

    def _ask(self) -> tuple[list[View], bool]:
        """The queues, and whether the database is there. Never waits for long."""
        with self._lock:
            asking = self._asking
            if asking is None or not asking.is_alive():
                if time.monotonic() - self._answered_at <= KEPT:
                    return self._queues or [], self._queues is not None
                self._asking_since = time.monotonic()
                self._asking = asking = threading.Thread(target=self._count, name="metrics-queues", daemon=True)
                asking.start()
        asking.join(PATIENCE)
        queues = self._queues
        if not asking.is_alive():
            return queues or [], queues is not None
        if time.monotonic() - self._asking_since > HANGS:
            return [], False
        never_answered = self._answered_at == float("-inf")
        return queues or [], queues is not None or (never_answered and not self._pool.database_lost)

    def _count(self) -> None:
        try:
            self._queues = self._ledger.queues()
        except WpbgError:
            self._queues = None
        self._answered_at = time.monotonic()

    def close(self) -> None:
        with self._lock:
            if self._asking is None or not self._asking.is_alive():
                self._ledger.close()


def summed_up(queues: Sequence[View], ours: Sequence[str]) -> list[View]:
    """At most `MOST` queues, `ours` and the largest, and one that stands for all the others."""
    if len(queues) <= MOST:
        return list(queues)

    def place(queue: View) -> tuple[bool, bool, int]:
        return queue["queue"] == OTHERS, queue["queue"] not in ours, -sum(queue[status] for status in STATUSES)

    first = sorted(queues, key=place)
    kept, rest = first[:MOST], first[MOST:]
    others: View = {
        "queue": OTHERS,
        **{status: sum(queue[status] for queue in rest) for status in STATUSES},
        "oldest_queued_seconds": max(queue["oldest_queued_seconds"] or 0 for queue in rest),
        "paused": any(queue["paused"] for queue in rest),
    }
    return [*sorted(kept, key=lambda queue: str(queue["queue"])), others]


def _of_queues(queues: Sequence[View]) -> Iterator[Metric]:
    jobs, oldest, paused = map(_family, ("wpbg_queue_jobs", "wpbg_queue_oldest_waiting_seconds", "wpbg_queue_paused"))
    for queue in queues:
        name = str(queue["queue"])
        for status in STATUSES:
            jobs.add_metric([name, status], queue[status])
        oldest.add_metric([name], queue["oldest_queued_seconds"] or 0)
        paused.add_metric([name], queue["paused"])
    yield from (jobs, oldest, paused)


def _family(name: str) -> GaugeMetricFamily:
    text, labels = GAUGES[name]
    return GaugeMetricFamily(name, text, labels=labels)


def _gauge(name: str, value: float) -> GaugeMetricFamily:
    family = _family(name)
    family.add_metric([], float(value))
    return family
