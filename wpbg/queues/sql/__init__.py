"""Named queries: one file per dialect, the same names in each.

A query starts with a line `-- name --`; comment lines under it say why it is as it is. Parameters
are written `:name` in both dialects; a parameter that stands for a list is written `IN :name`.
`{jobs}`, `{workers}`, `{queues}` and so on (`TABLES`) are the site's tables.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import resources

from wpbg.queues.settings import DatabaseSettings

_HEAD = re.compile(r"(?:\n|^)-- ([a-z0-9_]+) --\n(?:--.*\n)*")
PARAMETER = re.compile(r":([a-z_]+)")
TABLES = ("jobs", "workers", "queues", "statistics", "run_times", "batches")


@cache
def load(dialect: str) -> dict[str, str]:
    """All queries of a dialect, by name. A name that is there twice is a mistake in the file."""
    text = (resources.files(__package__) / f"{dialect}.sql").read_text(encoding="utf-8")
    pieces = _HEAD.split(text)[1:]
    names, bodies = pieces[::2], [piece.strip() for piece in pieces[1::2]]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ValueError(f"{dialect}.sql has these queries more than once: {', '.join(sorted(twice))}")
    return dict(zip(names, bodies, strict=True))


def for_site(settings: DatabaseSettings) -> dict[str, str]:
    """The queries of the site's dialect, with the site's table names in them."""
    names = {f"{{{noun}}}": settings.table(f"bg_{noun}") for noun in TABLES}
    filled = {}
    for query, text in load(settings.engine).items():
        for placeholder, table in names.items():
            text = text.replace(placeholder, f"`{table}`")
        filled[query] = text
    return filled
