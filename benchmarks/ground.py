"""Where the one big run measures: a site per backend, its servers, and beside each a WordPress that adds jobs."""

from __future__ import annotations

import contextlib
import json
import random
import subprocess
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from benchmarks.scale import BACKENDS
from tests.acceptance.brokers import Broker
from tests.support.mariadb import MariaDB
from tests.support.process import ending_with_us
from tests.support.site import Site
from tests.support.sites import Sites
from wpbg.queues.settings import DatabaseSettings
from wpbg.queues.sqlite import SQLite

PHP = Path(__file__).parent / "php"
SIZE_LIMITS = ("--innodb-buffer-pool-size", "--innodb-flush-log-at-trx-commit", "--innodb-doublewrite")


class WrongRun(Exception):
    """Jobs were lost, ran twice, or failed: there is nothing to be measured."""


class DurableMariaDB(MariaDB):
    """MariaDB with its own defaults, which wait for the disk at each commit, and not the tests' short cuts."""

    def argv(self) -> list[str]:
        own = [each for each in super().argv() if not each.startswith(SIZE_LIMITS)]
        return [*own, "--innodb-flush-log-at-trx-commit=1"]

    def for_many_databases(self) -> list[str]:
        return []


class Requests:
    """A booted WordPress of a site that takes commands: see php/requests.php."""

    def __init__(self, site: Site) -> None:
        self._process = subprocess.Popen(
            [*ending_with_us(), *site.wp_argv, f"--path={site.path}", "eval-file", str(PHP / "requests.php")],
            env=site.env,
            cwd=site.elsewhere,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._answer()

    def ask(self, do: str, *arguments: Any) -> Any:
        """The answer of one of its functions. WrongRun when it failed."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, "with": arguments}) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        said = []
        for line in self._process.stdout:
            if line.startswith("BENCH "):
                answer = json.loads(line.removeprefix("BENCH "))
                if isinstance(answer, dict) and "failed" in answer:
                    raise WrongRun(f"WordPress, adding jobs: {answer['failed']}")
                return answer
            said.append(line)
        raise WrongRun(f"WordPress, adding jobs, ended: {''.join(said).strip()}")

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()


@dataclass
class Plot:
    """One backend: its site, the broker in front of it, a WordPress that adds jobs."""

    backend: str
    site: Site
    broker: Broker | None
    _stack: ExitStack

    @cached_property
    def requests(self) -> Requests:
        made = Requests(self.site)
        self._stack.callback(made.close)
        return made

    def lane(self, queue: str) -> str:
        """The name that a queue has in the broker."""
        kind = "tube" if self.backend == "beanstalkd" else "gearman_function"
        return str(self.requests.ask("lane", kind, queue))

    def check_waiting(self, jobs: int, queue: str = "default") -> None:
        """That so many wait in the broker, where there is one; as long as no worker takes them."""
        if self.broker and (waiting := self.broker.server.waiting(self.lane(queue))) != jobs:
            raise WrongRun(f"{self.backend}: {waiting} jobs wait in the broker, not {jobs}.")

    def clear(self) -> None:
        """No jobs in the tables."""
        self.site.query(f"TRUNCATE TABLE {self.site.jobs}" if self.site.server else f"DELETE FROM {self.site.jobs}")

    def add(self, jobs: int, queue: str = "default") -> dict[str, Any]:
        """Add no-op jobs in bulk; what it took."""
        told: dict[str, Any] = self.requests.ask("bulk", jobs, queue)
        if told["ids"] != jobs:
            raise WrongRun(f"{self.backend}: of {jobs} jobs {told['ids']} were added.")
        return told


class Ground:
    """All that is measured on, made when it is first asked for; gone with `stack`."""

    def __init__(self, sites: Sites, server: MariaDB, folder: Path, stack: ExitStack, chance: random.Random) -> None:
        self.sites, self.server, self.folder, self.stack, self.chance = sites, server, folder, stack, chance
        self.checked = 0
        """Jobs that were counted after they ran: each of them once."""
        self._plots: dict[str, Plot] = {}

    def plot(self, backend: str) -> Plot:
        if backend not in self._plots:
            assert backend in BACKENDS
            site = self.clone("sqlite71" if backend == "SQLite" else "maria71")
            broker = None
            if backend in ("beanstalkd", "gearman"):
                broker = Broker.of(backend, self.folder / backend)
                self.stack.callback(broker.server.stop)
                broker.serve(site)
            self._plots[backend] = Plot(backend, site, broker, self.stack)
        return self._plots[backend]

    def clone(self, kind: str) -> Site:
        """Another site, with the callbacks."""
        site = self.sites.clone(kind, self.server if kind.startswith("maria") else None)
        site.mu_plugin("bench-callbacks", (PHP / "callbacks.php").read_text())
        return site

    def shuffled(self, works: list[Callable[[], None]]) -> None:
        """Do each, in an order of its own: nothing is always measured right after the same other thing."""
        for work in self.chance.sample(works, len(works)):
            work()

    def check(self, site: Site, jobs: int, queue: str = "default") -> dict[str, Any]:
        """That all jobs of a queue have run, each once and well; when they were claimed and recorded."""
        found = site.query(
            "SELECT count(*) AS jobs, count(DISTINCT result) AS each_one, min(attempts) AS least,"
            " max(attempts) AS most, min(started_at) AS claimed, min(finished_at) AS first, max(finished_at) AS last"
            f" FROM {site.jobs} WHERE queue = %s AND status = 'completed'",
            (queue,),
        )[0]
        there = site.query(f"SELECT count(*) AS jobs FROM {site.jobs} WHERE queue = %s", (queue,))[0]["jobs"]
        wrong = complaint(jobs, there, found)
        if wrong:
            raise WrongRun(wrong)
        self.checked += jobs
        return found


def complaint(jobs: int, there: int, completed: Mapping[str, Any]) -> str | None:
    """What is wrong with a run of `jobs`, of which `there` rows are in the table, and so many `completed`: lost jobs,
    failed ones, ones that ran twice."""
    counted = tuple(completed[each] for each in ("jobs", "each_one", "least", "most"))
    if (there, *counted) == (jobs, jobs, jobs, 1, 1):
        return None
    done, different, least, most = counted
    return (
        f"Of {jobs} jobs, {there} are in the table, {done} completed, {different} different results among them, after"
        f" {least} to {most} attempts: lost, failed or run twice."
    )


def worker_synchronous(site: Site) -> int:
    """How a worker's connection to a SQLite file waits for the disk: 0 OFF, 1 NORMAL, 2 FULL, 3 EXTRA."""
    with contextlib.closing(SQLite(settings_of(site))) as database:
        database.connect()
        assert database._connection is not None
        return int(database._connection.execute("PRAGMA synchronous").fetchone()[0])


def settings_of(site: Site) -> DatabaseSettings:
    """What `wpbg` would be told by the site."""
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
