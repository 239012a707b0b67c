"""Jobs that come through a broker: from add_async_job() to their end, with the real servers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gear
import greenstalk
import pytest
from gear import constants

from tests.support.beanstalkd import Beanstalkd
from tests.support.gearmand import Gearmand
from tests.support.site import Site
from tests.support.sites import Sites
from tests.support.wait import wait_for
from wpbg.queues.envelope import Seal

BACKENDS = ("beanstalkd", "gearman")

CALLBACKS = """
function record_run( $n ) {
    global $wpdb;
    $wpdb->insert( $wpdb->prefix . 'ran', array( 'n' => $n ) );
    echo 'ran ', $n;
    return $n;
}
function fails_once( $n ) {
    if ( 1 === background_job()->attempt ) { throw new Exception( 'not yet' ); }
    return 'attempt ' . background_job()->attempt;
}
class Gadget { public function __destruct() { file_put_contents( '%s', 'pwned' ); } }
foreach ( array( 'wp_async_task_before_job', 'wp_async_task_after_job', 'wp_async_task_before_job_foo',
    'wp_async_task_after_job_foo' ) as $name ) {
    add_action( $name, function ( $first ) use ( $name ) {
        if ( is_object( $first ) || 'foo' === $first ) {
            echo $name, '(', is_object( $first ) ? 'job' : $first, ') ';
        }
    } );
}
add_action( 'foo', function ( $args ) { echo 'foo(', json_encode( $args ), '@', get_current_blog_id(), ') '; } );
"""
TABLE = "CREATE TABLE {$wpdb->prefix}ran ( id bigint NOT NULL AUTO_INCREMENT PRIMARY KEY, n bigint )"


@dataclass
class Fast:
    """A site with a broker in front of its table."""

    site: Site
    backend: str
    server: Any

    def stop(self) -> None:
        self.server.stop()

    def start(self) -> None:
        self.server.start()

    def seal(self) -> Seal:
        return Seal(bytes.fromhex(self.site.eval_php("echo Background_Worker\\Envelope::key_hex();")))

    def put(self, body: bytes, function: str | None = None, kind: int = constants.SUBMIT_JOB_BG) -> None:
        """Hand raw bytes to the broker, as anybody who reaches it can."""
        if self.backend == "beanstalkd":
            tube = self.site.eval_php("echo Background_Worker\\Lane_Names::tube( 'default' );")
            with greenstalk.Client((self.server.host, self.server.port), encoding=None, use=tube) as client:
                client.put(body)
            return
        name = function or self.site.eval_php("echo Background_Worker\\Lane_Names::gearman_function( 'default' );")
        connection = gear.Connection(self.server.host, self.server.port)
        connection.connect()
        connection.sendPacket(gear.Packet(constants.REQ, kind, b"\0".join([name.encode(), b"", body])))
        assert connection.readPacket().ptype == constants.JOB_CREATED
        connection.disconnect()


def _fast(sites: Sites, backend: str, folder: Path, kind: str = "sqlite71") -> Fast:
    server: Any = Beanstalkd(folder / "binlog") if backend == "beanstalkd" else Gearmand(folder)
    server.start()
    site = sites.clone(kind)
    site.configure(ABW_BACKEND=backend, ABW_BEANSTALKD=server.address)
    gadget = site.folder / "pwned"
    servers = f"$GLOBALS['gearman_servers'] = array( '{server.address}' );"
    site.mu_plugin("callbacks", servers + CALLBACKS.replace("%s", str(gadget)))
    site.eval_php(f'global $wpdb; $wpdb->query( "{TABLE}" );')
    return Fast(site, backend, server)


@pytest.fixture(scope="module", params=BACKENDS)
def shared(request: pytest.FixtureRequest, sites: Sites, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fast]:
    fast = _fast(sites, request.param, tmp_path_factory.mktemp("broker"))
    yield fast
    sites.close(fast.site)
    fast.stop()


@pytest.fixture
def fast(shared: Fast) -> Fast:
    shared.start()
    shared.site.query(f"DELETE FROM {shared.site.jobs}")
    shared.site.query(f"DELETE FROM {shared.site.table('ran')}")
    return shared


def _ran(fast: Fast) -> list[int]:
    return sorted(row["n"] for row in fast.site.query(f"SELECT n FROM {fast.site.table('ran')}"))


def _work(fast: Fast, mode: str = "restart") -> str:
    return fast.site.wpbg("listen", "--mode", mode, "--stop-when-empty", check=True).stderr


def _job(fast: Fast, job_id: str) -> dict[str, Any]:
    return dict(json.loads(fast.site.wpbg("jobs", "get", job_id, "--format", "json", check=True).stdout))


@pytest.mark.parametrize("mode", ["restart", "fork", "loop"])
def test_jobs_run_in_every_lifetime_and_are_found_before_and_after(fast: Fast, mode: str) -> None:
    added = fast.site.eval_php(
        "echo implode( ' ', add_async_jobs( ( function () { for ( $n = 0; $n < 12; $n++ ) {"
        " yield (object) array( 'function' => 'record_run', 'user_data' => $n ); } } )() ) );"
    ).split()
    assert len(set(added)) == 12
    assert fast.site.query(f"SELECT count(*) AS jobs FROM {fast.site.jobs}")[0]["jobs"] == 0, "no row is written yet"
    assert _job(fast, added[3])["status"] == "queued"

    _work(fast, mode)
    assert _ran(fast) == list(range(12))
    done = _job(fast, added[3])
    assert (done["id"], done["status"], done["result"], done["output"]) == (added[3], "completed", 3, "ran 3")
    assert (done["attempts"], done["callback"]) == (1, "record_run")


def test_a_failed_job_is_tried_again_from_the_table(fast: Fast) -> None:
    job = fast.site.enqueue("fails_once", backoff=0)
    _work(fast)
    assert _job(fast, job)["result"] == "attempt 2"


def test_broker_stopped_before_the_enqueue(fast: Fast) -> None:
    fast.stop()
    job = fast.site.enqueue("record_run", 7)
    assert fast.site.job(job)["status"] == "queued", "it is a row of the table"
    log = _work(fast)
    assert _ran(fast) == [7]
    assert log.count("lane.lost") == 1
    assert "cannot be reached" in log


def test_broker_away_and_back_while_a_worker_waits(fast: Fast) -> None:
    worker = fast.site.start_wpbg("listen")
    worker.wait_for_line(r"worker\.started")
    fast.stop()
    worker.wait_for_line(r"lane\.lost")
    spooled = fast.site.enqueue("record_run", 1)
    fast.site.wait_for_status(spooled, "completed")
    fast.start()
    fast.site.enqueue("record_run", 2)
    wait_for(lambda: _ran(fast) == [1, 2], what="both ran")
    worker.wait_for_line(r"lane\.back")
    worker.terminate()
    assert worker.wait() == 0


@pytest.mark.parametrize("days", [None, 0], ids=["kept", "not kept"])
def test_what_was_delivered_twice_runs_once(fast: Fast, days: int | None) -> None:
    """As after a crash between writing the row and acknowledging; also where finished jobs are not kept."""
    fast.site.configure(ABW_RETENTION_DAYS=days)
    body = fast.seal().sign(_fields(fast, "record_run", 5))
    fast.put(body)
    _work(fast)
    fast.put(body)
    _work(fast)
    fast.site.configure(ABW_RETENTION_DAYS=None)
    assert _ran(fast) == [5]


def _fields(fast: Fast, function: str, data: int) -> dict[str, Any]:
    payload = fast.site.eval_php(
        f"echo serialize( (object) array( 'function' => '{function}', 'user_data' => {data} ) );"
    )
    return {
        "v": 1,
        "id": f"{data:032x}",
        "queue": "default",
        "blog": 1,
        "callback": function,
        "max_attempts": 3,
        "backoff": 30,
        "timeout": None,
        "priority": 0,
        "batch": None,
        "at": 1,
        "payload": payload.encode(),
    }


GADGET = b'O:6:"Gadget":0:{}'


@pytest.mark.parametrize("how", ["forged", "flipped", "another site's", "unsigned gadget", "garbage"])
def test_a_body_that_is_not_ours_is_set_aside_and_never_run(fast: Fast, how: str) -> None:
    fields = _fields(fast, "record_run", 9)
    body = fast.seal().sign(fields)
    if how == "forged":
        body = Seal(b"guessed").sign(fields)
    elif how == "flipped":
        body = body.replace(b"record_run", b"record_rum", 1)
    elif how == "another site's":
        body = Seal(bytes(32)).sign(fields)
    elif how == "unsigned gadget":
        body = GADGET
    else:
        body = b"\xff\x00garbage"
    fast.put(body)
    after = fast.site.enqueue("record_run", 10)
    log = _work(fast)
    assert _ran(fast) == [10]
    assert _job(fast, after)["status"] == "completed"
    aside = fast.site.query(f"SELECT * FROM {fast.site.jobs} WHERE status = 'failed'")
    assert len(aside) == 1
    assert json.loads(aside[0]["error"])["class"] in ("ForgedJob", "DamagedJob")
    assert "job.set_aside" in log
    # Not even a retry has it read.
    fast.site.wpbg("jobs", "retry", str(aside[0]["id"]), check=True)
    _work(fast)
    assert not (fast.site.folder / "pwned").exists()
    assert _ran(fast) == [10]


def test_a_row_whose_body_was_changed_in_the_table_is_not_read(fast: Fast) -> None:
    """The bridge checks the signature as well."""
    job = fast.site.enqueue("fails_once", 1, backoff=3600)
    _work(fast)
    row = fast.site.query(f"SELECT id, payload FROM {fast.site.jobs}")[0]
    changed = bytes(row["payload"]).replace(b"fails_once", b"record_run")
    fast.site.query(
        f"UPDATE {fast.site.jobs} SET payload = %s, status = 'queued', max_attempts = 2 WHERE id = %s",
        (changed, row["id"]),
    )
    _work(fast)
    done = _job(fast, job)
    assert done["status"] == "failed"
    assert "signature" in done["error"]["message"]


# -- WP Gears and WP Minions --------------------------------------------------------------------------------


@pytest.fixture
def minions(sites: Sites, tmp_path: Path) -> Iterator[Fast]:
    fast = _fast(sites, "gearman", tmp_path)
    yield fast
    sites.close(fast.site)
    fast.stop()


@pytest.mark.parametrize("kind", [constants.SUBMIT_JOB_BG, constants.SUBMIT_JOB_HIGH_BG, constants.SUBMIT_JOB_LOW_BG])
def test_their_workloads_fire_their_actions_in_their_order(minions: Fast, kind: int) -> None:
    minions.site.configure(WP_ASYNC_TASK_SALT="")  # as WP Minions does
    minions.put(b'{"hook":"foo","args":{"a":[1,2.5,"\\u00e9"]},"blog_id":false}', ":WP_Async_Task", kind)
    _work(minions)
    row = minions.site.query(f"SELECT * FROM {minions.site.jobs}")[0]
    assert (row["status"], row["callback"]) == ("completed", "foo"), row["error"]
    assert bytes(row["output"]).decode() == (
        "wp_async_task_before_job(foo) wp_async_task_before_job_foo(job) "
        'foo({"a":[1,2.5,"\\u00e9"]}@1) wp_async_task_after_job(foo) wp_async_task_after_job_foo(job) '
    )


@pytest.mark.parametrize("salt", ["", "shared"])
def test_their_salt_is_ours(minions: Fast, salt: str) -> None:
    minions.site.configure(WP_ASYNC_TASK_SALT=salt)
    minions.put(b'{"hook":"foo","args":[],"blog_id":false}', f"{salt}:WP_Async_Task")
    _work(minions)
    assert minions.site.query(f"SELECT status FROM {minions.site.jobs}") == [{"status": "completed"}]


def test_their_jobs_run_on_their_blog(sites: Sites, tmp_path: Path) -> None:
    fast = _fast(sites, "gearman", tmp_path, "multisite")
    fast.site.configure(WP_ASYNC_TASK_SALT="")
    try:
        for blog in (2, 3, 1):
            fast.put(b'{"hook":"foo","args":[],"blog_id":%d}' % blog, ":WP_Async_Task")
        _work(fast, "loop")
        rows = fast.site.query(f"SELECT blog_id, output FROM {fast.site.jobs} ORDER BY id")
        assert [row["blog_id"] for row in rows] == [2, 3, 1]
        for row in rows:
            assert f"foo([]@{row['blog_id']})" in bytes(row["output"]).decode()
    finally:
        sites.close(fast.site)
        fast.stop()
