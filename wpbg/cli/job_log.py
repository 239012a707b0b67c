"""`wpbg jobs log`."""

from __future__ import annotations

from collections.abc import Sequence

import click

from wpbg.cli.desk import JobId, ledger_of
from wpbg.cli.jobs import show_error, show_indented, standing
from wpbg.cli.options import Target, format_option, site_options
from wpbg.cli.show import Row, by_word, say, show_csv, show_json
from wpbg.cli.text import clean, count, moment, run_time, since_epoch

FIELDS = ("attempt", "worker", "started_at", "finished_at", "runtime_ms", "ending", "error", "output", "note")

ENDINGS = {
    "timed_out": "ran past its time limit",
    "process_died": "its PHP process died",
    "worker_lost": "its worker was lost",
    "interrupted": "stopped with its worker",
    "not_started": "PHP did not start",
}
"""How a run ended, in words; the others say themselves."""


@click.command(
    epilog="""\b
Examples:
  wpbg jobs log 1234
  wpbg jobs log 1234 --format json
"""
)
@click.argument("job_id", metavar="ID", type=JobId())
@format_option
@site_options
def log(target: Target, form: str, job_id: str) -> None:
    """Print what each attempt of a job printed, where and when it ran, and how it ended.

    Of attempts before the last, the end of the output (4 KiB) is kept.
    """
    with ledger_of(target) as (_, ledger):
        attempts = ledger.job_log(job_id)
        if form == "json":
            show_json(attempts)
        elif form == "csv":
            show_csv(attempts, FIELDS)
        else:
            show_log(ledger.get_job(job_id), attempts, ledger.now_ms())


def show_log(job: Row, attempts: Sequence[Row], now_ms: int) -> None:
    """All attempts, oldest first, under a line about the job."""
    # Gearman tells of a job that waits in it only that it is there.
    what = f": {clean(job['callback'])} in queue {clean(job['queue'])}" if job["queue"] else ""
    say(f"Job {job['id']}{what} {standing(job)}.")
    if not attempts:
        say("No attempt has begun yet.")
    for attempt in attempts:
        say()
        show_attempt(attempt, now_ms)


def show_attempt(attempt: Row, now_ms: int) -> None:
    """One attempt: how it ended, what it printed, what went wrong."""
    ending = attempt["ending"]
    begun, ended = since_epoch(attempt["started_at"]), since_epoch(attempt["finished_at"])
    took = run_time(ended - begun) if begun is not None and ended is not None else ""
    words = [f"Attempt {attempt['attempt']}: {ENDINGS.get(ending) or clean(ending)}"]
    words += [f"after {took}"] if took and ending != "running" else []
    words += [f"on {clean(attempt['worker'])}"] if attempt["worker"] else []
    words += [f"begun {moment(attempt['started_at'], now_ms)}"] if attempt["started_at"] else []
    say(", ".join(words), by_word(ending) or "bold red")
    if attempt.get("note"):
        say(f"Note: {clean(attempt['note'])}")
    if attempt["output"]:
        say(f"Output ({count(len(attempt['output'].encode('utf-8', 'replace')), 'byte')}):")
        show_indented(attempt["output"])
    else:
        say("Output: none" if ending != "running" else "Output: comes when the attempt has ended")
    if attempt["error"]:
        say("Error:")
        show_error(attempt["error"])
