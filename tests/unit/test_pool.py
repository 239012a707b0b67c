"""The pool's own thread, with a server that is gone, or that says what nobody expected."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Sequence
from typing import Any, cast

import pytest

from tests.support.wait import wait_for
from wpbg.control import Control
from wpbg.errors import QueueError, QueueUnreachable
from wpbg.job import Ending, Job, Lease, Outcome
from wpbg.log import Log
from wpbg.pool import Pool, PoolOptions
from wpbg.queues.base import Renewal, Settlement, Ticked


class Gone:
    """A queue and a ledger: whatever needs the server is told that it does not answer."""

    capabilities: frozenset[Any] = frozenset()

    def __init__(self, asked: list[str]) -> None:
        self._asked, self._by = asked, threading.get_ident()

    def close(self) -> None: ...

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def ask(*args: object, **kwargs: object) -> None:
            if threading.get_ident() == self._by:
                self._asked.append(name)
            raise QueueUnreachable("It does not answer.")

        return ask


class Idle:
    """A runner that has nothing to do."""

    window = 1

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *args, **kwargs: None


def test_a_server_that_does_not_answer_is_asked_once_in_a_turn() -> None:
    """Each question may take a minute: several in a row, and the watchdog would take the worker for hung."""
    asked: list[str] = []
    turns: list[list[str]] = []

    def gone() -> Any:
        return Gone(asked)

    options = PoolOptions(name="w", queues=("q",), housekeeping=0, stop_when_empty=True, signals=False)
    pool = Pool(options, gone, cast(Any, Idle), gone(), Control(), Log(stream=io.StringIO()))

    def turn() -> None:
        turns.append(asked.copy())
        asked.clear()
        if len(turns) == 8:
            pool.stop("Enough was seen.")

    pool.at_turns.append(turn)
    pool.run()
    assert "show_workers" in turns[0]
    assert max(map(len, turns)) == 1, turns
    assert asked == ["hide_workers"], "nor when it ends"
    assert pool.not_ready


class Broken:
    """A queue with one job, and a ledger; housekeeping fails in a way that nobody has foreseen."""

    capabilities: frozenset[Any] = frozenset()

    def __init__(self) -> None:
        self.jobs = [Lease(Job("1", "q", b"", 1), 1, 1_000_000, 0)]
        self.began = threading.Event()
        self.renewed_after = 0
        self.settled: list[Settlement] = []

    def reserve(self, limit: int, worker: str) -> list[Lease]:
        jobs, self.jobs = self.jobs, []
        return jobs

    def tick(self) -> Ticked:
        if self.began.is_set():
            raise QueueError("The database refused a statement.")
        return Ticked()

    def renew(self, leases: Sequence[Lease]) -> Renewal:
        self.renewed_after += 1
        return Renewal()

    def settle_all(self, settlements: Sequence[Settlement]) -> list[bool]:
        self.settled += settlements
        return [True] * len(settlements)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return lambda *args, **kwargs: []


class Slow(Idle):
    """A runner whose job ends when the pool is stopping, and was renewed meanwhile."""

    def __init__(self, queue: Broken, control: Control) -> None:
        self._queue, self._control = queue, control

    def run(self, job: Job, listener: object) -> Outcome:
        self._queue.began.set()
        assert self._control.stopping.wait(10), "the error stops the worker"
        before = self._queue.renewed_after
        wait_for(lambda: self._queue.renewed_after > before + 1, 10, "the running job's lease is renewed")
        return Outcome(Ending.COMPLETED)


def test_an_error_of_the_pools_thread_ends_the_worker_after_the_running_jobs() -> None:
    queue, control = Broken(), Control()
    options = PoolOptions(name="w", queues=("q",), lease=0.06, housekeeping=0, signals=False)
    log = Log(stream=io.StringIO())
    pool = Pool(
        options, lambda: cast(Any, queue), lambda: cast(Any, Slow(queue, control)), cast(Any, queue), control, log
    )
    with pytest.raises(QueueError, match="refused a statement"):
        pool.run()
    assert [item.outcome.ending for item in queue.settled] == [Ending.COMPLETED]
