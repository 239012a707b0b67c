"""How long a broker that is away is left alone."""

from __future__ import annotations

from wpbg.errors import QueueUnreachable
from wpbg.queues.reach import AWAY, LONGEST, Reach

GONE = QueueUnreachable("It is gone.")


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_the_time_doubles_with_each_try_in_vain() -> None:
    clock = Clock()
    reach = Reach(clock=clock)
    reach.lost("lane", GONE)
    pauses = []
    for _ in range(5):
        began = clock.now
        while not reach.may_ask():
            clock.now += 0.5
        pauses.append(clock.now - began)
        reach.lost("lane", GONE)
    assert pauses == [AWAY, 2 * AWAY, 4 * AWAY, LONGEST, LONGEST]
    while not reach.may_ask():
        clock.now += 0.5
    reach.found("lane")
    assert reach.may_ask()
    reach.lost("lane", GONE)
    clock.now += AWAY
    assert reach.may_ask(), "it begins anew"


def test_slots_that_find_it_lost_at_once_count_once() -> None:
    clock = Clock()
    reach = Reach(clock=clock)
    for _ in range(4):
        assert reach.may_ask()
    for _ in range(4):
        reach.lost("lane", GONE)
    assert reach.losses == 1
    clock.now += AWAY
    assert reach.may_ask()
    assert not reach.may_ask(), "one at a time"
