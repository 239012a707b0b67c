"""What becomes of outcomes that cannot be recorded."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any, cast

import pytest

from wpbg.claimed import Claimed
from wpbg.control import Control
from wpbg.errors import QueueError, QueueUnreachable
from wpbg.job import Ending, Job, Lease, Outcome, Status
from wpbg.log import Log
from wpbg.queues.base import Settlement
from wpbg.recorder import Recorder
from wpbg.settle import Finish

LEASE = Lease(Job("1", "q", b"", 1), 1, 1_000_000, 0)


class Queue:
    """Answers with `error`."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def settle_all(self, settlements: Sequence[Settlement]) -> list[bool]:
        raise self.error


def one_that_ended() -> Claimed:
    claimed = Claimed()
    claimed.hold([LEASE])
    claimed.begin(lambda: None)
    claimed.end(Settlement(LEASE, Finish(Status.COMPLETED), Outcome(Ending.COMPLETED)))
    return claimed


def recorder(claimed: Claimed, control: Control) -> Recorder:
    return Recorder("w1", claimed, control, Log(stream=io.StringIO()), lambda items: None)


@pytest.mark.parametrize("flush", [Recorder.flush, Recorder.try_flush])
def test_an_error_that_ends_the_worker_leaves_no_lease_to_others_before(flush: Callable[..., None]) -> None:
    claimed = one_that_ended()
    queue = Queue(QueueError("The database refused a statement."))
    with pytest.raises(QueueError):
        flush(recorder(claimed, Control()), cast(Any, queue))
    assert claimed.leases() == [LEASE]
    assert [item.lease for item in claimed.take_unsettled()] == [LEASE], "and it may be tried again"


def test_what_is_abandoned_is_free_to_run_out() -> None:
    claimed, control = one_that_ended(), Control()
    control.abandon.set()
    recorder(claimed, control).flush(cast(Any, Queue(QueueUnreachable("It does not answer."))))
    assert claimed.leases() == []
