"""Recording how a slot's runs ended, and saying so in the log."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from wpbg.claimed import HELD, Claimed
from wpbg.control import Control
from wpbg.errors import QueueUnreachable
from wpbg.job import Lease, Outcome
from wpbg.log import Event, Log, one_line, printed_lines
from wpbg.queues.base import Queue, Settlement
from wpbg.settle import Decision, Finish, Release, Retry

COMPANY = 0.05
"""Seconds an outcome waits for others, so that they are recorded in one go."""


class Recorder:
    """Records what is unsettled of one slot's `claimed`; `on_settled` is told of those that were. `slot`: its name."""

    def __init__(
        self,
        slot: str,
        claimed: Claimed,
        control: Control,
        log: Log,
        on_settled: Callable[[Sequence[Settlement]], None],
    ) -> None:
        self._slot, self._claimed, self._control, self._log = slot, claimed, control, log
        self._on_settled = on_settled
        self._flushed_at = 0.0

    def wait_for_company(self) -> None:
        """What ends from here on may wait for others."""
        self._flushed_at = time.monotonic()

    @property
    def due(self) -> bool:
        """Whether outcomes have waited for company long enough."""
        return not self._claimed.holds or time.monotonic() - self._flushed_at > COMPANY

    def flush(self, queue: Queue) -> None:
        """Record outcomes; not even a lost server makes us forget them, until there is no more time."""
        items = self._claimed.take_unsettled()
        self._flushed_at = time.monotonic()
        try:
            self._record(queue, items)
        except BaseException as error:
            self._claimed.put_back(items)  # Nobody else is to run these while we are there.
            for item in items:
                self.say(item.lease, "job.abandoned", f"{error} Its outcome could not be recorded: it will run again.")
            raise
        self._claimed.recorded(items)

    def _record(self, queue: Queue, items: Sequence[Settlement]) -> None:
        pause = 0.5
        while items:
            try:
                self._settled(items, queue.settle_all(items))
                return
            except QueueUnreachable as error:
                if pause == 0.5:
                    for item in items:
                        message = f"{error.message} Its outcome is kept and recorded when it is back."
                        self.say(item.lease, "job.unsettled", message)
                if self._control.abandon.is_set():
                    for item in items:
                        self.say(item.lease, "job.abandoned", "Its outcome could not be recorded: it will run again.")
                    return
                self._control.abandon.wait(pause)
                pause = min(pause * 2, 5.0)

    def try_flush(self, queue: Queue) -> None:
        """Record outcomes. Raises `QueueUnreachable`; then all is as it was."""
        items = self._claimed.take_unsettled()
        if items:
            try:
                answers = queue.settle_all(items)
            except BaseException:
                self._claimed.put_back(items)
                raise
            self._claimed.recorded(items)
            self._settled(items, answers)

    def _settled(self, items: Sequence[Settlement], answers: Sequence[bool]) -> None:
        events: list[Event] = []
        ours: list[Settlement] = []
        for item, settled in zip(items, answers, strict=True):
            if item.outcome is HELD:
                continue
            if not settled:
                message = "Another worker has it by now, or it was deleted; this run changes nothing."
                events.append(self._event(item.lease, "job.lease_lost", message))
                continue
            fields: dict[str, Any] = {"ending": item.outcome.ending.value, "runtime_ms": item.outcome.runtime_ms}
            events.append(self._event(item.lease, *sentence(item.decision, item.outcome), **fields))
            if self._log.debug:
                events += [self._event(item.lease, "job.output", line) for line in printed_lines(item.outcome.output)]
            ours.append(item)
        self._log.events(events)
        if ours:
            self._on_settled(ours)

    def say(self, lease: Lease, name: str, message: str, **fields: Any) -> None:
        """An event of a job in the log."""
        self._log.events([self._event(lease, name, message, **fields)])

    def _event(self, lease: Lease, name: str, message: str, **fields: Any) -> Event:
        job = lease.job
        facts = {
            "id": job.id,
            "queue": job.queue,
            "callback": job.callback,
            "attempt": f"{job.attempt}/{job.max_attempts}",
            "slot": self._slot,
        }
        return name, message, {**facts, **fields}


def sentence(decision: Decision, outcome: Outcome) -> tuple[str, str]:
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
