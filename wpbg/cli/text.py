"""Words for people: text that is safe on a terminal, times, durations, numbers of things."""

from __future__ import annotations

import json
import re
import unicodedata
from datetime import datetime
from typing import Any

from wpbg.ledger.text import printable

_BREAK = re.compile("\r\n|[\r\x85\u2028\u2029]")

_SPANS = (
    (1, 0.001, "ms"),
    (119.5, 1, "s"),
    (119.5 * 60, 60, "min"),
    (47.5 * 3600, 3600, "h"),
    (float("inf"), 86400, "d"),
)
"""Below how many seconds a unit is used, its seconds, its name."""


def clean_text(text: str) -> str:
    """Text of several lines without anything that a terminal would act on; tabs and line ends stay.

    A bare carriage return (a progress display in a job's output) ends a line.
    """
    plain = printable(_BREAK.sub("\n", text))
    return plain.encode("utf-8", "replace").decode("utf-8")  # Half a surrogate pair cannot be printed.


def clean(text: str) -> str:
    """Text as one line without anything that a terminal would act on."""
    return " ".join(clean_text(text).split())


def cell(value: Any) -> str:
    """A value of a row as one line: None is empty, a boolean yes or no, a list its members, an object JSON."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ", ".join(cell(item) for item in value)
    if isinstance(value, dict):
        return clean(json.dumps(value, ensure_ascii=False))
    return clean(str(value))


def width(text: str) -> int:
    """Columns that a line takes on a terminal."""
    return len(text) if text.isascii() else sum(map(_columns, text))


def _columns(char: str) -> int:
    if unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def since_epoch(time: str | None) -> int | None:
    """ISO 8601, as the ledger writes it, as milliseconds since 1970."""
    if time is None:
        return None
    return round(datetime.fromisoformat(time.replace("Z", "+00:00")).timestamp() * 1000)


def moment(time: str | None, now_ms: int) -> str:
    """A time for people: the moment, and how far it is from now."""
    return f"{time[:10]} {time[11:19]} UTC ({ago(time, now_ms)})" if time else ""


def ago(time: str | None, now_ms: int) -> str:
    """How far a moment is from now: `3 min ago`, `in 2 h`."""
    ms = since_epoch(time)
    if ms is None:
        return ""
    away = (ms - now_ms) / 1000
    if abs(away) < 1:
        return "now"
    return f"in {duration(away)}" if away > 0 else f"{duration(-away)} ago"


_UNITS = ((1, 0.001, "ms"), (119.5, 1, "s"), (7170, 60, "min"), (171000, 3600, "h"), (float("inf"), 86400, "d"))
"""Below how many seconds a unit is used, its seconds, its name."""


def duration(seconds: float) -> str:
    """A time span in the unit that fits: `80 ms`, `1.4 s`, `47 s`, `3 min`, `5 h`, `12 d`."""
    if seconds < 0.0005:
        return "<1 ms"
    if 0.9995 <= seconds < 9.95:
        return f"{seconds:.1f} s"
    unit, name = next((unit, name) for limit, unit, name in _UNITS if seconds < limit)
    return f"{seconds / unit:.0f} {name}"


def run_time(ms: int | None) -> str:
    """How long a run took."""
    return "" if ms is None else duration(ms / 1000)


def count(number: int, noun: str, plural: str | None = None) -> str:
    """`1 job`, `2 jobs`, `12,000 jobs`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"
