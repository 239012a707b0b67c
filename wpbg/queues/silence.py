"""How long leases have gone without being renewed, by a clock that nobody sets."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence

from wpbg.queues.records import Row


class Silence:
    """Looks at the leases again and again. Where the time of leases is this machine's wall clock, a lease that has run
    out says little: the clock may have been set back when it was taken, and be right again by now. A worker that lives
    renews it; one that has not for `least` seconds, in which we looked, is gone.
    """

    def __init__(self, least: float, awake: Callable[[], float] = time.monotonic) -> None:
        self._least, self._awake = least, awake
        self._now = -math.inf
        self._seen: dict[tuple[int, int], tuple[int, float]] | None = None

    def look(self, leases: Sequence[Row], now_ms: int) -> None:
        """All leases, now. What has run out before the first look is taken to be silent: nobody knows better."""
        self._now = self._awake()
        known, first = self._seen or {}, self._seen is None
        self._seen = {}
        for row in leases:
            key, until = _key(row), int(row["due_at"])
            before = known.get(key)
            since = -math.inf if first and until <= now_ms else self._now
            self._seen[key] = before if before is not None and before[0] == until else (until, since)

    def lasts(self, row: Row) -> bool:
        """Whether that lease was not renewed for long enough."""
        seen = (self._seen or {}).get(_key(row))
        return seen is not None and self._now - seen[1] >= self._least


def _key(row: Row) -> tuple[int, int]:
    return int(row["id"]), int(row["lease_token"])
