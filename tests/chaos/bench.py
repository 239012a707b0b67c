"""What a trial happens to: a site, its servers, its workers, and somebody who starts the workers again."""

from __future__ import annotations

import contextlib
import shutil
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymysql

from tests.chaos.network import Network
from tests.chaos.timeline import Timeline
from tests.support.beanstalkd import Beanstalkd
from tests.support.gearmand import Gearmand
from tests.support.mariadb import MariaDB
from tests.support.process import WorkerProcess
from tests.support.site import Site
from tests.support.sites import Sites
from tests.support.wall_clock import WallClock, library

PHP = Path(__file__).parent / "php"
LEASE = 3.0
"""Seconds. Short, so that a trial need not wait long for what was abandoned."""
WORKERS = 2
SLOTS = 2
PAUSE = {"loop": 70_000, "fork": 70_000, "restart": 2_000}
"""Microseconds that a job sleeps at most before and after it is noted down: slots are to be busy when a fault comes."""
SLOW = {"loop": 8, "fork": 1, "restart": 1}
"""One in so many does, so much longer. Those between are short, and so are with PHP before their turn."""

BACKENDS = ("mariadb", "sqlite", "beanstalkd", "gearmand")
"""The brokers persist: beanstalkd -b, gearmand -q MySQL. Behind them is MariaDB."""


@dataclass(frozen=True)
class Worker:
    """A `wpbg listen`; no other one has its name."""

    name: str
    process: WorkerProcess


class Bench:
    """A site on one backend with two workers of two slots each. `close` ends all of it."""

    def __init__(self, folder: Path, backend: str, lifetime: str) -> None:
        self.folder, self.backend, self.lifetime = folder, backend, lifetime
        self.stack = ExitStack()
        self.sites = Sites(folder / "sites")
        self.stack.callback(self.sites.close_all)
        self.server: MariaDB | None = None
        self.broker: Beanstalkd | Gearmand | None = None
        self.network: Network | None = None
        self.small_disk = folder / "disk"
        self.disk_is_small = False
        self.clock: WallClock | None = None
        self._workers: list[Worker] = []
        self._ever: list[Worker] = []
        self._supervised = True
        self.timeline = Timeline()
        self._supervisor = threading.Thread(target=self._supervise, daemon=True)

    def set_up(self) -> None:
        """Servers, site, table. What fails here is still taken down by `close`."""
        self._make_disk()
        if library():
            self.clock = WallClock(self.folder / "clock")
            self.stack.callback(self.clock.sweep)
        self.site = self._site()
        self._make_table()

    def _site(self) -> Site:
        if self.backend == "sqlite":
            site = self.sites.clone("sqlite71")
        else:
            self.server = MariaDB(self.folder / "mariadb", durable=True)
            self.stack.callback(self.server.stop)
            site = self.sites.clone("maria71", server=self.server)
            self.network = Network()
            self.stack.callback(self.network.close)
            site.configure(DB_HOST=self.network.to(self.server.host, self.server.port))
        constants: dict[str, Any] = {"BACKGROUND_WORKER_LOG": str(self.small_disk / "worker.log")}
        self.broker = self._broker()
        code = (PHP / "chaos.php").read_text() + f"\ndefine( 'CHAOS_PAUSE', {PAUSE[self.lifetime]} );\n"
        code += f"define( 'CHAOS_SLOW', {SLOW[self.lifetime]} );\n"
        if self.broker:
            assert self.network is not None
            address = self.network.to(self.broker.host, self.broker.port)
            if self.backend == "beanstalkd":
                constants.update(ABW_BACKEND="beanstalkd", ABW_BEANSTALKD=address)
            else:
                constants.update(ABW_BACKEND="gearman")
                code += f"$GLOBALS['gearman_servers'] = array( '{address}' );\n"
        site.configure(**constants)
        site.mu_plugin("chaos", code)
        return site

    def _broker(self) -> Beanstalkd | Gearmand | None:
        broker: Beanstalkd | Gearmand
        if self.backend == "beanstalkd":
            broker = Beanstalkd(self.folder / "binlog", ["-f", "0"])
        elif self.backend == "gearmand":
            assert self.server is not None
            self.server.execute("CREATE DATABASE gearman")
            options = ["--queue-type=MySQL", f"--mysql-host={self.server.host}", f"--mysql-port={self.server.port}"]
            options += [f"--mysql-user={self.server.user}", f"--mysql-password={self.server.password}"]
            broker = Gearmand(self.folder / "gearmand", [*options, "--mysql-db=gearman", "--mysql-table=queue"])
        else:
            return None
        broker.start()
        self.stack.callback(broker.stop)
        return broker

    def _make_disk(self) -> None:
        """A disk of 64 MB for log and caches, where this machine lets us have one; else a plain folder."""
        self.small_disk.mkdir(parents=True)
        mount = ["mount", "-t", "tmpfs", "-o", "size=64m,mode=700", "tmpfs", str(self.small_disk)]
        self.disk_is_small = subprocess.run(mount, capture_output=True).returncode == 0
        if self.disk_is_small:
            self.stack.callback(subprocess.run, ["umount", "--lazy", str(self.small_disk)], capture_output=True)

    def _make_table(self) -> None:
        # Through WordPress: the SQLite drop-in only knows tables that it has made itself.
        self.site.eval_php(
            "global $wpdb;"
            '$wpdb->query( "CREATE TABLE {$wpdb->base_prefix}chaos_ran '
            '(n BIGINT, job VARCHAR(64), at BIGINT, pid BIGINT, ppid BIGINT, worker TEXT)" );'
        )

    # -- workers ----------------------------------------------------------------------------------------------

    def start_workers(self) -> None:
        self._workers = [self._start_worker() for _ in range(WORKERS)]
        self._supervisor.start()

    def _start_worker(self) -> Worker:
        name = f"w{len(self._ever) + 1}"
        env = {"WPBG_CACHE_DIR": str(self.small_disk / "cache"), "CHAOS_WORKER": name}
        env |= self.clock.env if self.clock else {}
        flags = ["--mode", self.lifetime, "--concurrency", str(SLOTS), "--lease", str(LEASE), "--grace", "10"]
        argv = self.site.wpbg_argv("listen", *flags, "--name", name)
        worker = Worker(name, self.site.start([*(self.network.enter if self.network else []), *argv], env=env))
        self._ever.append(worker)
        return worker

    def _supervise(self) -> None:
        """As supervisord does it: what has ended is started again."""
        while self._supervised:
            for number, worker in enumerate(self._workers):
                if worker.process.returncode is not None and self._supervised:
                    self.timeline.note(f"{worker.name} ended with {worker.process.returncode}")
                    self._workers[number] = self._start_worker()
            time.sleep(0.2)

    def workers(self) -> list[Worker]:
        return [worker for worker in self._workers if worker.process.returncode is None]

    def php(self) -> list[tuple[int, str]]:
        """The PHP processes of the workers, each with its worker's name; not the one that puts jobs into the queue."""
        mark, found = f"WPBG_TEST_SITE={self.site.path}", []
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                environ = (folder / "environ").read_bytes().decode(errors="replace").split("\0")
                names = [entry.removeprefix("CHAOS_WORKER=") for entry in environ if entry.startswith("CHAOS_WORKER=")]
                if mark in environ and names and (folder / "exe").readlink().name.startswith("php"):
                    found.append((int(folder.name), names[0]))
        return found

    # -- what is there ----------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def looking(self) -> Iterator[None]:
        """A server that is down has nothing to tell."""
        with contextlib.suppress(pymysql.Error, sqlite3.Error, OSError):
            yield

    def rows(self, sql: str) -> list[dict[str, Any]] | None:
        """What the tables hold, past cable and worker; None while nobody can say."""
        with self.looking():
            return self.site.query(sql)
        return None

    def close(self) -> None:
        self._supervised = False
        if self._supervisor.ident:
            self._supervisor.join(5)
        for worker in self._workers:
            with contextlib.suppress(ProcessLookupError):
                worker.process.send_signal(signal.SIGCONT)
            worker.process.terminate()
        for worker in self._workers:
            with contextlib.suppress(AssertionError):
                worker.process.wait(20)
        for worker in self._ever:
            # All of it: why a job ran twice may be told at the very beginning.
            self.timeline.heard(worker.name, worker.process.heard)
        if self.server:
            self.server.start()
        self.stack.close()
        shutil.rmtree(self.folder, ignore_errors=True)
