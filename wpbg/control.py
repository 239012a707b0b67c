"""What the pool tells its slots: whether to go on, and that there may be work."""

from __future__ import annotations

import threading


class Control:
    """One for all slots of a pool. Seconds: an idle slot looks for work again after `idle_min`, then less and less
    often, at the latest after `idle_max`; it rests for `between` after each job."""

    def __init__(self, idle_min: float = 0.05, idle_max: float = 1.0, between: float = 0.0) -> None:
        self.idle_min, self.idle_max, self.between = idle_min, max(idle_max, idle_min), between
        self.stopping = threading.Event()
        self.abandon = threading.Event()
        """Set when even recording an outcome may not be waited for any more."""
        self._bell = threading.Condition()
        self._rung = 0
        self._knocked = False

    def ring(self) -> None:
        """Wake every idle slot."""
        with self._bell:
            self._rung += 1
            self._bell.notify_all()

    def knock(self) -> None:
        """Wake one idle slot, or have the next one that becomes idle look again first."""
        with self._bell:
            self._knocked = True
            self._bell.notify()

    def wait(self, seconds: float) -> None:
        """Wait for a ring or a knock, at most so long."""
        with self._bell:
            rung = self._rung
            self._bell.wait_for(lambda: self._knocked or self._rung != rung or self.stopping.is_set(), seconds)
            self._knocked = False

    def stop(self) -> None:
        """No slot takes another job."""
        self.stopping.set()
        self.ring()
