"""MariaDB and MySQL, through PyMySQL."""

from __future__ import annotations

import contextlib
import re
import ssl
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pymysql
from pymysql.constants import CLIENT
from pymysql.cursors import DictCursor

from wpbg.errors import QueueError, QueueUnreachable
from wpbg.queues.address import notice_loss
from wpbg.queues.clock import ServerClock
from wpbg.queues.connection import Database, Row, TooLarge
from wpbg.queues.mysql_errors import TIED_TO_A_GROUP, no_tls, tls_failure, translated
from wpbg.queues.settings import DatabaseSettings, Endpoint, endpoint
from wpbg.queues.sql import PARAMETER
from wpbg.queues.tls import QuickConnection, tls_context

CONNECT_SECONDS = 10
ANSWER_SECONDS = 60
"""A server that says nothing for this long is taken for gone."""
LOCK_SECONDS = 10
"""That a statement waits for others' locks at most."""
VANISHED_SECONDS = 600
"""As long a server that knows no limit for transactions alone (MySQL) keeps the connection of a silent client: what it
has locked is locked for everybody. By default that is eight hours."""
IDLE_SECONDS = 15.0
"""After so long without a word the connection is tried before it is relied on (`wait_timeout`)."""

VANISHED_LIMITS = ["idle_transaction_timeout", "idle_write_transaction_timeout", "idle_readonly_transaction_timeout"]
"""What MariaDB (from 10.3) has for it. The second and third take precedence where they are set."""

ASKED_FOR = ["version", "max_allowed_packet", "log_bin", "binlog_format", *VANISHED_LIMITS, "wait_timeout"]

CLOCK_TRIES = 3
CLOCK_MS = 50
"""A new connection asks for the server's time again while it is less sure of it than this."""

MESSAGE = 1_000_000
"""Bytes of short statements that go out together."""

NOW = "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6))"
"""µs since 1970. Not UNIX_TIMESTAMP(NOW(6)): in the hour that autumn repeats, that may be an hour off."""


class MySQL(Database):
    """Autocommit outside of `atomically`; READ COMMITTED, UTC, binary-safe parameters."""

    drivers_error = pymysql.err.Error

    def __init__(self, settings: DatabaseSettings, **options: Any) -> None:
        super().__init__(settings, **options)
        self._statements = {name: pyformat(sql) for name, sql in self.queries.items()}
        self._connection: pymysql.connections.Connection[Any] | None = None
        self._clock = ServerClock()
        self._jumped = 0
        """By how many ms it was found to have jumped ahead when we connected, and nobody knows yet."""
        self._at_a_proxy = False
        """Whether it turned out that somebody in between minds what a session is set to."""
        self._used = 0.0
        self._begin_first = False
        self._packet = 0
        self.version = ""

    @property
    def clock(self) -> ServerClock:
        return self._clock

    def check_clock(self) -> int:
        now = self._guarded(self._read_clock)
        jumped, self._jumped = max(self._jumped, now), 0
        return jumped

    def _read_clock(self) -> int:
        """How many ms it jumped since it was last read."""
        asked = self._clock.hands()
        (row,) = self._ask(f"SELECT {NOW} AS now")
        return self._clock.set(float(row["now"]) / 1000, asked)

    def is_open(self) -> bool:
        return self._connection is not None

    def connect(self) -> None:
        if self._connection is not None and time.monotonic() - self._used > IDLE_SECONDS:
            # Closed for being idle is no outage, and nothing was under way that could be in doubt.
            try:
                self._connection.ping(reconnect=False)
                self._used = time.monotonic()
            except self.drivers_error:
                self._close()
        super().connect()

    def _open(self) -> None:
        settings, at = self.settings, endpoint(self.settings)
        if at.socket and not Path(at.socket).exists():
            raise QueueUnreachable(
                f"The database {settings.where} cannot be reached (there is no such socket): start the server, or "
                "check DB_HOST in wp-config.php and mysqli.default_socket in PHP's configuration."
            )
        context = tls_context(settings)
        try:
            connection = self._connect(at, ssl=context)
        except pymysql.err.OperationalError as error:
            # Where TLS was not asked for, PyMySQL (1.2) uses it if the server has any, for what it is worth. PHP
            # does not, so what is wrong with it must not keep us out.
            if context is not None or not isinstance(tls_failure(error), ssl.SSLError):
                raise
            connection = self._connect(at, ssl_disabled=True)
        except RuntimeError as error:  # An account's way of logging in needs a library that is not there.
            raise QueueError(
                f"The database {settings.where} cannot be logged in to ({error}): install it beside wpbg, or switch "
                "TLS on with MYSQL_CLIENT_FLAGS in wp-config.php."
            ) from error
        self._connection = connection
        notice_loss(connection._sock, settings.notice)  # type: ignore[attr-defined]
        # Older PyMySQL goes on in the clear when the server has no TLS; PHP does not, and neither do we.
        if context is not None and not self._ask("SHOW SESSION STATUS LIKE 'Ssl_cipher'")[0]["Value"]:
            raise no_tls(at.where)
        self._set_up()

    def _connect(self, at: Endpoint, **tls: Any) -> pymysql.connections.Connection[Any]:
        settings = self.settings
        flags = settings.flags & (CLIENT.IGNORE_SPACE | CLIENT.INTERACTIVE)
        return QuickConnection(
            host=at.host,
            port=at.port,
            unix_socket=at.socket,
            user=settings.user,
            password=settings.password,
            database=settings.name,
            charset="utf8mb4",
            autocommit=True,
            # A statement then says how many rows it matched, not how many it changed.
            client_flag=flags | CLIENT.FOUND_ROWS | CLIENT.MULTI_STATEMENTS,
            cursorclass=DictCursor,
            connect_timeout=CONNECT_SECONDS,
            read_timeout=ANSWER_SECONDS,
            write_timeout=ANSWER_SECONDS,
            **tls,
        )

    def _set_up(self) -> None:
        for _ in range(CLOCK_TRIES):
            self._jumped = max(self._jumped, self._read_clock())
            if self._clock.unsure_ms <= CLOCK_MS:
                break
        # Asked for by name, not as @@name: some of them are gone from some versions.
        names = ", ".join(f"'{name}'" for name in ASKED_FOR)
        asked = self._ask(f"SHOW SESSION VARIABLES WHERE Variable_name IN ({names})")
        server = {row["Variable_name"]: str(row["Value"]) for row in asked}
        self._packet = int(server["max_allowed_packet"])
        self.version = server["version"]
        self.skip_locked = has_skip_locked(self.version)
        self.uptime_ms = int(self._ask("SHOW GLOBAL STATUS LIKE 'Uptime'")[0]["Value"]) * 1000
        # Statement-based binary logs cannot record READ COMMITTED writes (error 1665).
        by_statement = server.get("log_bin") == "ON" and server.get("binlog_format", "").upper() == "STATEMENT"
        level = "REPEATABLE READ" if by_statement else "READ COMMITTED"
        # Like WordPress itself not strict: a label that the column's charset cannot hold must not keep
        # an outcome from being recorded. No ANSI_QUOTES, no NO_BACKSLASH_ESCAPES, whatever the server has.
        self._ask(
            f"SET SESSION time_zone = '+00:00', sql_mode = 'NO_ENGINE_SUBSTITUTION', "
            f"innodb_lock_wait_timeout = {self._patience}"
        )
        self._limit_waits(server)
        self._ask(f"SET SESSION TRANSACTION ISOLATION LEVEL {level}")
        self._used = time.monotonic()

    @property
    def _patience(self) -> int:
        """Seconds that a statement waits for others' locks: not longer than until the next heartbeat is due."""
        return max(1, min(LOCK_SECONDS, round(self.settings.notice)))

    def _limit_waits(self, server: Mapping[str, str]) -> None:
        """How long we wait for a table that somebody locks, and how long the server waits for us to go on: until then
        it holds the rows that we have locked, also when we are gone without a word (no power, no network)."""
        limits = {"lock_wait_timeout": LOCK_SECONDS}
        for name in [name for name in VANISHED_LIMITS if name in server] or ["wait_timeout"]:
            most = VANISHED_SECONDS if name == "wait_timeout" else max(1, round(self.settings.notice))
            limits[name] = min(most, int(server.get(name, 0)) or most)
        if not self._at_a_proxy:
            # Worth having, and not worth failing for.
            with contextlib.suppress(pymysql.err.DatabaseError):
                self._ask("SET SESSION " + ", ".join(f"{name} = {value}" for name, value in limits.items()))

    def _close(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(pymysql.err.Error, OSError):
                self._connection.close()
        self._connection = None
        self._begin_first = False

    def _ask(self, sql: str) -> list[Row]:
        assert self._connection is not None
        with self._connection.cursor() as cursor:
            cursor.execute(sql)
            return list(cursor.fetchall())

    def _begin(self) -> None:
        # Goes out with the first statement: each message there and back is most of what a claim costs.
        self._begin_first = True

    def _end(self, word: str) -> None:
        assert self._connection is not None
        if self._begin_first:
            self._begin_first = False
        elif word == "COMMIT":
            self._connection.commit()
        else:
            self._connection.rollback()

    def _execute(self, name: str, params: dict[str, Any], *, commit: bool = False) -> tuple[list[Row], int, int]:
        assert self._connection is not None
        with self._connection.cursor() as cursor:
            statement = self._written(name, params)
            begin, self._begin_first = self._begin_first, False
            cursor.execute(f"{'START TRANSACTION; ' if begin else ''}{statement}{'; COMMIT' if commit else ''}")
            if begin:
                cursor.nextset()
            rows = list(cursor.fetchall()) if cursor.description else []
            matched, inserted = cursor.rowcount, int(cursor.lastrowid or 0)
            if commit:
                cursor.nextset()
            self._used = time.monotonic()
            return rows, matched, inserted

    def _written(self, name: str, params: dict[str, Any], part: str | None = None) -> str:
        """The statement, or a part of it, with its parameters. Raises `TooLarge`."""
        statement = (part or self._statements[name]) % {key: self._literal(value) for key, value in params.items()}
        # The server would answer a longer one by closing the connection, without a word.
        size = len(statement)  # All but a few labels are one byte a character.
        if size >= self._packet - 4096:
            raise TooLarge(
                f"The database takes at most {self._packet // 1024} KiB in one piece (max_allowed_packet), and "
                f"this needs {size // 1024} KiB (bytes count twice): raise it in the server's configuration, "
                "or pass less data."
            )
        return statement

    def _literal(self, value: object) -> str:
        """As PyMySQL writes it, and the commonest ones without its detours: a row has fifteen."""
        assert self._connection is not None
        if type(value) is int:
            return str(value)
        return "NULL" if value is None else str(self._connection.escape(value, self._connection.encoders))

    def _execute_many(self, name: str, many: Sequence[dict[str, Any]]) -> list[int]:
        """Many statements a message: the way there and back is most of what a short one costs."""
        assert self._connection is not None
        matched: list[int] = []
        waiting: list[str] = []
        size = 0
        with self._connection.cursor() as cursor:
            for params in many:
                statement = self._written(name, params)
                if size + len(statement) >= min(MESSAGE, self._packet - 4096):
                    matched += self._send(cursor, waiting)
                    waiting, size = [], 0
                waiting.append(statement)
                size += len(statement) + 2
            matched += self._send(cursor, waiting)
            self._used = time.monotonic()
        return matched

    def _change_together(self, name: str, many: Sequence[dict[str, Any]]) -> int:
        """A statement on a list of rows, each a SELECT in the place of the only one that is written there."""
        assert self._connection is not None
        head, listed, tail = self._statements[name].partition(") AS ended")
        head, opened, row = head.partition("(")
        head, tail = head + opened, listed + tail
        matched = 0
        with self._connection.cursor() as cursor:
            tail = self._written(name, many[0], tail)  # What is the same for all.
            waiting: list[str] = []
            size = 0
            for params in many:
                written = self._written(name, params, row)
                if size + len(written) >= min(MESSAGE, self._packet - 4096) and waiting:
                    matched += sum(self._send(cursor, [head + " UNION ALL ".join(waiting) + tail]))
                    waiting, size = [], 0
                waiting.append(written)
                size += len(written) + 11
            matched += sum(self._send(cursor, [head + " UNION ALL ".join(waiting) + tail]))
            self._used = time.monotonic()
        return matched

    def _insert_many(self, name: str, many: Sequence[dict[str, Any]]) -> None:
        assert self._connection is not None
        head, values, row = self._statements[name].rpartition("VALUES ")
        head += values
        waiting: list[str] = []
        size = len(head)
        with self._connection.cursor() as cursor:
            for params in many:
                written = self._written(name, params, row)
                if size + len(written) >= min(MESSAGE, self._packet - 4096):
                    self._send(cursor, [head + ",".join(waiting)] if waiting else [])
                    waiting, size = [], len(head)
                waiting.append(written)
                size += len(written) + 1
            self._send(cursor, [head + ",".join(waiting)])
            self._used = time.monotonic()

    def _send(self, cursor: DictCursor, statements: Sequence[str]) -> list[int]:
        """Run statements that give no rows, in one message; how many rows each matched."""
        if not statements:
            return []
        begin, self._begin_first = self._begin_first, False
        cursor.execute("; ".join([*(["START TRANSACTION"] if begin else []), *statements]))
        matched = [] if begin else [cursor.rowcount]
        while cursor.nextset():
            matched.append(cursor.rowcount)
        return matched

    def _translate(self, error: Exception) -> Exception:
        self._at_a_proxy = self._at_a_proxy or error.args[:1] == (TIED_TO_A_GROUP,)
        return translated(error, self.settings)


def pyformat(sql: str) -> str:
    """`:name` as PyMySQL writes it. It expands lists by itself, with their brackets."""
    return PARAMETER.sub(r"%(\1)s", sql.replace("%", "%%"))


def has_skip_locked(version: str) -> bool:
    """MariaDB from 10.6, MySQL from 8.0.1; not what only claims to be MySQL and lacks it."""
    if "tidb" in version.lower():
        return False
    found = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", version)
    if found is None:
        return False
    number = tuple(int(part or 0) for part in found.groups())
    if "mariadb" in version.lower():
        return number >= (10, 6, 0)
    return number >= (8, 0, 1) or version.startswith("8.0.mysql_aurora")
