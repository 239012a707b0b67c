"""The talk with one PHP process about one job: greeted, sent, run, told how it ended. The same in every lifetime."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from typing import Any

from wpbg.errors import ChannelBroken, NotStarted
from wpbg.job import Ending, Job, JobError, Outcome, Progress
from wpbg.runners import wire
from wpbg.runners.base import Kept, Limits, Listener, Stop
from wpbg.runners.process import PhpProcess

Clock = Callable[[], float]


def greet(process: PhpProcess, nonce: bytes, lifetime: str, limits: Limits) -> dict[str, Any]:
    """Say hello and wait for `ready`; what `ready` says. What is printed before belongs to no job.

    Raises `NotStarted`, with what the process said last, when it ends, stays silent or is not our bridge.
    """
    process.send(wire.encode(wire.HELLO, {"protocol": wire.PROTOCOL, "nonce": nonce.hex(), "lifetime": lifetime}))
    deadline = time.monotonic() + limits.boot
    said = Kept(2048, 6144)
    try:
        while True:
            for event in process.poll(deadline):
                if isinstance(event, wire.Printed):
                    said.add(event.data)
                elif event.type == wire.READY:
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


def describe_exit(code: int) -> str:
    """How a process ended, in words: `ended with exit code 3`, `was killed by signal 9 (SIGKILL)`."""
    number = -code if code < 0 else code - 128 if 128 < code < 165 else 0
    if not number:
        return f"ended with exit code {code}"
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = "unknown"
    return f"was killed by signal {number} ({name})"


class Run:
    """One job in one process, from sending it to its outcome.

    `stop` may be called from another thread. After `result`, `reusable` says whether the process may be
    given another job.
    """

    def __init__(self, process: PhpProcess, job: Job, timeout: int, limits: Limits, listener: Listener) -> None:
        self._process, self._job, self._listener, self._limits = process, job, listener, limits
        self._timeout = timeout
        self._kept = Kept()
        self._outcome: dict[str, Any] | None = None
        self._progress: Progress | None = None
        self._stop: Stop | None = None
        self._stopped_at = 0.0
        self._lock = threading.Lock()
        self._began = time.monotonic()
        self._broken: str | None = None
        self._overran = False

    def stop(self, reason: Stop) -> None:
        """Ask the run to end, or end it; see `Stop`."""
        with self._lock:
            if self._outcome is not None or (self._stop is not None and self._stop >= reason):
                return
            if self._stop is None:
                self._stopped_at = time.monotonic()
            self._stop = reason
            if reason is Stop.NOW:
                self._process.kill()
            else:
                self._process.signal_group(signal.SIGTERM)

    def one_shot(self) -> Outcome:
        """Run the job in a process that is for it alone: its end belongs to the job as well."""
        self._send()
        while self._process.exit_code is None:
            deadline = self._deadline()
            self._take(deadline)
            if time.monotonic() >= deadline:
                self._overran = self._outcome is None and self._stop is None
                self._process.kill()
                self._take(time.monotonic() + 1.0)
        self._guard(self._process.drain)
        return self._judge()

    def _send(self) -> None:
        job = self._job
        head = {
            "id": job.id,
            "queue": job.queue,
            "attempt": job.attempt,
            "max_attempts": job.max_attempts,
            "batch": job.batch,
            "blog_id": job.blog_id,
            "timeout": self._timeout,
        }
        self._process.send(wire.encode(wire.JOB, head, job.payload))
        self._began = time.monotonic()

    def _deadline(self) -> float:
        """When this run is killed if nothing happens before."""
        ends = [self._began + (self._timeout + self._limits.kill_after if self._timeout > 0 else 86400.0 * 365)]
        if self._outcome is not None:
            ends = [self._settled_at + self._limits.leave]
        if self._stop is not None:
            ends.append(self._stopped_at + self._limits.ask)
        return min(ends)

    def _take(self, until: float) -> None:
        # Wakes up each second so that a stop from another thread moves the deadline in time.
        self._guard(lambda: self._process.poll(min(until, time.monotonic() + 0.5)))

    def _guard(self, read: Callable[[], list[wire.Event]]) -> None:
        try:
            for event in read():
                self._handle(event)
        except ChannelBroken as error:
            self._broken = self._broken or error.message
            self._process.kill()

    def _handle(self, event: wire.Event) -> None:
        if isinstance(event, wire.Printed):
            self._kept.add(event.data)
        elif event.type == wire.STARTED:
            self._listener.started(int(event.body.get("pid", 0)))
        elif event.type == wire.PROGRESS:
            self._progress = _progress(event.body)
            self._listener.progress(self._progress)
        elif event.type == wire.OUTCOME:
            if event.body.get("id") != self._job.id:
                raise ChannelBroken("The bridge told the outcome of a job that it was not given.")
            with self._lock:
                self._outcome = event.body
                self._settled_at = time.monotonic()

    # -- the verdict -------------------------------------------------------------------------------------

    def _judge(self) -> Outcome:
        told = self._outcome
        if told is None or (self._stop is not None and told.get("status") != "completed"):
            return self._without_a_word() if told is None else self._ended(self._stopped(), told)
        if told.get("status") == "completed":
            return self._ended(Ending.COMPLETED, told)
        if told.get("status") == "exited":
            return self._exited(told)
        return self._ended(Ending.TIMED_OUT if told.get("halt") == "time_limit_exceeded" else Ending.FAILED, told)

    def _exited(self, told: dict[str, Any]) -> Outcome:
        code = self._process.exit_code or 0
        if code == 0:
            return self._ended(Ending.COMPLETED, told, note="The callback called exit() with code 0.")
        ended = describe_exit(code)
        if code < 0:
            return self._ended(Ending.PROCESS_DIED, told, JobError("ProcessDied", f"The PHP process {ended}."))
        return self._ended(Ending.FAILED, told, JobError("Exit", f"The callback called exit(): PHP {ended}."))

    def _without_a_word(self) -> Outcome:
        told: dict[str, Any] = {"runtime_ms": round((time.monotonic() - self._began) * 1000)}
        if self._stop is not None:
            return self._ended(self._stopped(), told)
        if self._broken:
            return self._ended(Ending.PROCESS_DIED, told, JobError("ChannelBroken", self._broken))
        code = self._process.exit_code or 0
        if self._overran or (code == -signal.SIGALRM and self._timeout > 0):
            message = (
                f"The job ran longer than its time limit of {self._timeout} s and went on when it was told so: "
                "its processes were killed."
            )
            return self._ended(Ending.TIMED_OUT, told, JobError("TimeLimitExceeded", message))
        last = self._kept.telling_line()
        message = f"The PHP process {describe_exit(code)} in the middle of the job" + (f": {last}" if last else ".")
        return self._ended(Ending.PROCESS_DIED, told, JobError("ProcessDied", message))

    def _stopped(self) -> Ending:
        return Ending.CANCELLED if self._stop is Stop.CANCEL else Ending.INTERRUPTED

    def _ended(
        self, ending: Ending, told: dict[str, Any], error: JobError | None = None, note: str | None = None
    ) -> Outcome:
        if ending in (Ending.FAILED, Ending.TIMED_OUT) and error is None:
            error = _error(told.get("error"))
        result = told.get("result")
        return Outcome(
            ending=ending,
            result=result if isinstance(result, str) and ending is Ending.COMPLETED else None,
            error=error,
            output=self._kept.value(),
            note=note or _text(told.get("note")),
            runtime_ms=int(told.get("runtime_ms", 0)),
            memory_bytes=int(told.get("memory", 0)),
            progress=self._progress,
            callback=_text(told.get("callback")),
        )


def _text(value: object) -> str | None:
    return str(value) if value else None


def _error(told: object) -> JobError:
    body = told if isinstance(told, dict) else {}
    return JobError(
        class_name=str(body.get("class", "Error")),
        message=str(body.get("message", "The job failed without a message.")),
        file=str(body.get("file", "")),
        line=int(body.get("line") or 0),
        trace=str(body.get("trace", "")),
    )


def _progress(body: dict[str, Any]) -> Progress:
    total = body.get("total")
    return Progress(int(body.get("done", 0)), None if total is None else int(total), str(body.get("message", "")))
