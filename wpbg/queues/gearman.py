"""Gearman as a fast lane, shared with WP Gears and WP Minions. Protocol: gearman.org; packets: the gear library."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import secrets
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gear
import phpserialize
from gear import constants

from wpbg.errors import QueueUnreachable
from wpbg.queues.envelope import BadEnvelope, Envelope, Seal
from wpbg.queues.lane import Taken

TIMEOUT = 5.0
"""Seconds a server may take to answer."""

DEFAULT_PORT = 4730

GET_STATUS_UNIQUE, STATUS_RES_UNIQUE = 41, 42
"""Packets that gearmand has and the library does not name."""

SUBMIT = {-1: constants.SUBMIT_JOB_HIGH_BG, 0: constants.SUBMIT_JOB_BG, 1: constants.SUBMIT_JOB_LOW_BG}


@dataclass(frozen=True)
class Handle:
    """What a job is acknowledged by: the connection that it was assigned to, and its name there."""

    server: str
    queue: str
    name: bytes
    unique: bytes


class GearmanLane:
    """One connection a server and queue: gearmand knows no precedence among the functions of one.

    `salt` is in the names of our own functions. `shared` is the function of WP Gears and WP Minions, None where theirs
    is not in use; its jobs belong to `shared_queue`.
    """

    name = "gearman"

    def __init__(self, servers: Sequence[str], salt: str, shared: str | None, shared_queue: str) -> None:
        self._servers, self._salt = tuple(servers), salt
        self._shared, self._shared_queue = shared, shared_queue
        self._open: dict[tuple[str, str], gear.Connection] = {}

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
            while len(taken) < limit:
                _send(connection, constants.GRAB_JOB_UNIQ)
                answer = _receive(connection, constants.JOB_ASSIGN_UNIQ, constants.NO_JOB)
                if answer.ptype == constants.NO_JOB:
                    break
                handle = Handle(server, queue, answer.getArgument(0), answer.getArgument(2))
                taken.append(Taken(answer.getArgument(3, True), queue, handle))
        return taken

    def acknowledge(self, taken: Sequence[Taken]) -> None:
        for item in taken:
            handle = item.handle
            assert isinstance(handle, Handle)
            connection = self._open.get((handle.server, handle.queue))
            if connection is None:
                continue  # It went away meanwhile, and what it had assigned is delivered again.
            with self._guard(handle.server, handle.queue):
                _send(connection, constants.WORK_COMPLETE, handle.name + b"\x00")

    def open(self, taken: Taken, seal: Seal) -> Envelope:
        if taken.body.lstrip()[:1] == b"{":
            return from_minions(taken)
        return seal.open(taken.body)

    def put(self, queue: str, body: bytes, priority: int) -> str:
        server = self._servers[0]
        level = (priority > 0) - (priority < 0)
        with self._guard(server, queue):
            connection = self._connection(server, queue)
            function = self.functions(queue)[0].encode()
            _send(connection, SUBMIT[level], b"\x00".join([function, secrets.token_hex(16).encode(), body]))
            _receive(connection, constants.JOB_CREATED)
        return "g"

    def peek(self, native: int) -> bytes | None:
        """Gearman shows nothing of what waits in it."""
        return None

    def knows(self, unique: str) -> bool:
        """Whether a job with this unique key waits on one of the servers."""
        for server in self._servers:
            with self._guard(server, self._shared_queue):
                connection = self._connection(server, self._shared_queue)
                _send(connection, GET_STATUS_UNIQUE, unique.encode())
                if _receive(connection, STATUS_RES_UNIQUE).getArgument(1) == b"1":
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
            connection.disconnect()
        self._open.clear()

    def _connection(self, server: str, queue: str) -> gear.Connection:
        known = self._open.get((server, queue))
        if known is not None:
            return known
        host, port = where(server)
        connection = gear.Connection(host, port, client_id="wpbg")
        connection.connect()
        # Without it each answer waits for the server's delayed acknowledgement: 23 jobs a second instead of thousands.
        connection.conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.conn.settimeout(TIMEOUT)
        self._open[server, queue] = connection
        for name in self.functions(queue):
            _send(connection, constants.CAN_DO, name.encode())
        return connection

    @contextlib.contextmanager
    def _guard(self, server: str, queue: str) -> Any:
        try:
            yield
        except (OSError, gear.ConnectionError, gear.GearmanError) as error:
            lost = self._open.pop((server, queue), None)
            if lost is not None:
                lost.disconnect()
            raise _unreachable(server, error) from error


def from_minions(taken: Taken) -> Envelope:
    """A workload of WP Gears or WP Minions: it can fire a hook with plain data, and nothing else.

    Unsigned, so nothing of it is ever unserialized: what PHP reads is made here, of JSON.
    """
    try:
        told = json.loads(taken.body)
        hook, blog = told["hook"], told.get("blog_id") or 0
        if not isinstance(hook, str) or not hook or not isinstance(blog, int):
            raise TypeError("hook or blog_id")
        job = phpserialize.phpobject("stdClass", {"hook": hook, "user_data": _plain(told.get("args"))})
        body: bytes = phpserialize.dumps(job, object_hook=lambda item: item)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise BadEnvelope(f"It is no workload of WP Gears or WP Minions ({type(error).__name__}: {error}).") from error
    handle = taken.handle
    assert isinstance(handle, Handle)
    name = handle.server.encode() + b"\x00" + handle.name + b"\x00" + handle.unique
    identity = hashlib.sha256(name).hexdigest()[:32] if handle.unique else secrets.token_hex(16)
    if re.fullmatch(rb"[0-9a-f]{32}", handle.unique):
        identity = handle.unique.decode()  # Our own plugin's: it may have written the job to the table as well.
    return Envelope(
        id=identity,
        queue=taken.queue,
        body=body,
        blog_id=blog,
        callback=hook,
        max_attempts=3,
        backoff=30,
        timeout=None,
        priority=0,
        batch=None,
        at_ms=0,
    )


def _plain(value: Any) -> Any:
    """JSON as json_decode( …, true ) gives it: numbers beyond PHP's integers become floats."""
    if isinstance(value, dict):
        return {_key(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, int) and not isinstance(value, bool) and not -(2**63) <= value < 2**63:
        return float(value)
    return value


def _key(key: str) -> str | int:
    """PHP turns keys that look like integers into integers."""
    looks = key.removeprefix("-").isascii() and key.removeprefix("-").isdigit() and str(int(key)) == key
    return int(key) if looks and -(2**63) <= int(key) < 2**63 else key


def where(server: str) -> tuple[str, int]:
    """`host`, `host:port` or `[::1]:port`."""
    if server.startswith("["):
        host, _, port = server[1:].partition("]")
        return host, int(port.lstrip(":") or DEFAULT_PORT)
    host, _, port = server.partition(":")
    return host or "127.0.0.1", int(port or DEFAULT_PORT)


def _send(connection: gear.Connection, kind: int, data: bytes = b"") -> None:
    packet = gear.Packet(constants.REQ, kind, data)
    connection.conn.sendall(packet.toBinary())


def _receive(connection: gear.Connection, *kinds: int) -> gear.Packet:
    """The next packet of these kinds; NOOPs and the like are passed over. Raises `OSError` at the end."""
    while True:
        packet = connection.readPacket()
        if packet is None:
            raise ConnectionResetError("the server closed the connection")
        if packet.ptype in kinds:
            return packet
        if packet.ptype == constants.ERROR:
            raise gear.GearmanError(packet.data.decode("utf-8", "replace"))


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
