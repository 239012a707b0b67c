"""The settings of a worker: one frozen object, one reader (flag or environment, then wp-config.php, then default)."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wpbg.errors import UsageError
from wpbg.site import Site

DEFAULT_TIME_LIMIT = 300
DEFAULT_IDLE = 1.0
DEFAULT_RETENTION_DAYS = 7.0
KNOWN_MS = 3_600_000


@dataclass(frozen=True)
class WorkerSettings:
    """Seconds, unless a name says otherwise. `time_limit` 0 is no limit."""

    name: str
    queues: tuple[str, ...]
    mode: str
    concurrency: int
    skip_lock: bool
    time_limit: int
    between: float
    idle_max: float
    retention_ms: int
    debug: bool


def worker_settings(
    site: Site,
    *,
    queues: Sequence[str] = (),
    name: str | None = None,
    mode: str = "restart",
    concurrency: int = 1,
    skip_lock: bool = False,
) -> WorkerSettings:
    """What was said on the command line, filled up from the site's wp-config.php. Raises `UsageError`."""
    named = tuple(dict.fromkeys(queues)) or (str(site.constants.get("ABW_QUEUE_NAME") or "default"),)
    return WorkerSettings(
        name=_name(name or f"{socket.gethostname()}-{os.getpid()}"),
        queues=tuple(check_queue(queue) for queue in named),
        mode=mode,
        concurrency=concurrency,
        skip_lock=skip_lock,
        time_limit=int(_number(site, "ABW_TIMELIMIT", DEFAULT_TIME_LIMIT)),
        between=_number(site, "ABW_SLEEP", 0) / 1_000_000,
        idle_max=_number(site, "ABW_NO_JOB_PERIOD", 0) or DEFAULT_IDLE,
        retention_ms=retention_ms(site),
        debug=debug(site),
    )


def debug(site: Site) -> bool:
    """ABW_DEBUG: whether the log tells of every step."""
    return bool(site.constants.get("ABW_DEBUG"))


STREAMS = frozenset({"php://stderr", "php://stdout", "php://output", "/dev/stderr", "/dev/stdout", "/dev/null"})
"""Values of BACKGROUND_WORKER_LOG that mean no file: events are on stderr anyway."""


def log_file(site: Site) -> Path | None:
    """BACKGROUND_WORKER_LOG: the file that events are added to. A relative one is below the site's folder."""
    value = site.constants.get("BACKGROUND_WORKER_LOG")
    if not isinstance(value, str) or not value or value in STREAMS or "\0" in value:
        return None
    return Path(site.path, value)


def retention_ms(site: Site) -> int:
    """How long finished jobs are kept. With a broker at least an hour: what it delivers again is known by its row."""
    asked = round(_number(site, "ABW_RETENTION_DAYS", DEFAULT_RETENTION_DAYS) * 86_400_000)
    has_broker = (site.lane or {}).get("backend", "database") != "database"
    return max(asked, KNOWN_MS) if has_broker else asked


def _number(site: Site, constant: str, default: float) -> float:
    """A constant of wp-config.php as a number of 0 or more."""
    value: Any = site.constants.get(constant, default)
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = -1.0
    if isinstance(value, bool) or not 0 <= number < 1e12:
        raise UsageError(f"{constant} is {value!r} in wp-config.php: it must be a number of 0 or more.")
    return number


def check_queue(name: str) -> str:
    """The name. Raises `UsageError` for one that no queue can have."""
    if not name or len(name) > 191 or not name.isprintable():
        raise UsageError(f"{name!r} is no name for a queue: 1 to 191 printable characters.")
    return name


def _name(name: str) -> str:
    if not name or len(name) > 150 or not name.isprintable():
        raise UsageError(f"{name!r} is no name for a worker: 1 to 150 printable characters.")
    return name
