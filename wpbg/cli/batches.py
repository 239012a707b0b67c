"""`wpbg batches`: the jobs that were added under one batch name."""

from __future__ import annotations

import click

from wpbg.cli.desk import ledger_of
from wpbg.cli.job_wait import TIMEOUT, look_at_batch, wait_for
from wpbg.cli.lazy import LazyGroup
from wpbg.cli.options import Target, format_option, site_options
from wpbg.cli.show import Column, Row, by_word, key, say, show_csv, show_json, show_rows
from wpbg.cli.text import clean, count
from wpbg.errors import WpbgError

COMMANDS = {
    "list": ("wpbg.cli.batches:list_batches", "List batches, newest first."),
    "get": ("wpbg.cli.batches:get", "Show how far a batch is."),
    "wait": ("wpbg.cli.batches:wait", "Wait until all jobs of a batch are finished."),
}

STATUSES = ("completed", "failed", "cancelled", "running", "queued", "delayed")
FIELDS = ("batch", "total", *STATUSES)

EPILOG = """\b
Examples:
  wpbg batches list
  wpbg batches wait import
  wpbg jobs list --batch import --status failed
"""


@click.group(cls=LazyGroup, commands_at=COMMANDS, epilog=EPILOG)
def batches() -> None:
    """Batches: jobs that were added under one name."""


def _counted(name: str) -> Column:
    def style(text: str) -> str:
        return "bright_black" if text == "0" else by_word(name)

    return Column(name.upper(), lambda batch: f"{batch[name]:,}", right=True, style=style)


COLUMNS = [
    Column("BATCH", key("batch"), flexible=True),
    Column("JOBS", lambda batch: f"{batch['total']:,}", right=True),
    *map(_counted, STATUSES),
]


@click.command("list", epilog="\b\nExamples:\n  wpbg batches list\n  wpbg batches list --format json")
@format_option
@site_options
def list_batches(target: Target, form: str) -> None:
    """List batches, newest first, with how many of their jobs are in which state."""
    with ledger_of(target) as (_, ledger):
        found = ledger.batches()
    show_rows(found, COLUMNS, form, "There are no batches.", FIELDS)


@click.command(epilog="\b\nExamples:\n  wpbg batches get import\n  wpbg batches get import --format json")
@click.argument("name")
@format_option
@site_options
def get(target: Target, form: str, name: str) -> None:
    """Show how far a batch is."""
    with ledger_of(target) as (_, ledger):
        found = ledger.batches(name)
    if not found:
        raise WpbgError(f"There is no job of a batch {name!r}: look at `wpbg batches list`.")
    if form == "json":
        show_json(found[0])
    elif form == "csv":
        show_csv(found, FIELDS)
    else:
        show_batch(found[0])


def show_batch(batch: Row) -> None:
    """A batch for people: a line per state that has jobs."""
    done = sum(batch[name] for name in ("completed", "failed", "cancelled"))
    finished = "is finished" if done == batch["total"] else f"is {100 * done // batch['total']} % done"
    say(f"Batch {clean(batch['batch'])} of {count(batch['total'], 'job')} {finished}.")
    for name in STATUSES:
        if batch[name]:
            say(f"  {name:<10} {batch[name]:>8,}", by_word(name))


@click.command(
    epilog="\b\nExamples:\n  wpbg batches wait import\n  wpbg batches wait import --timeout 30m && echo imported"
)
@click.argument("name")
@TIMEOUT
@site_options
def wait(target: Target, name: str, timeout: float | None) -> None:
    """Wait until all jobs of a batch are finished: 0 when all completed, else 1."""
    with ledger_of(target) as (_, ledger):
        wait_for(look_at_batch(ledger, name), timeout)
