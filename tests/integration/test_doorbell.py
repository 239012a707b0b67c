"""The doorbell: requests wake idle workers, and nothing about it can hold a request up or let a stranger in."""

from __future__ import annotations

import json
import os
import shutil
import socket
import stat
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support.beanstalkd import Beanstalkd
from tests.support.need import require
from tests.support.site import Site
from tests.support.wait import wait_for
from wpbg.control import Control
from wpbg.doorbell import BELLS, Doorbell

JOB = "(object) array( 'function' => '__return_true' )"
ADD = f"$id = add_async_job( {JOB} ); echo is_wp_error( $id ) ? $id->get_error_message() : 'added';"


@pytest.fixture(scope="module")
def facts(shared_site: Site) -> dict[str, str]:
    told: dict[str, str] = json.loads(shared_site.eval_php("echo json_encode( Background_Worker\\Doorbell::facts() );"))
    return told


@pytest.fixture
def folder(facts: dict[str, str]) -> Iterator[Path]:
    path = Path(facts["folder"])
    yield path
    assert path.parent.name == "tmp" or os.environ.get("TMPDIR"), path
    if path.is_symlink():
        path.unlink()
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def house(folder: Path) -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


class Ear:
    """Hears a bell."""

    def __init__(self, facts: dict[str, str], house: ExitStack, *queues: str) -> None:
        self.heard = 0
        self.bell = Doorbell.hang(facts, queues or ("default", "mail"), self._hear)
        if self.bell is not None:
            house.callback(self.bell.close)

    def _hear(self) -> None:
        self.heard += 1

    def wait(self, what: str) -> None:
        wait_for(lambda: self.heard, 30, f"the bell rings: {what}")


def test_a_job_rings_every_worker(shared_site: Site, facts: dict[str, str], house: ExitStack) -> None:
    ears = [Ear(facts, house), Ear(facts, house)]
    assert shared_site.eval_php(ADD) == "added"
    for ear in ears:
        ear.wait("one job")


def test_workers_of_other_queues_sleep_on(shared_site: Site, facts: dict[str, str], house: ExitStack) -> None:
    mail, default = Ear(facts, house, "größer", "mail"), Ear(facts, house, "default")
    assert shared_site.eval_php(ADD) == "added"
    default.wait("a job of its queue")
    assert mail.heard == 0
    shared_site.eval_php(f"add_async_jobs( array( {JOB} ), 'größer' ); Background_Worker\\Doorbell::ring();")
    wait_for(lambda: mail.heard == 2 and default.heard == 2, 30, "one for its queue, one for all")


@pytest.mark.parametrize(
    "code",
    [
        f"add_async_jobs( array( {JOB}, {JOB} ) );",
        "wp_async_task_add( 'some_hook' );",
        f"add_async_job( {JOB}, 'mail', array( 'unique' => uniqid() ) );",
    ],
)
def test_every_way_of_adding_rings(shared_site: Site, facts: dict[str, str], house: ExitStack, code: str) -> None:
    ear = Ear(facts, house)
    shared_site.eval_php(code)
    ear.wait(code)


def test_a_job_in_a_broker_rings(
    shared_site: Site, facts: dict[str, str], house: ExitStack, beanstalkd: Beanstalkd
) -> None:
    ear = Ear(facts, house)
    shared_site.configure(ABW_BACKEND="beanstalkd", ABW_BEANSTALKD=beanstalkd.address)
    try:
        assert shared_site.eval_php(ADD) == "added"
    finally:
        shared_site.configure(ABW_BACKEND=None, ABW_BEANSTALKD=None)
    ear.wait("a job in beanstalkd")


def test_another_user_of_the_site_rings(shared_site: Site, facts: dict[str, str], house: ExitStack) -> None:
    """The web server's user is often not the worker's."""
    if os.geteuid() != 0:
        pytest.skip("only root can be somebody else")
    ear = Ear(facts, house)
    assert ear.bell is not None
    assert stat.S_IMODE(ear.bell.path.parent.stat().st_mode) == 0o711
    as_nobody = [require("setpriv", "util-linux"), "--reuid", "65534", "--regid", "65534", "--clear-groups", "--"]
    code = f"$s = stream_socket_client( 'udg://{ear.bell.path}' ); fwrite( $s, '{facts['word']}' );"

    subprocess.run([*as_nobody, require("php", "php-cli"), "-r", code], check=True)
    ear.wait("from another user")


def test_a_wrong_word_is_not_heard(shared_site: Site, facts: dict[str, str], house: ExitStack) -> None:
    ear = Ear(facts, house)
    assert ear.bell is not None
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stranger:
        for said in (b"", b"x", facts["word"].encode() + b"x", facts["word"][:-1].encode(), b"default"):
            stranger.sendto(said, str(ear.bell.path))
        assert shared_site.eval_php(ADD) == "added"
    ear.wait("the site, after the stranger")
    assert ear.heard == 1


def test_a_worker_that_does_not_hear_holds_nobody_up(
    shared_site: Site, facts: dict[str, str], house: ExitStack
) -> None:
    stuck = threading.Event()
    bell = Doorbell.hang(facts, ["default"], lambda: bool(stuck.wait(120)))
    assert bell is not None
    house.callback(bell.close)
    house.callback(stuck.set)
    told = shared_site.eval_php(f"for ( $n = 0; $n < 1500; $n++ ) {{ Background_Worker\\Doorbell::ring(); }} {ADD}")
    assert told == "added"


def test_a_warning_that_becomes_an_exception_does_not_fail_the_request(
    shared_site: Site, facts: dict[str, str], folder: Path
) -> None:
    folder.mkdir(mode=0o711)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as dead:
        dead.bind(str(folder / "0"))  # A killed worker's: nobody listens there any more.
    strict = "set_error_handler( function ( $n, $text ) { throw new ErrorException( $text ); } ); "
    assert shared_site.eval_php(strict + ADD) == "added"


def test_what_a_killed_worker_left_is_used_again(facts: dict[str, str], folder: Path, house: ExitStack) -> None:
    folder.mkdir(mode=0o711)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as dead:
        dead.bind(str(folder / "0"))
    first, second = Ear(facts, house), Ear(facts, house)
    assert first.bell is not None
    assert second.bell is not None
    assert [first.bell.path.name, second.bell.path.name] == ["0", "1"]


def test_there_are_only_so_many_and_nothing_is_left(facts: dict[str, str], folder: Path) -> None:
    with ExitStack() as house:
        ears = [Ear(facts, house) for _ in range(BELLS + 1)]
        assert [ear.bell is None for ear in ears] == [False] * BELLS + [True]
    assert not folder.exists()


@pytest.mark.parametrize("what", ["symlink", "file", "writable", "not_ours"])
def test_a_folder_that_a_stranger_made_is_used_by_neither(
    shared_site: Site, facts: dict[str, str], folder: Path, house: ExitStack, tmp_path: Path, what: str
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o711)
    if what == "symlink":
        folder.symlink_to(elsewhere)
    elif what == "file":
        folder.touch()
    else:
        folder.mkdir()
        folder.chmod(0o777 if what == "writable" else 0o711)
        elsewhere = folder
    if what == "not_ours":
        if os.geteuid() != 0:
            pytest.skip("only root can give a folder away")
        os.chown(folder, 65533, 65533)
    assert Ear(facts, house).bell is None
    if what != "file":
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as trap:
            trap.bind(str(elsewhere / "0"))
            trap.setblocking(False)
            assert shared_site.eval_php(ADD) == "added"
            with pytest.raises(BlockingIOError):
                trap.recv(64)
    if what == "file":
        folder.unlink()


def test_without_a_worker_nothing_happens(shared_site: Site, folder: Path) -> None:
    assert not folder.exists()
    assert shared_site.eval_php(ADD) == "added"
    assert not folder.exists()


def test_no_bell_without_facts() -> None:
    facts: list[dict[str, Any] | None] = [None, {}]
    assert [Doorbell.hang(each, ["default"], lambda: None) for each in facts] == [None, None]


def test_a_worker_that_rests_for_long_takes_a_job_at_once(maria71: Site) -> None:
    """Without the bell, this one would look again after two minutes."""
    maria71.configure(ABW_NO_JOB_PERIOD=3600)
    maria71.mu_plugin("callbacks", "function quick() { return 1; }")
    worker = maria71.start_wpbg("listen", "--mode", "loop", "--concurrency", "2")
    worker.wait_for_line(r"worker\.started")
    folder = json.loads(maria71.eval_php("echo json_encode( Background_Worker\\Doorbell::facts() );"))["folder"]
    wait_for(lambda: Path(folder, "0").exists(), 30, "the bell hangs")
    for number in range(1, 4):
        maria71.eval_php("add_async_job( (object) array( 'function' => 'quick' ) );")
        worker.wait_for_line(rf"job\.completed id={number} ")
    worker.terminate()
    assert worker.wait() == 0
    assert not Path(folder).exists()


def test_a_knock_wakes_one_and_is_not_lost() -> None:
    control = Control()
    control.knock()
    control.wait(3600)  # Returns at once: it was knocked before anybody waited.
    woken = threading.Semaphore(0)

    def rest() -> None:
        control.wait(3600)
        woken.release()

    resting = [threading.Thread(target=rest, daemon=True) for _ in range(2)]
    for thread in resting:
        thread.start()
    control.knock()
    assert woken.acquire(timeout=30)
    assert any(thread.is_alive() for thread in resting)
    control.stop()
    assert woken.acquire(timeout=30)
