"""One slot: reserve, run, settle. The only file that touches both a queue and a runner."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from wpbg.errors import QueueUnreachable
from wpbg.job import Ending, Lease, Outcome, Progress
from wpbg.log import Log, one_line, printed_lines
from wpbg.queues.base import Queue, Settlement
from wpbg.runners.base import Runner, Stop
from wpbg.settle import Decision, Finish, Release, Retry, decide
from wpbg.window import Window

PROGRESS_EVERY = 0.5
"""Seconds between two writes of a job's progress."""

PATIENCE = 0.5
"""Seconds a job may run before what was claimed behind it goes back."""

COMPANY = 0.05
"""Seconds an outcome waits for others, so that they are recorded in one go."""

HELD = Outcome(Ending.INTERRUPTED)
"""The outcome of a job that was claimed ahead and not run."""

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
        on_settled: Callable[[Settlement], None] = lambda item: None,
    ) -> None:
        self.name, self.runner, self.state = name, runner, SlotState()
        self._queue, self._control, self._log, self._on_settled = queue, control, log, on_settled
        self._window = Window(runner.window)
        self._lock = threading.Lock()
        self._lease: Lease | None = None
        self._lease_since = 0.0
        self._known_begun: Lease | None = None
        self._pid = 0
        self._batch_since = self._flushed_at = 0.0
        self._held: deque[Lease] = deque()
        self._unsettled: list[Settlement] = []
        self._failed_starts = 0
        self._random = random.Random()

    # -- asked by the pool ------------------------------------------------------------------------------------

    @property
    def running(self) -> Lease | None:
        """The lease that is being worked on."""
        return self._lease

    def leases(self) -> list[Lease]:
        """All that must not run out: the running one, those held behind it, those whose outcome is not recorded yet."""
        with self._lock:
            running = [self._lease] if self._lease is not None else []
            return [*running, *self._held, *(item.lease for item in self._unsettled)]

    def drop_held(self, lease: Lease) -> None:
        """A held lease that was lost, or that somebody cancelled, is not run."""
        with self._lock:
            if lease in self._held:
                self._held.remove(lease)
                self._unsettled.append(Settlement(lease, Release(), HELD))

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
            leases = self._reserve(self._window.size)
            if leases:
                wait = self._control.idle_min
                self._work_through(leases)
                continue
            self.runner.warm()
            self._control.wait(wait)
            wait = min(wait * 2, self._control.idle_max)

    def work_once(self) -> None:
        """Take one job if there is one, or if there is one once what is due has been looked after."""
        self._queue.tick()
        self._work_through(self._queue.reserve(1, self.name))

    def close(self) -> None:
        self.runner.close()
        self._queue.close()

    def _reserve(self, limit: int) -> list[Lease]:
        """The next jobs. When the server cannot be reached, waits for it, and says so once."""
        pause, said = 0.5, False
        while not self._control.stopping.is_set():
            try:
                # "running" before asking: a slot that may be about to get a job is not an idle one.
                self.state.state = "running"
                leases = self._queue.reserve(limit, self.name)
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

    def _work_through(self, leases: Sequence[Lease]) -> None:
        """Run the leased jobs one after the other and record how they ended."""
        done = 0
        self._batch_since = self._flushed_at = time.monotonic()
        with self._lock:
            self._held.extend(leases)
        while (lease := self._next()) is not None:
            outcome = self._execute(lease)
            done += 1
            if outcome.ending is Ending.NOT_STARTED:
                self._hand_back()
                self._flush()
                self._mind_the_start(outcome)
            elif self._due():
                self._flush()
            if self._control.between:
                self._control.stopping.wait(self._control.between)
        self._hand_back()
        self._flush()
        self.state.state = "idle"
        self._window.learn(done, time.monotonic() - self._batch_since)

    def _next(self) -> Lease | None:
        """The next job to run; none once the pool says stop, or when the earlier ones took their time."""
        with self._lock:
            late = time.monotonic() - self._batch_since > PATIENCE
            if not self._held or late or self._control.stopping.is_set():
                return None
            self.runner.arm()
            self._lease = self._held.popleft()
            self._lease_since = time.monotonic()
            self._pid = 0
            self.state.state, self.state.job_id = "running", self._lease.job.id
            return self._lease

    def _execute(self, lease: Lease) -> Outcome:
        """Run one job; its outcome waits to be recorded."""
        try:
            outcome = self.runner.run(lease.job, _Listener(self, lease))
        except BaseException:
            with self._lock:
                self._lease = None
            raise
        self._failed_starts = self._failed_starts if outcome.ending is Ending.NOT_STARTED else 0
        self.state.memory_bytes = outcome.memory_bytes or self.state.memory_bytes
        with self._lock:
            self._lease = None
            self.state.job_id = None
            self._unsettled.append(Settlement(lease, decide(lease.job, outcome, self._random.random), outcome))
        return outcome

    # -- recording ----------------------------------------------------------------------------------------------

    def _due(self) -> bool:
        """Whether outcomes have waited for company long enough."""
        return not self._held or time.monotonic() - self._flushed_at > COMPANY

    def _hand_back(self) -> None:
        """Jobs that were claimed ahead and will not be run go back uncounted."""
        with self._lock:
            while self._held:
                self._unsettled.append(Settlement(self._held.popleft(), Release(), HELD))

    def _take_unsettled(self) -> list[Settlement]:
        with self._lock:
            taken, self._unsettled = self._unsettled, []
            return taken

    def _flush(self) -> None:
        """Record outcomes; not even a lost server makes us forget them, until there is no more time."""
        items = self._take_unsettled()
        self._flushed_at = time.monotonic()
        pause = 0.5
        while items:
            try:
                self._settled(items, self._queue.settle_all(items))
                return
            except QueueUnreachable as error:
                if pause == 0.5:
                    for item in items:
                        message = f"{error.message} Its outcome is kept and recorded when it is back."
                        self._say(item.lease, "job.unsettled", message)
                if self._control.abandon.is_set():
                    for item in items:
                        self._say(item.lease, "job.abandoned", "Its outcome could not be recorded: it will run again.")
                    return
                self._control.abandon.wait(pause)
                pause = min(pause * 2, 5.0)

    def relieve(self, queue: Queue) -> None:
        """From the pool's thread, with its connection: nothing waits behind a long job.

        What was claimed ahead goes back, what is done is recorded, and the job is known to have begun. Raises
        `QueueUnreachable`; then all is as it was.
        """
        with self._lock:
            lease = self._lease
            if lease is None or time.monotonic() - self._lease_since < PATIENCE:
                return
        if self._known_begun is not lease:
            queue.began(lease)
            self._known_begun = lease
            if self._pid and not self._log.debug:
                self._say(lease, "job.started", "", pid=self._pid)
        self._hand_back()
        items = self._take_unsettled()
        if items:
            try:
                self._settled(items, queue.settle_all(items))
            except QueueUnreachable:
                with self._lock:
                    self._unsettled = items + self._unsettled
                raise

    def _settled(self, items: Sequence[Settlement], answers: Sequence[bool]) -> None:
        for item, settled in zip(items, answers, strict=True):
            if item.outcome is HELD:
                continue
            if not settled:
                message = "Another worker has it by now, or it was deleted; this run changes nothing."
                self._say(item.lease, "job.lease_lost", message)
                continue
            fields: dict[str, Any] = {"ending": item.outcome.ending.value, "runtime_ms": item.outcome.runtime_ms}
            self._say(item.lease, *_sentence(item.decision, item.outcome), **fields)
            if self._log.debug:
                for line in printed_lines(item.outcome.output):
                    self._say(item.lease, "job.output", line)
            self.state.jobs_done += not isinstance(item.decision, Release)
            self._on_settled(item)

    def _mind_the_start(self, outcome: Outcome) -> None:
        """PHP that does not start is asked for less and less often."""
        wait = min(2.0 ** min(self._failed_starts, 10), START_BACKOFF)
        self._failed_starts += 1
        why = outcome.error.message if outcome.error else "PHP did not start."
        self._log.event(
            "php.not_started",
            f"{why} The job went back uncounted; trying again in {wait:g} s.",
            slot=self.name,
        )
        self._control.stopping.wait(wait)

    def _say(self, lease: Lease, name: str, message: str, **fields: Any) -> None:
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
        """Worth a line at once only with ABW_DEBUG; without it, once the job takes its time (`relieve`)."""
        self._pid = pid
        if self._log.debug:
            self._say(lease, "job.started", "", pid=pid)
        else:
            self._log.hint("job.started", id=lease.job.id, callback=lease.job.callback, slot=self.name)


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
    why += "." if why and not why.endswith((".", "!", "?", "…")) else ""
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
