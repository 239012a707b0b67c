"""A real MariaDB server in a folder of its own, on loopback only, started and stopped by its own pid."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pymysql
import pymysql.cursors

from tests.support.need import require
from tests.support.server import Server, free_port
from tests.support.sockets import socket_path

MEMORY = Path("/dev/shm")
"""A folder in memory, where the machine has one."""


class MariaDB(Server):
    """One server; port, socket and data stay the same."""

    name = "mariadbd"
    patience = 60.0
    host = "127.0.0.1"
    user = "wp"
    password = "pw'\"\\ $x"  # what people's passwords look like

    def __init__(self, folder: Path, *, durable: bool = False) -> None:
        self.folder = folder
        self.durable = durable
        self.data = folder / "data"
        self.socket = socket_path(folder)
        self.log = folder / "error.log"
        self.port = free_port()
        self._memory: Path | None = None
        self._as = ["--user=root"] if os.geteuid() == 0 else []
        self._create()

    def _create(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        made = subprocess.run(
            [
                require("mariadb-install-db", "mariadb-server"),
                "--no-defaults",
                f"--datadir={self.data}",
                f"--tmpdir={self.folder}",  # See `start`.
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
                *self._as,
            ],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        assert made.returncode == 0, f"mariadb-install-db failed:\n{made.stdout}{made.stderr}"
        self.start()
        for host in ("localhost", "127.0.0.1", "::1"):
            self.execute(f"CREATE USER %s@'{host}' IDENTIFIED BY %s", (self.user, self.password))
            self.execute(f"GRANT ALL ON *.* TO %s@'{host}'", (self.user,))

    def argv(self) -> list[str]:
        return [
            require("mariadbd", "mariadb-server"),
            "--no-defaults",
            f"--datadir={self.data}",
            f"--socket={self.socket}",
            f"--port={self.port}",
            f"--bind-address={self.host}",
            f"--log-error={self.log}",
            f"--pid-file={self.folder / 'pid'}",
            # Its own: at its start a server removes what looks like its temporary tables, also another server's.
            f"--tmpdir={self.folder}",
            "--max-connections=300",
            "--innodb-buffer-pool-size=64M",
            # The data dies with the test run: no need to wait for the disk at each commit. `durable`: what was
            # committed is there after `kill`; the machine itself does not crash.
            f"--innodb-flush-log-at-trx-commit={2 if self.durable else 0}",
            "--innodb-doublewrite=0",
            *([] if self.durable else self.for_many_databases()),
            *self._as,
        ]

    def for_many_databases(self) -> list[str]:
        """One is made and dropped for each test: 60 instead of 340 ms, most of it waiting for the disk."""
        flags = ["--loose-innodb-file-per-table=0", "--loose-sync-frm=0", "--innodb-flush-method=nosync"]
        if self._memory is None and os.access(MEMORY, os.W_OK):
            self._memory = Path(tempfile.mkdtemp(prefix="wpbg-", dir=MEMORY))
            weakref.finalize(self, shutil.rmtree, self._memory, ignore_errors=True)
        if self._memory:
            flags.append(f"--loose-log-ddl-recovery={self._memory / 'ddl.log'}")
        return flags

    def answers(self) -> bool:
        with contextlib.suppress(pymysql.Error):
            self.connect(root=True).close()
            return True
        return False

    def connect(
        self, database: str | None = None, *, root: bool = False
    ) -> pymysql.connections.Connection[pymysql.cursors.DictCursor]:
        """Raises `OSError` where nobody listens, `pymysql.Error` where the server does not take it."""
        connection = pymysql.connect(
            defer_connect=True,
            unix_socket=str(self.socket),
            user="root" if root else self.user,
            password="" if root else self.password,
            database=database,
            charset="utf8mb4",
            autocommit=True,
            ssl_disabled=True,  # Not asked for, PyMySQL still reads every CA of the machine: 20 ms of CPU a connection.
            cursorclass=pymysql.cursors.DictCursor,
        )
        own = socket.socket(socket.AF_UNIX)  # PyMySQL leaves its own open when nobody listens.
        try:
            own.connect(str(self.socket))
            connection.connect(own)
        except BaseException:
            own.close()
            raise
        return connection

    def execute(self, sql: str, parameters: Sequence[Any] = (), database: str | None = None) -> list[dict[str, Any]]:
        """One statement as root; the rows it gives."""
        with (
            contextlib.closing(self.connect(database, root=True)) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(sql, tuple(parameters) or None)
            return list(cursor.fetchall())
