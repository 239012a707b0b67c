"""`wpbg status`."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any

import click

from wpbg.cli.desk import ledger_of
from wpbg.cli.options import Target, site_options
from wpbg.cli.queues import queue_columns
from wpbg.cli.show import console, fancy, plain_table, rich_table, show_json, terminal
from wpbg.cli.text import clean
from wpbg.cli.workers import worker_columns
from wpbg.errors import QueueUnreachable

if TYPE_CHECKING:
    from wpbg.ledger import Ledger
    from wpbg.site import Site

EVERY = 1.0
"""Seconds between two looks with --watch."""

NO_QUEUES = "No queue has had a job yet."
NO_WORKERS = "No worker is running. Start one: wpbg listen"


@click.command(
    epilog="""\b
Examples:
  wpbg status
  wpbg status --watch
  wpbg status --format json
"""
)
@click.option("--watch", is_flag=True, help="Keep showing it until Ctrl-C.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="table for people, json for programs (with --watch: an object a line).",
)
@site_options
def status(target: Target, watch: bool, form: str) -> None:
    """Show the queues with how much waits in them, and the workers with what they do."""
    with ledger_of(target) as (site, ledger):
        if watch:
            try:
                keep_showing(site, ledger, form)
            except KeyboardInterrupt:
                return  # This is how it ends.
        told = tell(site, ledger)
        if form == "json":
            show_json(told)
        elif fancy():
            screen = console()
            screen.print(drawn(told, ledger.now_ms(), screen.width))
        else:
            click.echo(written(told, ledger.now_ms()))


def tell(site: Site, ledger: Ledger) -> dict[str, Any]:
    """The status as programs read it."""
    return {
        "site": {
            "path": site.path,
            "url": site.url,
            "backend": str((site.lane or {}).get("backend") or "database"),  # WP_MINIONS_BACKEND selects one, too.
            "plugin_version": site.plugin,
        },
        "queues": ledger.queues(),
        "workers": ledger.workers(),
    }


def headline(told: dict[str, Any]) -> str:
    site = told["site"]
    return clean(f"{site['url']} ({site['path']}), {site['backend']} queue, plugin {site['plugin_version']}")


def written(told: dict[str, Any], now_ms: int) -> str:
    """The status as plain text."""
    queues = plain_table(told["queues"], queue_columns()) if told["queues"] else [NO_QUEUES]
    workers = plain_table(told["workers"], worker_columns(now_ms)) if told["workers"] else [NO_WORKERS]
    return "\n".join([headline(told), "", *queues, "", *workers])


def drawn(told: dict[str, Any], now_ms: int, room: int) -> Any:
    """The status for a terminal of `room` columns."""
    from rich.console import Group
    from rich.text import Text

    queues = rich_table(told["queues"], queue_columns(), room) if told["queues"] else Text(NO_QUEUES)
    workers: Any = Text(NO_WORKERS, style="yellow")
    if told["workers"]:
        workers = rich_table(told["workers"], worker_columns(now_ms), room)
    title = Text(headline(told), style="bold", overflow="ellipsis", no_wrap=True)
    return Group(title, Text(), queues, Text(), workers)


def keep_showing(site: Site, ledger: Ledger, form: str) -> None:
    """Show it again and again: redrawn on a terminal, below the last one elsewhere."""
    if form == "table" and terminal():
        _redraw(site, ledger)
    last = ""
    while True:
        try:
            told = tell(site, ledger)
            text = json.dumps(told) if form == "json" else written(told, ledger.now_ms()) + "\n"
        except QueueUnreachable as error:
            text = json.dumps({"error": error.message}) if form == "json" else f"{error.message} Trying again.\n"
        if text != last:
            click.echo(text)
            sys.stdout.flush()
        last = text
        time.sleep(EVERY)


def _redraw(site: Site, ledger: Ledger) -> None:
    from rich.live import Live
    from rich.text import Text

    shown: Any = Text()
    with Live(console=console(), auto_refresh=False) as live:
        while True:
            try:
                shown = drawn(tell(site, ledger), ledger.now_ms(), live.console.width)
            except QueueUnreachable as error:
                shown = Text(f"{error.message} Trying again.", style="bold red")
            live.update(shown, refresh=True)
            time.sleep(EVERY)
