"""The servers of `$gearman_servers`: one that is down is left alone, while the others go on."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from wpbg.errors import QueueUnreachable
from wpbg.log import Log
from wpbg.queues.reach import Reach

T = TypeVar("T")


class Servers:
    """Shared by a worker's slots. Which of several is lost is said once; where there is one, its lane says it."""

    def __init__(
        self, names: Sequence[str], log: Log | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._names = tuple(dict.fromkeys(names))
        several = log if len(self._names) > 1 else None
        self._reach = {name: Reach(several, clock, one_of=name) for name in self._names}
        self._turn = itertools.count()

    def each(self, ask: Callable[[str], T]) -> Iterator[T]:
        """What each server answers, another one first each time: a busy one must not starve the others.

        One that does not answer is passed over. Raises `QueueUnreachable` when none does.
        """
        lost: QueueUnreachable | None = None
        answered = False
        for name in self._awake():
            try:
                answer = ask(name)
            except QueueUnreachable as error:
                lost = error
                self._reach[name].lost("gearman", error)
                continue
            answered = True
            self._reach[name].found("gearman")
            yield answer
        if lost is not None and not answered:
            raise lost

    def _awake(self) -> Sequence[str]:
        at = next(self._turn) % len(self._names)
        names = self._names[at:] + self._names[:at]
        # When all are lost, the lane is: whoever asks nevertheless knows why.
        return [name for name in names if self._reach[name].may_ask()] or names
