"""From an outcome to what becomes of the job. Pure: no clock, no queue, no randomness of its own.

::

    completed ──────────────────────────────► Finish(completed)
    cancelled ──────────────────────────────► Finish(cancelled)
    interrupted, not_started ───────────────► Release        (the attempt is given back)
    failed, timed_out, process_died,
    worker_lost ── attempts left ───────────► Retry(delay)
                └─ none left ───────────────► Finish(failed)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from wpbg.job import Ending, Job, Outcome, Status

MAX_BACKOFF = 6 * 60 * 60
"""Seconds. No retry waits longer than this, however many came before it."""


@dataclass(frozen=True)
class Finish:
    """The job has ended: `completed`, `failed` or `cancelled`."""

    status: Status


@dataclass(frozen=True)
class Retry:
    """The job runs again `delay_ms` from now; this attempt counts."""

    delay_ms: int


@dataclass(frozen=True)
class Release:
    """The job goes back as it was; this attempt does not count."""


Decision: TypeAlias = "Finish | Retry | Release"


def decide(job: Job, outcome: Outcome, jitter: Callable[[], float]) -> Decision:
    """What becomes of `job` after `outcome`. `jitter` gives a number in [0, 1)."""
    if outcome.ending is Ending.COMPLETED:
        return Finish(Status.COMPLETED)
    if outcome.ending is Ending.CANCELLED:
        return Finish(Status.CANCELLED)
    if outcome.ending in (Ending.INTERRUPTED, Ending.NOT_STARTED):
        return Release()
    if job.attempt >= job.max_attempts or _is_hopeless(outcome):
        return Finish(Status.FAILED)
    if outcome.ending is Ending.WORKER_LOST:
        return Retry(0)  # the lease was the wait; the job itself did nothing wrong that we know of
    return Retry(round(backoff_seconds(job.backoff, job.attempt, jitter()) * 1000))


def _is_hopeless(outcome: Outcome) -> bool:
    """Whether another run cannot end otherwise: a signature does not become right by waiting."""
    return outcome.error is not None and outcome.error.class_name == "ForgedJob"


def backoff_seconds(base: int, attempt: int, jitter: float) -> float:
    """Seconds to wait after failed run number `attempt`: base × 2^(attempt−1), ± 10 %, at most six hours.

    The spread keeps a thousand jobs that failed together (a service was down) from coming back
    together.
    """
    doubled = base * 2.0 ** min(attempt - 1, 30)
    return min(doubled * (0.9 + 0.2 * jitter), MAX_BACKOFF)
