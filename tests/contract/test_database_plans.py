"""What statements cost: which index each uses while a hundred thousand jobs wait."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.contract.bench import settings_of
from tests.support.site import Site
from wpbg.queues.connection import Database, open_database
from wpbg.queues.database import DatabaseQueue
from wpbg.queues.mysql import MySQL
from wpbg.queues.sql import PARAMETER
from wpbg.queues.sqlite import SQLite, expand

WAITING = 100_000

BY_ID = [
    *("claim_locked", "claim_guarded", "renew", "finish", "retry", "release", "cancel_running", "progress"),
    *("began", "rescue_held", "unlocked"),
    *("promote", "rescue", "prune", "retry_job", "retry_plain", "cancel_waiting", "request_cancel", "delete_job"),
    *("delete_ids", "retry_outside"),
]
BY_CLAIM_INDEX = ["claim_candidates", "claim_lock", "busy", "some_ids", "oldest"]
BY_DUE_INDEX = ["due_delayed", "expired", "finished_before", "failed_plain"]

VALUES: dict[str, Any] = {
    "queue": "default",
    "status": "completed",
    "ids": [1, 2, 3],
    "limit": 5,
    "now": 1005,
    "before": 1005,
    "worker": "w",
    "entry": None,
    "progress_done": None,
    "callback": None,
    "unique_hash": "0",
}


@pytest.fixture(scope="module")
def filled_sqlite(sqlite_site: Site) -> Iterator[Database]:
    yield from fill(sqlite_site)


@pytest.fixture(scope="module")
def filled_mariadb(mariadb_site: Site) -> Iterator[Database]:
    yield from fill(mariadb_site)


@pytest.fixture(params=["filled_mariadb", "filled_sqlite"])
def filled(request: pytest.FixtureRequest) -> Database:
    database: Database = request.getfixturevalue(request.param)
    return database


def fill(site: Site) -> Iterator[Database]:
    """Many waiting jobs of two queues and three priorities, and some of every other status but `running`."""
    site.query(f"DELETE FROM {site.jobs}")
    site.query(f"INSERT INTO {site.jobs} (queue, payload, priority) VALUES ('default', x'78', 0), ('mail', x'78', -10)")
    columns = "queue, payload, status, priority, due_at"
    for doubling in range(16):
        doubled = f"queue, payload, status, {(doubling % 3) * 10 - 10}, 0"
        site.query(f"INSERT INTO {site.jobs} ({columns}) SELECT {doubled} FROM {site.jobs}")
    for status in ("delayed", "completed", "failed", "cancelled"):
        others = f"queue, payload, '{status}', priority, 1000 + id"
        site.query(f"INSERT INTO {site.jobs} ({columns}) SELECT {others} FROM {site.jobs} WHERE id <= 500")
    (count,) = site.query(f"SELECT COUNT(*) AS jobs FROM {site.jobs} WHERE status = 'queued'")
    assert count["jobs"] > WAITING
    if site.server:
        site.query(f"ANALYZE TABLE {site.jobs}")
    database = open_database(settings_of(site))
    database.connect()
    yield database
    database.close()


def plan(database: Database, name: str) -> str:
    """How the database would go about a query, as one text."""
    sql = database.queries[name]
    given = {key: VALUES.get(key, 1) for key in PARAMETER.findall(sql)}
    if isinstance(database, MySQL):
        assert database._connection is not None
        with database._connection.cursor() as cursor:
            row = re.search(r"\((SELECT .*)\) AS ended", database._statements[name])
            statement = database._statements[name].replace(row[1], f"{row[1]} UNION ALL {row[1]}") if row else None
            cursor.execute("EXPLAIN " + cursor.mogrify(statement or database._statements[name], given))
            return "\n".join(
                f"{row['type']} {row['key']} {row['Extra']}"
                for row in cursor.fetchall()
                if row["table"] in ("wp_bg_jobs", "j")
            )
    assert isinstance(database, SQLite)
    assert database._connection is not None
    rows = database._connection.execute(*_explained(*expand(sql, given))).fetchall()
    return "\n".join(
        row[3] for row in rows if not re.search(r"\bq\b|CONSTANT|once|first_hundred|SUBQUERY|CO-ROUTINE", row[3])
    )


def _explained(sql: str, given: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    return f"EXPLAIN QUERY PLAN {sql}", given


SORTS = re.compile("filesort|temporary|TEMP B-TREE")


@pytest.mark.parametrize("name", BY_ID)
def test_changes_of_known_jobs_touch_only_those(filled: Database, name: str) -> None:
    said = plan(filled, name)
    assert re.fullmatch(r"(range|const) PRIMARY .*|SEARCH \w+ USING INTEGER PRIMARY KEY \(rowid=\?\)", said), said


def test_jobs_that_end_together_are_looked_up_one_by_one(filled: Database) -> None:
    said = plan(filled, "complete")
    assert re.fullmatch(r"eq_ref PRIMARY .*|SEARCH \w+ USING INTEGER PRIMARY KEY \(rowid=\?\)", said), said
    assert not SORTS.search(said), said


@pytest.mark.parametrize("name", BY_CLAIM_INDEX)
def test_the_next_jobs_are_read_from_the_claim_index_in_its_order(filled: Database, name: str) -> None:
    said = plan(filled, name)
    lines = said.split("\n")
    assert all(re.search(r"(ref|range) claim |__claim \(status=\? AND queue=\?", line) for line in lines), said
    assert not SORTS.search(said), said


@pytest.mark.parametrize("name", BY_DUE_INDEX)
def test_what_is_due_is_read_from_the_due_index_in_its_order(filled: Database, name: str) -> None:
    said = plan(filled, name)
    assert re.search(r"range due |wp_bg_jobs__due \(status=\? AND due_at<\?\)", said), said
    assert not SORTS.search(said), said


def test_every_statement_that_names_ids_is_among_them(filled: Database) -> None:
    by_ids = {name for name, sql in filled.queries.items() if re.search(r"id (IN :ids|= :id)\b", sql)}
    read = {"claimed", "job", "job_state", "job_states", "renewed", "settled", "complete", "remove_worker"}
    assert by_ids - read == set(BY_ID)


@pytest.mark.parametrize("skip_lock", [False, True])
def test_a_claim_reads_no_more_rows_than_it_needs(
    mariadb_site: Site, filled_mariadb: Database, skip_lock: bool
) -> None:
    queue = DatabaseQueue(settings_of(mariadb_site), ["default"], lease_ms=1000, skip_lock=skip_lock)
    queue.now_ms()
    before = handler_reads(queue)
    assert len(queue.reserve(3, "w1")) == 3
    assert handler_reads(queue) - before < 60
    queue.close()


def handler_reads(queue: DatabaseQueue) -> int:
    """How many index and row reads the server has counted for this connection."""
    assert isinstance(queue.database, MySQL)
    rows = queue.database._ask("SHOW SESSION STATUS LIKE 'Handler_read%'")
    return sum(int(row["Value"]) for row in rows)
