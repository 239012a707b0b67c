"""What the pool tells its slots: whether to go on, and that there may be work."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

TURNS = 4
"""Looks for work within `idle_max` by slots that rest together, at most: each costs the database a question. One, where
a doorbell rings: then looking is for jobs from other machines, and for delayed ones."""


class Control:
    """One for all slots of a pool. Seconds: an idle slot looks for work again after `idle_min`, then less and less
    often, at the latest after `idle_max`; it rests for `between` after each job.

    Slots that have come to wait for `idle_max` rest: they take turns in looking for all of them.
    """

    def __init__(self, idle_min: float = 0.05, idle_max: float = 1.0, between: float = 0.0) -> None:
        self.idle_min, self.idle_max, self.between = idle_min, max(idle_max, idle_min), between
        self.stopping = threading.Event()
        self.abandon = threading.Event()
        """Set when even recording an outcome may not be waited for any more."""
        self.turns = TURNS
        self._lock = threading.Lock()
        self._bell = threading.Condition(self._lock)
        self._rung = 0
        self._knocked = False
        self._line: deque[threading.Condition] = deque()
        self._watched = False

    def ring(self) -> None:
        """Wake every idle slot."""
        with self._bell:
            self._rung += 1
            self._bell.notify_all()
            for resting in self._line:
                resting.notify()

    def knock(self) -> None:
        """Wake one idle slot, or have the next one that becomes idle look again first."""
        with self._bell:
            self._knocked = True
            self._bell.notify()
            if self._line:
                self._line[0].notify()

    def wait(self, seconds: float) -> None:
        """Wait for a ring or a knock, at most so long; a slot that rests, until it is its turn to look."""
        with self._bell:
            rung = self._rung

            def woken() -> bool:
                return self._knocked or self._rung != rung or self.stopping.is_set()

            if seconds < self.idle_max:
                self._bell.wait_for(woken, seconds)
            else:
                self._rest(woken, seconds)
            self._knocked = False

    def _rest(self, woken: Callable[[], bool], seconds: float) -> None:
        """Until woken, or through a watch of one's own: the first in the line has it, and then the next."""
        mine = threading.Condition(self._lock)
        self._line.append(mine)
        try:
            mine.wait_for(lambda: woken() or (not self._watched and self._line[0] is mine))
            if not woken():
                self._watched = True
                try:
                    self._watch(mine, woken, seconds / min(len(self._line), self.turns))
                finally:
                    self._watched = False
        finally:
            self._line.remove(mine)
            if self._line and not self._watched:
                self._line[0].notify()

    def _watch(self, mine: threading.Condition, woken: Callable[[], bool], seconds: float) -> None:
        mine.wait_for(woken, seconds)

    def stop(self) -> None:
        """No slot takes another job."""
        self.stopping.set()
        self.ring()
