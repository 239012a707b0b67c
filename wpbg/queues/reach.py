"""Whether a broker can be reached, as one worker's connections have found it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from wpbg.errors import QueueUnreachable
from wpbg.log import Log

AWAY = 5.0
"""Seconds a broker that cannot be reached is left alone; the table is served meanwhile."""

LONGEST = 30.0
"""Seconds it is left alone at most: the time doubles with each try in vain."""


class Reach:
    """Shared by a worker's slots: one of them tries again, the others go on with the table meanwhile; said once.

    `one_of`: the server's name, where a broker has several.
    """

    def __init__(
        self, log: Log | None = None, clock: Callable[[], float] = time.monotonic, one_of: str | None = None
    ) -> None:
        self._log, self._clock, self._one_of = log, clock, one_of
        self._lock = threading.Lock()
        self._away_until = 0.0
        self._pause = AWAY
        self._lost = False
        self.losses = 0
        """How often it was lost. A connection that is older than the last time is dead."""

    @property
    def away(self) -> bool:
        """Whether it is left alone for now."""
        return self._lost and self._clock() < self._away_until

    def may_ask(self) -> bool:
        """Whether this caller may talk to it now. Of those who ask while it is lost, one may at a time."""
        with self._lock:
            if not self._lost:
                return True
            if self._clock() < self._away_until:
                return False
            self._pause = min(self._pause * 2, LONGEST)
            self._away_until = self._clock() + self._pause
            return True

    def lost(self, lane: str, error: QueueUnreachable) -> None:
        """It did not answer. Those who had asked before they could know it say the same once more."""
        with self._lock:
            said, self._lost = self._lost, True
            if not said:
                self.losses += 1
                self._pause = AWAY
                self._away_until = self._clock() + self._pause
        if self._log:
            self._log.hint("lane.error", lane=lane)
        if self._log and not said and self._one_of is None:
            self._log.event("lane.lost", f"{error.message} Jobs come through the table meanwhile.", lane=lane)
        elif self._log and not said:
            more = f"{error.message} What waits in it waits on; the other servers are used meanwhile."
            self._log.event("lane.server_lost", more, lane=lane, server=self._one_of)

    def found(self, lane: str) -> None:
        """It answered."""
        with self._lock:
            said, self._lost = self._lost, False
        if self._log and said:
            name = "lane.back" if self._one_of is None else "lane.server_back"
            self._log.event(name, "It answers again.", lane=lane, server=self._one_of)
