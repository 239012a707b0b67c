"""A real gearmand on loopback, started and stopped by its own pid."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.need import require
from tests.support.server import Server, free_port

_REQUEST = b"\0REQ"
_CAN_DO, _GRAB_JOB_UNIQ, _NO_JOB, _JOB_ASSIGN_UNIQ, _WORK_COMPLETE = 1, 30, 10, 31, 13


@dataclass(frozen=True)
class Workload:
    """A job as gearmand handed it out."""

    function: bytes
    unique: bytes
    body: bytes


class Gearmand(Server):
    """One server; the port stays the same."""

    name = "gearmand"
    host = "127.0.0.1"

    def __init__(self, folder: Path, options: Sequence[str] = ()) -> None:
        self.folder = folder
        self.log = folder / "gearmand.log"
        self.port = free_port()
        self.options = list(options)

    @property
    def address(self) -> str:
        """One entry of $gearman_servers."""
        return f"{self.host}:{self.port}"

    def argv(self) -> list[str]:
        self.folder.mkdir(parents=True, exist_ok=True)
        as_root = ["--user=root"] if os.geteuid() == 0 else []
        listen = [f"--listen={self.host}", f"--port={self.port}", f"--log-file={self.log}"]
        program = require("gearmand", "gearman-job-server")
        return [program, *listen, f"--pid-file={self.folder / 'pid'}", *as_root, *self.options]

    def answers(self) -> bool:
        return self.admin("version").startswith("OK")

    def admin(self, command: str) -> str:
        """The first line of the answer to a command of its text protocol."""
        with socket.create_connection((self.host, self.port), 5) as connection:
            connection.sendall(command.encode() + b"\n")
            with connection.makefile("rb") as answer:
                return answer.readline().decode()

    def holds(self) -> str:
        """All that it tells of its functions: a line each, name, jobs, those that run, workers."""
        with socket.create_connection((self.host, self.port), 5) as connection:
            connection.sendall(b"status\n")
            with connection.makefile("r") as answer:
                return "".join(iter(answer.readline, ".\n"))

    def waiting(self, function: str) -> int:
        """How many jobs of a function are in it."""
        for line in self.holds().splitlines():
            name, total, *_ = line.split("\t")
            if name == function:
                return int(total)
        return 0

    def take_all(self, function: str) -> list[Workload]:
        """Every job of a function, in the order it is handed out, and done with."""
        taken: list[Workload] = []
        with (
            socket.create_connection((self.host, self.port), 5) as connection,
            connection.makefile("rwb") as stream,
        ):

            def say(kind: int, data: bytes = b"") -> None:
                stream.write(_REQUEST + kind.to_bytes(4, "big") + len(data).to_bytes(4, "big") + data)
                stream.flush()

            say(_CAN_DO, function.encode())
            while True:
                say(_GRAB_JOB_UNIQ)
                head = stream.read(12)
                kind, data = int.from_bytes(head[4:8], "big"), stream.read(int.from_bytes(head[8:], "big"))
                if kind == _NO_JOB:
                    return taken
                assert kind == _JOB_ASSIGN_UNIQ, f"gearmand answered {kind}: {data!r}"
                handle, name, unique, body = data.split(b"\0", 3)
                taken.append(Workload(name, unique, body))
                say(_WORK_COMPLETE, handle + b"\0")
