"""The restart lifetime: every job in a process that has just booted WordPress."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from wpbg.errors import NotStarted, SiteError
from wpbg.job import Ending, Job, JobError, Outcome
from wpbg.runners.base import Limits, Listener, Stop
from wpbg.runners.exchange import Run, greet
from wpbg.runners.process import PhpProcess
from wpbg.runners.wire import MARKER


@dataclass(frozen=True)
class Boot:
    """How a PHP process with the bridge in it is started."""

    argv: Sequence[str]
    cwd: Path
    env: Mapping[str, str]


class RestartRunner:
    """Starts PHP for each job. `boot` says how, for the blog of the job (0: the site's main one)."""

    def __init__(self, boot: Callable[[int], Boot], time_limit: int, limits: Limits | None = None) -> None:
        self._boot, self._time_limit, self._limits = boot, time_limit, limits or Limits()
        self._lock = threading.Lock()
        self._process: PhpProcess | None = None
        self._run: Run | None = None
        self._stop: Stop | None = None

    def arm(self) -> None:
        """See `Runner.arm`."""
        with self._lock:
            self._stop = None

    def run(self, job: Job, listener: Listener) -> Outcome:
        """See `Runner.run`."""
        try:
            how = self._boot(job.blog_id)
            nonce = os.urandom(MARKER)
            process = PhpProcess(how.argv, how.cwd, how.env, nonce)
        except (NotStarted, SiteError) as error:
            return Outcome(Ending.NOT_STARTED, error=JobError(type(error).__name__, error.message))
        try:
            return self._run_in(process, nonce, job, listener)
        finally:
            with self._lock:
                self._process = self._run = None
            process.close()

    def _run_in(self, process: PhpProcess, nonce: bytes, job: Job, listener: Listener) -> Outcome:
        with self._lock:
            self._process = process
            if self._stop is not None:
                process.kill()
        try:
            greet(process, nonce, "restart", self._limits)
            process.drop_errors()
        except NotStarted as error:
            process.kill()
            if self._stop is not None:
                return Outcome(Ending.CANCELLED if self._stop is Stop.CANCEL else Ending.INTERRUPTED)
            return Outcome(Ending.NOT_STARTED, error=JobError("NotStarted", error.message))
        timeout = self._time_limit if job.timeout is None else job.timeout
        run = Run(process, job, max(timeout, 0), self._limits, listener)
        with self._lock:
            self._run = run
            if self._stop is not None:
                run.stop(self._stop)
        try:
            outcome = run.one_shot()
        except BaseException:
            process.kill()
            raise
        if outcome.ending not in (Ending.COMPLETED, Ending.FAILED):
            process.kill()  # Whatever it started went wrong with it.
        return outcome

    def stop(self, reason: Stop) -> None:
        """See `Runner.stop`."""
        with self._lock:
            self._stop = reason if self._stop is None else max(self._stop, reason)
            if self._run is not None:
                self._run.stop(reason)
            elif self._process is not None:
                self._process.kill()  # Still booting: no job has begun.

    def recycle(self) -> None:
        """Nothing outlives a job here."""

    def close(self) -> None:
        """End a run that is under way."""
        self.stop(Stop.NOW)
