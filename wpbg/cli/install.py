"""`wpbg install`."""

from __future__ import annotations

import click

from wpbg import plugin
from wpbg.cli.options import Target, site_options


@click.command(epilog="\b\nExamples:\n  wpbg install --path /var/www/site\n  sudo -u www-data wpbg install")
@site_options
def install(target: Target) -> None:
    """Put the bundled plugin into the site, activate it, create or upgrade its tables.

    Run it once to set a site up and again after each upgrade of wpbg; what is in order is left as it is.
    """
    wp = target.wp_cli()
    network = bool(wp.eval_json("$answer=is_multisite()", plugins=False))
    told = plugin.unpack(wp)
    version, warnings = plugin.activate(wp, network)
    for warning in warnings:
        click.echo(warning)
    if "kept" in told:
        click.echo(f"{told['to']} is a {told['kept']}: its files were left as they are.")
    else:
        click.echo(f"Background Worker {plugin.bundled_version()} is in {told['to']}.")
    click.echo(f"It is active{' on the whole network' if network else ''}, its tables are at version {version}.")
    click.echo("Next: wpbg listen")
