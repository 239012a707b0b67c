"""The machine's wall clock is set while jobs run: no span of time may come or go with it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lifetimes.at_work import LIFETIMES, PERSISTENT, at_work, put
from tests.support.site import Site
from tests.support.wait import wait_for
from tests.support.wall_clock import WallClock

HOUR = 3600

# Is under way when the clock is set, and goes on for a few of its process's looks around.
LONG = """
function waits_for_the_clock( $began ) {
	$then = time();
	background_job_progress( 1, 3 );
	touch( $began );
	while ( abs( time() - $then ) < 1800 ) {
		usleep( 1000 );
	}
	for ( $from = hrtime( true ); hrtime( true ) - $from < 1.5e9; ) {
		usleep( 1000 );
	}
	background_job_progress( 2, 3 );
	while ( ! file_exists( "$began.go" ) ) {
		usleep( 1000 );
	}
	return 'through';
}
"""


@pytest.fixture
def clock(tmp_path: Path) -> Iterator[WallClock]:
    yield WallClock(tmp_path / "clock")
    WallClock.sweep()


@pytest.mark.parametrize("seconds", [HOUR, -HOUR])
@pytest.mark.parametrize("lifetime", LIFETIMES)
def test_a_job_goes_on(maria71: Site, lifetime: str, seconds: int, clock: WallClock, tmp_path: Path) -> None:
    maria71.mu_plugin("long", LONG)
    with at_work(maria71, lifetime, env=clock.env) as work:
        job = put(maria71, "waits_for_the_clock", [str(tmp_path / "began")], max_attempts=1)[0]
        wait_for((tmp_path / "began").exists, what="the job runs")
        clock.set(seconds)
        wait_for(lambda: maria71.job(job)["progress_done"] == 2, what="progress is still shown")
        (tmp_path / "began.go").touch()
        row = work.end_of(job)
        assert row["status"] == "completed", row["error"]
        assert 0 <= row["runtime_ms"] < 1000 * HOUR / 2
        assert not work.named("job.retry")


@pytest.mark.parametrize("lifetime", PERSISTENT)
def test_new_code_is_noticed_after_the_clock_was_set_back(maria71: Site, lifetime: str, clock: WallClock) -> None:
    maria71.mu_plugin("code", "function version() { return 1; } function clock() { return time(); }")
    with at_work(maria71, lifetime, env=clock.env) as work:
        assert work.result("version") == 1
        clock.set(-HOUR)
        assert work.result("clock") < time.time() - HOUR / 2
        maria71.mu_plugin("code", "function version() { return 2; }")
        wait_for(lambda: work.result("version") == 2, 20, "the new code runs")
