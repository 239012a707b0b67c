"""The slots of one `listen`: signals, heartbeats, housekeeping."""

from __future__ import annotations

import os
import resource
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from wpbg import __version__
from wpbg.board import Board, WorkerRow
from wpbg.bookkeeping import Bookkeeper
from wpbg.control import Control
from wpbg.errors import QueueUnreachable
from wpbg.heartbeat import Heartbeat
from wpbg.log import Log
from wpbg.queues.base import Queue, Settlement, heartbeat
from wpbg.runners.base import Runner, Stop
from wpbg.signals import Signals, Waker
from wpbg.tally import Tally
from wpbg.worker import Slot

TICK = 0.25
"""Seconds between two looks around by the pool's own thread."""

LAST_WORDS = 10.0
"""Seconds after the grace in which an outcome may still be recorded."""

STALLED = 120.0
"""Seconds without a look around after which a worker is not well. A database may keep it waiting for half of it."""


@dataclass(frozen=True)
class PoolOptions:
    """Seconds, jobs and bytes; None is no limit."""

    name: str
    queues: tuple[str, ...]
    mode: str = "restart"
    concurrency: int = 1
    lease: float = 30.0
    grace: float = 60.0
    max_jobs: int | None = None
    max_time: float | None = None
    max_memory: int | None = None
    min_time: float = 0.0
    stop_when_empty: bool = False
    once: bool = False
    housekeeping: float = 1.0
    signals: bool = True


class Pool:
    """Runs slots until it is told to stop. `queue_for` and `runner_for` make one of each per slot."""

    def __init__(
        self,
        options: PoolOptions,
        queue_for: Callable[[], Queue],
        runner_for: Callable[[], Runner],
        board: Board,
        control: Control,
        log: Log,
    ) -> None:
        self.options, self.control, self.tally, self._board, self._log = options, control, Tally(), board, log
        self._queue = queue_for()
        self._books = Bookkeeper(board, options.queues[0], log, self._queue.incoming)
        self.slots = [
            Slot(self._slot_name(number), queue_for(), runner_for(), control, log, self._settled)
            for number in range(options.concurrency)
        ]
        self._heartbeat = Heartbeat(queue_for(), self.slots, log, heartbeat(options.lease), self._failed)
        self._wake = Waker()
        self._signals = Signals()
        self._stop_why = ""
        self._grace_ends: float | None = None
        self._began = time.monotonic()
        self._failure: BaseException | None = None
        self._reached: bool | None = None
        self.turned_at = time.monotonic()
        """When the pool's thread looked around last, in `time.monotonic`."""
        self.at_turns: list[Callable[[], None]] = []
        """Called at each look around, some times a second, and once more at the end; they must be quick."""

    @property
    def stopping(self) -> bool:
        """Whether no slot takes another job."""
        return self.control.stopping.is_set()

    @property
    def not_ready(self) -> str:
        """Why no job would be run now; empty where one would."""
        if self.stopping:
            return f"the worker is stopping: {self._stop_why}"
        if self._reached is None:
            return "the worker is starting"
        return "" if self._reached else "the database cannot be reached"

    @property
    def database_lost(self) -> bool:
        """Whether the server did not answer when it was asked last."""
        return self._reached is False

    def _slot_name(self, number: int) -> str:
        return self.options.name if self.options.concurrency == 1 else f"{self.options.name}/{number + 1}"

    # -- from the beginning to the end ------------------------------------------------------------------------

    def run(self) -> None:
        """Work until asked to stop. Raises what ended a slot, after the others are through."""
        if self.options.signals:
            self._signals.install(self._wake)
        names = ",".join(self.options.queues)
        self._log.event(
            "worker.started", "", name=self.options.name, pid=os.getpid(), queues=names,
            mode=self.options.mode, slots=self.options.concurrency, version=__version__,
        )  # fmt: skip
        threads = [
            threading.Thread(target=self._guarded, args=(slot,), name=slot.name, daemon=True) for slot in self.slots
        ]
        for thread in threads:
            thread.start()
        self._heartbeat.start()
        try:
            self._watch(threads)
        finally:
            self._leave(threads)
        self._linger()
        if self._failure is not None:
            raise self._failure

    def _guarded(self, slot: Slot) -> None:
        try:
            if self.options.once:
                slot.work_once()
                self.stop("One job was asked for.")
            else:
                slot.work()
        except BaseException as error:
            self._failed(error)
        finally:
            self._wake.set()

    def _failed(self, error: BaseException) -> None:
        self._failure = self._failure or error
        self.stop("Because of an error.")

    def _watch(self, threads: Sequence[threading.Thread]) -> None:
        """The pool's own thread while the slots work."""
        beat = housekeeping = 0.0
        while any(thread.is_alive() for thread in threads):
            now = time.monotonic()
            due: list[Callable[[], None]] = [self._keep_leases]
            if now >= beat:
                beat = now + heartbeat(self.options.lease)
                due.append(self._show_workers)
            if now >= housekeeping:
                housekeeping = now + self.options.housekeeping
                due.append(self._housekeep)
            due += [self._relieve, self._keep_books]
            if self.options.stop_when_empty:
                due.append(self._look_whether_empty)
            self._with_server(*due)
            self._heartbeat.warn()
            self._look_at_limits()
            self._look_at_signals()
            self.turned_at = time.monotonic()
            for tell in self.at_turns:
                tell()
            self._wake.wait(TICK)

    def _linger(self) -> None:
        """Nothing is left but to end, and that not too soon. A signal ends it, and so does a slot that failed."""
        while not self._signals.ends and self._failure is None:
            left = self._began + self.options.min_time - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(left, TICK))

    def _leave(self, threads: Sequence[threading.Thread]) -> None:
        for thread in threads:
            thread.join(timeout=10)
        self._heartbeat.stop(10)
        self._with_server(lambda: self._board.hide_workers(self._rows()), self._books.flush)
        for slot in self.slots:
            slot.close()
        self._queue.close()
        self._board.close()
        self._wake.close()
        self._signals.retire()
        self._log.event("worker.stopped", self._stop_why, name=self.options.name, **self.tally.endings)

    # -- what it does meanwhile --------------------------------------------------------------------------------

    def _with_server(self, *acts: Callable[[], None]) -> None:
        """Do what needs the server; without it, the slots say that it is gone, and wait for it.

        A server that hangs keeps each question waiting for a minute: after one that was not answered none is asked
        in this turn, so that this thread looks around (`STALLED`) and the service manager's watchdog stays quiet.
        Any other error ends the worker, as one of a slot does: after the running jobs.
        """
        try:
            for act in acts:
                act()
        except QueueUnreachable:
            self._reached = False
        except Exception as error:
            self._failed(error)

    def _keep_leases(self) -> None:
        """Before anybody's leases are judged: a server that has a connection for us but none for the heartbeat, or a
        network that lost only that one, must not cost us our own jobs."""
        if self._heartbeat.late:
            self._heartbeat.stand_in(self._queue)

    def _show_workers(self) -> None:
        self._board.show_workers(self._rows())
        self._reached = True

    def _housekeep(self) -> None:
        done = self._queue.tick()
        self._books.statistics.lost(done.losses)
        self._reached = True
        for job_id in done.rescued:
            self._log.event("job.rescued", "Its worker was lost; back in its queue.", id=job_id)
        for job_id in done.given_up:
            self._log.event("job.failed", "Its worker was lost and no attempt is left.", id=job_id)
        if done.promoted or done.rescued:
            self.control.ring()

    def _keep_books(self) -> None:
        if self._books.keep():
            self.control.ring()

    def _relieve(self) -> None:
        for slot in self.slots:
            slot.relieve(self._queue)

    def _look_whether_empty(self) -> None:
        """Idle slots before and after the question: a job taken in between is a running one."""
        if self._all_idle() and not self._queue.busy() and self._all_idle():
            if self._books.close_batches(0):
                self.control.ring()  # WordPress is told that a batch is done: by a job.
            else:
                self.stop("Nothing is left to do.")

    def _all_idle(self) -> bool:
        return not self.control.stopping.is_set() and all(slot.idle for slot in self.slots)

    def _rows(self) -> list[WorkerRow]:
        host, pid, stopping = socket.gethostname(), os.getpid(), self.control.stopping.is_set()
        return [
            WorkerRow(
                name=slot.name,
                host=host,
                pid=pid,
                slot=number,
                mode=self.options.mode,
                queues=self.options.queues,
                state="stopping" if stopping else "running" if slot.state.job_id else "idle",
                job_id=slot.state.job_id,
                jobs_done=slot.state.jobs_done,
                memory_bytes=slot.state.memory_bytes,
                version=__version__,
            )
            for number, slot in enumerate(self.slots)
        ]

    def _settled(self, items: Sequence[Settlement]) -> None:
        self._books.statistics.note(items)
        self.tally.note(items)
        most = self.options.max_jobs
        if most is not None and sum(slot.state.jobs_done for slot in self.slots) >= most:
            self.stop(f"--max-jobs {most} reached.")
        self._wake.set()

    def _look_at_limits(self) -> None:
        options = self.options
        if options.max_time is not None and time.monotonic() - self._began >= options.max_time:
            self.stop(f"--max-time {options.max_time:g} reached.")
        if options.max_memory is not None and memory_bytes() > options.max_memory:
            self.stop(f"--max-memory reached: {memory_bytes() // 2**20} MB.")

    # -- stopping ---------------------------------------------------------------------------------------------

    def stop(self, why: str) -> None:
        """No slot takes another job; the running ones finish."""
        self._stop_why = self._stop_why or why
        self.control.stop()
        self._wake.set()

    def _look_at_signals(self) -> None:
        if self._signals.hung_up():
            self._log.event("worker.recycling", "PHP processes are replaced before their next job.")
            for slot in self.slots:
                slot.runner.recycle()
        if self._signals.ends:
            self._stop_gracefully(self._signals.ends[0])

    def _stop_gracefully(self, name: str) -> None:
        """Wait for the running jobs, say so, and end the waiting when its time is over or at a second signal."""
        now = time.monotonic()
        if self._grace_ends is None:
            self._grace_ends = now + self.options.grace
            self.stop(f"Asked to by {name}.")
            running = sum(slot.running is not None for slot in self.slots)
            waiting = f"Waiting at most {self.options.grace:g} s for {running} running job(s); once more stops now."
            self._log.event("worker.stopping", f"{self._stop_why} {waiting if running else ''}".strip())
        if len(self._signals.ends) > 1:
            self.control.abandon.set()
            self._stop_jobs(Stop.NOW)
        elif now >= self._grace_ends:
            self._stop_jobs(Stop.INTERRUPT)
            if now >= self._grace_ends + LAST_WORDS:
                self.control.abandon.set()

    def _stop_jobs(self, reason: Stop) -> None:
        for slot in self.slots:
            slot.stop_job(reason)


def memory_bytes() -> int:
    """The most memory this process has held, in bytes (Linux counts it in KiB)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
