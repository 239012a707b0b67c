"""One slot: reserve, run, settle. The only file that touches both a queue and a runner."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from wpbg.errors import QueueUnreachable
from wpbg.job import Ending, Lease, Outcome, Progress
from wpbg.log import Log, one_line
from wpbg.queues.base import Queue
from wpbg.runners.base import Runner, Stop
from wpbg.settle import Decision, Finish, Release, Retry, decide

PROGRESS_EVERY = 0.5
"""Seconds between two writes of a job's progress."""

START_BACKOFF = 60.0
"""Seconds a slot waits at most while its PHP processes do not start."""


@dataclass
class SlotState:
    """What a slot is at, for the workers' list."""

    state: str = "idle"
    job_id: str | None = None
    jobs_done: int = 0
    memory_bytes: int = 0


class Control:
    """What the pool tells its slots: whether to go on, and that there may be work."""

    def __init__(self, idle_min: float = 0.05, idle_max: float = 1.0, between: float = 0.0) -> None:
        self.idle_min, self.idle_max, self.between = idle_min, max(idle_max, idle_min), between
        self.stopping = threading.Event()
        self.abandon = threading.Event()
        """Set when even recording an outcome may not be waited for any more."""
        self._bell = threading.Condition()
        self._rung = 0

    def ring(self) -> None:
        """Wake every idle slot."""
        with self._bell:
            self._rung += 1
            self._bell.notify_all()

    def wait(self, seconds: float) -> None:
        """Wait for a ring, at most so long."""
        with self._bell:
            rung = self._rung
            self._bell.wait_for(lambda: self._rung != rung or self.stopping.is_set(), seconds)

    def stop(self) -> None:
        """No slot takes another job."""
        self.stopping.set()
        self.ring()


class Slot:
    """Works one queue connection with one runner, in one thread."""

    def __init__(
        self,
        name: str,
        queue: Queue,
        runner: Runner,
        control: Control,
        log: Log,
        on_settled: Callable[[Outcome, Decision], None] = lambda outcome, decision: None,
    ) -> None:
        self.name, self.runner, self.state = name, runner, SlotState()
        self._queue, self._control, self._log, self._on_settled = queue, control, log, on_settled
        self._lease: Lease | None = None
        self._lock = threading.Lock()
        self._failed_starts = 0
        self._random = random.Random()

    # -- asked by the pool ------------------------------------------------------------------------------------

    @property
    def lease(self) -> Lease | None:
        """The lease that is being worked on."""
        return self._lease

    @property
    def idle(self) -> bool:
        return self._lease is None and self.state.state == "idle"

    def stop_job(self, reason: Stop, lease: Lease | None = None) -> None:
        """End the run under way (with `lease`: only if it is that one)."""
        with self._lock:
            if self._lease is not None and lease in (None, self._lease):
                self.runner.stop(reason)

    # -- the work ---------------------------------------------------------------------------------------------

    def work(self) -> None:
        """Take jobs until the pool says stop."""
        wait = self._control.idle_min
        while not self._control.stopping.is_set():
            leases = self._reserve()
            if leases:
                wait = self._control.idle_min
                for lease in leases:
                    self._execute(lease)
                if self._control.between:
                    self._control.stopping.wait(self._control.between)
                continue
            self._control.wait(wait)
            wait = min(wait * 2, self._control.idle_max)

    def work_once(self) -> Outcome | None:
        """Take one job if there is one; its outcome."""
        outcome = None
        for lease in self._queue.reserve(1, self.name):
            outcome = self._execute(lease)
        return outcome

    def close(self) -> None:
        self.runner.close()
        self._queue.close()

    def _reserve(self) -> list[Lease]:
        """The next job. When the server cannot be reached, waits for it, and says so once."""
        pause, said = 0.5, False
        while not self._control.stopping.is_set():
            try:
                # "running" before asking: a slot that may be about to get a job is not an idle one.
                self.state.state = "running"
                leases = self._queue.reserve(1, self.name)
                if not leases:
                    self.state.state = "idle"
                if said:
                    self._log.event("queue.back", "The queue's server is back; going on.", slot=self.name)
                return leases
            except QueueUnreachable as error:
                if not said:
                    self._log.event("queue.lost", f"{error.message} Trying again until it is back.", slot=self.name)
                said = True
                self._control.stopping.wait(pause)
                pause = min(pause * 2, 5.0)
        self.state.state = "idle"
        return []

    def _execute(self, lease: Lease) -> Outcome:
        """Run one leased job and record how it ended."""
        job = lease.job
        with self._lock:
            self.runner.arm()
            self._lease = lease
        self.state.state, self.state.job_id = "running", job.id
        try:
            outcome = self.runner.run(job, _Listener(self, lease))
            self.state.memory_bytes = outcome.memory_bytes or self.state.memory_bytes
            decision = decide(job, outcome, self._random.random)
            if self._settle(lease, decision, outcome):
                self.state.jobs_done += not isinstance(decision, Release)
                self._on_settled(outcome, decision)
        finally:
            with self._lock:
                self._lease = None
            self.state.state, self.state.job_id = "idle", None
        self._mind_the_start(outcome)
        return outcome

    def _settle(self, lease: Lease, decision: Decision, outcome: Outcome) -> bool:
        """Record the outcome; not even a lost server makes us forget it, until there is no more time."""
        pause = 0.5
        while True:
            try:
                settled = self._queue.settle(lease, decision, outcome)
                break
            except QueueUnreachable as error:
                if pause == 0.5:
                    self._say(
                        lease,
                        "job.unsettled",
                        f"{error.message} Its outcome is kept and recorded when it is back.",
                    )
                if self._control.abandon.is_set():
                    self._say(lease, "job.abandoned", "Its outcome could not be recorded: it will run again.")
                    return False
                self._control.abandon.wait(pause)
                pause = min(pause * 2, 5.0)
        if not settled:
            self._say(
                lease,
                "job.lease_lost",
                "Another worker has it by now, or it was deleted; this run changes nothing.",
            )
            return False
        self._say(lease, *_sentence(decision, outcome), ending=outcome.ending.value, runtime_ms=outcome.runtime_ms)
        return True

    def _mind_the_start(self, outcome: Outcome) -> None:
        """PHP that does not start is asked for less and less often."""
        if outcome.ending is not Ending.NOT_STARTED:
            self._failed_starts = 0
            return
        wait = min(2.0**self._failed_starts, START_BACKOFF)
        self._failed_starts += 1
        why = outcome.error.message if outcome.error else "PHP did not start."
        self._log.event(
            "php.not_started",
            f"{why} The job went back uncounted; trying again in {wait:g} s.",
            slot=self.name,
        )
        self._control.stopping.wait(wait)

    def _say(self, lease: Lease, name: str, message: str, **fields: object) -> None:
        job = lease.job
        self._log.event(
            name,
            message,
            id=job.id,
            queue=job.queue,
            callback=job.callback,
            attempt=f"{job.attempt}/{job.max_attempts}",
            slot=self.name,
            **fields,
        )

    def report_progress(self, lease: Lease, progress: Progress) -> None:
        """Show progress if the server answers; it is no reason to wait for it."""
        with contextlib.suppress(QueueUnreachable):
            self._queue.progress(lease, progress)

    def report_started(self, lease: Lease, pid: int) -> None:
        self._say(lease, "job.started", "", pid=pid)


class _Listener:
    """Passes on what a runner hears, progress at most every half second."""

    def __init__(self, slot: Slot, lease: Lease) -> None:
        self._slot, self._lease = slot, lease
        self._next = 0.0

    def started(self, pid: int) -> None:
        self._slot.report_started(self._lease, pid)

    def progress(self, progress: Progress) -> None:
        now = time.monotonic()
        if now >= self._next:
            self._next = now + PROGRESS_EVERY
            self._slot.report_progress(self._lease, progress)


def _sentence(decision: Decision, outcome: Outcome) -> tuple[str, str]:
    """The event's name and the line that says the consequence."""
    why = one_line(f"{outcome.error.class_name}: {outcome.error.message}") if outcome.error else ""
    if isinstance(decision, Retry):
        seconds = decision.delay_ms / 1000
        again = "Runs again at once." if seconds < 1 else f"Runs again in {seconds:.0f} s."
        return "job.retry", f"{why} {again}".strip()
    if isinstance(decision, Release):
        return "job.released", f"{why} Back in its queue; the attempt is not counted.".strip()
    assert isinstance(decision, Finish)
    if decision.status.value == "failed":
        return "job.failed", f"{why} No attempt is left.".strip()
    return f"job.{decision.status.value}", outcome.note or ""
