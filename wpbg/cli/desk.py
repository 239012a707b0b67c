"""What the looking and changing commands share: the ledger of the site, and values of options."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from wpbg.cli.options import Target
from wpbg.errors import UsageError, WpbgError

if TYPE_CHECKING:
    from wpbg.ledger import Ledger
    from wpbg.site import Site

STATUSES = ("queued", "delayed", "running", "completed", "failed", "cancelled")

UNITS = {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 604800}


@contextmanager
def ledger_of(target: Target) -> Iterator[tuple[Site, Ledger]]:
    """The site and its ledger, closed in the end. Raises a `SiteError` or `QueueUnreachable`."""
    site = target.site(meanwhile=_load)
    from wpbg.lanes import discard_in_broker, waiting_in_broker, waiting_outside
    from wpbg.ledger import Ledger
    from wpbg.queues.settings import DatabaseSettings

    settings = DatabaseSettings.from_mapping(site.database)
    ledger = Ledger(
        settings,
        outside=waiting_outside(site),
        in_broker=waiting_in_broker(site),
        discard=discard_in_broker(site),
    )
    try:
        yield site, ledger
    finally:
        ledger.close()


def _load() -> None:
    """What the site's answer is used with. Imported while WP-CLI boots, it keeps nobody waiting."""
    import wpbg.lanes
    import wpbg.ledger.book
    import wpbg.queues.mysql
    import wpbg.queues.sqlite  # noqa: F401  # Which of them it is, the site will say.
    from wpbg.cli.show import fancy

    if fancy():
        import rich.console
        import rich.table  # noqa: F401


class Span(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.3 on
    """Seconds, from `90`, `90s`, `15m`, `2h`, `7d`, `1w`."""

    name = "TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, (int, float)):
            return value
        found = re.fullmatch(r"(-?\d+(?:\.\d+)?) ?([a-z]*)", str(value).strip().lower())
        if found is None or found[2] not in UNITS:
            self.fail(f"{value!r} is no time span: write seconds, or 15m, 2h, 7d.", param, ctx)
        seconds = float(found[1]) * UNITS[found[2]]
        return int(seconds) if seconds.is_integer() else seconds


class JobId(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.3 on
    """An id as add_async_job() returned it."""

    name = "ID"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value).strip()
        if not text or not text.isprintable():
            self.fail(f"{value!r} is no job's id.", param, ctx)
        return text


def one_way(ids: Sequence[str], **flags: Any) -> None:
    """Jobs are named by their ids or by one of the flags, not by both, not by none. Raises `UsageError`."""
    given = [name for name, value in flags.items() if value]
    names = [f"--{name}" for name in flags]
    ways = ", ".join(["ids", *names[:-1]]) + f" or {names[-1]}"
    if len(given) + bool(ids) == 0:
        raise UsageError(f"Which jobs? Give their {ways}.")
    if len(given) + bool(ids) > 1:
        raise UsageError(f"Give {ways}: one of them, not several.")


def confirmed(question: str, yes: bool) -> bool:
    """Whether to go on. Asks on a terminal only, and not with --yes."""
    if yes or not (sys.stdin.isatty() and sys.stdout.isatty()):
        return True
    try:
        return click.confirm(question)
    except click.Abort:
        click.echo()  # Ctrl-C leaves the cursor behind the question.
        raise


class Complaints:
    """What went wrong with single jobs: said at once, and remembered for the exit code."""

    def __init__(self) -> None:
        self.number = 0

    def add(self, error: WpbgError | str) -> None:
        self.number += 1
        click.echo(f"wpbg: {error.message if isinstance(error, WpbgError) else error}", err=True)

    def end(self) -> None:
        """Ends with exit code 1 if there was any."""
        if self.number:
            sys.exit(1)
