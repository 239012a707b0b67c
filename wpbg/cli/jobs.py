"""`wpbg jobs`: the group, `list` and `get`."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import click

from wpbg.cli.desk import STATUSES, JobId, ledger_of
from wpbg.cli.lazy import LazyGroup
from wpbg.cli.options import Target, format_option, site_options
from wpbg.cli.show import Column, Row, by_word, fancy, key, say, show_csv, show_json, show_rows
from wpbg.cli.text import ago, clean, clean_text, count, moment, run_time
from wpbg.errors import QueueUnreachable

if TYPE_CHECKING:
    from wpbg.ledger import Ledger

COMMANDS = {
    "add": ("wpbg.cli.job_add:add", "Add a job."),
    "list": ("wpbg.cli.jobs:list_jobs", "List jobs, newest first."),
    "get": ("wpbg.cli.jobs:get", "Show all that is known of a job."),
    "log": ("wpbg.cli.job_log:log", "Print the output of each attempt, and how it ended."),
    "retry": ("wpbg.cli.job_changes:retry", "Run failed or cancelled jobs again."),
    "cancel": ("wpbg.cli.job_changes:cancel", "Keep jobs from running; stop running ones."),
    "delete": ("wpbg.cli.job_changes:delete", "Delete jobs and what is known of them."),
    "wait": ("wpbg.cli.job_wait:wait", "Wait until jobs are finished."),
}

FIELDS = (
    *("id", "queue", "callback", "status", "attempts", "max_attempts", "priority", "batch", "created_at"),
    *("available_at", "started_at", "finished_at", "runtime_ms", "worker", "result", "error", "progress"),
)

EPILOG = """\b
Examples:
  wpbg jobs add send_report --data '{"month": "2026-11"}' --queue mail
  wpbg jobs list --status failed
  wpbg jobs log 1234
  wpbg jobs retry --failed
  wpbg jobs wait --batch import
"""


@click.group(cls=LazyGroup, commands_at=COMMANDS, epilog=EPILOG)
def jobs() -> None:
    """Add jobs, look at them, and change what becomes of them."""


@click.command(
    "list",
    epilog="""\b
Examples:
  wpbg jobs list
  wpbg jobs list --status failed --queue mail
  wpbg jobs list --callback send_report --limit 500 --format csv > jobs.csv
""",
)
@click.option("--status", type=click.Choice(STATUSES), help="Only jobs in this state.")
@click.option("--queue", metavar="NAME", help="Only jobs of this queue.")
@click.option("--callback", metavar="NAME", help="Only jobs that call this function, method or hook.")
@click.option("--batch", metavar="NAME", help="Only jobs of this batch.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, metavar="N", help="At most so many.")
@format_option
@site_options
def list_jobs(target: Target, form: str, limit: int, **wanted: str | None) -> None:
    """List jobs, newest first.

    WHEN is the time that matters most: since when it waits, when it is due, when it began or ended.
    """
    with ledger_of(target) as (_, ledger):
        found = ledger.list_jobs(**wanted, limit=limit + 1)
        now = ledger.now_ms()
        waiting = _in_broker(ledger, wanted)
    none = "There are no such jobs." if any(wanted.values()) else "There are no jobs."
    show_rows(found[:limit], list_columns(now), form, none, FIELDS)
    if len(found) > limit and form == "table" and fancy():
        say(f"The newest {limit} are shown; there are more (--limit).", "bright_black")
    if waiting and form == "table":
        click.echo(f"{in_broker_words(waiting)} in the broker, where jobs cannot be listed.", err=True)


def _in_broker(ledger: Ledger, wanted: Mapping[str, str | None]) -> int:
    """How many jobs may be missing in the list because a broker, which does not show them, has them."""
    if wanted["status"] not in (None, "queued"):
        return 0
    with contextlib.suppress(QueueUnreachable):
        found = ledger.in_broker()
        return sum(found.values()) if wanted["queue"] is None else found.get(wanted["queue"], 0)
    return 0


def in_broker_words(number: int) -> str:
    """`3 jobs wait`."""
    return f"{count(number, 'job')} {'waits' if number == 1 else 'wait'}"


def list_columns(now_ms: int) -> list[Column]:
    """What people see of a job in a list; fits 80 columns."""
    return [
        Column("ID", key("id"), right=True),
        Column("STATUS", key("status"), style=by_word),
        Column("CALLBACK", key("callback"), flexible=True),
        Column("QUEUE", key("queue"), flexible=True),
        Column("TRIES", lambda job: f"{job['attempts']}/{job['max_attempts']}", right=True),
        Column("WHEN", lambda job: when(job, now_ms)),
        Column("DETAIL", detail, flexible=True),
    ]


def when(job: Row, now_ms: int) -> str:
    """The time that matters most about a job."""
    if job["status"] in ("queued", "delayed"):
        return ago(job["available_at"], now_ms)
    return ago(job["finished_at"] or job["started_at"] or job["created_at"], now_ms)


def detail(job: Row) -> str:
    """What else there is to say in a few words: the error, the progress, how long it took.

    Of an error what it says comes first: in 80 columns the name of its class would leave no room for that.
    """
    error, progress = job["error"], job["progress"]
    if error and job["status"] != "completed":
        return f"{error['message']} ({error['class']})" if error["message"] else str(error["class"])
    if progress and job["status"] == "running":
        return progress_text(progress)
    return (
        f"took {run_time(job['runtime_ms'])}" if job["runtime_ms"] is not None and job["status"] == "completed" else ""
    )


def progress_text(progress: Row) -> str:
    """`120 of 300: importing`."""
    done, total, message = progress["done"], progress["total"], progress["message"]
    return f"{done:,}{'' if total is None else f' of {total:,}'}{f': {message}' if message else ''}"


@click.command(
    epilog="""\b
Examples:
  wpbg jobs get 1234
  wpbg jobs get 1234 --format json
"""
)
@click.argument("job_id", metavar="ID", type=JobId())
@format_option
@site_options
def get(target: Target, form: str, job_id: str) -> None:
    """Show all that is known of a job. What its earlier attempts printed is in `wpbg jobs log`."""
    with ledger_of(target) as (_, ledger):
        job = ledger.get_job(job_id)
        if form == "json":
            show_json(job)
        elif form == "csv":
            show_csv([job], (*FIELDS[:-1], "output", "progress"))
        else:
            attempts = ledger.job_log(job_id)
            show_job(job, attempts[-1].get("note") if attempts else None, ledger.now_ms())


def show_job(job: Row, note: str | None, now_ms: int) -> None:
    """A job for people: a line per field, then its error and what it printed."""
    say(f"Job {job['id']} {standing(job)}.", by_word(job["status"]))
    for name, text in facts(job, note, now_ms):
        say(f"  {name:<10} {clean(text)}")
    if job["error"]:
        say("Error:")
        show_error(job["error"])
    if job["output"]:
        say("Output:")
        show_indented(job["output"])


def standing(job: Row) -> str:
    """`is queued`, `has failed`."""
    return f"{'has' if job['status'] == 'failed' else 'is'} {job['status']}"


def facts(job: Row, note: str | None, now_ms: int) -> Iterator[tuple[str, str]]:
    """The fields of a job that say something, with their names."""
    timed = (("Created", "created_at"), ("Available", "available_at"), ("Started", "started_at"))
    result = job["result"]
    fields: list[tuple[str, Any]] = [
        ("Callback", job["callback"]),
        ("Queue", job["queue"]),
        ("Batch", job["batch"]),
        ("Priority", job["priority"]),
        ("Attempts", f"{job['attempts']} of {job['max_attempts']}" if job["max_attempts"] else job["attempts"]),
        *((name, moment(job[field], now_ms)) for name, field in (*timed, ("Finished", "finished_at"))),
        ("Took", run_time(job["runtime_ms"])),
        ("Worker", job["worker"]),
        ("Progress", progress_text(job["progress"]) if job["progress"] else ""),
        ("Note", note),
        ("Result", json.dumps(result, ensure_ascii=False) if result is not None else ""),
    ]
    return ((name, str(value)) for name, value in fields if value not in (None, ""))


def show_error(error: Row) -> None:
    """An error with the place it came from and its trace."""
    say(f"  {clean(error['class'])}: {clean_text(error['message'])}".replace("\n", "\n  "), "red")
    if error["file"]:
        say(f"  at {clean(error['file'])}:{error['line']}")
    if error["trace"]:
        show_indented(error["trace"])


def show_indented(text: str) -> None:
    """Text of a job, set off from ours so that it cannot be mistaken for it."""
    for line in clean_text(text).rstrip("\n").split("\n"):
        say(f"  {line}".rstrip())
