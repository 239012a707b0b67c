"""A real beanstalkd on loopback, started and stopped by its own pid."""

from __future__ import annotations

import contextlib
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

import greenstalk

from tests.support.mariadb import free_port
from tests.support.need import require
from tests.support.process import ending_with_us
from tests.support.wait import wait_for


class Beanstalkd:
    """One server. `start`, `stop` and `kill` may be repeated; the port stays the same, and so does the binlog."""

    host = "127.0.0.1"

    def __init__(self, binlog: Path | None = None, options: Sequence[str] = ()) -> None:
        self.port = free_port()
        self.binlog = binlog
        self.options = list(options)
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """What ABW_BEANSTALKD is set to."""
        return f"{self.host}:{self.port}"

    def start(self) -> None:
        """Start the server unless it runs, and wait until it answers."""
        if self.process is not None and self.process.poll() is None:
            return
        persistent: list[str] = []
        if self.binlog is not None:
            self.binlog.mkdir(parents=True, exist_ok=True)
            persistent = ["-b", str(self.binlog)]
        self.process = subprocess.Popen(
            [
                *ending_with_us(),
                require("beanstalkd", "beanstalkd"),
                "-l",
                self.host,
                "-p",
                str(self.port),
                *persistent,
                *self.options,
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_for(self._answers, 30, "beanstalkd answers")

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"beanstalkd ended with {self.process.returncode}"
        with contextlib.suppress(OSError), self.client():
            return True
        return False

    def stop(self) -> None:
        """The end, which for beanstalkd is always a sudden one."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """It accepts connections and says nothing, as a server that swaps does; `thaw` ends that."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def drain(self) -> None:
        """It takes no more jobs."""
        assert self.process is not None
        self.process.send_signal(signal.SIGUSR1)

    def _end(self, how: signal.Signals) -> None:
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(how)
            self.process.wait(30)
        self.process = None

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

    def waiting(self, tube: str) -> int:
        """How many jobs are ready in a tube."""
        with self.client() as client:
            try:
                return int(client.stats_tube(tube)["current-jobs-ready"])
            except greenstalk.NotFoundError:
                return 0
