"""`wpbg service`: a ready configuration for supervisord or systemd."""

from __future__ import annotations

import pwd
import shutil
import sys
from pathlib import Path

import click

from wpbg.cli.options import Target, concurrency_option, grace_option, mode_type, queue_option, site_options
from wpbg.errors import UsageError
from wpbg.service import Service, listen_words, program, render, search_path, service_name
from wpbg.settings import check_queue
from wpbg.webuser import web_user


@click.command(
    epilog="""\b
Examples:
  wpbg service supervisord > /etc/supervisor/conf.d/wpbg-site.conf
  wpbg service systemd --processes 3 --queue mail --queue default --metrics 127.0.0.1:9100

\b
The first lines of what is printed say where it goes and how it is started. With --metrics
the processes are numbered by their ports, from the one that is given.
"""
)
@click.argument("manager", type=click.Choice(["supervisord", "systemd"]))
@click.option("--processes", type=click.IntRange(1, 99), default=1, show_default=True, metavar="N", help="Workers.")
@concurrency_option("Jobs at a time, each.")
@queue_option
@click.option("--mode", type=mode_type, default="restart", show_default=True, help="As of listen.")
@grace_option("How long running jobs may go on after TERM; the manager waits longer than that.", most=86400)
@click.option("--user", metavar="NAME", help="Who runs it. [default: the one the site's files belong to]")
@click.option("--metrics", metavar="HOST:PORT", help="Of the first worker; the others get the ports that follow.")
@click.option("--name", metavar="NAME", help="Of the service. [default: wpbg- and the site's address]")
@site_options
def service(
    target: Target,
    manager: str,
    processes: int,
    concurrency: int,
    queues: tuple[str, ...],
    mode: str,
    grace: float,
    user: str | None,
    metrics: str | None,
    name: str | None,
) -> None:
    """Print a ready configuration for this site's workers."""
    site = target.site()
    wp = site.wp
    words = [shutil.which(wp.words[0]) or wp.words[0], *wp.words[1:]]
    command = listen_words(
        path=wp.cwd,
        wp=words,
        url=target.url,
        queues=[check_queue(queue) for queue in queues],
        mode=mode,
        concurrency=concurrency,
        grace=grace,
    )
    if target.allow_root:
        command = (*command, "--allow-root")
    click.echo(
        render(
            manager,
            Service(
                name=checked_name(name) if name else service_name(site.url),
                folder=wp.cwd,
                user=uid_of(user) if user else web_user(wp.cwd),
                command=command,
                processes=processes,
                grace=grace,
                metrics=first_address(metrics, processes) if metrics else None,
                made_by=typed(wp.cwd),
                search=search_path(shutil.which("php")),
            ),
        ),
        nl=False,
    )


def typed(folder: Path) -> tuple[str, ...]:
    """The command line that we were called by, such that it can be typed in any folder."""
    words = [word for word in sys.argv[1:] if word != "--allow-root"]
    known = {word.partition("=")[2] if word.startswith("--path=") else word for word in words}
    return (*program(), *words, *(() if str(folder) in known else ("--path", str(folder))))


def uid_of(name: str) -> int:
    """Raises `UsageError` for a user that there is not."""
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        raise UsageError(f"There is no user {name!r} on this machine: name another with --user.") from None


def checked_name(name: str) -> str:
    """Raises `UsageError` for a name that no manager would take."""
    if not name.isascii() or not name.replace("-", "").replace("_", "").replace(".", "").isalnum():
        raise UsageError(f"{name!r} is no name for a service: letters, digits, '-', '_' and '.' make one.")
    return name


def first_address(text: str, processes: int) -> tuple[str, int]:
    """Raises `UsageError` where there are not enough ports."""
    from wpbg.metrics.server import listen_address

    host, port = listen_address(text)
    if not 0 < port <= 65536 - processes:
        raise UsageError(f"--metrics {text}: {processes} workers need ports from 1 to 65535 of their own.")
    return host, port
