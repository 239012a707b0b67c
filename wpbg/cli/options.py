"""Options that mean the same in every command, and what they build."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from wpbg.errors import UsageError
from wpbg.site import Site
from wpbg.webuser import refuse_root
from wpbg.wp import WpCli

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Target:
    """Which site was meant."""

    path: str | None
    wp: str | None
    url: str | None
    allow_root: bool = False

    def wp_cli(self) -> WpCli:
        """WP-CLI for the site. Raises `WordPressNotFound`, `WpCliNotFound`; `SiteError` for a root who did not say
        that it is meant."""
        wp = WpCli.find(self.wp, self.path, self.url)
        self.mind_root(wp)
        return wp

    def mind_root(self, wp: WpCli) -> None:
        """Raises `RootRefused` for a root who did not say that it is meant."""
        if not (self.allow_root or "--allow-root" in wp.words or os.environ.get("WP_CLI_ALLOW_ROOT")):
            refuse_root(wp.cwd)

    def site(self, meanwhile: Callable[[], None] | None = None) -> Site:
        """The site, with the plugin ready; `meanwhile` is called while it boots. Raises a `SiteError` or
        `QueueUnreachable`."""
        site = Site.ask(self.wp_cli(), meanwhile)
        site.need_plugin()
        return site


def site_options(command: F) -> F:
    """Adds --path, --wp and --url; the command gets them as one `target`."""

    @click.option("--path", metavar="DIR", help="The site's folder. [default: WPBG_PATH, else the nearest one upwards]")
    @click.option("--wp", metavar="BIN", help="How WP-CLI is called here. [default: WPBG_WP, else wp]")
    @click.option("--url", metavar="URL", help="The site of the network, for WP-CLI's --url.")
    @click.option("--allow-root", is_flag=True, help="Run the site's code as root.")
    @functools.wraps(command)
    def wrapper(*args: Any, path: str | None, wp: str | None, url: str | None, allow_root: bool, **kwargs: Any) -> Any:
        return command(*args, target=Target(path, wp, url, allow_root), **kwargs)

    return wrapper  # type: ignore[return-value]


def format_option(command: F) -> F:
    """Adds --format table|json|csv."""
    decorate = click.option(
        "--format",
        "form",
        type=click.Choice(["table", "json", "csv"]),
        default="table",
        show_default=True,
        help="table for people, json and csv for programs.",
    )
    return decorate(command)


queue_option = click.option(
    "--queue",
    "queues",
    multiple=True,
    metavar="NAME",
    help="Repeatable; order is precedence. [default: ABW_QUEUE_NAME]",
)
"""The queues of a worker."""

mode_type = click.Choice(["restart", "fork", "loop"])


def concurrency_option(words: str = "Jobs at a time.", **more: Any) -> Callable[[F], F]:
    """--concurrency N of a worker; `more` as click takes it."""
    limits = click.IntRange(1, 256)
    return click.option("--concurrency", type=limits, default=1, show_default=True, metavar="N", help=words, **more)


def grace_option(words: str, most: float | None = None) -> Callable[[F], F]:
    """--grace SECONDS of a worker."""
    limits = click.FloatRange(0, most)
    return click.option("--grace", type=limits, default=60, show_default=True, metavar="SECONDS", help=words)


class Size(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.3 on
    """Bytes, from `256M`, `1G`, `512K`; a bare number is megabytes."""

    name = "SIZE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        text = str(value).strip().upper().removesuffix("B")
        unit = {"K": 2**10, "M": 2**20, "G": 2**30}.get(text[-1:], 0)
        try:
            number = float(text[:-1] if unit else text)
        except ValueError:
            number = 0.0
        if not 0 < number < 1e9:
            raise UsageError(f"{value!r} is no size: write 256M, 1G or a number of megabytes.")
        return round(number * (unit or 2**20))
