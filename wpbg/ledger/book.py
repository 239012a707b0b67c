"""The ledger of a site's database: one connection, for one thread."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from wpbg.errors import QueueUnreachable
from wpbg.job import Status
from wpbg.ledger import views
from wpbg.ledger.jobs import ADVICE, CHUNK, JobDesk, NoSuchJob, Retried, WrongState, row_id
from wpbg.ledger.kept import KeptBooks
from wpbg.ledger.views import View, Waiting
from wpbg.queues.clock import Clock
from wpbg.queues.connection import Row, open_database
from wpbg.queues.records import dump, label
from wpbg.queues.settings import DatabaseSettings
from wpbg.statistics import Taken

if TYPE_CHECKING:
    from wpbg.board import WorkerRow

NEWEST = 2**62
"""An id above every other."""

FORGOTTEN_MS = 10 * 60_000
"""Rows of workers that have been silent for so long are removed: they were killed."""

COUNTED = (Status.QUEUED, Status.DELAYED, Status.RUNNING, Status.FAILED)


class Ledger:
    """What is in the tables, as `wpbg jobs`, `queues`, `workers` and `status` show it.

    Everything that goes wrong with the server is a `QueueUnreachable`; the next call connects
    anew. `clock` replaces the database's own. `outside` is asked for jobs that are not in the
    tables yet: those that wait in a broker; `in_broker` for how many wait there, by queue;
    `discard` throws them away. The last two raise `QueueUnreachable` when the broker is away.
    """

    def __init__(
        self,
        settings: DatabaseSettings,
        *,
        clock: Clock | None = None,
        outside: Callable[[str], Waiting | None] = lambda job_id: None,
        in_broker: Callable[[Sequence[str]], dict[str, int]] = lambda queues: {},
        discard: Callable[[str], int] = lambda queue: 0,
    ) -> None:
        self.database = open_database(settings)
        self._clock = clock
        self._outside, self._in_broker, self._discard = outside, in_broker, discard
        self._desk = JobDesk(self.database)
        self._kept = KeptBooks(self.database)
        self._shown_since_ms: int | None = None

    def now_ms(self) -> int:
        """The time in the database's clock."""
        if self._clock is not None:
            self.database.connect()
            return self._clock.now_ms()
        self.database.keep_time()
        return self.database.clock.now_ms()

    def close(self) -> None:
        self.database.close()

    # Jobs

    def list_jobs(
        self,
        *,
        status: str | None = None,
        queue: str | None = None,
        callback: str | None = None,
        batch: str | None = None,
        limit: int = 50,
        before: str | None = None,
    ) -> list[View]:
        """Jobs, newest first; `before` an id, for the next page."""
        below = NEWEST if before is None else row_id(before) or 0
        wanted = {"status": status, "queue": queue, "callback": callback, "batch": batch}
        rows = self.database.rows("list_jobs", **wanted, before=below, limit=limit)
        return [views.job_summary(row) for row in rows]

    def get_job(self, job_id: str) -> View:
        """Everything about a job. Raises `NoSuchJob`."""
        try:
            return {**views.job_details(self._row(job_id)), "id": job_id.strip()}
        except NoSuchJob:
            waiting = self._outside(job_id)
            if waiting is None:
                raise
            return waiting.view

    def job_log(self, job_id: str) -> list[View]:
        """Its attempts, oldest first: worker, times, ending, error, output. Raises `NoSuchJob`."""
        try:
            return views.attempts(self._row(job_id))
        except NoSuchJob:
            if self._outside(job_id) is None:
                raise
            return []

    def states(self, job_ids: Sequence[str]) -> dict[str, View]:
        """Status and progress of many jobs, by id; of those that exist."""
        asked = {number: job_id for job_id in job_ids if (number := self._desk.number(job_id)) is not None}
        numbers, found = sorted(asked), {}
        for start in range(0, len(numbers), CHUNK):
            for row in self.database.rows("job_states", ids=numbers[start : start + CHUNK]):
                found[asked[row["id"]]] = views.job_state(row)
        for job_id in job_ids:
            if job_id not in found and (waiting := self._outside(job_id)) is not None:
                found[job_id] = waiting.view
        return found

    def ended_since(self, status: Status, since_ms: int, queue: str | None = None) -> int:
        """How many jobs ended with this status at that time or later."""
        return int(self.database.rows("ended_since", status=status.value, since=since_ms, queue=queue)[0]["jobs"])

    def retry(self, job_id: str) -> None:
        """See `JobDesk.retry`."""
        try:
            self._desk.retry(job_id, self.now_ms())
        except NoSuchJob:
            if self._outside(job_id) is None:
                raise
            raise WrongState(f"Job {job_id} is queued{ADVICE['queued']['retry']}.") from None

    def retry_failed(self, queue: str | None = None) -> Retried:
        """See `JobDesk.retry_failed`."""
        return self._desk.retry_failed(queue, self.now_ms())

    def cancel(self, job_id: str) -> Status:
        """See `JobDesk.cancel`. A job that waits in a broker is cancelled, too."""
        try:
            return self._desk.cancel(job_id, self.now_ms())
        except NoSuchJob:
            waiting = self._outside(job_id)
            if waiting is None:
                raise
        if self._desk.cancel_outside(job_id, waiting, self.now_ms()):
            if waiting.remove is not None:
                waiting.remove()  # Where that does not work, a worker finds the row and only acknowledges.
            return Status.CANCELLED
        return self._desk.cancel(job_id, self.now_ms())  # A worker has just written it.

    def delete(self, job_id: str) -> None:
        """See `JobDesk.delete`. A job that waits in a broker is taken out of it, where the broker can do that."""
        try:
            self._desk.delete(job_id)
            return
        except NoSuchJob:
            waiting = self._outside(job_id)
            if waiting is None:
                raise
        if waiting.remove is None:
            raise WrongState(
                f"Job {job_id} waits in a queue server that cannot delete single jobs: cancel it (`wpbg jobs cancel`)."
            )
        if not waiting.remove():
            self._desk.delete(job_id)  # A worker has just written it.

    def delete_finished(self, status: Status, before_ms: int) -> int:
        """See `JobDesk.delete_finished`."""
        return self._desk.delete_finished(status, before_ms)

    def _row(self, job_id: str) -> Row:
        number = self._desk.number(job_id)
        rows = self.database.rows("job", id=number) if number is not None else []
        if not rows:
            self._desk.state(job_id)  # raises, with its words
            raise NoSuchJob(f"Job {job_id} has just been deleted.")
        return rows[0]

    # Queues

    def in_broker(self) -> dict[str, int]:
        """How many jobs wait in the site's broker, by queue. Raises `QueueUnreachable`."""
        return self._in_broker(sorted(self._queue_names()))

    def _queue_names(self) -> set[str]:
        rows = self.database.rows("queue_names") + self.database.rows("queue_rows")
        return {row["queue"] for row in rows}

    def queues(self, in_broker: Mapping[str, int] | None = None) -> list[View]:
        """Every queue that has, or had, jobs or was paused: counts, how long the oldest waits, whether it is paused.

        `oldest_queued_seconds` is None where nothing waits in the table. `in_broker`: what `in_broker()` told before.
        """
        if in_broker is None:
            in_broker, known = {}, sorted(self._queue_names())
            with contextlib.suppress(QueueUnreachable):
                # Before the table: what moves meanwhile is counted twice, not missed.
                in_broker = self._in_broker(known)
        now = self.now_ms()
        paused = {row["queue"]: bool(row["paused"]) for row in self.database.rows("queue_rows")}
        counts: dict[str, dict[str, int]] = {name: {} for name in self._queue_names()}
        oldest: dict[str, int] = {}
        for row in self.database.rows("counts"):
            queue, status = row["queue"], row["status"]
            of_queue = counts.setdefault(queue, {})
            of_queue[status] = of_queue.get(status, 0) + int(row["jobs"])
            if status == Status.QUEUED.value:
                since = self.database.rows("oldest", queue=queue, priority=row["priority"])[0]["since"]
                if since is not None:
                    oldest[queue] = min(oldest.get(queue, int(since)), int(since))
        for queue, waiting in in_broker.items():
            of_queue = counts.setdefault(queue, {})
            of_queue[Status.QUEUED.value] = of_queue.get(Status.QUEUED.value, 0) + waiting
        return [
            {
                "queue": queue,
                **{status.value: found.get(status.value, 0) for status in COUNTED},
                "oldest_queued_seconds": max(0, (now - oldest[queue]) // 1000) if queue in oldest else None,
                "paused": paused.get(queue, False),
            }
            for queue, found in sorted(counts.items())
        ]

    def pause(self, queue: str) -> None:
        """No job of the queue is begun until it is resumed; running ones finish. Repeatable."""
        self.database.change("pause_queue", queue=queue, now=self.now_ms())

    def resume(self, queue: str) -> bool:
        """Undo `pause`. False: it was not paused."""
        was = {row["queue"] for row in self.database.rows("queue_rows") if row["paused"]}
        self.database.change("resume_queue", queue=queue)
        return queue in was

    def purge(self, queue: str, statuses: Sequence[Status] = (Status.QUEUED, Status.DELAYED)) -> int:
        """See `JobDesk.purge`. The queued jobs of a broker are thrown away as well.

        Raises `QueueUnreachable` when the broker is away; then those of the table are deleted nevertheless.
        """
        deleted = self._desk.purge(queue, tuple(statuses))
        if Status.QUEUED not in statuses:
            return deleted
        try:
            deleted += self._discard(queue)
        except QueueUnreachable as error:
            raise QueueUnreachable(
                f"{deleted} in the table deleted, those in the broker not: {error.message}"
            ) from error
        # A worker may have taken some in between, and handed them back.
        return deleted + self._desk.purge(queue, (Status.QUEUED,))

    # Batches

    def batches(self, batch: str | None = None) -> list[View]:
        """Every batch (or one) with how many of its jobs are in which state, newest first."""
        found: dict[str, dict[str, Any]] = {}
        for row in self.database.rows("batches", batch=batch):
            of_batch = found.setdefault(row["batch"], {"first": int(row["first_id"]), "counts": {}})
            of_batch["first"] = min(of_batch["first"], int(row["first_id"]))
            of_batch["counts"][row["status"]] = int(row["jobs"])
        newest = sorted(found.items(), key=lambda item: -item[1]["first"])
        return [
            {
                "batch": name,
                "total": sum(of_batch["counts"].values()),
                **{status.value: of_batch["counts"].get(status.value, 0) for status in Status},
            }
            for name, of_batch in newest
        ]

    def record(self, taken: Taken) -> None:
        """See `KeptBooks.record`."""
        self._kept.record(taken, self.now_ms())

    def touch_batches(self, batches: Sequence[str]) -> None:
        """See `KeptBooks.touch`."""
        self._kept.touch(batches, self.now_ms())

    def close_batches(self, queue: str, quiet_ms: int) -> list[str]:
        """See `KeptBooks.close_batches`."""
        return self._kept.close_batches(queue, quiet_ms, self.now_ms)

    # Workers

    def workers(self) -> list[View]:
        """The slots of all workers; `state` is `lost` for those not heard of for a minute."""
        now = self.now_ms()
        return [views.worker_view(row, now) for row in self.database.rows("workers")]

    def show_workers(self, rows: Sequence[WorkerRow]) -> None:
        """Write or refresh the rows of a worker's slots, and remove those of workers long dead."""
        now = self.now_ms()
        if self._shown_since_ms is None:
            self._shown_since_ms = now
        since = self._shown_since_ms

        def write() -> None:
            for row in rows:
                self.database.change("upsert_worker", **_worker_columns(row), started_at=since, heartbeat_at=now)

        self.database.atomically(write)
        self.database.change("remove_silent_workers", before=now - FORGOTTEN_MS)

    def hide_workers(self, rows: Sequence[WorkerRow]) -> None:
        """Remove the rows of a worker's slots: it has ended."""
        for row in rows:
            self.database.change("remove_worker", id=worker_id(row))


def worker_id(row: WorkerRow) -> str:
    """By which a slot is known: host, process, number."""
    return f"{row.host[:150]}:{row.pid}:{row.slot}"


def _worker_columns(row: WorkerRow) -> Row:
    return {
        "id": worker_id(row),
        "name": label(row.name),
        "host": label(row.host),
        "pid": row.pid,
        "slot": row.slot,
        "mode": row.mode[:10],
        "queues": dump(list(row.queues)),
        "state": row.state[:10],
        "job_id": None if row.job_id is None else row.job_id[:64],
        "jobs_done": row.jobs_done,
        "memory_bytes": row.memory_bytes,
        "version": row.version[:20],
    }
