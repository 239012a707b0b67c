"""What a slot has claimed: the job that runs, those held behind it, those whose outcome is not recorded yet."""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace

from wpbg.job import Ending, Lease, Outcome
from wpbg.queues.base import Settlement
from wpbg.settle import Release

HELD = Outcome(Ending.INTERRUPTED)
"""The outcome of a job that was claimed ahead and not run."""


class Claimed:
    """The leases of one slot; each is in one of its places until its outcome is recorded.

    Safe from every thread: the heartbeat's renews them and takes away from them while the slot's works. The first of
    those that are held may be with PHP already (`ahead`): they are not given back or dropped before they are
    `withdrawn`. Seconds are those of `time.monotonic`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: Lease | None = None
        self._since = 0.0
        self._held: deque[Lease] = deque()
        self._ahead = 0
        self._doomed: list[Lease] = []
        self._unsettled: list[Settlement] = []
        self._settling: list[Settlement] = []

    @property
    def running(self) -> Lease | None:
        """The lease that is being worked on."""
        return self._running

    @property
    def holds(self) -> bool:
        """Whether more is to be run."""
        return bool(self._held)

    @property
    def ahead(self) -> int:
        """How many of those to be run PHP has already."""
        return self._ahead

    @property
    def all_ahead(self) -> bool:
        """Whether there are more to be run, and PHP has all of them."""
        with self._lock:
            return bool(self._held) and self._ahead == len(self._held)

    def leases(self) -> list[Lease]:
        """All that must not run out."""
        with self._lock:
            running = [self._running] if self._running is not None else []
            return [*running, *self._held, *(item.lease for item in [*self._settling, *self._unsettled])]

    def hold(self, leases: Sequence[Lease]) -> None:
        """Fresh from the queue, to be run in this order."""
        with self._lock:
            self._held.extend(leases)

    def begin(self, arm: Callable[[], None]) -> Lease | None:
        """The next job to run, None where there is none; `arm` is called before anybody can want it stopped."""
        with self._lock:
            if not self._held:
                return None
            arm()
            self._running = self._held.popleft()
            self._ahead = max(0, self._ahead - 1)
            self._since = time.monotonic()
            return self._running

    def send_ahead(self, most: int, blog_id: int) -> list[Lease]:
        """The next ones that PHP has not, as far as they are of this blog: it has them from now on."""
        with self._lock:
            rest = itertools.islice(self._held, self._ahead, self._ahead + most)
            sent = list(itertools.takewhile(lambda lease: lease.job.blog_id == blog_id, rest))
            self._ahead += len(sent)
            return sent

    def withdrawn(self, left: int) -> None:
        """PHP has only the next `left` any more."""
        with self._lock:
            self._ahead = min(left, self._ahead)
            doomed, self._doomed = self._doomed, []
            for lease in doomed:
                self._drop(lease)

    def end(self, item: Settlement | None) -> None:
        """The running job ended so; None: nobody knows how, its lease will run out."""
        with self._lock:
            self._running = None
            if item is not None:
                self._unsettled.append(item)

    def running_for(self, seconds: float) -> Lease | None:
        """The running job, if it has been for as long."""
        with self._lock:
            return self._running if time.monotonic() - self._since >= seconds else None

    def if_running(self, lease: Lease | None, act: Callable[[], None]) -> None:
        """Act while a job runs (with `lease`: while it is that one) and before another can begin."""
        with self._lock:
            if self._running is not None and lease in (None, self._running):
                act()

    def drop(self, lease: Lease) -> None:
        """A held lease that was lost, or that somebody cancelled, is not run."""
        with self._lock:
            self._drop(lease)

    def _drop(self, lease: Lease) -> None:
        if lease in itertools.islice(self._held, self._ahead):
            self._doomed.append(lease)  # It begins within the next moment, or is withdrawn.
        elif lease in self._held:
            self._held.remove(lease)
            self._unsettled.append(Settlement(lease, Release(), HELD))

    def hand_back(self) -> None:
        """Jobs that were claimed ahead and will not be run go back uncounted."""
        with self._lock:
            back = list(self._held)[self._ahead :]
            for _ in back:
                self._held.pop()
            self._unsettled += [Settlement(lease, Release(), HELD) for lease in back]

    def take_unsettled(self) -> list[Settlement]:
        """What is to be recorded. The caller sees to it that it is, and says so (`recorded`); until then it may take
        its time, and the leases last."""
        with self._lock:
            taken, self._unsettled = self._unsettled, []
            self._settling += taken
            return taken

    def recorded(self, items: Sequence[Settlement]) -> None:
        """These were, or never will be."""
        with self._lock:
            self._no_longer_settling(items)

    def put_back(self, items: Sequence[Settlement]) -> None:
        """What could not be recorded, or was without anybody having heard of it."""
        with self._lock:
            self._no_longer_settling(items)
            self._unsettled = [*(replace(item, tried=True) for item in items), *self._unsettled]

    def _no_longer_settling(self, items: Sequence[Settlement]) -> None:
        done = {id(item) for item in items}
        self._settling = [item for item in self._settling if id(item) not in done]
