"""One slot: reserve, run, settle. The only file that touches both a queue and a runner."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from wpbg.claimed import HELD, Claimed
from wpbg.control import Control
from wpbg.errors import QueueUnreachable
from wpbg.job import Ending, Job, Lease, Outcome, Progress
from wpbg.log import Log
from wpbg.queues.base import Queue, Settlement
from wpbg.recorder import Recorder
from wpbg.runners.base import LEFT_ALONE, Runner, Stop
from wpbg.settle import Release, decide
from wpbg.window import Window

PROGRESS_EVERY = 0.5
"""Seconds between two writes of a job's progress."""

PATIENCE = 0.5
"""Seconds a job may run before what was claimed behind it goes back."""

FRESH = 1 / 3
"""The part of a lease that the answer to a claim may take. The next heartbeat comes a third of a lease later at most,
and the last third is for what keeps it waiting."""

START_BACKOFF = 60.0
"""Seconds a slot waits at most while its PHP processes do not start."""


@dataclass
class SlotState:
    """What a slot is at, for the workers' list."""

    state: str = "idle"
    job_id: str | None = None
    jobs_done: int = 0
    memory_bytes: int = 0


class Slot:
    """Works one queue connection with one runner, in one thread."""

    def __init__(
        self,
        name: str,
        queue: Queue,
        runner: Runner,
        control: Control,
        log: Log,
        on_settled: Callable[[Sequence[Settlement]], None] = lambda items: None,
    ) -> None:
        self.name, self.runner, self.state = name, runner, SlotState()
        self._queue, self._control, self._log, self._on_settled = queue, control, log, on_settled
        self._window = Window(runner.window)
        self._claimed = Claimed()
        self._recorder = Recorder(name, self._claimed, control, log, self._settled)
        self._known_begun: Lease | None = None
        self.lost: Lease | None = None
        """The one that somebody else was found to have last, and that is being stopped."""
        self._pid = 0
        self._batch_since, self._done = 0.0, 0
        self._failed_starts = 0
        self._random = random.Random()

    # -- asked by the pool ------------------------------------------------------------------------------------

    @property
    def running(self) -> Lease | None:
        """The lease that is being worked on."""
        return self._claimed.running

    def leases(self) -> list[Lease]:
        """All that must not run out: the running one, those held behind it, those whose outcome is not recorded yet."""
        return self._claimed.leases()

    def drop_held(self, lease: Lease) -> None:
        """A held lease that was lost, or that somebody cancelled, is not run."""
        self._claimed.drop(lease)

    @property
    def idle(self) -> bool:
        return self.running is None and self.state.state == "idle"

    def stop_job(self, reason: Stop, lease: Lease | None = None) -> None:
        """End the run under way (with `lease`: only if it is that one)."""
        self._claimed.if_running(lease, lambda: self.runner.stop(reason))

    def relieve(self, queue: Queue) -> None:
        """From the pool's thread, with its connection: nothing waits behind a long job.

        What was claimed ahead goes back, what is done is recorded, and the job is known to have begun. Raises
        `QueueUnreachable`; then all is as it was.
        """
        lease = self._claimed.running_for(PATIENCE)
        if lease is None:
            return
        if self._known_begun is not lease:
            queue.began(lease)
            self._known_begun = lease
            if self._pid and not self._log.debug:
                self._recorder.say(lease, "job.started", "", pid=self._pid)
        self._claimed.hand_back()
        self._recorder.try_flush(queue)

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
        asked = time.monotonic()
        self._work_through(self._fresh(self._queue.reserve(1, self.name), asked))

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
                asked = time.monotonic()
                leases = self._fresh(self._queue.reserve(limit, self.name), asked)
                if not leases and not self._claimed.holds:
                    self.state.state = "idle"
                if len(leases) >= limit:
                    self._control.knock()  # There may be more: one of the neighbours looks as well.
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

    def _fresh(self, leases: list[Lease], asked: float) -> list[Lease]:
        """None of them where the answer took so long that somebody else may have the jobs by the time they would run:
        nobody renews a lease that has not been heard of."""
        if not leases or (time.monotonic() - asked) * 1000 < (leases[0].until_ms - leases[0].reserved_ms) * FRESH:
            return leases
        self._claimed.hold(leases)
        self._claimed.hand_back()
        self._recorder.flush(self._queue)
        return []

    def _work_through(self, leases: Sequence[Lease]) -> None:
        """Run the leased jobs one after the other and record how they ended."""
        self._claimed.hold(leases)
        self._begin_batch()
        self._recorder.wait_for_company()
        more = True
        while (lease := self._next()) is not None:
            outcome = self._execute(lease)
            self._done += 1
            if outcome.ending is Ending.NOT_STARTED:
                self._claimed.hand_back()
                self._recorder.flush(self._queue)
                self._mind_the_start(outcome)
            elif self._recorder.due:
                self._recorder.flush(self._queue)
            if self._control.between:
                self._control.stopping.wait(self._control.between)
            more = more and self._go_on()
        self._claimed.hand_back()
        self._recorder.flush(self._queue)
        self.state.state = "idle"
        self._window.learn(self._done, time.monotonic() - self._batch_since)

    def _begin_batch(self) -> None:
        self._batch_since, self._done = time.monotonic(), 0

    def _go_on(self) -> bool:
        """Where PHP has the last jobs of this batch already, take the next ones while it works on them. False when
        there are none."""
        if self._control.stopping.is_set() or not (self._window.grown and self._claimed.all_ahead):
            return True
        self._window.learn(self._done, time.monotonic() - self._batch_since)
        leases = self._reserve(self._window.size)
        self._begin_batch()
        self._claimed.hold(leases)
        return bool(leases)

    def _next(self) -> Lease | None:
        """The next job to run; none once the pool says stop, or when the earlier ones took their time, but for those
        that PHP has already."""
        enough = self._control.stopping.is_set() or time.monotonic() - self._batch_since > PATIENCE
        if enough and not self._claimed.ahead:
            return None
        self._pid = 0
        lease = self._claimed.begin(self.runner.arm)
        if lease is not None:
            self.state.state, self.state.job_id = "running", lease.job.id
        return lease

    def _execute(self, lease: Lease) -> Outcome:
        """Run one job; its outcome waits to be recorded."""
        try:
            outcome = self.runner.run(lease.job, _Listener(self, lease))
        except BaseException:
            self._claimed.end(None)
            raise
        self.state.job_id = None
        if outcome is LEFT_ALONE:
            self._claimed.end(Settlement(lease, Release(), HELD))
            return outcome
        self._failed_starts = self._failed_starts if outcome.ending is Ending.NOT_STARTED else 0
        self.state.memory_bytes = outcome.memory_bytes or self.state.memory_bytes
        self._claimed.end(Settlement(lease, decide(lease.job, outcome, self._random.random), outcome))
        return outcome

    def _settled(self, items: Sequence[Settlement]) -> None:
        self.state.jobs_done += sum(not isinstance(item.decision, Release) for item in items)
        self._on_settled(items)

    def _mind_the_start(self, outcome: Outcome) -> None:
        """PHP that does not start is asked for less and less often."""
        wait = start_pause(self._failed_starts)
        self._failed_starts += 1
        why = outcome.error.message if outcome.error else "PHP did not start."
        self._log.event(
            "php.not_started",
            f"{why} The job went back uncounted; trying again in {wait:g} s.",
            slot=self.name,
        )
        self._control.stopping.wait(wait)

    def jobs_ahead(self, lease: Lease, most: int) -> list[Job]:
        """What may be sent to PHP while it works on `lease`."""
        late = time.monotonic() - self._batch_since > PATIENCE / 2
        if late or self._control.between or self._control.stopping.is_set():
            return []
        return [each.job for each in self._claimed.send_ahead(most, lease.job.blog_id)]

    def withdrawn(self, left: int) -> None:
        """See `Listener.withdrawn`."""
        self._claimed.withdrawn(left)

    def report_progress(self, lease: Lease, progress: Progress) -> None:
        """Show progress if the server answers; it is no reason to wait for it."""
        with contextlib.suppress(QueueUnreachable):
            self._queue.progress(lease, progress)

    def report_started(self, lease: Lease, pid: int) -> None:
        """Worth a line at once only with ABW_DEBUG; without it, once the job takes its time (`relieve`)."""
        self._pid = pid
        if self._log.debug:
            self._recorder.say(lease, "job.started", "", pid=pid)
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

    def ahead(self, most: int) -> list[Job]:
        return self._slot.jobs_ahead(self._lease, most)

    def withdrawn(self, left: int) -> None:
        self._slot.withdrawn(left)


def start_pause(failures: int) -> float:
    """Seconds until PHP is started again when so many starts before this one have failed: 1 to `START_BACKOFF`."""
    return min(2.0 ** min(failures, 10), START_BACKOFF)  # An exponent without end overflows, within a day.
