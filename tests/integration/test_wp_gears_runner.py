"""php-plugin/wp-gears-runner.php, for a supervisor entry of WP Gears or WP Minions that is there already."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

from tests.integration.enqueuing import CALLBACKS
from tests.support.need import require
from tests.support.site import Site
from tests.support.wait import wait_for


def _link_runner(site: Site) -> Path:
    link = site.path / "wp-gears-runner.php"
    link.symlink_to("wp-content/plugins/background-worker/wp-gears-runner.php")
    return link


def test_the_runner_waits_for_jobs_runs_them_and_ends_after_some_minutes(sqlite71: Site) -> None:
    sqlite71.mu_plugin("callbacks", CALLBACKS)
    runner = sqlite71.start([sqlite71.wp_argv[0], str(_link_runner(sqlite71))])
    wait_for(lambda: sqlite71.query("SELECT id FROM wp_bg_workers"), what="the runner is at work")
    assert runner.popen.poll() is None
    jobs = [sqlite71.enqueue("a_callback"), sqlite71.enqueue("a_callback")]
    for job in jobs:
        sqlite71.wait_for_status(job, "completed")
    assert runner.popen.poll() is None, "one that ends at once looks to supervisord like one that does not start"
    assert b"--max-time\x00300\x00" in Path(f"/proc/{runner.pid}/cmdline").read_bytes()
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
