"""A broker that is killed at the worst moments, with persistence and without: what a site was promised is kept.

With it, every job whose id add_async_job() returned is run, once. Without it, what waited in the broker is lost with
the broker, and nothing else: not what a worker had taken, not what was added while it was away.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.brokers import Broker
from tests.support.beanstalkd import Beanstalkd
from tests.support.gearmand import Gearmand
from tests.support.mariadb import MariaDB
from tests.support.site import Site
from tests.support.sites import Sites
from tests.support.wait import wait_for

PERSISTENT = ("beanstalkd -b", "gearmand -q libsqlite3", "gearmand -q MySQL")
FORGETFUL = ("beanstalkd", "gearmand")
JOBS = 200

CALLBACK = r"""
function record_run( array $data ) {
    global $wpdb;
    usleep( 5000 );
    $fits = (int) ( "\0\xff'\"\\;" === $data['odd'] );
    $wpdb->insert( $wpdb->prefix . 'ran', array( 'n' => $data['n'], 'fits' => $fits ) );
}
function add_some( $from, $to ) {
    $jobs = array();
    for ( $n = $from; $n < $to; $n++ ) {
        $jobs[] = array( 'function' => 'record_run', 'user_data' => array( 'n' => $n, 'odd' => "\0\xff'\"\\;" ) );
    }
    echo implode( ' ', add_async_jobs( $jobs ) );
}
"""
TABLE = "CREATE TABLE {$wpdb->prefix}ran ( id bigint NOT NULL AUTO_INCREMENT PRIMARY KEY, n bigint, fits int )"


def _broker(kind: str, folder: Path, sites: Sites) -> Broker:
    if kind.startswith("beanstalkd"):
        return Broker("beanstalkd", Beanstalkd(folder / "binlog" if kind.endswith("-b") else None))
    options: list[str] = []
    if kind.endswith("libsqlite3"):
        options = ["--queue-type=libsqlite3", f"--libsqlite3-db={folder / 'queue.db'}"]
    elif kind.endswith("MySQL"):
        options = _mysql(sites.mariadb)
    return Broker("gearman", Gearmand(folder / "gearmand", options))


def _mysql(server: MariaDB) -> list[str]:
    server.execute("DROP DATABASE IF EXISTS gearman")
    server.execute("CREATE DATABASE gearman")
    return [
        "--queue-type=MySQL",
        f"--mysql-host={server.host}",
        f"--mysql-port={server.port}",
        f"--mysql-user={server.user}",
        f"--mysql-password={server.password}",
        "--mysql-db=gearman",
    ]


class Trial:
    """A site, its broker, and what ran."""

    def __init__(self, site: Site, broker: Broker) -> None:
        self.site, self.broker, self.server = site, broker, broker.server

    def add(self, begin: int, end: int) -> list[str]:
        ids = self.site.eval_php(f"add_some( {begin}, {end} );").split()
        assert len(set(ids)) == end - begin
        return ids

    def ran(self) -> list[int]:
        rows = self.site.query(f"SELECT n, fits FROM {self.site.table('ran')}")
        assert {row["fits"] for row in rows} <= {1}, "the bytes are as they were"
        return sorted(row["n"] for row in rows)

    def work(self) -> None:
        self.site.wpbg("listen", "--mode", "loop", "--stop-when-empty", check=True)


@pytest.fixture
def trial(request: pytest.FixtureRequest, sites: Sites, tmp_path: Path) -> Iterator[Trial]:
    broker = _broker(request.param, tmp_path, sites)
    broker.server.start()
    site = sites.clone("maria71")
    site.mu_plugin("callbacks", CALLBACK)
    site.eval_php(f'global $wpdb; $wpdb->query( "{TABLE}" );')
    broker.serve(site)
    yield Trial(site, broker)
    sites.close(site)
    broker.server.stop()


both = pytest.mark.parametrize("trial", PERSISTENT + FORGETFUL, indirect=True)
persistent = pytest.mark.parametrize("trial", PERSISTENT, indirect=True)
forgetful = pytest.mark.parametrize("trial", FORGETFUL, indirect=True)


@both
def test_killed_before_the_enqueue(trial: Trial) -> None:
    trial.server.kill()
    ids = trial.add(0, 20)
    assert all(job_id.isdigit() for job_id in ids), "rows of the table"
    trial.work()
    assert trial.ran() == list(range(20))
    trial.server.start()
    trial.add(20, 40)
    assert trial.broker.waiting(trial.site) == 20
    trial.work()
    assert trial.ran() == list(range(40))


@persistent
def test_killed_after_the_enqueue_with_persistence(trial: Trial) -> None:
    trial.add(0, JOBS)
    trial.server.kill()
    trial.server.start()
    trial.work()
    assert trial.ran() == list(range(JOBS))


@forgetful
def test_killed_after_the_enqueue_without(trial: Trial) -> None:
    lost = trial.add(0, 20)
    trial.server.kill()
    kept = trial.add(20, 30)
    trial.server.start()
    trial.add(30, 40)
    trial.work()
    assert trial.ran() == list(range(20, 40)), "what waited in it is lost, and nothing else"
    assert trial.site.wpbg("jobs", "get", lost[0]).returncode == 1
    assert json.loads(trial.site.wpbg("jobs", "get", kept[0], "--format", "json").stdout)["status"] == "completed"


def _kill_in_the_middle(trial: Trial) -> tuple[list[str], list[str]]:
    """Ids of what was added before it was killed, and of what was added after it was started again."""
    before = trial.add(0, JOBS)
    worker = trial.site.start_wpbg("listen", "--mode", "fork", "--concurrency", "2")
    wait_for(lambda: len(trial.ran()) >= 20, what="the work is under way")
    trial.server.kill()
    worker.wait_for_line(r"lane\.lost")
    assert len(trial.ran()) < JOBS, "it was in the middle"
    trial.server.start()
    after = trial.add(JOBS, JOBS + 20)
    worker.wait_for_line(r"lane\.back")
    wait_for(lambda: set(range(JOBS, JOBS + 20)) <= set(trial.ran()), 60, "what came afterwards has run")
    wait_for(lambda: trial.broker.waiting(trial.site) == 0, 60, "the broker is empty")
    worker.terminate()
    assert worker.wait() == 0
    assert "Traceback" not in worker.log
    return before, after


@persistent
def test_killed_in_the_middle_of_work_with_persistence(trial: Trial) -> None:
    before, after = _kill_in_the_middle(trial)
    assert len(before) + len(after) == JOBS + 20
    trial.work()
    assert trial.ran() == list(range(JOBS + 20)), "all of them, each once"


@forgetful
def test_killed_in_the_middle_of_work_without(trial: Trial) -> None:
    _kill_in_the_middle(trial)
    trial.work()
    ran = trial.ran()
    rows = trial.site.query(
        f"SELECT status, attempts, count(*) AS jobs FROM {trial.site.jobs} GROUP BY status, attempts"
    )
    assert rows == [{"status": "completed", "attempts": 1, "jobs": len(ran)}], "what a worker had taken has run"
    assert len(set(ran)) == len(ran)
    assert 40 <= len(ran) < JOBS + 20
