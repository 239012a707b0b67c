"""The queue in the site's own database: MariaDB, MySQL, or the SQLite drop-in's file.

The table and its columns are described in docs and in the plugin's schema; what each statement is
for, in `sql/`. Every change of a job is guarded by its status and, once it runs, by the token of
its lease.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext, suppress
from itertools import groupby
from typing import Any

from wpbg.job import Ending, JobError, Lease, NewJob, Outcome, Progress, Status
from wpbg.queues.base import Capability, Renewal, Settlement, Ticked, heartbeat
from wpbg.queues.claim import Claimer
from wpbg.queues.clock import Clock
from wpbg.queues.connection import Contention, TooLarge, open_database
from wpbg.queues.ends import (
    Way,
    began_at,
    end,
    good_end,
    guard,
    history_of,
    in_order,
    in_order_of_ids,
    key_of,
    smaller,
    way_alone,
    way_of,
)
from wpbg.queues.envelope import Envelope
from wpbg.queues.housekeeping import Housekeeper
from wpbg.queues.records import (
    Claim,
    Row,
    adopted_row,
    error_json,
    label,
    new_row,
    outcome_columns,
)
from wpbg.queues.settings import DatabaseSettings
from wpbg.queues.silence import Silence
from wpbg.queues.sqlite import SQLite
from wpbg.settle import Decision, Finish, Retry

DAY_MS = 24 * 60 * 60 * 1000
SET_ASIDE = b"set aside: "
"""Before the bytes of a body that is kept but never run: PHP reads nothing that begins so."""

FILLED = ("external_id", "queue", "payload", "priority", "max_attempts", "batch", "callback")


class SomeLost(Exception):
    """Not all jobs of one statement were still under their lease. Never leaves this module."""


class DatabaseQueue:
    """One connection to the site's database, for `queues` in their precedence. See `queues.base.Queue`.

    `skip_lock` claims by compare and swap where `SKIP LOCKED` is there but not wanted (some
    proxies and clusters). `retention_ms` None keeps finished jobs for ever. `clock` replaces the
    database's own.
    """

    capabilities = frozenset(Capability)
    """All of them. What cannot be done in the site's own database cannot be done."""

    def __init__(
        self,
        settings: DatabaseSettings,
        queues: Sequence[str],
        *,
        lease_ms: int,
        skip_lock: bool = False,
        clock: Clock | None = None,
        retention_ms: int | None = 7 * DAY_MS,
        jitter: random.Random | None = None,
    ) -> None:
        self.database = open_database(settings)
        self.queues = tuple(dict.fromkeys(queues))
        self.lease_ms = lease_ms
        self._clock = clock
        self._chance = jitter or random.Random()
        self._skip_lock = skip_lock
        self._claimer = Claimer(self.database, self.queues, skip_lock=skip_lock, chance=self._chance)
        watches = isinstance(self.database, SQLite) and clock is None
        silence = Silence(1.5 * heartbeat(lease_ms / 1000)) if watches else None
        self._housekeeper = Housekeeper(
            self.database, lease_ms=lease_ms, retention_ms=retention_ms, silence=silence, skip_lock=skip_lock
        )
        self._in_doubt: set[tuple[str, int]] = set()

    def now_ms(self) -> int:
        """The time in the queue's clock."""
        self._connect()
        return (self._clock or self.database.clock).now_ms()

    def put(self, jobs: Iterable[NewJob]) -> list[str]:
        rows = [new_row(job, self.now_ms()) for job in jobs]

        def store() -> list[str]:
            return [str(self.database.insert("put", **row)) for row in rows]

        with self.database.durable() if isinstance(self.database, SQLite) else nullcontext():
            return self.database.atomically(store) if rows else []

    def reserve(self, limit: int, worker: str) -> list[Lease]:
        now = self.now_ms()
        return self._claimer.claim(limit, Claim(worker, now, now + self.lease_ms))

    def renew(self, leases: Sequence[Lease]) -> Renewal:
        rows, renewed = self._renew_together(leases) if self._steps_over else self._renew_waiting(leases)
        held = {(str(row["id"]), int(row["lease_token"])): bool(row["cancel_requested"]) for row in rows}
        return Renewal(
            lost=frozenset(lease for lease in leases if key_of(lease) not in held),
            cancel=frozenset(lease for lease in leases if held.get(key_of(lease))),
            again=frozenset(lease for lease in leases if key_of(lease) in held and key_of(lease) not in renewed),
        )

    @property
    def _steps_over(self) -> bool:
        self._connect()
        return self.database.skip_locked and not self._skip_lock

    def _renew_together(self, leases: Sequence[Lease]) -> tuple[list[Row], set[tuple[str, int]]]:
        """Without waiting for rows that somebody has locked: who holds which, and those that were renewed."""
        ids = sorted(int(lease.job.id) for lease in leases)

        def push() -> tuple[list[Row], set[tuple[str, int]]]:
            free = self.database.rows("unlocked", ids=ids)
            held = {(str(row["id"]), int(row["lease_token"])) for row in free}
            ours = [lease for lease in in_order_of_ids(leases) if key_of(lease) in held]
            self.database.changes("renew", self._renewals(ours))
            # What was stepped over is still whose it was: settled, cancelled or rescued in this very moment, or held
            # by a connection of ours that was lost.
            missing = sorted(set(ids) - {int(row["id"]) for row in free})
            others = self.database.rows("renewed", ids=missing) if missing else []
            return [*free, *others], {key_of(lease) for lease in ours}

        return self.database.atomically(push) if ids else ([], set())

    def _renew_waiting(self, leases: Sequence[Lease]) -> tuple[list[Row], set[tuple[str, int]]]:
        """One by one, so that a row which somebody has locked keeps no other from being renewed."""
        renewed: set[tuple[str, int]] = set()
        for lease in in_order_of_ids(leases):
            with suppress(Contention):
                self.database.change("renew", **self._renewals([lease])[0])
                renewed.add(key_of(lease))
        ids = [int(lease.job.id) for lease in leases]
        return self.database.rows("renewed", ids=ids) if ids else [], renewed

    def _renewals(self, leases: Sequence[Lease]) -> list[dict[str, Any]]:
        # The end is counted from here: what came before may have waited.
        until = (self._clock or self.database.clock).now_ms() + self.lease_ms
        return [{"id": int(lease.job.id), "token": lease.token, "until": until} for lease in leases]

    def adopt(self, envelopes: Sequence[Envelope], worker: str) -> list[Lease]:
        """Write jobs that came through a broker, as running and leased to `worker`; the first is taken to begin now.

        One that is here already (its broker delivers it again) is left as it is. All or none.
        """
        if not envelopes:
            return []
        now = self.now_ms()
        claim = Claim(worker, now, now + self.lease_ms)
        token = self._chance.getrandbits(48) + 2  # Tells our rows from those of an earlier delivery.
        rows = [adopted_row(envelope, claim, token, begins=not number) for number, envelope in enumerate(envelopes)]

        written = {row["external_id"]: row for row in rows}

        def store() -> list[Row]:
            self.database.insert_many("adopt", rows)
            ours = self.database.rows("adopted", external_ids=list(written), token=token)
            new = {row["external_id"] for row in ours}
            known = [row for row in rows if row["external_id"] not in new]
            self.database.changes("fill", [{name: row[name] for name in FILLED} for row in known])
            return ours

        new = {"attempts": 1, "lease_token": token}
        ours = self.database.atomically(store)
        return [claim.lease({**written[row["external_id"]], **new, "id": row["id"]}, before=False) for row in ours]

    def set_aside(self, queue: str, body: bytes, kind: str, why: str) -> str:
        """Keep a body that must not be run, as a failed job; its id. Not even a retry can have it unserialized."""
        now = self.now_ms()
        outcome = Outcome(Ending.FAILED, error=JobError(kind, why))
        row = {"queue": label(queue), "payload": SET_ASIDE + body, "error": error_json(outcome), "now": now}
        return str(self.database.insert("set_aside", **row))

    def paused(self) -> set[str]:
        """Which of these queues are paused."""
        return {row["queue"] for row in self.database.rows("paused", queues=list(self.queues))}

    def began(self, lease: Lease) -> None:
        self.database.change("began", id=int(lease.job.id), token=lease.token, now=self.now_ms())

    def settle(self, lease: Lease, decision: Decision, outcome: Outcome) -> bool:
        return self.settle_all([Settlement(lease, decision, outcome)])[0]

    def settle_all(self, settlements: Sequence[Settlement]) -> list[bool]:
        now = self.now_ms()
        asked = {key_of(item.lease) for item in settlements}
        tried = {key_of(item.lease) for item in settlements if item.tried}
        doubted, self._in_doubt = (self._in_doubt & asked) | tried, asked
        if len(settlements) == 1:
            done = [self._settle_one(settlements[0], now)]
        else:
            try:
                ordered = in_order(settlements)
                done = self._settle_many(ordered, now)
                answers = dict(zip((key_of(item.lease) for item in ordered), done, strict=True))
                done = [answers[key_of(item.lease)] for item in settlements]
            except TooLarge:
                done = [self._settle_one(item, now) for item in settlements]
        for number, item in enumerate(settlements):
            if not done[number] and key_of(item.lease) in doubted:
                # The answer to the first try was lost with the connection. If the job is where that
                # try would have put it, under our token, it was ours.
                done[number] = self._is_settled(item.lease, item.decision)
        self._in_doubt = set()
        return done

    def _settle_many(self, settlements: Sequence[Settlement], now: int) -> list[bool]:
        try:
            return self.database.atomically(lambda: self._apply_all(settlements, now, way_of))
        except SomeLost:  # Which of them, only a statement for each tells.
            return self.database.atomically(lambda: self._apply_all(settlements, now, way_alone))

    def _apply_all(
        self, settlements: Sequence[Settlement], now: int, way_to: Callable[[Settlement], Way]
    ) -> list[bool]:
        """`_apply` for each, in their order; those that end their job, which are most, in few messages. Raises
        `SomeLost` where not all of those that were said in one statement were still ours."""
        done: list[bool] = []
        for way, items in groupby(settlements, way_to):
            if way is Way.COMPLETE:
                ends = [good_end(item, now) for item in items]
                if self.database.change_together("complete", ends) != len(ends):
                    raise SomeLost
                done += [True] * len(ends)
            elif way is Way.FINISH:
                done += [rows == 1 for rows in self.database.changes("finish", [end(item, now) for item in items])]
            else:
                done += [self._apply(item, now) for item in items]
        return done

    def _settle_one(self, item: Settlement, now: int) -> bool:
        try:
            return self._apply(item, now)
        except TooLarge as error:
            return self._apply(Settlement(item.lease, item.decision, smaller(item.outcome, error)), now)

    def progress(self, lease: Lease, progress: Progress) -> None:
        self._connect()
        self.database.change(
            "progress",
            id=int(lease.job.id),
            token=lease.token,
            done=progress.done,
            total=progress.total,
            message=label(progress.message or None),
        )

    def tick(self, limit: int = 500) -> Ticked:
        self._connect(ask_clock=True)
        return self._housekeeper.tick(self.now_ms(), limit)

    def busy(self) -> bool:
        self._connect()
        return any(row["busy"] for queue in self.queues for row in self.database.rows("busy", queue=queue))

    def incoming(self) -> bool:
        return False

    def close(self) -> None:
        self.database.close()

    def _connect(self, ask_clock: bool = False) -> None:
        if self._clock is None:
            self._housekeeper.notice_jump(self.database.keep_time(ask_clock))
        else:
            self.database.connect()
        self._housekeeper.notice_connection((self._clock or self.database.clock).now_ms())

    def _apply(self, item: Settlement, now: int) -> bool:
        """Finish, retry or release; what must not go back to the queue ends as cancelled."""
        lease, decision, outcome = item.lease, item.decision, item.outcome
        if isinstance(decision, Finish):
            return self.database.change("finish", **end(item, now)) == 1
        database, ours, began = self.database, guard(lease), began_at(item, now)
        kept = outcome_columns(outcome)
        entry = history_of(item, now)
        if isinstance(decision, Retry):
            kept.pop("result")
            at = now + max(0, decision.delay_ms)
            delayed = decision.delay_ms > 0
            status = Status.DELAYED if delayed else Status.QUEUED
            when = {"status": status.value, "due_at": at if delayed else 0, "available_at": at, "now": now}
            done = database.change("retry", **ours, began=began, **when, **kept, entry=entry) == 1
        else:
            kept.pop("result")
            done = database.change("release", **ours) == 1
        return done or database.change("cancel_running", **ours, now=now, **kept, entry=entry) == 1

    def _is_settled(self, lease: Lease, decision: Decision) -> bool:
        expected = {Status.CANCELLED.value}
        if isinstance(decision, Finish):
            expected = {decision.status.value}
        elif isinstance(decision, Retry):
            expected |= {Status.QUEUED.value, Status.DELAYED.value}
        else:
            expected |= {Status.QUEUED.value}
        rows = self.database.rows("settled", id=int(lease.job.id), token=lease.token)
        return bool(rows) and rows[0]["status"] in expected
