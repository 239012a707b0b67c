"""What strains a broker: large jobs, late jobs, very many jobs, and servers that say nothing."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.acceptance.brokers import Broker
from tests.contract.bench import Clock, settings_of
from tests.support import php
from tests.support.site import Site
from tests.support.sites import Sites
from tests.support.wait import wait_for
from wpbg.job import Ending, Outcome
from wpbg.queues.database import DatabaseQueue
from wpbg.settle import Release

JOBS = int(os.environ.get("WPBG_TEST_JOBS", "2000"))
THREE_DAYS = 3 * 86_400_000

CALLBACKS = """
function record_run( $n ) {
    global $wpdb;
    $wpdb->insert( $wpdb->prefix . 'ran', array( 'n' => $n ) );
    return $n;
}
function digest( $data ) { return array( strlen( $data ), md5( $data ) ); }
function all_bytes( $size ) {
    $bytes = '';
    for ( $n = 0; strlen( $bytes ) < $size; $n++ ) { $bytes .= md5( (string) $n, true ); }
    return substr( $bytes, 0, $size );
}
"""
TABLE = "CREATE TABLE {$wpdb->prefix}ran ( id bigint NOT NULL AUTO_INCREMENT PRIMARY KEY, n bigint )"


@pytest.fixture
def site(sites: Sites, broker: Broker) -> Iterator[Site]:
    made = sites.clone("maria71")
    made.mu_plugin("callbacks", CALLBACKS)
    made.eval_php(f'global $wpdb; $wpdb->query( "{TABLE}" );')
    broker.serve(made)
    yield made
    sites.close(made)


def ran(site: Site) -> list[int]:
    return sorted(row["n"] for row in site.query(f"SELECT n FROM {site.table('ran')}"))


def get(site: Site, job_id: str) -> dict[str, object]:
    return dict(json.loads(site.wpbg("jobs", "get", job_id, "--format", "json", check=True).stdout))


@pytest.mark.parametrize("size", [60_000, 1_048_576, 6_000_000])
def test_large_payloads_arrive_as_they_were(site: Site, size: int) -> None:
    told = site.eval_php(
        f"$data = all_bytes( {size} ); echo add_async_job( array( 'function' => 'digest', 'user_data' => $data ) ),"
        " ' ', md5( $data );"
    )
    job, md5 = told.split()
    assert site.wpbg("listen", "--stop-when-empty").returncode == 0
    done = get(site, job)
    assert (done["status"], done["result"]) == ("completed", [size, md5])


def test_a_delay_of_three_days_is_kept_to_the_millisecond(site: Site) -> None:
    before, job, after = site.eval_php(
        "global $wpdb; $now = 'SELECT ' . Background_Worker\\Database::now();"
        "echo $wpdb->get_var( $now ), ' ', add_async_job( array( 'function' => 'digest', 'user_data' =>"
        " all_bytes( 1048576 ) ), 'default', array( 'delay' => 3 * DAY_IN_SECONDS ) ), ' ', $wpdb->get_var( $now );"
    ).split()
    due = int(site.job(job)["due_at"])
    assert int(before) + THREE_DAYS <= due <= int(after) + THREE_DAYS
    clock = Clock(due - 1)
    with closing(DatabaseQueue(settings_of(site), ("default",), lease_ms=60_000, clock=clock)) as queue:
        assert queue.tick().promoted == 0
        assert queue.reserve(1, "early") == []
        clock.advance(1)
        assert queue.tick().promoted == 1
        (lease,) = queue.reserve(1, "in time")
        assert (lease.job.id, lease.job.attempt) == (job, 1)
        assert queue.settle(lease, Release(), Outcome(Ending.INTERRUPTED))
    assert site.wpbg("listen", "--stop-when-empty").returncode == 0
    done = get(site, job)
    assert (done["status"], done["result"]) == (
        "completed",
        [1_048_576, site.eval_php("echo md5( all_bytes( 1048576 ) );")],
    )


@pytest.mark.timeout(900)
def test_very_many_jobs_through_four_slots_run_once_each(site: Site, broker: Broker) -> None:
    added = site.eval_php(
        f"echo count( array_unique( add_async_jobs( ( function () {{ for ( $n = 0; $n < {JOBS}; $n++ ) {{"
        " yield array( 'function' => 'record_run', 'user_data' => $n ); } } )() ) ) );"
    )
    assert (added, broker.waiting(site)) == (str(JOBS), JOBS)
    worker = site.wpbg("listen", "--mode", "loop", "--concurrency", "4", "--stop-when-empty", timeout=800)
    assert worker.returncode == 0, worker.stderr[-2000:]
    assert ran(site) == list(range(JOBS))
    rows = site.query(f"SELECT status, attempts, count(*) AS jobs FROM {site.jobs} GROUP BY status, attempts")
    assert rows == [{"status": "completed", "attempts": 1, "jobs": JOBS}]
    assert len(site.query(f"SELECT DISTINCT worker FROM {site.jobs}")) > 1
    assert broker.waiting(site) == 0


def add(site: Site, n: int) -> str:
    return site.enqueue("record_run", n)


def test_a_server_that_says_nothing_any_more_keeps_no_job_of_the_table(site: Site, broker: Broker) -> None:
    worker = site.start_wpbg("listen", "--mode", "fork")
    add(site, 0)
    wait_for(lambda: ran(site) == [0], what="the lane works")
    broker.server.freeze()
    try:
        worker.wait_for_line(r"lane\.lost")
        ids = [add(site, n) for n in range(1, 11)]
        assert all(job_id.isdigit() for job_id in ids)
        wait_for(lambda: set(range(1, 11)) <= set(ran(site)), 60, "the table is served while it says nothing")
        assert "lane.back" not in worker.log
    finally:
        broker.server.thaw()
    worker.wait_for_line(r"lane\.back", 60)
    add(site, 11)
    wait_for(lambda: 11 in ran(site), 60, "the lane works again")
    assert ran(site) == list(range(12)), "what the frozen server had got as well ran once"
    worker.terminate()
    assert worker.wait() == 0


@contextlib.contextmanager
def black_hole() -> Iterator[str]:
    """An address where connections are neither made nor refused: the backlog is full, so packets are dropped."""
    with contextlib.ExitStack() as stack:
        full = stack.enter_context(socket.socket())
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(4):
            one = stack.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        yield f"127.0.0.1:{full.getsockname()[1]}"


def test_a_server_that_drops_every_packet_keeps_no_job_of_the_table(site: Site, broker: Broker) -> None:
    with black_hole() as address:
        site.configure(ABW_BEANSTALKD=address)
        site.mu_plugin("servers", f"$GLOBALS['gearman_servers'] = {php.literal([address])};")
        ids = [add(site, n) for n in range(5)]
        assert all(job_id.isdigit() for job_id in ids)
        worker = site.wpbg("listen", "--mode", "fork", "--concurrency", "2", "--stop-when-empty")
    assert worker.returncode == 0
    assert worker.stderr.count("lane.lost") == 1
    assert ran(site) == list(range(5))
