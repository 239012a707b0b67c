"""The port: what a worker may ask of a queue, and what the answers promise.

One `Queue` object is one connection, used by one thread. Everything that goes wrong with the
server is a `QueueUnreachable`; the caller waits and asks again, on the same object, which connects
anew by itself. Times are milliseconds since 1970 in the *queue's* clock (the database server's,
where there is one), so that a worker whose own clock is wrong judges no lease.

State changes::

    put ──► queued ──reserve──► running ──settle(Finish)──► completed | failed | cancelled
    put ──► delayed ──tick──► queued      ├─settle(Retry)──► delayed (queued when delay is 0)
                                          ├─settle(Release)─► queued, attempt given back
                                          └─lease ran out, tick─► queued, or failed after the last attempt
"""

from __future__ import annotations

import enum
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from wpbg.job import Lease, NewJob, Outcome, Progress
from wpbg.settle import Decision


def heartbeat(lease: float) -> float:
    """Seconds between two renewals of a lease of so many seconds."""
    return min(lease / 3, 5.0)


class Capability(str, enum.Enum):
    """What not every queue can do. A test that needs one is skipped where it is missing."""

    DELAY = "delay"
    PRIORITY_NUMBERS = "priority_numbers"
    UNIQUE = "unique"
    RENEW = "renew"
    CANCEL = "cancel"
    PAUSE = "pause"
    ONE_ORDER = "one_order"
    """Whatever is ready comes in one order, whichever way it came in: put, retried, given back, delayed and due."""
    SHOWN_WAITING = "shown_waiting"
    """What is known of a job is shown while it waits, not only once a worker has it."""


@dataclass(frozen=True)
class Renewal:
    """What came of a heartbeat: leases that are no longer ours, ones somebody wants cancelled, and ones that somebody
    held, which last no longer than before: they are to be renewed again soon."""

    lost: frozenset[Lease] = frozenset()
    cancel: frozenset[Lease] = frozenset()
    again: frozenset[Lease] = frozenset()


@dataclass(frozen=True)
class Settlement:
    """What is to be recorded of one lease. `ended` is when its run did, in `time.monotonic`; `tried`: it may have been
    recorded already, on a connection that was lost before the answer came."""

    lease: Lease
    decision: Decision
    outcome: Outcome
    ended: float = field(default_factory=time.monotonic, compare=False)
    tried: bool = field(default=False, compare=False)


@dataclass(frozen=True)
class Loss:
    """A job that ended because its worker was lost."""

    queue: str
    batch: str | None
    failed: bool


@dataclass(frozen=True)
class Ticked:
    """What one round of housekeeping did: rows promoted from `delayed`, rescued, given up (`losses`: them), pruned."""

    promoted: int = 0
    rescued: tuple[str, ...] = ()
    given_up: tuple[str, ...] = ()
    pruned: int = 0
    losses: tuple[Loss, ...] = ()


class Queue(Protocol):
    """One connection to one queue server, for the queues named at its making, in that precedence."""

    capabilities: frozenset[Capability]

    def put(self, jobs: Iterable[NewJob]) -> list[str]:
        """Store the jobs and return the ids that people know them by, in order; all or none.

        A lease may know its job by another: one that came through a broker has a number from then on.

        With `unique`, while an unfinished job of the same key and queue exists, nothing is stored
        and that job's id is returned in its place.
        """

    def reserve(self, limit: int, worker: str) -> list[Lease]:
        """Lease up to `limit` ready jobs to `worker` and count an attempt for each. Never waits.

        The first is taken to begin now, the others are held until `began` or `settle` is said of
        them: a held job whose worker is lost goes back with its attempt not counted.

        Order: queues in their precedence, then priority (lower first), then age; see `Capability`
        for where not. Jobs of paused queues are left alone. No job is ever leased twice at one time.
        """

    def renew(self, leases: Sequence[Lease]) -> Renewal:
        """Push the end of each lease one lease length away from now.

        Leases that are lost come back in `lost` (the same objects: `lease in renewal.lost`; a token
        alone names no lease, each job counts its own). A lost lease is one whose job was settled,
        rescued or deleted by another. A lease in `cancel` was renewed and is still ours to settle.
        """

    def began(self, lease: Lease) -> None:
        """A held job runs by now. Ignored when the lease is lost."""

    def settle(self, lease: Lease, decision: Decision, outcome: Outcome) -> bool:
        """Record the outcome and apply the decision, in one step. False: the lease was lost, nothing changed.

        `Retry` and `Finish` keep what the run printed and why it failed; an attempt that did not
        end the job well (the last one too) is added to the job's history. `Release` restores the
        attempt count. A job whose cancelling was asked for while it ran does not go back to the
        queue: `Retry` and `Release` then end it as cancelled.
        """

    def settle_all(self, settlements: Sequence[Settlement]) -> list[bool]:
        """`settle` for each, in one go where the server can; the answers in the same order.

        When it raises, all or none may have been recorded: say the same ones again.
        """

    def progress(self, lease: Lease, progress: Progress) -> None:
        """Show how far a running job is. Ignored when the lease is lost."""

    def tick(self, limit: int = 500) -> Ticked:
        """One bounded round of housekeeping, safe to run from every worker at once.

        Promotes due delayed jobs, gives back (or fails) jobs whose lease ran out, prunes finished
        jobs past their retention; of every queue, not only this object's. At most `limit` rows of
        each kind. After an outage the living must get their heartbeat in first: leases are not
        judged within one lease length of a reconnect, of the server's start, or of a jump of the
        clock (a suspended laptop), or of a stall: half a lease since the last round, or since this
        object was made. Otherwise a first connection to a server that has been up for longer judges
        at once.
        """

    def busy(self) -> bool:
        """Whether any job of these queues is ready or running (delayed ones do not count; paused ones neither)."""

    def incoming(self) -> bool:
        """Whether jobs may be on their way in that are not in the site's tables yet: in a broker, or in one that does
        not answer."""

    def close(self) -> None:
        """Let go of the connection. Leases stay as they are."""
