"""Rows on stdout: a table for people, JSON and CSV for programs.

On a terminal, tables have colours and fit its width (rich, which is imported only then). Into a pipe, they are plain
aligned columns, whole. What comes from jobs passes `clean` in both; JSON and CSV are exact.
"""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TextIO

import click

from wpbg.cli.text import cell, clean, width

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

Row = Mapping[str, Any]

STYLES = {
    "queued": "cyan",
    "delayed": "blue",
    "running": "yellow",
    "completed": "green",
    "failed": "bold red",
    "cancelled": "magenta",
    "stopping": "magenta",
    "paused": "magenta",
    "lost": "bold red",
    "OK": "green",
    "FAIL": "bold red",
}
"""Colours of words that mean the same everywhere."""


@dataclass(frozen=True)
class Column:
    """A column of a table. `show` makes the cell of a row; `style` is a colour, or a function of the cell.

    `flexible` columns give way when the terminal is narrow.
    """

    title: str
    show: Callable[[Row], Any]
    right: bool = False
    style: str | Callable[[str], str] = ""
    flexible: bool = False

    def text(self, row: Row) -> str:
        return cell(self.show(row))

    def style_of(self, text: str) -> str:
        return self.style(text) if callable(self.style) else self.style


def key(name: str) -> Callable[[Row], Any]:
    """A cell that shows the value of that name."""
    return lambda row: row.get(name)


def by_word(text: str) -> str:
    """The colour of a status, a state, a verdict."""
    return STYLES.get(text, "")


def terminal(stream: TextIO | None = None) -> bool:
    """Whether a stream (stdout) is a terminal on which lines can be drawn anew."""
    try:
        return (stream or sys.stdout).isatty() and os.environ.get("TERM", "dumb") not in ("dumb", "unknown")
    except ValueError:
        return False  # Closed.


def fancy() -> bool:
    """Whether tables on stdout are drawn in colours."""
    return terminal() and not os.environ.get("NO_COLOR")


def console(stream: TextIO | None = None) -> Console:
    """A rich console that takes nothing in a text for markup."""
    from rich.console import Console

    return Console(file=stream or sys.stdout, markup=False, emoji=False, highlight=False)


def say(text: str = "", style: str = "") -> None:
    """A line (or lines) of our own on stdout."""
    click.secho(text, **_click_style(style)) if style and fancy() else click.echo(text)


def _click_style(style: str) -> dict[str, Any]:
    words = style.split()
    return {"fg": next((word for word in words if word not in ("bold", "dim")), None), "bold": "bold" in words or None}


def show_json(value: Any) -> None:
    """One JSON value, in ASCII: exact, and harmless on a terminal."""
    click.echo(json.dumps(value, indent=2))


def show_rows(rows: Sequence[Row], columns: Sequence[Column], form: str, empty: str, fields: Sequence[str]) -> None:
    """Rows as --format says: a table of `columns` (`empty` when there is no row), JSON objects, or CSV of `fields`."""
    if form == "json":
        show_json(list(rows))
    elif form == "csv":
        show_csv(rows, fields)
    elif not rows:
        click.echo(empty)
    elif fancy():
        screen = console()
        screen.print(rich_table(rows, columns, screen.width))
    else:
        for line in plain_table(rows, columns):
            click.echo(line)


def show_csv(rows: Iterable[Row], fields: Sequence[str]) -> None:
    """CSV with a header line; what is no plain value is JSON in its field."""
    # Not click.echo(), which takes colours out of what it is given: into a pipe, values are exact.
    held = io.StringIO()
    writer = csv.writer(held, lineterminator="\n")
    writer.writerow(fields)
    for row in rows:
        writer.writerow([_csv_value(row.get(field)) for field in fields])
    sys.stdout.write(held.getvalue())


def _csv_value(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (dict, list)):
        return json.dumps(value)
    if isinstance(value, str) and sys.stdout.isatty():
        return clean(value)
    return value


GAP = 2
"""Columns between two columns."""

NARROWEST = 6
"""Columns that a flexible column keeps."""


def plain_table(rows: Sequence[Row], columns: Sequence[Column]) -> list[str]:
    """Aligned columns, nothing cut."""
    lines, widths = _laid_out(rows, columns)
    return [
        (" " * GAP).join(_padded(*item) for item in zip(line, widths, columns, strict=True)).rstrip() for line in lines
    ]


def _laid_out(rows: Sequence[Row], columns: Sequence[Column]) -> tuple[list[list[str]], list[int]]:
    """The lines of a table, the titles first, and how wide each column is."""
    lines = [[column.title for column in columns], *([column.text(row) for column in columns] for row in rows)]
    return lines, [max(width(line[index]) for line in lines) for index in range(len(columns))]


def _padded(text: str, wide: int, column: Column) -> str:
    space = " " * (wide - width(text))
    return space + text if column.right else text + space


def rich_table(rows: Sequence[Row], columns: Sequence[Column], room: int) -> Table:
    """The same for a terminal of `room` columns: coloured, and long cells of flexible columns end in `…`."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    lines, widths = _laid_out(rows, columns)
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, GAP - 1, 0, 0), header_style="bold")
    for column, wide in zip(columns, fitted(widths, [column.flexible for column in columns], room), strict=True):
        justify: Literal["right", "left"] = "right" if column.right else "left"
        table.add_column(Text(column.title), justify=justify, no_wrap=True, overflow="ellipsis", width=wide)
    for line in lines[1:]:
        table.add_row(*(Text(text, style=column.style_of(text)) for text, column in zip(line, columns, strict=True)))
    return table


def fitted(widths: Sequence[int], flexible: Sequence[bool], room: int) -> list[int]:
    """Widths that fit into `room`: the widest of the flexible ones give way, as far as they can."""
    given = list(widths)
    while sum(given) + GAP * (len(given) - 1) > room:
        widest = max((index for index in range(len(given)) if flexible[index]), key=given.__getitem__, default=None)
        if widest is None or given[widest] <= NARROWEST:
            break
        given[widest] -= 1
    return given
