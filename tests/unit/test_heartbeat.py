"""Leases are renewed whatever the rest of the worker waits for."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Sequence
from typing import Any, cast

from tests.support.wait import wait_for
from wpbg.control import Control
from wpbg.errors import QueueUnreachable
from wpbg.heartbeat import Heartbeat
from wpbg.job import Job, Lease
from wpbg.log import Log
from wpbg.pool import Pool, PoolOptions
from wpbg.queues.base import Renewal, Ticked

LOG = Log(stream=io.StringIO())


class Queue:
    """Renews what it is asked to, after `troubles`; a round of housekeeping takes as long as `slow` is not set."""

    capabilities: frozenset[Any] = frozenset()

    def __init__(self, *troubles: BaseException) -> None:
        self.troubles, self.renewed, self.closed = list(troubles), 0, False
        self.slow = threading.Event()
        self.again = 0

    def renew(self, leases: Sequence[Lease]) -> Renewal:
        if self.troubles:
            raise self.troubles.pop(0)
        self.renewed += len(leases)
        self.again -= 1
        return Renewal(again=frozenset(leases if self.again >= 0 else []))

    def tick(self) -> Ticked:
        self.slow.wait(20)
        return Ticked(0, (), (), 0, ())

    def close(self) -> None:
        self.closed = True

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **kwargs: []


class Busy:
    """A slot with one job."""

    def __init__(self) -> None:
        self.held = [Lease(Job("1", "q", b"", 1), 1, 0, 0)]
        self.running = self.held[0]

    def leases(self) -> list[Lease]:
        return self.held


def test_a_server_that_was_away_is_asked_again_until_the_end() -> None:
    queue, failed = Queue(*[QueueUnreachable("It does not answer.")] * 3), list[BaseException]()
    beat = Heartbeat(cast(Any, queue), cast(Any, [Busy()]), LOG, 0.01, failed.append)
    beat.start()
    wait_for(lambda: queue.renewed > 3, 10, "leases are renewed")
    beat.stop(5)
    assert queue.closed
    renewed = queue.renewed
    time.sleep(0.05)
    assert queue.renewed == renewed
    assert failed == []


def test_what_it_cannot_bear_is_told() -> None:
    queue, failed = Queue(ValueError("What?")), list[BaseException]()
    beat = Heartbeat(cast(Any, queue), cast(Any, [Busy()]), LOG, 0.01, failed.append)
    beat.start()
    wait_for(lambda: queue.renewed > 3, 10, "it goes on: jobs still run")
    assert [type(error) for error in failed] == [ValueError]
    beat.stop(5)
    assert queue.closed


def test_what_somebody_held_is_tried_again_soon() -> None:
    queue, failed = Queue(), list[BaseException]()
    queue.again = 1
    beat = Heartbeat(cast(Any, queue), cast(Any, [Busy()]), LOG, 1.0, failed.append)
    beat.start()
    wait_for(lambda: queue.renewed, 10, "the first beat")
    began = time.monotonic()
    wait_for(lambda: queue.renewed > 1, 10, "the next one")
    assert time.monotonic() - began < 0.9
    beat.stop(5)


def test_a_pool_whose_thread_is_held_up_keeps_its_leases() -> None:
    queue = Queue()
    options = PoolOptions(name="w", queues=("q",), lease=0.06, signals=False)
    pool = Pool(options, lambda: cast(Any, queue), cast(Any, Runner), cast(Any, Queue()), Control(), LOG)
    for slot in pool.slots:
        slot._claimed.hold([Lease(Job("1", "q", b"", 1), 1, 0, 0)])
    thread = threading.Thread(target=pool.run)
    thread.start()
    wait_for(lambda: queue.renewed > 5, 10, "leases are renewed while housekeeping hangs")
    assert not queue.slow.is_set()
    queue.slow.set()
    pool.stop("Enough was seen.")
    thread.join(20)
    assert not thread.is_alive()


def test_the_pools_connection_renews_them_when_the_heartbeat_has_none() -> None:
    """A server may have no more connections for us, and rescue is done on one that was made before."""
    works, fails = Queue(), Queue(*[QueueUnreachable("Too many connections.")] * 10_000)
    works.slow.set()
    queues = [works, works, fails]
    stream = io.StringIO()
    options = PoolOptions(name="w", queues=("q",), lease=0.3, signals=False)
    pool = Pool(
        options, lambda: cast(Any, queues.pop(0)), cast(Any, Runner), cast(Any, Queue()), Control(), Log(stream=stream)
    )
    pool.slots[0]._claimed.hold([Lease(Job("1", "q", b"", 1), 1, 0, 0)])
    thread = threading.Thread(target=pool.run)
    thread.start()
    wait_for(lambda: works.renewed > 2, 10, "the leases are renewed all the same")
    pool.stop("Enough was seen.")
    thread.join(20)
    assert not thread.is_alive()


def test_leases_that_nobody_can_renew_are_told_of_once() -> None:
    stream = io.StringIO()
    queue = Queue(*[QueueUnreachable("Too many connections.")] * 40)
    beat = Heartbeat(cast(Any, queue), cast(Any, [Busy()]), Log(stream=stream), 0.01, [].append)
    beat.warn()
    assert stream.getvalue() == ""
    beat.start()

    def warned() -> bool:
        beat.warn()
        return "renewed_again" in stream.getvalue()

    wait_for(warned, 10, "it is over")
    beat.stop(5)
    assert stream.getvalue().count("lease.not_renewed") == 1
    assert "Too many connections. When the leases of 1 running job(s) run out" in stream.getvalue()


class Runner:
    """One that has nothing to do."""

    window = 1

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **kwargs: None
