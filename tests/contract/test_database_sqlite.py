"""What is special about a file that the site writes to as well."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path

import pytest

from tests.contract.bench import DONE, FINE, DatabaseBench, at_once, job, put_one, take
from wpbg.errors import PluginNotReady, QueueUnreachable
from wpbg.job import Lease
from wpbg.queues import sqlite as module
from wpbg.queues.connection import Contention
from wpbg.queues.database import DatabaseQueue
from wpbg.queues.settings import DatabaseSettings
from wpbg.queues.sqlite import SQLite


@contextmanager
def the_site_writes(bench: DatabaseBench) -> Iterator[sqlite3.Connection]:
    """Another program holds the write lock."""
    with closing(sqlite3.connect(bench.site.database, isolation_level=None, check_same_thread=False)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield connection
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def test_a_clock_that_was_moved_while_the_program_started_is_noticed(
    sqlite: DatabaseBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WALL_AHEAD", module.WALL_AHEAD - 3600)
    with closing(SQLite(sqlite.settings)) as database:
        database.connect()
        assert database.check_clock() == pytest.approx(3_600_000, abs=60_000)
        assert abs(database.check_clock()) < 60_000


def test_it_waits_for_the_site_to_finish_its_write(sqlite: DatabaseBench) -> None:
    queue = sqlite.queue()
    job_id = put_one(queue)
    asked = threading.Event()
    before_begin(queue, asked.set)
    with the_site_writes(sqlite) as site:

        def finish() -> None:
            assert asked.wait(30)
            site.execute("COMMIT")

        lease, _ = at_once(partial(take, queue), finish)
    assert isinstance(lease, Lease)
    assert lease.job.id == job_id


def test_a_lock_that_is_held_for_too_long_is_an_error_that_may_be_tried_again(
    sqlite: DatabaseBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BUSY_SECONDS", 0.01)
    monkeypatch.setattr("wpbg.queues.connection.TRIES", 2)
    queue = sqlite.queue()
    put_one(queue)
    with the_site_writes(sqlite):
        with pytest.raises(Contention, match="locked by another program"):
            queue.reserve(1, "w1")
        assert queue.busy(), "reading needs no lock"
    assert queue.settle(take(queue), DONE, FINE)


def test_nothing_to_do_takes_no_write_lock(sqlite: DatabaseBench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BUSY_SECONDS", 0.0)
    queue = sqlite.queue("a", "b")
    put_one(queue, queue="b")
    sqlite.pause("b")
    with the_site_writes(sqlite):
        assert queue.reserve(5, "w1") == []
        assert queue.tick().promoted == 0
        assert not queue.busy()


def test_workers_and_a_writing_site_at_once(sqlite: DatabaseBench) -> None:
    queues = [sqlite.queue() for _ in range(4)]
    ids = queues[0].put([job(b"%d" % number) for number in range(200)])
    working = threading.Event()
    working.set()

    def write() -> list[str]:
        done = 0
        with closing(sqlite3.connect(sqlite.site.database, timeout=30, isolation_level=None)) as site:
            while working.is_set() or not done:
                done += site.execute("UPDATE wp_options SET option_value = 'x' WHERE option_name = 'blogname'").rowcount
        return []

    def drain(queue: DatabaseQueue, worker: str) -> list[str]:
        done = []
        while leases := queue.reserve(1, worker):
            assert queue.settle(leases[0], DONE, FINE)
            done.append(leases[0].job.id)
        working.clear()
        return done

    taken = at_once(write, *(partial(drain, queue, f"w{number}") for number, queue in enumerate(queues)))
    assert sorted(chain.from_iterable(taken)) == sorted(ids)


def test_what_is_put_is_on_the_disk_and_the_rest_is_quick(sqlite: DatabaseBench) -> None:
    queue = sqlite.queue()
    seen: list[int] = []
    before_begin(queue, lambda: seen.append(say(queue, "PRAGMA synchronous")))
    put_one(queue)
    take(queue)
    full, normal = 2, 1
    assert seen == [full, normal]


def before_begin(queue: DatabaseQueue, act: Callable[[], None]) -> None:
    """Do something each time before the queue begins a transaction."""
    begin = queue.database._begin

    def acting() -> None:
        act()
        begin()

    queue.database._begin = acting  # type: ignore[method-assign]


def say(queue: DatabaseQueue, sql: str) -> int:
    """Run a statement on the queue's own connection; the number it answers."""
    assert isinstance(queue.database, SQLite)
    assert queue.database._connection is not None
    row = queue.database._connection.execute(sql).fetchone()
    return int(row[0]) if row else 0


def reached(settings: DatabaseSettings) -> bool:
    with closing(SQLite(settings)) as database:
        return database.rows("job_state", id=0) == []


class TestReachingIt:
    def test_a_file_that_is_not_there_is_not_made(self, sqlite: DatabaseBench, tmp_path: Path) -> None:
        file = tmp_path / "none.sqlite"
        with pytest.raises(QueueUnreachable, match=r"no SQLite file .*none\.sqlite.*FQDB") as caught:
            reached(replace(sqlite.settings, file=str(file)))
        assert caught.value.exit_code == 4
        assert not file.exists()

    def test_a_path_with_characters_that_mean_something_in_urls(self, sqlite: DatabaseBench, tmp_path: Path) -> None:
        file = tmp_path / "a?b#c %20.sqlite"
        with closing(sqlite3.connect(file)) as copy, closing(sqlite3.connect(sqlite.site.database)) as source:
            source.backup(copy)
        assert reached(replace(sqlite.settings, file=str(file)))

    def test_a_file_that_is_no_database(self, sqlite: DatabaseBench, tmp_path: Path) -> None:
        file = tmp_path / "text.sqlite"
        file.write_text("This is no database. " * 200)
        with pytest.raises(QueueUnreachable, match="not a database"):
            reached(replace(sqlite.settings, file=str(file)))

    def test_a_file_that_may_not_be_written(self, sqlite: DatabaseBench) -> None:
        queue = sqlite.queue()
        say(queue, "PRAGMA query_only = ON")  # what SQLite says then is what it says of a read-only file
        with pytest.raises(QueueUnreachable, match="cannot be written to: run wpbg as a user who may"):
            put_one(queue)
        assert put_one(queue), "connected anew"

    def test_missing_tables_are_the_plugins_affair(self, sqlite: DatabaseBench) -> None:
        with pytest.raises(PluginNotReady, match="wpbg install"):
            reached(replace(sqlite.settings, prefix="other_"))

    def test_so_are_tables_of_the_older_plugin(self, sqlite: DatabaseBench) -> None:
        sqlite.site.query("CREATE TABLE old_bg_jobs (id INTEGER PRIMARY KEY, queue TEXT, payload BLOB)")
        try:
            with pytest.raises(PluginNotReady, match=r"older than this wpbg.*wpbg install"):
                reached(replace(sqlite.settings, prefix="old_"))
        finally:
            sqlite.site.query("DROP TABLE old_bg_jobs")

    def test_a_file_that_was_replaced_is_found_again(self, sqlite: DatabaseBench, tmp_path: Path) -> None:
        file = tmp_path / "moving.sqlite"
        with closing(sqlite3.connect(file)) as copy, closing(sqlite3.connect(sqlite.site.database)) as source:
            source.backup(copy)
        with closing(DatabaseQueue(replace(sqlite.settings, file=str(file)), ["default"], lease_ms=1000)) as queue:
            put_one(queue)
            queue.close()
            kept = tmp_path / "kept.sqlite"
            file.rename(kept)
            with pytest.raises(QueueUnreachable):
                queue.reserve(1, "w1")
            kept.rename(file)
            assert take(queue)

    def test_one_that_took_the_place_of_an_open_one_is_used_instead(
        self, sqlite: DatabaseBench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A backup that was put back: who stays on the old file, which has no name any more, waits for ever."""
        monkeypatch.setattr(module, "LOOK_SECONDS", -1.0)
        file, backup = tmp_path / "site.sqlite", tmp_path / "backup.sqlite"
        for copied in (file, backup):
            with closing(sqlite3.connect(copied)) as copy, closing(sqlite3.connect(sqlite.site.database)) as source:
                source.backup(copy)
        settings = replace(sqlite.settings, file=str(file))
        with closing(DatabaseQueue(settings, ["default"], lease_ms=1000)) as queue:
            assert queue.reserve(1, "w1") == []
            backup.rename(file)
            with closing(DatabaseQueue(settings, ["default"], lease_ms=1000)) as other:
                job_id = put_one(other)
            with pytest.raises(QueueUnreachable, match="replaced or moved away"):
                queue.reserve(1, "w1")
            assert take(queue).job.id == job_id
