"""`wpbg jobs` on real sites: what it prints into a pipe, and how it ends."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
from typing import Any

import pytest

from tests.support.site import Site

CALLBACKS = """
function says_hello( $data ) {
    echo 'Hello ', wp_json_encode( $data ), "\\n";
    return array( 'sum' => 0.1 + 0.2, 'got' => $data, 'type' => gettype( $data ) );
}
function is_nasty() {
    echo "\\x1b[31mred\\x1b[0m 10%\\r20%\\nbidi \\u{202e}txt\\n";
    throw new RuntimeException( "bad \\x1b[2J thing\\nsecond line" );
}
function shows_progress() { background_job_progress( 3, 4, "ste\\x07p" ); }
"""

KEYS = (
    *("id", "queue", "callback", "status", "attempts", "max_attempts", "priority", "batch", "created_at"),
    *("available_at", "started_at", "finished_at", "runtime_ms", "worker", "result", "error", "output", "progress"),
)


@pytest.fixture
def site(shared_site: Site) -> Site:
    """With callbacks, and no jobs."""
    shared_site.mu_plugin("cli", CALLBACKS)
    shared_site.query(f"DELETE FROM {shared_site.jobs}")
    return shared_site


def add(site: Site, *args: str, **options: Any) -> str:
    return site.wpbg("jobs", "add", *args, check=True, **options).stdout.strip()


def fetch(site: Site, job: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(site.wpbg("jobs", "get", job, "--format", "json", check=True).stdout)
    return told


def work(site: Site, *args: str) -> None:
    site.wpbg("listen", "--stop-when-empty", *args, check=True)


def refused(done: subprocess.CompletedProcess[str], code: int) -> str:
    """The one line of an error."""
    assert done.returncode == code, done.stderr
    assert done.stderr.startswith("wpbg: ")
    assert done.stderr.count("\n") == 1, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def test_from_add_to_log(site: Site) -> None:
    job = add(site, "says_hello", "--data", '{"a": [1, 2.50, "ü"], "o": {}}', "--queue", "mail", "--batch", "b")
    queued = fetch(site, job)
    assert tuple(queued) == KEYS
    assert (queued["id"], queued["queue"], queued["batch"], queued["status"]) == (job, "mail", "b", "queued")
    assert (queued["attempts"], queued["max_attempts"], queued["priority"]) == (0, 3, 0)
    assert queued["started_at"] is queued["result"] is queued["error"] is queued["progress"] is None

    work(site, "--queue", "mail", "--name", "w1")
    done = fetch(site, job)
    assert tuple(done) == KEYS
    assert (done["status"], done["attempts"], done["worker"]) == ("completed", 1, "w1")
    assert done["result"] == {"sum": 0.1 + 0.2, "got": {"a": [1, 2.5, "ü"], "o": []}, "type": "array"}
    assert done["output"].startswith("Hello {")
    assert done["created_at"] <= done["available_at"] <= done["started_at"] <= done["finished_at"]
    assert done["finished_at"].endswith("Z")

    log = site.wpbg("jobs", "log", job, check=True).stdout
    assert f"Job {job}: says_hello in queue mail is completed." in log
    assert "Attempt 1: completed, after " in log
    assert " on w1, begun " in log
    assert "\n  Hello {" in log
    shown = site.wpbg("jobs", "get", job, check=True).stdout
    assert "  Attempts   1 of 3\n" in shown
    assert '"sum": 0.30000000000000004' in shown


def test_data_from_stdin_and_none_at_all(site: Site) -> None:
    piped = add(site, "says_hello", "--data", "-", input='"text"\n')
    bare = add(site, "says_hello")
    work(site)
    assert fetch(site, piped)["result"]["got"] == "text"
    assert fetch(site, bare)["result"]["type"] == "NULL"


def test_every_option_reaches_the_job(site: Site) -> None:
    options = ["--priority", "high", "--max-attempts", "7", "--backoff", "2m", "--timeout", "1h", "--unique", "k"]
    job = add(site, "says_hello", "--delay", "2h", *options)
    row = site.job(job)
    assert (row["status"], row["priority"], row["max_attempts"]) == ("delayed", -10, 7)
    assert (row["backoff"], row["timeout"], row["unique_key"]) == (120, 3600, "k")
    assert add(site, "says_hello", "--unique", "k") == job
    later = add(site, "says_hello", "--run-at", "2100-01-01T00:00Z")
    assert site.job(later)["due_at"] == 4102444800000


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (["no_such_function"], 1, "no_such_function"),
        (["says_hello", "--delay=-5"], 2, "--delay: a number from 0"),
        (["says_hello", "--priority", "hihg"], 2, '"hihg" is none of high, normal, low'),
        (["says_hello", "--delay", "soon"], 2, "'soon' is no time span"),
        (["says_hello", "--data", "{a}"], 2, "--data is no JSON"),
        (["says_hello", "--data", r'"\ud800"'], 2, "PHP cannot read the JSON"),
        (["says_hello", "--max-attempts", "0"], 2, "--max-attempts: "),
        (["says_hello", "--delay", "1", "--run-at", "9999999999"], 2, "--run-at: it cannot be given together"),
        ([], 2, "FUNCTION"),
    ],
)
def test_what_cannot_be_added(sqlite71: Site, args: list[str], code: int, said: str) -> None:
    sqlite71.mu_plugin("cli", CALLBACKS)
    line = refused(sqlite71.wpbg("jobs", "add", *args), code)
    assert said in line
    assert sqlite71.query(f"SELECT COUNT(*) AS jobs FROM {sqlite71.jobs}") == [{"jobs": 0}]


def test_add_without_the_plugin(sqlite71: Site) -> None:
    sqlite71.wp("plugin", "deactivate", "background-worker")
    assert "wpbg install" in refused(sqlite71.wpbg("jobs", "add", "strlen"), 3)


def test_what_jobs_say_does_not_act_on_a_terminal(site: Site) -> None:
    job = add(site, "is_nasty", "--max-attempts", "2", "--backoff", "0")
    work(site)
    error = "RuntimeException: bad thing"
    in_few_words = "bad thing second line (RuntimeException)"  # What it says comes first: a narrow column cuts the end.
    for args, told in (("list", in_few_words), ("get", error), ("log", error)):
        said = site.wpbg("jobs", args, *([] if args == "list" else [job]), check=True).stdout
        assert told in " ".join(said.split())
        assert not {"\x1b", "\r", "\u202e", "\x07"} & set(said)
    log = site.wpbg("jobs", "log", job, check=True).stdout
    assert log.count("\n  red 10%\n  20%\n  bidi txt\n") == 2
    assert "Attempt 1: failed" in log
    assert "Attempt 2: failed" in log
    assert "mu-plugins/cli.php:" in log
    assert "#0 " in log
    told = fetch(site, job)
    assert told["error"]["message"] == "bad \x1b[2J thing\nsecond line"
    assert set(told["error"]) == {"class", "message", "file", "line", "trace"}
    assert told["output"] == "\x1b[31mred\x1b[0m 10%\r20%\nbidi \u202etxt\n"
    attempts = json.loads(site.wpbg("jobs", "log", job, "--format", "json", check=True).stdout)
    assert [attempt["ending"] for attempt in attempts] == ["failed", "failed"]


def test_progress_is_shown(site: Site) -> None:
    job = add(site, "shows_progress")
    work(site)
    assert fetch(site, job)["progress"] == {"done": 3, "total": 4, "message": "ste\x07p"}
    assert "Progress   3 of 4: step" in site.wpbg("jobs", "get", job, check=True).stdout


def test_list_filters_in_every_format(site: Site) -> None:
    one = site.enqueue("says_hello", queue="mail")
    two = site.enqueue("is_nasty", max_attempts=1, queue="mail")
    three = site.enqueue("says_hello", delay=3600, batch="b")
    work(site, "--queue", "mail")

    def ids(*args: str) -> list[str]:
        told = json.loads(site.wpbg("jobs", "list", "--format", "json", *args, check=True).stdout)
        assert all(set(job) == set(KEYS) - {"output"} for job in told)
        assert all(job["error"] is None or "trace" not in job["error"] for job in told)
        return [job["id"] for job in told]

    assert ids() == [three, two, one]
    assert ids("--status", "failed") == [two]
    assert ids("--queue", "mail") == [two, one]
    assert ids("--callback", "says_hello") == [three, one]
    assert ids("--batch", "b") == [three]
    assert ids("--limit", "1") == [three]
    assert ids("--queue", "none") == []
    rows = list(csv.DictReader(io.StringIO(site.wpbg("jobs", "list", "--format", "csv", check=True).stdout)))
    assert [row["id"] for row in rows] == [three, two, one]
    assert json.loads(rows[1]["error"])["class"] == "RuntimeException"
    head, *lines = site.wpbg("jobs", "list", check=True).stdout.splitlines()
    assert head.split() == ["ID", "STATUS", "CALLBACK", "QUEUE", "TRIES", "WHEN", "DETAIL"]
    assert [line.split()[:3] for line in lines] == [
        [three, "delayed", "says_hello"],
        [two, "failed", "is_nasty"],
        [one, "completed", "says_hello"],
    ]
    assert site.wpbg("jobs", "list", "--queue", "none", check=True).stdout == "There are no such jobs.\n"
    assert refused(site.wpbg("jobs", "list", "--status", "done"), 2)


def test_retry_cancel_and_delete(site: Site) -> None:
    failed = site.enqueue("is_nasty", max_attempts=1)
    other = site.enqueue("is_nasty", max_attempts=1, queue="mail")
    work(site, "--queue", "default", "--queue", "mail")
    waiting = site.enqueue("says_hello", delay=3600)

    assert "is delayed" in refused(site.wpbg("jobs", "retry", waiting), 1)
    assert site.wpbg("jobs", "retry", "--failed", "--queue", "mail", check=True).stdout == (
        "1 failed job is queued again in queue mail.\n"
    )
    assert site.job(other)["status"] == "queued"
    assert site.wpbg("jobs", "retry", failed, check=True).stdout == f"Job {failed} is queued again.\n"
    assert site.wpbg("jobs", "retry", "--failed", check=True).stdout == "There is no failed job.\n"

    both = site.wpbg("jobs", "cancel", waiting, "999999", failed)
    assert both.stdout == f"Job {waiting} is cancelled.\nJob {failed} is cancelled.\n"
    assert "There is no job 999999" in refused(both, 1)
    assert site.wpbg("jobs", "delete", waiting, check=True).stdout == f"Job {waiting} is deleted.\n"
    assert "There is no job" in refused(site.wpbg("jobs", "get", waiting), 1)
    assert "There is no job" in refused(site.wpbg("jobs", "log", waiting), 1)

    old = ["jobs", "delete", "--status", "cancelled", "--older-than", "1h"]
    assert site.wpbg(*old, check=True).stdout == "0 cancelled jobs deleted.\n"
    site.query(f"UPDATE {site.jobs} SET due_at = due_at - 3700000 WHERE id = %s", (int(failed),))
    assert site.wpbg(*old, check=True).stdout == "1 cancelled job deleted.\n"
    assert [row["id"] for row in site.query(f"SELECT id FROM {site.jobs}")] == [int(other)]


@pytest.mark.parametrize(
    "args",
    [
        ["retry"],
        ["retry", "1", "--failed"],
        ["retry", "1", "--queue", "mail"],
        ["cancel"],
        ["delete"],
        ["delete", "1", "--status", "failed"],
        ["delete", "1", "--older-than", "1h"],
        ["delete", "--status", "running"],
        ["wait"],
        ["wait", "1", "--batch", "b"],
        ["frobnicate"],
    ],
)
def test_jobs_that_are_not_named_rightly(sqlite71: Site, args: list[str]) -> None:
    refused(sqlite71.wpbg("jobs", *args), 2)


def test_output_that_nobody_takes(sqlite71: Site) -> None:
    sqlite71.enqueue("strlen", "x")

    def run(stdout: int) -> tuple[int, str]:
        argv = sqlite71.wpbg_argv("jobs", "list")
        done = subprocess.run(argv, env=sqlite71.env, stdout=stdout, stderr=subprocess.PIPE, text=True)
        return done.returncode, done.stderr

    reading, writing = os.pipe()
    os.close(reading)
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        assert run(writing)[1] == "", "a reader that has seen enough is no error to talk of"
        code, said = run(full)
        assert code == 1
        assert said.count("\n") == 1
        assert "No space left" in said
    finally:
        os.close(writing)
        os.close(full)


def test_a_group_alone_shows_its_help(sqlite71: Site) -> None:
    done = subprocess.run(sqlite71.wpbg_argv("jobs")[:-2], env=sqlite71.env, capture_output=True, text=True)
    assert done.returncode == 2
    assert "Commands:\n  add " in done.stderr


def test_wait_for_ids_and_batches(site: Site) -> None:
    good = site.enqueue("says_hello", batch="b")
    bad = site.enqueue("is_nasty", max_attempts=1, batch="b")
    waiting = site.start_wpbg("jobs", "wait", good, bad)
    waiting.wait_for_line("0 of 2 done")
    work(site)
    assert waiting.wait() == 1
    assert waiting.stdout_lines[-1] == "2 jobs: 1 completed, 1 failed."

    done = site.wpbg("jobs", "wait", good, check=True)
    assert done.stdout == "1 job: 1 completed.\n"
    assert site.wpbg("jobs", "wait", "--batch", "b").stdout == "2 jobs: 1 completed, 1 failed.\n"
    assert site.wpbg("batches", "wait", "b").returncode == 1
    assert "There is no job 999999" in refused(site.wpbg("jobs", "wait", good, "999999"), 1)
    assert "batch 'none'" in refused(site.wpbg("jobs", "wait", "--batch", "none"), 1)
    assert "There is no queue 'none'. There are: default" in refused(site.wpbg("jobs", "wait", "--queue", "none"), 1)


def test_wait_for_a_queue_knows_what_failed_meanwhile(site: Site) -> None:
    site.enqueue("is_nasty", max_attempts=1)
    work(site)
    assert site.wpbg("jobs", "wait", "--queue", "default", check=True).stdout == "0 jobs: nothing to wait for.\n"
    site.enqueue("says_hello")
    site.enqueue("is_nasty", max_attempts=1)
    waiting = site.start_wpbg("jobs", "wait", "--queue", "default")
    waiting.wait_for_line("0 of 2 done")
    work(site)
    assert waiting.wait() == 1
    assert waiting.stdout_lines[-1] == "2 jobs: 1 completed, 1 failed."


def test_wait_gives_up_and_can_be_interrupted(site: Site) -> None:
    job = site.enqueue("says_hello", delay=3600)
    done = site.wpbg("jobs", "wait", job, "--timeout", "0")
    assert done.stdout == "0 of 1 done\n1 job: 1 not finished.\n"
    assert "--timeout" in refused(done, 1)
    waiting = site.start_wpbg("jobs", "wait", job)
    waiting.wait_for_line("0 of 1 done")
    waiting.interrupt()
    assert waiting.wait() == 130
    assert [line for line in waiting.stderr_lines if line] == ["wpbg: Stopped."]
    site.query(f"DELETE FROM {site.jobs} WHERE id = %s", (int(job),))
