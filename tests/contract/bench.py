"""What the contract's tests need besides the port: a clock, and what other people do to a queue meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from typing import Any, Protocol, TypeVar

import phpserialize
import pytest

from tests.support.site import Site
from wpbg.job import Ending, JobError, Lease, NewJob, Outcome, Status
from wpbg.ledger import Ledger
from wpbg.queues.base import Capability, Queue
from wpbg.queues.connection import Database
from wpbg.queues.database import DatabaseQueue
from wpbg.queues.envelope import MAC, PREFIX
from wpbg.queues.mysql import MySQL
from wpbg.queues.settings import DatabaseSettings
from wpbg.settle import Finish

T = TypeVar("T")

LEASE = 60_000
DAY = 86_400_000

DONE = Finish(Status.COMPLETED)
LOST = Finish(Status.FAILED)
FINE = Outcome(Ending.COMPLETED, result='{"sum":3}', output=b"done\n", runtime_ms=12)
BROKEN = Outcome(
    Ending.FAILED,
    error=JobError("RuntimeException", "no such product", "/site/import.php", 7, "#0 {main}"),
    output=b"row 4\n",
    runtime_ms=5,
)


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self, now_ms: int = 1_800_000_000_000) -> None:
        self.now = now_ms

    def now_ms(self) -> int:
        return self.now

    def advance(self, ms: int) -> None:
        self.now += ms


class Bench(Protocol):
    """One kind of queue, with nothing in it, and the people around it."""

    clock: Clock
    capabilities: frozenset[Capability]

    def queue(self, *names: str, **options: Any) -> Queue:
        """A connection of its own for these queues (none named: "default"); closed with the test."""

    def known(self, job_id: str) -> str:
        """The id that leases have for a job, once it was leased; `job_id` is what `put` returned."""

    def job(self, job_id: str) -> dict[str, Any]:
        """What people are shown of a job."""

    def log(self, job_id: str) -> list[dict[str, Any]]:
        """Its attempts, as people are shown them."""

    def cancel(self, job_id: str) -> None: ...

    def delete(self, job_id: str) -> None: ...

    def pause(self, queue: str) -> None: ...

    def resume(self, queue: str) -> None: ...

    def cut(self, queue: Queue) -> None:
        """End the queue's connection from the server's side, where there is a server."""


class DatabaseBench:
    """The database queue on the tables that the plugin made on a real site."""

    capabilities = frozenset(Capability)

    def __init__(self, site: Site, stack: ExitStack, **options: Any) -> None:
        self.site, self.clock, self._stack, self._options = site, Clock(), stack, options
        self.settings = settings_of(site)
        for table in ("bg_jobs", "bg_queues", "bg_workers"):
            site.query(f"DELETE FROM {site.table(table)}")
        self.ledger = stack.enter_context(closing(Ledger(self.settings, clock=self.clock)))

    def queue(self, *names: str, **options: Any) -> Queue:
        return self.table(*names, **options)

    def table(self, *names: str, **options: Any) -> DatabaseQueue:
        """A connection to the tables."""
        said = {"lease_ms": LEASE, "clock": self.clock, **self._options, **options}
        queue = self._stack.enter_context(closing(DatabaseQueue(self.settings, names or ("default",), **said)))
        # Connected now: the tests' server has just started, so leases are judged one lease length from here.
        queue.now_ms()
        return queue

    def known(self, job_id: str) -> str:
        return job_id

    def job(self, job_id: str) -> dict[str, Any]:
        return self.ledger.get_job(job_id)

    def log(self, job_id: str) -> list[dict[str, Any]]:
        return self.ledger.job_log(job_id)

    def cancel(self, job_id: str) -> None:
        self.ledger.cancel(job_id)

    def delete(self, job_id: str) -> None:
        self.site.query(f"DELETE FROM {self.site.jobs} WHERE id = %s", (int(self.known(job_id)),))

    def pause(self, queue: str) -> None:
        self.ledger.pause(queue)

    def resume(self, queue: str) -> None:
        self.ledger.resume(queue)

    def cut(self, queue: Queue) -> None:
        assert isinstance(queue, DatabaseQueue)
        self.cut_database(queue.database)

    def cut_database(self, database: Database) -> None:
        """The same for any connection to the site's server."""
        assert isinstance(database, MySQL)
        assert self.site.server is not None
        self.site.server.execute(f"KILL {int(database._ask('SELECT CONNECTION_ID() AS id')[0]['id'])}")


def settings_of(site: Site) -> DatabaseSettings:
    """What `wpbg.site` would be told by the site."""
    if site.server is None:
        return DatabaseSettings(engine="sqlite", prefix=site.prefix, file=site.database)
    return DatabaseSettings(
        engine="mysql",
        prefix=site.prefix,
        host=f"{site.server.host}:{site.server.port}",
        user=site.server.user,
        password=site.server.password,
        name=site.database,
        charset="utf8mb4",
    )


def need(bench: Bench, *capabilities: Capability) -> None:
    """Skip where the queue cannot do this, which it says itself."""
    missing = [each.value for each in capabilities if each not in bench.capabilities]
    if missing:
        pytest.skip(f"this queue has no {', '.join(missing)}")


def job(payload: bytes = b"x", queue: str = "default", **columns: Any) -> NewJob:
    return NewJob(queue=queue, payload=payload, **columns)


def put_one(to: Queue, **columns: Any) -> str:
    (job_id,) = to.put([replace(job(), **columns)])
    return job_id


def take(queue: Queue, worker: str = "w1") -> Lease:
    """The one job that is ready."""
    leases = queue.reserve(1, worker)
    assert len(leases) == 1, "no job was ready"
    return leases[0]


def payload(lease: Lease) -> bytes:
    """The payload that PHP reads: of a job that came through a broker, the one in its signed body."""
    whole = lease.job.payload
    if not whole.startswith(PREFIX):
        return whole
    fields = phpserialize.loads(whole[len(PREFIX) + MAC + 1 :])
    return bytes(fields[b"payload"])


def payloads(leases: Sequence[Lease]) -> list[bytes]:
    return [payload(lease) for lease in leases]


def at_once(*works: Callable[[], T]) -> list[T]:
    """Run all of them in threads that begin together; their answers, in order. The first error is raised."""
    start = threading.Barrier(len(works))
    answers: list[T | None] = [None] * len(works)
    errors: list[BaseException] = []

    def run(number: int, work: Callable[[], T]) -> None:
        try:
            start.wait(30)
            answers[number] = work()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=item) for item in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return answers  # type: ignore[return-value]
