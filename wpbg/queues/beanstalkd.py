"""beanstalkd as a fast lane. Protocol: doc/protocol.txt of beanstalkd; client: greenstalk."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Sequence
from typing import Concatenate, ParamSpec, TypeVar

import greenstalk

from wpbg.errors import QueueUnreachable
from wpbg.queues.envelope import Envelope, Seal
from wpbg.queues.lane import Taken

T = TypeVar("T")
P = ParamSpec("P")

TTR = 60
"""Seconds until a body that was taken and not acknowledged is delivered again. It takes milliseconds."""

PRIORITY = 2**31
"""beanstalkd's priorities begin at 0; ours are around 0."""


def tube_name(salt: str, queue: str) -> str:
    """The tube of a queue: what beanstalkd does not allow in a name is written as `$` and two hex digits a byte."""
    raw = f"{salt}.{queue}".encode()
    name = b"".join(
        bytes([byte]) if re.match(rb"[A-Za-z0-9+/;._()-]", bytes([byte])) else b"$%02x" % byte for byte in raw
    )
    return name[:200].decode()


class BeanstalkdLane:
    """One connection a queue: beanstalkd knows no precedence among the tubes of one."""

    name = "beanstalkd"

    def __init__(self, address: str, salt: str) -> None:
        self._address, self._salt = address, salt
        self._clients: dict[str, greenstalk.Client[bytes]] = {}

    def take(self, queues: Sequence[str], limit: int) -> list[Taken]:
        taken: list[Taken] = []
        for queue in queues:
            taken += self._ask(queue, self._take_from, queue, limit - len(taken))
            if len(taken) >= limit:
                break
        return taken

    def _take_from(self, client: greenstalk.Client[bytes], queue: str, limit: int) -> list[Taken]:
        taken: list[Taken] = []
        with contextlib.suppress(greenstalk.TimedOutError, greenstalk.DeadlineSoonError):
            while len(taken) < limit:
                job = client.reserve(timeout=0)
                taken.append(Taken(job.body, queue, job.id))
        return taken

    def acknowledge(self, taken: Sequence[Taken]) -> None:
        for item in taken:
            self._ask(item.queue, self._delete, item.handle)

    @staticmethod
    def _delete(client: greenstalk.Client[bytes], handle: object) -> None:
        assert isinstance(handle, int)
        with contextlib.suppress(greenstalk.NotFoundError):
            client.delete(handle)

    def open(self, taken: Taken, seal: Seal) -> Envelope:
        return seal.open(taken.body)

    def put(self, queue: str, body: bytes, priority: int) -> str:
        at = min(max(PRIORITY + priority, 0), 2**32 - 1)
        return f"b{self._ask(queue, self._put, body, at)}"

    @staticmethod
    def _put(client: greenstalk.Client[bytes], body: bytes, priority: int) -> int:
        return client.put(body, priority=priority, ttr=TTR)

    def peek(self, native: int) -> bytes | None:
        """The body of a job that waits, or None."""
        return self._ask("default", self._peek, native)

    @staticmethod
    def _peek(client: greenstalk.Client[bytes], native: int) -> bytes | None:
        try:
            return client.peek(native).body
        except greenstalk.NotFoundError:
            return None

    def knows(self, unique: str) -> bool:
        """beanstalkd finds jobs by their place only: see `peek`."""
        return False

    def waiting(self, queues: Sequence[str]) -> int:
        counts = [self._ask(queue, self._ready, tube_name(self._salt, queue)) for queue in queues]
        return sum(counts)

    @staticmethod
    def _ready(client: greenstalk.Client[bytes], tube: str) -> int:
        try:
            return int(client.stats_tube(tube)["current-jobs-ready"])
        except greenstalk.NotFoundError:
            return 0

    def close(self) -> None:
        for client in self._clients.values():
            with contextlib.suppress(OSError):
                client.close()
        self._clients.clear()

    def _ask(
        self, queue: str, ask: Callable[Concatenate[greenstalk.Client[bytes], P], T], *args: P.args, **more: P.kwargs
    ) -> T:
        try:
            client = self._clients.get(queue)
            if client is None:
                client = self._connect(queue)
            return ask(client, *args, **more)
        except (OSError, greenstalk.Error) as error:
            lost = self._clients.pop(queue, None)
            if lost is not None:
                with contextlib.suppress(OSError):
                    lost.close()
            raise QueueUnreachable(
                f"beanstalkd at {self._address} cannot be reached ({error or type(error).__name__}): start it, or "
                "check ABW_BEANSTALKD in wp-config.php."
            ) from error

    def _connect(self, queue: str) -> greenstalk.Client[bytes]:
        tube = tube_name(self._salt, queue)
        client: greenstalk.Client[bytes] = greenstalk.Client(where(self._address), encoding=None, use=tube, watch=tube)
        self._clients[queue] = client
        return client


def where(address: str) -> tuple[str, int] | str:
    """`host:port`, `[::1]:port` or `unix:/path`, as greenstalk takes it. The port is 11300 when it is not said."""
    if address.startswith("unix:"):
        return address.removeprefix("unix:")
    found = re.fullmatch(r"\[?(?P<host>[^\]]*?)\]?(?::(?P<port>\d+))?", address)
    host, port = (found["host"], found["port"]) if found else (address, None)
    return host or "127.0.0.1", int(port or 11300)
