"""A program on a terminal of its own: what it writes there, keys, the window's size."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import struct
import subprocess
import termios
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support.wait import wait_for

_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")


class Terminal:
    """Starts the command with stdin, stdout and stderr on a new pseudo-terminal, in a session of its own."""

    def __init__(
        self, argv: Sequence[str], env: Mapping[str, str], cwd: Path, *, columns: int = 80, lines: int = 40
    ) -> None:
        self._master, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.popen = subprocess.Popen(
            argv,
            env=dict(env),
            cwd=cwd,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # Ctrl-C then reaches it as on a real one.
        )
        os.close(slave)
        self._written = bytearray()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        with contextlib.suppress(OSError):  # EIO: the other end was closed.
            while data := os.read(self._master, 65536):
                self._written += data

    @property
    def raw(self) -> str:
        """Everything that was written so far."""
        return bytes(self._written).decode(errors="replace")

    @property
    def text(self) -> str:
        """The same without what commands the terminal; what was drawn over is still in it."""
        return _SEQUENCE.sub("", self.raw).replace("\r\n", "\n").replace("\r", "\n")

    def press(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def wait_for(self, words: str, timeout: float = 60) -> None:
        """Wait until it has written something."""
        wait_for(lambda: words in self.text, timeout, f"{words!r} in:\n{self.text}")

    def wait(self, timeout: float = 60) -> int:
        """The exit code; AssertionError with the screen when it has not ended in time."""
        try:
            code = self.popen.wait(timeout)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()
            raise AssertionError(f"still running after {timeout} s:\n{self.text}") from None
        self._reader.join(5)
        return code

    def hang_up(self) -> None:
        """Close the window."""
        os.close(self._master)
        self._master = -1

    def close(self) -> None:
        """End the program whatever it takes; for teardown."""
        if self.popen.poll() is None:
            self.popen.kill()
        self.popen.wait()
        self._reader.join(5)
        if self._master >= 0:
            self.hang_up()
