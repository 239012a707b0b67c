"""Somebody else is quicker: between what a worker or an operator saw and the change that follows, another one acts.

Each of these is one order of statements on two connections that few runs of a race would ever take.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from tests.contract.bench import BROKEN, DONE, FINE, LEASE, LOST, DatabaseBench, put_one, take
from wpbg.job import Lease
from wpbg.ledger import Ledger, WrongState
from wpbg.queues.connection import Database
from wpbg.queues.database import DatabaseQueue
from wpbg.settle import Release, Retry

RETENTION = 3 * LEASE


@pytest.fixture
def quicker(monkeypatch: pytest.MonkeyPatch) -> Callable[[Database, str, Callable[[], object]], list[str]]:
    """`quicker( connection, statement, act )`: `act` comes before that statement is sent, the first time. What is
    returned is not empty once it has."""

    def arrange(database: Database, statement: str, act: Callable[[], object]) -> list[str]:
        change, acted = database.change, list[str]()

        def interrupted(name: str, /, **params: Any) -> int:
            if name == statement and not acted:
                acted.append(name)
                act()
            return change(name, **params)

        monkeypatch.setattr(database, "change", interrupted)
        return acted

    return arrange


Quicker = Callable[[Database, str, Callable[[], object]], list[str]]


@pytest.fixture
def quicker_than_rescue(monkeypatch: pytest.MonkeyPatch) -> Callable[[DatabaseQueue, Callable[[], object]], list[str]]:
    """The same between what a round of housekeeping saw and the transaction in which it takes a job back."""

    def arrange(queue: DatabaseQueue, act: Callable[[], object]) -> list[str]:
        keeper, acted = queue._housekeeper, list[str]()
        change = keeper._change_unlocked

        def interrupted(name: str, params: dict[str, Any]) -> int:
            if not acted:
                acted.append(name)
                act()
            return change(name, params)

        monkeypatch.setattr(keeper, "_change_unlocked", interrupted)
        return acted

    return arrange


QuickerThanRescue = Callable[[DatabaseQueue, Callable[[], object]], list[str]]


def row(at: DatabaseBench, lease: Lease) -> dict[str, Any]:
    return at.site.job(lease.job.id)


def two_workers(at: DatabaseBench) -> tuple[DatabaseQueue, DatabaseQueue]:
    """That have been connected for so long that they judge leases."""
    workers = at.table(), at.table()
    at.clock.advance(LEASE)
    return workers


def abandoned(at: DatabaseBench, **columns: Any) -> Lease:
    """A job whose lease has just run out."""
    put_one(at.queue(), max_attempts=3, **columns)
    lease = take(at.queue())
    at.clock.advance(LEASE)
    return lease


def test_a_lease_that_is_renewed_after_it_was_seen_to_have_run_out_is_not_taken_away(
    either: DatabaseBench, quicker_than_rescue: QuickerThanRescue
) -> None:
    worker, other = two_workers(either)
    lease = abandoned(either)
    acted = quicker_than_rescue(other, lambda: worker.renew([lease]))
    assert other.tick().rescued == ()
    assert acted
    assert (row(either, lease)["status"], row(either, lease)["lease_token"]) == ("running", lease.token)
    assert worker.settle(lease, DONE, FINE)


def test_nor_one_that_ended_and_was_leased_anew(either: DatabaseBench, quicker_than_rescue: QuickerThanRescue) -> None:
    worker, other = two_workers(either)
    lease = abandoned(either)
    new: list[Lease] = []

    def ended() -> None:
        assert worker.settle(lease, Retry(0), BROKEN)
        new.append(take(worker, "w2"))
        either.site.query(f"UPDATE {either.site.jobs} SET due_at = due_at - {2 * LEASE}")  # It has run out as well.

    acted = quicker_than_rescue(other, ended)
    assert other.tick().rescued == ()
    assert acted
    assert (row(either, lease)["status"], row(either, lease)["lease_token"]) == ("running", new[0].token)


def held_one(at: DatabaseBench) -> Lease:
    """A job that was claimed behind another one and has not begun; its lease has just run out."""
    queue = at.queue()
    for _ in range(2):
        put_one(queue, max_attempts=3)
    first, held = queue.reserve(2, "w1")
    assert queue.settle(first, DONE, FINE)
    at.clock.advance(LEASE)
    return held


def test_a_job_that_begins_after_it_was_seen_as_held_keeps_its_attempt(
    either: DatabaseBench, quicker_than_rescue: QuickerThanRescue
) -> None:
    worker, other = two_workers(either)
    held = held_one(either)
    acted = quicker_than_rescue(other, lambda: worker.began(held))
    assert other.tick().rescued == ()
    assert acted
    assert (row(either, held)["status"], row(either, held)["attempts"]) == ("running", 1)
    assert other.tick().rescued == (held.job.id,), "as one that was lost in the middle"
    assert row(either, held)["attempts"] == 1


def test_nor_is_a_held_job_taken_away_whose_lease_is_renewed(
    either: DatabaseBench, quicker_than_rescue: QuickerThanRescue
) -> None:
    worker, other = two_workers(either)
    held = held_one(either)
    acted = quicker_than_rescue(other, lambda: worker.renew([held]))
    assert other.tick().rescued == ()
    assert acted
    assert (row(either, held)["status"], row(either, held)["attempts"]) == ("running", 1)


@pytest.mark.parametrize("many", [False, True])
def test_who_has_lost_a_job_does_not_renew_the_lease_of_who_has_it_now(either: DatabaseBench, many: bool) -> None:
    worker, other = two_workers(either)
    lost = abandoned(either)
    others = [take(worker) for _ in range(2) if put_one(worker)] if many else []
    assert other.tick().rescued == (lost.job.id,)
    now = take(other, "w2")
    assert (now.job.id, now.token) == (lost.job.id, lost.token + 1)
    until = row(either, now)["due_at"]
    either.clock.advance(LEASE // 2)
    assert worker.renew([lost, *others]).lost == {lost}
    assert row(either, now)["due_at"] == until, "its own worker may be dead: it has to run out in time"
    assert other.renew([now]).lost == frozenset()


@pytest.mark.parametrize("decision", [DONE, LOST, Retry(0), Release()], ids=lambda each: type(each).__name__)
def test_who_has_lost_a_job_says_nothing_of_how_it_ends(either: DatabaseBench, decision: Any) -> None:
    worker, other = two_workers(either)
    lost = abandoned(either)
    assert other.tick().rescued == (lost.job.id,)
    now = take(other, "w2")
    before = row(either, now)
    assert not worker.settle(lost, decision, BROKEN)
    worker.began(lost)
    assert row(either, now) == before


def test_a_candidate_that_another_worker_was_given_is_not_given_again(either: DatabaseBench, quicker: Quicker) -> None:
    job_id = put_one(either.queue())
    worker, other = either.table(skip_lock=True), either.table(skip_lock=True)
    new: list[Lease] = []
    acted = quicker(worker.database, "claim_guarded", lambda: new.append(take(other, "w2")))
    assert worker.reserve(1, "w1") == []
    assert acted
    assert (new[0].job.id, row(either, new[0])["worker"], row(either, new[0])["attempts"]) == (job_id, "w2", 1)


def test_nor_one_that_was_given_back_meanwhile(either: DatabaseBench, quicker: Quicker) -> None:
    """It is queued as it was, and yet another lease: the token tells."""
    put_one(either.queue())
    worker, other = either.table(skip_lock=True), either.table(skip_lock=True)
    new: list[Lease] = []

    def given_back() -> None:
        new.append(take(other, "w2"))
        assert other.settle(new[0], Release(), BROKEN)

    acted = quicker(worker.database, "claim_guarded", given_back)
    leases = worker.reserve(1, "w1")
    assert acted
    assert [lease.token for lease in leases] in ([], [new[0].token + 1])


def test_an_old_job_that_is_retried_is_not_pruned(either: DatabaseBench, quicker: Quicker) -> None:
    worker = either.table(retention_ms=RETENTION)
    put_one(worker, max_attempts=1)
    lease = take(worker)
    assert worker.settle(lease, LOST, BROKEN)
    either.clock.advance(RETENTION)
    acted = quicker(worker.database, "prune", lambda: either.ledger.retry(lease.job.id))
    assert worker.tick().pruned == 0
    assert acted
    assert row(either, lease)["status"] == "queued"


def test_a_delayed_job_that_is_cancelled_when_it_is_due_never_runs(either: DatabaseBench, quicker: Quicker) -> None:
    worker = either.table()
    job_id = put_one(worker, delay_ms=10)
    either.clock.advance(10)
    acted = quicker(worker.database, "promote", lambda: either.cancel(job_id))
    assert worker.tick().promoted == 0
    assert acted
    assert worker.reserve(1, "w1") == []
    assert either.job(job_id)["status"] == "cancelled"


def test_a_job_that_begins_while_somebody_cancels_it_is_asked_to_stop(either: DatabaseBench, quicker: Quicker) -> None:
    worker = either.table()
    job_id = put_one(worker)
    new: list[Lease] = []
    acted = quicker(either.ledger.database, "cancel_waiting", lambda: new.append(take(worker)))
    assert either.ledger.cancel(job_id).value == "running"
    assert acted
    assert worker.renew(new).cancel == {new[0]}


def test_a_job_that_somebody_else_retried_is_not_retried_while_it_runs(either: DatabaseBench, quicker: Quicker) -> None:
    worker = either.table()
    put_one(worker, max_attempts=1)
    lease = take(worker)
    assert worker.settle(lease, LOST, BROKEN)

    def first() -> None:
        with closing(Ledger(either.settings, clock=either.clock)) as ledger:
            ledger.retry(lease.job.id)
        take(worker)

    acted = quicker(either.ledger.database, "retry_job", first)
    with pytest.raises(WrongState):
        either.ledger.retry(lease.job.id)
    assert acted
    assert (row(either, lease)["status"], row(either, lease)["attempts"]) == ("running", 1)
