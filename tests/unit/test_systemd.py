"""What systemd is told, on a real datagram socket, by path and in the abstract namespace."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.notify import Manager
from wpbg.systemd import Systemd


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    address = str(tmp_path / "notify") if request.param == "path" else f"@wpbg-test-{os.getpid()}"
    listening = Manager(address)
    yield listening
    listening.close()


def pool(**now: Any) -> Any:
    """What is looked at in a pool."""
    about = {
        "stopping": False,
        "not_ready": "",
        "slots": [SimpleNamespace(running=None), SimpleNamespace(running=object())],
        "tally": SimpleNamespace(endings={"completed": 3, "failed": 1}),
        "options": SimpleNamespace(mode="fork", queues=("mail", "default")),
        "at_turns": [],
    }
    return SimpleNamespace(**{**about, **now})


def test_ready_status_and_stopping_are_said_once(manager: Manager) -> None:
    systemd = Systemd(manager.address)
    systemd.look_at(pool(not_ready="the database cannot be reached"))
    assert manager.heard() == ["STATUS=Waiting: the database cannot be reached"]
    systemd.close()
    systemd = Systemd(manager.address)
    systemd.look_at(pool())
    assert manager.heard() == ["READY=1", "STATUS=1 of 2 slots busy, 4 jobs done; fork, queues mail, default"]
    systemd.look_at(pool())
    assert manager.heard() == []
    systemd.look_at(pool(stopping=True, not_ready="stopping"))
    systemd.look_at(pool(stopping=True, not_ready="stopping"))
    assert manager.heard() == ["STOPPING=1"]
    systemd.close()


def test_a_worker_that_ends_before_it_was_ready_had_started_all_the_same(manager: Manager) -> None:
    systemd = Systemd(manager.address)
    systemd.look_at(pool(stopping=True, not_ready="stopping"))
    assert manager.heard()[:2] == ["READY=1", "STOPPING=1"]
    systemd.close()


def test_the_watchdog_is_answered_twice_in_its_time(manager: Manager) -> None:
    now = 100.0
    systemd = Systemd(manager.address, watchdog=60, clock=lambda: now)
    heard = []
    for now in range(100, 221, 10):
        systemd.look_at(pool())
        heard += [(now, line) for line in manager.heard() if line == "WATCHDOG=1"]
    assert [when for when, _ in heard] == [100, 130, 160, 190, 220]
    systemd.close()


def test_the_environment_is_read_and_taken_away(manager: Manager) -> None:
    env = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "120000000", "WATCHDOG_PID": str(os.getpid()), "A": "b"}
    systemd = Systemd.from_environment(env)
    assert systemd is not None
    assert env == {"A": "b"}, "PHP must not speak in our name"
    followed = pool()
    systemd.follow(followed)
    for tell in followed.at_turns:
        tell()
    assert "WATCHDOG=1" in manager.heard()
    systemd.close()


@pytest.mark.parametrize("address", ["", "relative", "vsock:2:1234"])
def test_without_a_socket_nobody_is_told(address: str) -> None:
    assert Systemd.from_environment({"NOTIFY_SOCKET": address}) is None
    assert Systemd.from_environment({}) is None


def test_somebody_elses_watchdog_is_not_ours(manager: Manager) -> None:
    systemd = Systemd.from_environment(
        {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"}
    )
    assert systemd is not None
    systemd.look_at(pool())
    assert "WATCHDOG=1" not in manager.heard()
    systemd.close()


def test_a_manager_that_is_gone_costs_nothing(tmp_path: Path) -> None:
    systemd = Systemd(str(tmp_path / "nobody"))
    systemd.look_at(pool())
    systemd.close()
