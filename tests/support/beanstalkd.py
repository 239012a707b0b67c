"""A real beanstalkd on loopback, started and stopped by its own pid."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Sequence
from pathlib import Path

import greenstalk

from tests.support.need import require
from tests.support.server import Server, free_port


class Beanstalkd(Server):
    """One server. The port stays the same, and so does the binlog. Its end is always a sudden one."""

    name = "beanstalkd"
    host = "127.0.0.1"

    def __init__(self, binlog: Path | None = None, options: Sequence[str] = ()) -> None:
        self.port = free_port()
        self.binlog = binlog
        self.options = list(options)

    @property
    def address(self) -> str:
        """What ABW_BEANSTALKD is set to."""
        return f"{self.host}:{self.port}"

    def argv(self) -> list[str]:
        persistent: list[str] = []
        if self.binlog is not None:
            self.binlog.mkdir(parents=True, exist_ok=True)
            persistent = ["-b", str(self.binlog)]
        listen = ["-l", self.host, "-p", str(self.port)]
        return [require("beanstalkd", "beanstalkd"), *listen, *persistent, *self.options]

    def answers(self) -> bool:
        with self.client():
            return True

    def drain(self) -> None:
        """It takes no more jobs."""
        self.send_signal(signal.SIGUSR1)

    def client(self, tube: str = "default") -> greenstalk.Client[bytes]:
        client: greenstalk.Client[bytes] = greenstalk.Client(
            (self.host, self.port), encoding=None, use=tube, watch=tube
        )
        return client

    def take_all(self, tube: str) -> list[greenstalk.Job[bytes]]:
        """Every job that is ready in a tube, reserved and deleted, in the order it is handed out."""
        taken = []
        with self.client(tube) as client, contextlib.suppress(greenstalk.TimedOutError):
            while True:
                job = client.reserve(timeout=0)
                client.delete(job)
                taken.append(job)
        return taken

    def holds(self) -> str:
        """All that it tells of itself and of its tubes."""
        with self.client() as client:
            return str([client.stats(), *(client.stats_tube(tube) for tube in client.tubes())])

    def waiting(self, tube: str) -> int:
        """How many jobs are ready in a tube."""
        with self.client() as client:
            try:
                return int(client.stats_tube(tube)["current-jobs-ready"])
            except greenstalk.NotFoundError:
                return 0
