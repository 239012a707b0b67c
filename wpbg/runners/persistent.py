"""The loop and fork lifetimes: processes that outlive a job."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import asdict, dataclass

from wpbg.errors import ChannelBroken, NotStarted, QueueUnreachable, SiteError
from wpbg.job import Ending, Job, JobError, Outcome
from wpbg.runners.base import LEFT_ALONE, Limits, Listener, Stop
from wpbg.runners.boot import BootFor, start
from wpbg.runners.exchange import Declined, Lifetime, Run
from wpbg.runners.process import PhpProcess
from wpbg.runners.stoppable import Stoppable
from wpbg.runners.verdict import describe_exit
from wpbg.runners.wire import BYE, QUIT, Message, encode

WINDOWS = {Lifetime.LOOP: 128, Lifetime.FORK: 8}
"""Jobs claimed ahead at most: what a round trip to the database is worth beside a job's own cost."""

APART = 4
"""Processes a slot keeps at most: the site's, and those of blogs that have other plugins."""

TRIES = 4
"""How often a job is offered to a new process when the earlier one had to be replaced first."""

FAREWELL = 3.0
"""Seconds a process has to end by itself when it is no longer wanted."""

Recycled = Callable[[str], None]


@dataclass(frozen=True)
class Recycling:
    """When a process is replaced, besides changed code. Jobs, seconds, bytes; 0 is no limit."""

    max_jobs: int = 0
    max_time: float = 0.0
    max_memory: int = 0


class PersistentRunner(Stoppable):
    """Keeps booted processes and runs job after job in them. `recycled` is told why one was replaced."""

    def __init__(
        self,
        lifetime: Lifetime,
        boot: BootFor,
        time_limit: int,
        recycling: Recycling,
        recycled: Recycled,
        limits: Limits | None = None,
    ) -> None:
        super().__init__()
        self.window = WINDOWS[lifetime]
        self._lifetime, self._boot, self._time_limit = lifetime, boot, time_limit
        self._hello = {"lifetime": lifetime.value, **asdict(recycling)}
        self._recycled, self._limits = recycled, limits or Limits()
        self._processes: OrderedDict[int, PhpProcess] = OrderedDict()
        self._apart: set[int] = set()
        self._replace = threading.Event()

    def run(self, job: Job, listener: Listener) -> Outcome:
        """See `Runner.run`."""
        try:
            why = ""
            for _ in range(TRIES):
                blog, process = self._process_for(job)
                if process.ahead and not process.ahead.is_next(job):
                    return LEFT_ALONE  # It would come behind those that this process has already.
                go_on = self._lifetime is Lifetime.LOOP and not self._replace.is_set()
                run = Run(process, job, self._lifetime, self._time_limit, self._limits, listener, go_on)
                self.running(run)
                answer = run.result()
                self._see_to(blog, process, run, answer)
                if process.gone or blog not in self._processes:
                    listener.withdrawn(sum(len(each.ahead) for each in self._processes.values()))
                if answer is Declined.NOT_HERE:
                    self._apart.add(job.blog_id)
                elif answer is Declined.LATE:
                    return LEFT_ALONE
                elif not isinstance(answer, Declined):
                    return answer
                why = run.bye or why
            raise NotStarted(f"PHP was replaced {TRIES} times before the job could begin: {why or 'it ended'}.")
        except (NotStarted, SiteError, QueueUnreachable) as error:
            return self.stopped_outcome() or Outcome(
                Ending.NOT_STARTED, error=JobError(type(error).__name__, error.message)
            )
        except BaseException:
            self._kill_all()
            raise
        finally:
            self.done()

    def _process_for(self, job: Job) -> tuple[int, PhpProcess]:
        """The process that has the job already, or one that lives, and the blog it was booted for."""
        for blog, process in self._processes.items():
            if process.ahead.is_next(job):
                return blog, process
        return self._living(job.blog_id)

    def _living(self, blog_id: int) -> tuple[int, PhpProcess]:
        """A living process for the blog, and the blog it was booted for."""
        if self._replace.is_set():
            self._replace.clear()
            self._dismiss_all("asked to")
        blog = blog_id if blog_id in self._apart else 0
        process = self._processes.get(blog)
        if process is not None and process.exit_code is not None:
            self._recycled(_last_words(process))
            self._drop(blog)
            process = None
        if process is None:
            while len(self._processes) >= APART:
                self._dismiss(next(iter(self._processes)))
            how = self._boot(blog)
            process = start(how, {**self._hello, "site": os.fspath(how.cwd)}, self._limits, self.starting)
            self._processes[blog] = process
        self._processes.move_to_end(blog)
        return blog, process

    def _see_to(self, blog: int, process: PhpProcess, run: Run, answer: Outcome | Declined) -> None:
        """Whether the process lives. Only this decides it."""
        if run.bye is not None:
            self._recycled(run.bye)
            self._dismiss(blog)
        elif process.gone:
            if not _some_begun(process):  # What is left of them in its pipe is told first.
                self._recycled(_last_words(process))
                self._drop(blog)
        elif isinstance(answer, Outcome):
            why = self._spoiled(run, answer)
            if why:
                self._recycled(why)
                process.kill()
                self._drop(blog)

    def _spoiled(self, run: Run, outcome: Outcome) -> str | None:
        """Why a process that lives on after this may be in a state that nobody meant."""
        how = outcome.ending.value.replace("_", " ")
        if self._lifetime is Lifetime.LOOP and outcome.ending not in (Ending.COMPLETED, Ending.FAILED):
            return f"a job in it {how}"
        if run.shared and outcome.ending is not Ending.COMPLETED:
            return f"a job {how} that shared a connection with it ({', '.join(run.shared)})"
        return None

    def warm(self) -> None:
        """See `Runner.warm`."""
        try:
            self._living(0)
        except (NotStarted, SiteError, QueueUnreachable):
            pass  # The next job is told, and says so.
        finally:
            self.done()

    def recycle(self) -> None:
        """See `Runner.recycle`."""
        self._replace.set()

    def close(self) -> None:
        """End every process."""
        self.stop(Stop.NOW)
        self._dismiss_all(None)

    # -- processes that are no longer wanted ------------------------------------------------------------------

    def _dismiss_all(self, why: str | None) -> None:
        for blog in list(self._processes):
            if why is not None:
                self._recycled(why)
            self._dismiss(blog)

    def _dismiss(self, blog: int) -> None:
        """Let a process end by itself, for a while."""
        process = self._processes[blog]
        process.send(encode(QUIT, {}))
        deadline = time.monotonic() + FAREWELL
        while process.exit_code is None and time.monotonic() < deadline:
            process.poll(deadline)
        self._drop(blog)

    def _drop(self, blog: int) -> None:
        process = self._processes.pop(blog)
        process.ahead.withdraw()
        if process.exit_code is None:
            process.kill()
        else:
            process.kill_inside()  # Programs that its jobs left running on purpose go on.
        process.close()

    def _kill_all(self) -> None:
        for blog in list(self._processes):
            self._drop(blog)


def _some_begun(process: PhpProcess) -> bool:
    """Whether a process that is gone had begun some of the jobs that it was sent ahead; only these are left to it."""
    if not process.ahead:
        return False
    with contextlib.suppress(ChannelBroken):
        process.put_back(process.drain())
    return process.ahead.begun(process.unread_starts())


def _last_words(process: PhpProcess) -> str:
    """Why a process has ended: what it said of it after its last job, or how."""
    with contextlib.suppress(ChannelBroken):
        for event in process.drain():
            if isinstance(event, Message) and event.type == BYE:
                return str(event.body.get("why", ""))
    return f"it {describe_exit(process.exit_code or 0)}"
