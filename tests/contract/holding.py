"""The contract of leases that are held behind a running one, and of settling many at once."""

from __future__ import annotations

from tests.contract.bench import BROKEN, DONE, FINE, LEASE, LOST, Bench, job, need
from wpbg.queues.base import Capability, Settlement
from wpbg.settle import Release, Retry


class Holding:
    def test_a_held_job_whose_worker_is_lost_goes_back_uncounted(self, bench: Bench) -> None:
        need(bench, Capability.RENEW)
        queue = bench.queue()
        begun, held = queue.put([job(max_attempts=1), job(max_attempts=1)])
        queue.reserve(2, "w1")
        bench.clock.advance(LEASE)
        ticked = queue.tick()
        assert (ticked.given_up, ticked.rescued) == ((bench.known(begun),), (bench.known(held),))
        assert [(lease.job.id, lease.job.attempt) for lease in queue.reserve(2, "w2")] == [(bench.known(held), 1)]

    def test_a_held_job_that_has_begun_counts(self, bench: Bench) -> None:
        need(bench, Capability.RENEW)
        queue = bench.queue()
        queue.put([job(), job()])
        _, held = queue.reserve(2, "w1")
        queue.began(held)
        bench.clock.advance(LEASE)
        queue.tick()
        assert {lease.job.id: lease.job.attempt for lease in queue.reserve(2, "w2")}[held.job.id] == 2

    def test_a_late_word_of_beginning_changes_nothing(self, bench: Bench) -> None:
        need(bench, Capability.RENEW)
        queue = bench.queue()
        queue.put([job(), job()])
        _, held = queue.reserve(2, "w1")
        bench.clock.advance(LEASE)
        queue.tick()
        (_, again) = queue.reserve(2, "w2")
        before = bench.job(again.job.id)
        queue.began(held)
        assert bench.job(again.job.id) == before

    def test_many_settlements_are_as_good_as_one_after_the_other(self, bench: Bench) -> None:
        queue = bench.queue()
        queue.put([job() for _ in range(5)])
        done, failed, again, back, lost = queue.reserve(5, "w1")
        bench.delete(lost.job.id)
        answers = queue.settle_all(
            [
                Settlement(lost, DONE, FINE),
                Settlement(back, Release(), FINE),
                Settlement(done, DONE, FINE),
                Settlement(again, Retry(60_000), BROKEN),
                Settlement(failed, LOST, BROKEN),
            ]
        )
        assert answers == [False, True, True, True, True]
        states = [bench.job(lease.job.id)["status"] for lease in (done, failed, again, back)]
        assert states == ["completed", "failed", "delayed", "queued"]

    def test_the_same_settlements_said_again_are_lost(self, bench: Bench) -> None:
        queue = bench.queue()
        queue.put([job(), job()])
        both = [Settlement(lease, DONE, FINE) for lease in queue.reserve(2, "w1")]
        assert queue.settle_all(both) == [True, True]
        assert queue.settle_all(both) == [False, False]
