"""`wpbg workers`."""

from __future__ import annotations

import click

from wpbg.cli.desk import ledger_of
from wpbg.cli.lazy import LazyGroup
from wpbg.cli.options import Target, format_option, site_options
from wpbg.cli.show import Column, by_word, key, show_rows
from wpbg.cli.text import ago

COMMANDS = {"list": ("wpbg.cli.workers:list_workers", "List the workers.")}

FIELDS = (
    *("name", "host", "pid", "mode", "queues", "state", "job", "started_at", "heartbeat_at", "jobs_done"),
    "memory_mb",
)


@click.group(
    cls=LazyGroup, commands_at=COMMANDS, epilog="\b\nExamples:\n  wpbg workers list\n  wpbg workers list --format json"
)
def workers() -> None:
    """The workers of the site, on every host."""


def worker_columns(now_ms: int) -> list[Column]:
    """What people see of a worker; fits 80 columns."""
    return [
        Column("NAME", key("name"), flexible=True),
        Column("HOST:PID", lambda worker: f"{worker['host']}:{worker['pid']}", flexible=True),
        Column("MODE", key("mode")),
        Column("QUEUES", key("queues"), flexible=True),
        Column("STATE", key("state"), style=by_word),
        Column("JOB", key("job"), right=True),
        Column("DONE", lambda worker: f"{worker['jobs_done']:,}", right=True),
        Column("MB", lambda worker: f"{worker['memory_mb']:.0f}" if worker["memory_mb"] else "", right=True),
        Column("SEEN", lambda worker: ago(worker["heartbeat_at"], now_ms)),
    ]


@click.command("list", epilog="\b\nExamples:\n  wpbg workers list\n  wpbg workers list --format json")
@format_option
@site_options
def list_workers(target: Target, form: str) -> None:
    """List the workers, a line for each job they can run at a time.

    SEEN is the last heartbeat: a worker that is silent for a minute is lost. MB is the memory its last job took.
    """
    with ledger_of(target) as (_, ledger):
        found = ledger.workers()
        now = ledger.now_ms()
    show_rows(found, worker_columns(now), form, "No worker is running. Start one: wpbg listen", FIELDS)
