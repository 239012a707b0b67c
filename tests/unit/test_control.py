"""Idle slots: they rest together, one of them looks for work, and nobody is forgotten."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.support.wait import wait_for
from wpbg.control import Control

FOR_EVER = 3600.0


class Resting:
    """Threads that look for work as slots do, and find none."""

    def __init__(self, control: Control, slots: int) -> None:
        self.control, self.looks = control, Counter[str]()
        self._threads = [threading.Thread(target=self._slot, name=str(n), daemon=True) for n in range(slots)]
        for thread in self._threads:
            thread.start()

    def _slot(self) -> None:
        while not self.control.stopping.is_set():
            self.control.wait(self.control.idle_max)
            self.looks[threading.current_thread().name] += 1

    def all_rest(self) -> bool:
        with self.control._lock:
            return len(self.control._line) == len(self._threads)

    def end(self) -> None:
        self.control.stop()
        for thread in self._threads:
            thread.join(30)
            assert not thread.is_alive()


@contextmanager
def resting(control: Control, slots: int = 8) -> Iterator[Resting]:
    slots_ = Resting(control, slots)
    try:
        yield slots_
    finally:
        slots_.end()


def test_one_has_the_watch_and_everybody_gets_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight slots that looked each for themselves asked the database eight times as often."""
    control = Control(idle_max=0.01)
    watches, most = 0, 0
    plain = control._watch

    def counted(*args: Any) -> None:
        nonlocal watches, most
        watches += 1
        most = max(most, watches)
        plain(*args)
        watches -= 1

    monkeypatch.setattr(control, "_watch", counted)
    with resting(control) as slots:
        wait_for(lambda: len(slots.looks) == 8 and sum(slots.looks.values()) > 100, 60, "everybody looks in turn")
    assert most == 1


@pytest.mark.parametrize(("turns", "each"), [(4, 0.25), (1, 1.0)])
def test_how_often_is_looked_for_all(monkeypatch: pytest.MonkeyPatch, turns: int, each: float) -> None:
    """One slot looks at most every `idle_max`, and so do many where a bell rings; without one, a few times as often."""
    control = Control(idle_max=FOR_EVER)
    control.turns = turns
    asked: list[float] = []
    plain = control._watch

    def noted(mine: Any, woken: Any, seconds: float) -> None:
        asked.append(seconds)
        plain(mine, woken, seconds)

    monkeypatch.setattr(control, "_watch", noted)
    with resting(control) as slots:
        wait_for(slots.all_rest, 30, "all rest")
        wait_for(lambda: len(asked) == 1, 30, "one has the watch")
        control.knock()  # It looks, and the next one has the watch of all eight.
        wait_for(lambda: len(asked) >= 2 and slots.all_rest(), 30, "the next one has it")
    assert asked[0] == FOR_EVER, "the first one rested alone"
    assert min(asked) == FOR_EVER * each


def test_a_ring_wakes_all_and_a_knock_one() -> None:
    with resting(Control(idle_max=FOR_EVER)) as slots:
        wait_for(slots.all_rest, 30, "all rest")
        slots.control.knock()
        wait_for(lambda: sum(slots.looks.values()) == 1 and slots.all_rest(), 30, "one looked")
        slots.control.ring()
        wait_for(lambda: sum(slots.looks.values()) == 9 and slots.all_rest(), 30, "all looked")


def test_who_goes_to_work_leaves_the_watch_to_another() -> None:
    """A long job of the one who looked must not keep the others from seeing the next job."""
    control = Control(idle_max=0.01)
    with resting(control) as slots:
        wait_for(lambda: len(slots.looks) == 8, 30, "all have looked")
        held = threading.Event()
        gone = threading.Event()

        def at_work() -> None:
            control.wait(control.idle_max)
            gone.set()
            held.wait(60)

        worker = threading.Thread(target=at_work, daemon=True)
        worker.start()
        assert gone.wait(30)
        before = sum(slots.looks.values())
        wait_for(lambda: sum(slots.looks.values()) > before + 20, 30, "the others look")
        held.set()
        worker.join(30)


def test_a_slot_that_has_just_worked_waits_for_itself() -> None:
    """It expects more soon, and looks again at once whoever has the watch."""
    control = Control(idle_max=FOR_EVER)
    with resting(control, 2) as slots:
        wait_for(slots.all_rest, 30, "both rest")
        control.wait(0.01)  # Comes back.
        assert slots.all_rest()
