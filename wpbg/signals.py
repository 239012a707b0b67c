"""The signals of a worker, and what wakes its own thread."""

from __future__ import annotations

import contextlib
import os
import select
import signal
from types import FrameType


class Waker:
    """Wakes one waiting thread, from threads and from signal handlers.

    An Event will not do: its lock may be held by the very code that the handler interrupts.
    """

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)

    def catch_signals(self) -> None:
        """Every signal that has a handler wakes as well."""
        signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)

    def set(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.write(self._write, b".")

    def wait(self, seconds: float) -> None:
        if select.select([self._read], [], [], seconds)[0]:
            with contextlib.suppress(BlockingIOError):
                os.read(self._read, 4096)

    def close(self) -> None:
        with contextlib.suppress(ValueError):
            signal.set_wakeup_fd(-1)
        os.close(self._read)
        os.close(self._write)


class Signals:
    """TERM, INT and HUP as they came in, from `install` to `retire`; both only from the main thread."""

    def __init__(self) -> None:
        self.ends: list[str] = []
        """The names of those that ask for the end, in their order."""
        self._hangups = 0
        self._installed = False

    def install(self, waker: Waker) -> None:
        """Note them from here on; each wakes."""
        self._installed = True
        waker.catch_signals()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._note)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        # Only notes it: a handler runs in the middle of anything, also of a log line.
        if number == signal.SIGHUP:
            self._hangups += 1
        else:
            self.ends.append(signal.Signals(number).name)

    def hung_up(self) -> bool:
        """Whether HUP has come since this was asked last."""
        hangups, self._hangups = self._hangups, 0
        return hangups > 0

    def retire(self) -> None:
        """At its end Python puts the default back, which would kill: a window that closes late, a reload."""
        if self._installed:
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
