"""Signals: running jobs finish, or go back uncounted; nothing is lost either way."""

from __future__ import annotations

import signal

import pytest

from tests.support.site import Site
from tests.support.wait import wait_for

WAIT = """
function wait_for_go( $file ) {
    touch( "$file.begun" );
    while ( ! file_exists( "$file.go" ) ) { usleep( 20000 ); }
    return 'finished';
}
function never_ends( $file ) {
    touch( "$file.begun" );
    try { sleep( 300 ); } finally { touch( "$file.cleaned" ); }
}
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_running_job_finishes(sqlite71: Site, number: signal.Signals) -> None:
    sqlite71.mu_plugin("wait", WAIT)
    trace = sqlite71.folder / "trace"
    running = sqlite71.enqueue("wait_for_go", str(trace))
    waiting = sqlite71.enqueue("wait_for_go", str(trace))
    worker = sqlite71.start_wpbg("listen")
    wait_for(lambda: trace.with_suffix(".begun").exists(), what="the job has begun")

    if number == signal.SIGINT:
        worker.interrupt()  # as on a terminal: to the whole group
    else:
        worker.terminate()
    worker.wait_for_line(r"worker\.stopping: Asked to by SIG(INT|TERM)\. Waiting at most 60 s for 1 running job")
    trace.with_suffix(".go").touch()
    assert worker.wait() == 0
    assert sqlite71.job(running)["status"] == "completed"
    assert (sqlite71.job(waiting)["status"], sqlite71.job(waiting)["attempts"]) == ("queued", 0)
    assert sqlite71.query(f"SELECT * FROM {sqlite71.table('bg_workers')}") == []


@pytest.mark.parametrize("kind", ["sqlite71", "maria71"])
def test_past_the_grace_a_job_goes_back_and_the_attempt_is_not_counted(
    request: pytest.FixtureRequest, kind: str
) -> None:
    site: Site = request.getfixturevalue(kind)
    site.mu_plugin("wait", WAIT)
    trace = site.folder / "trace"
    job = site.enqueue("never_ends", str(trace))
    worker = site.start_wpbg("listen", "--grace", "1")
    wait_for(lambda: trace.with_suffix(".begun").exists(), what="the job has begun")
    worker.interrupt()
    assert worker.wait() == 0
    row = site.job(job)
    assert (row["status"], row["attempts"], row["error"]) == ("queued", 0, None)
    assert trace.with_suffix(".cleaned").exists(), "the job was asked before it was killed"
    worker.wait_for_line(rf"job\.released id={job} .*the attempt is not counted")


def test_a_second_signal_stops_now(sqlite71: Site) -> None:
    sqlite71.mu_plugin("wait", WAIT)
    trace = sqlite71.folder / "trace"
    job = sqlite71.enqueue("never_ends", str(trace))
    worker = sqlite71.start_wpbg("listen")
    wait_for(lambda: trace.with_suffix(".begun").exists(), what="the job has begun")
    worker.terminate()
    worker.wait_for_line(r"worker\.stopping")
    worker.terminate()
    assert worker.wait() == 0
    row = sqlite71.job(job)
    assert (row["status"], row["attempts"]) == ("queued", 0)


def test_hangup_does_not_stop_it(sqlite71: Site) -> None:
    sqlite71.mu_plugin("wait", WAIT)
    trace = sqlite71.folder / "trace"
    worker = sqlite71.start_wpbg("listen")
    worker.wait_for_line(r"worker\.started")
    worker.send_signal(signal.SIGHUP)
    worker.wait_for_line(r"worker\.recycling")
    trace.with_suffix(".go").touch()
    job = sqlite71.enqueue("wait_for_go", str(trace))
    sqlite71.wait_for_status(job, "completed")
    worker.terminate()
    assert worker.wait() == 0


def test_a_cancelled_job_is_asked_then_stopped(sqlite71: Site) -> None:
    sqlite71.mu_plugin("wait", WAIT)
    trace = sqlite71.folder / "trace"
    job = sqlite71.enqueue("never_ends", str(trace))
    worker = sqlite71.start_wpbg("listen", "--lease", "3")
    wait_for(lambda: trace.with_suffix(".begun").exists(), what="the job has begun")
    sqlite71.wpbg("jobs", "cancel", job, check=True)
    row = sqlite71.wait_for_status(job, "cancelled", "failed", "queued")
    assert row["status"] == "cancelled"
    assert trace.with_suffix(".cleaned").exists()
    worker.terminate()
    assert worker.wait() == 0


def test_limits_end_a_worker_as_asked(sqlite71: Site) -> None:
    sqlite71.mu_plugin("quick", "function quick() { return 1; }")
    for _ in range(3):
        sqlite71.enqueue("quick")
    done = sqlite71.wpbg("listen", "--max-jobs", "2")
    assert done.returncode == 0
    assert "--max-jobs 2 reached" in done.stderr
    assert len(sqlite71.query(f"SELECT * FROM {sqlite71.jobs} WHERE status = 'queued'")) == 1
    done = sqlite71.wpbg("listen", "--max-time", "0.5")
    assert (done.returncode, "--max-time 0.5 reached" in done.stderr) == (0, True)


def test_run_takes_what_has_just_become_due(sqlite71: Site) -> None:
    """No worker is there to look after delayed jobs: `run` does it first."""
    sqlite71.mu_plugin("quick", "function quick() { return 1; }")
    job = sqlite71.enqueue("quick", delay=3600)
    sqlite71.query(f"UPDATE {sqlite71.jobs} SET due_at = 1 WHERE id = %s", (int(job),))
    sqlite71.wpbg("run", check=True)
    assert sqlite71.job(job)["status"] == "completed"


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_closed_streams_cost_no_job(sqlite71: Site, closed: str) -> None:
    sqlite71.mu_plugin("quick", "function quick() { return 1; }")
    job = sqlite71.enqueue("quick")
    worker = sqlite71.start(["/bin/sh", "-c", f'exec "$@" {closed}', "sh", *sqlite71.wpbg_argv("run")])
    assert worker.wait() == 0
    assert "Traceback" not in worker.log
    assert sqlite71.job(job)["status"] == "completed"
