"""When a PHP process is replaced, and what becomes of its job: limits, SIGHUP, killed from outside, no boot at all."""

from __future__ import annotations

import functools
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lifetimes.at_work import LIFETIMES, PERSISTENT, AtWork, at_work, gone, jobs, php_processes, put
from tests.support.site import Site
from tests.support.sites import Sites
from tests.support.wait import next_second, wait_for

FORKS = {"FORKS": "1"}


@pytest.fixture(scope="module")
def site(sites: Sites) -> Iterator[Site]:
    site = sites.clone("maria71")
    jobs(site, "processes")
    next_second()
    yield site
    sites.close(site)


def env(lifetime: str) -> dict[str, str]:
    return FORKS if lifetime == "fork" else {}


def begun(file: Path) -> tuple[int, int]:
    """The process that runs a job, and the one that is the worker's; once the job has begun."""
    there = file.with_suffix(".begun")
    wait_for(lambda: there.exists() and len(there.read_text().split()) == 2, what="the job has begun")
    pid, of_worker = there.read_text().split()
    return int(pid), int(of_worker)


def runs_of(work: AtWork, count: int) -> list[int]:
    """In which process each of so many jobs ran."""
    return [work.result("process") for _ in range(count)]


@pytest.mark.parametrize("lifetime", PERSISTENT)
def test_hangup_replaces_processes(site: Site, lifetime: str, tmp_path: Path) -> None:
    with at_work(site, lifetime, env=env(lifetime)) as work:
        first = work.result("process")
        work.worker.send_signal(signal.SIGHUP)
        work.wait_for_event("worker.recycling")
        second = work.result("process")
        assert second != first
        assert runs_of(work, 2) == [second] * 2

        (job,) = put(site, "waits", [str(tmp_path / "job")])
        assert begun(tmp_path / "job")[1] == second
        work.worker.send_signal(signal.SIGHUP)
        work.wait_for_event("worker.recycling", after=1)
        (tmp_path / "job.go").touch()
        assert work.end_of(job)["attempts"] == 1, "a running job is not disturbed"
        assert work.result("process") != second
        assert gone(second)


@pytest.mark.parametrize("lifetime", PERSISTENT)
def test_max_jobs(site: Site, lifetime: str) -> None:
    with at_work(site, lifetime, "--max-jobs", "3", env=env(lifetime)) as work:
        processes = runs_of(work, 7)
        assert [processes.count(pid) for pid in dict.fromkeys(processes)] == [3, 3, 1]
        assert work.replaced() == ["A PHP process is replaced: it has run 3 jobs."] * 2


@pytest.mark.parametrize("lifetime", PERSISTENT)
def test_max_time(site: Site, lifetime: str) -> None:
    with at_work(site, lifetime, "--max-time", "0.5", env=env(lifetime)) as work:
        first = work.result("process")
        wait_for(lambda: work.result("process") != first, what="another process")
        assert "it has run for" in work.replaced()[0]


def test_max_memory(site: Site) -> None:
    with at_work(site, "loop", "--max-memory", "120M") as work:
        first = work.result("process")
        processes = [work.result("grows", 30 << 20) for _ in range(6)]
        assert processes[0] == first
        assert 2 <= len(set(processes)) <= 4
        assert "MB" in work.replaced()[0]
        assert runs_of(work, 2)[0] not in processes[:-1]
    with at_work(site, "fork", "--max-memory", "120M", env=FORKS) as work:
        first = work.result("process")
        assert {work.result("grows", 100 << 20) for _ in range(3)} == {first}, "the memory was the child's"
        assert not work.replaced()


def test_a_site_that_needs_much_memory_to_boot_is_not_replaced_after_each_job(sites: Sites) -> None:
    """The limit that nobody chose leaves room between what a site takes and what a job may have."""
    site = sites.clone("maria71")
    site.configure(WP_MAX_MEMORY_LIMIT="192M")
    jobs(site, "processes")
    site.mu_plugin("much", "$GLOBALS['much'] = str_repeat( 'x', 60 << 20 );")
    next_second()
    with at_work(site, "loop") as work:
        first = work.result("process")
        assert [work.result("grows", megabytes << 20) for megabytes in (1, 5, 60)] == [first] * 3
        assert work.result("process") != first
        assert "MB" in work.replaced()[0]
    sites.close(site)


@pytest.mark.parametrize("lifetime", PERSISTENT)
def test_killed_while_idle(site: Site, lifetime: str) -> None:
    with at_work(site, lifetime, env=env(lifetime)) as work:
        for number in (signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM):
            pid = work.result("process")
            os.kill(pid, number)
            wait_for(functools.partial(gone, pid), what="it is gone")
            assert work.result("process") != pid


@pytest.mark.parametrize("lifetime", LIFETIMES)
def test_killed_while_it_runs_a_job(site: Site, lifetime: str, tmp_path: Path) -> None:
    with at_work(site, lifetime, env=env(lifetime)) as work:
        (job,) = put(site, "runs_on", [str(tmp_path / "job")])
        pid, of_worker = begun(tmp_path / "job")
        os.kill(pid, signal.SIGKILL)
        row = work.end_of(job)
        assert (row["status"], row["attempts"]) == ("failed", 1)
        assert "signal 9 (SIGKILL)" in row["error"]
        if lifetime == "fork":
            assert work.result("process") == of_worker, "the parent goes on"
        else:
            assert work.result("process") != of_worker


def test_children_that_break_inside_one_after_the_other_are_the_last_of_their_parent(site: Site) -> None:
    """The compiled code, which all children share, may be what breaks them."""
    with at_work(site, "fork", env=FORKS) as work:
        parent = work.result("process")
        for numbers in ((signal.SIGSEGV, signal.SIGBUS), (signal.SIGABRT, signal.SIGKILL, signal.SIGILL)):
            for number in numbers:
                row = work.run("dies_by", int(number))
                assert (row["status"], row["attempts"]) == ("failed", 1)
                assert number.name in row["error"]
            assert work.result("process") == parent, "the parent goes on"
        for number in (signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT):
            work.run("dies_by", int(number))
        assert work.result("process") != parent
        assert work.replaced() == ["A PHP process is replaced: a job after the other crashed or hung."]


def test_the_parent_of_a_running_child_is_killed(site: Site, tmp_path: Path) -> None:
    """Nobody would hear how the child ends, and its job is going to be tried again: two must not run it."""
    with at_work(site, "fork", env=FORKS) as work:
        (job,) = put(site, "runs_on", [str(tmp_path / "job")])
        child, parent = begun(tmp_path / "job")
        os.kill(parent, signal.SIGKILL)
        row = work.end_of(job)
        assert (row["status"], row["attempts"]) == ("failed", 1)
        assert gone(child)
        assert work.result("process") != parent


@pytest.mark.parametrize("lifetime", LIFETIMES)
def test_a_boot_that_fails_costs_no_attempt(sites: Sites, lifetime: str) -> None:
    site = sites.clone("maria71")
    jobs(site, "processes")
    broken = site.path / "wp-content/mu-plugins/broken.php"
    with at_work(site, lifetime, "--max-jobs", "1000", env=env(lifetime)) as work:
        work.wait_until_warm()
        broken.write_text("<?php\nthis is no PHP;\n")
        if lifetime != "restart":
            work.worker.send_signal(signal.SIGHUP)
            work.wait_for_event("worker.recycling")
        (job,) = put(site, "process", [None])
        first = work.wait_for_event("php.not_started", "trying again in 1 s")
        assert "syntax error" in first["message"]
        work.wait_for_event("php.not_started", "trying again in 2 s")
        broken.unlink()
        row = work.end_of(job)
        assert (row["status"], row["attempts"], row["history"]) == ("completed", 1, None)
    sites.close(site)


@pytest.mark.parametrize("lifetime", LIFETIMES)
def test_our_plugin_is_deactivated_under_a_worker(sites: Sites, lifetime: str) -> None:
    site = sites.clone("maria71")
    jobs(site, "processes")
    with at_work(site, lifetime, env=env(lifetime)) as work:
        work.wait_until_warm()
        site.wp("plugin", "deactivate", "background-worker")
        next_second()  # A process looks at the plugins once a second.
        next_second()
        (job,) = put(site, "process", [None])
        work.wait_for_event("php.not_started", "plugin is not active on this site: run `wpbg install`")
        site.wp("plugin", "activate", "background-worker")
        row = work.end_of(job)
        assert (row["status"], row["attempts"]) == ("completed", 1)
    sites.close(site)


WITHOUT = {
    "forking": "pcntl_fork",
    "the alarm": "pcntl_alarm,pcntl_fork",
    "all of them": "pcntl_fork,pcntl_signal,pcntl_async_signals,pcntl_alarm,pcntl_waitpid,pcntl_sigprocmask,"
    "pcntl_sigtimedwait,pcntl_wifexited,pcntl_strerror,posix_kill,posix_setpgid,posix_getrlimit",
}


@pytest.fixture(params=WITHOUT)
def without(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """An environment in which PHP lacks functions, as many a host's php.ini has it."""
    (tmp_path / "without.ini").write_text(f"disable_functions={WITHOUT[request.param]}\n")
    return {"PHP_INI_SCAN_DIR": f":{tmp_path}"}


def test_fork_without_pcntl_is_refused(site: Site, without: dict[str, str]) -> None:
    done = site.wpbg("listen", "--mode", "fork", env=without)
    assert done.returncode == 3, done.stderr
    (line,) = done.stderr.splitlines()
    assert "--mode fork needs" in line
    assert "pcntl_fork" in line
    assert "disable_functions" in line
    assert "--mode loop" in line


@pytest.mark.parametrize("lifetime", ["restart", "loop"])
def test_the_others_do_without_pcntl(site: Site, without: dict[str, str], lifetime: str, tmp_path: Path) -> None:
    with at_work(site, lifetime, env=without) as work:
        work.wait_until_warm()
        (job,) = put(site, "runs_on", [str(tmp_path / "job")], timeout=1)
        row = work.end_of(job)
        assert row["status"] == "failed"
        assert "time limit of 1 s" in row["error"]
        work.wait_until_warm()


@pytest.mark.parametrize("lifetime", PERSISTENT)
def test_nothing_is_left_of_a_worker_that_was_stopped(site: Site, lifetime: str) -> None:
    with at_work(site, lifetime, "--concurrency", "2") as work:
        work.wait_until_warm()
        assert php_processes(site)
    assert php_processes(site) == []


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGUSR2])
def test_a_job_that_dies_as_a_child_that_declines_it(site: Site, number: signal.Signals) -> None:
    """By the same signal; it has begun, so it counts."""
    with at_work(site, "fork") as work:
        row = work.run("dies_by", int(number))
        assert (row["status"], row["attempts"]) == ("failed", 1)
        assert number.name in row["error"]
        assert isinstance(work.result("process"), int)


@pytest.mark.parametrize("lifetime", LIFETIMES)
def test_a_time_limit_that_cannot_be_told_inside_is_told_as_one(site: Site, lifetime: str) -> None:
    with at_work(site, lifetime) as work:
        row = work.run("blocks_past_the_alarm", 30, timeout=1)
        assert (row["status"], row["attempts"]) == ("failed", 1)
        assert "longer than its time limit of 1 s" in row["error"]
        assert isinstance(work.result("process"), int)


def test_a_process_that_hangs_between_jobs_costs_none_an_attempt(site: Site) -> None:
    with at_work(site, "loop") as work:
        hung, after = (put(site, function, [None], timeout=2)[0] for function in ("hangs_after_itself", "process"))
        first, second = work.end_of(hung), work.end_of(after)
        assert (first["status"], first["attempts"]) == ("completed", 1), first["error"]
        assert (second["status"], second["attempts"]) == ("completed", 1), second["error"]
        assert second["result"] != first["result"]


def test_forked_jobs_draw_numbers_of_their_own(site: Site) -> None:
    with at_work(site, "fork") as work:
        drawn = [work.result("draws") for _ in range(3)]
    assert len({integer for integer, _ in drawn}) == 3
    # Two may be alike by chance, one time in 4,096.
    assert len({fraction for _, fraction in drawn}) > 1
