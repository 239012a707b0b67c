"""Jobs that PHP is sent before their turn: none is lost, none begins twice, whatever becomes of the one before."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from itertools import takewhile
from pathlib import Path

import pytest

from tests.support.wait import wait_for
from tests.unit.speaks_frames import APART
from wpbg.claimed import Claimed
from wpbg.job import Ending, Job, Lease, Outcome, Progress
from wpbg.queues.base import Settlement
from wpbg.runners.ahead import MOST, TERM, Ahead
from wpbg.runners.base import LEFT_ALONE, Stop
from wpbg.runners.boot import Boot
from wpbg.runners.exchange import Lifetime
from wpbg.runners.persistent import PersistentRunner, Recycling
from wpbg.settle import Release

BRIDGE = Path(__file__).with_name("speaks_frames.py")
WARM = 8
"""Short runs after which many jobs are sent ahead."""


def job(number: int, payload: str = "nothing", blog_id: int = 1) -> Job:
    return Job(
        id=str(number), queue="q", payload=payload.encode(), attempt=1, max_attempts=3, backoff=0, timeout=60,
        priority=0, batch=None, callback=None, blog_id=blog_id,
    )  # fmt: skip


class Slot:
    """Runs jobs in order as a slot does, and is the listener of each."""

    def __init__(self, begun: Path, recycled: Callable[[str], None] = lambda why: None) -> None:
        self.began = begun
        argv = [sys.executable, str(BRIDGE), str(begun)]
        self.runner = PersistentRunner(
            Lifetime.LOOP, lambda blog: Boot([*argv, str(blog)], begun.parent, {}), 60, Recycling(), recycled
        )
        self.coming: list[Job] = []
        self.sent = 0
        self.now, self.now_at = -1, 0
        self.came_back: list[int] = []
        self.pause = 0.0
        """Seconds between two jobs, in which PHP goes on."""
        self.withdrawals: list[int] = []
        self.starts = threading.Event()

    def run_all(self, jobs: list[Job]) -> list[Outcome]:
        self.coming, outcomes = list(jobs), []
        while self.coming:
            self.runner.arm()
            self.starts.clear()
            now = self.coming.pop(0)
            self.now, self.now_at = int(now.id), now.blog_id
            self.sent = max(0, self.sent - 1)
            outcome = self.runner.run(now, self)
            if outcome is LEFT_ALONE:
                self.coming.append(now)  # As a queue does that got it back.
                self.came_back.append(int(now.id))
            else:
                outcomes.append(outcome)
            time.sleep(self.pause)
        return outcomes

    def started(self, pid: int) -> None:
        self.starts.set()

    def progress(self, progress: Progress) -> None:
        raise AssertionError("nobody says how far it is")

    def ahead(self, most: int) -> list[Job]:
        rest = self.coming[self.sent : self.sent + most]
        sent = list(takewhile(lambda each: self.now_at == each.blog_id, rest))
        self.sent += len(sent)
        return sent

    def withdrawn(self, left: int) -> None:
        self.withdrawals.append(left)
        self.sent = min(left, self.sent)

    @property
    def begun(self) -> list[int]:
        return [int(line) for line in self.began.read_text().split()]


@pytest.fixture(params=[0.0, 0.01], ids=["keeps-up", "falls-behind"])
def slot(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Slot]:
    slot = Slot(tmp_path / "begun")
    slot.pause = request.param
    yield slot
    slot.runner.close()


def assert_in_order(slot: Slot, jobs: int) -> None:
    """Each once, in order; but for those that came back because the machine stood still while PHP had them."""
    assert sorted(slot.begun) == list(range(jobs))
    stayed = [number for number in slot.begun if number not in slot.came_back]
    assert stayed == sorted(stayed)


def endings(outcomes: list[Outcome]) -> set[Ending]:
    return {outcome.ending for outcome in outcomes}


def test_php_has_the_next_jobs_already(slot: Slot) -> None:
    outcomes = slot.run_all([job(n) for n in range(100)])
    assert endings(outcomes) == {Ending.COMPLETED}
    assert_in_order(slot, 100)
    waiting = [outcome.result == "true" for outcome in outcomes]
    assert not waiting[0], "what is not known to be short is alone"
    assert sum(waiting) > 80
    assert not waiting[-1]


def test_nobody_waits_behind_a_job_that_turns_out_to_be_long(slot: Slot) -> None:
    long = job(WARM, f"sleep {TERM * 3}")
    outcomes = slot.run_all([*(job(n) for n in range(WARM)), long, *(job(n) for n in range(WARM + 1, 30))])
    assert endings(outcomes) == {Ending.COMPLETED}
    assert slot.withdrawals == [0], "while it ran, the others were free"
    assert_in_order(slot, 30)


def test_one_that_stood_still_on_its_way_leaves_the_job_alone(slot: Slot) -> None:
    """It says that it begins, and sees then that it is too late."""
    late = job(WARM + 1, f"dawdle {TERM * 2}")
    outcomes = slot.run_all([*(job(n) for n in range(WARM)), job(WARM), late, *(job(n) for n in range(WARM + 2, 30))])
    assert endings(outcomes) == {Ending.COMPLETED}
    assert sorted(slot.begun) == list(range(30)), "each once"
    assert 0 < len(slot.came_back) < 5, "most of the others were withdrawn"


def test_one_that_was_too_late_goes_back(slot: Slot) -> None:
    """PHP stood still between two jobs; the next ones have not begun, and those behind them may still be in time."""
    naps = {WARM: TERM * 2, 60: TERM * 0.7, 90: TERM * 0.7}
    jobs = [job(n, f"nap {naps[n]}" if n in naps else "nothing") for n in range(200)]
    outcomes = slot.run_all(jobs)
    assert endings(outcomes) == {Ending.COMPLETED}
    assert len(slot.came_back) > 0
    assert sorted(slot.begun) == list(range(200)), "each once"


def test_a_process_that_dies_costs_only_the_job_it_was_in(slot: Slot) -> None:
    outcomes = slot.run_all([*(job(n) for n in range(20)), job(20, "die"), *(job(n) for n in range(21, 40))])
    assert [n for n, outcome in enumerate(outcomes) if outcome.ending is not Ending.COMPLETED] == [20]
    assert outcomes[20].ending is Ending.PROCESS_DIED
    assert_in_order(slot, 40)
    assert slot.withdrawals[-1] == 0, "those that it had not begun are free"


def test_two_in_a_row_that_kill_their_processes_are_both_blamed(slot: Slot) -> None:
    deadly = {20, 21, 25}
    outcomes = slot.run_all([job(n, "die" if n in deadly else "nothing") for n in range(40)])
    assert {n for n, outcome in enumerate(outcomes) if outcome.ending is Ending.PROCESS_DIED} == deadly
    assert_in_order(slot, 40)


def test_a_stop_is_for_the_job_it_was_meant_for(slot: Slot) -> None:
    slow = job(WARM, "sleep 30")
    jobs = [*(job(n) for n in range(WARM)), slow, *(job(n) for n in range(WARM + 1, 20))]

    def stop() -> None:
        wait_for(lambda: slot.now == WARM and slot.starts.is_set(), 20, "the slow one to begin")
        slot.runner.stop(Stop.CANCEL)

    stopper = threading.Thread(target=stop)
    stopper.start()
    began = time.monotonic()
    outcomes = slot.run_all(jobs)
    stopper.join()
    assert time.monotonic() - began < 20
    assert [n for n, outcome in enumerate(outcomes) if outcome.ending is not Ending.COMPLETED] == [WARM]
    assert outcomes[WARM].ending is Ending.CANCELLED
    assert sorted(slot.begun) == list(range(20)), "each once"


def test_those_of_a_blog_that_needs_another_process(slot: Slot) -> None:
    jobs = [job(n, blog_id=APART if 20 <= n < 80 else 1) for n in range(100)]
    outcomes = slot.run_all(jobs)
    assert endings(outcomes) == {Ending.COMPLETED}
    assert sorted(slot.begun) == list(range(100)), "each once"


def test_recycling_waits_for_those_that_are_with_php(tmp_path: Path) -> None:
    why: list[str] = []
    slot = Slot(tmp_path / "begun", why.append)
    try:
        slot.run_all([job(n) for n in range(WARM)])
        threading.Timer(0.0, slot.runner.recycle).start()
        outcomes = slot.run_all([job(n, "sleep 0.001") for n in range(WARM, 400)])
    finally:
        slot.runner.close()
    assert endings(outcomes) == {Ending.COMPLETED}
    assert_in_order(slot, 400)
    assert why == ["asked to"]


def test_what_is_said_over_stderr_is_its_job_s(slot: Slot) -> None:
    outcomes = slot.run_all([job(n, f"stderr {n}" if n % 3 else "nothing") for n in range(100)])
    assert [outcome.output.decode() for outcome in outcomes] == [f"said {n}\n" if n % 3 else "" for n in range(100)]
    assert sum(outcome.result == "true" for outcome in outcomes) > 80


def test_how_many_are_sent() -> None:
    ahead = Ahead()
    for _ in range(20):
        ahead.learn(0.001)
    assert ahead.wanted() == 0, "not through a wrapper"
    ahead.allowed = True
    assert ahead.wanted() == 0, "not before PHP's clock is known"
    ahead.heard(time.monotonic() - 1000.0)
    assert ahead.wanted() == MOST
    ahead.send([job(n) for n in range(MOST)])
    for n in range(MOST // 2 - 1):
        assert ahead.take(job(n)) is not None
        assert ahead.wanted() == 0, "not a write for each"
    assert ahead.take(job(MOST // 2 - 1)) is not None
    assert ahead.wanted() == MOST // 2
    ahead.learn(1.0)
    assert ahead.wanted() == 0, "the jobs have become long"


@pytest.mark.parametrize(("seconds", "jobs"), [(0.0, MOST), (0.001, MOST), (0.0025, 50), (0.005, 25), (0.0051, 0)])
def test_no_more_are_sent_than_may_be_begun_in_time(seconds: float, jobs: int) -> None:
    ahead = Ahead()
    ahead.allowed = True
    ahead.heard(time.monotonic())
    for _ in range(20):
        ahead.learn(seconds)
    assert ahead.wanted() == jobs


def test_php_is_late_no_later_than_we(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever its clock shows, however late it was heard, and if it is a little slower."""
    ours = 500.0
    monkeypatch.setattr(time, "monotonic", lambda: ours)
    ahead = Ahead()
    for heard_after, passed in ((0.0, 1.0), (0.4, 7200.0), (0.0, 3600.0), (30.0, 60.0)):
        clock_of_php = 9.0 + (ours - heard_after) * 0.9996
        ahead.heard(clock_of_php)
        ours += passed
        (sent,) = ahead.send([job(1)])
        assert 9.0 + sent.until * 0.9996 >= sent.theirs


def leases(count: int, blogs: int = 1) -> list[Lease]:
    return [
        Lease(job=job(n, blog_id=1 + n * blogs // count), token=1, worker="w", reserved_ms=0, until_ms=1)
        for n in range(count)
    ]


def test_what_php_has_is_not_given_back_before_it_is_withdrawn() -> None:
    claimed = Claimed()
    held = leases(5)
    claimed.hold(held)
    assert claimed.send_ahead(2, 1) == held[:2]
    assert claimed.send_ahead(1, 1) == held[2:3]
    claimed.drop(held[1])
    claimed.drop(held[4])
    claimed.hand_back()
    assert _back(claimed) == [held[4], held[3]]
    assert claimed.leases() == held[:3]
    assert claimed.begin(lambda: None) is held[0]
    claimed.withdrawn(0)
    assert _back(claimed) == [held[1]], "somebody wanted it dropped"
    claimed.hand_back()
    assert _back(claimed) == [held[2]]
    assert claimed.leases() == held[:1]


def test_those_of_another_blog_are_not_sent() -> None:
    claimed = Claimed()
    held = leases(4, blogs=2)
    claimed.hold(held)
    assert claimed.send_ahead(4, 1) == held[:2]
    assert not claimed.all_ahead


def _back(claimed: Claimed) -> list[Lease]:
    items: list[Settlement] = claimed.take_unsettled()
    claimed.recorded(items)
    assert all(isinstance(item.decision, Release) for item in items)
    return [item.lease for item in items]
