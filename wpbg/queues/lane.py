"""A fast lane in front of the table: jobs come in through a broker, and the table owns them from then on.

A worker takes bodies out of the broker, writes them into the table as running and leased to itself, and only then
acknowledges them. Everything after that (attempts, retries, rescue, results) is the table's. A crash before the row
is written has the broker deliver again; a crash after it finds the row there (`external_id` is unique).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from wpbg.errors import QueueUnreachable
from wpbg.job import Lease, NewJob, Outcome, Progress
from wpbg.log import Log
from wpbg.queues.base import Capability, Renewal, Settlement, Ticked
from wpbg.queues.database import DatabaseQueue
from wpbg.queues.envelope import BadEnvelope, Envelope, Seal
from wpbg.settle import Decision

AWAY = 5.0
"""Seconds a broker that cannot be reached is left alone; the table is served meanwhile."""

PAUSES = 1.0
"""Seconds between two looks at which queues are paused."""


@dataclass(frozen=True)
class Taken:
    """A body that the broker handed out, and what it is acknowledged by."""

    body: bytes
    queue: str
    handle: object


class Lane(Protocol):
    """A broker's connection. Whatever goes wrong with its server is a `QueueUnreachable`."""

    name: str

    def take(self, queues: Sequence[str], limit: int) -> list[Taken]:
        """Up to `limit` bodies, the queues in their precedence. Never waits."""

    def acknowledge(self, taken: Sequence[Taken]) -> None:
        """The table has them. What is not acknowledged is delivered again."""

    def open(self, taken: Taken, seal: Seal) -> Envelope:
        """What is in a body. Raises `BadEnvelope`."""

    def put(self, queue: str, body: bytes, priority: int) -> str:
        """Hand a body in; what its place is called (the end of the job's id)."""

    def peek(self, native: int) -> bytes | None:
        """The body that waits at this place; None where there is none, or where the broker does not tell."""

    def knows(self, unique: str) -> bool:
        """Whether a job of this id waits; False where the broker does not tell."""

    def waiting(self, queues: Sequence[str]) -> int:
        """How many bodies are ready."""

    def close(self) -> None: ...


class Reach:
    """Whether the broker can be reached, as one worker's connections have found it; said once, not by each."""

    def __init__(self, log: Log | None = None) -> None:
        self._log = log
        self._lock = threading.Lock()
        self._away_until = 0.0
        self._said = False

    @property
    def away(self) -> bool:
        """Whether it is left alone for now."""
        return time.monotonic() < self._away_until

    def lost(self, lane: str, error: QueueUnreachable) -> None:
        with self._lock:
            self._away_until = time.monotonic() + AWAY
            said, self._said = self._said, True
        if self._log and not said:
            self._log.event("lane.lost", f"{error.message} Jobs come through the table meanwhile.", lane=lane)

    def found(self, lane: str) -> None:
        with self._lock:
            said, self._said = self._said, False
        if self._log and said:
            self._log.event("lane.back", "It answers again.", lane=lane)


class LaneQueue:
    """The table's queue with a broker in front of it. See `queues.base.Queue`."""

    capabilities = frozenset(Capability)

    def __init__(
        self, table: DatabaseQueue, lane: Lane, seal: Seal, reach: Reach | None = None, log: Log | None = None
    ) -> None:
        self.table, self._lane, self._seal, self._log = table, lane, seal, log
        self._reach = reach or Reach(log)
        self._lane_first = True
        self._open_queues: tuple[str, ...] = ()
        self._looked_at = float("-inf")

    def put(self, jobs: Iterable[NewJob]) -> list[str]:
        return self.table.put(jobs)

    def reserve(self, limit: int, worker: str) -> list[Lease]:
        """Lane and table take turns in being asked first, so that neither starves the other."""
        self._lane_first = not self._lane_first
        if self._lane_first:
            leases = self._from_lane(limit, worker)
            return leases + (self.table.reserve(limit - len(leases), worker) if len(leases) < limit else [])
        leases = self.table.reserve(limit, worker)
        return leases + (self._from_lane(limit - len(leases), worker) if len(leases) < limit else [])

    def _from_lane(self, limit: int, worker: str) -> list[Lease]:
        if self._reach.away:
            return []
        queues = self._queues()
        if not queues:
            return []
        try:
            taken = self._lane.take(queues, limit)
        except QueueUnreachable as error:
            self._reach.lost(self._lane.name, error)
            return []
        self._reach.found(self._lane.name)
        if not taken:
            return []
        good: list[Envelope] = []
        for item in taken:
            try:
                good.append(self._lane.open(item, self._seal))
            except BadEnvelope as bad:
                self._set_aside(item, bad)
        leases = self.table.adopt(good, worker)
        try:
            self._lane.acknowledge(taken)
        except QueueUnreachable as error:
            self._reach.lost(self._lane.name, error)  # It delivers them again; their rows are known by then.
        return leases

    def _set_aside(self, item: Taken, bad: BadEnvelope) -> None:
        job_id = self.table.set_aside(item.queue, item.body, bad.kind, str(bad))
        if self._log:
            self._log.event("job.set_aside", f"{bad.kind}: {bad} It is not run.", id=job_id, queue=item.queue)

    def _queues(self) -> tuple[str, ...]:
        """The queues that are not paused."""
        now = time.monotonic()
        if now - self._looked_at > PAUSES:
            paused = self.table.paused()
            self._open_queues = tuple(queue for queue in self.table.queues if queue not in paused)
            self._looked_at = now
        return self._open_queues

    def busy(self) -> bool:
        if self.table.busy():
            return True
        if self._reach.away:
            return False
        try:
            return self._lane.waiting(self._queues()) > 0
        except QueueUnreachable as error:
            self._reach.lost(self._lane.name, error)
            return False

    def renew(self, leases: Sequence[Lease]) -> Renewal:
        return self.table.renew(leases)

    def began(self, lease: Lease) -> None:
        self.table.began(lease)

    def settle(self, lease: Lease, decision: Decision, outcome: Outcome) -> bool:
        return self.table.settle(lease, decision, outcome)

    def settle_all(self, settlements: Sequence[Settlement]) -> list[bool]:
        return self.table.settle_all(settlements)

    def progress(self, lease: Lease, progress: Progress) -> None:
        self.table.progress(lease, progress)

    def tick(self, limit: int = 500) -> Ticked:
        return self.table.tick(limit)

    def close(self) -> None:
        self._lane.close()
        self.table.close()
