"""What the real servers of the tests have in common: each is started, stopped and killed by its own pid."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
from pathlib import Path

from tests.support.process import ending_with_us
from tests.support.wait import wait_for


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Server:
    """One server. `start`, `stop` and `kill` may be repeated; where it listens stays the same.

    A subclass says with what `argv` it is started and whether it `answers`. `log` is what it writes, if it does;
    `patience` the seconds that it may take to answer, or to end.
    """

    name: str
    patience = 30.0
    log: Path | None = None
    process: subprocess.Popen[bytes] | None = None

    def argv(self) -> list[str]:
        """The program and its arguments."""
        raise NotImplementedError

    def answers(self) -> bool:
        """Whether it does. May raise OSError while it does not."""
        raise NotImplementedError

    @property
    def runs(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        """Start the server unless it runs, and wait until it answers."""
        if self.runs:
            return
        self.process = subprocess.Popen(
            [*ending_with_us(), *self.argv()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_for(self._is_up, self.patience, f"{self.name} answers")

    def _is_up(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            log = self.log.read_text(errors="replace") if self.log and self.log.exists() else "(no log)"
            raise AssertionError(f"{self.name} ended with {self.process.returncode}:\n{log[-4000:]}")
        with contextlib.suppress(OSError):
            return self.answers()
        return False

    def stop(self) -> None:
        """An orderly end, as a restart of the service does it."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """The end without warning: what a crash or the memory killer does."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """It accepts connections and says nothing, as a server that swaps does; `thaw` ends that."""
        self.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.send_signal(signal.SIGCONT)

    def send_signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def _end(self, how: signal.Signals) -> None:
        if self.process is not None and self.runs:
            self.thaw()
            self.send_signal(how)
            try:
                self.process.wait(self.patience)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process = None
