"""One real WordPress that a test may do with as it likes."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support import opcache, php
from tests.support.need import require, require_part
from tests.support.process import WorkerProcess, kill_marked
from tests.support.wait import wait_for

if TYPE_CHECKING:
    from tests.support.mariadb import MariaDB

MARK = "WPBG_TEST_SITE"
"""Environment variable by which the processes of a site are told from all others."""

URL = "http://site.test"
ADMIN = "admin"
ADMIN_PASSWORD = "admin-password"

_WP_CONFIG = """<?php
%s
$table_prefix = 'wp_';
if ( ! defined( 'ABSPATH' ) ) {
	define( 'ABSPATH', __DIR__ . '/' );
}
require_once ABSPATH . 'wp-settings.php';
"""

_KEYS = [f"{prefix}{kind}" for prefix in ("AUTH", "SECURE_AUTH", "LOGGED_IN", "NONCE") for kind in ("_KEY", "_SALT")]


class Site:
    """A WordPress in a folder of its own, with its own database.

    `name` is the kind (`sqlite71`, `maria71`, `maria61`, `multisite`), `engine` is `sqlite` or
    `mariadb`. `database` is the file's path, or the name of the database on `server`. `php_flags` are for the PHP of
    WP-CLI, not for the processes that run jobs.
    """

    url = URL
    prefix = "wp_"
    admin, admin_password = ADMIN, ADMIN_PASSWORD

    def __init__(
        self,
        name: str,
        folder: Path,
        *,
        server: MariaDB | None = None,
        database: str | None = None,
        php_flags: Sequence[str] = (),
    ) -> None:
        self.name = name
        self.folder = folder
        """Holds `path`, `bin`, `home` and `elsewhere`, and goes away with the site."""
        self.path = folder / "site"
        self.server = server
        self.engine = "mariadb" if server else "sqlite"
        self.database = database or str(self.path / "wp-content/database/.ht.sqlite")
        self.jobs = self.table("bg_jobs")
        self.phar = require_part("wp-cli.phar")
        self.wp_argv = [require("php", "php-cli"), str(self.phar)]
        self.php_flags = tuple(php_flags)
        self.constants: dict[str, Any] = {}
        self._workers: list[WorkerProcess] = []
        self._make_surroundings()

    def _make_surroundings(self) -> None:
        """`wp` and `wpbg` on PATH, a home without anybody's settings, and a folder that is not the site's."""
        for part in ("bin", "home", "elsewhere"):
            (self.folder / part).mkdir(parents=True, exist_ok=True)
        self.bin = self.folder / "bin"
        self.wp_bin = self.bin / "wp"
        self.wpbg_bin = self.bin / "wpbg"
        self.wp_bin.write_text(opcache.script(self.wp_argv, self.php_flags))
        self.wpbg_bin.write_text(f'#!/bin/sh\nexec {shlex.join([sys.executable, "-m", "wpbg"])} "$@"\n')
        for program in (self.wp_bin, self.wpbg_bin):
            program.chmod(0o755)
        self.elsewhere = self.folder / "elsewhere"
        # Nobody's settings: an unbuffered Python, say, hides what happens when its output cannot be written.
        theirs = ("WP_", "WPBG_", "ABW_", "PYTHON")
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(theirs)}
        self.env.update(
            PATH=f"{self.bin}:{os.environ.get('PATH', '')}",
            HOME=str(self.folder / "home"),
            WP_CLI_CACHE_DIR=str(self.folder / "home/cache"),
            WP_CLI_DISABLE_AUTO_CHECK_UPDATE="1",
            PAGER="cat",  # what `wp help` goes through: a bare machine has no `less`
            **{MARK: str(self.path)},
        )
        if os.geteuid() == 0:
            self.env["WP_CLI_ALLOW_ROOT"] = "1"

    # --- settings ---------------------------------------------------------------------------------

    def configure(self, **constants: Any) -> None:
        """Write wp-config.php with these constants added to (None: taken out of) the earlier ones."""
        self.constants.update(constants)
        self.constants = {name: value for name, value in self.constants.items() if value is not None}
        settings: dict[str, Any] = {
            "DB_NAME": self.database if self.server else "unused",
            "DB_USER": self.server.user if self.server else "",
            "DB_PASSWORD": self.server.password if self.server else "",
            "DB_HOST": f"{self.server.host}:{self.server.port}" if self.server else "",
            "DB_CHARSET": "utf8mb4",
            "DB_COLLATE": "",
            **{key: f"{key} of {self.path}" for key in _KEYS},
            "DISABLE_WP_CRON": True,
            "WP_HTTP_BLOCK_EXTERNAL": True,
            "AUTOMATIC_UPDATER_DISABLED": True,
            "WP_DEBUG": False,
            **self.constants,
        }
        defines = "\n".join(f"define( '{name}', {php.literal(value)} );" for name, value in settings.items())
        (self.path / "wp-config.php").write_text(_WP_CONFIG % defines)

    def mu_plugin(self, name: str, code: str) -> Path:
        """Drop PHP code into wp-content/mu-plugins/NAME.php: callbacks, hooks, faults."""
        folder = self.path / "wp-content/mu-plugins"
        folder.mkdir(exist_ok=True)
        file = folder / f"{name}.php"
        file.write_text(code if code.lstrip().startswith("<?php") else f"<?php\n{code}")
        return file

    # --- WordPress --------------------------------------------------------------------------------

    def wp(
        self, *args: str, input: str | None = None, check: bool = True, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """WP-CLI on this site. With `check`, AssertionError with all it said when it fails."""
        environment = {**self.env, **(env or {})}
        # `wp background-worker` starts wpbg with the PHP that it was started with itself.
        plain = "PHP_INI_SCAN_DIR" in environment or "background-worker" in args
        flags = () if plain else self.php_flags
        done = subprocess.run(
            [self.wp_argv[0], *flags, *self.wp_argv[1:], f"--path={self.path}", *args],
            env=environment,
            cwd=self.elsewhere,
            input=input or "",
            capture_output=True,
            text=True,
            errors="surrogateescape",
        )
        if check:
            said = f"{done.stdout}{done.stderr}"
            assert done.returncode == 0, f"wp {' '.join(args)} ended with {done.returncode}:\n{said}"
        return done

    def eval_php(self, code: str, *, check: bool = True, url: str | None = None) -> str:
        """Run PHP code inside WordPress; what it printed."""
        on = [f"--url={url}"] if url else []
        return self.wp(*on, "eval-file", "-", input=f"<?php\n{code}", check=check).stdout

    def enqueue(
        self,
        function: str,
        data: Any = None,
        queue: str = "default",
        *,
        url: str | None = None,
        **options: Any,
    ) -> str:
        """`add_async_job` with a function by name and plain data; the job's id."""
        printed = self.eval_php(
            "$job = new stdClass();"
            f"$job->function = {php.literal(function)};"
            f"$job->user_data = {php.literal(data)};"
            f"$id = add_async_job( $job, {php.literal(queue)}, {php.literal(options)} );"
            "echo is_wp_error( $id ) ? 'WP_Error: ' . $id->get_error_message() : $id;",
            url=url,
        )
        assert printed, "add_async_job returned nothing"
        assert not printed.startswith("WP_Error"), printed
        return printed

    # --- the database, past WordPress -------------------------------------------------------------

    def table(self, name: str) -> str:
        return f"{self.prefix}{name}"

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """One statement with `%s` for each parameter, committed at once; its rows."""
        if self.server:
            return self.server.execute(sql, parameters, self.database)
        with contextlib.closing(sqlite3.connect(self.database, timeout=30)) as connection, connection:
            connection.row_factory = sqlite3.Row
            text = sql.replace("%s", "?") if parameters else sql
            return [dict(row) for row in connection.execute(text, tuple(parameters)).fetchall()]

    def job(self, job_id: str) -> dict[str, Any]:
        """The job's row."""
        rows = self.query(f"SELECT * FROM {self.jobs} WHERE id = %s", (int(job_id),))
        assert rows, f"there is no job {job_id}"
        return rows[0]

    def wait_for_status(self, job_id: str, *statuses: str, timeout: float = 60) -> dict[str, Any]:
        """The job's row as soon as its status is one of these."""

        def row() -> dict[str, Any] | None:
            current = self.job(job_id)
            return current if current["status"] in statuses else None

        found = wait_for(row, timeout, f"job {job_id} is {' or '.join(statuses)}: {self.job(job_id)}")
        assert found
        return found

    # --- wpbg -------------------------------------------------------------------------------------

    def wpbg_argv(self, *args: str) -> list[str]:
        return [sys.executable, "-m", "wpbg", *args, "--path", str(self.path)]

    def wpbg(
        self,
        *args: str,
        timeout: float = 120,
        check: bool = False,
        input: str | None = None,
        env: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run `wpbg ARGS --path SITE` to its end, from a folder outside the site."""
        done = subprocess.run(
            self.wpbg_argv(*args),
            env={**self.env, **(env or {})},
            cwd=self.elsewhere,
            input=input or "",
            capture_output=True,
            text=True,
            errors="surrogateescape",
            timeout=timeout,
        )
        if check:
            said = f"{done.stdout}{done.stderr}"
            assert done.returncode == 0, f"wpbg {' '.join(args)} ended with {done.returncode}:\n{said}"
        return done

    def start_wpbg(self, *args: str, env: Mapping[str, str] | None = None) -> WorkerProcess:
        """Start `wpbg ARGS --path SITE` beside the test; ended with the site at the latest."""
        return self.start(self.wpbg_argv(*args), env=env)

    def start(
        self, argv: Sequence[str], env: Mapping[str, str] | None = None, cwd: Path | None = None
    ) -> WorkerProcess:
        """Start any program with the site's environment, outside of it unless in `cwd`; ended with the site."""
        worker = WorkerProcess(argv, {**self.env, **(env or {})}, cwd or self.elsewhere)
        self._workers.append(worker)
        return worker

    # --- the end ----------------------------------------------------------------------------------

    def end_processes(self) -> None:
        """End every process of this site."""
        for worker in self._workers:
            worker.stop()
        self._workers.clear()
        # Killed is not gone yet, and the next site may be in the same folder.
        wait_for(lambda: not kill_marked(MARK, str(self.path)), what="the site's processes are gone")

    def close(self) -> None:
        """End its processes, and remove it and its database."""
        self.end_processes()
        if self.server and self.server.process is not None:
            self.server.execute(f"DROP DATABASE IF EXISTS `{self.database}`")
        shutil.rmtree(self.folder, ignore_errors=True)
