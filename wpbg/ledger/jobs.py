"""What an operator does to single jobs: each a guarded statement, each refusal with its reason."""

from __future__ import annotations

import re
from dataclasses import dataclass

from wpbg.errors import WpbgError
from wpbg.job import Status
from wpbg.ledger.views import Waiting
from wpbg.queues.connection import Database, Duplicate, Row
from wpbg.queues.records import label, unique_hash

OUTSIDE = re.compile(r"([0-9a-f]{32})-[bg]")
"""The beginning of an id that a job got on its way through a broker."""

CHUNK = 500
"""Rows that one statement changes at most."""
LOOKS = 5
"""How often a job is looked at again when it changed while it was being operated on."""


class NoSuchJob(WpbgError):
    """There is no such job."""


class WrongState(WpbgError):
    """The job is in a state in which this cannot be done."""


@dataclass(frozen=True)
class Retried:
    """What `retry --failed` did: ids put back, and why others were not."""

    ids: tuple[str, ...]
    refused: tuple[str, ...] = ()


class JobDesk:
    """Operations on jobs. Ids are text, as `add_async_job` returned them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def number(self, job_id: str) -> int | None:
        """The number of a job's row: its id, or looked up by the id that it was given outside of the table."""
        outside = OUTSIDE.match(job_id.strip())
        if outside is None:
            return row_id(job_id)
        rows = self._database.rows("by_external_id", external_id=outside[1])
        return int(rows[0]["id"]) if rows else None

    def state(self, job_id: str) -> Row:
        """Queue, status, unique key and token of a job. Raises `NoSuchJob`."""
        number = self.number(job_id)
        rows = self._database.rows("job_state", id=number) if number is not None else []
        if not rows:
            raise NoSuchJob(
                f"There is no job {job_id}: it was never added to this site, or it has been deleted since "
                "(finished jobs are kept for ABW_RETENTION_DAYS)."
            )
        return rows[0]

    def retry(self, job_id: str, now_ms: int) -> None:
        """Start a failed or cancelled job over: at once, with all its attempts, its history kept.

        Raises `WrongState` for a job in another state, and when another unfinished job has its
        unique key.
        """
        for _ in range(LOOKS):
            job = self.state(job_id)
            if job["status"] not in (Status.FAILED.value, Status.CANCELLED.value):
                raise WrongState(f"Job {job_id} is {job['status']}{ADVICE[job['status']]['retry']}.")
            if job["hollow"]:
                if self._database.change("retry_outside", id=job["id"]):
                    return
                continue  # A worker has just come across it: the row has its body now.
            new_hash = unique_hash(job["queue"], job["unique_key"])
            guard = {"id": job["id"], "status": job["status"], "token": job["lease_token"]}
            try:
                if self._database.change("retry_job", **guard, now=now_ms, unique_hash=new_hash):
                    return
            except Duplicate:
                holder = self._database.rows("holder_of", unique_hash=new_hash)
                if holder:
                    raise WrongState(
                        f"Job {job_id} cannot run again now: job {holder[0]['id']} has the same unique key "
                        f"{job['unique_key']!r} and is not finished. Wait for it, or cancel it first."
                    ) from None
        raise self._unsettled(job_id)

    def retry_failed(self, queue: str | None, now_ms: int) -> Retried:
        """`retry` for every job that has failed so far, of one queue or of all."""
        database, done, refused = self._database, [], []
        what = {"queue": queue, "now": now_ms, "limit": CHUNK}
        while rows := database.rows("failed_plain", **what):
            ids = [row["id"] for row in rows]
            if database.change("retry_plain", ids=sorted(ids), now=now_ms):
                done += ids
        after = 0
        while rows := database.rows("failed_unique", **what, after=after):
            for row in rows:
                after = row["id"]
                try:
                    self.retry(str(row["id"]), now_ms)
                    done.append(row["id"])
                except (WrongState, NoSuchJob) as error:
                    refused.append(error.message)
        return Retried(tuple(str(each) for each in done), tuple(refused))

    def cancel(self, job_id: str, now_ms: int) -> Status:
        """Cancel a job. `CANCELLED`: it will not run. `RUNNING`: its worker has been asked to stop it.

        Raises `WrongState` for a job that is finished.
        """
        for _ in range(LOOKS):
            job = self.state(job_id)
            if Status(job["status"]).finished:
                raise WrongState(f"Job {job_id} is {job['status']}{ADVICE[job['status']]['cancel']}.")
            if self._database.change("cancel_waiting", id=job["id"], now=now_ms):
                return Status.CANCELLED
            if self._database.change("request_cancel", id=job["id"]):
                return Status.RUNNING
        raise self._unsettled(job_id)

    def cancel_outside(self, job_id: str, waiting: Waiting, now_ms: int) -> bool:
        """Cancel a job that no worker has taken out of its broker yet. False: it is in the table by now."""
        known = OUTSIDE.match(job_id.strip())
        if known is None:
            return False
        view = waiting.view
        return (
            self._database.change(
                "cancel_outside",
                external_id=known[1],
                queue=view["queue"] or "default",
                payload=waiting.body,
                priority=view["priority"] or 0,
                max_attempts=view["max_attempts"] or 1,
                batch=label(view["batch"]),
                callback=label(view["callback"]),
                now=now_ms,
            )
            == 1
        )

    def delete(self, job_id: str) -> None:
        """Delete a job and all that is known of it. Raises `WrongState` while it runs."""
        for _ in range(LOOKS):
            job = self.state(job_id)
            if job["status"] == Status.RUNNING.value:
                raise WrongState(f"Job {job_id} is running{ADVICE['running']['delete']}.")
            if job["hollow"]:
                raise WrongState(
                    f"Job {job_id} is cancelled, but still in the queue server, where only this row keeps it "
                    "from running: delete it once a worker has come across it."
                )
            if self._database.change("delete_job", id=job["id"]):
                return
        raise self._unsettled(job_id)

    def purge(self, queue: str, statuses: tuple[Status, ...] = (Status.QUEUED, Status.DELAYED)) -> int:
        """Delete the jobs of a queue that are in these states, in bounded steps. How many."""
        deleted = 0
        for status in statuses:
            if status is Status.RUNNING:
                raise WrongState("Running jobs are not purged: cancel them, or stop their workers.")
            what = {"queue": queue, "status": status.value}
            while rows := self._database.rows("some_ids", **what, limit=CHUNK):
                ids = sorted(row["id"] for row in rows)
                deleted += self._database.change("delete_ids", ids=ids, status=status.value)
        return deleted

    def delete_finished(self, status: Status, before_ms: int) -> int:
        """Delete the jobs that ended with this status at that time or before, in bounded steps. How many."""
        deleted, what = 0, {"status": status.value, "before": before_ms}
        while rows := self._database.rows("finished_before", **what, limit=CHUNK):
            deleted += self._database.change("prune", **what, ids=sorted(row["id"] for row in rows))
        return deleted

    @staticmethod
    def _unsettled(job_id: str) -> WrongState:
        return WrongState(f"Job {job_id} kept changing its state meanwhile: look at it and try again.")


ADVICE = {
    "queued": {"retry": " and will run by itself: nothing to retry"},
    "delayed": {"retry": " and will run by itself when its time comes: nothing to retry"},
    "running": {
        "retry": ": wait for its end, or cancel it first",
        "delete": ": cancel it first (`wpbg jobs cancel`), or wait for its end",
    },
    "completed": {"retry": ": only failed and cancelled jobs are retried", "cancel": ": there is nothing to cancel"},
    "failed": {"cancel": ": it will not run again unless it is retried"},
    "cancelled": {"cancel": " already"},
}


def row_id(job_id: str) -> int | None:
    """The number of a row, or None for text that is none."""
    text = str(job_id).strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None
