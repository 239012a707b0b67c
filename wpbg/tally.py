"""What came of a worker's jobs, for its last line."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from wpbg.job import Outcome
from wpbg.queues.base import Settlement
from wpbg.settle import Decision


@dataclass
class Tally:
    """How many runs ended how, and the last of them. Every slot may note its own."""

    endings: dict[str, int] = field(default_factory=dict)
    last: tuple[Outcome, Decision] | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def note(self, items: Sequence[Settlement]) -> None:
        """Runs that were recorded, at least one."""
        with self._lock:
            for item in items:
                key = item.outcome.ending.value
                self.endings[key] = self.endings.get(key, 0) + 1
            self.last = (items[-1].outcome, items[-1].decision)
