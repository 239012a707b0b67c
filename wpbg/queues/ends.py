"""What is recorded of a run that was settled, as columns and in which order. No I/O."""

from __future__ import annotations

import enum
from collections.abc import Sequence

from wpbg.job import Lease, Outcome, Status
from wpbg.queues.base import Settlement
from wpbg.queues.connection import TooLarge
from wpbg.queues.records import Row, history_entry, outcome_columns, progress_columns
from wpbg.settle import Finish

LONG = 16_000
"""Characters of a result that is written by itself, not in a list with others."""

KEPT_OUTPUT = 32 * 1024
"""Bytes of output that are kept of a run whose outcome is too large for the database."""


def guard(lease: Lease) -> Row:
    """What tells the job, and that it is still under this lease."""
    return {"id": int(lease.job.id), "token": lease.token}


def began_at(item: Settlement, now: int) -> int:
    return max(item.lease.reserved_ms, now - item.outcome.runtime_ms)


def history_of(item: Settlement, now: int) -> str:
    """The run in the job's history."""
    lease = item.lease
    return history_entry(lease.job.attempt, lease.worker or None, began_at(item, now), now, item.outcome)


def end(item: Settlement, now: int) -> Row:
    """The columns of a job that ends."""
    assert isinstance(item.decision, Finish)
    status, kept = item.decision.status, outcome_columns(item.outcome)
    if status is Status.COMPLETED:
        kept["error"] = None
    columns = {**kept, **progress_columns(item.outcome), "status": status.value}
    entry = None if status is Status.COMPLETED else history_of(item, now)
    return {**guard(item.lease), **columns, "now": now, "began": began_at(item, now), "entry": entry}


class Way(enum.Enum):
    """How a settlement is written: with others that ended well and said nothing, as an end, or by itself."""

    COMPLETE = "complete"
    FINISH = "finish"
    OTHER = "other"


def way_of(item: Settlement) -> Way:
    outcome = item.outcome
    said = outcome.error or outcome.output or outcome.note or outcome.progress or len(outcome.result or "") > LONG
    way = way_alone(item)
    good = isinstance(item.decision, Finish) and item.decision.status is Status.COMPLETED
    return Way.COMPLETE if good and not said else way


def way_alone(item: Settlement) -> Way:
    """The same, where a statement is to say of each whether it was still ours."""
    return Way.FINISH if isinstance(item.decision, Finish) else Way.OTHER


def good_end(item: Settlement, now: int) -> Row:
    """The columns of a job that ended well and said nothing."""
    kept = outcome_columns(item.outcome)
    columns = {name: kept[name] for name in ("result", "runtime_ms", "callback")}
    return {**guard(item.lease), **columns, "now": now, "began": began_at(item, now)}


def key_of(lease: Lease) -> tuple[str, int]:
    return lease.job.id, lease.token


def in_order_of_ids(leases: Sequence[Lease]) -> list[Lease]:
    """Whoever takes several locks takes them in this order."""
    return sorted(leases, key=lambda lease: int(lease.job.id))


def in_order(settlements: Sequence[Settlement]) -> list[Settlement]:
    """By id: workers that settle several at once take their locks in the same order."""
    return sorted(settlements, key=lambda item: int(item.lease.job.id))


def smaller(outcome: Outcome, reason: TooLarge) -> Outcome:
    """The outcome without what made it too large to be recorded; the note says what is missing."""
    note = "Output cut and result dropped: the database did not take them in one piece (max_allowed_packet)."
    return Outcome(
        ending=outcome.ending,
        error=outcome.error,
        output=outcome.output[-KEPT_OUTPUT:],
        note=note if outcome.note is None else f"{outcome.note} {note}",
        runtime_ms=outcome.runtime_ms,
        memory_bytes=outcome.memory_bytes,
        progress=outcome.progress,
        callback=outcome.callback,
    )
