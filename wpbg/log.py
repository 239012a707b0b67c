"""What a worker says of itself: one line an event, for people or as JSON."""

from __future__ import annotations

import json
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timezone
from typing import Any, TextIO

from wpbg.log_file import LogFile, reason

Sink = Callable[[str, dict[str, Any]], None]
Event = tuple[str, str, dict[str, Any]]
"""Its name, the message and the facts."""

PIECE = 4000
"""Characters of lines that are written at once. Nearly all are ASCII."""

PLAIN = re.compile(r"[!#-<>-~]+")
"""ASCII that stands as one word; most values are."""

LONGEST = 2000
"""Characters of a message on a text line."""


class Log:
    """Writes events. `event` is constant (`job.completed`), `message` says the consequence, fields are facts.

    Text: `2026-11-22T21:30:00Z job.failed id=7 queue=mail: Exception: no. Runs again in 31 s.` A line is written
    whole; a stream that is gone or full is given up on, never the work. The events are those of `wpbg.events`.

    `file` gets every line as well. When it cannot be written the stream is told once, and once when it can be again.
    """

    def __init__(
        self,
        form: str = "text",
        stream: TextIO | None = None,
        write: Callable[[str], None] | None = None,
        debug: bool = False,
        file: LogFile | None = None,
    ) -> None:
        self._form, self._stream, self._write, self.debug = form, stream or sys.stderr, write, debug
        self._file, self._missed = file, 0
        self._lock = threading.Lock()
        self.sinks: list[Sink] = []

    def event(self, event: str, message: str = "", /, **fields: Any) -> None:
        """One event. Fields that are None are left out."""
        self.events([(event, message, fields)])

    def events(self, many: Sequence[Event]) -> None:
        """Several at once: their lines go out in one piece."""
        lines = []
        for event, message, fields in many:
            kept = {key: value for key, value in fields.items() if value is not None}
            for sink in self.sinks:
                sink(event, kept)
            lines.append(self._line(event, message, kept))
        if not lines:
            return
        with self._lock:
            for piece in _pieces(lines):
                self._show(piece)
            if self._file is not None:
                for line in lines:
                    self._keep(self._file, line)

    def _line(self, event: str, message: str, fields: dict[str, Any]) -> str:
        if self._form == "json":
            now = datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
            return _json({"time": now, "event": event, **fields, **({"message": message} if message else {})})
        facts = " ".join(f"{key}={_word(value)}" for key, value in fields.items())
        said = one_line(message, LONGEST)
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        return " ".join(part for part in (now, event, facts) if part) + (f": {said}" if said else "")

    def _show(self, line: str) -> None:
        try:
            if self._write:
                for each in line.split("\n"):
                    self._write(each)
            else:
                self._stream.write(line + "\n")
                self._stream.flush()
        except (OSError, ValueError):
            pass

    def _keep(self, file: LogFile, line: str) -> None:
        """Add a line to the file; on the stream, say once that this fails, and once that it works again."""
        try:
            file.append(line)
            if self._missed:
                missed, self._missed = self._missed, 0
                back = self._line("log.back", f"It is written again; {missed} line(s) are missing.", _of(file))
                self._show(back)
                file.append(back)
        except OSError as error:
            if not self._missed:
                why = f"The log file cannot be written ({reason(error)}). Jobs go on; events are told here alone."
                self._show(self._line("log.lost", why, _of(file)))
            self._missed += 1

    def hint(self, event: str, **fields: Any) -> None:
        """An event that only the sinks hear of."""
        for sink in self.sinks:
            sink(event, {key: value for key, value in fields.items() if value is not None})


def _pieces(lines: Sequence[str]) -> Iterator[str]:
    """Lines in pieces that a pipe takes whole (PIPE_BUF), so that other writers' lines stay apart from them."""
    piece = lines[0]
    for line in lines[1:]:
        if len(piece) + len(line) > PIECE:
            yield piece
            piece = line
        else:
            piece = f"{piece}\n{line}"
    yield piece


def _of(file: LogFile) -> dict[str, Any]:
    return {"file": str(file.path)}


def _word(value: Any) -> str:
    """A value as one word of a text line: nothing in it can break the line or the terminal."""
    text = str(value)
    if PLAIN.fullmatch(text):
        return text
    if text and all(char.isprintable() and char not in ' "=' for char in text):
        return text
    return _json(text)


def _json(value: Any) -> str:
    """JSON in printable ASCII: `json` leaves DEL as it is."""
    return json.dumps(value).replace("\x7f", "\\u007f")


def one_line(text: str, limit: int = 300) -> str:
    """Any text as one printable line of at most `limit` characters."""
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def printed_lines(output: bytes, most: int = 200) -> Iterator[str]:
    """What a job printed, for the log: line by line, at most `most` of them, nothing that a terminal would act on."""
    lines = [one_line(line, LONGEST) for line in output.decode("utf-8", "replace").splitlines()]
    lines = [line for line in lines if line]
    yield from lines[:most]
    if len(lines) > most:
        yield f"… {len(lines) - most} more lines: see `wpbg jobs log`."
