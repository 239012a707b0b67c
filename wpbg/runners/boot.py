"""Starting a PHP process with the bridge in it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from wpbg.runners.base import Limits
from wpbg.runners.exchange import Lifetime, greet
from wpbg.runners.process import PhpProcess
from wpbg.runners.wire import MARKER


@dataclass(frozen=True)
class Boot:
    """How it is started. `first` is what it reads on stdin before the frames (the REPL's first line); `failed` is
    told the exit code of one that ended before it was ready."""

    argv: Sequence[str]
    cwd: Path
    env: Mapping[str, str]
    first: bytes = b""
    failed: Callable[[int], None] = lambda code: None


BootFor: TypeAlias = Callable[[int], Boot]
"""How to start one for a blog; 0 is the site's own. May raise a `SiteError`, or `QueueUnreachable` for its database."""


def start(how: Boot, hello: Mapping[str, Any], limits: Limits, on_start: Callable[[PhpProcess], None]) -> PhpProcess:
    """A process that is ready. Raises `NotStarted`; nothing of it is left then.

    `on_start` is told of the process before it is ready, so that a stop may end the waiting.
    """
    nonce = os.urandom(MARKER)
    forks = hello["lifetime"] == Lifetime.FORK.value  # That parent listens while its child works.
    process = PhpProcess(how.argv, how.cwd, how.env, nonce, guarded=not forks)
    try:
        on_start(process)
        process.send(how.first)
        ready = greet(process, {"nonce": nonce.hex(), **hello}, limits)
        process.inside = int(ready.get("pid") or 0)
        process.ahead.allowed = process.is_direct()
    except BaseException:
        if process.exit_code is not None:
            how.failed(process.exit_code)
        process.kill()
        process.close()
        raise
    return process
