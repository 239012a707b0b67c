"""kill -9 in the middle of a job: it comes back after the lease, once."""

from __future__ import annotations

import signal

import pytest

from tests.support.process import kill_marked
from tests.support.site import MARK, Site
from tests.support.wait import wait_for

SLOW = """
function slow( $file ) {
    file_put_contents( $file, background_job()->attempt . "\\n", FILE_APPEND );
    if ( 1 === background_job()->attempt ) {
        sleep( 120 );
    }
    return 'attempt ' . background_job()->attempt;
}
"""


@pytest.mark.parametrize("kind", ["sqlite71", "maria71"])
def test_another_worker_completes_the_job_after_the_lease(request: pytest.FixtureRequest, kind: str) -> None:
    site: Site = request.getfixturevalue(kind)
    site.mu_plugin("slow", SLOW)
    trace = site.folder / "trace"
    job = site.enqueue("slow", str(trace))
    first = site.start_wpbg("listen", "--lease", "3")
    wait_for(lambda: trace.exists() and trace.read_text() == "1\n", what="the first attempt has begun")

    first.kill()
    first.wait()
    second = site.start_wpbg("listen", "--lease", "3", "--name", "second")
    row = site.wait_for_status(job, "completed", "failed")

    assert (row["status"], row["attempts"], row["result"]) == ("completed", 2, '"attempt 2"')
    assert row["worker"] == "second"
    assert trace.read_text() == "1\n2\n"
    assert "worker_lost" in row["history"]
    second.wait_for_line(rf"job\.rescued id={job}")
    second.terminate()
    assert second.wait() == 0


@pytest.mark.parametrize("kind", ["sqlite71", "maria71"])
def test_a_worker_that_comes_back_late_changes_nothing(request: pytest.FixtureRequest, kind: str) -> None:
    """Frozen past its lease, it wakes up with an outcome for a job that somebody else has done."""
    site: Site = request.getfixturevalue(kind)
    site.mu_plugin(
        "slow",
        "function slow( $file ) { file_put_contents( $file, 'x', FILE_APPEND );"
        " $first = 1 === background_job()->attempt;"
        ' while ( $first && ! file_exists( "$file.go" ) ) { usleep( 20000 ); }'
        " return $first ? 'late' : 'in time'; }",
    )
    trace = site.folder / "trace"
    job = site.enqueue("slow", str(trace))
    late = site.start_wpbg("listen", "--lease", "3")
    wait_for(lambda: trace.exists(), what="the first attempt has begun")
    late.send_signal(signal.SIGSTOP)
    in_time = site.start_wpbg("listen", "--lease", "3", "--name", "in-time")
    done = site.wait_for_status(job, "completed", "failed")

    (site.folder / "trace.go").touch()
    late.send_signal(signal.SIGCONT)
    late.wait_for_line(rf"(lease\.lost|job\.lease_lost) id={job}")
    late.terminate()
    assert late.wait() == 0
    in_time.terminate()
    assert in_time.wait() == 0
    assert site.job(job) == done
    assert (done["result"], done["attempts"], done["worker"]) == ('"in time"', 2, "in-time")


def test_a_job_that_kills_its_workers_is_given_up(maria71: Site) -> None:
    """A poison job: it takes the worker with it, each time. Its attempts end it."""
    maria71.mu_plugin("poison", "function poison() { posix_kill( posix_getppid(), SIGKILL ); sleep( 60 ); }")
    job = maria71.enqueue("poison", max_attempts=2)
    for _ in range(2):
        # WP-CLI is `exec`ed by the wrapper, so PHP's parent is the worker.
        worker = maria71.start_wpbg("listen", "--lease", "2", "--wp", str(maria71.wp_bin))
        assert worker.wait() == -signal.SIGKILL
        kill_marked(MARK, str(maria71.path))
    last = maria71.start_wpbg("listen", "--lease", "2")
    row = maria71.wait_for_status(job, "failed")
    assert row["attempts"] == 2
    assert "WorkerLost" in row["error"]
    last.terminate()
    assert last.wait() == 0
