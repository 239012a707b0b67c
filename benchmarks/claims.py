"""What a claim costs with few and with very many jobs waiting, by the queue object that workers use."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from benchmarks import goals
from benchmarks.figures import Figure, ratios
from benchmarks.filling import insert
from benchmarks.ground import Ground, WrongRun, settings_of
from benchmarks.scale import Scale
from tests.support.mariadb import MariaDB
from tests.support.site import Site
from wpbg.job import Ending, Outcome
from wpbg.queues.base import Settlement
from wpbg.queues.database import DatabaseQueue
from wpbg.queues.settings import DatabaseSettings
from wpbg.settle import Release

PART = "claim"
ENGINES = ("MariaDB", "SQLite")
BATCH = 20
"""Jobs of a claim, beside claims of one."""
LEASE_MS = 600_000


def measure(ground: Ground, scale: Scale, tell: Callable[[str], None]) -> list[Figure]:
    rates: dict[tuple[str, int, int], list[float]] = defaultdict(list)
    with ExitStack() as stack:
        queues = {}
        for engine in ENGINES:
            for waiting in scale.waiting:
                tables = copied(ground, ground.plot(engine).site, f"waiting_{waiting}")
                stack.callback(tables.remove)
                tell(f"{engine}: {waiting:,} jobs are written")
                fill(tables, waiting)
                queue = DatabaseQueue(tables.settings, ("default",), lease_ms=LEASE_MS)
                queues[engine, waiting] = stack.enter_context(contextlib.closing(queue))

        def one(engine: str, waiting: int, at_once: int) -> None:
            times = scale.claims if at_once == 1 else max(2, scale.claims // 5)
            rate = claim(queues[engine, waiting], times, at_once)
            rates[engine, waiting, at_once].append(rate)
            tell(f"{engine}, {waiting:,} waiting, {at_once} at once: {rate:,.0f} claimed/s")

        for number in range(scale.rounds * 2 if scale.warms_up else 1):
            ground.shuffled(
                [lambda e=e, w=w, n=n: one(e, w, n) for e, w in queues for n in (1, BATCH)]  # type: ignore[misc]
            )
            if scale.warms_up and not number:
                rates.clear()
    return figures(rates, scale)


@dataclass(frozen=True)
class Tables:
    """The plugin's tables again, in a database of their own on the same disk. What `filling.insert` needs of a site."""

    settings: DatabaseSettings
    server: MariaDB | None
    query: Callable[[str], object]
    remove: Callable[[], object]

    @property
    def jobs(self) -> str:
        return self.settings.table("bg_jobs")


def copied(ground: Ground, site: Site, name: str) -> Tables:
    """Empty ones."""
    settings = settings_of(site)
    if site.server is None:
        file = ground.folder / name
        with (
            contextlib.closing(sqlite3.connect(site.database)) as theirs,
            contextlib.closing(sqlite3.connect(file)) as own,
        ):
            theirs.backup(own)
            own.execute("PRAGMA journal_mode = WAL")
        change = partial(_change, file)
        change(f"DELETE FROM {site.jobs}")
        return Tables(replace(settings, file=str(file)), None, change, file.unlink)
    server = site.server
    server.execute(f"CREATE DATABASE {name}")
    for row in server.execute(f"SHOW TABLES LIKE '{site.prefix}bg%'", (), site.database):
        (table,) = row.values()
        server.execute(f"CREATE TABLE {name}.{table} LIKE `{site.database}`.{table}")
    return Tables(
        replace(settings, name=name),
        server,
        lambda sql: server.execute(sql, (), name),
        lambda: server.execute(f"DROP DATABASE {name}"),
    )


def _change(file: Path, sql: str) -> None:
    with contextlib.closing(sqlite3.connect(file, timeout=30)) as connection, connection:
        connection.execute(sql)


def fill(tables: Tables, waiting: int) -> None:
    """Jobs as PHP would have written them."""
    payload = b'O:8:"stdClass":2:{s:8:"function";s:10:"bench_noop";s:9:"user_data";i:1;}'
    values = f"'default', x'{payload.hex()}', {round(time.time() * 1000)}, 'bench_noop'"
    insert(tables, "queue, payload, available_at, callback", waiting, values)
    if tables.server:  # It would by itself, a little later. SQLite does not, nor does its drop-in ask it to.
        tables.query(f"ANALYZE TABLE {tables.jobs}")


def claim(queue: DatabaseQueue, times: int, at_once: int) -> float:
    """Jobs claimed a second; they go back afterwards, so that as many wait as before."""
    began = time.monotonic()
    claimed = [queue.reserve(at_once, "bench") for _ in range(times)]
    rate = times * at_once / (time.monotonic() - began)
    leases = [lease for some in claimed for lease in some]
    if len({lease.job.id for lease in leases}) != times * at_once:
        raise WrongRun(f"{times} claims of {at_once} brought {len(leases)} jobs, or the same one twice.")
    back = [Settlement(lease, Release(), Outcome(Ending.NOT_STARTED)) for lease in leases]
    if not all(queue.settle_all(back)):
        raise WrongRun("a claimed job could not be given back.")
    return rate


def figures(rates: dict[tuple[str, int, int], list[float]], scale: Scale) -> list[Figure]:
    made = []
    few, most = min(scale.waiting), max(scale.waiting)
    for engine in ENGINES:
        for at_once in (1, BATCH):
            how = "one at a time" if at_once == 1 else f"{at_once} at once"
            for waiting in scale.waiting:
                labels = (engine, how, f"{waiting:,} waiting")
                made.append(Figure.of(PART, labels, "jobs/s", rates[engine, waiting, at_once]))
            compared = ratios(rates[engine, most, at_once], rates[engine, few, at_once])
            labels = (engine, how, f"{most:,} waiting against {few:,}")
            made.append(Figure.of(PART, labels, "×", compared, goals.CLAIM))
    return made
