"""beanstalkd as a fast lane. Protocol: doc/protocol.txt of beanstalkd; client: greenstalk, but where it pipelines."""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Concatenate, ParamSpec, TypeVar

import greenstalk

from wpbg.errors import QueueUnreachable
from wpbg.queues.address import connect
from wpbg.queues.base import Capability
from wpbg.queues.envelope import Envelope, Seal
from wpbg.queues.lane import Taken

T = TypeVar("T")
P = ParamSpec("P")

TIMEOUT = 2.0
"""Seconds for the connection, and for each answer. Jobs wait in the table meanwhile, and may not wait long."""

TTR = 60
"""Seconds until a body that was taken and not acknowledged is delivered again. It takes milliseconds."""

DEFAULT_PORT = 11300

PRIORITY = 2**31
"""beanstalkd's priorities begin at 0; ours are around 0."""

LONGEST_NAME = 200
"""Bytes of a tube's name."""

DISCARDED = 200
"""Jobs that are taken and thrown away in one go."""


def tube_name(salt: str, queue: str) -> str:
    """The tube of a queue: what beanstalkd does not allow in a name is written as `$` and two hex digits a byte.

    A name that is too long ends in its MD5. The plugin's half is `Lane_Names::tube()`.
    """
    raw = f"{salt}.{queue}".encode()
    name = "".join(chr(byte) if re.match(rb"[A-Za-z0-9+/;._()-]", bytes([byte])) else f"${byte:02x}" for byte in raw)
    if name.startswith("-"):
        name = "$2d" + name[1:]  # It may be anywhere but at the beginning.
    if len(name) <= LONGEST_NAME:
        return name
    digest = hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()
    return f"{name[: LONGEST_NAME - 33]}.{digest}"


def queue_of(tube: str, salt: str) -> str | None:
    """The queue that a tube is for; None where it is not one of this salt's, or its name was too long to tell."""
    raw = re.sub(r"\$([0-9a-f]{2})", lambda byte: chr(int(byte[1], 16)), tube).encode("latin-1", "replace")
    try:
        prefix, queue = f"{salt}.", raw.decode()
    except UnicodeDecodeError:
        return None
    if not queue.startswith(prefix) or tube_name(salt, queue.removeprefix(prefix)) != tube:
        return None
    return queue.removeprefix(prefix)


class Connection:
    """greenstalk's client, and beside it the commands that are written many at a time, for one tube."""

    def __init__(self, address: str, tube: str) -> None:
        self._socket = connect(address, DEFAULT_PORT, TIMEOUT)
        try:
            self.client: greenstalk.Client[bytes] = greenstalk.Client(self._socket, encoding=None, use=tube, watch=tube)
        except BaseException:
            self._socket.close()
            raise
        # Each command's answer is read to its end, so that nothing is left in the one's buffer for the other.
        self._answers: BinaryIO = self._socket.makefile("rb")

    def reserve(self, limit: int) -> list[tuple[int, bytes]]:
        """Up to `limit` ready jobs, each its number and its body."""
        self._socket.sendall(b"reserve-with-timeout 0\r\n" * limit)
        found = []
        for _ in range(limit):
            word, *values = self._line()
            if word == b"RESERVED":
                number, size = int(values[0]), int(values[1])
                body = self._answers.read(size + 2)
                if len(body) != size + 2:
                    raise ConnectionResetError("the server closed the connection")
                found.append((number, body[:-2]))
            elif word not in (b"TIMED_OUT", b"DEADLINE_SOON"):
                raise greenstalk.UnknownResponseError(word, values)
        return found

    def delete(self, numbers: Sequence[int]) -> None:
        """Delete jobs; those that are gone are passed over."""
        self._socket.sendall(b"".join(b"delete %d\r\n" % number for number in numbers))
        for _ in numbers:
            word, *values = self._line()
            if word not in (b"DELETED", b"NOT_FOUND"):
                raise greenstalk.UnknownResponseError(word, values)

    def tubes(self) -> list[str]:
        """All tubes of the server."""
        return list(self.client.tubes())

    def _line(self) -> list[bytes]:
        line = self._answers.readline(1024)
        if not line.endswith(b"\r\n"):
            raise ConnectionResetError("the server closed the connection")
        return line.split() or [b""]

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._answers.close()
            self.client.close()


@dataclass(frozen=True)
class Held:
    """A job that was handed out to a connection: its number is another job's once the server was started anew."""

    connection: Connection
    number: int


class BeanstalkdLane:
    """One connection a queue: beanstalkd knows no precedence among the tubes of one."""

    name = "beanstalkd"
    lacks = frozenset({Capability.ONE_ORDER})

    def __init__(self, address: str, salt: str) -> None:
        self._address, self._salt = address, salt
        self._connections: dict[str, Connection] = {}

    def take(self, queues: Sequence[str], limit: int) -> list[Taken]:
        taken: list[Taken] = []
        for queue in queues:
            found = self._ask(queue, Connection.reserve, limit - len(taken))
            taken += [Taken(body, queue, Held(self._connections[queue], number)) for number, body in found]
            if len(taken) >= limit:
                break
        return taken

    def acknowledge(self, taken: Sequence[Taken]) -> None:
        numbers: dict[str, list[int]] = {}
        for item in taken:
            assert isinstance(item.handle, Held)
            if self._connections.get(item.queue) is item.handle.connection:  # Else it has been given back.
                numbers.setdefault(item.queue, []).append(item.handle.number)
        for queue, of_queue in numbers.items():
            self._ask(queue, Connection.delete, of_queue)

    def open(self, taken: Taken, seal: Seal) -> Envelope:
        return seal.open(taken.body)

    def put(self, queue: str, body: bytes, priority: int, unique: str) -> str | None:
        at = min(max(PRIORITY + priority, 0), 2**32 - 1)
        number = self._ask(queue, self._put, body, at)
        return None if number is None else f"b{number}"

    @staticmethod
    def _put(connection: Connection, body: bytes, priority: int) -> int | None:
        try:
            return connection.client.put(body, priority=priority, ttr=TTR)
        except greenstalk.JobTooBigError:
            return None

    def peek(self, native: int) -> bytes | None:
        """The body of a job that waits, or None."""
        return self._ask("default", self._peek, native)

    @staticmethod
    def _peek(connection: Connection, native: int) -> bytes | None:
        try:
            return connection.client.peek(native).body
        except greenstalk.NotFoundError:
            return None

    def remove(self, native: int) -> bool:
        return self._ask("default", self._remove, native)

    @staticmethod
    def _remove(connection: Connection, native: int) -> bool:
        try:
            connection.client.delete(native)
        except greenstalk.NotFoundError:
            return False  # Gone, or a worker has it.
        return True

    def knows(self, unique: str) -> bool:
        """beanstalkd finds jobs by their place only: see `peek`."""
        return False

    def waiting(self, queues: Sequence[str]) -> int:
        counts = [self._ask(queue, self._ready, tube_name(self._salt, queue)) for queue in queues]
        return sum(counts)

    @staticmethod
    def _ready(connection: Connection, tube: str) -> int:
        try:
            return int(connection.client.stats_tube(tube)["current-jobs-ready"])
        except greenstalk.NotFoundError:
            return 0

    def counts(self, known: Sequence[str]) -> dict[str, int]:
        tubes = {tube_name(self._salt, queue): queue for queue in known}
        for tube in self._ask("default", Connection.tubes):
            queue = queue_of(tube, self._salt)
            if queue is not None:
                tubes.setdefault(tube, queue)
        counts = {queue: self._ask("default", self._held, tube) for tube, queue in tubes.items()}
        return {queue: ready for queue, ready in counts.items() if ready > 0}

    def discard(self, queue: str) -> int:
        discarded = 0
        while taken := self.take([queue], DISCARDED):
            self.acknowledge(taken)
            discarded += len(taken)
        return discarded

    @staticmethod
    def _held(connection: Connection, tube: str) -> int:
        """Ready, or just taken by a worker that writes it into the table."""
        try:
            found = connection.client.stats_tube(tube)
        except greenstalk.NotFoundError:
            return 0
        return int(found["current-jobs-ready"]) + int(found["current-jobs-reserved"])

    def close(self) -> None:
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()

    def _ask(self, queue: str, ask: Callable[Concatenate[Connection, P], T], *args: P.args, **more: P.kwargs) -> T:
        try:
            connection = self._connections.get(queue)
            if connection is None:
                connection = self._connections[queue] = Connection(self._address, tube_name(self._salt, queue))
            return ask(connection, *args, **more)
        except (OSError, ValueError, greenstalk.Error) as error:
            lost = self._connections.pop(queue, None)
            if lost is not None:
                lost.close()
            raise QueueUnreachable(
                f"beanstalkd at {self._address} cannot be reached ({error or type(error).__name__}): start it, or "
                "check ABW_BEANSTALKD in wp-config.php."
            ) from error
