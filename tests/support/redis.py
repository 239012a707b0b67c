"""A real Redis server on a socket of its own, in memory only, started and stopped by its own pid."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path

from tests.support.need import missing
from tests.support.process import ending_with_us
from tests.support.sockets import socket_path
from tests.support.wait import wait_for


def _program(folder: Path) -> str:
    """The server. Debian's redis-tools has it under the name of a tool that is the same program; the package
    redis-server only adds this link, and a service that it starts."""
    server = folder / "redis-server"
    if not server.exists():
        path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
        found = shutil.which("redis-server", path=path) or shutil.which("redis-check-rdb", path=path)
        if found is None:
            missing("redis-server is not installed; script/bootstrap installs it (Debian package redis-tools)")
        server.symlink_to(found)
    return str(server)


class Redis:
    """One server. `start` and `stop` may be repeated; what it held is gone then."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.socket = socket_path(folder, "redis.sock")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server unless it runs, and wait until it answers."""
        if self._process is not None and self._process.poll() is None:
            return
        options = {"port": "0", "unixsocket": str(self.socket), "save": "", "appendonly": "no", "dir": str(self.folder)}
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        self._process = subprocess.Popen(
            [*ending_with_us(), _program(self.folder), *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_for(self._answers, 30, "Redis answers")

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"redis-server ended with {self._process.returncode}"
        with contextlib.suppress(OSError):
            return self.command("PING") == "+PONG"
        return False

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def command(self, *words: str) -> str | None:
        """One command; its answer as a line, of a bulk string the string, None where there is none."""
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as connection:
            connection.settimeout(10)
            connection.connect(str(self.socket))
            parts = [word.encode() for word in words]
            connection.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts))
            with connection.makefile("rb") as answer:
                line = answer.readline().decode().rstrip("\r\n")
                if not line.startswith("$"):
                    return line
                return None if line == "$-1" else answer.read(int(line[1:])).decode()
