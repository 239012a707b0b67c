"""A trial that could not fail would show nothing: what its judge says of trials that went wrong."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import Any

import pytest

from tests.chaos.faults import EVERYBODY, FAULTS, Hit, children_of
from tests.chaos.timeline import Timeline
from tests.chaos.verdict import Happened, Leased, Result, Run, judge

KINDS = {fault.name: fault for fault in FAULTS}
FIRST, SECOND = Run(10.0, frozenset({7, 5}), "w1", "1"), Run(13.0, frozenset({8, 6}), "w2", "1")


def verdict(**wrong: Any) -> Result:
    """Of a trial of one job, number 1, that went well but for this."""
    fine: dict[str, Any] = {
        "backend": "mariadb",
        "lifetime": "loop",
        "seed": 1,
        "acknowledged": {1: "1"},
        "refused": 0,
        "ran": {1: [FIRST]},
        "unfinished": set(),
        "ended": {"1": "completed"},
        "happened": [],
        "seconds": 1.0,
        "timeline": Timeline(),
    }
    return judge(**{**fine, **wrong})


def happened(name: str, hit: Hit = EVERYBODY, began: float = 9.9, **more: Any) -> Happened:
    return Happened(KINDS[name], hit, began, began + 0.2, more.pop("leased", set()), **more)


def test_a_good_one() -> None:
    assert verdict().bad == ""


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"ran": {}}, "lost: [1]"),
        ({"ran": {}, "ended": {}}, "lost: [1]"),
        ({"unfinished": {1}}, "stuck: [1]"),
        ({"ended": {"1": "failed"}}, "not recorded as completed: [1]"),
        ({"ended": {}}, "not recorded as completed: [1]"),
        ({"ran": {1: [FIRST, SECOND]}}, "run twice without a fault: [1]"),
        ({"happened": [happened("kill worker", leased={Leased(1, 1, 1, "w1/1")})]}, "did not recover: 1"),
        ({"happened": [happened("kill worker", recovered=5.1)]}, "slow to recover"),
    ],
)
def test_what_is_wrong_is_said(wrong: dict[str, Any], says: str) -> None:
    assert says in verdict(**wrong).bad


@pytest.mark.parametrize(
    "fault",
    [
        happened("kill worker", Hit("w1")),
        happened("kill worker", Hit("w1"), began=60.0, leased={Leased(1, 1, 1, "w1/2")}, recovered=1.0),
        happened("kill PHP", Hit("w1", 7)),
        happened("kill PHP", Hit("w1", 4, frozenset({7, 9}))),
        happened("restart database"),
        happened("freeze worker", Hit("w2"), began=12.9),
    ],
)
def test_a_second_run_that_a_fault_explains(fault: Happened) -> None:
    found = verdict(ran={1: [FIRST, SECOND]}, happened=[fault])
    assert found.bad == ""
    assert dict(found.twice) == {fault.fault.name: 1}


@pytest.mark.parametrize(
    "fault",
    [
        happened("kill worker", Hit("w3")),
        happened("kill PHP", Hit("w1", 9)),
        happened("kill PHP", Hit("w1", 9, frozenset({8}))),
        happened("restart database", began=30.0),
        happened("full disk"),
        happened("move clock"),
        happened("freeze PHP", Hit("w1", 7)),
        happened("kill worker", Hit("w1"), began=60.0, leased={Leased(2, 2, 1, "w1/2")}, recovered=1.0),
    ],
)
def test_one_that_it_does_not(fault: Happened) -> None:
    assert verdict(ran={1: [FIRST, SECOND]}, happened=[fault]).unexplained == [1]


def test_the_children_of_a_process_are_found() -> None:
    with subprocess.Popen(["sh", "-c", "sleep 30 & sleep 30 & echo; wait"], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        children = list(children_of(parent.pid))
        for child in children:
            os.kill(child, signal.SIGKILL)
    assert len(children) == 2


def test_two_faults_are_needed_for_three_runs() -> None:
    third = Run(16.0, frozenset({9}), "w3", "1")
    one = happened("kill worker", Hit("w1"))
    other = happened("kill worker", Hit("w2"), began=12.9)
    assert verdict(ran={1: [FIRST, SECOND, third]}, happened=[one]).unexplained == [1]
    assert verdict(ran={1: [FIRST, SECOND, third]}, happened=[one, other]).bad == ""
