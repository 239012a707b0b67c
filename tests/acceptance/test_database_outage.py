"""The database goes away in the middle of work and comes back: the worker goes on by itself."""

from __future__ import annotations

import pytest

from tests.support.mariadb import MariaDB
from tests.support.sites import Sites
from tests.support.wait import wait_for

WAIT = """
function wait_for_go( $file ) {
    touch( "$file.begun" );
    while ( ! file_exists( "$file.go" ) ) { usleep( 20000 ); }
    return 'finished';
}
"""


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_worker_survives_an_outage(sites: Sites, private_mariadb: MariaDB, how: str) -> None:
    site = sites.clone("maria71", server=private_mariadb)
    site.mu_plugin("wait", WAIT)
    trace = site.folder / "trace"
    running = site.enqueue("wait_for_go", str(trace))
    later = site.enqueue("wait_for_go", str(trace))
    worker = site.start_wpbg("listen", "--lease", "3")
    wait_for(lambda: trace.with_suffix(".begun").exists(), what="the job has begun")

    getattr(private_mariadb, how)()
    trace.with_suffix(".go").touch()  # it ends while nobody can write down how
    worker.wait_for_line(r"job\.unsettled .*Its outcome is kept")
    private_mariadb.start()

    first = site.wait_for_status(running, "completed", "failed")
    second = site.wait_for_status(later, "completed", "failed")
    assert (first["status"], first["attempts"], first["result"]) == ("completed", 1, '"finished"')
    assert second["status"] == "completed"
    worker.terminate()
    assert worker.wait() == 0
    assert "Traceback" not in worker.log


def test_an_idle_worker_waits_for_the_server(sites: Sites, private_mariadb: MariaDB) -> None:
    site = sites.clone("maria71", server=private_mariadb)
    site.mu_plugin("quick", "function quick() { return 1; }")
    worker = site.start_wpbg("listen")
    worker.wait_for_line(r"worker\.started")
    private_mariadb.kill()
    worker.wait_for_line(r"queue\.lost .*Trying again until it is back")
    private_mariadb.start()
    worker.wait_for_line(r"queue\.back")
    job = site.enqueue("quick")
    site.wait_for_status(job, "completed")
    assert sum("queue.lost" in line for line in worker.lines) <= 2, worker.log
    worker.terminate()
    assert worker.wait() == 0


def test_a_worker_can_be_stopped_during_an_outage(sites: Sites, private_mariadb: MariaDB) -> None:
    site = sites.clone("maria71", server=private_mariadb)
    worker = site.start_wpbg("listen")
    worker.wait_for_line(r"worker\.started")
    private_mariadb.kill()
    worker.wait_for_line(r"queue\.lost")
    worker.terminate()
    assert worker.wait(20) == 0
