"""Passwords and keys: in no argument, in no environment, in no log, in nothing that people are shown."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest

from tests.support.beanstalkd import Beanstalkd
from tests.support.mariadb import MariaDB
from tests.support.site import Site
from tests.support.sites import Sites
from tests.support.wait import wait_for

LIFETIMES = ("restart", "fork", "loop")
LINGERS = (
    'function lingers( $file ) { touch( $file ); while ( ! file_exists( "$file.go" ) ) { usleep( 10000 ); } return 1; }'
)


def secrets(site: Site) -> list[bytes]:
    """What nobody may see: the database's password, the site's keys, and the key made of them."""
    told = site.eval_php(
        "echo json_encode( array( AUTH_KEY, SECURE_AUTH_KEY, LOGGED_IN_KEY, AUTH_SALT, SECURE_AUTH_SALT, "
        "DB_PASSWORD, Background_Worker\\Lane::facts()['key'] ?? 'none' ) );"
    )
    found = [text.encode() for text in json.loads(told)]
    assert len(found) == 7
    return [secret for secret in found if secret and secret != b"none"]


def seen_by_others(site: Site) -> dict[str, bytes]:
    """Arguments and environment of every process that works for the site."""
    mark, found = f"WPBG_TEST_SITE={site.path}".encode(), {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            environ = (folder / "environ").read_bytes()
            if mark in environ.split(b"\0"):
                arguments = (folder / "cmdline").read_bytes()
                found[f"{folder.name} {arguments[:80]!r}"] = arguments + b"\0" + environ
    return found


@pytest.mark.parametrize("lifetime", LIFETIMES)
def test_processes_show_no_secret(maria71: Site, lifetime: str, tmp_path: Path) -> None:
    broker = Beanstalkd()
    broker.start()
    try:
        maria71.configure(ABW_BACKEND="beanstalkd", ABW_BEANSTALKD=broker.address)
        maria71.mu_plugin("lingers", LINGERS)
        hidden = secrets(maria71)
        worker = maria71.start_wpbg("listen", "--mode", lifetime)
        maria71.enqueue("lingers", str(tmp_path / "job"))
        wait_for((tmp_path / "job").exists, what="the job runs")
        processes = seen_by_others(maria71)
        assert len(processes) >= 2, "the worker and its PHP"
        for name, text in processes.items():
            assert not [secret for secret in hidden if secret in text], name
        (tmp_path / "job.go").touch()
        worker.terminate()
        assert worker.wait() == 0
        assert not [secret for secret in hidden if secret in worker.log.encode()]
    finally:
        broker.stop()


def test_errors_and_logs_show_no_secret(sites: Sites, private_mariadb: MariaDB) -> None:
    """Also where the talk is of the connection itself."""
    site = sites.clone("maria71", server=private_mariadb)
    log = site.folder / "worker.log"
    site.configure(BACKGROUND_WORKER_LOG=str(log), ABW_DEBUG=True)
    hidden = secrets(site)
    worker = site.start_wpbg("listen", "--mode", "loop", "--log-format", "json")
    worker.wait_for_line("worker.started")
    private_mariadb.stop()
    worker.wait_for_line("queue.lost")
    said = [site.wpbg(*words).stderr for words in (["status"], ["doctor"], ["run"], ["jobs", "list"])]
    private_mariadb.start()
    worker.wait_for_line("queue.back")
    private_mariadb.execute("SET PASSWORD FOR %s@'127.0.0.1' = PASSWORD('another')", (private_mariadb.user,))
    said += [site.wpbg(*words).stderr for words in (["status"], ["doctor"])]
    worker.terminate()
    worker.wait()
    text = "\n".join([*said, worker.log, log.read_text()]).encode()
    assert b"Access denied" in text or b"password" in text.lower(), "the wrong password is spoken of"
    assert not [secret for secret in hidden if secret in text]


def test_the_log_is_nobody_elses(maria71: Site) -> None:
    log = maria71.folder / "worker.log"
    maria71.configure(BACKGROUND_WORKER_LOG=str(log))
    worker = maria71.start_wpbg("listen")
    worker.wait_for_line("worker.started")
    wait_for(log.exists, what="the log is there")
    assert log.stat().st_mode & 0o037 == 0, oct(log.stat().st_mode)
    worker.terminate()
    assert worker.wait() == 0
