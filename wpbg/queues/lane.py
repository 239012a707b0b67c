"""A fast lane in front of the table: jobs come in through a broker, and the table owns them from then on.

A worker takes bodies out of the broker, writes them into the table as running and leased to itself, and only then
acknowledges them. Everything after that (attempts, retries, rescue, results) is the table's. A crash before the row
is written has the broker deliver again; a crash after it finds the row there (`external_id` is unique).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from wpbg.errors import QueueUnreachable
from wpbg.job import Lease, NewJob, Outcome, Progress
from wpbg.log import Log
from wpbg.queues.base import Capability, Renewal, Settlement, Ticked
from wpbg.queues.connection import TooLarge
from wpbg.queues.database import DatabaseQueue
from wpbg.queues.envelope import BadEnvelope, Envelope, Seal, fields_of
from wpbg.queues.reach import Reach
from wpbg.settle import Decision

T = TypeVar("T")

KEPT = 64 * 1024
"""Bytes that are kept of a body which is set aside."""


@dataclass(frozen=True)
class Taken:
    """A body that the broker handed out, and what it is acknowledged by."""

    body: bytes
    queue: str
    handle: object


class Lane(Protocol):
    """A broker's connection. Whatever goes wrong with its server is a `QueueUnreachable`."""

    name: str
    lacks: frozenset[Capability]
    """What a queue with this lane in front of it cannot do."""

    def take(self, queues: Sequence[str], limit: int) -> list[Taken]:
        """Up to `limit` bodies, the queues in their precedence. Never waits."""

    def acknowledge(self, taken: Sequence[Taken]) -> None:
        """The table has them. What is not acknowledged is delivered again."""

    def open(self, taken: Taken, seal: Seal) -> Envelope:
        """What is in a body. Raises `BadEnvelope`."""

    def put(self, queue: str, body: bytes, priority: int, unique: str) -> str | None:
        """Hand a body in; what its place is called (the end of the job's id). None: it is too large."""

    def peek(self, native: int) -> bytes | None:
        """The body that waits at this place; None where there is none, or where the broker does not tell."""

    def remove(self, native: int) -> bool:
        """Delete the body that waits at this place; whether there was one. False where the broker cannot."""

    def knows(self, unique: str) -> bool:
        """Whether a job of this id waits; False where the broker does not tell."""

    def waiting(self, queues: Sequence[str]) -> int:
        """How many bodies are ready."""

    def counts(self, known: Sequence[str]) -> dict[str, int]:
        """How many bodies there are, by queue: of these queues, and of all others that the broker tells of.

        Those that a worker is just writing into the table count as well: what waits for a queue must not miss them.
        """

    def discard(self, queue: str) -> int:
        """Throw away what waits for a queue; how many bodies that were. What comes meanwhile may go as well."""

    def close(self) -> None: ...


class LaneQueue:
    """The table's queue with a broker in front of it. See `queues.base.Queue`."""

    def __init__(
        self, table: DatabaseQueue, lane: Lane, seal: Seal, reach: Reach | None = None, log: Log | None = None
    ) -> None:
        self.table, self._lane, self._seal, self._log = table, lane, seal, log
        self.capabilities = table.capabilities - lane.lacks
        self._reach = reach or Reach(log)
        self._losses = self._reach.losses
        self._lane_first = True

    def put(self, jobs: Iterable[NewJob]) -> list[str]:
        """What the broker cannot carry, and all while it is away, goes to the table, as the plugin does it."""
        return [job_id for job in list(jobs) for job_id in self._put(job)]

    def _put(self, job: NewJob) -> list[str]:
        if job.delay_ms > 0 or job.unique is not None:
            return self.table.put([job])
        identity = secrets.token_hex(16)
        body = self._seal.sign(fields_of(job, identity, self.table.now_ms()))
        place = self._ask(lambda: self._lane.put(job.queue, body, job.priority, identity), None)
        return self.table.put([job]) if place is None else [f"{identity}-{place}"]

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
        nothing: list[Taken] = []
        taken = self._ask(lambda: self._lane.take(queues, limit), nothing) if queues else nothing
        if not taken:
            return []
        try:
            leases = self._into_the_table(taken, worker)
        except BaseException:
            self._lane.close()  # The broker delivers them to whoever asks next.
            raise
        # What cannot be acknowledged is delivered again; its rows are known by then.
        self._ask(lambda: self._lane.acknowledge(taken), None)
        return leases

    def _into_the_table(self, taken: Sequence[Taken], worker: str) -> list[Lease]:
        good: list[tuple[Taken, Envelope]] = []
        for item in taken:
            try:
                good.append((item, self._lane.open(item, self._seal)))
            except BadEnvelope as bad:
                self._set_aside(item, bad.kind, str(bad))
        return self._adopt(good, worker)

    def _adopt(self, good: Sequence[tuple[Taken, Envelope]], worker: str) -> list[Lease]:
        try:
            return self.table.adopt([envelope for _, envelope in good], worker)
        except TooLarge as error:
            if len(good) > 1:
                return [lease for one in good for lease in self._adopt([one], worker)]
            self._set_aside(good[0][0], "TooLarge", f"The database does not take it: {error}")
            return []

    def _set_aside(self, item: Taken, kind: str, why: str) -> None:
        # Whole bodies of strangers could fill the table, and one that it does not take would come again and again.
        if len(item.body) > KEPT:
            why = f"{why} The first {KEPT} of its {len(item.body)} bytes are kept."
        job_id = self.table.set_aside(item.queue, item.body[:KEPT], kind, why)
        if self._log:
            self._log.event("job.set_aside", f"{kind}: {why} It is not run.", id=job_id, queue=item.queue)

    def _queues(self) -> tuple[str, ...]:
        """The queues that are not paused."""
        paused = self.table.paused()
        return tuple(queue for queue in self.table.queues if queue not in paused)

    def _ask(self, ask: Callable[[], T], otherwise: T) -> T:
        """What the lane answers; `otherwise` while it does not, or is left alone."""
        if not self._reach.may_ask():
            return otherwise
        if self._losses != self._reach.losses:
            self._losses = self._reach.losses
            self._lane.close()  # Another slot has found it lost: what is open here is dead, too.
        try:
            answer = ask()
        except QueueUnreachable as error:
            self._reach.lost(self._lane.name, error)
            return otherwise
        self._reach.found(self._lane.name)
        return answer

    def busy(self) -> bool:
        return self.table.busy() or self._ask(lambda: self._lane.waiting(self._queues()), 0) > 0

    def incoming(self) -> bool:
        return self._ask(lambda: self._lane.waiting(self.table.queues), 1) > 0

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
