"""Gearman as a fast lane, shared with WP Gears and WP Minions. Protocol: gearman.org; packets: the gear library."""

from __future__ import annotations

import contextlib
import hashlib
import re
import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import gear
from gear import constants

from wpbg.errors import QueueUnreachable
from wpbg.queues.base import Capability
from wpbg.queues.envelope import Envelope, Seal
from wpbg.queues.gearman_connection import Connection, Function, status
from wpbg.queues.gearman_servers import Servers
from wpbg.queues.lane import Taken
from wpbg.queues.minions import from_minions

GET_STATUS_UNIQUE, STATUS_RES_UNIQUE = 41, 42
"""Packets that gearmand has and the library does not name."""

MAX_BODY = 4_000_000
"""Bytes of a job that goes by Gearman: below what every database takes in one statement."""

SUBMIT = {-1: constants.SUBMIT_JOB_HIGH_BG, 0: constants.SUBMIT_JOB_BG, 1: constants.SUBMIT_JOB_LOW_BG}

DISCARDED = 200
"""Jobs that are taken and thrown away in one go."""

RANDOM_KEY = re.compile(rb"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
"""What libgearman makes for a job whose sender gives it no unique key: a UUID."""


@dataclass(frozen=True)
class Handle:
    """What a job is acknowledged by: the connection that it was assigned to, and its name there."""

    server: str
    queue: str
    function: str
    name: bytes
    unique: bytes


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

    def __init__(
        self, servers: Sequence[str] | Servers, salt: str, shared: str | None = None, shared_queue: str = "default"
    ) -> None:
        self._servers = servers if isinstance(servers, Servers) else Servers(servers)
        self._salt, self._shared, self._shared_queue = salt, shared, shared_queue
        self._open: dict[tuple[str, str], Connection] = {}

    def functions(self, queue: str) -> list[str]:
        """The functions whose jobs belong to a queue."""
        shared = [self._shared] if self._shared is not None and queue == self._shared_queue else []
        return [f"{self._salt}:wpbg:{queue}", *shared]

    def take(self, queues: Sequence[str], limit: int) -> list[Taken]:
        taken: list[Taken] = []
        for queue in queues:
            taken += self._take_of(queue, limit - len(taken))
            if len(taken) >= limit:
                break
        return taken

    def _take_of(self, queue: str, limit: int) -> list[Taken]:
        taken: list[Taken] = []

        def take(server: str) -> list[Taken]:
            return self._take_from(server, queue, limit - len(taken))

        for found in self._servers.each(take):
            taken += found
            if len(taken) >= limit:
                break
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
        lost: QueueUnreachable | None = None
        for (server, queue), of_connection in packets.items():
            connection = self._open.get((server, queue))
            if connection is None:
                continue  # It went away meanwhile, and what it had assigned is delivered again.
            try:
                with self._guard(server, queue):
                    connection.send(*of_connection)
            except QueueUnreachable as error:
                lost = error  # The other servers hear of theirs all the same.
        if lost is not None:
            raise lost

    def open(self, taken: Taken, seal: Seal) -> Envelope:
        handle = taken.handle
        assert isinstance(handle, Handle)
        # Nothing unsigned comes in by the functions that are ours alone.
        if handle.function == self._shared and taken.body.lstrip()[:1] == b"{":
            return from_minions(taken.body, taken.queue, identity_of(handle))
        return seal.open(taken.body)

    def put(self, queue: str, body: bytes, priority: int, unique: str) -> str | None:
        if len(body) > MAX_BODY:
            return None
        packet = SUBMIT[(priority > 0) - (priority < 0)], self._job(queue, body, unique)
        for _ in self._servers.each(lambda server: self._submit(server, queue, packet)):
            break  # One has it.
        return "g"

    def _job(self, queue: str, body: bytes, unique: str) -> bytes:
        return b"\x00".join([self.functions(queue)[0].encode(), unique.encode(), body])

    def _submit(self, server: str, queue: str, packet: tuple[int, bytes]) -> None:
        with self._guard(server, queue):
            connection = self._connection(server, queue)
            connection.send(packet)
            connection.receive(constants.JOB_CREATED)

    def peek(self, native: int) -> bytes | None:
        """Gearman shows nothing of what waits in it."""
        return None

    def remove(self, native: int) -> bool:
        """Gearman deletes nothing of what waits in it."""
        return False

    def knows(self, unique: str) -> bool:
        """Whether a job with this unique key waits on one of the servers."""
        return any(list(self._servers.each(lambda server: self._has(server, unique))))

    def _has(self, server: str, unique: str) -> bool:
        with self._guard(server, self._shared_queue):
            connection = self._connection(server, self._shared_queue)
            connection.send((GET_STATUS_UNIQUE, unique.encode()))
            return bool(connection.receive(STATUS_RES_UNIQUE).getArgument(1) == b"1")

    def waiting(self, queues: Sequence[str]) -> int:
        found = self._sums(lambda function: function.total - function.taken)
        return sum(found.get(queue, 0) for queue in dict.fromkeys(queues))

    def counts(self, known: Sequence[str]) -> dict[str, int]:
        found = self._sums(lambda function: function.total)
        return {queue: waiting for queue, waiting in found.items() if waiting > 0}

    def _sums(self, number: Callable[[Function], int]) -> Counter[str]:
        """A number of each queue's functions, from every server that answers."""
        found: Counter[str] = Counter()
        prefix = f"{self._salt}:wpbg:"
        for functions in self._servers.each(self._status):
            for function in functions:
                if function.name.startswith(prefix):
                    found[function.name.removeprefix(prefix)] += number(function)
                elif function.name == self._shared:
                    found[self._shared_queue] += number(function)
        return found

    def _status(self, server: str) -> list[Function]:
        try:
            return status(server)
        except (OSError, ValueError) as error:
            raise _unreachable(server, error) from error

    def discard(self, queue: str) -> int:
        discarded = 0
        for numbers in self._servers.each(lambda server: self._discard_from(server, queue)):
            discarded += numbers
        return discarded

    def _discard_from(self, server: str, queue: str) -> int:
        discarded = 0
        while taken := self._take_from(server, queue, DISCARDED):
            self.acknowledge(taken)
            discarded += len(taken)
        return discarded

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
    def _guard(self, server: str, queue: str) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError, gear.GearmanError) as error:
            lost = self._open.pop((server, queue), None)
            if lost is not None:
                lost.close()
            raise _unreachable(server, error) from error


def identity_of(handle: Handle) -> str:
    """By which a job without an envelope is known when it is delivered again."""
    if re.fullmatch(rb"[0-9a-f]{32}", handle.unique):
        return handle.unique.decode()  # Our own plugin's: it may have written the job to the table as well.
    if not handle.unique:
        return secrets.token_hex(16)
    # A key that somebody chose may be another job's later on, and so may a handle, once the server was started anew.
    place = b"" if RANDOM_KEY.fullmatch(handle.unique) else handle.server.encode() + b"\x00" + handle.name + b"\x00"
    return hashlib.sha256(place + handle.unique).hexdigest()[:32]


def _unreachable(server: str, error: Exception) -> QueueUnreachable:
    return QueueUnreachable(
        f"gearmand at {server} cannot be reached ({error or type(error).__name__}): start it, or check "
        "$gearman_servers in wp-config.php."
    )
