"""The live line of `listen` on a terminal: log lines scroll, the last line says how far the worker is.

Only one thread touches the terminal. The worker's threads hand it their lines and go on, so that a terminal that is
stopped (Ctrl-S), slow or gone costs lines of log at most.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, TextIO

from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from wpbg.cli.score import Score
from wpbg.cli.show import console
from wpbg.ledger import Ledger

FRAME = 0.2
"""Seconds between two drawings."""

PAUSE = 0.05
"""Seconds between two loads of lines."""

FAST = 25
"""Lines in one load that nobody can read any more."""

SUMMED_UP = 2.0
"""Seconds between two words about lines that were left out."""

ASK_EVERY = 1.0
"""Seconds between two questions to the database; more where it takes long to answer."""

KEPT_LINES = 5000
"""Lines that wait for a terminal that takes none."""

LAST_WORDS = 2.0
"""Seconds that the terminal gets for the last lines."""

COLOURS = {"completed": "green", "failed": "bold red", "retry": "yellow", "lost": "bold red", "unsettled": "yellow"}
"""Of events in the log, by their last word."""


class LiveLine:
    """`write` takes log lines, `score.notice` the log's events; both from any thread, and neither ever waits."""

    def __init__(self, stream: TextIO, bar: bool) -> None:
        self.score = Score(time.monotonic)
        self._stream, self._bar = stream, bar
        self._lines: deque[str] = deque()
        self._dropped = 0
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._flood = Flood()

    def write(self, line: str) -> None:
        """A line of the log."""
        with self._changed:
            if len(self._lines) >= KEPT_LINES:
                self._lines.popleft()
                self._dropped += 1
            self._lines.append(line)
            self._changed.notify()

    @contextlib.contextmanager
    def shown(self, ledger: Ledger, queues: Sequence[str]) -> Iterator[None]:
        """Draw while the block runs. The ledger is used, and closed, by a thread of its own."""
        drawing = threading.Thread(target=self._draw, name="live-line", daemon=True)
        asking = threading.Thread(target=self._ask, args=(ledger, queues), name="live-counts", daemon=True)
        drawing.start()
        asking.start()
        try:
            yield
        finally:
            self._closing.set()
            with self._changed:
                self._changed.notify()
            drawing.join(LAST_WORDS)

    # -- asking ----------------------------------------------------------------------------------------------

    def _ask(self, ledger: Ledger, queues: Sequence[str]) -> None:
        pause = 0.0
        while not self._closing.wait(pause):
            began = time.monotonic()
            with contextlib.suppress(Exception):  # These are only numbers; the worker itself says what is wrong.
                ours = [each for each in ledger.queues() if each["queue"] in queues]
                states = ledger.states(self.score.running_ids())
                progress = {job_id: state["progress"] for job_id, state in states.items()}
                self.score.learn(sum(each["queued"] + each["running"] for each in ours), progress)
            pause = max(ASK_EVERY, 10 * (time.monotonic() - began))
        ledger.close()

    # -- drawing ---------------------------------------------------------------------------------------------

    def _draw(self) -> None:
        with contextlib.suppress(Exception):  # Whatever a terminal comes up with: the work goes on, and its log.
            self._draw_until_closed()
        while not (self._closing.is_set() and not self._lines):
            self._write_plainly()

    def _draw_until_closed(self) -> None:
        screen = console(self._stream)
        line = Live(
            self._line(),
            console=screen,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        with line as live:
            screen.show_cursor(True)  # Whoever ends us without warning shall not be left without one.
            while True:
                with self._changed:
                    if not self._lines and not self._closing.is_set():
                        self._changed.wait(FRAME)
                lines, ending = self._take(), self._closing.is_set()
                told = self._flood.told(lines, time.monotonic(), ending)
                if told:
                    screen.print(Text("\n").join(map(coloured, told)), soft_wrap=True)
                live.update(self._line(), refresh=True)
                if ending and not self._lines:
                    return
                self._closing.wait(PAUSE)

    def _take(self) -> list[str]:
        with self._changed:
            lines, dropped = list(self._lines), self._dropped
            self._lines.clear()
            self._dropped = 0
        return [f"({dropped} lines of the log were dropped: the terminal took none.)", *lines] if dropped else lines

    def _write_plainly(self) -> None:
        """What is left to do when drawing does not work."""
        with self._changed:
            if not self._lines and not self._closing.is_set():
                self._changed.wait(FRAME)
        for line in self._take():
            with contextlib.suppress(OSError, ValueError):
                self._stream.write(f"{line}\n")
                self._stream.flush()

    def _line(self) -> Any:
        """The last line: counts and what runs now; with a bar where there is an end to come to."""
        total = self.score.total
        if not self._bar or not total:
            return Text(self.score.words(waiting=True), no_wrap=True, overflow="ellipsis")
        left = self.score.seconds_left()
        grid = Table.grid(padding=(0, 1, 0, 0), expand=True)
        grid.add_column(width=20)
        grid.add_column(no_wrap=True)
        grid.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
        grid.add_row(
            ProgressBar(total=total, completed=self.score.ended, width=20, complete_style="green"),
            Text(f"{self.score.ended:,}/{total:,}" + ("" if left is None else f" {clock(left)} left")),
            Text(self.score.words(waiting=False)),
        )
        return grid


def clock(seconds: float) -> str:
    """`0:07`, `12:40`, `3:05:00`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Flood:
    """Keeps what a person can follow: of a flood of lines, not every job that went well. The live line counts them."""

    def __init__(self) -> None:
        self._left_out = 0
        self._said_at = float("-inf")

    def told(self, lines: Sequence[str], now: float, ending: bool) -> list[str]:
        """The lines to show of a load; now and then, and in the end, how many were left out."""
        told = [line for line in lines if " job.completed " not in line] if len(lines) > FAST else list(lines)
        self._left_out += len(lines) - len(told)
        if self._left_out and (ending or now >= self._said_at + SUMMED_UP):
            told.insert(0, f"({self._left_out:,} completed jobs came too fast to be shown one by one.)")
            self._left_out, self._said_at = 0, now
        return told


def coloured(line: str) -> Text:
    """A line of the text log: its time dim, its event in a colour."""
    time_of, _, rest = line.partition(" ")
    event, _, facts = rest.partition(" ")
    if not time_of.endswith("Z") or "." not in event:
        return Text(line)
    style = COLOURS.get(event.rstrip(":").rpartition(".")[2], "cyan")
    return Text.assemble((time_of, "bright_black"), " ", (event, style), " " if facts else "", facts)
