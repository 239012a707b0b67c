"""The contract of leases: `renew`, and that nobody changes what is no longer his."""

from __future__ import annotations

import pytest

from tests.contract.bench import BROKEN, DONE, FINE, LEASE, LOST, Bench, job, need, put_one, take
from wpbg.job import Ending, Outcome, Progress
from wpbg.queues.base import Capability
from wpbg.settle import Decision, Release, Retry

DECISIONS = {"completed": DONE, "failed": LOST, "retry": Retry(1000), "retry at once": Retry(0), "release": Release()}


class Leasing:
    def test_a_heartbeat_pushes_the_end_of_the_lease(self, bench: Bench) -> None:
        need(bench, Capability.RENEW)
        queue = bench.queue()
        put_one(queue)
        lease = take(queue)
        for _ in range(3):
            bench.clock.advance(LEASE - 1)
            renewal = queue.renew([lease])
            assert (renewal.lost, renewal.cancel) == (frozenset(), frozenset())
            assert queue.tick().rescued == ()
        assert queue.settle(lease, DONE, FINE)

    def test_a_late_heartbeat_keeps_a_job_that_nobody_rescued(self, bench: Bench) -> None:
        need(bench, Capability.RENEW)
        queue = bench.queue()
        put_one(queue)
        lease = take(queue)
        bench.clock.advance(2 * LEASE)
        assert queue.renew([lease]).lost == frozenset()
        assert queue.tick().rescued == ()

    def test_no_leases_need_no_heartbeat(self, bench: Bench) -> None:
        renewal = bench.queue().renew([])
        assert (renewal.lost, renewal.cancel) == (frozenset(), frozenset())

    def test_lost_leases_are_told_from_those_that_are_held(self, bench: Bench) -> None:
        need(bench, Capability.RENEW)
        queue = bench.queue()
        queue.put([job(), job(), job(), job()])
        settled, deleted, held, rescued = queue.reserve(4, "w1")
        queue.settle(settled, DONE, FINE)
        bench.delete(deleted.job.id)
        bench.clock.advance(LEASE // 2)
        queue.renew([held])
        bench.clock.advance(LEASE // 2)
        assert queue.tick().rescued == (rescued.job.id,)
        assert queue.renew([settled, deleted, held, rescued]).lost == {settled, deleted, rescued}

    def test_an_older_lease_of_the_same_job_is_lost_and_the_newer_is_not(self, bench: Bench) -> None:
        need(bench, Capability.RENEW)
        queue = bench.queue()
        put_one(queue)
        older = take(queue)
        bench.clock.advance(LEASE)
        queue.tick()
        newer = take(queue)
        assert queue.renew([older, newer]).lost == {older}

    def test_a_late_heartbeat_does_not_push_the_end_of_another_workers_lease(self, bench: Bench) -> None:
        need(bench, Capability.RENEW)
        queue = bench.queue()
        job_id = put_one(queue)
        late = take(queue, "late")
        bench.clock.advance(LEASE)
        queue.tick()
        take(queue, "dead as well")
        bench.clock.advance(LEASE - 1)
        assert queue.renew([late]).lost == {late}
        bench.clock.advance(1)
        assert queue.tick().rescued == (bench.known(job_id),)

    def test_a_heartbeat_says_what_somebody_wants_cancelled(self, bench: Bench) -> None:
        need(bench, Capability.RENEW, Capability.CANCEL)
        queue = bench.queue()
        queue.put([job(), job()])
        one, two = queue.reserve(2, "w1")
        bench.cancel(two.job.id)
        renewal = queue.renew([one, two])
        assert (renewal.lost, renewal.cancel) == (frozenset(), {two})
        bench.clock.advance(LEASE - 1)
        assert queue.tick().rescued == (), "it was renewed all the same"

    @pytest.mark.parametrize("decision", DECISIONS.values(), ids=DECISIONS)
    def test_a_worker_that_comes_back_late_changes_nothing(self, bench: Bench, decision: Decision) -> None:
        late, other = bench.queue(), bench.queue()
        job_id = put_one(late)
        lost = take(late, "late")
        bench.clock.advance(LEASE)
        assert other.tick().rescued == (bench.known(job_id),)
        held = take(other, "other")
        other.progress(held, Progress(1, 2, "half"))
        before, history = bench.job(job_id), bench.log(job_id)

        late.progress(lost, Progress(9, 9, "late"))
        assert not late.settle(lost, decision, BROKEN)
        assert (bench.job(job_id), bench.log(job_id)) == (before, history)

        assert other.settle(held, DONE, FINE)
        shown = bench.job(job_id)
        assert (shown["status"], shown["worker"], shown["attempts"]) == ("completed", "other", 2)

    @pytest.mark.parametrize("decision", DECISIONS.values(), ids=DECISIONS)
    def test_a_job_is_settled_once(self, bench: Bench, decision: Decision) -> None:
        queue = bench.queue()
        job_id = put_one(queue)
        lease = take(queue)
        assert queue.settle(lease, DONE, FINE)
        before, history = bench.job(job_id), bench.log(job_id)
        assert not queue.settle(lease, decision, BROKEN)
        queue.progress(lease, Progress(1))
        assert (bench.job(job_id), bench.log(job_id)) == (before, history)

    @pytest.mark.parametrize("decision", [Retry(0), Release()])
    def test_not_even_when_the_other_run_is_to_be_cancelled(self, bench: Bench, decision: Decision) -> None:
        need(bench, Capability.CANCEL)
        queue = bench.queue()
        job_id = put_one(queue)
        late = take(queue, "late")
        bench.clock.advance(LEASE)
        queue.tick()
        held = take(queue, "other")
        bench.cancel(job_id)
        assert not queue.settle(late, decision, BROKEN)
        assert queue.renew([held]).cancel == {held}

    def test_a_deleted_job_stays_deleted(self, bench: Bench) -> None:
        queue = bench.queue()
        job_id = put_one(queue)
        lease = take(queue)
        bench.delete(job_id)
        queue.progress(lease, Progress(1))
        assert not queue.settle(lease, Retry(0), Outcome(Ending.FAILED))
        assert queue.reserve(1, "w1") == []

    def test_progress_is_shown_while_it_runs(self, bench: Bench) -> None:
        queue = bench.queue()
        job_id = put_one(queue)
        lease = take(queue)
        assert bench.job(job_id)["progress"] is None
        queue.progress(lease, Progress(3, 10, "drei 🐎"))
        assert bench.job(job_id)["progress"] == {"done": 3, "total": 10, "message": "drei 🐎"}
        queue.progress(lease, Progress(4))
        assert bench.job(job_id)["progress"] == {"done": 4, "total": None, "message": ""}

    def test_closing_leaves_leases_as_they_are(self, bench: Bench) -> None:
        queue, other = bench.queue(), bench.queue()
        job_id = put_one(queue)
        lease = take(queue)
        queue.close()
        assert other.reserve(1, "w2") == []
        assert other.tick().rescued == ()
        assert other.settle(lease, DONE, FINE), "a lease is a token, not a connection"
        assert bench.job(job_id)["status"] == "completed"
