"""php-plugin/wp-gears-runner.php, for a supervisor entry of WP Gears or WP Minions that is there already."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

from tests.integration.enqueuing import CALLBACKS
from tests.support.need import require
from tests.support.site import Site
from tests.support.wait import wait_for


def _link_runner(site: Site) -> Path:
    link = site.path / "wp-gears-runner.php"
    link.symlink_to("wp-content/plugins/background-worker/wp-gears-runner.php")
    return link


def test_the_runner_waits_for_a_job_runs_it_and_ends(sqlite71: Site) -> None:
    sqlite71.mu_plugin("callbacks", CALLBACKS)
    runner = sqlite71.start([sqlite71.wp_argv[0], str(_link_runner(sqlite71))])
    wait_for(lambda: sqlite71.query("SELECT id FROM wp_bg_workers"), what="the runner is at work")
    assert runner.popen.poll() is None
    sqlite71.eval_php(
        "add_async_jobs( array( array( 'function' => 'a_callback' ), array( 'function' => 'a_callback' ) ) );"
    )
    assert runner.wait() == 0
    assert "--max-jobs 1 reached" in runner.log
    statuses = [row["status"] for row in sqlite71.query(f"SELECT status FROM {sqlite71.jobs} ORDER BY id")]
    assert statuses == ["completed", "queued"], "one job, then exit"


def test_the_runner_does_not_end_at_once_and_yet_when_it_is_told_to(sqlite71: Site) -> None:
    """Else supervisord, whose startsecs is 1, takes it for a program that does not start."""
    sqlite71.mu_plugin("callbacks", CALLBACKS)
    sqlite71.enqueue("a_callback")
    began = time.monotonic()
    assert sqlite71.wpbg("listen", "--max-jobs", "1", "--min-time", "3").returncode == 0
    assert time.monotonic() - began >= 3
    sqlite71.enqueue("a_callback")
    runner = sqlite71.start_wpbg("listen", "--max-jobs", "1", "--min-time", "3600")
    runner.wait_for_line(r"worker\.stopped")
    assert runner.popen.poll() is None
    runner.terminate()
    assert runner.wait() == 0


def test_the_runner_passes_signals_on(sqlite71: Site) -> None:
    runner = sqlite71.start([sqlite71.wp_argv[0], str(_link_runner(sqlite71))])
    wait_for(lambda: sqlite71.query("SELECT id FROM wp_bg_workers"), what="the runner is at work")
    runner.popen.send_signal(signal.SIGTERM)
    assert runner.wait() == 0


def test_the_runner_says_what_it_lacks(sqlite71: Site) -> None:
    link = _link_runner(sqlite71)
    interpreter = require("php", "php-cli")

    def said(*argv: str, **env: str) -> str:
        done = subprocess.run(
            [interpreter, *argv], env={**sqlite71.env, **env}, cwd=sqlite71.elsewhere, capture_output=True, text=True
        )
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (3, "", 1)
        return done.stderr

    assert "no WordPress (wp-load.php) in" in said(str(link.resolve()))
    assert "WPBG_BIN names /nowhere/wpbg" in said(str(link), WPBG_BIN="/nowhere/wpbg")
    assert "wpbg, is not on the PATH" in said(str(link), PATH="/nowhere")
    assert "pcntl extension is missing" in said("-d", "disable_functions=pcntl_exec", str(link))
