"""What people do with jobs that wait in a broker: look, wait, cancel, retry, delete, purge. And several servers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.brokers import BACKENDS, Broker
from tests.support import php
from tests.support.gearmand import Gearmand
from tests.support.site import Site
from tests.support.sites import Sites
from tests.support.wait import wait_for

CALLBACKS = "function leaves_a_trace( $n ) { file_put_contents( '%s/trace', $n . \"\\n\", FILE_APPEND ); return $n; }"


@pytest.fixture(params=BACKENDS)
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Broker]:
    made = Broker.of(request.param, tmp_path)
    yield made
    made.server.stop()


@pytest.fixture
def site(sites: Sites, broker: Broker) -> Iterator[Site]:
    made = new_site(sites)
    broker.serve(made)
    yield made
    sites.close(made)


def new_site(sites: Sites) -> Site:
    made = sites.clone("sqlite71")
    made.mu_plugin("callbacks", CALLBACKS.replace("%s", str(made.folder)))
    return made


def add(site: Site, n: int, queue: str = "default", **options: Any) -> str:
    job = site.enqueue("leaves_a_trace", n, queue, **options)
    assert "-" in job, "it goes by the broker"
    return job


def traces(site: Site) -> list[str]:
    trace = site.folder / "trace"
    return sorted(trace.read_text().split()) if trace.exists() else []


def work(site: Site, *queues: str) -> str:
    named = [word for queue in queues for word in ("--queue", queue)]
    return site.wpbg("listen", "--mode", "loop", "--stop-when-empty", *named, check=True).stderr


def said(site: Site, *args: str) -> str:
    return site.wpbg(*args, check=True).stdout


def complaint(site: Site, *args: str) -> str:
    done = site.wpbg(*args)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    return done.stderr


def queued(site: Site) -> dict[str, int]:
    return {queue["queue"]: queue["queued"] for queue in json.loads(said(site, "queues", "list", "--format", "json"))}


def test_a_job_that_waits_is_shown_in_every_form(site: Site, broker: Broker) -> None:
    job = add(site, 1)
    for form in ("table", "json", "csv"):
        assert f"{job}" in said(site, "jobs", "get", job, "--format", form)
    assert f"Job {job} is queued." in said(site, "jobs", "get", job)
    assert "No attempt has begun yet." in said(site, "jobs", "log", job)
    assert json.loads(said(site, "jobs", "log", job, "--format", "json")) == []
    assert "is queued and will run by itself" in complaint(site, "jobs", "retry", job)
    listed = site.wpbg("jobs", "list", check=True)
    assert listed.stderr == "1 job waits in the broker, where jobs cannot be listed.\n"
    assert "waits" not in site.wpbg("jobs", "list", "--status", "failed", check=True).stderr
    assert "waits" not in site.wpbg("jobs", "list", "--queue", "mail", check=True).stderr
    work(site)
    assert site.wpbg("jobs", "list", check=True).stderr == ""


def test_a_queue_that_is_only_in_the_broker_is_listed_and_purged(site: Site, broker: Broker) -> None:
    name = "Grüße & Küsse"
    for n in range(250):
        if n < 3:
            add(site, n)
    site.eval_php(
        "add_async_jobs( ( function () { for ( $n = 0; $n < 450; $n++ ) {"
        f" yield array( 'function' => 'leaves_a_trace', 'user_data' => $n ); }} }} )(), {php.literal(name)} );"
    )
    site.enqueue("leaves_a_trace", 9, name, delay=3600)
    assert queued(site) == {"default": 3, name: 450}
    assert said(site, "queues", "purge", name, "--status", "delayed", "--yes").startswith("1 job ")
    assert queued(site)[name] == 450, "only the delayed ones"
    assert said(site, "queues", "purge", name, "--yes").startswith("450 jobs ")
    assert queued(site) == {"default": 3}
    assert broker.waiting(site, name) == 0
    work(site, "default", name)
    assert traces(site) == ["0", "1", "2"]


def test_a_purge_says_what_it_could_not_reach(site: Site, broker: Broker) -> None:
    site.enqueue("leaves_a_trace", 1, delay=3600)
    broker.server.stop()
    done = site.wpbg("queues", "purge", "default", "--yes")
    assert done.returncode == 4
    assert "1 in the table deleted, those in the broker not" in done.stderr
    assert site.query(f"SELECT id FROM {site.jobs}") == []


def test_a_job_that_waits_is_deleted_where_the_broker_can(site: Site, broker: Broker) -> None:
    gone, stays = add(site, 1), add(site, 2)
    if broker.backend == "beanstalkd":
        assert "is deleted" in said(site, "jobs", "delete", gone)
        assert "There is no job" in complaint(site, "jobs", "get", gone)
    else:
        assert "cannot delete single jobs: cancel it" in complaint(site, "jobs", "delete", gone)
        said(site, "jobs", "cancel", gone)
        # Without its row, it would run.
        assert "once a worker has come across it" in complaint(site, "jobs", "delete", gone)
    work(site)
    assert traces(site) == ["2"]
    assert json.loads(said(site, "jobs", "get", stays, "--format", "json"))["status"] == "completed"
    if broker.backend == "gearman":
        assert "is deleted" in said(site, "jobs", "delete", gone)
        work(site)
        assert traces(site) == ["2"]


@pytest.mark.parametrize("who", ["wpbg", "dashboard"])
def test_a_job_that_was_cancelled_by_mistake_runs_once(site: Site, broker: Broker, who: str) -> None:
    job = add(site, 1)
    said(site, "jobs", "cancel", job)
    if who == "wpbg":
        said(site, "jobs", "retry", job)
    else:
        site.eval_php(f"Background_Worker\\Job_Desk::retry( '{job}' );")
    work(site)
    work(site)
    assert traces(site) == ["1"]
    assert json.loads(said(site, "jobs", "get", job, "--format", "json"))["status"] == "completed"
    assert broker.waiting(site) == 0


def test_who_waits_for_a_batch_waits_for_what_is_in_the_broker(site: Site) -> None:
    """A batch whose first job is done is not done while the others are still in the broker."""
    early = site.enqueue("leaves_a_trace", 0, batch="import", delay=1)
    add(site, 1, batch="import")
    waiting = site.start_wpbg("batches", "wait", "import")
    waiting.wait_for_line("0 of 1 done")
    # Only the table's job is worked on: its broker is hidden from this worker.
    worker = site.start_wpbg("listen", "--mode", "loop")
    assert waiting.wait() == 0
    assert "2 jobs: 2 completed." in waiting.log
    assert traces(site) == ["0", "1"]
    site.wait_for_status(early, "completed")
    worker.terminate()
    assert worker.wait() == 0


def test_who_waits_for_a_batch_that_no_worker_has_seen_is_not_sent_away(site: Site) -> None:
    add(site, 1, batch="import")
    done = site.wpbg("batches", "wait", "import", "--timeout", "1")
    assert done.returncode == 1
    assert "none is out of the broker yet" in done.stdout
    work(site)
    assert "1 job: 1 completed." in said(site, "batches", "wait", "import")
    assert "There is no job of a batch" in complaint(site, "batches", "wait", "export")


# -- several Gearman servers --------------------------------------------------------------------------------


def test_one_of_several_servers_is_down_and_comes_back(sites: Sites, tmp_path: Path) -> None:
    first, second = Gearmand(tmp_path / "first"), Gearmand(tmp_path / "second")
    site = new_site(sites)
    try:
        first.start()
        second.start()
        site.configure(ABW_BACKEND="gearman")
        servers = {"both": [first.address, second.address], "second": [second.address]}

        def serve(which: str) -> None:
            site.mu_plugin("servers", f"$GLOBALS['gearman_servers'] = {php.literal(servers[which])};")

        serve("second")
        known = add(site, 1)
        first.stop()
        serve("both")
        # What waits in the one is found, whatever the other says.
        assert json.loads(said(site, "jobs", "get", known, "--format", "json"))["status"] == "queued"
        assert queued(site) == {"default": 1}
        add(site, 2)
        worker = site.start_wpbg("listen", "--mode", "loop")
        worker.wait_for_line(r"lane\.server_lost .*" + first.address)
        wait_for(lambda: traces(site) == ["1", "2"], 60, "the living server's jobs ran")
        first.start()
        worker.wait_for_line(r"lane\.server_back .*" + first.address, 60)
        second.stop()
        add(site, 3)
        wait_for(lambda: traces(site) == ["1", "2", "3"], 60, "the other one's job ran")
        assert worker.log.count("lane.server_lost lane=gearman server=" + first.address) == 1
        assert "lane.lost" not in worker.log, "the lane as a whole was there all the time"
        worker.terminate()
        assert worker.wait() == 0
    finally:
        sites.close(site)
        first.stop()
        second.stop()
