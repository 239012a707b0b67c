"""What a worker tells systemd, by the protocol of sd_notify(3): ready, alive, how it is doing, stopping.

A message is a datagram of `NAME=value` lines to the socket that NOTIFY_SOCKET names. Nobody waits for an answer, and
a manager that is not there costs nothing.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable, MutableMapping

from wpbg.pool import Pool

STATUS_EVERY = 1.0
"""Seconds between two status lines."""


class Systemd:
    """The service manager that has started this process. `watchdog` is in seconds, 0 without one."""

    def __init__(self, address: str, watchdog: float = 0.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._clock, self._ping_every = clock, watchdog / 2
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._ready = self._stopping = False
        self._pinged_at = self._said_at = float("-inf")
        self._said = ""

    @classmethod
    def from_environment(cls, env: MutableMapping[str, str] | None = None) -> Systemd | None:
        """None where nobody wants to know. The variables are taken out: PHP must not speak in our name."""
        env = os.environ if env is None else env
        address = env.pop("NOTIFY_SOCKET", "")
        usec, pid = env.pop("WATCHDOG_USEC", ""), env.pop("WATCHDOG_PID", "")
        if not address.startswith(("/", "@")):
            return None
        meant = usec.isdigit() and pid in ("", str(os.getpid()))
        return cls(address, int(usec) / 1_000_000 if meant else 0.0)

    def follow(self, pool: Pool) -> None:
        """Have the pool's own thread tell: one that hangs goes silent, and the watchdog ends it."""
        pool.at_turns.append(lambda: self.look_at(pool))

    def look_at(self, pool: Pool) -> None:
        """Tell what is new."""
        now = self._clock()
        lines = []
        if not self._ready and (pool.stopping or not pool.not_ready):
            self._ready = True
            lines.append("READY=1")
        if pool.stopping and not self._stopping:
            self._stopping = True
            lines.append("STOPPING=1")
        if self._ping_every and now - self._pinged_at >= self._ping_every:
            self._pinged_at = now
            lines.append("WATCHDOG=1")
        if now - self._said_at >= STATUS_EVERY:
            self._said_at = now
            status = status_line(pool)
            if status != self._said:
                self._said = status
                lines.append(f"STATUS={status}")
        if lines:
            self.tell("\n".join(lines))

    def tell(self, message: str) -> None:
        with contextlib.suppress(OSError):
            self._socket.sendto(message.encode("utf-8", "replace"), self._address)

    def close(self) -> None:
        self._socket.close()


def status_line(pool: Pool) -> str:
    """What `systemctl status` shows."""
    busy, done = sum(slot.running is not None for slot in pool.slots), sum(pool.tally.endings.values())
    if not pool.stopping and pool.not_ready:
        return f"Waiting: {pool.not_ready}"
    doing = f"Stopping, {busy} running" if pool.stopping else f"{busy} of {len(pool.slots)} slots busy"
    return f"{doing}, {done} jobs done; {pool.options.mode}, queues {', '.join(pool.options.queues)}"
