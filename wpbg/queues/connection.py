"""One connection to the site's database: named queries in, plain rows out, errors in our words.

It connects when first used, and again after it was lost. What the server says is translated here,
once: `QueueUnreachable` where waiting may help, `PluginNotReady` where the tables are missing or
older than this program, `QueueError` for the rest.
"""

from __future__ import annotations

import math
import random
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from wpbg.errors import PluginNotReady, QueueError, QueueUnreachable
from wpbg.queues.clock import Clock
from wpbg.queues.settings import DatabaseSettings
from wpbg.queues.sql import for_site

T = TypeVar("T")
Row = dict[str, Any]

TRIES = 8
"""How often a statement or transaction is begun before a deadlock is somebody else's problem."""

CLOCK_AGAIN = 2.0
"""Seconds until the database is asked for its time again: one small question in the work of that time."""


class Contention(QueueUnreachable):
    """Other programs held locks for too long; what was asked for may be tried again."""


class Waited(Contention):
    """So long that it is not tried again here: whoever asked may have something better to do."""


class TooLarge(QueueError):
    """A statement is larger than the database accepts (max_allowed_packet)."""


class Duplicate(QueueError):
    """Another row has this unique value."""


class Database(ABC):
    """What the queue and the ledger need of a connection. Used by one thread."""

    skip_locked = False
    """Whether rows that others hold can be stepped over (`SKIP LOCKED`)."""
    one_writer = False
    """Whether a transaction holds the only write lock there is (SQLite)."""
    uptime_ms: int | None = None
    """How long the server had been up when we connected; None where there is no server."""

    def __init__(self, settings: DatabaseSettings, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self.settings = settings
        self.queries = for_site(settings)
        self.connects = 0
        """How often a connection was made: whoever remembers the number notices a reconnect."""
        self.outages = 0
        """How often a connection was lost in the middle of work or could not be made."""
        self._sleep = sleep
        self._in_transaction = False
        self._clock_read = -math.inf

    # What the engines do.

    @property
    @abstractmethod
    def clock(self) -> Clock:
        """The database's clock, readable once connected."""

    @abstractmethod
    def check_clock(self) -> int:
        """Set the clock by the database's; how many ms it jumped ahead since the last time."""

    @abstractmethod
    def is_open(self) -> bool: ...

    @abstractmethod
    def _open(self) -> None:
        """Connect. Raises the driver's error."""

    @abstractmethod
    def _close(self) -> None:
        """Let go of the connection, whatever state it is in. Raises nothing."""

    @abstractmethod
    def _execute(self, name: str, params: dict[str, Any], *, commit: bool = False) -> tuple[list[Row], int, int]:
        """Run a named query: its rows, how many rows it matched, the id it inserted. `commit` ends the transaction."""

    def _execute_many(self, name: str, many: Sequence[dict[str, Any]]) -> list[int]:
        return [self._execute(name, params)[1] for params in many]

    def _change_together(self, name: str, many: Sequence[dict[str, Any]]) -> int:
        return sum(self._execute_many(name, many))

    def _insert_many(self, name: str, many: Sequence[dict[str, Any]]) -> None:
        self._execute_many(name, many)

    @abstractmethod
    def _begin(self) -> None: ...

    @abstractmethod
    def _end(self, word: str) -> None:
        """COMMIT or ROLLBACK."""

    @abstractmethod
    def _translate(self, error: Exception) -> Exception:
        """The driver's error in our words. `Contention` is tried again, `QueueUnreachable` ends the connection."""

    drivers_error: type[Exception]

    # What they share.

    def connect(self) -> None:
        """Make sure that there is a connection."""
        if self.is_open():
            return
        try:
            self._open()
        except self.drivers_error as error:
            self._drop()
            ours = self._translate(error)
            if type(ours) is QueueError:  # An account that is locked, a host that is blocked: somebody will mend it.
                ours = QueueUnreachable(f"The database {self.settings.where} cannot be reached: {ours.message}")
            raise ours from error
        except QueueUnreachable:
            self._drop()
            raise
        self.connects += 1

    def keep_time(self, at_once: bool = False) -> int:
        """Connected, and the clock was read lately, or is now; how many ms it jumped ahead meanwhile.

        A server's clock may be set anew while we count on from what it said: leases that are renewed by the old time
        run out.
        """
        self.connect()
        if not at_once and time.monotonic() - self._clock_read <= CLOCK_AGAIN:
            return 0
        jumped = self.check_clock()
        self._clock_read = time.monotonic()
        return jumped

    def rows(self, name: str, /, **params: Any) -> list[Row]:
        """The rows of a query."""
        return self._run(name, params)[0]

    def change(self, name: str, /, **params: Any) -> int:
        """How many rows a statement matched."""
        return self._run(name, params)[1]

    def changes(self, name: str, /, many: Sequence[dict[str, Any]]) -> list[int]:
        """`change` with each of these parameters, inside `atomically`: in few messages, where that is worth it."""
        return self._guarded(lambda: self._execute_many(name, many)) if many else []

    def change_together(self, name: str, /, many: Sequence[dict[str, Any]]) -> int:
        """How many rows `change` with each of these parameters matches in all, inside `atomically`: in one statement
        where that is worth it."""
        return self._guarded(lambda: self._change_together(name, many)) if many else 0

    def insert_many(self, name: str, /, many: Sequence[dict[str, Any]]) -> None:
        """An insertion of many rows, inside `atomically`: one statement of many rows, where that is worth it."""
        if many:
            self._guarded(lambda: self._insert_many(name, many))

    def insert(self, name: str, /, **params: Any) -> int:
        """The id of the row that a statement inserted."""
        return self._run(name, params)[2]

    def change_last(self, name: str, /, **params: Any) -> int:
        """`change` as the last statement of a transaction: it is committed in the same message to the server."""
        matched = self._guarded(lambda: self._execute(name, params, commit=True))[1]
        self._in_transaction = False
        return matched

    def atomically(self, work: Callable[[], T]) -> T:
        """Do `work` in one transaction; begin again, a bounded number of times, when others are in the way."""

        def once() -> T:
            self._guarded(self._begin)
            self._in_transaction = True
            try:
                answer = work()
                if self._in_transaction:
                    self._guarded(lambda: self._end("COMMIT"))
            except BaseException:
                if self._in_transaction:
                    self._roll_back()
                raise
            finally:
                self._in_transaction = False
            return answer

        return self._until_through(once)

    def close(self) -> None:
        self._close()

    def _run(self, name: str, params: dict[str, Any]) -> tuple[list[Row], int, int]:
        def once() -> tuple[list[Row], int, int]:
            return self._guarded(lambda: self._execute(name, params))

        # Inside a transaction the whole of it has to begin again, not one statement.
        return once() if self._in_transaction else self._until_through(once)

    def _guarded(self, call: Callable[[], T]) -> T:
        if not self._in_transaction:
            self.connect()
        try:
            return call()
        except self.drivers_error as error:
            ours = self._translate(error)
            if isinstance(ours, QueueUnreachable) and not isinstance(ours, Contention):
                self._drop()
            raise ours from error

    def _until_through(self, once: Callable[[], T]) -> T:
        for left in range(TRIES - 1, -1, -1):
            try:
                return once()
            except Contention as error:
                if not left or isinstance(error, Waited):
                    raise
                self._sleep(random.uniform(0.002, 0.02) * (TRIES - left))
        raise AssertionError("unreachable")

    def _roll_back(self) -> None:
        if not self.is_open():
            return
        try:
            self._end("ROLLBACK")
        except self.drivers_error:
            self._drop()

    def _drop(self) -> None:
        self.outages += 1
        self._close()


def tables_missing(settings: DatabaseSettings) -> PluginNotReady:
    return PluginNotReady(
        f"The tables of the Background Worker plugin are missing from {settings.where}: run `wpbg install`."
    )


def tables_old(settings: DatabaseSettings, detail: str) -> PluginNotReady:
    return PluginNotReady(
        f"The tables of the Background Worker plugin in {settings.where} are older than this wpbg ({detail}): "
        "run `wpbg install`."
    )


def open_database(settings: DatabaseSettings) -> Database:
    """The connection for the site's engine; made when it is first used."""
    if settings.engine == "sqlite":
        from wpbg.queues.sqlite import SQLite

        return SQLite(settings)
    from wpbg.queues.mysql import MySQL

    return MySQL(settings)
