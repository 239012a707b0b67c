"""From what was seen of a run to its outcome. Pure."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import Any

from wpbg.job import Ending, JobError, Outcome, Progress
from wpbg.runners.base import Kept, Stop


@dataclass(frozen=True)
class Facts:
    """What was seen. `told` is the bridge's outcome or None; `code` is how the job's process ended, negative for a
    signal, and means nothing while it lives; `stop` is why it was ended from outside."""

    told: dict[str, Any] | None
    code: int
    stop: Stop | None
    started: bool
    broken: str | None
    overran: bool
    timeout: int
    runtime_ms: int
    kept: Kept
    progress: Progress | None


def judge(facts: Facts) -> Outcome:
    """The outcome. What the bridge told counts; where it told nothing, how the process ended."""
    if facts.stop is not None:
        return _ended(facts, Ending.CANCELLED if facts.stop is Stop.CANCEL else Ending.INTERRUPTED)
    if facts.told is None:
        return _without_a_word(facts)
    status = facts.told.get("status")
    if status == "completed":
        return _ended(facts, Ending.COMPLETED)
    if status == "exited":
        return _exited(facts)
    late = facts.told.get("halt") == "time_limit_exceeded"
    return _ended(facts, Ending.TIMED_OUT if late else Ending.FAILED, _error(facts.told.get("error")))


def _exited(facts: Facts) -> Outcome:
    """The callback ended its process: only the exit code says how it meant it."""
    if facts.code == 0:
        return _ended(facts, Ending.COMPLETED, note="The callback called exit() with code 0.")
    ended = describe_exit(facts.code)
    if facts.code < 0:
        return _ended(facts, Ending.PROCESS_DIED, JobError("ProcessDied", f"The PHP process {ended}."))
    return _ended(facts, Ending.FAILED, JobError("Exit", f"The callback called exit(): PHP {ended}."))


def _without_a_word(facts: Facts) -> Outcome:
    if facts.broken:
        return _ended(facts, Ending.PROCESS_DIED, JobError("ChannelBroken", facts.broken))
    if facts.overran and not facts.started:
        message = "The PHP process hung before the job began: what an earlier job left in it, or its object cache."
        return _ended(facts, Ending.NOT_STARTED, JobError("NotStarted", message))
    if facts.overran or (facts.code == -signal.SIGALRM and facts.timeout > 0):
        message = (
            f"The job ran longer than its time limit of {facts.timeout} s and went on when it was told so: "
            "its processes were killed."
        )
        return _ended(facts, Ending.TIMED_OUT, JobError("TimeLimitExceeded", message))
    last = facts.kept.telling_line()
    how = f"The PHP process {describe_exit(facts.code)}"
    if not facts.started:
        return _ended(facts, Ending.NOT_STARTED, JobError("NotStarted", f"{how} before the job began{_tail(last)}"))
    return _ended(facts, Ending.PROCESS_DIED, JobError("ProcessDied", f"{how} in the middle of the job{_tail(last)}"))


def _tail(last: str) -> str:
    return f": {last}" if last else "."


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


def progress(body: dict[str, Any]) -> Progress:
    """What a job said of its progress."""
    total = body.get("total")
    return Progress(int(body.get("done", 0)), None if total is None else int(total), str(body.get("message", "")))


def _ended(facts: Facts, ending: Ending, error: JobError | None = None, note: str | None = None) -> Outcome:
    told = facts.told or {}
    result = told.get("result")
    return Outcome(
        ending=ending,
        result=result if isinstance(result, str) and ending is Ending.COMPLETED else None,
        error=error,
        output=facts.kept.value(),
        note=note or _text(told.get("note")),
        runtime_ms=int(told.get("runtime_ms", facts.runtime_ms)),
        memory_bytes=int(told.get("memory", 0)),
        progress=facts.progress,
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
