"""A connection to gearmand: packets of the gear library, and the administrative command `status`."""

from __future__ import annotations

import contextlib
import struct
from typing import BinaryIO, NamedTuple, cast

import gear
from gear import constants

from wpbg.queues.address import connect
from wpbg.queues.envelope import BODY_LIMIT

TIMEOUT = 2.0
"""Seconds for the connection, and for each answer. Jobs wait in the table meanwhile, and may not wait long."""

DEFAULT_PORT = 4730

HEAD = struct.Struct("!4sII")
"""Before a packet's data: direction, kind, bytes."""

NAMES = 65536
"""Bytes that are read beyond a body: handle, function and unique key come in front of it."""


class Connection:
    """gear's packets on a socket of our own: its connection has no time limit, and reads large bodies slowly."""

    def __init__(self, server: str) -> None:
        # With TCP_NODELAY: else each answer waits for the server's delayed acknowledgement, 23 jobs a second.
        self._socket = connect(server, DEFAULT_PORT, TIMEOUT)
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


class Function(NamedTuple):
    """A line of `status`: a function, how many jobs of it there are, and how many of them workers have."""

    name: str
    total: int
    taken: int


def status(server: str) -> list[Function]:
    """All functions that a server knows. Raises `OSError`, `ValueError`."""
    with contextlib.closing(connect(server, DEFAULT_PORT, TIMEOUT)) as admin:
        admin.sendall(b"status\n")
        said = b""
        while not (said == b".\n" or said.endswith(b"\n.\n")):
            more = admin.recv(65536)
            if not more:
                raise ConnectionResetError("the server closed the connection")
            said += more
    lines = [line.split("\t") for line in said.decode("utf-8", "replace").splitlines()[:-1]]
    return [Function(line[0], int(line[1]), int(line[2])) for line in lines if len(line) == 4]
