"""Where a pool shows its slots: the port that the ledger fills."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from wpbg.bookkeeping import Books


@dataclass(frozen=True)
class WorkerRow:
    """One slot as the workers' list shows it. Times are ms in the queue's clock; the ledger fills them in."""

    name: str
    host: str
    pid: int
    slot: int
    mode: str
    queues: tuple[str, ...]
    state: str
    job_id: str | None
    jobs_done: int
    memory_bytes: int
    version: str


class Board(Books, Protocol):
    """Where the pool shows its slots (the ledger)."""

    def show_workers(self, rows: Sequence[WorkerRow]) -> None:
        """Write or refresh the rows; a row is known by host, pid and slot."""

    def hide_workers(self, rows: Sequence[WorkerRow]) -> None:
        """Take them away."""

    def close(self) -> None: ...
