"""BACKGROUND_WORKER_LOG with real workers: what is in it, rotation while they work, files that cannot be written."""

from __future__ import annotations

import json
import signal

import pytest

from tests.support.site import Site
from tests.support.wait import wait_for

CALLBACKS = """
function prints( $what ) { echo "\\033[31mred\\033[0m\\n$what\\n"; }
function quick( $n ) { return $n; }
"""


def test_every_event_is_in_the_file_and_output_is_not(sqlite71: Site) -> None:
    sqlite71.mu_plugin("prints", CALLBACKS)
    log = sqlite71.folder / "worker.log"
    sqlite71.configure(BACKGROUND_WORKER_LOG=str(log))
    job = sqlite71.enqueue("prints", "a secret")
    done = sqlite71.wpbg("run", check=True)
    assert log.read_text() == done.stderr
    assert [line.split()[1] for line in log.read_text().splitlines()] == [
        "worker.started",
        "job.completed",
        "worker.stopped",
    ]
    assert "a secret" not in log.read_text()
    assert b"a secret" in bytes(sqlite71.job(job)["output"])


def test_with_debug_a_jobs_output_is_in_it_and_can_do_nothing(sqlite71: Site) -> None:
    sqlite71.mu_plugin("prints", CALLBACKS)
    log = sqlite71.folder / "worker.log"
    sqlite71.configure(BACKGROUND_WORKER_LOG=str(log), ABW_DEBUG=True)
    job = sqlite71.enqueue("prints", "no secret")
    sqlite71.wpbg("run", "--log-format", "json", check=True)
    events = [json.loads(line) for line in log.read_text().splitlines()]
    printed = [event for event in events if event["event"] == "job.output"]
    assert [event["message"] for event in printed] == ["[31mred [0m", "no secret"]
    assert {event["id"] for event in printed} == {job}
    assert "\x1b" not in log.read_text()


@pytest.mark.parametrize("form", ["text", "json"])
def test_rotation_in_the_middle_of_work_loses_no_line(maria71: Site, form: str) -> None:
    maria71.mu_plugin("quick", CALLBACKS)
    log = maria71.folder / "worker.log"
    maria71.configure(BACKGROUND_WORKER_LOG=str(log))
    maria71.eval_php(
        "for ( $i = 0; $i < 300; $i++ ) {add_async_job( (object) array( 'function' => 'quick', 'user_data' => $i ) ); }"
    )
    worker = maria71.start_wpbg("listen", "--mode", "loop", "--concurrency", "2", "--log-format", form)
    rotated = 0
    while maria71.query(f"SELECT id FROM {maria71.jobs} WHERE status <> 'completed' LIMIT 1"):
        assert worker.returncode is None
        if log.exists() and log.stat().st_size:
            rotated += 1
            log.rename(log.with_suffix(f".{rotated}"))
            if rotated < 4:
                worker.send_signal(signal.SIGHUP)  # What some rotate with; it costs PHP processes, and no line.
    worker.terminate()
    assert worker.wait() == 0
    assert rotated >= 2
    lines = [line for file in log.parent.glob("worker.*") for line in file.read_text().splitlines()]
    done = [line for line in lines if "job.completed" in line]
    if form == "json":
        ids = [json.loads(line)["id"] for line in lines if json.loads(line)["event"] == "job.completed"]
    else:
        ids = [line.split("id=")[1].split()[0] for line in done]
    assert len(ids) == len(set(ids)) == 300
    assert sorted(lines) == sorted(worker.stderr_lines)


def test_a_file_that_cannot_be_written_costs_no_job(sqlite71: Site) -> None:
    sqlite71.mu_plugin("quick", CALLBACKS)
    precious = sqlite71.folder / "precious"
    precious.write_text("precious")
    link = sqlite71.folder / "worker.log"
    link.symlink_to(precious)
    sqlite71.configure(BACKGROUND_WORKER_LOG=str(link))
    jobs = [sqlite71.enqueue("quick", number) for number in range(3)]
    worker = sqlite71.start_wpbg("listen")
    for job in jobs:
        sqlite71.wait_for_status(job, "completed")
    wait_for(lambda: worker.log.count("job.completed") == 3)
    worker.terminate()
    assert worker.wait() == 0
    warnings = [line for line in worker.lines if "log.lost" in line]
    assert len(warnings) == 1
    assert "it is a symbolic link, which is not followed" in warnings[0]
    assert precious.read_text() == "precious"
