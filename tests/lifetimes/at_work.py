"""A worker that listens, the jobs it is given, and what it logs."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import uuid
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import phpserialize

from tests.support.process import WorkerProcess
from tests.support.site import Site
from tests.support.wait import wait_for

PHP = Path(__file__).parent / "php"
LIFETIMES = ("restart", "fork", "loop")
PERSISTENT = ("fork", "loop")


class AtWork:
    """`wpbg listen --mode LIFETIME`, its log in JSON, every start of a job in it."""

    def __init__(
        self,
        site: Site,
        lifetime: str,
        *flags: str,
        env: Mapping[str, str] | None = None,
        path: Path | None = None,
    ) -> None:
        self.site, self.lifetime = site, lifetime
        argv = site.wpbg_argv("listen", "--mode", lifetime, "--log-format", "json", *flags)
        self.worker: WorkerProcess = site.start([*argv[:-1], str(path or site.path)], env)

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in list(self.worker.stderr_lines) if line.startswith("{")]

    def named(self, name: str) -> list[dict[str, Any]]:
        """The events of that name so far."""
        return [event for event in self.events if event["event"] == name]

    def replaced(self) -> list[str]:
        """Why PHP processes were replaced so far."""
        return [event["message"] for event in self.named("php.recycled")]

    def wait_for_event(self, name: str, part: str = "", after: int = 0) -> dict[str, Any]:
        """The first event of that name, the first `after` ones not counted, with `part` in its message."""

        def find() -> dict[str, Any] | None:
            assert self.worker.returncode is None or self.worker.returncode == 0, self.worker.log
            return next((e for e in self.named(name)[after:] if part in e.get("message", "")), None)

        found = wait_for(find, 60, f"{name} with {part!r}")
        assert found
        return found

    def run(self, function: str, data: Any = None, **columns: Any) -> dict[str, Any]:
        """One job, to its end; its row."""
        return self.end_of(put(self.site, function, [data], **columns)[0])

    def result(self, function: str, data: Any = None, **columns: Any) -> Any:
        """What a job returned; it has to complete at its first attempt."""
        row = self.run(function, data, **columns)
        assert (row["status"], row["attempts"]) == ("completed", 1), (row["error"], row["history"], self.worker.log)
        return json.loads(row["result"] or "null")

    def end_of(self, job: str) -> dict[str, Any]:
        return self.site.wait_for_status(job, "completed", "failed", "cancelled")

    def wait_until_warm(self) -> None:
        """Until a process has shown that it is there, by a job."""
        self.result("strlen", "warm")

    def stop(self) -> None:
        """As the service manager does it; it has to go well."""
        self.worker.terminate()
        assert self.worker.wait() == 0, self.worker.log
        assert "Traceback" not in self.worker.log


@contextlib.contextmanager
def at_work(
    site: Site, lifetime: str, *flags: str, env: Mapping[str, str] | None = None, path: Path | None = None
) -> Iterator[AtWork]:
    """A worker for the length of a test; it has to live until its end, and to stop as asked. `path` is how it is
    told of the site's folder."""
    work = AtWork(site, lifetime, *flags, env=env, path=path)
    try:
        yield work
        work.stop()
    finally:
        work.worker.stop()


def jobs(site: Site, name: str) -> None:
    """Give the site the jobs in php/NAME.php."""
    site.mu_plugin(name, (PHP / f"{name}.php").read_text())


def put(site: Site, function: str, data: Iterable[Any], queue: str = "default", **columns: Any) -> list[str]:
    """Jobs as rows, past WordPress, which takes a quarter of a second to boot; their ids in order."""
    mark = uuid.uuid4().hex
    columns = {"max_attempts": 1, **columns}
    names = ", ".join(["queue", "payload", "unique_key", *columns])
    statement = f"INSERT INTO {site.jobs} ({names}) VALUES ({', '.join(['%s'] * (3 + len(columns)))})"
    rows = [(queue, _payload(function, item), mark, *columns.values()) for item in data]
    if site.server:
        with contextlib.closing(site.server.connect(site.database, root=True)) as server, server.cursor() as cursor:
            cursor.executemany(statement, rows)
    else:
        with contextlib.closing(sqlite3.connect(site.database, timeout=30)) as file, file:
            file.executemany(statement.replace("%s", "?"), rows)
    found = site.query(f"SELECT id FROM {site.jobs} WHERE unique_key = %s ORDER BY id", (mark,))
    return [str(row["id"]) for row in found]


def _payload(function: str, data: Any) -> bytes:
    job = phpserialize.phpobject("stdClass", {"function": function, "user_data": data})
    return bytes(phpserialize.dumps(job))


def lines(file: Path) -> list[str]:
    """What jobs wrote into a file so far, line by line; a line that is being written is not there yet."""
    return file.read_text().split("\n")[:-1] if file.exists() else []


def gone(pid: int) -> bool:
    """Whether a process has ended, reaped or not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def php_processes(site: Site) -> list[int]:
    """The PHP processes that work for a site, by the mark in their environment."""
    mark = f"WPBG_TEST_SITE={site.path}".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            program = (folder / "exe").readlink().name
            if program.startswith("php") and mark in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
    return found
