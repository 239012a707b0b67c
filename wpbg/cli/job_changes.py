"""`wpbg jobs retry`, `cancel` and `delete`."""

from __future__ import annotations

import click

from wpbg.cli.desk import Complaints, JobId, Span, confirmed, ledger_of, one_way
from wpbg.cli.options import Target, site_options
from wpbg.cli.text import count
from wpbg.errors import UsageError, WpbgError
from wpbg.job import Status
from wpbg.ledger import Ledger, NoSuchJob, WrongState

ASK_ABOVE = 10
"""So many ids may be deleted without a question."""

KEPT = WpbgError("Nothing was deleted.")

IDS = click.argument("ids", metavar="[ID]...", nargs=-1, type=JobId())
YES = click.option("--yes", "-y", is_flag=True, help="Do not ask.")


@click.command(
    epilog="""\b
Examples:
  wpbg jobs retry 1234 1235
  wpbg jobs retry --failed
  wpbg jobs retry --failed --queue mail
"""
)
@IDS
@click.option("--failed", is_flag=True, help="All failed jobs.")
@click.option("--queue", metavar="NAME", help="With --failed: only those of this queue.")
@site_options
def retry(target: Target, ids: tuple[str, ...], failed: bool, queue: str | None) -> None:
    """Run failed or cancelled jobs again: at once, with all their attempts, their log kept."""
    one_way(ids, failed=failed)
    if queue and not failed:
        raise UsageError("--queue goes with --failed: ids say already which jobs are meant.")
    complaints = Complaints()
    with ledger_of(target) as (_, ledger):
        if failed:
            done = ledger.retry_failed(queue)
            where = f" in queue {queue}" if queue else ""
            none = not done.ids and not done.refused
            click.echo(f"There is no failed job{where}." if none else f"{_will(len(done.ids))} again{where}.")
            for reason in done.refused:
                complaints.add(reason)
        for job_id in ids:
            try:
                ledger.retry(job_id)
                click.echo(f"Job {job_id} is queued again.")
            except (NoSuchJob, WrongState) as error:
                complaints.add(error)
    complaints.end()


def _will(number: int) -> str:
    return f"{count(number, 'failed job')} {'is' if number == 1 else 'are'} queued"


@click.command(
    epilog="""\b
Examples:
  wpbg jobs cancel 1234
  wpbg jobs cancel 1234 1235 && wpbg jobs wait 1234 1235
"""
)
@click.argument("ids", metavar="ID...", nargs=-1, required=True, type=JobId())
@site_options
def cancel(target: Target, ids: tuple[str, ...]) -> None:
    """Keep jobs from running. Running ones are stopped by their workers within a few seconds."""
    complaints = Complaints()
    with ledger_of(target) as (_, ledger):
        for job_id in ids:
            try:
                if ledger.cancel(job_id) is Status.RUNNING:
                    click.echo(f"Job {job_id} is running: its worker has been asked to stop it.")
                else:
                    click.echo(f"Job {job_id} is cancelled.")
            except (NoSuchJob, WrongState) as error:
                complaints.add(error)
    complaints.end()


@click.command(
    epilog="""\b
Examples:
  wpbg jobs delete 1234
  wpbg jobs delete --status completed
  wpbg jobs delete --status failed --older-than 30d --yes

\b
Waiting jobs of a whole queue: wpbg queues purge NAME
"""
)
@IDS
@click.option(
    "--status", type=click.Choice(["completed", "failed", "cancelled"]), help="All jobs that ended like this."
)
@click.option("--older-than", type=Span(), help="With --status: only those that ended so long ago: 90, 15m, 2h, 7d.")
@YES
@site_options
def delete(target: Target, ids: tuple[str, ...], status: str | None, older_than: float | None, yes: bool) -> None:
    """Delete jobs and all that is known of them. Not while they run: cancel them first."""
    one_way(ids, status=status)
    if older_than is not None and not status:
        raise UsageError("--older-than goes with --status: ids say already which jobs are meant.")
    if older_than is not None and older_than < 0:
        raise UsageError("--older-than is a time span of 0 or more.")
    complaints = Complaints()
    with ledger_of(target) as (_, ledger):
        if status:
            click.echo(
                f"{count(_delete_finished(ledger, Status(status), older_than or 0, yes), f'{status} job')} deleted."
            )
        if len(ids) > ASK_ABOVE and not confirmed(f"Delete {len(ids)} jobs?", yes):
            raise KEPT
        for job_id in ids:
            try:
                ledger.delete(job_id)
                click.echo(f"Job {job_id} is deleted.")
            except (NoSuchJob, WrongState) as error:
                complaints.add(error)
    complaints.end()


def _delete_finished(ledger: Ledger, status: Status, older_than: float, yes: bool) -> int:
    """Delete the jobs that ended so, so many seconds ago or longer; how many."""
    before = ledger.now_ms() - round(older_than * 1000)
    number = ledger.ended_since(status, 0) - ledger.ended_since(status, before + 1)
    if number and not confirmed(f"Delete {count(number, f'{status.value} job')}?", yes):
        raise KEPT
    return ledger.delete_finished(status, before)
