"""The nouns: what a job, a lease and an outcome are. No I/O here."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Any


class Status(str, enum.Enum):
    """Where a job stands. Everything but `queued`, `delayed` and `running` is an end."""

    QUEUED = "queued"
    DELAYED = "delayed"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def finished(self) -> bool:
        return self in (Status.COMPLETED, Status.FAILED, Status.CANCELLED)


@dataclass(frozen=True)
class Job:
    """A job as its queue holds it.

    `payload` is PHP's `serialize($job)` and stays bytes: only PHP reads it. `attempt` counts the
    runs that have begun, this one included (1 on the first). `timeout` and `backoff` are seconds.
    `blog_id` is 0 where the row does not say (written by hand or by the older plugin).
    """

    id: str
    queue: str
    payload: bytes
    attempt: int = 1
    max_attempts: int = 3
    backoff: int = 30
    timeout: int | None = None
    priority: int = 0
    blog_id: int = 0
    batch: str | None = None
    callback: str | None = None


@dataclass(frozen=True)
class Lease:
    """The right to run a job once, until `until_ms` (ms since 1970, in the queue's clock).

    Every later statement about the job names the token; the queue ignores a token that is not
    the job's newest, so a worker that comes back late changes nothing. `worker` is the slot it
    was given to.
    """

    job: Job
    token: int
    until_ms: int
    reserved_ms: int
    worker: str = ""
    waited_ms: int | None = field(default=None, compare=False)
    """From when it might run to now; None where that is not known."""


class Ending(str, enum.Enum):
    """How a run of a job ended. The names are the ones in logs and in a job's history."""

    COMPLETED = "completed"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    """It ran past its time limit: ended by an exception in PHP, or by killing its processes."""
    PROCESS_DIED = "process_died"
    """Its process ended without an outcome: a signal, the memory killer, a broken channel."""
    WORKER_LOST = "worker_lost"
    """Its worker stopped sending heartbeats and the lease ran out."""
    CANCELLED = "cancelled"
    """Somebody cancelled it while it ran."""
    INTERRUPTED = "interrupted"
    """The worker had to stop before the job was through. Not the job's fault: not counted."""
    NOT_STARTED = "not_started"
    """No PHP process got ready for it. Not the job's fault: not counted."""


@dataclass(frozen=True)
class JobError:
    """Why a run failed, as people are shown it. `line` is 0 and `file` empty where PHP has none."""

    class_name: str
    message: str
    file: str = ""
    line: int = 0
    trace: str = ""

    def as_dict(self) -> dict[str, Any]:
        return {
            "class": self.class_name,
            "message": self.message,
            "file": self.file,
            "line": self.line,
            "trace": self.trace,
        }


@dataclass(frozen=True)
class Progress:
    """What a job said about how far it is. `total` is None where it does not know."""

    done: int
    total: int | None = None
    message: str = ""


@dataclass(frozen=True)
class Outcome:
    """What a runner says about one run.

    `result` is JSON text (the callback's return value) or None. `output` is what the run printed,
    already cut to what is kept. `runtime_ms` is wall time in the callback. `note` says what a
    person should know about a run that is otherwise fine ("the callback called exit()").
    """

    ending: Ending
    result: str | None = None
    error: JobError | None = None
    output: bytes = b""
    note: str | None = None
    runtime_ms: int = 0
    memory_bytes: int = 0
    progress: Progress | None = None
    callback: str | None = None


@dataclass(frozen=True)
class NewJob:
    """A job to be put into a queue. `delay_ms` counts from now, in the queue's clock."""

    queue: str
    payload: bytes
    priority: int = 0
    delay_ms: int = 0
    max_attempts: int = 3
    backoff: int = 30
    timeout: int | None = None
    unique: str | None = None
    batch: str | None = None
    blog_id: int = 1
    callback: str | None = None
    extra: dict[str, Any] = field(default_factory=dict)
