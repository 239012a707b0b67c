"""Tables, JSON and CSV: whole into a pipe, fitted to a terminal, exact for programs."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from rich.console import Console

from wpbg.cli import show
from wpbg.cli.show import Column, fitted, key, plain_table, rich_table, show_rows

COLUMNS = [
    Column("ID", key("id"), right=True),
    Column("CALLBACK", key("callback"), flexible=True),
    Column("STATUS", key("status"), style=show.by_word),
]
FIELDS = ("id", "callback", "status", "error", "paused")
ROWS: list[dict[str, Any]] = [
    {"id": 7, "callback": "x" * 100, "status": "failed", "error": {"message": 'a "b",\nc'}, "paused": True},
    {"id": 1234, "callback": "日本\x1b[31m", "status": "queued", "error": None, "paused": False},
]


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_plain_tables_are_aligned_and_whole() -> None:
    head, first, second = plain_table(ROWS, COLUMNS)
    assert head == "  ID  CALLBACK" + " " * 94 + "STATUS"
    assert first == "   7  " + "x" * 100 + "  failed"
    assert second == "1234  日本" + " " * 98 + "queued"


def test_a_terminals_table_fits_and_says_where_it_was_cut() -> None:
    screen = io.StringIO()
    Console(file=screen, width=40, force_terminal=True).print(rich_table(ROWS, COLUMNS, 40))
    shown = Console(file=io.StringIO(), width=40)
    lines = shown.render_str(screen.getvalue()).plain.splitlines()
    assert "\x1b[1;31mfailed" in screen.getvalue()
    assert "\x1b[31m日" not in screen.getvalue()
    assert any("xxx…" in line for line in lines)
    assert "failed" in screen.getvalue()
    assert "CALLBACK" in screen.getvalue()


@pytest.mark.parametrize(
    ("room", "given"),
    [(100, [10, 30, 20]), (54, [10, 20, 20]), (44, [10, 15, 15]), (20, [10, 6, 6])],
)
def test_the_widest_flexible_columns_give_way(room: int, given: list[int]) -> None:
    assert fitted([10, 30, 20], [False, True, True], room) == given


def test_json_is_exact_and_ascii(capsys: pytest.CaptureFixture[str]) -> None:
    show_rows(ROWS, COLUMNS, "json", "none", FIELDS)
    printed = capsys.readouterr().out
    assert json.loads(printed) == ROWS
    assert printed.isascii()
    assert "\x1b" not in printed


def test_csv_is_exact_into_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    show_rows(ROWS, COLUMNS, "csv", "none", FIELDS)
    header, first, second = csv.reader(io.StringIO(capsys.readouterr().out))
    assert header == list(FIELDS)
    assert first == ["7", "x" * 100, "failed", json.dumps(ROWS[0]["error"]), "true"]
    assert second == ["1234", "日本\x1b[31m", "queued", "", "false"]


def test_csv_on_a_terminal_does_not_act_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen()
    monkeypatch.setattr("sys.stdout", screen)
    show_rows(ROWS, COLUMNS, "csv", "none", FIELDS)
    assert "日本,queued" in screen.getvalue()
    assert "\x1b" not in screen.getvalue()


def test_no_rows_in_every_format(capsys: pytest.CaptureFixture[str]) -> None:
    for form, said in (("table", "Nothing.\n"), ("json", "[]\n"), ("csv", "id,callback,status,error,paused\n")):
        show_rows([], COLUMNS, form, "Nothing.", FIELDS)
        assert capsys.readouterr().out == said


@pytest.mark.parametrize(
    ("environment", "drawn", "coloured"),
    [
        ({"TERM": "xterm"}, True, True),
        ({"TERM": "xterm", "NO_COLOR": "1"}, True, False),
        ({"TERM": "dumb"}, False, False),
        ({}, False, False),
    ],
)
def test_what_is_drawn_on(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], drawn: bool, coloured: bool
) -> None:
    for name in ("TERM", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.stdout", Screen())
    assert (show.terminal(), show.fancy()) == (drawn, coloured)
    monkeypatch.setattr("sys.stdout", io.StringIO())
    assert (show.terminal(), show.fancy()) == (False, False)
