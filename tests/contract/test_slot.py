"""A slot on a real queue: what it does with leases, where timing decides."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.contract.bench import FINE, DatabaseBench, job, settings_of
from wpbg.control import Control
from wpbg.job import Job, Outcome
from wpbg.log import Log
from wpbg.queues.base import Settlement
from wpbg.queues.database import DatabaseQueue
from wpbg.runners.base import Listener, Stop
from wpbg.worker import Slot


class Notes:
    """A runner that notes what it is given, and says that it is done."""

    window = 8

    def __init__(self) -> None:
        self.ran: list[str] = []

    def arm(self) -> None: ...

    def run(self, job: Job, listener: Listener) -> Outcome:
        self.ran.append(job.id)
        return FINE

    def stop(self, reason: Stop) -> None: ...

    def warm(self) -> None: ...

    def recycle(self) -> None: ...

    def close(self) -> None: ...


class OneRound(DatabaseQueue):
    """The worker stops once something was settled."""

    control: Control
    slot: Slot | None = None

    def settle_all(self, settlements: Sequence[Settlement]) -> list[bool]:
        self.control.stop()
        if self.slot is not None:
            self.settled = [item.lease for item in settlements]
            self.kept = self.slot.leases()
        return super().settle_all(settlements)


@pytest.mark.parametrize(("lease_ms", "runs"), [(60_000, True), (0, False)])
def test_a_lease_that_may_have_run_out_before_it_was_heard_of_is_not_run(
    either: DatabaseBench, lease_ms: int, runs: bool
) -> None:
    """The answer to a claim that is held up on its way for longer than the lease; here, the lease is short."""
    queue = OneRound(settings_of(either.site), ["default"], lease_ms=lease_ms)
    queue.control = Control()
    notes = Notes()
    (job_id,) = queue.put([job()])
    slot = Slot("w1", queue, notes, queue.control, Log(write=lambda line: None))
    slot.work()
    shown = either.job(job_id)
    assert notes.ran == ([job_id] if runs else [])
    assert (shown["status"], shown["attempts"]) == (("completed", 1) if runs else ("queued", 0))
    assert slot.leases() == []
    slot.close()


def test_a_lease_lasts_until_its_outcome_is_recorded(either: DatabaseBench) -> None:
    """However long the server takes: else the job would be run again by whoever finds that nobody renewed it."""
    queue = OneRound(settings_of(either.site), ["default"], lease_ms=60_000)
    queue.control = Control()
    queue.put([job()])
    queue.slot = slot = Slot("w1", queue, Notes(), queue.control, Log(write=lambda line: None))
    slot.work()
    assert len(queue.settled) == 1
    assert queue.kept == queue.settled
    assert slot.leases() == []
    slot.close()
