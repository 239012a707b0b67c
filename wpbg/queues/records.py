"""Between a row of the job table and our nouns. No I/O."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from wpbg.job import Ending, Job, JobError, Lease, NewJob, Outcome, Status
from wpbg.queues.envelope import Envelope

LABEL = 191
"""Characters in the table's short text columns."""
HISTORY_OUTPUT = 4096
"""Bytes of an earlier attempt's output that its history keeps: the end, where the reason is."""
HISTORY_TRACE = 4096
MESSAGE = 16384
"""Characters of an error's message that are kept."""

Row = dict[str, Any]


def job_from(row: Row, attempt: int) -> Job:
    """The job in a row. Rows written by hand may lack everything but queue and payload."""
    payload = row["payload"]
    return Job(
        id=str(row["id"]),
        queue=row["queue"],
        payload=payload.encode() if isinstance(payload, str) else bytes(payload),  # text where a table is not STRICT
        attempt=attempt,
        max_attempts=max(1, int(row["max_attempts"])),
        backoff=int(row["backoff"]),
        timeout=None if row["timeout"] is None else int(row["timeout"]),
        priority=int(row["priority"]),
        blog_id=int(row["blog_id"]),
        batch=row["batch"],
        callback=row["callback"],
    )


@dataclass(frozen=True)
class Claim:
    """For whom jobs are claimed, when, and until when. Milliseconds in the queue's clock."""

    worker: str
    now_ms: int
    until_ms: int

    def lease(self, row: Row, *, before: bool) -> Lease:
        """The lease on a row, read before it was claimed or after."""
        more = 1 if before else 0
        return Lease(
            job=job_from(row, attempt=int(row["attempts"]) + more),
            token=int(row["lease_token"]) + more,
            until_ms=self.until_ms,
            reserved_ms=self.now_ms,
            worker=self.worker,
            waited_ms=max(0, self.now_ms - int(row["available_at"])) if row["available_at"] else None,
        )

    @property
    def columns(self) -> Row:
        return {"worker": label(self.worker), "now": self.now_ms, "until": self.until_ms}


def new_row(job: NewJob, now_ms: int) -> Row:
    """The columns of a job that is put into the table."""
    delayed = job.delay_ms > 0
    at = now_ms + max(0, job.delay_ms)
    return {
        "queue": label(job.queue),
        "payload": job.payload,
        "status": (Status.DELAYED if delayed else Status.QUEUED).value,
        "priority": job.priority,
        "max_attempts": job.max_attempts,
        "backoff": job.backoff,
        "timeout": job.timeout,
        "available_at": at,
        "due_at": at if delayed else 0,
        "blog_id": job.blog_id,
        "batch": label(job.batch),
        "callback": label(job.callback),
        "unique_key": label(job.unique),
        "unique_hash": unique_hash(job.queue, job.unique),
    }


def adopted_row(envelope: Envelope, claim: Claim, token: int, *, begins: bool) -> Row:
    """The columns of a job that came through a broker and is leased at once. Its payload is the signed whole."""
    return {
        "external_id": envelope.id,
        "queue": label(envelope.queue),
        "payload": envelope.body,
        "priority": envelope.priority,
        "max_attempts": max(1, envelope.max_attempts),
        "backoff": max(0, envelope.backoff),
        "timeout": envelope.timeout,
        "available_at": envelope.at_ms,
        "blog_id": max(0, envelope.blog_id),
        "batch": label(envelope.batch),
        "callback": label(envelope.callback),
        "token": token,
        "started_at": claim.now_ms if begins else None,
        "worker": label(claim.worker),
        "until": claim.until_ms,
    }


def unique_hash(queue: str, key: str | None) -> str | None:
    """What the unique index holds while the job is unfinished: SHA-256 of queue, NUL, key; as the plugin makes it."""
    if key is None:
        return None
    return hashlib.sha256(queue.encode() + b"\0" + key.encode()).hexdigest()


def outcome_columns(outcome: Outcome) -> Row:
    """What a settled row keeps of a run."""
    return {
        "result": None if outcome.result is None else ascii_json(outcome.result),
        "error": error_json(outcome),
        "output": outcome.output or None,
        "note": label(outcome.note),
        "runtime_ms": min(max(0, outcome.runtime_ms), 2**32 - 1),
        "callback": label(outcome.callback),
    }


def progress_columns(outcome: Outcome) -> Row:
    """The last thing the run said about how far it is; all None where it said nothing."""
    said = outcome.progress
    return {
        "progress_done": said.done if said else None,
        "progress_total": said.total if said else None,
        "progress_message": label(said.message or None) if said else None,
    }


def error_json(outcome: Outcome) -> str | None:
    """The error column: why the run failed, or NULL where it did not."""
    error = why(outcome)
    return None if error is None else dump({**error.as_dict(), "message": error.message[:MESSAGE]})


def why(outcome: Outcome) -> JobError | None:
    """The run's error; one of our own where the run failed and nobody could say why."""
    if outcome.error is not None:
        return outcome.error
    if outcome.ending in (Ending.COMPLETED, Ending.CANCELLED, Ending.INTERRUPTED, Ending.NOT_STARTED):
        return None
    class_name = "".join(word.capitalize() for word in outcome.ending.value.split("_"))
    return JobError(class_name, f"The run ended as {outcome.ending.value} and left no message.")


def history_entry(attempt: int, worker: str | None, started_ms: int | None, ended_ms: int, outcome: Outcome) -> str:
    """One attempt that did not end its job well, as the history column keeps it."""
    error = why(outcome)
    shown = None
    if error is not None:
        shown = {**error.as_dict(), "message": error.message[:2048], "trace": error.trace[:HISTORY_TRACE]}
    return dump(
        {
            "attempt": attempt,
            "worker": worker,
            "started_at": started_ms,
            "finished_at": ended_ms,
            "ending": outcome.ending.value,
            "error": shown,
            "output": outcome.output[-HISTORY_OUTPUT:].decode("utf-8", "replace"),
        }
    )


def dump(value: Any) -> str:
    """ASCII JSON: the column's charset, whatever it is, cannot alter it."""
    return _ASCII(value)


_ASCII = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode


def ascii_json(text: str) -> str:
    """JSON text with everything beyond ASCII escaped, its numbers and order untouched."""
    if text.isascii():
        return text
    # Beyond ASCII there are only characters of strings in JSON, so this is the same value.
    return "".join(char if char < "\x80" else json.dumps(char)[1:-1] for char in text)


def label(text: str | None) -> str | None:
    """What a short text column takes: cut to its length, without what UTF-8 cannot say."""
    return None if text is None else text.encode("utf-8", "replace").decode()[:LABEL]
