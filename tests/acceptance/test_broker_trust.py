"""Sites that share a server cannot run each other's jobs, nor can anybody else who reaches it; a retry still can."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gear import constants

from tests.acceptance.brokers import Broker
from tests.lifetimes.at_work import at_work
from tests.support.beanstalkd import Beanstalkd
from tests.support.site import Site
from tests.support.sites import Sites
from tests.support.wait import next_second, wait_for
from wpbg.queues.gearman import GearmanLane

CALLBACKS = """
function leaves_a_trace( $n ) { file_put_contents( '%s/trace', $n . "\\n", FILE_APPEND ); return $n; }
function fails_until_allowed( $n ) {
    if ( ! get_option( 'allowed' ) ) { throw new RuntimeException( 'not yet' ); }
    return $n;
}
class Gadget { public $file = '%s/pwned'; public function __destruct() { touch( $this->file ); }
    public function __wakeup() { touch( $this->file ); } }
add_action( 'foo', function ( $args ) { echo 'foo got ', gettype( $args ), ' ', json_encode( $args ); } );
"""
GADGET = 'O:6:"Gadget":0:{}'


@pytest.fixture
def two(sites: Sites, broker: Broker) -> Iterator[tuple[Site, Site]]:
    both = sites.clone("sqlite71"), sites.clone("sqlite71")
    for site in both:
        site.mu_plugin("callbacks", CALLBACKS.replace("%s", str(site.folder)))
        broker.serve(site)
    yield both
    for site in both:
        sites.close(site)


def name_of(site: Site, broker: Broker) -> str:
    """The default queue's tube or function."""
    kind = "tube" if broker.backend == "beanstalkd" else "gearman_function"
    return site.eval_php(f"echo Background_Worker\\Lane_Names::{kind}( 'default' );")


def hand_in(broker: Broker, name: str, body: bytes) -> None:
    """As anybody can who reaches the server."""
    if isinstance(broker.server, Beanstalkd):
        with broker.server.client(name) as client:
            client.put(body)
        return
    salt = name.removesuffix(":wpbg:default")
    lane = GearmanLane([broker.server.address], salt, None, "default")
    assert lane.put("default", body, 0, "") == "g"
    lane.close()


def work(site: Site) -> str:
    return site.wpbg("listen", "--mode", "loop", "--stop-when-empty", check=True).stderr


def traces(site: Site) -> list[str]:
    trace = site.folder / "trace"
    return trace.read_text().split() if trace.exists() else []


def failed(site: Site) -> list[dict[str, Any]]:
    told = site.wpbg("jobs", "list", "--status", "failed", "--format", "json", check=True).stdout
    return list(json.loads(told))


def test_a_job_of_one_site_is_not_another_ones(two: tuple[Site, Site], broker: Broker) -> None:
    ours, theirs = two
    ours.enqueue("leaves_a_trace", 1)
    assert name_of(ours, broker) != name_of(theirs, broker)
    work(theirs)
    assert broker.waiting(ours) == 1, "left alone"
    (job,) = broker.server.take_all(name_of(ours, broker))
    hand_in(broker, name_of(theirs, broker), job.body)
    log = work(theirs)
    assert (traces(ours), traces(theirs)) == ([], [])
    (aside,) = failed(theirs)
    assert (aside["status"], aside["error"]["class"]) == ("failed", "ForgedJob")
    assert "another site signed it" in aside["error"]["message"]
    assert "job.set_aside" in log
    # What is its own is run on: the other's place did not use it up.
    hand_in(broker, name_of(ours, broker), job.body)
    work(ours)
    assert traces(ours) == ["1"]


def test_a_copy_of_a_site_leaves_the_jobs_of_the_original_alone(two: tuple[Site, Site], broker: Broker) -> None:
    """Staging has production's wp-config.php, its salts included, and another address."""
    production, staging = two
    production.configure(WP_ASYNC_TASK_SALT="chosen once")
    copied = (production.path / "wp-config.php").read_text()
    (staging.path / "wp-config.php").write_text(copied)
    staging.wp("option", "update", "siteurl", "http://staging.test")
    production.enqueue("leaves_a_trace", 1)
    staging.enqueue("leaves_a_trace", 2)
    assert (broker.waiting(production), broker.waiting(staging)) == (1, 1)
    assert "chosen" in name_of(staging, broker), "names carry the salt"
    work(staging)
    assert (traces(staging), failed(staging)) == (["2"], [])
    assert broker.waiting(production) == 1
    work(production)
    assert (traces(production), failed(production)) == (["1"], [])


def test_a_huge_body_of_a_stranger_is_cut_and_breaks_no_worker(sites: Sites, tmp_path: Path) -> None:
    """MariaDB refuses what is larger than max_allowed_packet; the body would come again and again."""
    server = Broker.of("gearman", tmp_path)
    site = sites.clone("maria71")
    try:
        site.mu_plugin("callbacks", CALLBACKS.replace("%s", str(site.folder)))
        server.serve(site)
        lane = GearmanLane([server.server.address], name_of(site, server).removesuffix(":wpbg:default"))
        (size,) = site.query("SELECT @@max_allowed_packet AS most")
        # What any client can write; `put` itself refuses it.
        with lane._guard(server.server.address, "default"):
            connection = lane._connection(server.server.address, "default")
            packet = lane._job("default", b"x" * (int(size["most"]) + 1), "")
            connection.send((constants.SUBMIT_JOB_BG, packet))
            connection.receive(constants.JOB_CREATED)
        lane.close()
        site.enqueue("leaves_a_trace", 1)
        work(site)
        assert traces(site) == ["1"]
        (aside,) = failed(site)
        assert aside["error"]["class"] == "ForgedJob"
        assert f"The first 65536 of its {int(size['most']) + 1} bytes are kept." in aside["error"]["message"]
        assert server.waiting(site) == 0
    finally:
        sites.close(site)
        server.server.stop()


def test_no_changed_bit_gets_through(two: tuple[Site, Site], broker: Broker) -> None:
    site, _ = two
    site.enqueue("leaves_a_trace", 7)
    name = name_of(site, broker)
    (job,) = broker.server.take_all(name)
    whole: bytes = job.body
    places = [0, 5, 6, 40, 70, 71, whole.index(b"leaves_a_trace"), whole.rindex(b"i:7"), len(whole) - 1]
    for place in places:
        hand_in(broker, name, whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    hand_in(broker, name, whole[:-1])
    hand_in(broker, name, whole + b"}")
    work(site)
    aside = failed(site)
    assert len(aside) == len(places) + 2
    assert {each["error"]["class"] for each in aside} == {"ForgedJob"}
    site.wpbg("jobs", "retry", "--failed", check=True)
    work(site)
    assert len(failed(site)) == len(aside), "a retry has nothing of them read"
    assert traces(site) == []


def test_a_job_that_failed_runs_again_from_the_command_line(two: tuple[Site, Site]) -> None:
    site, _ = two
    job = site.enqueue("fails_until_allowed", 5, max_attempts=1)
    assert "-" in job, "it goes by the broker"
    work(site)
    (shown,) = failed(site)
    assert shown["error"]["message"] == "not yet"
    site.wp("option", "add", "allowed", "1")
    site.wpbg("jobs", "retry", job, check=True)
    work(site)
    done = json.loads(site.wpbg("jobs", "get", job, "--format", "json", check=True).stdout)
    assert (done["id"], done["status"], done["result"]) == (job, "completed", 5)


def test_what_waits_in_the_broker_is_counted(two: tuple[Site, Site], broker: Broker) -> None:
    site, _ = two

    def counted() -> dict[str, int]:
        told = json.loads(site.wpbg("status", "--format", "json", check=True).stdout)
        return {queue["queue"]: queue["queued"] for queue in told["queues"]}

    assert counted() == {}
    site.enqueue("leaves_a_trace", 1)
    site.enqueue("leaves_a_trace", 2)
    assert counted() == {"default": 2}
    broker.server.freeze()
    assert counted() == {}, "it says nothing; the status does"
    broker.server.thaw()
    work(site)
    assert counted() == {"default": 0}


def test_a_job_that_waits_in_the_broker_can_be_cancelled(two: tuple[Site, Site], broker: Broker) -> None:
    site, _ = two
    job, other = site.enqueue("leaves_a_trace", 1), site.enqueue("leaves_a_trace", 2)
    assert "cancelled" in site.wpbg("jobs", "cancel", job, check=True).stdout
    left = {"beanstalkd": 1, "gearman": 2}[broker.backend]
    assert broker.waiting(site) == left, "where it cannot be taken out, it is acknowledged when its turn comes"
    work(site)
    assert (traces(site), broker.waiting(site)) == (["2"], 0)
    status = {
        each: json.loads(site.wpbg("jobs", "get", each, "--format", "json", check=True).stdout)["status"]
        for each in (job, other)
    }
    assert status == {job: "cancelled", other: "completed"}
    site.wpbg("jobs", "retry", job, check=True)
    work(site)
    assert traces(site) == ["2", "1"]


def test_an_unsigned_workload_brings_text_and_never_an_object(two: tuple[Site, Site], broker: Broker) -> None:
    site, _ = two
    workload = json.dumps({"hook": "foo", "args": GADGET, "blog_id": False}).encode()
    if broker.backend == "beanstalkd":
        hand_in(broker, name_of(site, broker), workload)
    else:
        site.configure(WP_ASYNC_TASK_SALT="both")
        hand_in(broker, name_of(site, broker), workload)  # Our own function takes signed jobs only.
    work(site)
    (aside,) = failed(site)
    assert aside["error"]["class"] == "ForgedJob"
    assert not (site.folder / "pwned").exists()


def test_the_shared_function_fires_hooks_with_text(sites: Sites, tmp_path: Path) -> None:
    broker = Broker.of("gearman", tmp_path)
    site = sites.clone("sqlite71")
    try:
        site.mu_plugin("callbacks", CALLBACKS.replace("%s", str(site.folder)))
        broker.serve(site)
        site.configure(WP_ASYNC_TASK_SALT="")
        lane = GearmanLane([broker.server.address], "", None, "default")
        lane.functions = lambda queue: [":WP_Async_Task"]  # type: ignore[method-assign]
        args = [GADGET, {"O:6": GADGET}]
        for each in args:
            body = json.dumps({"hook": "foo", "args": each, "blog_id": False}).encode()
            assert lane.put("default", body, 0, "") == "g"
        lane.put("default", GADGET.encode(), 0, "")
        lane.put("default", b'{"hook":"foo","args":' + b"[" * 100_000 + b"]" * 100_000 + b"}", 0, "")
        lane.put("default", b'{"hook":"foo","args":1' + b"0" * 400 + b"}", 0, "")
        lane.close()
        work(site)
        rows = site.query(f"SELECT status, output FROM {site.jobs} ORDER BY id")
        told = [bytes(row["output"]).decode() for row in rows if row["status"] == "completed"]
        assert told == [
            f"foo got string {json.dumps(GADGET)}",
            "foo got array " + json.dumps({"O:6": GADGET}, separators=(",", ":")),
        ]
        assert {job["error"]["class"] for job in failed(site)} <= {"ForgedJob", "DamagedJob"}
        assert len(failed(site)) == 3
        assert not (site.folder / "pwned").exists()
    finally:
        sites.close(site)
        broker.server.stop()


UNREADABLE = """
add_filter( 'alloptions', function ( $options ) {
	return file_exists( ABSPATH . 'no-options' ) ? array() : $options;
} );
function passes( $n ) { return $n; }
"""


@pytest.mark.parametrize("lifetime", ["fork", "loop"])
def test_a_database_that_does_not_answer_makes_no_forgery_of_a_job(
    sqlite71: Site, broker: Broker, lifetime: str
) -> None:
    """The key depends on the site's address, which is in the options."""
    sqlite71.mu_plugin("unreadable", UNREADABLE)
    broker.serve(sqlite71)
    next_second()  # The process that has read the address is the one that runs the second job.
    with at_work(sqlite71, lifetime) as worker:
        first = sqlite71.enqueue("passes", 1)
        wait_for(lambda: sqlite71.query(f"SELECT 1 FROM {sqlite71.jobs} WHERE status = 'completed'"), 60, first)
        sqlite71.wpbg("queues", "pause", "default", check=True)
        sqlite71.enqueue("passes", 2)
        (sqlite71.path / "no-options").touch()
        sqlite71.query(f"UPDATE {sqlite71.table('bg_queues')} SET paused = 0")
        wait_for(
            lambda: sqlite71.query(f"SELECT 1 FROM {sqlite71.jobs} WHERE status IN ('completed', 'failed') AND id > 1"),
            60,
            "the second job has ended",
        )
        rows = sqlite71.query(f"SELECT status, attempts, error FROM {sqlite71.jobs} ORDER BY id")
        assert [(row["status"], row["attempts"]) for row in rows] == [("completed", 1)] * 2, rows
        assert not worker.named("job.failed")


def test_a_site_that_does_not_know_its_address_signs_nothing(sqlite71: Site, broker: Broker) -> None:
    """Such a job would be set aside as forged, and the site would believe that it was added."""
    broker.serve(sqlite71)
    told = sqlite71.eval_php(
        "wp_cache_flush(); add_filter( 'alloptions', '__return_empty_array' );"
        "echo add_async_job( (object) array( 'function' => 'strlen', 'user_data' => 'x' ) );"
    )
    assert sqlite71.job(told)["status"] == "queued"
    assert broker.waiting(sqlite71) == 0
