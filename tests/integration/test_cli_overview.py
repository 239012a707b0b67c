"""`wpbg status`, `queues`, `workers` and `batches` on real sites."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest

from tests.support.process import WorkerProcess
from tests.support.site import Site
from tests.support.wait import wait_for

CALLBACKS = """
function is_quick() {}
function fails() { throw new Exception( 'no' ); }
function waits_for_file( $file ) { while ( ! file_exists( $file ) ) { usleep( 20000 ); } }
"""

QUEUE_KEYS = ["queue", "queued", "delayed", "running", "failed", "oldest_queued_seconds", "paused"]
WORKER_KEYS = [
    *("name", "host", "pid", "mode", "queues", "state", "job", "started_at", "heartbeat_at", "jobs_done"),
    "memory_mb",
]


@pytest.fixture
def site(shared_site: Site) -> Site:
    """With callbacks, and nothing in the tables."""
    shared_site.mu_plugin("cli", CALLBACKS)
    for name in ("jobs", "queues", "workers"):
        shared_site.query(f"DELETE FROM {shared_site.table(f'bg_{name}')}")
    return shared_site


def told(site: Site, *args: str) -> Any:
    return json.loads(site.wpbg(*args, "--format", "json", check=True).stdout)


def test_status_of_a_site_where_nothing_happened(site: Site) -> None:
    status = told(site, "status")
    assert list(status) == ["site", "queues", "workers"]
    assert list(status["site"]) == ["path", "url", "backend", "plugin_version"]
    assert status["site"]["path"].rstrip("/") == str(site.path)
    assert (status["site"]["url"], status["site"]["backend"]) == (site.url, "database")
    assert status["queues"] == status["workers"] == []
    said = site.wpbg("status", check=True).stdout
    assert "No queue has had a job yet." in said
    assert "No worker is running. Start one: wpbg listen" in said


def test_status_names_the_queue_that_another_plugins_constant_selects(sqlite71: Site) -> None:
    sqlite71.configure(WP_MINIONS_BACKEND="gearman")
    assert told(sqlite71, "status")["site"]["backend"] == "gearman"


def test_status_of_a_site_at_work(site: Site) -> None:
    flag = site.folder / "go"
    job = site.enqueue("waits_for_file", str(flag))
    site.enqueue("is_quick", delay=3600)
    site.enqueue("fails", max_attempts=1, priority="high")
    site.enqueue("is_quick", queue="mail")
    worker = site.start_wpbg("listen", "--name", "w1", "--lease", "1")
    site.wait_for_status(job, "running")
    status = wait_for(lambda: running(site, job), 30, "a worker that shows its job")
    default, mail = status["queues"]
    assert list(default) == QUEUE_KEYS
    assert default == {
        "queue": "default",
        "queued": 0,
        "delayed": 1,
        "running": 1,
        "failed": 1,
        "oldest_queued_seconds": None,
        "paused": False,
    }
    assert (mail["queue"], mail["queued"]) == ("mail", 1)
    assert mail["oldest_queued_seconds"] >= 0
    (slot,) = status["workers"]
    assert list(slot) == WORKER_KEYS
    assert (slot["name"], slot["pid"], slot["mode"]) == ("w1", worker.pid, "restart")
    assert (slot["queues"], slot["state"], slot["job"]) == (["default"], "running", job)
    assert slot["jobs_done"] == 1

    assert [list(each) for each in told(site, "workers", "list")] == [WORKER_KEYS]
    plain = site.wpbg("workers", "list", check=True).stdout.splitlines()
    assert plain[0].split() == ["NAME", "HOST:PID", "MODE", "QUEUES", "STATE", "JOB", "DONE", "MB", "SEEN"]
    assert plain[1].startswith("w1 ")
    rows = list(csv.DictReader(io.StringIO(site.wpbg("workers", "list", "--format", "csv", check=True).stdout)))
    assert (rows[0]["name"], rows[0]["queues"]) == ("w1", '["default"]')
    assert "w1 " in site.wpbg("status", check=True).stdout

    cancelled = site.wpbg("jobs", "cancel", job, check=True).stdout
    assert cancelled == f"Job {job} is running: its worker has been asked to stop it.\n"
    site.wait_for_status(job, "cancelled")
    worker.terminate()
    assert worker.wait() == 0
    assert told(site, "workers", "list") == []


def running(site: Site, job: str) -> Any:
    status = told(site, "status")
    return status if [worker["job"] for worker in status["workers"]] == [job] else None


def test_status_goes_on_until_it_is_interrupted(site: Site) -> None:
    def watch(*args: str) -> WorkerProcess:
        return site.start_wpbg("status", "--watch", *args)

    plain, objects = watch(), watch("--format", "json")
    plain.wait_for_line("No worker is running")
    objects.wait_for_line("^{")
    site.enqueue("is_quick", queue="fresh")
    plain.wait_for_line("^fresh ")
    assert json.loads(objects.wait_for_line('"fresh"'))["queues"][0]["queue"] == "fresh"
    for process in (plain, objects):
        process.interrupt()
        assert process.wait() == 0
        assert process.stderr_lines == []


def test_queues_are_paused_resumed_and_purged(site: Site) -> None:
    for number in range(3):
        site.enqueue("is_quick", delay=number * 3600)
    other = site.enqueue("is_quick", queue="other")
    assert site.wpbg("queues", "pause", "default", check=True).stdout == "Queue default is paused.\n"
    assert "No job has been in" in site.wpbg("queues", "pause", "misspelt", check=True).stdout
    site.wpbg("listen", "--stop-when-empty", "--queue", "default", "--queue", "other", check=True)
    assert site.job(other)["status"] == "completed"
    by_name = {queue["queue"]: queue for queue in told(site, "queues", "list")}
    assert list(by_name["default"]) == QUEUE_KEYS
    assert (by_name["default"]["queued"], by_name["default"]["paused"]) == (1, True)
    line = next(line for line in site.wpbg("queues", "list", check=True).stdout.splitlines() if "default" in line)
    assert line.endswith("  paused")

    assert site.wpbg("queues", "purge", "default", check=True).stdout == "3 jobs of queue default deleted.\n"
    assert site.wpbg("queues", "purge", "other", "--status", "completed", check=True).stdout.startswith("1 job of")
    assert site.wpbg("queues", "resume", "default", check=True).stdout == "Queue default goes on.\n"
    assert site.wpbg("queues", "resume", "default", check=True).stdout == "Queue default was not paused.\n"
    refused = site.wpbg("queues", "purge", "nonesuch")
    assert (refused.returncode, refused.stderr) == (
        1,
        "wpbg: There is no queue 'nonesuch': look at `wpbg queues list`.\n",
    )
    assert site.wpbg("queues", "pause", "bad\nname").returncode == 2


def test_batches(site: Site) -> None:
    assert site.wpbg("batches", "list", check=True).stdout == "There are no batches.\n"
    site.enqueue("is_quick", batch="import")
    site.enqueue("fails", batch="import", max_attempts=1)
    site.enqueue("is_quick", batch="later", delay=3600)
    site.wpbg("listen", "--stop-when-empty", check=True)
    batch = told(site, "batches", "get", "import")
    assert batch == {
        "batch": "import",
        "total": 2,
        "queued": 0,
        "delayed": 0,
        "running": 0,
        "completed": 1,
        "failed": 1,
        "cancelled": 0,
    }
    assert [each["batch"] for each in told(site, "batches", "list")] == ["later", "import"]
    assert "Batch import of 2 jobs is finished." in site.wpbg("batches", "get", "import", check=True).stdout
    assert "Batch later of 1 job is 0 % done." in site.wpbg("batches", "get", "later", check=True).stdout
    assert site.wpbg("batches", "get", "nonesuch").returncode == 1
