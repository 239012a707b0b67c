"""Workers under a real supervisord: what `wpbg service supervisord` prints, and entries that are there already."""

from __future__ import annotations

import os
import pwd
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.site import Site
from tests.support.supervisord import Supervisord
from tests.support.wait import wait_for

CALLBACKS = """
function takes_a_while( $trace ) {
    usleep( 50000 );
    file_put_contents( $trace, background_job()->id . "\\n", FILE_APPEND );
}
function wait_for_go( $file ) {
    touch( "$file.begun" );
    while ( ! file_exists( "$file.go" ) ) { usleep( 20000 ); }
    return 'finished';
}
"""


MANY = 600


@pytest.fixture
def site(maria71: Site) -> Site:
    maria71.mu_plugin("callbacks", CALLBACKS)
    return maria71


@pytest.fixture
def supervisor(site: Site) -> Iterator[Supervisord]:
    made = Supervisord(site.folder / "supervisor", site.env, pwd.getpwuid(os.geteuid()).pw_name)
    yield made
    made.stop()


def workers(site: Site) -> list[str]:
    return [row["name"] for row in site.query(f"SELECT name FROM {site.table('bg_workers')}")]


def enqueue_many(site: Site, number: int) -> Path:
    """Jobs that each leave a line; where."""
    trace = site.folder / "ran"
    site.eval_php(
        f"for ( $i = 0; $i < {number}; $i++ ) {{"
        f"add_async_job( (object) array( 'function' => 'takes_a_while', 'user_data' => '{trace}' ) ); }}"
    )
    return trace


def lines_in(file: Path) -> int:
    return len(file.read_text().splitlines()) if file.exists() else 0


def all_completed(site: Site, number: int) -> bool:
    rows = site.query(f"SELECT status, COUNT(*) AS jobs FROM {site.jobs} GROUP BY status")
    return {row["status"]: row["jobs"] for row in rows} == {"completed": number}


def test_three_workers_one_killed_and_one_stopped_in_the_middle_of_a_job(site: Site, supervisor: Supervisord) -> None:
    config = site.wpbg("service", "supervisord", "--processes", "3", "--mode", "fork", "--name", "ours", check=True)
    assert config.stderr == ""
    supervisor.add("ours", config.stdout)
    supervisor.start()
    pids = supervisor.wait_until_all_run(3)
    assert sorted(pids) == ["ours:ours_1", "ours:ours_2", "ours:ours_3"]
    wait_for(lambda: len(workers(site)) == 3, 60, "three workers in the table")

    os.kill(pids["ours:ours_2"], signal.SIGKILL)
    wait_for(lambda: supervisor.states()["ours:ours_2"][0] != "RUNNING", what="supervisord has noticed")
    again = supervisor.wait_until_all_run(3)
    assert again["ours:ours_2"] != pids["ours:ours_2"]
    assert {name: pid for name, pid in again.items() if pid in pids.values()}.keys() == {"ours:ours_1", "ours:ours_3"}

    supervisor.ctl("stop", "ours:ours_2", "ours:ours_3")
    trace = site.folder / "trace"
    job = site.enqueue("wait_for_go", str(trace))
    wait_for(lambda: trace.with_suffix(".begun").exists(), what="the job has begun")
    stopping = threading.Thread(target=lambda: supervisor.ctl("stop", "ours:ours_1"))
    stopping.start()
    wait_for(lambda: "worker.stopping" in supervisor.logs(), what="the worker was told to stop")
    assert site.job(job)["status"] == "running"
    trace.with_suffix(".go").touch()
    stopping.join()
    row = site.job(job)
    assert (row["status"], row["attempts"]) == ("completed", 1)


def test_restarts_under_load_lose_no_job(site: Site, supervisor: Supervisord) -> None:
    config = site.wpbg("service", "supervisord", "--processes", "3", "--mode", "fork", "--name", "ours", check=True)
    # `supervisorctl restart` waits so long for each start; the load must not be over by then.
    supervisor.add("ours", config.stdout.replace("startsecs=5", "startsecs=1"))
    ran = enqueue_many(site, MANY)
    supervisor.start()
    supervisor.wait_until_all_run(3)
    for _ in range(3):
        before = lines_in(ran)
        wait_for(lambda so_far=before: lines_in(ran) > so_far + 5, 60, "jobs run")  # type: ignore[misc]
        assert lines_in(ran) < MANY, "the restart is under load"
        supervisor.ctl("restart", "ours:*")
    wait_for(lambda: all_completed(site, MANY), 90, "all jobs are done")
    times = Counter(ran.read_text().splitlines())
    assert len(times) == MANY, "none was lost"
    assert set(times.values()) == {1}, "none ran twice"
    assert site.query(f"SELECT id FROM {site.jobs} WHERE attempts <> 1") == []


OLDER = """[program:background-worker]
command=wp background-worker listen
directory={site.path}
process_name=%(program_name)s_%(process_num)02d
numprocs=2
autostart=true
autorestart=true
redirect_stderr=true
stdout_logfile=/var/log/supervisor/older_%(process_num)d.log
"""

GEARS = """[program:my_wp_gears_workers]
command={php} {site.path}/wp-gears-runner.php
process_name=%(program_name)s-%(process_num)02d
numprocs=2
directory={site.folder}
autostart=true
autorestart=true
killasgroup=true
redirect_stderr=true
stdout_logfile=/var/log/supervisor/gears_%(process_num)d.log
"""


def test_an_entry_of_the_older_plugin_works_as_it_is(site: Site, supervisor: Supervisord) -> None:
    supervisor.add("older", OLDER.format(site=site))
    supervisor.start()
    supervisor.wait_until_all_run(2)
    ran = enqueue_many(site, 20)
    wait_for(lambda: all_completed(site, 20), 90, "all jobs are done")
    assert len(set(ran.read_text().splitlines())) == 20
    supervisor.ctl("stop", "all")
    assert supervisor.logs().count("worker.stopped") == 2, "the signal reached wpbg, which ended by itself"


def test_an_entry_of_wp_gears_works_as_it_is(site: Site, supervisor: Supervisord) -> None:
    """With supervisord's own startsecs=1: quick jobs, one after the other, must not look like failed starts."""
    plugin = site.path / "wp-content/plugins/background-worker"
    (site.path / "wp-gears-runner.php").symlink_to(plugin / "wp-gears-runner.php")
    ran = enqueue_many(site, 20)
    supervisor.add("gears", GEARS.format(site=site, php=site.wp_argv[0]))
    supervisor.start()

    def done() -> bool:
        assert "FATAL" not in str(supervisor.states()), supervisor.logs()
        return all_completed(site, 20)

    wait_for(done, 240, "all jobs are done")
    assert sorted(ran.read_text().splitlines()) == sorted(set(ran.read_text().splitlines()))
    supervisor.wait_until_all_run(2)
    logs = supervisor.logs()
    assert logs.count("--max-jobs 1 reached") == 20, "a process a job"
    assert "too quickly" not in logs
    assert "not expected" not in logs
