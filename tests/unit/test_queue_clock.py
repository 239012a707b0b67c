"""Clocks: a server's, counted on between two looks; a machine's, watched for jumps."""

from __future__ import annotations

import pytest

from wpbg.queues.clock import ServerClock, WallClock


class Hands:
    """A clock whose hands are moved by hand, in seconds."""

    def __init__(self, at: float) -> None:
        self.at = at

    def __call__(self) -> float:
        return self.at


def test_a_servers_clock_goes_on_from_what_the_server_said() -> None:
    steady, awake = Hands(100.0), Hands(100.0)
    clock = ServerClock(steady, awake)
    assert clock.set(1_800_000_000_000.0) == 0
    steady.at += 1.5
    assert clock.now_ms() == 1_800_000_001_500


def test_it_cannot_be_read_before_it_was_set() -> None:
    with pytest.raises(RuntimeError):
        ServerClock().now_ms()


def test_a_servers_clock_that_was_put_forward_or_back_is_noticed() -> None:
    steady, awake = Hands(0.0), Hands(0.0)
    clock = ServerClock(steady, awake)
    clock.set(1_000_000.0)
    steady.at = awake.at = 10.0
    assert clock.set(1_010_000.0) == 0
    assert clock.set(1_070_000.0) == 60_000
    assert clock.set(1_010_000.0) == -60_000
    assert clock.now_ms() == 1_010_000


def test_a_slow_answer_does_not_unsettle_a_clock_that_is_known() -> None:
    """Its question may have waited, or the answer: half of the way each is no better than a guess."""
    steady, awake = Hands(0.0), Hands(0.0)
    clock = ServerClock(steady, awake)
    clock.set(1_000_000.0, asked=steady.at - 0.002)
    steady.at = awake.at = 4.0
    assert clock.set(1_002_000.0, asked=steady.at - 2.0) == 0, "the answer waited for two seconds"
    assert clock.now_ms() == pytest.approx(1_004_000, abs=5)
    steady.at = awake.at = 8.0
    assert clock.set(1_008_000.0, asked=steady.at - 2.0) == 0, "the question did"
    assert clock.now_ms() == pytest.approx(1_008_000, abs=10)


def test_a_quick_answer_mends_what_a_slow_one_left_open() -> None:
    steady, awake = Hands(0.0), Hands(0.0)
    clock = ServerClock(steady, awake)
    clock.set(1_000_000.0, asked=steady.at - 2.0)
    assert clock.unsure_ms == 2000
    assert clock.now_ms() == 1_001_000
    assert clock.set(1_000_000.0, asked=steady.at - 0.01) == 0
    assert clock.unsure_ms == 10
    assert clock.now_ms() == pytest.approx(1_000_000, abs=10)


def test_a_clock_that_runs_a_little_faster_has_not_jumped() -> None:
    steady, awake = Hands(0.0), Hands(0.0)
    clock = ServerClock(steady, awake)
    clock.set(1_000_000.0)
    steady.at = awake.at = 100.0
    assert clock.set(1_100_050.0) == 0
    assert clock.now_ms() == 1_100_050


def test_a_jump_is_noticed_in_a_slow_answer_too() -> None:
    steady, awake = Hands(0.0), Hands(0.0)
    clock = ServerClock(steady, awake)
    clock.set(1_000_000.0, asked=steady.at - 0.01)
    assert clock.set(1_060_000.0, asked=steady.at - 2.0) == pytest.approx(60_000, abs=20)
    assert clock.now_ms() == pytest.approx(1_061_000, abs=20)
    assert clock.set(1_000_000.0, asked=steady.at - 2.0) == pytest.approx(-58_000, abs=20)


def test_sleep_counts_in_the_time_and_as_a_jump() -> None:
    steady, awake = Hands(0.0), Hands(0.0)
    clock = ServerClock(steady, awake)
    clock.set(1_000_000.0)
    steady.at = 3600.0  # an hour by the clock that goes on in sleep; the other one stood
    assert clock.now_ms() == 1_000_000 + 3_600_000
    assert clock.set(1_000_000.0 + 3_600_000) == 3_600_000


def test_a_machines_clock_is_read_directly() -> None:
    wall, awake = Hands(1_000.0), Hands(5.0)
    clock = WallClock(wall, awake)
    assert clock.check() == 0
    wall.at += 2.5
    awake.at += 2.5
    assert clock.now_ms() == 1_002_500
    assert clock.check() == 0
    wall.at += 3600.0
    assert clock.check() == 3_600_000
    assert clock.check() == 0, "told once"


def test_a_machines_clock_that_was_moved_while_the_program_started_has_jumped() -> None:
    """The leases of workers that live look as if they had run out long ago."""
    wall, awake = Hands(1_000.0), Hands(5.0)
    began = wall.at - awake.at
    wall.at += 3601.0
    awake.at += 1.0
    assert WallClock(wall, awake, ahead=began).check() == 3_600_000
