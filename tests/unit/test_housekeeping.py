"""When leases are judged: not before the living could get their heartbeat in."""

from __future__ import annotations

from typing import Any, cast

import pytest

from wpbg.queues.connection import Database
from wpbg.queues.housekeeping import JUMP_MS, Housekeeper

LEASE = 30_000


class Server:
    """As much of a connection as says what has happened to it; its table has one job whose lease ran out."""

    def __init__(self, uptime_ms: int | None) -> None:
        self.connects, self.outages, self.uptime_ms = 1, 0, uptime_ms

    def rows(self, name: str, /, **_params: Any) -> list[dict[str, Any]]:
        if name != "expired":
            return []
        row = {"id": 7, "queue": "default", "attempts": 1, "max_attempts": 3, "lease_token": 1}
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
