"""Many workers at once: each job runs exactly once, whatever the way of claiming.

In fork mode: there the workers are at the queue all the time, and not at booting WordPress. `WPBG_TEST_JOBS` sets how
many jobs.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.support.process import WorkerProcess
from tests.support.site import Site
from tests.support.sites import Sites
from tests.support.wait import wait_for

JOBS = int(os.environ.get("WPBG_TEST_JOBS", "2000"))

LISTEN = ("listen", "--mode", "fork", "--stop-when-empty")

RECORD = """
function record_run( $n ) {
    global $wpdb;
    $wpdb->insert( $wpdb->prefix . 'ran', array( 'n' => $n, 'pid' => getmypid() ) );
    return $n;
}
"""
TABLE = "CREATE TABLE {$wpdb->prefix}ran ( id bigint NOT NULL AUTO_INCREMENT PRIMARY KEY, n bigint, pid bigint )"


def _prepare(site: Site) -> None:
    site.mu_plugin("record", RECORD)
    site.eval_php(f'global $wpdb; $wpdb->query( "{TABLE}" );')
    added = site.eval_php(
        f"$ids = add_async_jobs( ( function () {{ for ( $n = 0; $n < {JOBS}; $n++ ) {{"
        " yield (object) array( 'function' => 'record_run', 'user_data' => $n ); } } )() );"
        "echo is_wp_error( $ids ) ? $ids->get_error_message() : count( array_unique( $ids ) );"
    )
    assert added == str(JOBS)


def _assert_each_ran_once(site: Site, workers: list[WorkerProcess]) -> None:
    for worker in workers:
        assert worker.wait(1200) == 0, worker.log
        assert "Traceback" not in worker.log
    ran = sorted(row["n"] for row in site.query(f"SELECT n FROM {site.table('ran')}"))
    assert ran == list(range(JOBS))
    rows = site.query(f"SELECT status, attempts, count(*) AS jobs FROM {site.jobs} GROUP BY status, attempts")
    assert rows == [{"status": "completed", "attempts": 1, "jobs": JOBS}]
    busy = {row["worker"] for row in site.query(f"SELECT DISTINCT worker FROM {site.jobs}")}
    assert len(busy) > len(workers) // 2, "the work was shared"


@pytest.fixture
def maria(sites: Sites) -> Iterator[Site]:
    site = sites.clone("maria71")
    yield site
    sites.close(site)


@pytest.mark.timeout(1500)
@pytest.mark.parametrize("flags", [(), ("--skip-lock",)], ids=["skip-locked", "skip-lock"])
def test_twenty_workers_on_mariadb(maria: Site, flags: tuple[str, ...]) -> None:
    _prepare(maria)
    deadlocks = _deadlocks(maria)
    workers = [maria.start_wpbg(*LISTEN, "--name", f"w{n}", *flags) for n in range(20)]
    _assert_each_ran_once(maria, workers)
    assert _deadlocks(maria) == deadlocks
    assert not any("queue.lost" in worker.log for worker in workers)


def _deadlocks(site: Site) -> int:
    status = site.query("SHOW GLOBAL STATUS LIKE 'Innodb_deadlocks'")
    return int(status[0]["Value"])


@pytest.mark.timeout(1500)
def test_four_workers_on_sqlite_while_the_site_writes(sqlite71: Site) -> None:
    _prepare(sqlite71)
    stop = sqlite71.folder / "stop"
    sqlite71.mu_plugin(
        "writer",
        "function keep_writing( $stop ) { for ( $n = 0; ! file_exists( $stop ); $n++ ) {"
        " if ( ! update_option( 'written', $n, false ) && $n ) { fwrite( STDERR, 'lost a write' ); exit( 1 ); }"
        " usleep( 2000 ); } echo $n; }",
    )
    writer = sqlite71.start([*sqlite71.wp_argv, f"--path={sqlite71.path}", "eval", f"keep_writing( '{stop}' );"])
    wait_for(lambda: sqlite71.eval_php("echo get_option( 'written' );"), what="the site writes")
    workers = [sqlite71.start_wpbg(*LISTEN, "--name", f"w{n}") for n in range(4)]
    try:
        _assert_each_ran_once(sqlite71, workers)
    finally:
        stop.touch()
    assert writer.wait() == 0, writer.log
    assert int(writer.stdout_lines[-1]) > 100


def test_one_worker_with_slots(maria: Site) -> None:
    _prepare(maria)
    worker = maria.start_wpbg(*LISTEN, "--concurrency", "4", "--name", "w")
    assert worker.wait(600) == 0
    names = {row["worker"] for row in maria.query(f"SELECT DISTINCT worker FROM {maria.jobs}")}
    assert names == {"w/1", "w/2", "w/3", "w/4"}
