"""`wp background-worker` is `wpbg`: the same flags, the same process, the same signals."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.support.site import Site
from tests.support.wait import wait_for

WAIT = """
function quick( $n ) { echo "ran $n"; return $n; }
function wait_for_go( $file ) {
    touch( "$file.begun" );
    while ( ! file_exists( "$file.go" ) ) { usleep( 20000 ); }
    return 'finished';
}
"""


@pytest.fixture
def wp_site(sqlite71: Site) -> Site:
    """A site on whose machine `wpbg` is on the PATH."""
    program = sqlite71.bin / "wpbg"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m wpbg "$@"\n')
    program.chmod(0o755)
    sqlite71.mu_plugin("wait", WAIT)
    return sqlite71


def test_alone_it_runs_one_job(wp_site: Site) -> None:
    first, second = wp_site.enqueue("quick", 1), wp_site.enqueue("quick", 2)
    done = wp_site.wp("background-worker")
    assert "job.completed" in done.stderr
    assert [wp_site.job(job)["status"] for job in (first, second)] == ["completed", "queued"]


def test_skip_lock_is_a_flag(wp_site: Site) -> None:
    job = wp_site.enqueue("quick", 1)
    wp_site.wp("background-worker", "skip-lock")
    assert wp_site.job(job)["status"] == "completed"


def test_listen_with_queue_and_name(wp_site: Site) -> None:
    special = wp_site.enqueue("quick", 1, "special_queue")
    other = wp_site.enqueue("quick", 2)
    argv = [*wp_site.wp_argv, f"--path={wp_site.path}", "background-worker", "listen"]
    worker = wp_site.start([*argv, "--queue_name=special_queue", "--name=w1"])
    wp_site.wait_for_status(special, "completed")
    assert wp_site.job(special)["worker"] == "w1"
    assert wp_site.job(other)["status"] == "queued"
    worker.terminate()
    assert worker.wait() == 0


def test_term_reaches_the_worker(wp_site: Site) -> None:
    trace = wp_site.folder / "trace"
    job = wp_site.enqueue("wait_for_go", str(trace))
    argv = [*wp_site.wp_argv, f"--path={wp_site.path}", "background-worker", "listen"]
    worker = wp_site.start(argv)
    wait_for(lambda: trace.with_suffix(".begun").exists(), what="the job has begun")
    assert b"wpbg" in Path(f"/proc/{worker.pid}/cmdline").read_bytes(), "the command was replaced by the program"
    worker.terminate()
    worker.wait_for_line(r"worker\.stopping: Asked to by SIGTERM")
    trace.with_suffix(".go").touch()
    assert worker.wait() == 0
    assert wp_site.job(job)["status"] == "completed"


def test_other_flags_and_exit_codes_pass_through(wp_site: Site) -> None:
    wp_site.mu_plugin("fails", "function fails() { throw new Exception( 'no' ); }")
    wp_site.enqueue("fails", max_attempts=1)
    done = wp_site.wp("background-worker", "run", check=False)
    assert done.returncode == 1
    done = wp_site.wp("background-worker", "listen", "--stop-when-empty", "--concurrency=2", "--log-format=json")
    assert '"event": "worker.started"' in done.stderr
    assert '"slots": 2' in done.stderr
    done = wp_site.wp("background-worker", "listen", "--no-such-flag", check=False)
    assert done.returncode == 2
    assert "--no-such-flag" in done.stderr


def test_without_wpbg_it_says_how_to_install_it(wp_site: Site) -> None:
    (wp_site.bin / "wpbg").unlink()
    env = {"PATH": "/usr/bin:/bin"}
    done = wp_site.wp("background-worker", "listen", check=False, env=env)
    assert done.returncode == 3
    assert "pip install wpbg" in done.stderr or "pipx install wpbg" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
