"""The doctor: one check after the other, each with a finding. The order is that of a job's path.

What a check cannot do without (WordPress, WP-CLI, the database) ends the round: the findings so far and the error
are the answer.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator
from contextlib import closing

from wpbg import __version__
from wpbg.doctor.broker import check_broker
from wpbg.doctor.finding import Finding, failed, wrong
from wpbg.doctor.host import check_host
from wpbg.doctor.machine import Machine, check_machine
from wpbg.doctor.queue import check_database, check_work
from wpbg.doctor.site import check_site
from wpbg.errors import QueueError, WpbgError
from wpbg.ledger import Ledger
from wpbg.queues.settings import DatabaseSettings
from wpbg.site import Site
from wpbg.webuser import RootRefused
from wpbg.wp import WpCli, find_wordpress

__all__ = ["Finding", "examine"]


def examine(path: str | None, wp: str | None, url: str | None, mind_user: Callable[[WpCli], None]) -> Iterator[Finding]:
    """Every finding, as it is made. Raises nothing that is wrong with the site: that is a finding.

    `mind_user` raises `RootRefused` where this user must not run the site's code: not to look for faults either.
    """
    yield Finding("wpbg", f"{__version__}, Python {platform.python_version()}")
    about = "WordPress folder"
    try:
        yield Finding(about, str(find_wordpress(path)))
        about = "WP-CLI"
        cli = WpCli.find(wp, path, url)
        mind_user(cli)
        machine = Machine.ask(cli)
        yield from check_machine(cli, machine)
        about = "WordPress"
        site = Site.ask(cli)
        yield from check_site(cli, site, machine)
        about = "This machine"
        yield from check_host(site)
        yield from check_broker(site)
        about = "Database"
        with closing(Ledger(DatabaseSettings.from_mapping(site.database))) as ledger:
            yield from check_database(ledger)
            about = "Queues"
            if site.plugin is not None:
                yield from check_work(ledger)
    except RootRefused as error:
        yield wrong("User", error.message, error.again, error.exit_code)
    except WpbgError as error:
        yield failed("Database" if isinstance(error, QueueError) else about, error)
