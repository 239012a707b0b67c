"""The SQLite drop-in's file, shared with the site: short transactions, and patience with its locks."""

from __future__ import annotations

import contextlib
import re
import sqlite3
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

from wpbg import WALL_AHEAD
from wpbg.errors import QueueError, QueueUnreachable
from wpbg.queues.clock import WallClock
from wpbg.queues.connection import Contention, Database, Duplicate, Row, tables_missing, tables_old
from wpbg.queues.settings import DatabaseSettings
from wpbg.queues.sql import PARAMETER

BUSY_SECONDS = 15.0
"""How long to wait for the site or another worker to finish its own write."""

LOOK_SECONDS = 2.0
"""After so long it is looked whether the file is still the one that is open."""

MINIMUM = (3, 37, 0)
"""STRICT tables, which the drop-in makes."""


class SQLite(Database):
    """Autocommit outside of `atomically`, which takes the write lock first (BEGIN IMMEDIATE).

    Taking it first keeps the one deadlock away that SQLite has: two readers that both want to
    write.
    """

    drivers_error = sqlite3.Error
    skip_locked = True
    one_writer = True

    def __init__(self, settings: DatabaseSettings, **options: Any) -> None:
        super().__init__(settings, **options)
        self._connection: sqlite3.Connection | None = None
        self._clock = WallClock(ahead=WALL_AHEAD)
        self._opened: tuple[int, int] | None = None
        self._looked = 0.0

    @property
    def clock(self) -> WallClock:
        return self._clock

    def check_clock(self) -> int:
        return self._clock.check()

    def is_open(self) -> bool:
        return self._connection is not None

    def connect(self) -> None:
        """Also notices when another file has taken the place of the one that is open (a backup that was put back)."""
        now = time.monotonic()
        if self._connection is not None and now - self._looked > LOOK_SECONDS and not self._in_transaction:
            self._looked = now
            if self._identity() != self._opened:
                self._drop()
                raise QueueUnreachable(
                    f"The SQLite file {self.settings.where} was replaced or moved away: whatever has its place is used."
                )
        super().connect()

    def _identity(self) -> tuple[int, int] | None:
        """Which file is at the place of ours."""
        try:
            found = Path(str(self.settings.file)).stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def _open(self) -> None:
        if sqlite3.sqlite_version_info < MINIMUM:
            raise QueueError(
                f"This Python has SQLite {sqlite3.sqlite_version}; WordPress's SQLite drop-in needs 3.37 or newer: "
                "use a newer Python."
            )
        file = Path(str(self.settings.file)).absolute()
        # mode=rw: a mistyped path must not become a new, empty database.
        connection = sqlite3.connect(
            f"file:{quote(str(file))}?mode=rw",
            uri=True,
            timeout=BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )
        self._connection = connection
        self._opened, self._looked = self._identity(), time.monotonic()
        if connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal":
            # In WAL mode a crash of a program loses nothing, whatever this says. After a power cut the
            # last moments may be missing; leases and attempts are made for that. What `put` stores is
            # worth the wait for the disk: see `durable`.
            connection.execute("PRAGMA synchronous = NORMAL")

    @contextlib.contextmanager
    def durable(self) -> Any:
        """What is committed inside is on the disk before it goes on."""
        self.connect()
        self._guarded(lambda: self._say("PRAGMA synchronous = FULL"))
        try:
            yield
        finally:
            if self._connection is not None:
                self._say("PRAGMA synchronous = NORMAL")

    def _close(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
        self._connection = None

    def _say(self, sql: str) -> None:
        assert self._connection is not None
        self._connection.execute(sql)

    def _begin(self) -> None:
        self._say("BEGIN IMMEDIATE")

    def _end(self, word: str) -> None:
        assert self._connection is not None
        if self._connection.in_transaction:  # SQLite rolls back by itself after some errors.
            self._say(word)

    def _execute(self, name: str, params: dict[str, Any], *, commit: bool = False) -> tuple[list[Row], int, int]:
        assert self._connection is not None
        sql, given = expand(self.queries[name], params)
        cursor = self._connection.execute(sql, given)
        if commit:
            self._end("COMMIT")
        if cursor.description is None:
            return [], cursor.rowcount, cursor.lastrowid or 0
        columns = [column[0] for column in cursor.description]
        rows = [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]
        inserted = rows[0]["id"] if rows and "id" in rows[0] else 0
        return rows, len(rows), inserted

    def _translate(self, error: Exception) -> Exception:
        said = str(error)
        code = getattr(error, "sqlite_errorcode", None)  # Python 3.11 and newer
        where = self.settings.where
        if said.startswith("UNIQUE constraint failed"):
            return Duplicate(said)
        if said.startswith("no such table"):
            return tables_missing(self.settings)
        if said.startswith("no such column") or "has no column" in said:
            return tables_old(self.settings, said)
        if "locked" in said or (code is not None and code & 0xFF in (5, 6)):
            return Contention(
                f"The SQLite file {where} stayed locked by another program for {BUSY_SECONDS:g} s: it is tried again."
            )
        if "unable to open" in said:
            file = Path(str(self.settings.file))
            if not file.exists():
                return QueueUnreachable(f"There is no SQLite file {where}: check the site's FQDB.")
            return QueueUnreachable(
                f"The SQLite file {where} cannot be opened: run wpbg as a user who may write to it and to its folder."
            )
        if "readonly" in said:
            return QueueUnreachable(
                f"The SQLite file {where} cannot be written to: run wpbg as a user who may write to it and to its "
                "folder."
            )
        if isinstance(error, sqlite3.OperationalError | sqlite3.DatabaseError) and not isinstance(
            error, sqlite3.ProgrammingError | sqlite3.IntegrityError | sqlite3.DataError
        ):
            return QueueUnreachable(f"The SQLite file {where} cannot be used: {said}.")
        return QueueError(f"The database refused a statement: {said}.")


_IN_LIST = re.compile(r"\bIN " + PARAMETER.pattern)


def expand(sql: str, params: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """`IN :ids` with a list becomes `IN (:ids_0, :ids_1, …)`; everything else stays."""
    given = dict(params)

    def as_list(found: re.Match[str]) -> str:
        key = found[1]
        values = list(given.pop(key))
        given.update({f"{key}_{index}": value for index, value in enumerate(values)})
        return "IN (" + ", ".join(f":{key}_{index}" for index in range(len(values))) + ")"

    return _IN_LIST.sub(as_list, sql), given
