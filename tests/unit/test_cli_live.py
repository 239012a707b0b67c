"""The live line: whatever the terminal does, the worker's threads go on and the log is not lost."""

from __future__ import annotations

import io
import os
import threading
from typing import Any

import pytest

from tests.support.wait import wait_for
from wpbg.cli.live import FAST, KEPT_LINES, SUMMED_UP, Flood, LiveLine, clock, coloured
from wpbg.errors import QueueUnreachable
from wpbg.ledger import Ledger


class StubLedger(Ledger):
    """Answers without a database."""

    def __init__(self, queued: int = 7, gone: bool = False) -> None:
        self.asked, self.closed, self._queued, self._gone = 0, threading.Event(), queued, gone

    def queues(self) -> list[dict[str, Any]]:
        self.asked += 1
        if self._gone:
            raise QueueUnreachable("gone")
        return [
            {"queue": "default", "queued": self._queued, "running": 1},
            {"queue": "other", "queued": 1000, "running": 1000},
        ]

    def states(self, job_ids: Any) -> dict[str, dict[str, Any]]:
        return {job_id: {"progress": {"done": 3, "total": 4, "message": "step"}} for job_id in job_ids}

    def close(self) -> None:
        self.closed.set()


class Screen(io.StringIO):
    """A terminal that keeps everything."""

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        raise OSError("no file")


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("TERM", "xterm")


def started(live: LiveLine) -> None:
    live.score.notice("job.started", {"id": "5", "slot": "w", "callback": "send"})


def test_lines_scroll_above_the_last_one() -> None:
    screen = Screen()
    live = LiveLine(screen, bar=False)
    with live.shown(StubLedger(), ["default"]):
        started(live)
        live.write("2026-11-22T22:00:00Z job.started id=5")
        wait_for(lambda: "7 waiting; send" in screen.getvalue() and "(3 of 4: step)" in screen.getvalue())
        live.write("not a line of the log")
    said = screen.getvalue()
    assert said.index("2026-11-22T22:00:00Z") < said.index("not a line of the log")
    assert said.endswith("\x1b[2K"), "the last line is gone in the end"


def test_a_flood_of_good_news_is_summed_up_now_and_then() -> None:
    good = [f"2026-11-22T22:00:00Z job.completed id={number}" for number in range(100)]
    bad = "2026-11-22T22:00:00Z job.failed id=7"
    flood = Flood()
    assert flood.told(good[:FAST], 0.0, False) == good[:FAST]
    summary, last = flood.told([*good, bad], 0.1, False)
    assert last == bad
    assert "100 completed jobs" in summary
    assert flood.told(good, 0.2, False) == []
    assert flood.told([], 0.3, False) == []
    assert "100 completed jobs" in flood.told([], 0.2 + SUMMED_UP, False)[0]
    flood.told(good, 5.0, False)
    assert flood.told(good[:1], 5.1, True)[-1] == good[0]


def test_a_bar_where_there_is_an_end_to_come_to() -> None:
    screen = Screen()
    live = LiveLine(screen, bar=True)
    with live.shown(StubLedger(), ["default"]):
        started(live)
        live.score.notice("job.completed", {"id": "5", "slot": "w"})
        wait_for(lambda: "1/9" in screen.getvalue())
        wait_for(lambda: " left" in screen.getvalue())
    assert "━" in screen.getvalue()


class Broken(Screen):
    """A terminal that is gone."""

    def write(self, text: str) -> int:
        raise OSError(5, "Input/output error")


def test_a_terminal_that_is_gone_breaks_nothing() -> None:
    ledger = StubLedger()
    live = LiveLine(Broken(), bar=True)
    with live.shown(ledger, ["default"]):
        for number in range(100):
            live.write(f"line {number}")
        wait_for(lambda: ledger.asked > 0)
    assert ledger.closed.wait(30)


def test_a_terminal_that_takes_nothing_keeps_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wpbg.cli.live.LAST_WORDS", 0.01)
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    while True:  # Fill it, so that the next write waits.
        try:
            os.write(writing, b"x" * 65536)
        except BlockingIOError:
            break
    os.set_blocking(writing, True)
    drained: list[bytes] = []
    reader = threading.Thread(target=lambda: drained.extend(iter(lambda: os.read(reading, 65536), b"")), daemon=True)
    with os.fdopen(writing, "w", buffering=1) as stream:
        live = LiveLine(stream, bar=False)
        with live.shown(StubLedger(), ["default"]):
            for number in range(3 * KEPT_LINES):  # It may have taken one load of them before it had to wait.
                live.write(f"line {number}")
        reader.start()  # Now somebody presses Ctrl-Q.
        wait_for(lambda: f"line {3 * KEPT_LINES - 1}".encode() in b"".join(drained))
    reader.join(30)
    os.close(reading)
    assert b"lines of the log were dropped" in b"".join(drained)


def test_a_database_that_is_gone_leaves_the_line_as_it_was() -> None:
    screen, ledger = Screen(), StubLedger(gone=True)
    live = LiveLine(screen, bar=True)
    with live.shown(ledger, ["default"]):
        started(live)
        wait_for(lambda: ledger.asked > 0 and "0 done; send" in screen.getvalue())
    assert ledger.closed.wait(30)


@pytest.mark.parametrize(("seconds", "said"), [(0, "0:00"), (67, "1:07"), (3600, "1:00:00"), (3725.4, "1:02:05")])
def test_time_left(seconds: float, said: str) -> None:
    assert clock(seconds) == said


def test_lines_of_the_log_are_coloured_and_nothing_else() -> None:
    line = "2026-11-22T22:00:00Z job.failed id=5 queue=mail: Exception: [bold]no[/bold]"
    assert coloured(line).plain == line
    assert any(span.style == "bold red" for span in coloured(line).spans)
    assert coloured("plain words").spans == []
    assert coloured("2026-11-22T22:00:00Z worker.stopped").plain == "2026-11-22T22:00:00Z worker.stopped"
