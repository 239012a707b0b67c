"""What came to pass in a trial, in one order: each worker's whole log, what was added, each fault."""

from __future__ import annotations

import time
from collections.abc import Sequence


class Timeline:
    """Notes with their times, which are seconds of the machine's monotonic clock, as a job's run has them."""

    def __init__(self) -> None:
        self._notes: list[tuple[float, str]] = []

    def note(self, text: str, at: float | None = None) -> None:
        """`at` is now unless it is given."""
        self._notes.append((time.monotonic() if at is None else at, text))

    def heard(self, who: str, lines: Sequence[tuple[float, str]]) -> None:
        """All that somebody said."""
        for at, text in list(lines):
            self.note(f"{who}: {text}", at)

    def __str__(self) -> str:
        return "\n".join(f"{at:.3f} {text}" for at, text in sorted(self._notes))
