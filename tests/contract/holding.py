"""The contract of leases that are held behind a running one, and of settling many at once."""

from __future__ import annotations

import json

from tests.contract.bench import BROKEN, DONE, FINE, LEASE, LOST, Bench, job, need, take
from wpbg.job import Ending, Outcome
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

    def test_many_that_ended_well_are_settled_in_one_go(self, bench: Bench) -> None:
        queue = bench.queue()
        queue.put([job() for _ in range(70)])
        leases = queue.reserve(70, "w1")
        results = [None, '"ü🦄 \'\\\\%s%%:id"', "[]", "7", f'"{"x" * 20_000}"']
        said = [Outcome(Ending.COMPLETED, results[number % 5], runtime_ms=number) for number in range(70)]
        many = [Settlement(lease, DONE, outcome) for lease, outcome in zip(leases, said, strict=True)]
        bench.clock.advance(500)
        assert queue.settle_all(many) == [True] * 70
        shown = [bench.job(lease.job.id) for lease in leases]
        assert {row["status"] for row in shown} == {"completed"}
        assert [row["result"] for row in shown] == [json.loads(outcome.result or "null") for outcome in said]
        assert [row["runtime_ms"] for row in shown] == list(range(70))
        assert all(row["started_at"] and row["finished_at"] and row["error"] is None for row in shown)
        assert queue.settle_all(many) == [False] * 70, "said again"

    def test_one_that_was_lost_among_many_that_ended_well(self, bench: Bench) -> None:
        queue = bench.queue()
        queue.put([job() for _ in range(6)])
        leases = queue.reserve(6, "w1")
        bench.delete(leases[1].job.id)
        assert queue.settle(leases[4], Release(), FINE)
        other = take(bench.queue(), "w2")
        assert other.job.id == leases[4].job.id
        quiet = Outcome(Ending.COMPLETED, "1")
        answers = queue.settle_all([Settlement(lease, DONE, quiet) for lease in leases])
        assert answers == [True, False, True, True, False, True]
        assert [bench.job(leases[number].job.id)["result"] for number in (0, 2, 3, 5)] == [1, 1, 1, 1]
        assert bench.job(other.job.id)["status"] == "running", "another worker has it"

    def test_the_same_settlements_said_again_are_lost(self, bench: Bench) -> None:
        queue = bench.queue()
        queue.put([job(), job()])
        both = [Settlement(lease, DONE, FINE) for lease in queue.reserve(2, "w1")]
        assert queue.settle_all(both) == [True, True]
        assert queue.settle_all(both) == [False, False]
