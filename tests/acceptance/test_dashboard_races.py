"""Retry, cancel, run next and delete from the dashboard at the very moment at which workers settle the same jobs."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator

import pytest

from tests.support.site import Site
from tests.support.sites import Sites
from tests.support.wait import wait_for
from tests.support.web import Visitor, Web

JOBS = 150

PLUGIN = """
function now_and_then( $n ) {
	file_put_contents( ABSPATH . 'ran', background_job()->id . "\\n", FILE_APPEND | LOCK_EX );
	usleep( mt_rand( 0, 20000 ) );
	if ( 0 === mt_rand( 0, 2 ) ) {
		throw new RuntimeException( 'now and then' );
	}
	return $n;
}
"""


@pytest.fixture(params=["sqlite71", "maria71"])
def site(request: pytest.FixtureRequest, sites: Sites) -> Iterator[Site]:
    made = sites.clone(request.param)
    yield made
    sites.close(made)


def test_no_job_is_left_in_a_state_that_it_cannot_be_in(site: Site) -> None:
    site.mu_plugin("now_and_then", PLUGIN)
    web = Web(site)
    site.eval_php(
        f"for ( $n = 0; $n < {JOBS}; $n++ ) {{ $options = array( 'max_attempts' => 2, 'backoff' => 0 );"
        " if ( 0 === $n % 3 ) { $options['unique'] = \"k$n\"; }"
        " add_async_job( (object) array( 'function' => 'now_and_then', 'user_data' => $n ), 'default', $options ); }"
    )
    ids = [str(row["id"]) for row in site.query(f"SELECT id FROM {site.jobs}")]
    answers: list[int] = []

    def click(admin: Visitor, seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(60):
            action = chance.choice(["retry", "cancel", "run-next", "retry", "cancel", "delete"])
            some = chance.sample(ids, 6 if action != "delete" else 1)
            answers.append(admin.rest("POST", "/jobs/bulk", {"action": action, "ids": some}).status)

    clickers = [threading.Thread(target=click, args=(web.log_in(), seed)) for seed in (1, 2)]
    worker = site.start_wpbg("listen", "--mode", "fork", "--concurrency", "3")
    for clicker in clickers:
        clicker.start()
    for clicker in clickers:
        clicker.join()
    assert set(answers) == {200}
    unfinished = f"SELECT id FROM {site.jobs} WHERE status IN ('queued', 'delayed', 'running')"
    wait_for(lambda: not site.query(unfinished), 120, "the last job ended")
    worker.terminate()
    assert worker.wait() == 0
    assert "Traceback" not in worker.log
    ran = (site.path / "ran").read_text().split()
    for job in site.query(f"SELECT * FROM {site.jobs}"):
        assert job["status"] in ("completed", "failed", "cancelled")
        assert job["unique_hash"] is None, job
        assert job["finished_at"] is not None, job
        assert job["due_at"] == job["finished_at"], job
        if job["status"] == "completed":
            assert job["error"] is None
            assert job["result"] is not None
            assert str(job["id"]) in ran
        if job["status"] == "failed":
            assert job["attempts"] == 2, job
            assert job["error"] is not None
