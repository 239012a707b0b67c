"""A real Redis server on a socket of its own, in memory only, started and stopped by its own pid."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
from pathlib import Path

from tests.support.need import missing
from tests.support.server import Server
from tests.support.sockets import socket_path


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


class Redis(Server):
    """One server. What it held is gone when it ends."""

    name = "redis-server"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.socket = socket_path(folder, "redis.sock")

    def argv(self) -> list[str]:
        options = {"port": "0", "unixsocket": str(self.socket), "save": "", "appendonly": "no", "dir": str(self.folder)}
        return [_program(self.folder), *(word for name, value in options.items() for word in (f"--{name}", value))]

    def answers(self) -> bool:
        return self.command("PING") == "+PONG"

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
