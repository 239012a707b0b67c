"""Beside the work: writing statistics down, and noticing that a batch is done. In the pool's own thread."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Protocol

from wpbg.errors import PluginNotReady, QueueUnreachable
from wpbg.log import Log
from wpbg.statistics import Statistics, Taken

FLUSH = 3.0
"""Seconds between two writes of statistics."""
LOOK = 1.0
"""Seconds between two looks at the open batches."""
QUIET = 3.0
"""Seconds that a batch must have had no job settled before it counts as done: more may be on their way."""
QUIET_BEHIND_A_BROKER = 60.0
"""The same while jobs wait in a broker: whose they are, it does not tell."""


class Books(Protocol):
    """Where it is kept (the ledger)."""

    def record(self, taken: Taken) -> None:
        """Add to the statistics, and mark the batches as open."""

    def touch_batches(self, batches: Sequence[str]) -> None:
        """Mark batches as open."""

    def close_batches(self, queue: str, quiet_ms: int) -> list[str]:
        """Batches that are done since: for each, a job in `queue` that tells WordPress. Their names."""


class Bookkeeper:
    """Keeps the books of one worker. `queue` gets the jobs that tell WordPress of a batch's end; `incoming` says
    whether jobs are on their way that the tables do not know of."""

    def __init__(self, books: Books, queue: str, log: Log, incoming: Callable[[], bool] = lambda: False) -> None:
        self._books, self._queue, self._log, self._incoming = books, queue, log, incoming
        self.statistics = Statistics()
        self._flush_at = self._look_at = time.monotonic() + LOOK
        self._is_off = False

    def keep(self) -> bool:
        """What is due by now; whether there are new jobs because of it. Raises `QueueUnreachable`."""
        now = time.monotonic()
        if now >= self._flush_at:
            self._flush_at = now + FLUSH
            self.flush()
        if now < self._look_at:
            return False
        self._look_at = now + LOOK
        return self.close_batches(QUIET_BEHIND_A_BROKER if self._incoming() else QUIET)

    def flush(self) -> None:
        """Write down what was counted. Raises `QueueUnreachable`; then it is counted on."""
        taken = self.statistics.take()
        if self._is_off or not (taken.queues or taken.batches):
            return
        try:
            self._books.record(taken)
        except QueueUnreachable:
            self.statistics.put_back(taken)
            raise
        except PluginNotReady as error:
            self._give_up(error)

    def close_batches(self, quiet: float) -> bool:
        """Notice batches that have had no job settled for `quiet` seconds and are done."""
        if quiet <= 0:
            self.flush()
        if self._is_off:
            return False
        try:
            done = self._books.close_batches(self._queue, round(quiet * 1000))
        except PluginNotReady as error:
            self._give_up(error)
            return False
        for batch in done:
            self._log.event("batch.done", "Its actions are run in WordPress by a job of their own.", batch=batch)
        return bool(done)

    def _give_up(self, error: PluginNotReady) -> None:
        """Tables of an older plugin: jobs run as they did, but nobody counts."""
        self._is_off = True
        self._log.event("statistics.off", f"No statistics and no actions for batches: {error.message}")
