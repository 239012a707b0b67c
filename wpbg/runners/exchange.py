"""The talk with one PHP process about one job: sent, run, told how it ended. The same in every lifetime."""

from __future__ import annotations

import enum
import functools
import signal
import time
from collections.abc import Callable, Mapping
from typing import Any

from wpbg.errors import ChannelBroken, NotStarted
from wpbg.job import Job, Outcome, Progress
from wpbg.runners import verdict, wire
from wpbg.runners.base import Kept, Limits, Listener, Stop
from wpbg.runners.process import PhpProcess
from wpbg.runners.verdict import Facts, describe_exit

LOOK = 5.0
"""Seconds between two looks at a process that says nothing; a stop wakes it sooner."""

NEVER = 86400.0 * 365


class Lifetime(str, enum.Enum):
    """How long a PHP process lives, and so what ends the talk about a job."""

    RESTART = "restart"
    """The process is the job's alone: until it is gone."""
    LOOP = "loop"
    """Many jobs in one: until the outcome is told."""
    FORK = "fork"
    """A child for each: until the parent says that the child is gone."""


class Declined(enum.Enum):
    """The job was not begun in this process."""

    STALE = "stale"
    """The process says good-bye, or is gone: another one has to be started."""
    NOT_HERE = "not_here"
    """The job's blog has other plugins than this process has loaded."""
    LATE = "late"
    """It was sent ahead, and its turn came too late."""


def greet(process: PhpProcess, hello: Mapping[str, Any], limits: Limits) -> dict[str, Any]:
    """Say hello and wait for `ready`; what `ready` says. What is printed before belongs to no job.

    Raises `NotStarted`, with what the process said last, when it ends, stays silent or is not our bridge.
    """
    process.send(wire.encode(wire.HELLO, {"protocol": wire.PROTOCOL, **hello}))
    deadline = time.monotonic() + limits.boot
    said = Kept(2048, 6144)
    try:
        while True:
            for event in process.poll(deadline):
                if isinstance(event, wire.Printed):
                    said.add(event.data)
                elif event.type == wire.READY:
                    process.poll_errors()
                    return _check(event.body)
            if process.exit_code is not None:
                for event in process.drain():
                    if isinstance(event, wire.Printed):
                        said.add(event.data)
                raise NotStarted(_why(process, said))
            if time.monotonic() >= deadline:
                raise NotStarted(
                    f"PHP was not ready after {limits.boot:g} s: WordPress takes too long to start, or something "
                    "in it waits for an answer."
                )
    except ChannelBroken as error:
        raise NotStarted(f"The PHP side does not speak the bridge's protocol: {error.message}") from error


def _check(ready: dict[str, Any]) -> dict[str, Any]:
    if ready.get("protocol") != wire.PROTOCOL:
        raise NotStarted(
            f"The plugin on the site speaks protocol {ready.get('protocol')}, this wpbg speaks {wire.PROTOCOL}: "
            "run `wpbg install` to bring both to one version."
        )
    return ready


def _why(process: PhpProcess, said: Kept) -> str:
    ended = describe_exit(process.exit_code or 0)
    last = process.errors.telling_line() or said.telling_line()
    return f"PHP {ended} before it was ready" + (f": {last}" if last else ".")


class Run:
    """One job in one process. `stop` may be called from another thread; everything else is the runner's. With `go_on`,
    the process is sent the next jobs as well, if they are worth it.

    After `result`, `bye` is why the process says good-bye, None while it may be given another job; `shared` are the
    connections that a forked job had in common with those before and after it.
    """

    def __init__(
        self,
        process: PhpProcess,
        job: Job,
        lifetime: Lifetime,
        time_limit: int,
        limits: Limits,
        listener: Listener,
        go_on: bool = False,
    ) -> None:
        self._process, self._job, self._lifetime = process, job, lifetime
        self._ahead, self._time_limit, self._go_on = process.ahead, time_limit, go_on
        self._timeout, self._limits, self._listener = _timeout(job, time_limit), limits, listener
        self.bye: str | None = None
        self.shared: list[str] = []
        self._number: int | None = None
        self._kept = Kept()
        self._told: dict[str, Any] | None = None
        self._declined: Declined | None = None
        self._gone: int | None = None
        self._started = False
        self._child = 0
        self._progress: Progress | None = None
        self._stop: Stop | None = None
        self._obeyed: Stop | None = None
        self._broken: str | None = None
        self._overran = False
        self._began = self._told_at = self._stopped_at = time.monotonic()

    def stop(self, reason: Stop) -> None:
        """Ask the run to end, or end it; see `Stop`. A stronger reason wins."""
        if self._stop is None or reason > self._stop:
            self._stop = reason
            self._process.wake()

    def result(self) -> Outcome | Declined:
        """Run the job to its end."""
        self._send()
        while not self._over():
            if self._ahead.late:
                self._withdraw()
                continue
            if not self._ahead:
                self._obey()
                if self._over():
                    break  # That ended it: nothing more comes, and waiting would be for the whole of `ask`.
            deadline = max(self._deadline(), self._ahead.until)
            until = min(self._ahead.until or deadline, deadline, time.monotonic() + LOOK)
            self._guard(functools.partial(self._process.poll, until))
            if time.monotonic() >= deadline and not self._over():
                self._overran = self._overran or (self._told is None and self._stop is None)
                self._end_it()
        if self._process.gone:
            if self._lifetime is Lifetime.FORK and self._gone is None:
                self._process.kill_child(self._child)  # It has nobody to tell its outcome to.
            if not (self._lifetime is Lifetime.LOOP and self._answered):  # What follows is about the next job.
                self._guard(self._process.drain)
        else:
            for event in self._process.poll_errors():
                self._handle(event)
        self._ahead.learn(time.monotonic() - self._began)
        began = self._started or self._stop or self._broken or self._overran
        if self._declined or not (began or self._gone is not None):
            return self._declined or Declined.STALE
        return verdict.judge(self._facts())

    # -- what is said -----------------------------------------------------------------------------------------

    def _send(self) -> None:
        """This job, unless it is there already, and with it those after it, if that is worth it."""
        messages = []
        self._number = self._ahead.take(self._job)
        if self._number is None:
            self._number = self._ahead.number()
            messages.append(self._message(self._job, self._number))
        elif self._process.killed:
            self._stop = Stop.NOW  # For what another job did, this one cannot be blamed.
        self._process.turn = self._number
        go_on = self._go_on and self._stop is None and not self._process.gone
        wanted = self._ahead.wanted() if go_on else 0
        if wanted:
            jobs = self._listener.ahead(wanted)
            messages += [self._message(sent.job, sent.number, sent.theirs) for sent in self._ahead.send(jobs)]
        self._process.send(b"".join(messages))

    def _message(self, job: Job, number: int, until: float | None = None) -> bytes:
        head = {
            "id": job.id,
            "queue": job.queue,
            "attempt": job.attempt,
            "max_attempts": job.max_attempts,
            "batch": job.batch,
            "blog_id": job.blog_id,
            "timeout": _timeout(job, self._time_limit),
            "number": number,
        }
        if until is not None:
            head["until"] = until
        return wire.encode(wire.JOB, head, job.payload)

    def _withdraw(self) -> None:
        """What was sent ahead may not be begun any more, and has not been, unless what PHP has said by now shows that
        this job is through."""
        self._guard(self._process.catch_up)
        if not self._over():
            self._ahead.withdraw()
            self._listener.withdrawn(0)

    def _guard(self, read: Callable[[], list[wire.Event]]) -> None:
        try:
            events = read()
            for number, event in enumerate(events, 1):
                self._handle(event)
                if self._answered and self._ahead:
                    self._process.put_back(events[number:])  # The rest is about the next job.
                    break
        except ChannelBroken as error:
            self._broken = self._broken or error.message
            self._process.kill()
        except (TypeError, ValueError, OverflowError) as error:
            self._broken = (
                self._broken or f"The bridge sent a message with something else in it than was agreed: {error}"
            )
            self._process.kill()

    def _handle(self, event: wire.Event) -> None:
        if isinstance(event, wire.Printed):
            self._kept.add(event.data)
            return
        kind, body = event.type, event.body
        if kind in (wire.STARTED, wire.LATE) and self._ahead.was_withdrawn(body.get("number")):
            if kind == wire.LATE:
                self._ahead.left(body["number"])
            return
        if kind in (wire.LATE, wire.STARTED, wire.OUTCOME, wire.GONE, wire.NOT_HERE) and body.get("id") != self._job.id:
            raise ChannelBroken("The bridge spoke of a job that it was not given.")
        if kind == wire.STARTED:
            self._started, self._child = True, int(body.get("pid", 0))
            self._ahead.heard(float(body.get("clock", "-inf")))
            self._listener.started(self._child)
        elif kind == wire.PROGRESS:
            self._progress = verdict.progress(body)
            self._listener.progress(self._progress)
        elif kind == wire.OUTCOME:
            self._told, self._told_at = body, time.monotonic()
        elif kind == wire.GONE:
            self._gone = int(body.get("code", 0))
            self._overran = self._overran or (self._told is None and bool(body.get("overran")))
            self.shared = [str(name) for name in body.get("shared") or []]
        elif kind == wire.NOT_HERE and self._started:
            self._gone = -signal.SIGUSR2  # By which a child says so; this one has just died of it.
        elif kind == wire.NOT_HERE:
            self._declined = Declined.NOT_HERE
        elif kind == wire.LATE:
            self._declined = Declined.LATE
        elif kind == wire.BYE:
            self.bye = str(body.get("why", ""))
            if not self._started:
                self._declined = Declined.STALE

    @property
    def _answered(self) -> bool:
        """Whether PHP goes on to the next job."""
        return self._declined is not None or (self._told is not None and self._told.get("status") != "exited")

    def _over(self) -> bool:
        """Whether nothing more is to come about this job."""
        if self._declined or self._process.gone:
            return True
        if self._lifetime is Lifetime.LOOP:
            return self._answered
        return self._lifetime is Lifetime.FORK and self._gone is not None

    # -- ending it --------------------------------------------------------------------------------------------

    def _deadline(self) -> float:
        """When this run is ended by force if nothing happens before."""
        end = self._began + (self._timeout + self._limits.kill_after if self._timeout > 0 else NEVER)
        if self._told is not None:
            end = self._told_at + self._limits.leave
        if self._obeyed is not None:
            end = min(end, self._stopped_at + self._limits.ask)
        return end

    def _obey(self) -> None:
        """Do what a stop from another thread wants, unless the job is through anyway."""
        reason = self._stop
        if reason is None or (self._obeyed is not None and reason <= self._obeyed):
            return
        if self._obeyed is None:
            self._stopped_at = time.monotonic()
        self._obeyed = reason
        if reason is Stop.NOW:
            self._end_it()
        elif self._lifetime is Lifetime.FORK:
            self._process.send(wire.encode(wire.END, {"now": False}))
        else:
            self._process.signal_group(signal.SIGTERM)

    def _end_it(self) -> None:
        """By force. In fork, the parent ends its child if it can; otherwise both end."""
        if self._lifetime is Lifetime.FORK and self._process.exit_code is None and self._gone is None:
            self._process.send(wire.encode(wire.END, {"now": True}))
            patience = time.monotonic() + self._limits.obey
            while not self._over() and time.monotonic() < patience:
                self._guard(lambda: self._process.poll(patience))
            if self._over():
                return
            self._process.kill_child(self._child)
        self._process.kill()
        self._guard(lambda: self._process.poll(time.monotonic() + 1.0))

    def _facts(self) -> Facts:
        code = self._gone if self._gone is not None else self._process.exit_code
        return Facts(
            told=self._told,
            code=code or 0,
            stop=self._stop if self._told is None or self._told.get("status") != "completed" else None,
            started=self._started,
            broken=self._broken,
            overran=self._overran,
            timeout=self._timeout,
            runtime_ms=round((time.monotonic() - self._began) * 1000),
            kept=self._kept,
            progress=self._progress,
        )


def _timeout(job: Job, time_limit: int) -> int:
    """Seconds that a job may take, 0 is for ever: its own limit, or the site's."""
    return max(0, time_limit if job.timeout is None else job.timeout)
