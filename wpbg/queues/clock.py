"""The time by which leases and delays are judged: milliseconds since 1970, in the database's clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

Seconds = Callable[[], float]


def _since_boot() -> float:
    """Seconds that go on while the machine is suspended, where the system has such a clock."""
    boottime = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boottime is None else time.clock_gettime(boottime)


class Clock(Protocol):
    def now_ms(self) -> int:
        """Milliseconds since 1970."""


class ServerClock:
    """A database server's clock: read now and then, counted on from there by a steady one.

    A worker's own clock may be hours off; only how fast it runs matters here.
    """

    def __init__(self, steady: Seconds = _since_boot, awake: Seconds = time.monotonic) -> None:
        self._steady, self._awake = steady, awake
        self._server_ms = 0.0
        self._read_at: tuple[float, float] | None = None

    def set(self, server_ms: float) -> int:
        """The server says it is `server_ms`. How many ms it jumped since it was last asked (0 the first time).

        Measured against the time this machine was *awake*: when a laptop with the server and its
        workers on it wakes up, the leases ran on without anybody there to renew them.
        """
        steady, awake = self._steady(), self._awake()
        jump = 0.0
        if self._read_at is not None:
            jump = server_ms - (self._server_ms + (awake - self._read_at[1]) * 1000)
        self._server_ms, self._read_at = server_ms, (steady, awake)
        return round(jump)

    def now_ms(self) -> int:
        if self._read_at is None:
            raise RuntimeError("the clock is read before the connection is made")
        return int(self._server_ms + (self._steady() - self._read_at[0]) * 1000)


class WallClock:
    """This machine's clock: the right one for SQLite, whose users are all on one machine.

    Everybody who shares the file sees a step of this clock at the same moment, so it is read
    directly and never counted on.
    """

    def __init__(self, wall: Seconds = time.time, awake: Seconds = time.monotonic, ahead: float | None = None) -> None:
        self._wall, self._awake = wall, awake
        self._ahead = ahead
        """Seconds it was ahead of the steady one when it was last looked at; None: not yet."""

    def check(self) -> int:
        """How many ms the clock jumped since this was last asked (0 the first time, where nobody has told)."""
        ahead = self._wall() - self._awake()
        jump = 0.0 if self._ahead is None else ahead - self._ahead
        self._ahead = ahead
        return round(jump * 1000)

    def now_ms(self) -> int:
        return int(self._wall() * 1000)
