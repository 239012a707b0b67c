"""The command line: parses, builds, calls one function, maps errors to exit codes."""

from __future__ import annotations

import contextlib
import io
import os
import sys

import click

from wpbg import __version__
from wpbg.cli.lazy import LazyGroup
from wpbg.errors import WpbgError

COMMANDS = {
    "install": ("wpbg.cli.install:install", "Put the plugin into the site, activate it, create its tables."),
    "listen": ("wpbg.cli.listen:listen", "Run the site's jobs until stopped."),
    "listen-loop": ("wpbg.cli.listen:listen_loop", "listen --mode loop: many jobs in one PHP process."),
    "run": ("wpbg.cli.listen:run", "Run one job, then exit."),
    "status": ("wpbg.cli.status:status", "Show queues and workers."),
    "jobs": ("wpbg.cli.jobs:jobs", "Add, list, inspect, retry, cancel and delete jobs."),
    "queues": ("wpbg.cli.queues:queues", "List, pause, resume and purge queues."),
    "workers": ("wpbg.cli.workers:workers", "List the workers."),
    "batches": ("wpbg.cli.batches:batches", "Show batches, and wait for them."),
    "service": ("wpbg.cli.service:service", "Print a configuration for supervisord or systemd."),
    "doctor": ("wpbg.cli.doctor:doctor", "Check the set-up; say what is wrong and how to mend it."),
}

EPILOG = """\b
Examples:
  wpbg install --path /var/www/site     once, and after each upgrade of wpbg
  wpbg listen --queue mail --queue default --concurrency 4
  wpbg jobs list --status failed
  wpbg jobs retry --failed

\b
Exit codes: 0 fine, 1 it ran and something failed, 2 wrong usage, 3 the site, WP-CLI or
the plugin cannot be used, 4 a queue server cannot be reached.
"""


@click.group(
    cls=LazyGroup, commands_at=COMMANDS, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(__version__, "-V", "--version", message="wpbg %(version)s")
def cli() -> None:
    """Background jobs for WordPress: runs what add_async_job() puts into the queues."""


def main() -> None:
    """The program. Every error ends as one line on stderr and an exit code."""
    _open_what_is_closed()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # A name that the terminal's charset lacks is no reason to end.
    try:
        _run()
    finally:
        _let_go()


def _run() -> None:
    try:
        code = cli.main(prog_name="wpbg", standalone_mode=False)
        sys.stdout.flush()
        sys.exit(code if isinstance(code, int) else 0)
    except click.UsageError as error:
        fail(_usage(error), 2)
    except click.ClickException as error:
        fail(error.format_message(), error.exit_code)
    except WpbgError as error:
        fail(error.message, error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        fail("Stopped.", 130)
    except BrokenPipeError:
        # Whoever read our output has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except Exception as error:
        if os.environ.get("WPBG_DEBUG"):
            raise
        fail(f"An error in wpbg itself ({type(error).__name__}: {error}); set WPBG_DEBUG=1 to see where.", 1)


def _open_what_is_closed() -> None:
    """Started with `>&-` or by a careless daemon: what is written there goes nowhere, and no file takes its place."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115, PTH123  # for as long as we live


def fail(message: str, code: int) -> None:
    """One line on stderr, and the end. What it quotes, from a site or a server, may be anything."""
    from wpbg.cli.text import clean

    with contextlib.suppress(OSError):
        click.echo(f"wpbg: {clean(message)}", err=True)
    sys.exit(code)


def _let_go() -> None:
    """What cannot be written any more (a closed window, a pipe without a reader) must not become the exit code."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _usage(error: click.UsageError) -> str:
    command = error.ctx.command_path if error.ctx else "wpbg"
    message = error.format_message()
    return f"{message}{'' if message.endswith(('.', '?', '!')) else '.'} See `{command} --help`."
