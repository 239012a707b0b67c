"""Writes docs/reference.md from the code: functions and hooks of the plugin, settings, commands, events, metrics.

Run by `script/reference`. A test compares its answer with what is there.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import click

from wpbg import errors
from wpbg.cli import COMMANDS, cli
from wpbg.events import EVENTS
from wpbg.metrics.reference import families

ROOT = Path(__file__).resolve().parents[1]
PLUGIN = ROOT / "php-plugin"

CONSTANTS = {
    "ABW_QUEUE_NAME": "The queue of jobs that name none, and of workers that are told none. `default`.",
    "ABW_TIMELIMIT": "Seconds that a run of a job may take, where the job does not say. 300; 0 is no limit.",
    "ABW_SLEEP": "Microseconds between two jobs of a worker. 0.",
    "ABW_NO_JOB_PERIOD": "Seconds that an idle worker waits at most before it looks again. 1.",
    "ABW_RETENTION_DAYS": "Days that finished jobs are kept. 7.",
    "ABW_DEBUG": "The log tells of every start of a job, and what jobs print. `false`.",
    "ABW_ALERT_EMAIL": "Who gets an e-mail when jobs wait and no worker is alive: an address, or `true` for the "
    "administrator's. Not set: nobody.",
    "BACKGROUND_WORKER_LOG": "A file that gets every event of the workers. Not set: they are on stderr alone.",
    "ABW_BACKEND": "`database`, `beanstalkd` or `gearman`. `database`.",
    "ABW_BEANSTALKD": "Where beanstalkd is. `127.0.0.1:11300`.",
    "ABW_GEARMAN_COMPAT": "`wp_async_task_add()` writes into Gearman what WP Minions writes, for its runners. `false`.",
    "WP_ASYNC_TASK_SALT": "What the site's names in a broker begin with, as of WP Gears and WP Minions. Digits of the "
    "site's own follow, but in the name that those two read.",
    "WP_GEARS": "As of WP Gears: set, it selects `gearman` where `ABW_BACKEND` is not set.",
    "WP_MINIONS_BACKEND": "As of WP Minions: `gearman` selects it where `ABW_BACKEND` is not set.",
    "WPBG_BIN": "Where `wp background-worker` finds the program wpbg. Not set: on the PATH.",
}
"""Of wp-config.php. The global `$gearman_servers` is a list and no constant."""

NOT_SETTINGS = {"BACKGROUND_WORKER_VERSION", "BACKGROUND_WORKER_FILE", "ABW_DB_VERSION"}
"""Names that look like settings and are none: two say which plugin this is, one is an option in the database."""

ENVIRONMENT = {
    "WPBG_PATH": "The site's folder, as `--path`.",
    "WPBG_WP": "How WP-CLI is called, as `--wp`.",
    "WPBG_BIN": "Where `wp background-worker` and wp-gears-runner.php find the program wpbg.",
    "WPBG_CACHE_DIR": "Where PHP's compiled code is kept. Not set: the user's cache folder.",
    "WPBG_CONCURRENCY": "As `listen --concurrency`.",
    "WPBG_LEASE": "As `listen --lease`.",
    "WPBG_DEBUG": "An error in wpbg itself is shown with its traceback.",
    "WP_CLI_ALLOW_ROOT": "As WP-CLI's: root may run the site's code, as with `--allow-root`.",
    "NO_COLOR": "No colours.",
}


def reference() -> str:
    """The whole page."""
    parts = [
        "# Reference",
        "Made by `script/reference` from the code; what is wrong here is wrong there.",
        "[Functions](#functions) · [Hooks](#hooks) · [Constants](#constants) · [Environment](#environment) · "
        "[Commands](#commands) · [Exit codes](#exit-codes) · [Log events](#log-events) · [Metrics](#metrics)",
        "## Functions",
        *functions(),
        "## Hooks",
        *hooks(),
        "## Constants",
        "For wp-config.php, all optional. `$gearman_servers = array( '127.0.0.1:4730' );` names Gearman's servers.",
        table(("constant", "means"), CONSTANTS),
        "## Environment",
        table(("variable", "means"), ENVIRONMENT),
        "## Commands",
        *commands(),
        "## Exit codes",
        exit_codes(),
        "## Log events",
        "One line each, on stderr and in the file of `BACKGROUND_WORKER_LOG`: time, event, fields and, behind a colon, "
        "what comes of it; with `--log-format json` an object. A job's events carry `id`, `queue`, `callback`, "
        "`attempt` (`1/3`) and `slot`.",
        table(("event", "means"), EVENTS),
        "## Metrics",
        "Served by `wpbg listen --metrics HOST:PORT` under `/metrics`; beside it `/healthz` (the worker is alive) and "
        "`/readyz` (it takes jobs, and its database answers). The `process_*` and `python_info` of the client library "
        "are there as well. Queues are the site's, so every worker shows the same: take the `max`, not the `sum`.",
        metrics(),
    ]
    return "\n\n".join(parts) + "\n"


def table(head: tuple[str, str], rows: Mapping[str, str]) -> str:
    lines = [f"| {head[0]} | {head[1]} |", "|---|---|"]
    lines += [f"| `{name}` | {text.replace('|', chr(92) + '|')} |" for name, text in rows.items()]
    return "\n".join(lines)


# -- PHP -----------------------------------------------------------------------------------------------------

DOCBLOCK = re.compile(r"/\*\*\n(?P<text>(?:\s*\*[^/].*\n|\s*\*\n)+?)\s*\*/\n\s*(?P<code>.*)")


def prose(docblock: str) -> tuple[str, list[str]]:
    """A doc block's description as one paragraph a blank line, and its tags, a line each."""
    lines = [re.sub(r"^\s*\* ?", "", line) for line in docblock.splitlines()]
    tags: list[str] = []
    text: list[str] = []
    for line in lines:
        if line.lstrip().startswith("@"):
            tags.append(line.strip())
        elif tags:
            tags[-1] += " " + line.strip()
        else:
            text.append(line.strip())
    paragraphs = "\n".join(text).strip().split("\n\n")
    return "\n\n".join(" ".join(paragraph.split("\n")) for paragraph in paragraphs), tags


def functions() -> Iterator[str]:
    """Every public function of the plugin."""
    for name in ("functions.php", "task-functions.php"):
        for found in DOCBLOCK.finditer((PLUGIN / "includes" / name).read_text(encoding="utf-8")):
            signature = re.match(r"function (\w+)\((.*)\) \{", found["code"])
            if signature:
                text, tags = prose(found["text"])
                yield f"### `{signature[1]}({signature[2]})`"
                yield text
                yield "\n".join(tag_line(" ".join(tag.split())) for tag in tags)


def tag_line(tag: str) -> str:
    """A tag as an item of a list; the options of a parameter (`@type`) are items below it."""
    kind, types, rest = [*tag.removesuffix(" }").removesuffix(" {").split(" ", 2), ""][:3]
    if kind == "@return":
        return f"- returns `{types}`: {rest}"
    variable, _, text = rest.partition(" ")
    if kind == "@type":
        return f"  - `{variable.lstrip('$')}` ({types}): {text}"
    return f"- `{variable}` ({types}): {text.strip('{ ')}"


def hooks() -> Iterator[str]:
    """Every action and filter of the plugin."""
    found: dict[str, str] = {}
    for file in sorted(PLUGIN.rglob("*.php")):
        source = file.read_text(encoding="utf-8")
        documented = {match.start("code"): match["text"] for match in DOCBLOCK.finditer(source)}
        for call in re.finditer(
            r"(do_action|apply_filters)\( ['\"]((?:background_worker|background_batch|wp_async)\w*(?:\{\$hook\})?)",
            source,
        ):
            line_start = source.rfind("\n", 0, call.start()) + 1
            line_start += len(source[line_start:]) - len(source[line_start:].lstrip())
            kind = "action" if call[1] == "do_action" else "filter"
            name = call[2].replace("{$hook}", "{hook}")
            text, tags = prose(documented[line_start]) if line_start in documented else (AROUND_A_JOB[name], [])
            given = [re.sub(r"@param (\S+)\s+(\$\w+)\s+(.*)", r"`\2` (\1): \3", tag) for tag in tags]
            found[name] = f"- **`{name}`** ({kind}): {text}" + "".join(
                f"\n  - {' '.join(item.split())}" for item in given
            )
    yield "\n".join(found[name] for name in sorted(found))


AROUND_A_JOB = {
    "wp_async_task_before_job": "In the worker, before a job. `$hook`: the hook, or the callback's name; `$job`.",
    "wp_async_task_before_job_{hook}": "The same for one hook. `$job`.",
    "wp_async_task_after_job": "In the worker, after a job that threw nothing. `$hook`, `$job`.",
    "wp_async_task_after_job_{hook}": "The same for one hook. `$job`.",
}
"""As WP Minions fires them."""


# -- the worker ----------------------------------------------------------------------------------------------


def commands() -> Iterator[str]:
    """Every command with its options."""
    context = click.Context(cli, info_name="wpbg")
    for name in COMMANDS:
        command = cli.get_command(context, name)
        assert command is not None
        yield from of_command(command, f"wpbg {name}")


def of_command(command: click.Command, name: str) -> Iterator[str]:
    words = [
        f"{argument.human_readable_name.upper()}" for argument in command.params if isinstance(argument, click.Argument)
    ]
    group = isinstance(command, click.Group)
    yield f"### `{' '.join([name, *words, *(['COMMAND'] if group else [])])}`"
    yield " ".join((command.help or "").replace("\b", "").split())
    options = "\n".join(option_line(option) for option in command.params if isinstance(option, click.Option))
    if options:
        yield options
    if isinstance(command, click.Group):
        context = click.Context(command)
        for sub in command.list_commands(context):
            below = command.get_command(context, sub)
            assert below is not None
            yield from of_command(below, f"{name} {sub}")


def option_line(option: click.Option) -> str:
    names = ", ".join(f"`{name}`" for name in option.opts)
    value = "" if option.is_flag else f" {option.metavar or choices(option)}"
    default = f" Default: {option.default}." if option.show_default and option.default not in (None, False) else ""
    return f"- {names}{value}: {' '.join((option.help or '').split())}{default}"


def choices(option: click.Option) -> str:
    if isinstance(option.type, click.Choice):
        return "`" + "`, `".join(str(choice) for choice in option.type.choices) + "`"
    return option.type.name.upper()


def exit_codes() -> str:
    rows = {"0": "It went well; `listen`: it stopped as it was asked to."}
    for kind in (errors.WpbgError, errors.UsageError, errors.SiteError, errors.QueueError):
        rows[str(kind.exit_code)] = EXIT_CODES[kind]
    return table(("code", "means"), rows)


EXIT_CODES = {
    errors.WpbgError: "It ran, and something failed.",
    errors.UsageError: "Wrong usage.",
    errors.SiteError: "The site, WP-CLI or the plugin cannot be used.",
    errors.QueueError: "The database, or another queue server, cannot be reached.",
}


def metrics() -> str:
    lines = ["| metric | kind | labels | means |", "|---|---|---|---|"]
    for family in families():
        if family.name.startswith("wpbg_"):
            labels = ", ".join(f"`{label}`" for label in getattr(family, "labels_known", ()))
            name = family.name + {"counter": "_total", "info": "_info"}.get(family.type, "")
            lines.append(f"| `{name}` | {family.type} | {labels} | {family.documentation} |")
    return "\n".join(lines)


if __name__ == "__main__":
    page = ROOT / "docs/reference.md"
    page.write_text(reference(), encoding="utf-8")
    sys.stdout.write(f"{page.relative_to(ROOT)} is written\n")
