"""The files of named queries: the same names and parameters in both dialects, every one of them used."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import wpbg
from wpbg.queues.mysql import has_skip_locked, pyformat
from wpbg.queues.settings import DatabaseSettings
from wpbg.queues.sql import PARAMETER, for_site, load
from wpbg.queues.sqlite import expand

SOURCES = "\n".join(path.read_text() for path in Path(wpbg.__file__).parent.rglob("*.py"))


def test_both_dialects_have_the_same_queries() -> None:
    assert list(load("mysql")) == list(load("sqlite"))
    assert len(load("mysql")) > 30


@pytest.mark.parametrize("name", load("mysql"))
def test_a_query_has_the_same_parameters_in_both(name: str) -> None:
    assert set(PARAMETER.findall(load("mysql")[name])) == set(PARAMETER.findall(load("sqlite")[name]))


@pytest.mark.parametrize("name", load("mysql"))
def test_a_query_is_used(name: str) -> None:
    assert re.search(rf"""["']{name}["']""", SOURCES), f"nobody runs {name}"


@pytest.mark.parametrize("dialect", ["mysql", "sqlite"])
def test_every_change_of_a_job_is_guarded(dialect: str) -> None:
    """By its status, or (a new row) by its unique key: no statement changes a job just because it has that id."""
    for name, sql in load(dialect).items():
        if re.match(r"(UPDATE|DELETE FROM) \{jobs\}", sql):
            assert re.search(r"WHERE [\s\S]*\bstatus (=|IN|<>) ", sql), name


@pytest.mark.parametrize("dialect", ["mysql", "sqlite"])
@pytest.mark.parametrize("name", ["renew", "finish", "retry", "release", "cancel_running", "progress", "rescue"])
def test_what_a_worker_says_is_guarded_by_its_token(dialect: str, name: str) -> None:
    assert "status = 'running' AND lease_token = :token" in load(dialect)[name]


def test_what_ends_well_is_guarded_by_its_token() -> None:
    assert "WHERE j.status = 'running' AND j.lease_token = ended.token" in load("mysql")["complete"]
    assert "status = 'running' AND lease_token = :token" in load("sqlite")["complete"]


def test_tables_get_the_sites_prefix() -> None:
    queries = for_site(DatabaseSettings(engine="mysql", prefix="net_"))
    assert "`net_bg_jobs`" in queries["put"]
    assert not [name for name, sql in queries.items() if "{" in sql]


def test_parameters_as_pymysql_writes_them() -> None:
    assert pyformat("a = :a_b AND t LIKE 'x%' AND id IN :ids") == "a = %(a_b)s AND t LIKE 'x%%' AND id IN %(ids)s"


def test_lists_as_sqlite_takes_them() -> None:
    sql, given = expand("id IN :ids AND q = :q", {"ids": [5, 6], "q": "x"})
    assert sql == "id IN (:ids_0, :ids_1) AND q = :q"
    assert given == {"ids_0": 5, "ids_1": 6, "q": "x"}


@pytest.mark.parametrize(
    ("version", "has"),
    [
        ("10.11.6-MariaDB-0+deb12u1", True),
        ("10.6.0-MariaDB", True),
        ("10.5.29-MariaDB-log", False),
        ("11.4.2-MariaDB-ubu2404", True),
        ("8.0.36", True),
        ("8.0.1-dmr", True),
        ("8.0.0-dmr", False),
        ("9.1.0", True),
        ("5.7.44-log", False),
        ("8.0.mysql_aurora.3.04.0", True),
        ("5.7.mysql_aurora.2.11.1", False),
        ("8.0.11-TiDB-v7.5.0", False),
        ("8.0.35-27", True),
        ("something else", False),
    ],
)
def test_which_servers_step_over_locked_rows(version: str, has: bool) -> None:
    assert has_skip_locked(version) is has
