"""Waiting for a condition, never for a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_for(condition: Callable[[], T], timeout: float = 30, what: str | None = None) -> T:
    """Ask until the answer is true and return it; AssertionError after `timeout` seconds.

    The time is only how long a broken program may keep a test waiting, so be generous with it.
    """
    deadline = time.monotonic() + timeout
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() >= deadline:
            name = what or getattr(condition, "__name__", repr(condition))
            raise AssertionError(f"after {timeout} s still not: {name} (last answer: {answer!r})")
        time.sleep(0.02)


def next_second() -> None:
    """Wait for the clock's next second. A file that was changed in the second in which PHP starts is, for PHP, which
    knows times in whole seconds, one that may have been changed after it was loaded."""
    now = int(time.time())
    wait_for(lambda: int(time.time()) > now, 5, "the next second")
