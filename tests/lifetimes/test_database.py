"""The site's database is restarted, drops idle connections, has none left, or is left in a transaction."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lifetimes.at_work import PERSISTENT, at_work, jobs, put
from tests.support.mariadb import MariaDB
from tests.support.site import Site
from tests.support.sites import Sites
from tests.support.wait import wait_for

SESSION = {
    "autocommit": "SET autocommit = 0",
    "variables": "SET @left_by_job = 1, SESSION time_zone = '+05:00', sql_mode = 'ANSI'",
    "names": "SET NAMES latin1",
    "named lock": "SELECT GET_LOCK( 'left_by_job', 0 )",
    "table lock": "LOCK TABLES wp_users WRITE",
    "temporary table": "CREATE TEMPORARY TABLE wp_options SELECT 1 AS option_id",
    "other database": "USE mysql",
}


@pytest.fixture(scope="module")
def server(sites: Sites, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDB]:
    """A server that these tests may stop."""
    server = MariaDB(tmp_path_factory.mktemp("mariadb") / "server")
    yield server
    server.start()
    sites.close_on(server)
    server.stop()


@pytest.fixture(scope="module")
def site(sites: Sites, server: MariaDB) -> Site:
    site = sites.clone("maria71", server=server)
    jobs(site, "database")
    return site


def lock_account(server: MariaDB, how: str) -> None:
    for host in ("localhost", "127.0.0.1", "::1"):
        server.execute(f"ALTER USER '{server.user}'@'{host}' ACCOUNT {how}")


@pytest.mark.parametrize("lifetime", PERSISTENT)
def test_the_server_is_restarted(site: Site, server: MariaDB, lifetime: str, tmp_path: Path) -> None:
    with at_work(site, lifetime, "--lease", "60") as work:
        assert work.result("writes", "before") == "before"
        server.stop()
        server.start()
        assert work.result("writes", "after an idle time") == "after an idle time"

        (job,) = put(site, "waits_then_writes", [str(tmp_path / "during")])
        wait_for((tmp_path / "during.begun").exists, what="the job has begun")
        server.stop()
        server.start()
        (tmp_path / "during.go").touch()
        row = work.end_of(job)
        assert (row["status"], row["result"], row["attempts"]) == ("completed", '"during"', 1), row["error"]

        (job,) = put(site, "waits", [str(tmp_path / "end")])
        wait_for((tmp_path / "end.begun").exists, what="the job has begun")
        server.stop()
        (tmp_path / "end.go").touch()
        work.wait_for_event("job.unsettled")
        server.start()
        row = work.end_of(job)
        assert (row["status"], row["attempts"]) == ("completed", 1)
        assert work.result("past_wpdb", 7) == "7", "the job before ended while there was no server"
        assert work.result("writes", "at last") == "at last"


@pytest.mark.parametrize("lifetime", PERSISTENT)
def test_the_server_hangs_up_on_an_idle_process(site: Site, server: MariaDB, lifetime: str) -> None:
    with at_work(site, lifetime) as work:
        assert work.result("past_wpdb", 1) == "1"
        ours = "SELECT id FROM information_schema.processlist WHERE user = %s AND command = 'Sleep'"
        connections = [row["id"] for row in server.execute(ours, (server.user,))]
        for number in connections:
            server.execute(f"KILL {number}")
        idle_until = time.monotonic() + 1.1  # What was used within the last second is not looked at.
        wait_for(lambda: time.monotonic() > idle_until, what="the process was idle for a while")
        assert work.result("past_wpdb", 2) == "2"
        assert work.result("writes", "x") == "x"


def test_a_child_gets_no_connection(site: Site, server: MariaDB) -> None:
    """Connections that are there go on, no new one is let in. The job has not begun: it goes back uncounted."""
    with at_work(site, "fork") as work:
        work.wait_until_warm()
        lock_account(server, "LOCK")
        try:
            (job,) = put(site, "writes", ["late"])
            work.wait_for_event("php.not_started", "could not connect to the site's database")
        finally:
            lock_account(server, "UNLOCK")
        row = work.end_of(job)
        assert (row["status"], row["attempts"], row["history"]) == ("completed", 1, None)


@pytest.mark.parametrize("lifetime", PERSISTENT)
@pytest.mark.parametrize("kind", ["sqlite71", "maria71"])
def test_a_transaction_left_open_is_undone(sites: Sites, kind: str, lifetime: str) -> None:
    site = sites.clone(kind)
    jobs(site, "database")
    reads = "SELECT option_value FROM wp_options WHERE option_name = 'written'"
    with at_work(site, lifetime, "--stop-when-empty") as work:
        ids = put(site, "writes", ["kept"])
        ids += put(site, "leaves_transaction", ["lost"])
        ids += put(site, "leaves_transaction_and_throws", ["lost too"])
        work.worker.wait()
        assert [row["option_value"] for row in site.query(reads)] == ["kept"]
    with at_work(site, lifetime) as work:
        assert work.result("leaves_transaction", "lost") == "lost"
        assert [row["option_value"] for row in site.query(reads)] == ["kept"]
        site.query("UPDATE wp_options SET option_value = 'by the site' WHERE option_name = 'written'")
        assert work.result("leaves_transaction", "lost again") == "lost again"
        assert work.result("writes", "kept again") == "kept again"
        assert [row["option_value"] for row in site.query(reads)] == ["kept again"]
    told = [json.loads(site.job(job)["error"] or "null") for job in ids]
    assert [error and error["message"] for error in told] == [None, None, "in the middle"]
    sites.close(site)


@pytest.mark.parametrize("lifetime", PERSISTENT)
def test_what_a_job_leaves_in_its_session_is_undone(maria71: Site, lifetime: str) -> None:
    """Autocommit switched off, for one: the next job's writes would never be committed."""
    jobs(maria71, "database")
    with at_work(maria71, lifetime) as work:
        fresh = work.result("session")
        for name, statement in SESSION.items():
            assert work.run("changes_session", statement)["status"] == "completed", name
            assert work.result("session") == fresh, name
            assert work.result("writes", f"after {name}") == f"after {name}"
        written = maria71.query("SELECT option_value FROM wp_options WHERE option_name = 'written'")
        assert written == [{"option_value": "after other database"}]
