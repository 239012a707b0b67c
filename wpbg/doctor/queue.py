"""The database as this program sees it, and the work in it."""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from socket import gethostname
from typing import Any

from wpbg import __version__
from wpbg.doctor.finding import Finding, wrong
from wpbg.job import Status
from wpbg.ledger import Ledger
from wpbg.queues.connection import Database
from wpbg.queues.mysql import MySQL
from wpbg.webuser import user_name

HEARTBEAT = 5
"""Seconds between two heartbeats of a worker."""

ALIVE_MS = 3 * HEARTBEAT * 1000

CLOCK_MS = 5000
"""A difference of clocks that somebody should know of."""

LATE_SECONDS = 300
"""A job that has been ready for so long and that nobody serves is past due."""

DAY_MS = 24 * 60 * 60 * 1000

Row = dict[str, Any]


def check_database(ledger: Ledger, now: Callable[[], float] = time.time) -> Iterator[Finding]:
    """Whether it answers, how jobs are claimed in it, and whether its clock is ours. Raises `QueueUnreachable`."""
    database = ledger.database
    theirs = ledger.now_ms()
    difference = round(now() * 1000) - theirs
    yield _engine(database)
    if abs(difference) > CLOCK_MS:
        yield wrong(
            "Clock",
            f"This machine's clock is {abs(difference) / 1000:.0f} s {'ahead of' if difference > 0 else 'behind'} the "
            "database's. Jobs go by the database's; times in logs are this machine's.",
            "timedatectl set-ntp true",
        )
    else:
        yield Finding("Clock", "The same as the database's" if abs(difference) < 1000 else f"{difference} ms apart")


def _engine(database: Database) -> Finding:
    settings = database.settings
    if isinstance(database, MySQL):
        how = "SKIP LOCKED" if database.skip_locked else "no SKIP LOCKED: jobs are claimed by compare-and-swap"
        return Finding("Database", f"{database.version} at {settings.where}, {how}")
    file = Path(str(settings.file))
    if not (os.access(file, os.W_OK) and os.access(file.parent, os.W_OK)):
        return wrong(
            "Database",
            f"{file} or its folder cannot be written to by this user: run wpbg as the one they belong to.",
            f"sudo -u {user_name(file.parent.stat().st_uid)} wpbg doctor",
            exit_code=4,
        )
    return Finding("Database", f"SQLite, {file}")


def check_work(ledger: Ledger) -> Iterator[Finding]:
    """Workers, and jobs that wait or have failed. Raises `PluginNotReady` where the tables are not there."""
    now = ledger.now_ms()
    alive: list[Row] = []
    silent: list[Row] = []
    for worker in ledger.workers():
        (alive if now - epoch_ms(worker["heartbeat_at"]) <= ALIVE_MS else silent).append(worker)
    queues = ledger.queues()
    yield _alive(alive)
    yield _silent(silent, now, bool(alive))
    rows = ledger.database.rows("workers")
    yield from _other_versions([row for row in rows if now - int(row["heartbeat_at"]) <= ALIVE_MS])
    yield from _past_due(queues, {name for worker in alive for name in worker["queues"]})
    paused = [queue["queue"] for queue in queues if queue["paused"]]
    if paused:
        yield Finding("Paused", f"Queues that begin no jobs: {', '.join(paused)}", info=True)
    yield _failed(ledger.ended_since(Status.FAILED, now - DAY_MS))


def epoch_ms(time: str) -> float:
    """ISO 8601, as the ledger writes it."""
    return datetime.fromisoformat(time.replace("Z", "+00:00")).timestamp() * 1000


def _alive(workers: Sequence[Row]) -> Finding:
    if not workers:
        return wrong("Workers", "No worker is running: no job will be done.", "wpbg listen")
    queues = sorted({name for worker in workers for name in worker["queues"]})
    slots = "1 worker" if len(workers) == 1 else f"{len(workers)} workers"
    return Finding("Workers", f"{slots} alive, serving {', '.join(queues)}")


def _silent(workers: Sequence[Row], now: int, others: bool) -> Finding:
    if not workers:
        return Finding("Dead workers", "None")
    names = ", ".join(
        f"{worker['name']} ({worker['host']}:{worker['pid']}) for {seconds:.0f} s"
        for worker in workers
        for seconds in [(now - epoch_ms(worker["heartbeat_at"])) / 1000]
    )
    return wrong(
        "Dead workers",
        f"Silent without having said goodbye, so probably killed: {names}. Their jobs go back to the queue once a "
        "worker runs; look in their logs, and the kernel's, for the reason.",
        "wpbg workers list" if others else "wpbg listen",
    )


def _other_versions(workers: Sequence[Row]) -> Iterator[Finding]:
    """Workers that have not been started again since wpbg was upgraded (or are of another machine's)."""
    others = {str(worker["version"]) for worker in workers if worker["version"] not in (None, "", __version__)}
    if others:
        names = sorted({worker["name"] for worker in workers if worker["version"] in others})
        yield wrong(
            "Versions",
            f"Workers of wpbg {', '.join(sorted(others))} are at work ({', '.join(names)}), and this is {__version__}: "
            "start them again; they let their jobs finish.",
            f"kill -TERM {' '.join(map(str, here))}" if (here := _pids_here(workers, others)) else "wpbg workers list",
        )


def _pids_here(workers: Sequence[Row], versions: set[str]) -> list[int]:
    """The processes of this machine that work with one of these versions. Whoever started them starts them again."""
    return sorted({int(row["pid"]) for row in workers if row["version"] in versions and row["host"] == gethostname()})


def _past_due(queues: Sequence[Row], served: set[str]) -> Iterator[Finding]:
    """Jobs that have been ready for long: wrong where nobody serves their queue, else only worth knowing."""
    late = [queue for queue in queues if (queue["oldest_queued_seconds"] or 0) > LATE_SECONDS and not queue["paused"]]
    for queue in late:
        name, jobs, minutes = queue["queue"], queue["queued"], queue["oldest_queued_seconds"] // 60
        waiting = f"Queue {name}: {jobs} ready, one of them for {minutes} min"
        if name in served:
            yield Finding("Past due", f"{waiting}; its workers are behind", info=True)
        else:
            yield wrong("Past due", f"{waiting}, and no worker serves it.", f"wpbg listen --queue {shlex.quote(name)}")
    if not late:
        yield Finding("Past due", "No job has been ready for more than 5 minutes")


def _failed(number: int) -> Finding:
    if not number:
        return Finding("Failed jobs", "None in the last day")
    jobs = "1 job has" if number == 1 else f"{number:,} jobs have"
    return wrong("Failed jobs", f"{jobs} failed in the last day.", "wpbg jobs list --status failed")
