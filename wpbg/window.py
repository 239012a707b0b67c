"""How many jobs a slot claims at once: more while they are short, one when they are long. Pure."""

from __future__ import annotations

SHORT = 0.02
"""Seconds a batch may take per job for the window not to shrink."""

WORTH = 0.4
"""Seconds that a batch may be expected to take. Soon after, what has not begun is handed back (`worker.PATIENCE`)."""

LONG = 0.1
"""Seconds per job from which on it shrinks at once."""


class Window:
    """Doubles after a full batch of short jobs, as long as the next one is over within `WORTH`, up to `most`; halves
    when it is not, or after slower jobs; falls to one after long ones. `grown` is whether it would not grow further.

    One claim for many short jobs saves their round trips. A long job must not have others wait behind it.
    """

    def __init__(self, most: int) -> None:
        self.most = max(1, most)
        self.size = 1
        self.grown = self.most == 1

    def learn(self, jobs: int, seconds: float) -> None:
        """After a batch of `jobs` that took `seconds` in all."""
        if jobs < 1:
            return
        each = seconds / jobs
        if each > LONG:
            self.size = 1
        elif each > SHORT or self.size * each > WORTH:
            self.size = max(1, self.size // 2)
        elif jobs >= self.size and min(self.most, self.size * 2) * each <= WORTH:
            self.size = min(self.most, self.size * 2)
        self.grown = self.size == self.most or self.size * 2 * each > WORTH
