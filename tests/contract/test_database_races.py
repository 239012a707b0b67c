"""What happens between looking at a row and changing it: the change is made only if the row still is as it looked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.contract.bench import BROKEN, DONE, FINE, LEASE, LOST, DatabaseBench, put_one, take
from wpbg.job import Ending, Outcome
from wpbg.ledger import WrongState
from wpbg.queues.connection import Database
from wpbg.settle import Release, Retry

Meanwhile = Callable[[Database, str, Callable[[], object]], None]


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Meanwhile:
    """Let somebody do something right after a connection has looked something up, once."""

    def arrange(database: Database, query: str, act: Callable[[], object]) -> None:
        rows, left = database.rows, [act]

        def look(name: str, /, **params: Any) -> list[dict[str, Any]]:
            found = rows(name, **params)
            if name == query and found and left:
                left.pop()()
            return found

        monkeypatch.setattr(database, "rows", look)

    return arrange


class TestClaiming:
    """By compare and swap; with row locks, nobody gets in between."""

    def test_a_job_that_was_cancelled_meanwhile_is_not_claimed(
        self, either: DatabaseBench, meanwhile: Meanwhile
    ) -> None:
        queue = either.queue(skip_lock=True)
        job_id = put_one(queue)
        meanwhile(queue.database, "claim_candidates", lambda: either.cancel(job_id))
        assert queue.reserve(1, "w1") == []
        assert either.job(job_id)["status"] == "cancelled"

    def test_a_job_that_was_claimed_and_released_meanwhile_is_not_lost(
        self, either: DatabaseBench, meanwhile: Meanwhile
    ) -> None:
        queue, other = either.queue(skip_lock=True), either.queue()
        put_one(queue)

        def claim_and_release() -> None:
            other.settle(take(other, "other"), Release(), Outcome(Ending.INTERRUPTED))

        meanwhile(queue.database, "claim_candidates", claim_and_release)
        lease = take(queue, "w1")
        assert queue.settle(lease, DONE, FINE)

    def test_a_worker_that_lost_the_first_one_gets_another(self, either: DatabaseBench, meanwhile: Meanwhile) -> None:
        queue, other = either.queue(skip_lock=True), either.queue()
        for _ in range(3):
            put_one(queue)
        taken = []
        meanwhile(queue.database, "claim_candidates", lambda: taken.append(take(other, "other")))
        lease = take(queue, "w1")
        assert lease.job.id not in [each.job.id for each in taken]


class TestRescuing:
    def test_a_lease_renewed_meanwhile_is_left_alone(self, either: DatabaseBench, meanwhile: Meanwhile) -> None:
        living, keeper = either.queue(), either.queue()
        put_one(living)
        lease = take(living)
        either.clock.advance(LEASE)
        meanwhile(keeper.database, "expired", lambda: living.renew([lease]))
        assert keeper.tick().rescued == ()
        assert living.settle(lease, DONE, FINE)

    def test_so_is_one_that_another_has_by_then(self, either: DatabaseBench, meanwhile: Meanwhile) -> None:
        queue, keeper = either.queue(), either.queue()
        job_id = put_one(queue)
        take(queue, "dead")
        either.clock.advance(LEASE)
        newer = []

        def rescue_and_claim() -> None:
            queue.tick()
            newer.append(take(queue, "other"))
            # Ended already as well: only the token tells the two leases apart.
            either.site.query(f"UPDATE {either.site.jobs} SET due_at = 1 WHERE id = %s", (int(job_id),))

        meanwhile(keeper.database, "expired", rescue_and_claim)
        assert keeper.tick().rescued == ()
        assert queue.settle(newer[0], DONE, FINE)

    def test_one_that_is_to_be_cancelled_by_then_does_not_come_back(
        self, either: DatabaseBench, meanwhile: Meanwhile
    ) -> None:
        queue, keeper = either.queue(), either.queue()
        job_id = put_one(queue)
        take(queue, "dead")
        either.clock.advance(LEASE)
        meanwhile(keeper.database, "expired", lambda: either.cancel(job_id))
        keeper.tick()
        keeper.tick()
        assert either.job(job_id)["status"] == "cancelled"


def test_a_job_that_is_delayed_anew_meanwhile_is_not_promoted(either: DatabaseBench, meanwhile: Meanwhile) -> None:
    queue, keeper = either.queue(), either.queue()
    job_id = put_one(queue, delay_ms=1000)
    either.clock.advance(1000)

    def promote_and_fail() -> None:
        queue.tick()
        queue.settle(take(queue), Retry(5000), BROKEN)

    meanwhile(keeper.database, "due_delayed", promote_and_fail)
    assert keeper.tick().promoted == 0
    assert either.job(job_id)["status"] == "delayed"


def test_a_job_that_failed_anew_meanwhile_is_not_pruned(either: DatabaseBench, meanwhile: Meanwhile) -> None:
    queue, keeper = either.queue(), either.queue(retention_ms=1000)
    job_id = put_one(queue)
    queue.settle(take(queue), LOST, BROKEN)
    either.clock.advance(1000)

    def retry_and_fail() -> None:
        either.ledger.retry(job_id)
        queue.settle(take(queue), LOST, BROKEN)

    meanwhile(keeper.database, "finished_before", retry_and_fail)
    assert keeper.tick().pruned == 0
    assert either.job(job_id)["status"] == "failed"


def test_a_job_that_began_meanwhile_is_not_deleted(either: DatabaseBench, meanwhile: Meanwhile) -> None:
    queue = either.queue()
    job_id = put_one(queue)
    meanwhile(either.ledger.database, "job_state", lambda: take(queue))
    with pytest.raises(WrongState, match="is running"):
        either.ledger.delete(job_id)
    assert either.job(job_id)["status"] == "running"


def test_a_job_that_somebody_else_retries_meanwhile_is_not_retried_twice(
    either: DatabaseBench, meanwhile: Meanwhile
) -> None:
    queue = either.queue()
    job_id = put_one(queue)
    queue.settle(take(queue), LOST, BROKEN)

    def retry_and_run() -> None:
        either.ledger.retry(job_id)
        queue.settle(take(queue), DONE, FINE)

    meanwhile(either.ledger.database, "job_state", retry_and_run)
    with pytest.raises(WrongState, match="is completed"):
        either.ledger.retry(job_id)
    assert either.job(job_id)["status"] == "completed"
