"""A real gearmand on loopback, started and stopped by its own pid."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.mariadb import free_port
from tests.support.need import require
from tests.support.process import ending_with_us
from tests.support.wait import wait_for

_REQUEST = b"\0REQ"
_CAN_DO, _GRAB_JOB_UNIQ, _NO_JOB, _JOB_ASSIGN_UNIQ, _WORK_COMPLETE = 1, 30, 10, 31, 13


@dataclass(frozen=True)
class Workload:
    """A job as gearmand handed it out."""

    function: bytes
    unique: bytes
    body: bytes


class Gearmand:
    """One server. `start`, `stop` and `kill` may be repeated; the port stays the same."""

    host = "127.0.0.1"

    def __init__(self, folder: Path, options: Sequence[str] = ()) -> None:
        self.folder = folder
        self.log = folder / "gearmand.log"
        self.port = free_port()
        self.options = list(options)
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """One entry of $gearman_servers."""
        return f"{self.host}:{self.port}"

    def start(self) -> None:
        """Start the server unless it runs, and wait until it answers."""
        if self.process is not None and self.process.poll() is None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        as_root = ["--user=root"] if os.geteuid() == 0 else []
        listen = [f"--listen={self.host}", f"--port={self.port}", f"--log-file={self.log}"]
        self.process = subprocess.Popen(
            [
                *ending_with_us(),
                require("gearmand", "gearman-job-server"),
                *listen,
                f"--pid-file={self.folder / 'pid'}",
                *as_root,
                *self.options,
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_for(self._answers, 30, "gearmand answers")

    def _answers(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            log = self.log.read_text(errors="replace") if self.log.exists() else "(no log)"
            raise AssertionError(f"gearmand ended with {self.process.returncode}:\n{log[-4000:]}")
        with contextlib.suppress(OSError):
            return self.admin("version").startswith("OK")
        return False

    def stop(self) -> None:
        """An orderly end."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """It accepts connections and says nothing; `thaw` ends that."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def _end(self, how: signal.Signals) -> None:
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(how)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process = None

    def admin(self, command: str) -> str:
        """The first line of the answer to a command of its text protocol."""
        with socket.create_connection((self.host, self.port), 5) as connection:
            connection.sendall(command.encode() + b"\n")
            with connection.makefile("rb") as answer:
                return answer.readline().decode()

    def waiting(self, function: str) -> int:
        """How many jobs of a function are in it."""
        with socket.create_connection((self.host, self.port), 5) as connection:
            connection.sendall(b"status\n")
            with connection.makefile("rb") as answer:
                for line in answer:
                    if line == b".\n":
                        break
                    name, total, *_ = line.decode().split("\t")
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
