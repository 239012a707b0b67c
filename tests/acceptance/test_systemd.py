"""Workers under a real, live systemd: the unit that `wpbg service systemd` prints, as its first lines say."""

from __future__ import annotations

import re
import threading
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import php
from tests.support.server import free_port
from tests.support.site import Site
from tests.support.sites import Sites
from tests.support.systemd import Systemd
from tests.support.wait import wait_for

CALLBACKS = """
function takes_a_while( $trace ) {
    usleep( 20000 );
    file_put_contents( $trace, background_job()->id . "\\n", FILE_APPEND );
}
function wait_for_go( $file ) {
    touch( "$file.begun" );
    while ( ! file_exists( "$file.go" ) ) { usleep( 20000 ); }
    return 'finished';
}
"""

MANY = 200

FOLDER = 'a b\'s "100%n" $HOME'
"""Everything that systemd would expand, or take for the end of a word."""


@pytest.fixture(scope="module")
def oddly_named(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sites]:
    made = Sites(tmp_path_factory.mktemp("sites") / FOLDER)
    made.folder.mkdir()
    yield made
    made.close_all()


@pytest.fixture
def site(oddly_named: Sites) -> Iterator[Site]:
    made = oddly_named.clone("sqlite71")
    made.mu_plugin("callbacks", CALLBACKS)
    yield made
    oddly_named.close(made)


@pytest.fixture
def systemd(site: Site, tmp_path: Path) -> Iterator[Systemd]:
    cache = tmp_path / "cache"
    cache.mkdir(mode=0o700)
    made = Systemd(tmp_path / "systemd", {**site.env, "WPBG_CACHE_DIR": str(cache)})
    made.start()
    yield made
    print(made.log)
    made.stop()


def install(systemd: Systemd, site: Site, *args: str, change: tuple[str, str] = ("", "")) -> list[str]:
    """Do what the first lines of the unit say, as root in bash; the names of the services."""
    text = site.wpbg("service", "systemd", "--name", "ours", *args, check=True).stdout
    make, reload, enable = re.findall(r"^#   (.*)$", text.partition("[Unit]")[0], re.M)
    for line in (make, reload):
        done = systemd.run(line)
        assert done.returncode == 0, f"{line}: {done.stderr}"
    unit = systemd.units / "ours@.service"
    assert unit.read_text() == text, "the line makes this very file"
    if change[0]:
        assert change[0] in text
        unit.write_text(text.replace(*change))
        systemd.ctl("daemon-reload")
    done = systemd.run(enable)
    assert done.returncode == 0, f"{enable}: {done.stderr}\n{systemd.log}"
    return [f"ours@{link.name.removeprefix('ours@').removesuffix('.service')}"
            for link in sorted((systemd.units / "multi-user.target.wants").iterdir())]  # fmt: skip


def main_pid(systemd: Systemd, service: str) -> str:
    return systemd.ctl(f"show --property MainPID --value {service}")


def enqueue_many(site: Site, number: int) -> Path:
    trace = site.folder / "ran"
    site.eval_php(
        f"for ( $i = 0; $i < {number}; $i++ ) {{ add_async_job( (object) array( 'function' => 'takes_a_while',"
        f" 'user_data' => {php.literal(str(trace))} ) ); }}"
    )
    return trace


def test_three_workers_one_killed_and_one_stopped_in_the_middle_of_a_job(site: Site, systemd: Systemd) -> None:
    port = free_port()
    services = install(systemd, site, "--processes", "3", "--mode", "fork", "--metrics", f"127.0.0.1:{port}")
    assert services == [f"ours@{number}" for number in range(port, port + 3)]
    # `enable --now` has waited for READY=1, and that for the database.
    assert systemd.ctl(f"is-active {' '.join(services)}").split() == ["active"] * 3
    pids = [main_pid(systemd, service) for service in services]
    wait_for(lambda: len(site.query("SELECT id FROM wp_bg_workers")) == 3, 60, "three workers in the table")
    with urllib.request.urlopen(f"http://127.0.0.1:{port + 2}/readyz", timeout=60) as answer:
        assert answer.read() == b"ok\n"

    systemd.ctl(f"kill --signal KILL --kill-whom main {services[1]}")
    wait_for(lambda: main_pid(systemd, services[1]) not in (pids[1], "0"), 60, "it is started again")
    assert [main_pid(systemd, service) for service in services[::2]] == pids[::2]

    systemd.ctl(f"stop {services[1]} {services[2]}")
    trace = site.folder / "trace"
    job = site.enqueue("wait_for_go", str(trace))
    wait_for(lambda: trace.with_suffix(".begun").exists(), what="the job has begun")
    busy = "1 of 1 slots busy, 0 jobs done; fork, queues default"
    wait_for(lambda: systemd.ctl(f"show --property StatusText --value {services[0]}") == busy, what="its status")
    stopping = threading.Thread(target=lambda: systemd.ctl(f"stop {services[0]}"))
    stopping.start()
    wait_for(lambda: "worker.stopping" in systemd.log, what="the worker was told to stop")
    wait_for(lambda: "Stopping, 1 running" in systemd.ctl(f"show --property StatusText {services[0]}"), what="status")
    assert site.job(job)["status"] == "running"
    trace.with_suffix(".go").touch()
    stopping.join()
    assert (site.job(job)["status"], site.job(job)["attempts"]) == ("completed", 1)
    assert systemd.ctl(f"show --property Result --value {services[0]}") == "success"


def test_restarts_and_reloads_under_load_lose_no_job(site: Site, systemd: Systemd) -> None:
    ran = enqueue_many(site, MANY)
    install(systemd, site, "--processes", "3", "--mode", "fork")

    def lines() -> list[str]:
        return ran.read_text().splitlines() if ran.exists() else []

    for word in ("restart", "reload", "restart"):
        before = len(lines())
        wait_for(lambda so_far=before: len(lines()) > so_far + 5, 60, "jobs run")  # type: ignore[misc]
        assert len(lines()) < MANY, f"{word} is under load"
        systemd.ctl(f"{word} 'ours@*'")

    def statuses() -> dict[str, int]:
        rows = site.query(f"SELECT status, COUNT(*) AS jobs FROM {site.jobs} GROUP BY status")
        return {row["status"]: row["jobs"] for row in rows}

    wait_for(lambda: statuses() == {"completed": MANY}, 90, "all jobs are done")
    assert set(Counter(lines()).values()) == {1}, "none ran twice"
    assert len(lines()) == MANY


def uncommented(text: str) -> tuple[str, str]:
    """The settings that are in the unit as comments, and the same in force."""
    kept = re.search(r"(^#   [A-Z]\w+=.*\n)+", text, re.M)
    assert kept
    return kept[0], kept[0].replace("#   ", "")


@pytest.mark.parametrize("mode", ["restart", "fork", "loop"])
def test_with_every_hardening_jobs_run_and_a_worker_that_hangs_is_replaced(
    site: Site, systemd: Systemd, mode: str
) -> None:
    text = site.wpbg("service", "systemd", check=True).stdout
    commented, in_force = uncommented(text)
    assert {"NoNewPrivileges=yes", "SystemCallFilter=@system-service"} <= set(in_force.splitlines())
    # Shorter, so that nobody has to wait; that it is answered in time with jobs at work is what is tested.
    (service,) = install(systemd, site, "--mode", mode, change=(commented, f"{in_force}WatchdogSec=5\n"))
    trace = site.folder / "trace"
    job = site.enqueue("wait_for_go", str(trace))
    wait_for(lambda: trace.with_suffix(".begun").exists(), what="the job has begun")
    trace.with_suffix(".go").touch()
    site.wait_for_status(job, "completed")
    assert systemd.ctl(f"show --property NoNewPrivileges --value {service}") == "yes"
    pid = main_pid(systemd, service)
    systemd.ctl(f"kill --signal STOP --kill-whom main {service}")
    wait_for(lambda: main_pid(systemd, service) not in (pid, "0"), 90, "the watchdog has it started again")
    assert systemd.ctl(f"show --property NRestarts --value {service}") == "1", "and only when it hung"
    job = site.enqueue("wait_for_go", str(trace))
    site.wait_for_status(job, "completed")


def test_wrong_usage_is_not_tried_for_ever(site: Site, systemd: Systemd) -> None:
    text = site.wpbg("service", "systemd", "--name", "ours", check=True).stdout
    (systemd.units / "ours@.service").write_text(text.replace(" listen ", " listen --no-such-option "))
    systemd.ctl("daemon-reload")
    assert systemd.run("systemctl start ours@1").returncode != 0
    wait_for(lambda: systemd.run("systemctl is-failed ours@1").stdout == "failed\n", what="it has failed for good")
    assert systemd.ctl("show --property NRestarts --value ours@1") == "0"
    assert "wpbg: No such option '--no-such-option'" in systemd.log
