"""The pool's own thread, with a server that is gone."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from typing import Any, cast

from wpbg.control import Control
from wpbg.errors import QueueUnreachable
from wpbg.log import Log
from wpbg.pool import Pool, PoolOptions


class Gone:
    """A queue and a ledger: whatever needs the server is told that it does not answer."""

    capabilities: frozenset[Any] = frozenset()

    def __init__(self, asked: list[str]) -> None:
        self._asked, self._by = asked, threading.get_ident()

    def close(self) -> None: ...

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def ask(*args: object, **kwargs: object) -> None:
            if threading.get_ident() == self._by:
                self._asked.append(name)
            raise QueueUnreachable("It does not answer.")

        return ask


class Idle:
    """A runner that has nothing to do."""

    window = 1

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *args, **kwargs: None


def test_a_server_that_does_not_answer_is_asked_once_in_a_turn() -> None:
    """Each question may take a minute: several in a row, and the watchdog would take the worker for hung."""
    asked: list[str] = []
    turns: list[list[str]] = []

    def gone() -> Any:
        return Gone(asked)

    options = PoolOptions(name="w", queues=("q",), housekeeping=0, stop_when_empty=True, signals=False)
    pool = Pool(options, gone, cast(Any, Idle), gone(), Control(), Log(stream=io.StringIO()))

    def turn() -> None:
        turns.append(asked.copy())
        asked.clear()
        if len(turns) == 8:
            pool.stop("Enough was seen.")

    pool.at_turns.append(turn)
    pool.run()
    assert "show_workers" in turns[0]
    assert max(map(len, turns)) == 1, turns
    assert asked == ["hide_workers"], "nor when it ends"
    assert pool.not_ready
