"""`wpbg queues`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from wpbg.cli.desk import confirmed, ledger_of
from wpbg.cli.lazy import LazyGroup
from wpbg.cli.options import Target, format_option, site_options
from wpbg.cli.show import Column, key, show_rows
from wpbg.cli.text import clean, count, duration
from wpbg.errors import UsageError, WpbgError

if TYPE_CHECKING:
    from wpbg.job import Status
    from wpbg.ledger import Ledger

COMMANDS = {
    "list": ("wpbg.cli.queues:list_queues", "List queues with how much waits in them."),
    "pause": ("wpbg.cli.queues:pause", "Begin no more jobs of a queue until it is resumed."),
    "resume": ("wpbg.cli.queues:resume", "Undo pause."),
    "purge": ("wpbg.cli.queues:purge", "Delete the waiting jobs of a queue."),
}

FIELDS = ("queue", "queued", "delayed", "running", "failed", "oldest_queued_seconds", "paused")

EPILOG = """\b
Examples:
  wpbg queues list
  wpbg queues pause mail
  wpbg queues purge import --yes
"""


@click.group(cls=LazyGroup, commands_at=COMMANDS, epilog=EPILOG)
def queues() -> None:
    """List, pause, resume and purge queues."""


def queue_columns() -> list[Column]:
    """What people see of a queue."""
    return [
        Column("QUEUE", key("queue"), flexible=True),
        *(_counted(name) for name in ("queued", "delayed", "running", "failed")),
        Column("OLDEST WAITS", _oldest, right=True),
        Column("", lambda queue: "paused" if queue["paused"] else "", style="magenta"),
    ]


def _counted(name: str) -> Column:
    def style(text: str) -> str:
        return "bright_black" if text == "0" else "bold red" if name == "failed" else ""

    return Column(name.upper(), lambda queue: f"{queue[name]:,}", right=True, style=style)


def _oldest(queue: object) -> str:
    seconds = queue["oldest_queued_seconds"]  # type: ignore[index]
    return "" if seconds is None else duration(seconds)


@click.command("list", epilog="\b\nExamples:\n  wpbg queues list\n  wpbg queues list --format json")
@format_option
@site_options
def list_queues(target: Target, form: str) -> None:
    """List queues with how much waits in them.

    QUEUED jobs are ready, DELAYED ones wait for their time; OLDEST WAITS is how long the one that waits longest has.
    """
    with ledger_of(target) as (_, ledger):
        found = ledger.queues()
    show_rows(found, queue_columns(), form, "No queue has had a job yet.", FIELDS)


NAMES = click.argument("names", metavar="NAME...", nargs=-1, required=True)


@click.command(epilog="\b\nExamples:\n  wpbg queues pause mail\n  wpbg queues pause mail import")
@NAMES
@site_options
def pause(target: Target, names: tuple[str, ...]) -> None:
    """Begin no more jobs of a queue until it is resumed. Running ones finish; new ones are still accepted."""
    with ledger_of(target) as (_, ledger):
        known = _known(ledger, names)
        for name in names:
            ledger.pause(name)
            said = "" if name in known else " (No job has been in a queue of that name yet.)"
            click.echo(f"Queue {clean(name)} is paused.{said}")


@click.command(epilog="\b\nExamples:\n  wpbg queues resume mail")
@NAMES
@site_options
def resume(target: Target, names: tuple[str, ...]) -> None:
    """Let the jobs of a paused queue begin again."""
    with ledger_of(target) as (_, ledger):
        _known(ledger, names)
        for name in names:
            click.echo(f"Queue {clean(name)} {'goes on' if ledger.resume(name) else 'was not paused'}.")


@click.command(
    epilog="""\b
Examples:
  wpbg queues purge import
  wpbg queues purge import --status failed --yes
"""
)
@click.argument("name")
@click.option(
    "--status",
    "statuses",
    multiple=True,
    type=click.Choice(["queued", "delayed", "completed", "failed", "cancelled"]),
    help="Repeatable. [default: queued and delayed]",
)
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@site_options
def purge(target: Target, name: str, statuses: tuple[str, ...], yes: bool) -> None:
    """Delete the waiting jobs of a queue. Running ones stay."""
    from wpbg.job import Status

    chosen = tuple(map(Status, dict.fromkeys(statuses))) or (Status.QUEUED, Status.DELAYED)
    kinds = " and ".join(status.value for status in chosen)
    with ledger_of(target) as (_, ledger):
        if name not in _known(ledger, [name]):
            raise WpbgError(f"There is no queue {name!r}: look at `wpbg queues list`.")
        number = sum(_number(ledger, name, status) for status in chosen)
        if number and not confirmed(f"Delete {count(number, f'{kinds} job')} of queue {clean(name)}?", yes):
            raise WpbgError("Nothing was deleted.")
        click.echo(f"{count(ledger.purge(name, chosen), 'job')} of queue {clean(name)} deleted.")


def _number(ledger: Ledger, name: str, status: Status) -> int:
    """How many jobs of a queue are in a state."""
    if status.finished:
        return ledger.ended_since(status, 0, name)
    return sum(queue[status.value] for queue in ledger.queues() if queue["queue"] == name)


def _known(ledger: Ledger, names: Sequence[str]) -> set[str]:
    """The queues that there are. Raises `UsageError` for a name that no queue can have."""
    for name in names:
        if not name.strip() or len(name) > 191 or not name.isprintable():
            raise UsageError(f"{name!r} is no name for a queue: 1 to 191 printable characters.")
    return {queue["queue"] for queue in ledger.queues()}
