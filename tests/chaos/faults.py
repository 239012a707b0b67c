"""What may happen to it. Each fault is begun, lasts, and is over: a function that returns when it is."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.chaos.bench import LEASE, Bench


@dataclass(frozen=True)
class Fault:
    """`happen` does it, all of it; `possible` says whether this machine and this backend can have it."""

    name: str
    weight: int
    happen: Callable[[Bench, random.Random], None]
    possible: Callable[[Bench], bool] = lambda bench: True


def kill_worker(bench: Bench, chance: random.Random) -> None:
    workers = bench.workers()
    if workers:
        chance.choice(workers).kill()


def kill_php(bench: Bench, chance: random.Random) -> None:
    processes = bench.php()
    if processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(chance.choice(processes), signal.SIGKILL)


def freeze_worker(bench: Bench, chance: random.Random) -> None:
    """Longer than its leases last; its PHP goes on."""
    workers = bench.workers()
    if workers:
        _freeze(chance.choice(workers).pid, LEASE + chance.uniform(0.5, 1.5))


def freeze_php(bench: Bench, chance: random.Random) -> None:
    processes = bench.php()
    if processes:
        _freeze(chance.choice(processes), LEASE + chance.uniform(0.5, 1.5))


def _freeze(pid: int, seconds: float) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGSTOP)
        try:
            time.sleep(seconds)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def restart_database(bench: Bench, chance: random.Random) -> None:
    assert bench.server is not None
    bench.server.kill()
    time.sleep(chance.uniform(0, 1.5))
    bench.server.start()


def lock_database(bench: Bench, chance: random.Random) -> None:
    """SQLite has no server to restart: somebody holds its one lock for writing."""
    connection = sqlite3.connect(bench.site.database, timeout=10, isolation_level=None)
    try:
        connection.execute("BEGIN IMMEDIATE")
        time.sleep(chance.uniform(0.5, 2.5))
        connection.execute("ROLLBACK")
    except sqlite3.OperationalError:
        pass  # Somebody else held it all the time.
    finally:
        connection.close()


def restart_broker(bench: Bench, chance: random.Random) -> None:
    assert bench.broker is not None
    bench.broker.kill()
    time.sleep(chance.uniform(0, 1.0))
    bench.broker.start()


def pull_the_cable(bench: Bench, chance: random.Random) -> None:
    """Nothing reaches the database for a while; afterwards all goes on, or every connection is broken."""
    assert bench.cable is not None
    bench.cable.pull_out()
    time.sleep(chance.choice([0.3, 1.0, LEASE + 1]))
    if chance.random() < 0.5:
        bench.cable.cut()
    bench.cable.put_back()


def fill_the_disk(bench: Bench, chance: random.Random) -> None:
    """That of the log and the caches."""
    filler = bench.small_disk / "filler"
    with contextlib.suppress(OSError), filler.open("wb") as file:
        while True:
            file.write(b"x" * 65536)
            file.flush()
    time.sleep(chance.uniform(0.5, 1.5))
    filler.unlink(missing_ok=True)


def move_the_clock(bench: Bench, chance: random.Random) -> None:
    bench.move_clock(chance.choice([-3600, -60, -5, 5, 60, 3600]))
    time.sleep(chance.uniform(0.5, 2))
    bench.move_clock(0)


FAULTS = (
    Fault("kill worker", 5, kill_worker),
    Fault("kill PHP", 6, kill_php),
    Fault("freeze worker", 1, freeze_worker),
    Fault("freeze PHP", 1, freeze_php),
    Fault("restart database", 2, restart_database, lambda bench: bench.server is not None),
    Fault("lock database", 2, lock_database, lambda bench: bench.server is None),
    Fault("restart broker", 3, restart_broker, lambda bench: bench.broker is not None),
    Fault("cut network", 2, pull_the_cable, lambda bench: bench.cable is not None),
    Fault("full disk", 1, fill_the_disk, lambda bench: bench.disk_is_small),
    Fault("move clock", 1, move_the_clock, lambda bench: bench.faketime is not None),
)


def plan(bench: Bench, count: int, chance: random.Random) -> list[Fault]:
    """So many faults in an order that the seed decides, each kind that is possible at least once."""
    possible = [fault for fault in FAULTS if fault.possible(bench)]
    chosen = possible[:count] + chance.choices(possible, [f.weight for f in possible], k=max(0, count - len(possible)))
    chance.shuffle(chosen)
    return chosen
