"""A queue that tells how long it took and what it was refused."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from wpbg.errors import QueueUnreachable
from wpbg.job import Lease, NewJob, Outcome, Progress
from wpbg.metrics.instruments import Instruments
from wpbg.queues.base import Capability, Queue, Renewal, Settlement, Ticked
from wpbg.settle import Decision

T = TypeVar("T")


class MeteredQueue:
    """Passes everything on. See `queues.base.Queue`."""

    def __init__(self, queue: Queue, instruments: Instruments) -> None:
        self._queue, self._instruments = queue, instruments
        self.capabilities: frozenset[Capability] = queue.capabilities

    def put(self, jobs: Iterable[NewJob]) -> list[str]:
        return self._asked("put", lambda: self._queue.put(jobs))

    def reserve(self, limit: int, worker: str) -> list[Lease]:
        began = time.perf_counter()
        leases = self._asked("claim", lambda: self._queue.reserve(limit, worker))
        if leases:
            self._instruments.claim_seconds.observe(time.perf_counter() - began)
        for lease in leases:
            if lease.waited_ms is not None:
                self._instruments.wait_seconds.labels(lease.job.queue).observe(lease.waited_ms / 1000)
        return leases

    def renew(self, leases: Sequence[Lease]) -> Renewal:
        return self._asked("renew", lambda: self._queue.renew(leases))

    def began(self, lease: Lease) -> None:
        self._asked("began", lambda: self._queue.began(lease))

    def settle(self, lease: Lease, decision: Decision, outcome: Outcome) -> bool:
        return self.settle_all([Settlement(lease, decision, outcome)])[0]

    def settle_all(self, settlements: Sequence[Settlement]) -> list[bool]:
        began = time.perf_counter()
        done = self._asked("settle", lambda: self._queue.settle_all(settlements))
        self._instruments.settle_seconds.observe(time.perf_counter() - began)
        return done

    def progress(self, lease: Lease, progress: Progress) -> None:
        self._asked("progress", lambda: self._queue.progress(lease, progress))

    def tick(self, limit: int = 500) -> Ticked:
        return self._asked("tick", lambda: self._queue.tick(limit))

    def busy(self) -> bool:
        return self._asked("busy", self._queue.busy)

    def incoming(self) -> bool:
        return self._asked("incoming", self._queue.incoming)

    def close(self) -> None:
        self._queue.close()

    def _asked(self, operation: str, ask: Callable[[], T]) -> T:
        try:
            return ask()
        except QueueUnreachable:
            self._instruments.database_errors.labels(operation).inc()
            raise
