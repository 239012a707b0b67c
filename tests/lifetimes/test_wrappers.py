"""`wp` behind a wrapper, as `docker exec -i`, ddev and lando are: only stdin, stdout and stderr reach it."""

from __future__ import annotations

import hashlib
import os
import shlex
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lifetimes.at_work import LIFETIMES, AtWork, at_work, gone, jobs, php_processes, put
from tests.support.site import Site
from tests.support.sites import Sites
from tests.support.wait import next_second, wait_for

CLOSES = """#!/bin/bash
# Every descriptor but the three, whatever it is; and a process of its own between the worker and PHP.
for fd in /proc/$$/fd/*; do
	fd=${fd##*/}
	[ "$fd" -le 2 ] || eval "exec $fd>&-"
done
%s "$@"
exit $?
"""

# What `docker exec` does: PHP has pipes of its own, into which and out of which all is copied, piece by piece, and it
# is no descendant of the worker: no signal reaches it, only the end of its stdin.
COPIES = """#!%s
import os, subprocess, sys, threading

php = subprocess.Popen(
    [*%r, *sys.argv[1:]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
)

def copy(source, target):
    try:
        while piece := os.read(source, 777):
            while piece:
                piece = piece[os.write(target, piece):]
    except OSError:
        pass
    os.close(target)

threading.Thread(target=copy, args=(0, php.stdin.fileno()), daemon=True).start()
copies = [threading.Thread(target=copy, args=(pipe.fileno(), fd)) for pipe, fd in ((php.stdout, 1), (php.stderr, 2))]
for thread in copies:
    thread.start()
code = php.wait()
for thread in copies:
    thread.join()
os._exit(code if code >= 0 else 128 - code)
"""

WRAPPERS = ("closes", "copies")

REACHABLE = ("wp", "closes")
"""Those through which a signal gets."""


@pytest.fixture(scope="module")
def site(sites: Sites) -> Iterator[Site]:
    site = sites.clone("sqlite71")
    jobs(site, "wrapped")
    for name in WRAPPERS:
        argv = site.wp_argv
        text = CLOSES % shlex.join(argv) if name == "closes" else COPIES % (sys.executable, argv)
        (site.bin / name).write_text(text)
        (site.bin / name).chmod(0o755)
    next_second()
    yield site
    sites.close(site)


@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize("lifetime", LIFETIMES)
def test_jobs_run_as_without_it(site: Site, lifetime: str, wrapper: str) -> None:
    with at_work(site, lifetime, "--wp", str(site.bin / wrapper)) as work:
        bytes_of_all_kinds = bytes(range(256)) * 4096
        row = work.run("says_much", bytes_of_all_kinds)
        assert (row["status"], row["attempts"]) == ("completed", 1), row["error"]
        size = len(bytes_of_all_kinds)
        assert f'[{size},"{hashlib.md5(bytes_of_all_kinds).hexdigest()}"' in row["result"]
        output = row["output"].decode()
        assert output.replace("a word on stderr\n", "", 1) == "begin " + "line of output\n" * 3000 + "end"
        assert (row["progress_done"], row["progress_total"], row["progress_message"]) == (1, 2, "half")
        assert "broken behind a wrapper" in work.run("breaks")["error"]
        assert "exit code 3" in work.run("ends_its_process")["error"]
        assert "time limit of 1 s" in work.run("never_ends", timeout=1)["error"]
        assert work.result("strlen", "next") == 4


@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize("lifetime", LIFETIMES)
def test_a_worker_is_stopped(site: Site, lifetime: str, wrapper: str, tmp_path: Path) -> None:
    """The running job is finished, and nothing is left."""
    with at_work(site, lifetime, "--wp", str(site.bin / wrapper)) as work:
        (job,) = put(site, "waits_for", [str(tmp_path / "job")])
        wait_for((tmp_path / "job.begun").exists, what="the job has begun")
        work.worker.terminate()
        work.wait_for_event("worker.stopping")
        (tmp_path / "job.go").touch()
        assert work.worker.wait() == 0
        row = site.job(job)
        assert (row["status"], row["attempts"]) == ("completed", 1)
        wait_for(lambda: not php_processes(site), 20, "no PHP is left")


@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize("lifetime", LIFETIMES)
def test_a_killed_worker_leaves_no_php(site: Site, lifetime: str, wrapper: str) -> None:
    """An idle one, which nobody can tell to go but the end of its stdin."""
    work = AtWork(site, lifetime, "--wp", str(site.bin / wrapper))
    try:
        work.wait_until_warm()
        work.worker.send_signal(signal.SIGKILL)
        assert work.worker.wait() == -signal.SIGKILL
        wait_for(lambda: not php_processes(site), 20, "no PHP is left")
    finally:
        work.worker.stop()


@pytest.mark.parametrize("wrapper", REACHABLE)
@pytest.mark.parametrize("lifetime", LIFETIMES)
def test_a_killed_worker_takes_its_job_with_it(site: Site, lifetime: str, wrapper: str, tmp_path: Path) -> None:
    """Another worker will run it: two at once must not."""
    queue = f"{lifetime}-{wrapper}"
    put(site, "runs_on_and_on", [str(tmp_path / "job")], queue=queue)
    work = AtWork(site, lifetime, "--wp", str(site.bin / wrapper), "--queue", queue)
    try:
        wait_for((tmp_path / "job.alive").exists, what="the job runs")
        work.worker.send_signal(signal.SIGKILL)
        assert work.worker.wait() == -signal.SIGKILL
        wait_for(lambda: not php_processes(site), 10, "no PHP is left")
    finally:
        work.worker.stop()


def test_a_dead_wrapper_takes_its_job_with_it(site: Site, tmp_path: Path) -> None:
    """The job is going to be tried again: its first PHP must not go on."""
    queue = "wrapper-dies"
    put(site, "runs_on_and_on", [str(tmp_path / "job")], queue=queue)
    with at_work(site, "loop", "--wp", str(site.bin / "closes"), "--queue", queue) as work:
        wait_for((tmp_path / "job.alive").exists, what="the job runs")
        (php,) = php_processes(site)
        wrapper = int(Path(f"/proc/{php}/stat").read_text().rpartition(")")[2].split()[1])
        os.kill(wrapper, signal.SIGKILL)
        work.wait_for_event("job.failed")
        wait_for(lambda: gone(php), 10, "its PHP is gone")
