"""What every runner needs so that another thread can end its run."""

from __future__ import annotations

import threading

from wpbg.job import Ending, Outcome
from wpbg.runners.base import Stop
from wpbg.runners.exchange import Run
from wpbg.runners.process import PhpProcess


class Stoppable:
    """Keeps what is under way: nothing, a process that boots, or a run."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._booting: PhpProcess | None = None
        self._run: Run | None = None
        self._stop: Stop | None = None

    def arm(self) -> None:
        """See `Runner.arm`."""
        with self._lock:
            self._stop = None

    def stop(self, reason: Stop) -> None:
        """See `Runner.stop`."""
        with self._lock:
            self._stop = reason if self._stop is None else max(self._stop, reason)
            if self._run is not None:
                self._run.stop(reason)
            elif self._booting is not None:
                self._booting.kill()  # No job has begun in it.

    def starting(self, process: PhpProcess) -> None:
        """A process boots for a job."""
        with self._lock:
            self._booting = process
            if self._stop is not None:
                process.kill()

    def running(self, run: Run) -> None:
        """A run begins."""
        with self._lock:
            self._booting, self._run = None, run
            if self._stop is not None:
                run.stop(self._stop)

    def done(self) -> None:
        """Nothing is under way any more."""
        with self._lock:
            self._booting = self._run = None

    def stopped_outcome(self) -> Outcome | None:
        """The outcome of a job that was stopped before it began."""
        if self._stop is None:
            return None
        return Outcome(Ending.CANCELLED if self._stop is Stop.CANCEL else Ending.INTERRUPTED)
