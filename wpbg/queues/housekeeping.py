"""One round of housekeeping: promote what is due, rescue what was abandoned, prune what is old."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

from wpbg.job import Ending, Job, JobError, Outcome, Status
from wpbg.queues.base import Loss, Ticked, heartbeat
from wpbg.queues.connection import Database, Waited
from wpbg.queues.records import Row, error_json, history_entry
from wpbg.queues.silence import Silence
from wpbg.settle import Finish, decide

JUMP_MS = 2000
"""A clock that moves by more than this at once has been set, or its machine has slept."""

SHORTEST_STALL = 2.0
"""Seconds between two rounds that are more than a round and a busy machine take."""

LONG_WAIT = 0.1
"""Seconds a rescue may wait for the database. What kept it waiting has kept renewals waiting as well; where it was only
a busy machine, the job is rescued a moment later."""

GRACE = 1.5
"""Heartbeats that the living get when what kept them from renewing their leases is over."""

STALL = 1 / 2
"""Of a lease: when it is that long since the last round, a lease that was renewed in time may have run out since."""


class _HeldBack(Exception):
    """A row was not to be had at once."""


class Housekeeper:
    """Rows are looked up first and then changed by id, if they still are as they were.

    So no round holds locks on more than `limit` rows, and rounds of several workers at once take
    their locks in the same order.
    """

    def __init__(
        self,
        database: Database,
        *,
        lease_ms: int,
        retention_ms: int | None,
        silence: Silence | None = None,
        skip_lock: bool = False,
        awake: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._silence = silence
        self._skip_lock = skip_lock
        self._lease_ms = lease_ms
        self._retention_ms = retention_ms
        self._connects = 0
        self._outages = 0
        self._judge_from_ms = 0
        self._jumped = False
        self._awake = awake
        self._round_at = awake()
        self._spared: dict[tuple[int, int], float] = {}
        """Until when, by `awake`, leases are not judged that somebody held back when we wanted to."""

    def notice_connection(self, now_ms: int) -> None:
        """After an outage the living must get their heartbeat in first."""
        database = self._database
        if database.connects == self._connects:
            return
        wait = self._lease_ms if database.outages > self._outages else 0
        if database.uptime_ms is not None:
            wait = max(wait, self._lease_ms - database.uptime_ms)
        self._connects, self._outages = database.connects, database.outages
        self._judge_from_ms = max(self._judge_from_ms, now_ms + wait)

    def notice_jump(self, jumped_ms: int) -> None:
        """A clock that jumped ahead has ended leases whose workers are alive."""
        self._jumped = self._jumped or jumped_ms > JUMP_MS

    def _stalled(self) -> bool:
        """Whether so long has passed since the last round (before the first: since we are there) that somebody may not
        have been able to renew a lease: the disk or the server answered late, or all of us slept. Whoever is awake
        first must not take the others for dead; a false alarm costs only that the dead are found a lease later."""
        before, self._round_at = self._round_at, self._awake()
        return self._round_at - before >= max(self._lease_ms / 1000 * STALL, SHORTEST_STALL)

    def tick(self, now_ms: int, limit: int) -> Ticked:
        # Never more than a lease from now: the clock may have been set back since that moment was chosen.
        latest = now_ms + self._lease_ms
        self._judge_from_ms = latest if self._stalled() or self._jumped else min(self._judge_from_ms, latest)
        self._jumped = False
        promoted = self._promote(now_ms, limit)
        expired = self._expired(now_ms, limit)
        rescued, given_up, losses = self._rescue(expired, now_ms) if now_ms >= self._judge_from_ms else ([], [], [])
        pruned = self._prune(now_ms, limit)
        return Ticked(promoted, tuple(rescued), tuple(given_up), pruned, tuple(losses))

    def _promote(self, now_ms: int, limit: int) -> int:
        ids = sorted(row["id"] for row in self._database.rows("due_delayed", now=now_ms, limit=limit))
        return self._database.change("promote", ids=ids, now=now_ms) if ids else 0

    def _expired(self, now_ms: int, limit: int) -> Sequence[Row]:
        """Leases that have run out; by a wall clock, also those of workers that we know to be silent only."""
        if self._silence is None:
            return self._database.rows("expired", now=now_ms, limit=limit) if now_ms >= self._judge_from_ms else []
        leases = self._database.rows("expired", now=now_ms + self._lease_ms, limit=limit)
        self._silence.look(leases, now_ms)
        return [row for row in leases if row["due_at"] <= now_ms and self._silence.lasts(row)]

    def _rescue(self, expired: Sequence[Row], now_ms: int) -> tuple[list[str], list[str], list[Loss]]:
        rescued: list[str] = []
        given_up: list[str] = []
        losses: list[Loss] = []
        known, self._spared = self._spared, {}
        for row in expired:
            key = int(row["id"]), int(row["lease_token"])
            if self._awake() < known.get(key, -math.inf):
                self._spared[key] = known[key]
                continue
            try:
                status, changed = self._rescue_one(row, now_ms)
            except (_HeldBack, Waited):
                self._spared[key] = self._awake() + GRACE * heartbeat(self._lease_ms / 1000)
                continue
            if changed:
                (rescued if status is Status.QUEUED else given_up).append(str(row["id"]))
                if status is not Status.QUEUED:
                    losses.append(Loss(row["queue"], row["batch"], status is Status.FAILED))
        return rescued, given_up, losses

    def _rescue_one(self, row: Row, now_ms: int) -> tuple[Status, bool]:
        """What becomes of it, and whether it did. Raises `_HeldBack`, `Waited`."""
        if row["started_at"] is None and not row["cancel_requested"]:
            held = {"id": row["id"], "token": row["lease_token"], "now": now_ms}
            return Status.QUEUED, self._change_unlocked("rescue_held", held) == 1
        status = self._after_loss(row)
        return status, self._give_back(row, status, now_ms)

    @staticmethod
    def _after_loss(row: Row) -> Status:
        """The same rules as for a run that told of its end, but for the wait: the lease was that."""
        if row["cancel_requested"]:
            return Status.CANCELLED
        attempts = int(row["attempts"])
        job = Job(str(row["id"]), row["queue"], b"", attempts, max_attempts=int(row["max_attempts"]))
        decision = decide(job, Outcome(Ending.WORKER_LOST), lambda: 0.0)
        return decision.status if isinstance(decision, Finish) else Status.QUEUED

    def _give_back(self, row: Row, status: Status, now_ms: int) -> bool:
        outcome = Outcome(Ending.WORKER_LOST, error=worker_lost(row))
        changes = {
            "id": row["id"],
            "token": row["lease_token"],
            "cancel": row["cancel_requested"],
            "status": status.value,
            "due_at": 0 if status is Status.QUEUED else now_ms,
            "now": now_ms,
            "error": error_json(outcome),
            "entry": history_entry(int(row["attempts"]), row["worker"], row["started_at"], now_ms, outcome),
        }
        return self._change_unlocked("rescue", changes) == 1

    def _change_unlocked(self, name: str, params: dict[str, Any]) -> int:
        """How many rows it matched. Raises `_HeldBack` where somebody has locked the row, or made us wait: it is just
        being settled, or a lost connection holds it. Its worker has been waiting for it as well, and comes first."""
        database, began = self._database, self._awake()
        steps_over = database.skip_locked and not self._skip_lock

        def work() -> int:
            if steps_over and not database.rows("unlocked", ids=[params["id"]]):
                raise _HeldBack
            changed = database.change(name, **params)
            if self._awake() - began > LONG_WAIT:
                raise _HeldBack
            return changed

        return database.atomically(work)

    def _prune(self, now_ms: int, limit: int) -> int:
        if self._retention_ms is None:
            return 0
        before, pruned = now_ms - self._retention_ms, 0
        for status in (Status.COMPLETED, Status.FAILED, Status.CANCELLED):
            left = limit - pruned
            what = {"status": status.value, "before": before}
            rows = self._database.rows("finished_before", **what, limit=left) if left > 0 else []
            if rows:
                pruned += self._database.change("prune", **what, ids=sorted(row["id"] for row in rows))
        return pruned


def worker_lost(row: Row) -> JobError:
    """What people are told of a job whose worker went silent."""
    worker = row["worker"] or "an unknown worker"
    return JobError("WorkerLost", f"{worker} stopped sending heartbeats while it ran the job (killed, or cut off).")
