"""WordPress is told that a batch is done: once, by whichever worker noticed it, also when jobs of it failed."""

from __future__ import annotations

import json
from typing import Any

from tests.support.site import Site
from tests.support.wait import wait_for

PLUGIN = """
function passes( $n ) { return $n; }
function fails( $n ) { throw new RuntimeException( 'no' ); }
foreach ( array( 'background_batch_completed', 'background_batch_failed' ) as $hook ) {
	add_action( $hook, function ( $batch, $counts ) use ( $hook ) {
		file_put_contents( ABSPATH . 'told', json_encode( array( $hook, $batch, $counts ) ) . "\\n", FILE_APPEND );
	}, 10, 2 );
}
"""


def add(site: Site, function: str, many: int, batch: str) -> None:
    site.eval_php(
        f"for ( $n = 0; $n < {many}; $n++ ) {{ $jobs[] = (object) array( 'function' => '{function}',"
        f" 'user_data' => $n ); }} add_async_jobs( $jobs, 'default',"
        f" array( 'batch' => '{batch}', 'max_attempts' => 1 ) );"
    )


def told(site: Site) -> list[Any]:
    file = site.path / "told"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def test_an_import_that_is_through_is_told_of_once(site: Site) -> None:
    site.mu_plugin("told", PLUGIN)
    add(site, "passes", 30, "good")
    add(site, "fails", 2, "bad")
    add(site, "passes", 3, "bad")
    workers = [site.start_wpbg("listen", "--mode", "fork", "--stop-when-empty") for _ in range(2)]
    assert [worker.wait(120) for worker in workers] == [0, 0]
    parts = ("completed", "failed", "total")
    heard = sorted((hook, batch, *(counts[part] for part in parts)) for hook, batch, counts in told(site))
    assert heard == [
        ("background_batch_completed", "bad", 3, 2, 5),
        ("background_batch_completed", "good", 30, 0, 30),
        ("background_batch_failed", "bad", 3, 2, 5),
    ]


def test_a_batch_that_gets_jobs_again_is_done_a_second_time(maria71: Site) -> None:
    maria71.mu_plugin("told", PLUGIN)
    for _ in range(2):
        add(maria71, "passes", 2, "again")
        maria71.wpbg("listen", "--mode", "fork", "--stop-when-empty", check=True)
    assert [(hook, counts["total"]) for hook, _, counts in told(maria71)] == [
        ("background_batch_completed", 2),
        ("background_batch_completed", 4),
    ]


def test_cancelling_the_last_job_of_a_batch_ends_it(sqlite71: Site) -> None:
    site = sqlite71
    site.mu_plugin("told", PLUGIN)
    add(site, "passes", 1, "cut")
    last = site.enqueue("passes", 1, batch="cut", delay=3600)
    worker = site.start_wpbg("listen", "--mode", "fork")
    site.wait_for_status("1", "completed")
    site.wpbg("jobs", "cancel", last, check=True)
    wait_for(lambda: told(site), 60, f"told of it: {worker.log}")
    assert told(site)[0][2]["cancelled"] == 1


def test_statistics_tell_what_was_done(site: Site) -> None:
    site.mu_plugin("told", PLUGIN)
    add(site, "passes", 20, "x")
    add(site, "fails", 5, "x")
    site.wpbg("listen", "--mode", "fork", "--stop-when-empty", check=True)
    for span in (60, 900):
        (row,) = site.query(
            "SELECT SUM(completed) AS completed, SUM(failed) AS failed, SUM(waits) AS waits,"
            f" MAX(waited_most_ms) AS most FROM {site.table('bg_statistics')} WHERE span = {span} AND queue = 'default'"
        )
        assert (int(row["completed"]), int(row["failed"]), int(row["waits"])) == (21, 5, 26)
        assert int(row["most"]) > 0
    runs = site.query(
        f"SELECT callback, SUM(runs) AS runs FROM {site.table('bg_run_times')} GROUP BY callback ORDER BY callback"
    )
    assert [(row["callback"], int(row["runs"])) for row in runs] == [
        ("Background_Worker\\Batch_Events::tell", 1),
        ("fails", 5),
        ("passes", 20),
    ]


def test_a_batch_whose_only_job_lost_its_worker_is_done(maria71: Site) -> None:
    site = maria71
    site.mu_plugin("told", PLUGIN + "function hangs( $n ) { sleep( 600 ); }")
    job = site.enqueue("hangs", 1, batch="lost", max_attempts=1)
    worker = site.start_wpbg("listen", "--lease", "2")
    site.wait_for_status(job, "running")
    wait_for(lambda: site.job(job)["started_at"], 60, "it runs")
    worker.kill()
    worker.wait()
    site.start_wpbg("listen", "--lease", "2")
    wait_for(lambda: len(told(site)) == 2, 90, "told of it")
    assert [(hook, counts["failed"]) for hook, _, counts in told(site)] == [
        ("background_batch_completed", 1),
        ("background_batch_failed", 1),
    ]
