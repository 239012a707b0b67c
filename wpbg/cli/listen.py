"""`wpbg listen`, `listen-loop` and `run`: workers."""

from __future__ import annotations

import sys
from typing import Any

import click

from wpbg.cli.assembly import Flags, build, open_log, prepared
from wpbg.cli.options import (
    Size,
    Target,
    concurrency_option,
    grace_option,
    mode_type,
    queue_option,
    site_options,
)
from wpbg.cli.show import terminal
from wpbg.errors import SiteError
from wpbg.job import Ending
from wpbg.ledger import Ledger
from wpbg.queues.settings import DatabaseSettings
from wpbg.site import Site

LISTEN_EPILOG = """\b
Examples:
  wpbg listen                                  the queue of ABW_QUEUE_NAME, one job at a time
  wpbg listen --queue mail --queue default     mail first, whenever there is any
  wpbg listen --concurrency 4 --stop-when-empty
  wpbg listen --grace 240 --log-format json    under supervisord, with stopwaitsecs=250

\b
Signals: TERM and INT let the running jobs finish (at most --grace seconds; then they go
back to their queue, the attempt not counted), a second one stops now; HUP replaces the
PHP processes.
"""


name_option = click.option("--name", metavar="NAME", help="The worker's name in lists and logs. [default: HOST-PID]")
skip_lock_option = click.option(
    "--skip-lock", is_flag=True, help="Claim without row locks (SKIP LOCKED), by compare-and-swap."
)
log_format_option = click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="One line an event, on stderr and in BACKGROUND_WORKER_LOG.",
)
no_opcache = click.option(
    "--no-opcache", is_flag=True, help="Boot PHP without OPcache's file cache (kept in WPBG_CACHE_DIR, else ~/.cache)."
)


def worker_options(command: Any) -> Any:
    """The options that `listen` and `listen-loop` share."""
    for option in reversed(
        [
            queue_option,
            concurrency_option(envvar="WPBG_CONCURRENCY"),
            name_option,
            skip_lock_option,
            click.option(
                "--max-jobs",
                type=click.IntRange(1),
                metavar="N",
                help="Replace a PHP process after so many jobs; with --mode restart, end after them.",
            ),
            click.option(
                "--max-time",
                type=click.FloatRange(0, min_open=True),
                metavar="SECONDS",
                help="Replace a PHP process after this time (loop, fork: 3600); with --mode restart, end after it.",
            ),
            click.option(
                "--min-time",
                type=click.FloatRange(0),
                default=0,
                metavar="SECONDS",
                help="Not end by itself sooner: supervisors take what ends at once for broken.",
            ),
            click.option(
                "--max-memory",
                type=Size(),
                help="Replace a PHP process that holds more (such as 256M); with --mode restart, end when wpbg does.",
            ),
            click.option(
                "--stop-when-empty",
                is_flag=True,
                help="End when no job is ready or running (delayed ones do not count).",
            ),
            grace_option("How long running jobs may go on after TERM."),
            click.option(
                "--lease",
                type=click.FloatRange(1, 3600),
                default=30,
                show_default=True,
                metavar="SECONDS",
                envvar="WPBG_LEASE",
                help="How long a dead worker's jobs stay its own.",
            ),
            no_opcache,
            click.option(
                "--metrics",
                metavar="HOST:PORT",
                help="Serve /metrics (Prometheus), /healthz and /readyz here. [default: nowhere]",
            ),
            log_format_option,
            site_options,
        ]
    ):
        command = option(command)
    return command


@click.command(epilog=LISTEN_EPILOG)
@click.option(
    "--mode",
    type=mode_type,
    default="restart",
    show_default=True,
    help="How long a PHP process lives: a job, a fork of a booted WordPress, or many jobs.",
)
@worker_options
def listen(target: Target, mode: str, **flags: Any) -> None:
    """Run the site's jobs until stopped."""
    work(target, mode, Flags(**flags))


@click.command("listen-loop", epilog=LISTEN_EPILOG)
@worker_options
def listen_loop(target: Target, **flags: Any) -> None:
    """Run the site's jobs until stopped, many in one PHP process: `listen --mode loop`."""
    work(target, "loop", Flags(**flags))


@click.command()
@queue_option
@name_option
@skip_lock_option
@grace_option("How long the job may go on after TERM.")
@log_format_option
@no_opcache
@site_options
def run(target: Target, **flags: Any) -> None:
    """Run one job, then exit: 0 when it is done or there was none, 1 when it failed."""
    site = target.site()
    pool = build(site, "restart", Flags(**flags), open_log(site, flags["log_format"]), once=True)
    pool.run()
    if pool.tally.last is None:
        return
    outcome, _ = pool.tally.last
    if outcome.ending is Ending.NOT_STARTED:
        raise SiteError(outcome.error.message if outcome.error else "PHP did not start.")
    sys.exit(0 if outcome.ending is Ending.COMPLETED else 1)


def work(target: Target, mode: str, flags: Flags) -> None:
    """Run a pool until it ends."""
    site = target.site()
    if flags.log_format == "text" and terminal(sys.stderr):
        work_on_terminal(site, mode, flags)
    else:
        with prepared(site, mode, flags, open_log(site, flags.log_format)) as pool:
            pool.run()


def work_on_terminal(site: Site, mode: str, flags: Flags) -> None:
    """The same with a live line below the log."""
    from wpbg.cli.live import LiveLine

    live = LiveLine(sys.stderr, bar=flags.stop_when_empty)
    log = open_log(site, flags.log_format, live.write)
    log.sinks.append(live.score.notice)
    with (
        prepared(site, mode, flags, log) as pool,
        live.shown(Ledger(DatabaseSettings.from_mapping(site.database)), pool.options.queues),
    ):
        pool.run()
