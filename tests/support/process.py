"""A `wpbg` process that runs beside the test: its log line by line, signals, an end for certain."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from tests.support.wait import wait_for


def ending_with_us() -> list[str]:
    """What to put in front of a command so that it gets TERM when the test run ends, be it by `kill -9`."""
    setpriv = shutil.which("setpriv")  # Linux has it; it becomes the command, so the pid stays.
    return [setpriv, "--pdeathsig", "TERM", "--"] if setpriv else []


class WorkerProcess:
    """Starts the command in a session of its own, so that a signal here reaches nothing else."""

    def __init__(self, argv: Sequence[str], env: Mapping[str, str], cwd: Path) -> None:
        self.argv = list(argv)
        self.lines: list[str] = []
        """What it wrote so far, on both streams, without line ends."""
        self.heard: list[tuple[float, str]] = []
        """The same lines, each with when it was read, in `time.monotonic`."""
        self.stdout_lines: list[str] = []
        self.stderr_lines: list[str] = []
        self.popen = subprocess.Popen(
            [*ending_with_us(), *self.argv],
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        assert self.popen.stdout is not None
        assert self.popen.stderr is not None
        self._readers = [
            self._read(self.popen.stdout, self.stdout_lines),
            self._read(self.popen.stderr, self.stderr_lines),
        ]

    def _read(self, stream: IO[bytes], lines: list[str]) -> threading.Thread:
        def read() -> None:
            with stream:
                for line in stream:
                    text = line.decode(errors="replace").rstrip("\r\n")
                    lines.append(text)
                    self.heard.append((time.monotonic(), text))
                    self.lines.append(text)

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        return reader

    @property
    def pid(self) -> int:
        return self.popen.pid

    @property
    def log(self) -> str:
        return "\n".join(self.lines)

    @property
    def returncode(self) -> int | None:
        return self.popen.poll()

    def wait(self, timeout: float = 60) -> int:
        """The exit code; AssertionError with the log when it has not ended in time."""
        try:
            code = self.popen.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {timeout} s: {self.argv}\n{self.log}") from None
        for reader in self._readers:
            reader.join(5)  # a child that lives on may hold the pipe
        return code

    def wait_for_line(self, pattern: str, timeout: float = 30) -> str:
        """The first line of its log, past ones included, that matches."""

        def match() -> str | None:
            found = next((line for line in list(self.lines) if re.search(pattern, line)), None)
            if found is None and self.popen.poll() is not None:
                for reader in self._readers:
                    reader.join(5)
                found = next((line for line in self.lines if re.search(pattern, line)), None)
                assert found, f"ended with {self.popen.returncode} without a line {pattern!r}:\n{self.log}"
            return found

        return wait_for(match, timeout, f"a line {pattern!r} in:\n{self.log}") or ""

    def send_signal(self, number: int) -> None:
        self.popen.send_signal(number)

    def terminate(self) -> None:
        self.popen.terminate()

    def interrupt(self) -> None:
        """Ctrl-C on a terminal: SIGINT to the whole process group."""
        if self.popen.poll() is None:
            os.killpg(self.popen.pid, signal.SIGINT)

    def kill(self) -> None:
        """SIGKILL to the worker alone; what it started is not told."""
        self.popen.kill()

    def stop(self) -> None:
        """End it whatever it takes; for teardown. Its log goes to the test's captured output."""
        if self.popen.poll() is None:
            self.popen.kill()
        self.popen.wait()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.popen.pid, signal.SIGKILL)
        for reader in self._readers:
            reader.join(5)
        print(f"$ {' '.join(self.argv)}\n{self.log}\n(exit code {self.popen.returncode})")


def kill_marked(variable: str, value: str) -> list[int]:
    """SIGKILL every process that has `variable=value` in its environment, and return their pids.

    For what a killed worker left behind: only processes that the test gave the mark to have it.
    """
    mark = f"{variable}={value}".encode()
    killed = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark in (folder / "environ").read_bytes().split(b"\0"):
                os.kill(int(folder.name), signal.SIGKILL)
                killed.append(int(folder.name))
    return killed
