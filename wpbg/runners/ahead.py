"""What a process was sent before its turn, so that PHP goes from one short job to the next without waiting for us.

A job that was sent cannot be unsent, yet nobody may wait behind a job that turns out to be long. So what is sent ahead
is good for a moment only: PHP says that it begins (`S`), then looks at the clock, and past `until` it says `L` and
leaves the job alone. We, for our part, look at the clock, then read all that PHP has said: what it has not begun past
`until` it will not begin, and may be given to others. For that nobody may stand between who could hold back what PHP
said: through `docker exec` and the like, nothing is sent ahead.

PHP's clock need not be ours (before PHP 8.5, hrtime() is the monotonic clock; from then on, the raw one, which nobody
keeps in step). PHP tells it with each `S`: what we hear is in the past by then, so PHP's clock is at least that far.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from wpbg.job import Job

MOST = 64
"""Jobs."""

TERM = 0.25
"""Seconds that a job which was sent ahead may be begun in."""

SHORT = 0.005
"""Seconds a run may take for the next ones to be sent ahead."""


DRIFT = 0.001
"""How much faster or slower than ours PHP's clock may be. NTP does not adjust one by more than half of that."""


@dataclass(frozen=True)
class Sent:
    """A job that was sent ahead: its number among all that the process was sent, and until when it may begin, in
    seconds of `time.monotonic` and of PHP's clock, which is past it no later."""

    job: Job
    number: int
    until: float
    theirs: float


class Ahead:
    """The jobs that one process was sent before their turn, in order. Pure but for the clock."""

    def __init__(self) -> None:
        self.allowed = False
        """Whether nobody stands between PHP and us."""
        self._sent: deque[Sent] = deque()
        self._withdrawn: set[int] = set()
        self._number = 0
        self._depth = 0
        self._offset = -math.inf
        self._heard_at = 0.0

    def __len__(self) -> int:
        return len(self._sent)

    @property
    def until(self) -> float:
        """When the last of them may not be begun any more."""
        return self._sent[-1].until if self._sent else 0.0

    @property
    def late(self) -> bool:
        """Whether there are some, and none may be begun any more."""
        return bool(self._sent) and time.monotonic() > self.until

    def number(self) -> int:
        """The number of the next message with a job."""
        self._number += 1
        return self._number

    def wanted(self) -> int:
        """How many more are worth sending: none, or enough for one write."""
        known = self.allowed and self._offset > -math.inf
        room = self._depth - len(self._sent) if known else 0
        return room if room > 0 and room * 2 >= self._depth else 0

    def send(self, jobs: Sequence[Job]) -> list[Sent]:
        """They are sent now."""
        now = time.monotonic()
        theirs = now + TERM + self._offset_at(now)
        new = [Sent(job, self.number(), now + TERM, theirs) for job in jobs]
        self._sent.extend(new)
        return new

    def heard(self, clock: float) -> None:
        """PHP's clock, as it said a moment ago, in seconds."""
        now = time.monotonic()
        self._offset, self._heard_at = max(clock - now, self._offset_at(now)), now

    def _offset_at(self, now: float) -> float:
        """How far PHP's clock is ahead of ours by now, at least."""
        return self._offset - DRIFT * (now - self._heard_at)

    def is_next(self, job: Job) -> bool:
        """Whether this job was sent, and is the next one."""
        return bool(self._sent) and self._sent[0].job.id == job.id

    def take(self, job: Job) -> int | None:
        """The number it was sent with: its turn has come. None when it was not sent."""
        return self._sent.popleft().number if self.is_next(job) else None

    def begun(self, numbers: set[int]) -> bool:
        """The process is gone: of those that were sent, only these had begun. Whether there are any."""
        self._sent = deque(sent for sent in self._sent if sent.number in numbers)
        return bool(self._sent)

    def withdraw(self) -> None:
        """None of them has begun, and none will. What PHP still says of them means nothing."""
        self._withdrawn.update(sent.number for sent in self._sent)
        self._sent.clear()
        self._depth = 0

    def was_withdrawn(self, number: object) -> bool:
        return number in self._withdrawn

    def left(self, number: int) -> None:
        """PHP has left this one alone: nothing more is said of it."""
        self._withdrawn.discard(number)

    def learn(self, seconds: float) -> None:
        """A run took so long. As many more like it as may be begun in half the time that they are good for."""
        most = min(MOST, int(TERM / 2 / max(seconds, 1e-6)))
        self._depth = 0 if seconds > SHORT else min(most, max(1, self._depth * 2))
