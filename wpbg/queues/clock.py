"""The time by which leases and delays are judged: milliseconds since 1970, in the database's clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

Seconds = Callable[[], float]

DRIFT = 1e-3
"""How much faster or slower one clock may run than another: NTP may slew each of two by half of that. One that is
slewed faster (chrony can) is found to have jumped by a few ms."""


def _since_boot() -> float:
    """Seconds that go on while the machine is suspended, where the system has such a clock."""
    boottime = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boottime is None else time.clock_gettime(boottime)


class Clock(Protocol):
    def now_ms(self) -> int:
        """Milliseconds since 1970."""


class ServerClock:
    """A database server's clock: read now and then, counted on from there by a steady one.

    A worker's own clock may be hours off; only how fast it runs matters here. Each answer says between which bounds
    the server's time is: a question that took a second, on a busy machine, may be answered with a time of a second
    ago or of now. What all of the answers allow is much closer (K. Marzullo, S. Owicki 1983).
    """

    def __init__(self, steady: Seconds = _since_boot, awake: Seconds = time.monotonic) -> None:
        self._steady, self._awake = steady, awake
        self._bounds = (0.0, 0.0)
        """In ms, at `_read_at`."""
        self._read_at: tuple[float, float] | None = None

    @property
    def unsure_ms(self) -> float:
        """How far apart the bounds are that the last answer left."""
        return self._bounds[1] - self._bounds[0]

    def hands(self) -> float:
        """To be read before the server is asked, for `set`. In seconds."""
        return self._steady()

    def set(self, server_ms: float, asked: float | None = None) -> int:
        """The server said that it was `server_ms`; it was asked when our own hands stood at `asked` (none: now). How
        many ms it jumped since it was last asked, at least (0 the first time).

        Measured against the time this machine was *awake*: when a laptop with the server and its
        workers on it wakes up, the leases ran on without anybody there to renew them.
        """
        steady, awake = self._steady(), self._awake()
        earliest, latest = server_ms, server_ms + (0.0 if asked is None else steady - asked) * 1000
        jump = 0.0
        if self._read_at is not None:
            slept_through = self._after(awake - self._read_at[1])
            jump = max(0.0, earliest - slept_through[1]) - max(0.0, slept_through[0] - latest)
            known = self._after(steady - self._read_at[0])
            if known[0] <= latest and earliest <= known[1]:
                earliest, latest = max(earliest, known[0]), min(latest, known[1])
        self._bounds, self._read_at = (earliest, latest), (steady, awake)
        return round(jump)

    def _after(self, seconds: float) -> tuple[float, float]:
        """The bounds so much later."""
        drift = seconds * 1000 * DRIFT
        return self._bounds[0] + seconds * 1000 - drift, self._bounds[1] + seconds * 1000 + drift

    def now_ms(self) -> int:
        if self._read_at is None:
            raise RuntimeError("the clock is read before the connection is made")
        return int(sum(self._bounds) / 2 + (self._steady() - self._read_at[0]) * 1000)


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
