"""The slots of one `listen`: signals, heartbeats, housekeeping."""

from __future__ import annotations

import contextlib
import os
import resource
import select
import signal
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import Protocol

from wpbg import __version__
from wpbg.bookkeeping import Bookkeeper, Books
from wpbg.errors import QueueUnreachable
from wpbg.job import Lease, Outcome
from wpbg.log import Log
from wpbg.queues.base import Queue, Settlement
from wpbg.runners.base import Runner, Stop
from wpbg.settle import Decision
from wpbg.worker import Control, Slot

TICK = 0.25
"""Seconds between two looks around by the pool's own thread."""

LAST_WORDS = 10.0
"""Seconds after the grace in which an outcome may still be recorded."""

STALLED = 120.0
"""Seconds without a look around after which a worker is not well. A database may keep it waiting for half of it."""


@dataclass(frozen=True)
class WorkerRow:
    """One slot as the workers' list shows it. Times are ms in the queue's clock; the ledger fills them in."""

    name: str
    host: str
    pid: int
    slot: int
    mode: str
    queues: tuple[str, ...]
    state: str
    job_id: str | None
    jobs_done: int
    memory_bytes: int
    version: str


class Board(Books, Protocol):
    """Where the pool shows its slots (the ledger)."""

    def show_workers(self, rows: Sequence[WorkerRow]) -> None:
        """Write or refresh the rows; a row is known by host, pid and slot."""

    def hide_workers(self, rows: Sequence[WorkerRow]) -> None:
        """Take them away."""

    def close(self) -> None: ...


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
    stop_when_empty: bool = False
    once: bool = False
    housekeeping: float = 1.0
    signals: bool = True


@dataclass
class Tally:
    """What came of it, for the last line."""

    endings: dict[str, int] = field(default_factory=dict)
    last: tuple[Outcome, Decision] | None = None


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
        self._lock = threading.Lock()
        self.slots = [
            Slot(self._slot_name(number), queue_for(), runner_for(), control, log, self._settled)
            for number in range(options.concurrency)
        ]
        self._wake = Waker()
        self._signals: list[int] = []
        self._hangups = 0
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

    def _slot_name(self, number: int) -> str:
        return self.options.name if self.options.concurrency == 1 else f"{self.options.name}/{number + 1}"

    # -- from the beginning to the end ------------------------------------------------------------------------

    def run(self) -> None:
        """Work until asked to stop. Raises what ended a slot, after the others are through."""
        self._install_signals()
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
        try:
            self._watch(threads)
        finally:
            self._leave(threads)
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
            self._failure = self._failure or error
            self.stop("a slot failed")
        finally:
            self._wake.set()

    def _watch(self, threads: Sequence[threading.Thread]) -> None:
        """The pool's own thread while the slots work."""
        beat = housekeeping = 0.0
        while any(thread.is_alive() for thread in threads):
            now = time.monotonic()
            if now >= beat:
                beat = now + min(self.options.lease / 3, 5.0)
                self._with_server(self._heartbeat)
            if now >= housekeeping:
                housekeeping = now + self.options.housekeeping
                self._with_server(self._housekeep)
            self._with_server(self._keep_books)
            self._with_server(self._relieve)
            if self.options.stop_when_empty:
                self._with_server(self._look_whether_empty)
            self._look_at_limits()
            self._look_at_signals()
            self.turned_at = time.monotonic()
            for tell in self.at_turns:
                tell()
            self._wake.wait(TICK)

    def _leave(self, threads: Sequence[threading.Thread]) -> None:
        for thread in threads:
            thread.join(timeout=10)
        self._with_server(self._books.flush)
        self._with_server(lambda: self._board.hide_workers(self._rows()))
        for slot in self.slots:
            slot.close()
        self._queue.close()
        self._board.close()
        self._wake.close()
        if self.options.signals:
            # At its end Python puts the default back, which would kill: a window that closes late, a reload.
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
        self._log.event("worker.stopped", self._stop_why, name=self.options.name, **self.tally.endings)

    # -- what it does meanwhile --------------------------------------------------------------------------------

    def _with_server(self, act: Callable[[], None]) -> None:
        """Do something that needs the server; without it, the slots say that it is gone, and wait for it."""
        try:
            act()
        except QueueUnreachable:
            self._reached = False

    def _heartbeat(self) -> None:
        held = {slot: slot.leases() for slot in self.slots}
        leases = [lease for of_slot in held.values() for lease in of_slot]
        if leases:
            renewal = self._queue.renew(leases)
            for slot, of_slot in held.items():
                for lease in of_slot:
                    if lease in renewal.lost:
                        self._lost(slot, lease)
                    elif lease in renewal.cancel:
                        slot.drop_held(lease)
                        slot.stop_job(Stop.CANCEL, lease)
        self._board.show_workers(self._rows())
        self._reached = True

    def _lost(self, slot: Slot, lease: Lease) -> None:
        """Somebody else has the job by now: two must not run it."""
        slot.drop_held(lease)
        if slot.running is not lease:
            return
        self._log.event(
            "lease.lost",
            "Another worker has this job by now; this run is stopped.",
            id=lease.job.id,
            slot=slot.name,
        )
        slot.stop_job(Stop.NOW, lease)

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

    def _settled(self, item: Settlement) -> None:
        self._books.statistics.note(item)
        outcome, decision = item.outcome, item.decision
        with self._lock:
            key = outcome.ending.value
            self.tally.endings[key] = self.tally.endings.get(key, 0) + 1
            self.tally.last = (outcome, decision)
            done = sum(slot.state.jobs_done for slot in self.slots)
        if self.options.max_jobs is not None and done >= self.options.max_jobs:
            self.stop(f"--max-jobs {self.options.max_jobs} reached.")
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

    def _install_signals(self) -> None:
        if not self.options.signals:
            return
        self._wake.catch_signals()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        # Only notes it: a handler runs in the middle of anything, also of a log line.
        if number == signal.SIGHUP:
            self._hangups += 1
        else:
            self._signals.append(number)

    def _look_at_signals(self) -> None:
        if self._hangups:
            self._hangups = 0
            self._log.event("worker.recycling", "PHP processes are replaced before their next job.")
            for slot in self.slots:
                slot.runner.recycle()
        if self._signals:
            self._stop_gracefully(signal.Signals(self._signals[0]).name)

    def _stop_gracefully(self, name: str) -> None:
        """Wait for the running jobs, say so, and end the waiting when its time is over or at a second signal."""
        now = time.monotonic()
        if self._grace_ends is None:
            self._grace_ends = now + self.options.grace
            self.stop(f"Asked to by {name}.")
            running = sum(slot.running is not None for slot in self.slots)
            waiting = f"Waiting at most {self.options.grace:g} s for {running} running job(s); once more stops now."
            self._log.event("worker.stopping", f"{self._stop_why} {waiting if running else ''}".strip())
        if len(self._signals) > 1:
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
