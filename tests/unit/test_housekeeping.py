"""When leases are judged: not before the living could get their heartbeat in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest

from wpbg.queues.connection import Database
from wpbg.queues.housekeeping import JUMP_MS, Housekeeper
from wpbg.queues.silence import Silence

LEASE = 30_000


class Server:
    """As much of a connection as says what has happened to it; its table has one job whose lease ran out."""

    skip_locked = False

    def __init__(self, uptime_ms: int | None) -> None:
        self.connects, self.outages, self.uptime_ms = 1, 0, uptime_ms
        self.due_at, self.token = 0, 1

    def atomically(self, work: Callable[[], int]) -> int:
        return work()

    def rows(self, name: str, /, **params: Any) -> list[dict[str, Any]]:
        if name != "expired" or self.due_at > params["now"]:
            return []
        row = {"id": 7, "queue": "default", "attempts": 1, "max_attempts": 3}
        row |= {"lease_token": self.token, "due_at": self.due_at}
        return [{**row, "worker": "w", "started_at": 0, "cancel_requested": 0}]

    def change(self, name: str, /, **_params: Any) -> int:
        assert name == "rescue"
        return 1


def keeper_of(server: Server) -> Housekeeper:
    keeper = Housekeeper(cast("Database", server), lease_ms=LEASE, retention_ms=None)
    keeper.notice_connection(0)
    return keeper


def judges_at(keeper: Housekeeper, now_ms: int) -> bool:
    return keeper.tick(now_ms, 10).rescued == ("7",)


@pytest.mark.parametrize("uptime", [LEASE, 10 * LEASE, None])
def test_a_first_connection_judges_at_once(uptime: int | None) -> None:
    assert judges_at(keeper_of(Server(uptime)), 0)


def test_but_not_when_the_server_has_only_just_started() -> None:
    keeper = keeper_of(Server(uptime_ms=10_000))
    assert not judges_at(keeper, LEASE - 10_001)
    assert judges_at(keeper, LEASE - 10_000)


def test_nor_after_an_outage() -> None:
    server = Server(uptime_ms=10 * LEASE)
    keeper = keeper_of(server)
    server.connects, server.outages = 2, 1
    keeper.notice_connection(100_000)
    assert not judges_at(keeper, 100_000 + LEASE - 1)
    assert judges_at(keeper, 100_000 + LEASE)


def test_a_connection_made_anew_after_it_was_idle_is_no_outage() -> None:
    server = Server(uptime_ms=10 * LEASE)
    keeper = keeper_of(server)
    server.connects = 2
    keeper.notice_connection(100_000)
    assert judges_at(keeper, 100_000)


def test_nor_when_the_clock_has_jumped_ahead() -> None:
    keeper = keeper_of(Server(None))
    keeper.notice_jump(JUMP_MS + 1)
    assert not judges_at(keeper, 3_600_000)
    assert not judges_at(keeper, 3_600_000 + LEASE - 1)
    assert judges_at(keeper, 3_600_000 + LEASE)


@pytest.mark.parametrize("jump", [0, JUMP_MS, -3_600_000])
def test_small_steps_and_steps_back_do_no_harm(jump: int) -> None:
    keeper = keeper_of(Server(None))
    keeper.notice_jump(jump)
    assert judges_at(keeper, 0)


def test_a_clock_that_is_set_back_again_puts_nothing_off() -> None:
    keeper = keeper_of(Server(None))
    keeper.notice_jump(JUMP_MS + 1)
    assert not judges_at(keeper, 3_600_000)
    assert not judges_at(keeper, 1)
    assert judges_at(keeper, 1 + LEASE)


@pytest.mark.parametrize(("lease", "stall"), [(LEASE, LEASE / 2000), (4000, 2.0), (500, 2.0)])
def test_nor_after_a_stall_in_which_nobody_may_have_been_able_to_renew_a_lease(lease: int, stall: float) -> None:
    awake = [10.0]
    keeper = Housekeeper(cast("Database", Server(None)), lease_ms=lease, retention_ms=None, awake=lambda: awake[0])
    keeper.notice_connection(0)
    assert judges_at(keeper, 0)
    awake[0] += stall - 0.01
    assert judges_at(keeper, 100_000)
    awake[0] += stall
    assert not judges_at(keeper, 200_000)
    awake[0] += 1
    assert not judges_at(keeper, 200_000 + lease - 1)
    assert judges_at(keeper, 200_000 + lease)


def test_nor_in_a_first_round_that_had_to_wait() -> None:
    """As a worker that is started while the server hangs."""
    awake = [10.0]
    keeper = Housekeeper(cast("Database", Server(None)), lease_ms=LEASE, retention_ms=None, awake=lambda: awake[0])
    awake[0] += LEASE / 2000
    keeper.notice_connection(0)
    assert not judges_at(keeper, 0)
    assert judges_at(keeper, LEASE)


class Wall:
    """A worker on a machine whose wall clock is set; it looks every second, and a lease is renewed every five."""

    def __init__(self) -> None:
        self.server, self.awake, self.ahead_ms = Server(None), 0.0, 0
        silence = Silence(7.5, lambda: self.awake)
        self.keeper = Housekeeper(cast("Database", self.server), lease_ms=LEASE, retention_ms=None, silence=silence)
        self.keeper.notice_connection(self.now)

    @property
    def now(self) -> int:
        return round(self.awake * 1000) + self.ahead_ms

    def renewed(self) -> None:
        self.server.due_at = self.now + LEASE

    def judges(self, after: float = 1.0) -> bool:
        self.awake += after
        return judges_at(self.keeper, self.now)


def test_a_lease_that_was_taken_while_the_wall_clock_was_set_back_is_given_time_to_be_renewed() -> None:
    here = Wall()
    here.renewed()
    assert not here.judges()
    here.server.token, here.ahead_ms = 2, -3_600_000  # For less than a second: nobody looked meanwhile.
    here.renewed()
    here.ahead_ms = 0
    assert not any(here.judges() for _ in range(5))
    here.renewed()
    assert not any(here.judges() for _ in range(29))


def test_a_worker_that_is_silent_is_found_out_as_soon_as_its_lease_has_run_out() -> None:
    here = Wall()
    here.renewed()
    assert not any(here.judges() for _ in range(29))
    assert here.judges()


def test_who_looks_for_the_first_time_goes_by_the_clock_alone() -> None:
    here = Wall()
    here.server.due_at = here.now
    assert here.judges(after=0)
