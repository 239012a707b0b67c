"""A run that is stopped is over once its job is gone, and not when the time that it was granted has passed."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

import phpserialize
import pytest

from tests.lifetimes.at_work import LIFETIMES
from tests.support.site import Site
from tests.support.wait import wait_for
from wpbg.job import Ending, Job, Outcome, Progress
from wpbg.runners import exchange
from wpbg.runners.base import Limits, Runner, Stop
from wpbg.runners.boot import Boot
from wpbg.runners.exchange import Lifetime
from wpbg.runners.persistent import PersistentRunner, Recycling
from wpbg.runners.restart import RestartRunner
from wpbg.wp import SERVE, WpCli

LONG = 300.0
"""Seconds that no test waits."""
ENDINGS = {Stop.CANCEL: Ending.CANCELLED, Stop.INTERRUPT: Ending.INTERRUPTED, Stop.NOW: Ending.INTERRUPTED}


class Heard:
    """Listens to a run."""

    def __init__(self) -> None:
        self.begun = threading.Event()

    def started(self, pid: int) -> None:
        self.begun.set()

    def progress(self, progress: Progress) -> None:
        raise AssertionError("nobody says how far it is")

    def ahead(self, most: int) -> Sequence[Job]:
        return []

    def withdrawn(self, left: int) -> None:
        pass


@pytest.fixture(params=LIFETIMES)
def runner(sqlite71: Site, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Runner]:
    """Of a real WordPress, and with all the patience in the world for what is asked to end."""
    monkeypatch.setattr(exchange, "LOOK", LONG)
    wp = WpCli((str(sqlite71.wp_bin),), sqlite71.path, env=sqlite71.env)
    lifetime, limits = Lifetime(request.param), Limits(ask=LONG, obey=LONG)

    def boot(blog: int) -> Boot:
        shell = lifetime is Lifetime.LOOP
        return Boot(wp.serve_argv(shell=shell), wp.cwd, wp.environment(), f"{SERVE}\n".encode() if shell else b"")

    if lifetime is Lifetime.RESTART:
        made: Runner = RestartRunner(boot, 0, limits)
    else:
        made = PersistentRunner(lifetime, boot, 0, Recycling(), lambda why: None, limits)
    yield made
    made.close()


def job(function: str, data: object) -> Job:
    payload = phpserialize.dumps(phpserialize.phpobject("stdClass", {"function": function, "user_data": data}))
    return Job(
        id="1", queue="q", payload=payload, attempt=1, max_attempts=3, backoff=0, timeout=0, priority=0, batch=None,
        callback=None, blog_id=1,
    )  # fmt: skip


@pytest.mark.parametrize("reason", Stop, ids=lambda reason: reason.name.lower())
def test_a_stop_is_over_with_its_job(runner: Runner, reason: Stop) -> None:
    heard, outcomes = Heard(), list[Outcome]()
    runner.arm()
    running = threading.Thread(target=lambda: outcomes.append(runner.run(job("sleep", 60), heard)), daemon=True)
    running.start()
    wait_for(heard.begun.is_set, 60, "the job to begin")
    runner.stop(reason)
    running.join(30)  # Far less than it was granted, and than the job takes.
    assert [outcome.ending for outcome in outcomes] == [ENDINGS[reason]]

    runner.arm()
    assert runner.run(job("strlen", "next"), Heard()).result == "4"
