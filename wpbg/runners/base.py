"""The port: what a worker may ask of a runner.

A runner has one slot's PHP process, or the means to start one for each job, and it alone decides whether
that process lives. It never raises for what a job or a process does: it says so in the outcome.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from wpbg.job import Ending, Job, Outcome, Progress

KEPT_HEAD = 64 * 1024
KEPT_TAIL = 192 * 1024
"""Bytes. Of what a run prints, this much of the beginning and of the end is kept."""


class Stop(enum.IntEnum):
    """Why a run is stopped from outside; a later, stronger one wins."""

    CANCEL = 1
    """Somebody cancelled the job: ask it, then stop it. Ends as `cancelled`."""
    INTERRUPT = 2
    """The worker's grace is over: ask, then stop soon. Ends as `interrupted`."""
    NOW = 3
    """Stop this instant. Ends as `interrupted`."""


LEFT_ALONE = Outcome(Ending.INTERRUPTED)
"""The outcome of a job that was sent ahead and whose turn came too late: it has not begun. Told by identity."""


class Listener(Protocol):
    """Told of what happens while a job runs, in the runner's thread."""

    def started(self, pid: int) -> None:
        """The callback is about to be called, in the process `pid` (its own view of its number)."""

    def progress(self, progress: Progress) -> None:
        """The job said how far it is."""

    def ahead(self, most: int) -> Sequence[Job]:
        """The jobs that come next, at most so many, which may be sent to PHP already: those after the ones that were
        given before."""

    def withdrawn(self, left: int) -> None:
        """Of the jobs that were sent ahead, PHP has only the next `left` any more. The others have not begun, and will
        not until they are given to `run`."""


class Runner(Protocol):
    """Runs one job at a time. `window`: how many jobs are worth claiming ahead for it."""

    window: int

    def arm(self) -> None:
        """Forget an earlier `stop`: what is stopped from here on is the next run."""

    def run(self, job: Job, listener: Listener) -> Outcome:
        """Run `job` to its end and say how it ended. Returns within its time limit plus a few seconds. `LEFT_ALONE`: it
        was sent ahead and has not begun; it goes back to its queue, for others are with PHP now."""

    def stop(self, reason: Stop) -> None:
        """End the run that is under way or about to begin; `run` then returns. May be called from another thread."""

    def warm(self) -> None:
        """While there is nothing to do: have a process ready. Says nothing when it does not start."""

    def recycle(self) -> None:
        """Let go of PHP processes before the next job. May be called from another thread."""

    def close(self) -> None:
        """End every process."""


@dataclass(frozen=True)
class Limits:
    """Seconds. `boot`: from starting PHP to `ready`. `kill_after`: from the exception that a time limit
    throws in PHP to killing what is left. `leave`: from an outcome to the end of the process, in which
    WordPress's shutdown functions run. `ask`: from asking a run to stop to killing it. `obey`: how long a parent
    may take to end its child before both are killed."""

    boot: float = 60.0
    kill_after: float = 5.0
    leave: float = 30.0
    ask: float = 3.0
    obey: float = 2.0


class Kept:
    """What a run printed, as much of it as is kept: the beginning, the end, and how much is missing between."""

    def __init__(self, head: int = KEPT_HEAD, tail: int = KEPT_TAIL) -> None:
        self._head_room, self._tail_room = head, tail
        self._head = bytearray()
        self._tail = bytearray()
        self._dropped = 0

    def add(self, data: bytes) -> None:
        room = self._head_room - len(self._head)
        self._head += data[:room]
        self._tail += data[room:] if room > 0 else data
        if len(self._tail) > 2 * self._tail_room:
            self._trim()

    def _trim(self) -> None:
        surplus = len(self._tail) - self._tail_room
        if surplus > 0:
            self._dropped += surplus
            del self._tail[:surplus]

    def value(self) -> bytes:
        self._trim()
        if not self._dropped:
            return bytes(self._head + self._tail)
        gap = f"\n… {self._dropped:,} bytes were not kept …\n".encode()
        return bytes(self._head) + gap + bytes(self._tail)

    def telling_line(self, limit: int = 300) -> str:
        """The line that says most about an end: the last error, else the last line; empty when nothing was said."""
        text = bytes(self._head + self._tail).decode("utf-8", "replace")
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith(("PHP Fatal error", "PHP Parse error", "Error:"))]
        return (errors or lines or [""])[-1][:limit]
