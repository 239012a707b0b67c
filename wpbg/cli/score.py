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
        self._ends: deque[float] = deque()
        self._began = clock()
        self._stopping = False
        self._waiting: int | None = None
        self._begun_when_asked = 0

    def notice(self, event: str, fields: Mapping[str, Any]) -> None:
        """An event of the worker's log."""
        slot = str(fields.get("slot", ""))
        with self._lock:
            if event == "worker.stopping":
                self._stopping = True
            elif event == "job.started":
                name = clean(str(fields.get("callback") or f"job {fields.get('id')}"))
                self._running[slot] = Run(str(fields.get("id")), name, self._clock())
            elif event in ENDS and self._running.pop(slot, None) is not None:
                word = ENDS[event]
                self._counts[word] = self._counts.get(word, 0) + 1
                if word:
                    self._ends.append(self._clock())

    def learn(self, waiting: int, progress: Mapping[str, Mapping[str, Any] | None]) -> None:
        """What the database says: how many jobs are ready, and the progress of running ones by id."""
        with self._lock:
            self._waiting, self._begun_when_asked = waiting, self._begun
            self._progress = {job_id: clean(progress_text(said)) for job_id, said in progress.items() if said}

    def running_ids(self) -> list[str]:
        with self._lock:
            return [run.job_id for run in self._running.values()]

    @property
    def _begun(self) -> int:
        return sum(self._counts.values()) + len(self._running)

    @property
    def ended(self) -> int:
        """Jobs that were run to some end."""
        with self._lock:
            return sum(number for word, number in self._counts.items() if word)

    @property
    def waiting(self) -> int | None:
        """Jobs that are ready: as the database said, less those that were begun since."""
        with self._lock:
            if self._waiting is None:
                return None
            return max(0, self._waiting - (self._begun - self._begun_when_asked))

    @property
    def total(self) -> int | None:
        """What there is to do in all, as far as is known."""
        with self._lock:
            return None if self.waiting is None else self.ended + len(self._running) + self.waiting

    def seconds_left(self) -> float | None:
        """How long the rest takes at the speed of the last minute."""
        now = self._clock()
        with self._lock:
            total = self.total
            while self._ends and self._ends[0] < now - WINDOW:
                self._ends.popleft()
            if total is None or not self._ends:
                return None
            speed = len(self._ends) / max(0.001, min(WINDOW, now - self._began))
            return (total - self.ended) / speed

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
