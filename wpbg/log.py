"""What a worker says of itself: one line an event, for people or as JSON."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any, TextIO

Sink = Callable[[str, dict[str, Any]], None]


class Log:
    """Writes events. `event` is constant (`job.completed`), `message` says the consequence, fields are facts.

    Text: `2026-11-22T21:30:00Z job.failed id=7 queue=mail: Exception: no. Runs again in 31 s.` A line is written
    whole; a stream that is gone or full is given up on, never the work.
    """

    def __init__(
        self,
        form: str = "text",
        stream: TextIO | None = None,
        write: Callable[[str], None] | None = None,
        debug: bool = False,
    ) -> None:
        self._form, self._stream, self._write, self.debug = form, stream or sys.stderr, write, debug
        self._lock = threading.Lock()
        self.sinks: list[Sink] = []

    def event(self, event: str, message: str = "", /, **fields: Any) -> None:
        """One event. Fields that are None are left out."""
        kept = {key: value for key, value in fields.items() if value is not None}
        for sink in self.sinks:
            sink(event, kept)
        now = datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        if self._form == "json":
            line = json.dumps({"time": now, "event": event, **kept, **({"message": message} if message else {})})
        else:
            facts = " ".join(f"{key}={_word(value)}" for key, value in kept.items())
            line = " ".join(part for part in (now[:19] + "Z", event, facts) if part) + (
                f": {message}" if message else ""
            )
        with self._lock:
            try:
                if self._write:
                    self._write(line)
                else:
                    self._stream.write(line + "\n")
                    self._stream.flush()
            except (OSError, ValueError):
                pass

    def hint(self, event: str, **fields: Any) -> None:
        """An event that only the sinks hear of."""
        for sink in self.sinks:
            sink(event, {key: value for key, value in fields.items() if value is not None})


def _word(value: Any) -> str:
    """A value as one word of a text line: nothing in it can break the line or the terminal."""
    text = str(value)
    if text and all(char.isprintable() and char not in ' "=' for char in text):
        return text
    return json.dumps(text)


def one_line(text: str, limit: int = 300) -> str:
    """Any text as one printable line of at most `limit` characters."""
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"
