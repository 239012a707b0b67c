"""When a batch may be taken for done."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from wpbg import bookkeeping
from wpbg.bookkeeping import QUIET, QUIET_BEHIND_A_BROKER, Bookkeeper
from wpbg.log import Log
from wpbg.statistics import Taken


class Books:
    def __init__(self) -> None:
        self.quiet: list[int] = []

    def record(self, taken: Taken) -> None: ...

    def touch_batches(self, batches: Sequence[str]) -> None: ...

    def close_batches(self, queue: str, quiet_ms: int) -> list[str]:
        self.quiet.append(quiet_ms)
        return []


@pytest.mark.parametrize(("incoming", "quiet"), [(False, QUIET), (True, QUIET_BEHIND_A_BROKER)])
def test_a_batch_is_not_done_while_its_jobs_may_wait_in_a_broker(
    monkeypatch: pytest.MonkeyPatch, incoming: bool, quiet: float
) -> None:
    monkeypatch.setattr(bookkeeping, "LOOK", 0.0)
    books = Books()
    Bookkeeper(books, "default", Log(), lambda: incoming).keep()
    assert books.quiet == [quiet * 1000]
