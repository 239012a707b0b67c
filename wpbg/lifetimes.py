"""Puts a runner together for a site: how PHP is started in each lifetime."""

from __future__ import annotations

import re
from collections.abc import Callable

from wpbg.errors import SiteError
from wpbg.log import Log
from wpbg.runners.base import Runner
from wpbg.runners.boot import Boot, BootFor
from wpbg.runners.exchange import Lifetime
from wpbg.runners.persistent import PersistentRunner, Recycling
from wpbg.runners.restart import RestartRunner
from wpbg.site import Site
from wpbg.wp import SERVE

DEFAULT_MAX_TIME = 3600.0
"""Seconds a persistent PHP process lives when nothing is said."""

REASONS = {
    "max_jobs": r"^it has run \d+ jobs",
    "max_time": r"^it has run for ",
    "max_memory": r"^it holds \d+ MB",
    "open_files": r"^it holds \d+ open files",
    "plugins_changed": r"^the active plugins have changed",
    "code_changed": r" has changed$",
    "asked": r"^asked to",
    "job": r"^a job ",
}
"""By which words PHP's Recycling and the persistent runner say why; anything else is a process that `ended`."""


def runner_maker(
    site: Site, mode: str, time_limit: int, recycling: Recycling, log: Log, boot_failed: Callable[[int], None]
) -> Callable[[], Runner]:
    """What makes a runner for each slot. Raises `SiteError` when the site's PHP cannot do what `mode` needs.

    `boot_failed` is told the exit code of a PHP process that ended before it was ready.
    """
    lifetime = Lifetime(mode)
    boot = _boot(site, lifetime, boot_failed, log)
    if lifetime is Lifetime.RESTART:
        return lambda: RestartRunner(boot, time_limit)
    if lifetime is Lifetime.FORK:
        _need_fork(site)
    limits = Recycling(recycling.max_jobs, recycling.max_time or DEFAULT_MAX_TIME, recycling.max_memory)

    def recycled(why: str) -> None:
        log.event("php.recycled", f"A PHP process is replaced: {why}.", reason=recycle_reason(why))

    return lambda: PersistentRunner(lifetime, boot, time_limit, limits, recycled)


def recycle_reason(why: str) -> str:
    """Which of a few reasons, for counting, the words of a process or a runner are."""
    return next((reason for reason, words in REASONS.items() if re.search(words, why)), "ended")


def _boot(site: Site, lifetime: Lifetime, failed: Callable[[int], None], log: Log) -> BootFor:
    wp = site.wp

    def boot(blog: int) -> Boot:
        url = site.blog_url(blog)
        log.hint("php.started", mode=lifetime.value)

        def boot_failed(code: int) -> None:
            site.forget_blog(blog)
            failed(code)

        if lifetime is Lifetime.LOOP:
            # The REPL's first line hands its stdin over; what follows are frames.
            first = f"{SERVE}\n".encode()
            return Boot(wp.serve_argv(url, shell=True), wp.cwd, wp.environment(), first, boot_failed)
        return Boot(wp.serve_argv(url), wp.cwd, wp.environment(), failed=boot_failed)

    return boot


def _need_fork(site: Site) -> None:
    if not site.no_fork:
        return
    lacking = [name for name in ("pcntl", "posix") if name not in site.extensions]
    if lacking:
        raise SiteError(
            f"--mode fork needs PHP's {' and '.join(lacking)} extension, which this PHP {site.php} lacks: install it "
            "(Debian, Ubuntu: in php-cli; Fedora: php-process; Docker images: docker-php-ext-install pcntl posix), or "
            "use --mode loop or restart."
        )
    raise SiteError(
        f"--mode fork needs functions that this PHP {site.php} has switched off: {', '.join(site.no_fork)}. Take them "
        "out of disable_functions in the php.ini of PHP's command line, or use --mode loop or restart."
    )
