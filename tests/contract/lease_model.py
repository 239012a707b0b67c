"""What the table's rows become by each named change: the state diagram as a program, without a database."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from tests.contract.bench import LEASE
from wpbg.job import Status
from wpbg.settle import Decision, Finish, Retry

RETENTION = 3 * LEASE
"""Short, so that a machine gets to see finished jobs pruned."""

WAITING = (Status.QUEUED, Status.DELAYED)


@dataclass
class Row:
    """A job. The fields are the columns of the same names, as far as they decide anything."""

    id: int
    queue: str
    priority: int
    max_attempts: int
    unique_key: str | None
    status: Status
    due_at: int
    attempts: int = 0
    token: int = 0
    cancel: bool = False
    began: bool = False
    holds_key: bool = False


@dataclass(frozen=True)
class Held:
    """A lease, as the model names it."""

    id: int
    token: int


@dataclass
class Model:
    """All rows, and which queues are paused. Each method is one change, and returns what the port would answer."""

    rows: dict[int, Row] = field(default_factory=dict)
    paused: set[str] = field(default_factory=set)

    def copy(self) -> Model:
        return Model({row.id: replace(row) for row in self.rows.values()}, set(self.paused))

    def seen(self) -> dict[int, tuple[object, ...]]:
        """The rows as they can be compared with the table's."""
        return {
            row.id: (
                row.status.value,
                row.attempts,
                row.token,
                row.due_at,
                (row.cancel, row.began) if row.status is Status.RUNNING else None,
                row.holds_key,
            )
            for row in self.rows.values()
        }

    def follow(self, table: list[dict[str, Any]]) -> None:
        """Take over what the table holds, where more than one thing was right."""
        found = {row["id"]: row for row in table}
        self.rows = {job_id: row for job_id, row in self.rows.items() if job_id in found}
        for row in self.rows.values():
            there = found[row.id]
            row.status, row.attempts, row.token = Status(there["status"]), there["attempts"], there["lease_token"]
            row.due_at, row.cancel = there["due_at"], bool(there["cancel_requested"])
            row.began, row.holds_key = there["started_at"] is not None, there["unique_hash"] is not None

    # -- sites ------------------------------------------------------------------------------------------------

    def holder(self, queue: str, unique: str) -> int | None:
        """The unfinished job of a unique key."""
        keys = (
            row.id for row in self.rows.values() if row.holds_key and (row.queue, row.unique_key) == (queue, unique)
        )
        return next(keys, None)

    def put(
        self, job_id: int, now: int, *, queue: str, priority: int, delay: int, unique: str | None, most: int
    ) -> None:
        status = Status.DELAYED if delay else Status.QUEUED
        due = now + delay if delay else 0
        row = Row(job_id, queue, priority, most, unique, status, due, holds_key=unique is not None)
        self.rows[job_id] = row

    # -- workers ----------------------------------------------------------------------------------------------

    def ready(self, queues: tuple[str, ...]) -> list[Row]:
        """In the order in which they are to be reserved."""
        found = [
            r
            for r in self.rows.values()
            if r.status is Status.QUEUED and r.queue in queues and r.queue not in self.paused
        ]
        return sorted(found, key=lambda row: (queues.index(row.queue), row.priority, row.id))

    def reserve(self, queues: tuple[str, ...], limit: int, now: int) -> list[Held]:
        leases = []
        for row in self.ready(queues)[:limit]:
            row.status, row.due_at = Status.RUNNING, now + LEASE
            row.attempts, row.token, row.began = row.attempts + 1, row.token + 1, not leases
            leases.append(Held(row.id, row.token))
        return leases

    def held(self, lease: Held) -> Row | None:
        """The row, while the lease is good."""
        row = self.rows.get(lease.id)
        return row if row and row.status is Status.RUNNING and row.token == lease.token else None

    def renew(self, leases: list[Held], now: int) -> tuple[set[Held], set[Held]]:
        """Lost, and to be cancelled."""
        lost, cancel = set(), set()
        for lease in leases:
            row = self.held(lease)
            if row is None:
                lost.add(lease)
                continue
            row.due_at = now + LEASE
            if row.cancel:
                cancel.add(lease)
        return lost, cancel

    def begin(self, lease: Held) -> None:
        row = self.held(lease)
        if row:
            row.began = True

    def settle(self, lease: Held, decision: Decision, now: int) -> bool:
        row = self.held(lease)
        if row is None:
            return False
        if isinstance(decision, Finish):
            self._end(row, decision.status, now)
        elif row.cancel:
            self._end(row, Status.CANCELLED, now)
        elif isinstance(decision, Retry):
            row.began = True
            row.status = Status.DELAYED if decision.delay_ms > 0 else Status.QUEUED
            row.due_at = now + decision.delay_ms if decision.delay_ms > 0 else 0
        else:
            self._give_back(row)
        return True

    # -- housekeeping -----------------------------------------------------------------------------------------

    def tick(self, now: int) -> tuple[int, set[int], set[int], int]:
        """How many were promoted, which were rescued and given up, how many were pruned."""
        due = [row for row in self.rows.values() if row.status is Status.DELAYED and row.due_at <= now]
        for row in due:
            row.status, row.due_at = Status.QUEUED, 0
        rescued, given_up = set(), set()
        for row in [row for row in self.rows.values() if row.status is Status.RUNNING and row.due_at <= now]:
            if not row.began and not row.cancel:
                self._give_back(row)
            elif not row.cancel and row.attempts < row.max_attempts:
                row.status, row.due_at = Status.QUEUED, 0
            else:
                self._end(row, Status.CANCELLED if row.cancel else Status.FAILED, now)
                given_up.add(row.id)
                continue
            rescued.add(row.id)
        old = [row.id for row in self.rows.values() if row.status.finished and row.due_at <= now - RETENTION]
        for job_id in old:
            del self.rows[job_id]
        return len(due), rescued, given_up, len(old)

    # -- people -----------------------------------------------------------------------------------------------

    def cancel(self, job_id: int, now: int) -> str:
        """What people are told: the state the job is in now, or why not."""
        row = self.rows.get(job_id)
        if row is None:
            return "gone"
        if row.status in WAITING:
            self._end(row, Status.CANCELLED, now)
            return "cancelled"
        if row.status is Status.RUNNING:
            row.cancel = True
            return "running"
        return "refused"

    def retry(self, job_id: int) -> str:
        row = self.rows.get(job_id)
        if row is None:
            return "gone"
        if row.status not in (Status.FAILED, Status.CANCELLED):
            return "refused"
        if row.unique_key is not None and self.holder(row.queue, row.unique_key) is not None:
            return "refused"
        row.status, row.due_at, row.attempts, row.cancel, row.began = Status.QUEUED, 0, 0, False, False
        row.holds_key = row.unique_key is not None
        return "queued"

    def delete(self, job_id: int) -> str:
        row = self.rows.get(job_id)
        if row is None:
            return "gone"
        if row.status is Status.RUNNING:
            return "refused"
        del self.rows[job_id]
        return "deleted"

    def purge(self, queue: str) -> int:
        waiting = [row.id for row in self.rows.values() if row.queue == queue and row.status in WAITING]
        for job_id in waiting:
            del self.rows[job_id]
        return len(waiting)

    @staticmethod
    def _end(row: Row, status: Status, now: int) -> None:
        row.status, row.due_at, row.holds_key = status, now, False

    @staticmethod
    def _give_back(row: Row) -> None:
        row.status, row.due_at, row.attempts, row.began = Status.QUEUED, 0, max(0, row.attempts - 1), False
