"""Gearman as a fast lane, shared with WP Gears and WP Minions. Protocol: gearman.org; packets: the gear library."""

from __future__ import annotations

import contextlib
import hashlib
import re
import secrets
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

import gear
from gear import constants

from wpbg.errors import QueueUnreachable
from wpbg.queues.base import Capability
from wpbg.queues.envelope import BODY_LIMIT, Envelope, Seal
from wpbg.queues.lane import Taken
from wpbg.queues.minions import from_minions

TIMEOUT = 2.0
"""Seconds for the connection, and for each answer. Jobs wait in the table meanwhile, and may not wait long."""

DEFAULT_PORT = 4730

GET_STATUS_UNIQUE, STATUS_RES_UNIQUE = 41, 42
"""Packets that gearmand has and the library does not name."""

HEAD = struct.Struct("!4sII")
"""Before a packet's data: direction, kind, bytes."""

NAMES = 65536
"""Bytes that are read beyond a body: handle, function and unique key come in front of it."""

MAX_BODY = 4_000_000
"""Bytes of a job that goes by Gearman: below what every database takes in one statement."""

SUBMIT = {-1: constants.SUBMIT_JOB_HIGH_BG, 0: constants.SUBMIT_JOB_BG, 1: constants.SUBMIT_JOB_LOW_BG}


@dataclass(frozen=True)
class Handle:
    """What a job is acknowledged by: the connection that it was assigned to, and its name there."""

    server: str
    queue: str
    function: str
    name: bytes
    unique: bytes


class Connection:
    """gear's packets on a socket of our own: its connection has no time limit, and reads large bodies slowly."""

    def __init__(self, server: str) -> None:
        self._socket = socket.create_connection(where(server), TIMEOUT)
        # Without it each answer waits for the server's delayed acknowledgement: 23 jobs a second instead of thousands.
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._answers = cast(BinaryIO, self._socket.makefile("rb", buffering=65536))

    def send(self, *packets: tuple[int, bytes]) -> None:
        """Write packets, all at once."""
        whole = b"".join(gear.Packet(constants.REQ, kind, data).toBinary() for kind, data in packets)
        self._socket.sendall(whole)

    def receive(self, *kinds: int) -> gear.Packet:
        """The next packet of these kinds; NOOPs and the like are passed over. Raises `OSError` at the end."""
        while True:
            code, kind, size = HEAD.unpack(self._read(HEAD.size))
            if code != constants.RES:
                raise gear.GearmanError("it does not speak Gearman's protocol")
            data = self._read(min(size, BODY_LIMIT + NAMES))
            for rest in range(size - len(data), 0, -NAMES):
                self._read(min(rest, NAMES))  # Too large to be a job of ours; what is kept says so.
            if kind in kinds:
                return gear.Packet(code, kind, data)
            if kind == constants.ERROR:
                raise gear.GearmanError(data.decode("utf-8", "replace"))

    def _read(self, size: int) -> bytes:
        data = self._answers.read(size)
        if len(data) != size:
            raise ConnectionResetError("the server closed the connection")
        return data

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._answers.close()
            self._socket.close()


class GearmanLane:
    """One connection a server and queue: gearmand knows no precedence among the functions of one.

    `salt` is in the names of our own functions. `shared` is the function of WP Gears and WP Minions, None where theirs
    is not in use; its jobs belong to `shared_queue`.
    """

    name = "gearman"
    lacks = frozenset(
        {
            Capability.ONE_ORDER,
            Capability.PRIORITY_NUMBERS,  # It has three levels.
            Capability.SHOWN_WAITING,  # It tells that a job waits, and nothing else.
        }
    )

    def __init__(self, servers: Sequence[str], salt: str, shared: str | None, shared_queue: str) -> None:
        self._servers, self._salt = tuple(servers), salt
        self._shared, self._shared_queue = shared, shared_queue
        self._open: dict[tuple[str, str], Connection] = {}

    def functions(self, queue: str) -> list[str]:
        """The functions whose jobs belong to a queue."""
        shared = [self._shared] if self._shared is not None and queue == self._shared_queue else []
        return [f"{self._salt}:wpbg:{queue}", *shared]

    def take(self, queues: Sequence[str], limit: int) -> list[Taken]:
        """A server that is down is passed over while another answers."""
        taken: list[Taken] = []
        lost: QueueUnreachable | None = None
        answered = False
        for queue in queues:
            for server in self._servers:
                try:
                    taken += self._take_from(server, queue, limit - len(taken))
                    answered = True
                except QueueUnreachable as error:
                    lost = error
                if len(taken) >= limit:
                    return taken
        if lost is not None and not answered:
            raise lost
        return taken

    def _take_from(self, server: str, queue: str, limit: int) -> list[Taken]:
        taken: list[Taken] = []
        with self._guard(server, queue):
            connection = self._connection(server, queue)
            connection.send(*[(constants.GRAB_JOB_UNIQ, b"")] * limit)
            for _ in range(limit):
                answer = connection.receive(constants.JOB_ASSIGN_UNIQ, constants.NO_JOB)
                if answer.ptype == constants.NO_JOB:
                    continue
                handle = Handle(
                    server,
                    queue,
                    answer.getArgument(1).decode("utf-8", "replace"),
                    answer.getArgument(0),
                    answer.getArgument(2),
                )
                taken.append(Taken(answer.getArgument(3, True), queue, handle))
        return taken

    def acknowledge(self, taken: Sequence[Taken]) -> None:
        packets: dict[tuple[str, str], list[tuple[int, bytes]]] = {}
        for item in taken:
            handle = item.handle
            assert isinstance(handle, Handle)
            done = (constants.WORK_COMPLETE, handle.name + b"\x00")
            packets.setdefault((handle.server, handle.queue), []).append(done)
        for (server, queue), of_connection in packets.items():
            connection = self._open.get((server, queue))
            if connection is None:
                continue  # It went away meanwhile, and what it had assigned is delivered again.
            with self._guard(server, queue):
                connection.send(*of_connection)

    def open(self, taken: Taken, seal: Seal) -> Envelope:
        handle = taken.handle
        assert isinstance(handle, Handle)
        # Nothing unsigned comes in by the functions that are ours alone.
        if handle.function == self._shared and taken.body.lstrip()[:1] == b"{":
            return from_minions(taken.body, taken.queue, identity_of(handle))
        return seal.open(taken.body)

    def put(self, queue: str, body: bytes, priority: int, unique: str) -> str | None:
        server = self._servers[0]
        level = (priority > 0) - (priority < 0)
        if len(body) > MAX_BODY:
            return None
        with self._guard(server, queue):
            connection = self._connection(server, queue)
            function = self.functions(queue)[0].encode()
            connection.send((SUBMIT[level], b"\x00".join([function, unique.encode(), body])))
            connection.receive(constants.JOB_CREATED)
        return "g"

    def peek(self, native: int) -> bytes | None:
        """Gearman shows nothing of what waits in it."""
        return None

    def knows(self, unique: str) -> bool:
        """Whether a job with this unique key waits on one of the servers."""
        for server in self._servers:
            with self._guard(server, self._shared_queue):
                connection = self._connection(server, self._shared_queue)
                connection.send((GET_STATUS_UNIQUE, unique.encode()))
                if connection.receive(STATUS_RES_UNIQUE).getArgument(1) == b"1":
                    return True
        return False

    def waiting(self, queues: Sequence[str]) -> int:
        """What no worker has yet, on every server that answers."""
        wanted = {name for queue in queues for name in self.functions(queue)}
        total, lost, answered = 0, None, False
        for server in self._servers:
            try:
                for line in _status(server):
                    fields = line.split("\t")
                    if len(fields) == 4 and fields[0] in wanted:
                        total += int(fields[1]) - int(fields[2])
                answered = True
            except (OSError, ValueError) as error:
                lost = error
        if lost is not None and not answered:
            raise _unreachable(self._servers[-1], lost)
        return total

    def close(self) -> None:
        for connection in self._open.values():
            connection.close()
        self._open.clear()

    def _connection(self, server: str, queue: str) -> Connection:
        known = self._open.get((server, queue))
        if known is not None:
            return known
        connection = self._open[server, queue] = Connection(server)
        connection.send(*[(constants.CAN_DO, name.encode()) for name in self.functions(queue)])
        return connection

    @contextlib.contextmanager
    def _guard(self, server: str, queue: str) -> Any:
        try:
            yield
        except (OSError, gear.GearmanError) as error:
            lost = self._open.pop((server, queue), None)
            if lost is not None:
                lost.close()
            raise _unreachable(server, error) from error


def identity_of(handle: Handle) -> str:
    """By which a job without an envelope is known when it is delivered again."""
    if re.fullmatch(rb"[0-9a-f]{32}", handle.unique):
        return handle.unique.decode()  # Our own plugin's: it may have written the job to the table as well.
    name = handle.server.encode() + b"\x00" + handle.name + b"\x00" + handle.unique
    return hashlib.sha256(name).hexdigest()[:32] if handle.unique else secrets.token_hex(16)


def where(server: str) -> tuple[str, int]:
    """`host`, `host:port` or `[::1]:port`."""
    if server.startswith("["):
        host, _, port = server[1:].partition("]")
        return host, int(port.lstrip(":") or DEFAULT_PORT)
    host, _, port = server.partition(":")
    return host or "127.0.0.1", int(port or DEFAULT_PORT)


def _status(server: str) -> list[str]:
    """The lines of the administrative command `status`."""
    with socket.create_connection(where(server), TIMEOUT) as admin:
        admin.sendall(b"status\n")
        said = b""
        while not (said == b".\n" or said.endswith(b"\n.\n")):
            more = admin.recv(65536)
            if not more:
                raise ConnectionResetError("the server closed the connection")
            said += more
    return said.decode("utf-8", "replace").splitlines()[:-1]


def _unreachable(server: str, error: Exception) -> QueueUnreachable:
    return QueueUnreachable(
        f"gearmand at {server} cannot be reached ({error or type(error).__name__}): start it, or check "
        "$gearman_servers in wp-config.php."
    )
