"""`wpbg doctor`."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import textwrap
from dataclasses import replace
from typing import Any

import click

from wpbg.cli.options import Target, format_option, site_options
from wpbg.cli.show import by_word, fancy, say, show_csv, show_json
from wpbg.cli.text import clean
from wpbg.doctor import Finding, examine

FIELDS = ("check", "status", "detail", "next")

INDENT = 6

WORDS = {"ok": "OK", "failed": "FAIL", "info": "INFO"}


@click.command(
    epilog="""\b
Examples:
  wpbg doctor
  wpbg doctor --path /var/www/site --format json

\b
Exit codes: 0 all is well, 1 something is wrong, 3 the site, WP-CLI or the
plugin cannot be used, 4 the database cannot be reached.
"""
)
@format_option
@site_options
def doctor(target: Target, form: str) -> None:
    """Check the set-up from the site's folder to the failed jobs of the last day.

    A line per check: OK, or what is wrong and the next command to type.
    """
    findings: list[Finding] = []
    for found in examine(target.path, target.wp, target.url, target.mind_root):
        finding = replace(found, next=for_this_site(found.next, target))
        findings.append(finding)
        if form == "table":
            show_finding(finding)
    if form == "json":
        show_json([told(finding) for finding in findings])
    elif form == "csv":
        show_csv([told(finding) for finding in findings], FIELDS)
    # What makes the site unusable says more than what is merely wrong.
    sys.exit(max((finding.exit_code for finding in findings), default=0))


def for_this_site(command: str, target: Target) -> str:
    """A command of ours or WP-CLI's as it has to be typed where this one needed --path, --wp or --url."""
    ours = command.startswith("wpbg ") or " wpbg " in command
    if not ours and not command.startswith("wp "):
        return command
    command, remark, rest = command.partition("  (")
    for option, value in (("--path", target.path), ("--url", target.url), ("--wp", target.wp if ours else None)):
        if value and f" {option} " not in command:
            # WP-CLI knows an option's value by the sign of equality alone.
            command += f" {option}{' ' if ours else '='}{shlex.quote(value)}"
    wp = target.wp or os.environ.get("WPBG_WP")
    if wp and not ours:
        command = wp + command.removeprefix("wp")
    return command + remark + rest


def told(finding: Finding) -> dict[str, Any]:
    """A finding as programs read it."""
    return {
        "check": finding.check,
        "status": finding.status,
        "detail": finding.said,
        "next": finding.next or None,
    }


def show_finding(finding: Finding) -> None:
    """A line per check; below a failed one, what to type next."""
    word = WORDS[finding.status]
    text = f"{finding.check}: {clean(finding.said)}"
    if fancy():
        style = "blue" if finding.info else by_word(word)
        room = shutil.get_terminal_size().columns - INDENT
        text = "\n".join(textwrap.wrap(text, max(room, 30), break_on_hyphens=False, break_long_words=False))
        click.secho(f"{word:<{INDENT}}", fg=style.split()[-1], bold="bold" in style, nl=False)
        click.echo(text.replace("\n", f"\n{'':<{INDENT}}"))
    else:
        click.echo(f"{word:<{INDENT}}{text}")
    if finding.next:
        say(f"{'':<{INDENT}}next: {clean(finding.next)}", "bold")
    sys.stdout.flush()
