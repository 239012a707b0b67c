"""What a worker has done and is doing, as its own log tells it."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from wpbg.cli.jobs import progress_text
from wpbg.cli.text import clean, duration

ENDS = {
    "job.completed": "done",
    "job.failed": "failed",
    "job.cancelled": "cancelled",
    "job.retry": "to be retried",
    "job.released": "",
    "job.lease_lost": "",
    "job.abandoned": "",
}
"""Events by which a slot is free again, and what they count as."""

COUNTED = ("failed", "cancelled", "to be retried")

WINDOW = 60.0
"""Seconds that the speed is measured over."""


@dataclass(frozen=True)
class Run:
    """A job that runs. `since` in the seconds of the clock."""

    job_id: str
    name: str
    since: float


class Score:
    """Counts events. Told by the worker's threads, read by the one that draws."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.RLock()
        self._counts: dict[str, int] = {}
        self._running: dict[str, Run] = {}
        self._progress: dict[str, str] = {}
        self._samples: deque[tuple[float, int]] = deque([(clock(), 0)])
        self._stopping = False
        self._unfinished: int | None = None
        self._ended_when_asked = 0

    def notice(self, event: str, fields: Mapping[str, Any]) -> None:
        """An event of the worker's log. How a job ended may be told after its slot has begun the next."""
        slot, job_id = str(fields.get("slot", "")), str(fields.get("id"))
        with self._lock:
            if event == "worker.stopping":
                self._stopping = True
            elif event == "job.started":
                name = clean(str(fields.get("callback") or f"job {job_id}"))
                self._running[slot] = Run(job_id, name, self._clock())
            elif event in ENDS and slot:
                word = ENDS[event]
                self._counts[word] = self._counts.get(word, 0) + 1
                if slot in self._running and self._running[slot].job_id == job_id:
                    del self._running[slot]

    def learn(self, unfinished: int, progress: Mapping[str, Mapping[str, Any] | None]) -> None:
        """What the database says: how many jobs are ready or running, and the progress of running ones by id."""
        with self._lock:
            self._unfinished, self._ended_when_asked = unfinished, self.ended
            self._progress = {job_id: clean(progress_text(said)) for job_id, said in progress.items() if said}

    def running_ids(self) -> list[str]:
        with self._lock:
            return [run.job_id for run in self._running.values()]

    @property
    def ended(self) -> int:
        """Jobs that were run to some end."""
        with self._lock:
            return sum(number for word, number in self._counts.items() if word)

    @property
    def left(self) -> int | None:
        """Jobs that are ready or running: as the database said, less those that have ended since."""
        with self._lock:
            if self._unfinished is None:
                return None
            return max(len(self._running), self._unfinished - (self.ended - self._ended_when_asked))

    @property
    def waiting(self) -> int | None:
        """Jobs that nobody runs yet."""
        with self._lock:
            return None if self.left is None else self.left - len(self._running)

    @property
    def total(self) -> int | None:
        """What there is to do in all, as far as is known."""
        with self._lock:
            return None if self.left is None else self.ended + self.left

    def seconds_left(self) -> float | None:
        """How long the rest takes at the speed of the last minute. To be asked now and then: it takes samples."""
        now = self._clock()
        with self._lock:
            self._samples.append((now, self.ended))
            while len(self._samples) > 2 and self._samples[1][0] <= now - WINDOW:
                self._samples.popleft()
            since, ended_then = self._samples[0]
            if self.left is None or self.ended == ended_then:
                return None
            return self.left * (now - since) / (self.ended - ended_then)

    def words(self, waiting: bool) -> str:
        """`12 done, 1 failed; import_row 4.0 s (120 of 300)`. With how many wait, if wanted."""
        with self._lock:
            counts = [f"{self._counts.get('done', 0):,} done"]
            counts += [f"{self._counts[word]:,} {word}" for word in COUNTED if self._counts.get(word)]
            if waiting and self.waiting is not None:
                counts.append(f"{self.waiting:,} waiting")
            running = ", ".join(map(self._words_of, self._running.values()))
            if self._stopping:
                running = f"stopping{' after ' if running else ''}{running}"
        return ", ".join(counts) + "; " + (running or ("starting the next" if self.waiting else "waiting for jobs"))

    def _words_of(self, run: Run) -> str:
        """A job that runs: its name, since when, and what it says of its progress."""
        said = self._progress.get(run.job_id)
        return f"{run.name} {duration(self._clock() - run.since)}" + (f" ({said})" if said else "")
