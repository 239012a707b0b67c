"""What a worker counts of the jobs it settles, until it is written down. No I/O.

A job costs a few additions; what is kept is bounded by names, not by jobs.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from wpbg.job import Status
from wpbg.queues.base import Loss, Settlement
from wpbg.settle import Finish, Retry

QUEUES = 50
"""Names of queues that one worker tells apart; the rest is counted as one."""
CALLBACKS = 200
OTHERS = "(others)"
UNKNOWN = "(unknown)"

LARGEST_BUCKET = 54
"""Two days and a bit."""


@dataclass
class Sums:
    """Of one queue. Milliseconds."""

    completed: int = 0
    failed: int = 0
    retried: int = 0
    waits: int = 0
    waited_ms: int = 0
    waited_most_ms: int = 0


@dataclass
class Taken:
    """What was counted since the last time: by queue; runs by callback and bucket;
    batches with the last moment (`time.monotonic`) at which a run of theirs ended."""

    queues: dict[str, Sums] = field(default_factory=dict)
    runs: dict[tuple[str, int], int] = field(default_factory=dict)
    batches: dict[str, float] = field(default_factory=dict)


def bucket_of(runtime_ms: int) -> int:
    """Half powers of two: bucket b holds run times from 2^(b/2) ms up to the next one's; 0 and 1 ms are in 0."""
    return min(LARGEST_BUCKET, int(2 * math.log2(runtime_ms))) if runtime_ms > 1 else 0


class Statistics:
    """Counts for one worker process; its slots and its pool may all talk to it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken = Taken()
        self._queues: set[str] = set()
        self._callbacks: set[str] = set()

    def note(self, items: Sequence[Settlement]) -> None:
        """Jobs that were settled. Those that went back untried do not count."""
        with self._lock:
            for item in items:
                if isinstance(item.decision, (Finish, Retry)):
                    self._note(item, item.decision)

    def _note(self, item: Settlement, decision: Finish | Retry) -> None:
        lease, outcome, job, taken = item.lease, item.outcome, item.lease.job, self._taken
        queue = _known(job.queue, self._queues, QUEUES)
        sums = taken.queues.get(queue)
        if sums is None:
            sums = taken.queues[queue] = Sums()
        if isinstance(decision, Retry):
            sums.retried += 1
        elif decision.status is Status.COMPLETED:
            sums.completed += 1
        elif decision.status is Status.FAILED:
            sums.failed += 1
        if lease.waited_ms is not None:
            sums.waits += 1
            sums.waited_ms += lease.waited_ms
            sums.waited_most_ms = max(sums.waited_most_ms, lease.waited_ms)
        callback = _known(outcome.callback or job.callback or UNKNOWN, self._callbacks, CALLBACKS)
        key = (callback, bucket_of(outcome.runtime_ms))
        taken.runs[key] = taken.runs.get(key, 0) + 1
        if job.batch is not None:
            taken.batches[job.batch] = item.ended

    def lost(self, losses: Sequence[Loss]) -> None:
        """Jobs that ended because their workers were lost."""
        for loss in losses:
            with self._lock:
                sums = self._taken.queues.setdefault(_known(loss.queue, self._queues, QUEUES), Sums())
                sums.failed += loss.failed
                if loss.batch is not None:
                    self._taken.batches[loss.batch] = time.monotonic()

    def take(self) -> Taken:
        """What was counted since the last time."""
        with self._lock:
            taken, self._taken = self._taken, Taken()
            return taken

    def put_back(self, taken: Taken) -> None:
        """What could not be written down is counted on."""
        with self._lock:
            for queue, old in taken.queues.items():
                new = self._taken.queues.setdefault(queue, Sums())
                for name in ("completed", "failed", "retried", "waits", "waited_ms"):
                    setattr(new, name, getattr(new, name) + getattr(old, name))
                new.waited_most_ms = max(new.waited_most_ms, old.waited_most_ms)
            for key, runs in taken.runs.items():
                self._taken.runs[key] = self._taken.runs.get(key, 0) + runs
            self._taken.batches = {**taken.batches, **self._taken.batches}


def _known(name: str, known: set[str], most: int) -> str:
    """The name, while there are not too many of them."""
    if name not in known:
        if len(known) >= most:
            return OTHERS
        known.add(name)
    return name
