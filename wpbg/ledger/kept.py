"""Statistics and batches in the site's database."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import phpserialize

from wpbg.job import NewJob, Status
from wpbg.queues.connection import Database, Row
from wpbg.queues.records import label, new_row
from wpbg.statistics import Taken

MINUTE, QUARTER, HOUR = 60, 900, 3600
KEPT = {MINUTE: 2 * HOUR + QUARTER, QUARTER: 49 * HOUR}
"""For how long statistics of a span are kept. Seconds."""
BATCHES_KEPT_MS = 30 * 24 * HOUR * 1000

OPEN = 50
"""Open batches that are looked at in one go: the newest ones."""
COUNT_EVERY_MS = 2000
IDLE_MS, IDLE_EVERY_MS = 20_000, 60_000
"""A batch that has had no job settled for so long is counted so rarely: it waits for a delay, or for a worker."""
PATIENCE = 20
"""A batch that takes long to count is counted so many times more rarely than it takes."""

SKEW_MS = 1000
"""Milliseconds by which two workers may differ about the time."""

UNFINISHED = (Status.QUEUED, Status.DELAYED, Status.RUNNING)
TELLER = "Background_Worker\\Batch_Events::tell"


class KeptBooks:
    """One connection's view of the tables of the plugin's class `Kept_Tables`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._pruned_s = 0

    def record(self, taken: Taken, now_ms: int) -> None:
        """Add to the rows of now, in the same order in every worker."""
        now = now_ms // 1000
        sums = [
            {"span": span, "starts_at": now - now % span, "queue": label(queue), **vars(of_queue)}
            for span in (MINUTE, QUARTER)
            for queue, of_queue in sorted(taken.queues.items())
        ]
        hour = now - now % HOUR
        clock = time.monotonic()
        runs = [
            {"starts_at": hour, "callback": label(callback), "bucket": bucket, "runs": runs}
            for (callback, bucket), runs in sorted(taken.runs.items())
        ]

        def write() -> None:
            self._database.changes("add_statistics", sums)
            self._database.changes("add_run_times", runs)
            self._touch({batch: now_ms - round((clock - at) * 1000) for batch, at in taken.batches.items()})

        self._database.atomically(write)
        if now - self._pruned_s >= MINUTE:
            self._pruned_s = now
            self._prune(now)

    def touch(self, batches: Sequence[str], now_ms: int) -> None:
        """Mark batches as open."""
        self._database.atomically(lambda: self._touch(dict.fromkeys(batches, now_ms)))

    def _touch(self, batches: Mapping[str, int]) -> None:
        rows = [{"batch": label(batch), "at": at} for batch, at in sorted(batches.items())]
        self._database.changes("touch_batch", rows)

    def _prune(self, now: int) -> None:
        for span, seconds in KEPT.items():
            self._database.change("prune_statistics", span=span, before=now - seconds)
        self._database.change("prune_run_times", before=now - KEPT[QUARTER])
        self._database.change("prune_batches", before=now * 1000 - BATCHES_KEPT_MS)

    def close_batches(self, queue: str, quiet_ms: int, now: Callable[[], int]) -> list[str]:
        """Count the open batches anew; those that are done are closed, each by one worker, with a job that tells."""
        return [
            row["batch"]
            for row in self._database.rows("open_batches", limit=OPEN)
            if self._is_due(row, quiet_ms, now()) and self._look(row, queue, quiet_ms, now)
        ]

    @staticmethod
    def _is_due(row: Row, quiet_ms: int, now_ms: int) -> bool:
        every = IDLE_EVERY_MS if now_ms - int(row["touched_at"]) > IDLE_MS else COUNT_EVERY_MS
        return quiet_ms <= 0 or now_ms - int(row["counted_at"]) >= max(every, PATIENCE * int(row["cost_ms"]))

    def _look(self, row: Row, queue: str, quiet_ms: int, now: Callable[[], int]) -> bool:
        batch, began = row["batch"], time.monotonic()
        found = {each["status"]: int(each["jobs"]) for each in self._database.rows("batch_counts", batch=batch)}
        counts = {status.value: found.get(status.value, 0) for status in Status}
        cost = round((time.monotonic() - began) * 1000)
        columns = {**counts, "waiting_delayed": counts["delayed"]}
        del columns["delayed"]
        now_ms = now()  # After the counting: whatever ended later than this is not in it.
        self._database.change(
            "count_batch", batch=batch, now=now_ms, cost_ms=cost, rate=rate(row, counts, now_ms), **columns
        )
        if any(counts[status.value] for status in UNFINISHED) or now_ms - int(row["touched_at"]) < quiet_ms:
            return False
        return self._close(row, queue, counts, now_ms)

    def _close(self, row: Row, queue: str, counts: dict[str, int], now_ms: int) -> bool:
        batch = row["batch"]
        blogs = self._database.rows("batch_blog", batch=batch)
        data = {"batch": batch, "counts": {**counts, "total": sum(counts.values())}}
        job = NewJob(
            queue=queue,
            payload=php_job(TELLER, data),
            blog_id=int(blogs[0]["blog_id"]) if blogs else 0,
            callback="background_batch_completed",
        )

        def close() -> bool:
            guard = {"batch": batch, "touched_at": row["touched_at"]}
            if not self._database.change("close_batch", **guard, now=now_ms):
                return False
            # All its jobs were deleted, or a worker wrote down late what was told already.
            tells = bool(blogs) and not is_the_same_end(row, counts)
            if tells:
                self._database.insert("put", **new_row(job, now_ms))
            return tells

        return self._database.atomically(close)


def is_the_same_end(row: Row, counts: dict[str, int]) -> bool:
    """Whether a batch was closed at the same counts just before: clocks of two workers differ a little."""
    if row["closed_at"] is None or int(row["touched_at"]) - int(row["closed_at"]) > SKEW_MS:
        return False
    return all(int(row[status.value]) == counts[status.value] for status in Status if status.finished)


def rate(row: Row, counts: dict[str, int], now_ms: int) -> int:
    """Finished jobs per 1,000 s, smoothed over the last counts."""
    passed = now_ms - int(row["counted_at"])
    finished = counts["completed"] + counts["failed"] + counts["cancelled"]
    if int(row["counted_at"]) == 0 or passed <= 0:
        passed, before = max(1, now_ms - int(row["first_at"])), 0
    else:
        before = int(row["completed"]) + int(row["failed"]) + int(row["cancelled"])
    now = max(0, finished - before) * 1_000_000 // passed
    last = int(row["rate"])
    return now if last == 0 else round(0.7 * last + 0.3 * now)


def php_job(function: str, data: dict[str, Any]) -> bytes:
    """The payload of a job that calls a function of the plugin: what PHP's serialize() makes of it."""
    name, argument = bytes(phpserialize.dumps(function)), bytes(phpserialize.dumps(data))
    return b'O:8:"stdClass":2:{s:8:"function";' + name + b's:9:"user_data";' + argument + b"}"
