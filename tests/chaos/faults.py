"""What may happen to it. Each fault is begun, lasts, and is over: a function that returns when it is."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tests.chaos.bench import LEASE, Bench

T = TypeVar("T")


@dataclass(frozen=True)
class Hit:
    """Whom a fault struck: a process of a worker, a whole worker (no `pid`), or everybody (no `worker`).

    With a process that forks, its children: they run on, but not for long, and to them their parent is another one.
    """

    worker: str | None = None
    pid: int | None = None
    children: frozenset[int] = frozenset()

    @property
    def pids(self) -> frozenset[int]:
        return self.children if self.pid is None else self.children | {self.pid}


EVERYBODY = Hit()


@dataclass(frozen=True)
class Fault:
    """`happen` does it, all of it, and says whom it struck: None when there was nobody to strike.

    `possible` says whether this machine and this backend can have it, `repeats` whether a job that it struck may run a
    second time: what a worker can sit out is no excuse for one.
    """

    name: str
    weight: int
    happen: Callable[[Bench, random.Random], Hit | None]
    possible: Callable[[Bench], bool] = lambda bench: True
    repeats: bool = True


def kill_worker(bench: Bench, chance: random.Random) -> Hit | None:
    for worker in _one(bench.workers(), chance):
        worker.process.kill()
        return Hit(worker.name)
    return None


def kill_php(bench: Bench, chance: random.Random) -> Hit | None:
    for pid, worker in _one(bench.php(), chance):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)  # No more children from here on.
            children = frozenset(children_of(pid))
            os.kill(pid, signal.SIGKILL)
            return Hit(worker, pid, children)
    return None


def children_of(parent: int) -> Iterator[int]:
    """The pids of its children. proc(5): the second field of `stat` is a name in brackets, the fourth the parent."""
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            fields = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()
            if int(fields[1]) == parent:
                yield int(folder.name)


def freeze_worker(bench: Bench, chance: random.Random) -> Hit | None:
    """Longer than its leases last; its PHP goes on."""
    for worker in _one(bench.workers(), chance):
        if _freeze(worker.process.pid, LEASE + chance.uniform(0.5, 1.5)):
            return Hit(worker.name)
    return None


def freeze_php(bench: Bench, chance: random.Random) -> Hit | None:
    """As long; its worker keeps the lease meanwhile."""
    for pid, worker in _one(bench.php(), chance):
        if _freeze(pid, LEASE + chance.uniform(0.5, 1.5)):
            return Hit(worker, pid)
    return None


def _one(of: Sequence[T], chance: random.Random) -> Sequence[T]:
    """Any of them, if there are any."""
    return [chance.choice(of)] if of else []


def _freeze(pid: int, seconds: float) -> bool:
    """Whether it was there to be frozen."""
    try:
        os.kill(pid, signal.SIGSTOP)
    except ProcessLookupError:
        return False
    try:
        time.sleep(seconds)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
    return True


def restart_database(bench: Bench, chance: random.Random) -> Hit | None:
    assert bench.server is not None
    bench.server.kill()
    time.sleep(chance.uniform(0, 1.5))
    bench.server.start()
    return EVERYBODY


def lock_database(bench: Bench, chance: random.Random) -> Hit | None:
    """SQLite has no server to restart: somebody holds its one lock for writing."""
    with contextlib.closing(sqlite3.connect(bench.site.database, timeout=10, isolation_level=None)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return None  # Somebody else held it all the time.
        time.sleep(chance.uniform(0.5, 2.5))
        connection.execute("ROLLBACK")
    return EVERYBODY


def restart_broker(bench: Bench, chance: random.Random) -> Hit | None:
    assert bench.broker is not None
    bench.broker.kill()
    time.sleep(chance.uniform(0, 1.0))
    bench.broker.start()
    return EVERYBODY


def pull_the_cable(bench: Bench, chance: random.Random) -> Hit | None:
    """Nothing reaches the servers for a while; afterwards all goes on, or every connection is broken."""
    assert bench.network is not None
    bench.network.pull_out()
    time.sleep(chance.choice([0.3, 1.0, LEASE + 1]))
    if chance.random() < 0.5:
        bench.network.cut()
    bench.network.put_back()
    return EVERYBODY


def fill_the_disk(bench: Bench, chance: random.Random) -> Hit | None:
    """That of the log and the caches."""
    filler = bench.small_disk / "filler"
    try:
        with filler.open("wb", buffering=0) as file:
            for size in (65536, 1):
                with contextlib.suppress(OSError):
                    while file.write(b"x" * size):
                        pass
        full = os.statvfs(bench.small_disk).f_bavail == 0
        time.sleep(chance.uniform(0.5, 1.5))
    finally:
        filler.unlink(missing_ok=True)
    return EVERYBODY if full else None


def move_the_clock(bench: Bench, chance: random.Random) -> Hit | None:
    assert bench.clock is not None
    bench.clock.set(chance.choice([-3600, -60, -5, 5, 60, 3600]))
    time.sleep(chance.uniform(0.5, 2))
    bench.clock.set(0)
    return EVERYBODY


FAULTS = (
    Fault("kill worker", 5, kill_worker),
    Fault("kill PHP", 6, kill_php),
    Fault("freeze worker", 1, freeze_worker),
    Fault("freeze PHP", 1, freeze_php, repeats=False),
    Fault("restart database", 2, restart_database, lambda bench: bench.server is not None),
    Fault("lock database", 2, lock_database, lambda bench: bench.server is None),
    Fault("restart broker", 3, restart_broker, lambda bench: bench.broker is not None),
    Fault("cut network", 2, pull_the_cable, lambda bench: bench.network is not None),
    Fault("full disk", 1, fill_the_disk, lambda bench: bench.disk_is_small, repeats=False),
    Fault("move clock", 1, move_the_clock, lambda bench: bench.clock is not None, repeats=False),
)


def plan(bench: Bench, count: int, chance: random.Random) -> list[Fault]:
    """So many faults in an order that the seed decides, each kind that is possible at least once."""
    possible = [fault for fault in FAULTS if fault.possible(bench)]
    chosen = possible[:count] + chance.choices(possible, [f.weight for f in possible], k=max(0, count - len(possible)))
    chance.shuffle(chosen)
    return chosen
