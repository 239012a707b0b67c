"""What the plugin writes is what the worker expects: envelopes byte for byte, and names."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.enqueuing import CALLBACKS
from tests.support import php
from tests.support.beanstalkd import Beanstalkd
from tests.support.gearmand import Gearmand
from tests.support.site import Site
from tests.support.sites import Sites
from wpbg.job import NewJob
from wpbg.queues.beanstalkd import BeanstalkdLane, tube_name
from wpbg.queues.envelope import Seal, fields_of
from wpbg.queues.gearman import GearmanLane
from wpbg.queues.lane import Lane

PAYLOAD = b'O:8:"stdClass":2:{s:8:"function";s:10:"a_callback";s:9:"user_data";s:4:"\x00\xff\xc3\xbc";}'
OPTIONS = "array( 'priority' => -7, 'max_attempts' => 5, 'backoff' => 9, 'timeout' => 11, 'batch' => 'Frühling' )"
SALTS = (None, "-begins with a dash", "with spaces: and : colons", "ü", "x" * 190)


@pytest.fixture(scope="module")
def plain(sites: Sites) -> Iterator[Site]:
    site = sites.clone("sqlite71")
    site.mu_plugin("callbacks", CALLBACKS)
    yield site
    sites.close(site)


@pytest.mark.parametrize("options", ["array()", OPTIONS], ids=["defaults", "all of them"])
def test_both_write_an_envelope_byte_for_byte_alike(plain: Site, options: str) -> None:
    told = plain.eval_php(
        f"""$o = Background_Worker\\Job_Options::of( {options}, 'mail' );
        $data = "\\0\\xff\\xc3\\xbc";
        $job = Background_Worker\\New_Job::calling(
            (object) array( 'function' => 'a_callback', 'user_data' => $data ), 'mail', $o );
        echo bin2hex( Background_Worker\\Envelope::seal( $job, str_repeat( '0f', 16 ) ) ), ' ',
            Background_Worker\\Envelope::key_hex();"""
    )
    body, key = (bytes.fromhex(part) for part in told.split())
    seal = Seal(key)
    envelope = seal.open(body)
    more = {} if options == "array()" else {"batch": "Frühling", "timeout": 11, "priority": -7}
    tries = (3, 30) if options == "array()" else (5, 9)
    job = NewJob("mail", PAYLOAD, callback="a_callback", max_attempts=tries[0], backoff=tries[1], **more)  # type: ignore[arg-type]
    assert seal.sign(fields_of(job, "0f" * 16, envelope.at_ms)) == body


@contextlib.contextmanager
def _server(backend: str, folder: Path) -> Iterator[Beanstalkd | Gearmand]:
    server = Beanstalkd() if backend == "beanstalkd" else Gearmand(folder)
    server.start()
    yield server
    server.stop()


@pytest.mark.parametrize("backend", ["beanstalkd", "gearman"])
def test_jobs_are_found_by_their_names_whatever_the_salt_and_the_queue(
    plain: Site, tmp_path: Path, backend: str
) -> None:
    queues = ("default", "Grüße & Küsse", "-")
    with _server(backend, tmp_path) as server:
        plain.mu_plugin("servers", f"$GLOBALS['gearman_servers'] = {php.literal([server.address])};")
        for salt in SALTS:
            plain.configure(ABW_BACKEND=backend, ABW_BEANSTALKD=server.address, WP_ASYNC_TASK_SALT=salt)
            told = json.loads(
                plain.eval_php(
                    "echo wp_json_encode( array( Background_Worker\\Lane::facts(), array_map( function ( $queue ) {"
                    " return add_async_job( array( 'function' => 'a_callback' ), $queue ); },"
                    f" {php.literal(list(queues))} ) ) );"
                )
            )
            facts, ids = told
            assert all("-" in job_id for job_id in ids), f"a row instead, with the salt {salt!r}"
            lane: Lane = BeanstalkdLane(server.address, facts["salt"])
            if backend == "gearman":
                lane = GearmanLane([server.address], facts["salt"], None, "default")
            seal = Seal(bytes.fromhex(facts["key"]))
            with contextlib.closing(lane):
                taken = lane.take(queues, 9)
                assert [lane.open(item, seal).queue for item in taken] == list(queues)
                lane.acknowledge(taken)
    plain.configure(ABW_BACKEND=None, ABW_BEANSTALKD=None, WP_ASYNC_TASK_SALT=None)


def test_names_that_are_too_long_stay_each_its_own() -> None:
    one, two = tube_name("salt", "x" * 250 + "1"), tube_name("salt", "x" * 250 + "2")
    assert len(one) == len(two) == 200
    assert one != two
