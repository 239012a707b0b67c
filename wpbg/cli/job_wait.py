"""`wpbg jobs wait`, and the waiting that `wpbg batches wait` does."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import click

from wpbg.cli.desk import JobId, Span, ledger_of, one_way
from wpbg.cli.jobs import progress_text
from wpbg.cli.options import Target, site_options
from wpbg.cli.show import Row, terminal
from wpbg.cli.text import clean, count
from wpbg.errors import QueueUnreachable, WpbgError
from wpbg.job import Status
from wpbg.ledger import Ledger, NoSuchJob

SOONEST, LATEST = 0.1, 1.0
"""Seconds between two looks: the first one, and the longest."""

QUIET = 60.0
"""Seconds after which what still waits in a broker is taken to be of other batches; as the worker does."""


@dataclass(frozen=True)
class Standing:
    """How far the jobs are that are waited for. `lost` are those that were deleted meanwhile."""

    total: int
    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    lost: int = 0
    running: int = 0
    now: str = ""
    more: bool = False
    """Whether there may be others that nobody can count yet."""

    @property
    def done(self) -> int:
        return self.completed + self.failed + self.cancelled + self.lost

    @property
    def over(self) -> bool:
        return self.done >= self.total and not self.more

    @property
    def well(self) -> bool:
        return self.over and self.completed == self.total

    def words(self) -> str:
        """`12 of 300 done: 1 failed, 2 running`."""
        counts = [("failed", self.failed), ("cancelled", self.cancelled), ("deleted", self.lost)]
        counts += [("running", self.running)]
        others = ", ".join(f"{number:,} {name}" for name, number in counts if number)
        if self.more and self.done >= self.total:
            others += f"{', ' if others else ''}more may wait in the broker"
        return f"{self.done:,} of {self.total:,} done" + (f": {others}" if others else "") + self.now

    def summary(self) -> str:
        """`300 jobs: 297 completed, 3 failed.`"""
        counts = [("completed", self.completed), ("failed", self.failed), ("cancelled", self.cancelled)]
        counts += [("deleted meanwhile", self.lost), ("not finished", self.total - self.done)]
        ended = ", ".join(f"{number:,} {name}" for name, number in counts if number)
        nothing = "none is out of the broker yet" if self.more else "nothing to wait for"
        return f"{count(self.total, 'job')}: {ended or nothing}."


Look = Callable[[], Standing]


def look_at_ids(ledger: Ledger, ids: Sequence[str]) -> Look:
    """Jobs by their ids. Raises `NoSuchJob` when one is not there to begin with."""
    wanted = tuple(dict.fromkeys(ids))
    there = ledger.states(wanted)
    for job_id in wanted:
        if job_id not in there:
            ledger.get_job(job_id)  # Raises, with its words.

    def look() -> Standing:
        found = ledger.states(wanted)
        statuses = [job["status"] for job in found.values()]
        return Standing(
            total=len(wanted),
            completed=statuses.count("completed"),
            failed=statuses.count("failed"),
            cancelled=statuses.count("cancelled"),
            running=statuses.count("running"),
            lost=len(wanted) - len(found),
            now=_now_of(list(found.values())),
        )

    return look


def _now_of(jobs: Sequence[Row]) -> str:
    """What the only running job says of its progress."""
    running = [job for job in jobs if job["status"] == "running"]
    if len(running) != 1 or not running[0]["progress"]:
        return ""
    return f" ({clean(progress_text(running[0]['progress']))})"


def look_at_batch(ledger: Ledger, batch: str) -> Look:
    """The jobs of a batch, also those that are added to it meanwhile. Raises `NoSuchJob` when it has none.

    What waits in a broker may be of any batch: until it is out, or until nothing of the batch has moved for a minute,
    the batch is not over. One that has no job in the table yet is waited for while there is anything in the broker.
    """
    most, moved = 0, Moved()

    def look() -> Standing:
        nonlocal most
        # Before the table: what moves meanwhile is in both, not in none.
        away, in_broker = _in_broker(ledger)
        found = ledger.batches(batch)
        there = found[0] if found else {}
        most = max(most, there.get("total", 0))
        if not most and not in_broker:
            raise NoSuchJob(f"There is no job of a batch {batch!r}: look at `wpbg batches list`.")
        return Standing(
            total=most,
            completed=there.get("completed", 0),
            failed=there.get("failed", 0),
            cancelled=there.get("cancelled", 0),
            running=there.get("running", 0),
            lost=most - there.get("total", 0),
            more=(away or in_broker > 0) and (not most or moved.lately(there)),
        )

    return look


def _in_broker(ledger: Ledger) -> tuple[bool, int]:
    """Whether the broker is away, and how many jobs wait in it."""
    try:
        return False, sum(ledger.in_broker().values())
    except QueueUnreachable:
        return True, 0


class Moved:
    """Whether what is looked at has changed in the last minute."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last: object = None
        self._since = 0.0

    def lately(self, now: object) -> bool:
        if now != self._last:
            self._last, self._since = now, self._clock()
        return self._clock() - self._since < QUIET


def look_at_queue(ledger: Ledger, queue: str) -> Look:
    """What waits or runs in a queue, also what is added meanwhile. Raises `NoSuchJob` when there is no such queue."""
    names = [each["queue"] for each in ledger.queues()]
    if queue not in names:
        known = f" There are: {', '.join(map(clean, names))}." if names else ""
        raise NoSuchJob(f"There is no queue {queue!r}.{known}")
    since = ledger.now_ms()

    def look() -> Standing:
        # The unfinished ones first: what ends between the two is then counted twice, not forgotten.
        there: Row = next((each for each in ledger.queues(ledger.in_broker()) if each["queue"] == queue), {})
        waiting = sum(there.get(name, 0) for name in ("queued", "delayed", "running"))
        completed, failed, cancelled = (
            ledger.ended_since(status, since, queue) for status in (Status.COMPLETED, Status.FAILED, Status.CANCELLED)
        )
        total = waiting + completed + failed + cancelled
        return Standing(total, completed, failed, cancelled, running=there.get("running", 0))

    return look


class Display(Protocol):
    """Where the waiting shows how far it is."""

    def show(self, standing: Standing) -> None: ...

    def close(self) -> None: ...


class Lines:
    """A line per change, for a pipe or a log."""

    def __init__(self) -> None:
        self._last = ""

    def show(self, standing: Standing) -> None:
        line = standing.words()
        if line != self._last and not standing.over:
            click.echo(line)
            sys.stdout.flush()
        self._last = line

    def close(self) -> None:
        pass


class Bar:
    """A progress bar with the time left, on a terminal."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        from wpbg.cli.show import console

        self._progress = Progress(
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.description}", markup=False),
            TimeRemainingColumn(compact=True),
            console=console(),
            transient=True,
        )
        self._task = self._progress.add_task("", total=None)
        self._progress.start()

    def show(self, standing: Standing) -> None:
        words = standing.words().partition(" done")[2].lstrip(": ")
        self._progress.update(self._task, total=standing.total, completed=standing.done, description=words)

    def close(self) -> None:
        self._progress.stop()


def wait_for(look: Look, timeout: float | None) -> None:
    """Look until all is finished. Ends with exit code 1 when not all completed. Raises `WpbgError` after `timeout`."""
    standing = look()
    if not standing.over:
        display: Display = Bar() if terminal() else Lines()
        try:
            standing = _watch(look, display, standing, timeout)
        finally:
            display.close()
    click.echo(standing.summary())
    if not standing.over:
        raise WpbgError(f"Not all were finished within {timeout:g} s (--timeout).")
    if not standing.well:
        sys.exit(1)


def _watch(look: Look, display: Display, standing: Standing, timeout: float | None) -> Standing:
    deadline = None if timeout is None else time.monotonic() + timeout
    pause, lost = SOONEST, False
    while not standing.over:
        display.show(standing)
        left = None if deadline is None else deadline - time.monotonic()
        if left is not None and left <= 0:
            return standing
        time.sleep(pause if left is None else min(pause, left))
        pause = min(pause * 1.5, LATEST)
        try:
            standing = look()
            lost = False
        except QueueUnreachable as error:
            if not lost:
                click.echo(f"wpbg: {error.message} Still waiting.", err=True)
            lost = True
    return standing


TIMEOUT = click.option("--timeout", type=Span(), help="Give up after so long: 90, 15m, 2h. [default: never]")


@click.command(
    epilog="""\b
Examples:
  wpbg jobs wait 1234 1235
  wpbg jobs wait --batch import --timeout 30m
  wpbg jobs wait --queue mail && echo sent

\b
Exit codes: 0 all completed; 1 one failed, was cancelled or deleted, or the
time was up.
"""
)
@click.argument("ids", metavar="[ID]...", nargs=-1, type=JobId())
@click.option("--batch", metavar="NAME", help="All jobs of this batch.")
@click.option("--queue", metavar="NAME", help="Until nothing waits or runs in this queue.")
@TIMEOUT
@site_options
def wait(target: Target, ids: tuple[str, ...], batch: str | None, queue: str | None, timeout: float | None) -> None:
    """Wait until jobs are finished: a progress bar on a terminal, a line per change into a pipe."""
    one_way(ids, batch=batch, queue=queue)
    with ledger_of(target) as (_, ledger):
        if batch:
            look = look_at_batch(ledger, batch)
        elif queue:
            look = look_at_queue(ledger, queue)
        else:
            look = look_at_ids(ledger, ids)
        wait_for(look, timeout)
