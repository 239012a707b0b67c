"""The contract of `tick` and `busy`, and of what happens when the server goes away."""

from __future__ import annotations

from functools import partial

import pytest

from tests.contract.bench import BROKEN, DAY, DONE, FINE, LEASE, LOST, Bench, at_once, job, need, put_one, take
from wpbg.errors import QueueUnreachable
from wpbg.job import Ending, Outcome, Progress
from wpbg.queues.base import Capability
from wpbg.settle import Release, Retry


class Rescuing:
    def test_a_job_of_a_lost_worker_comes_back_when_its_lease_ends(self, bench: Bench) -> None:
        dead, alive = bench.queue(), bench.queue()
        job_id = put_one(dead)
        take(dead, "dead")
        bench.clock.advance(LEASE - 1)
        assert alive.tick().rescued == ()
        assert alive.reserve(1, "alive") == []
        bench.clock.advance(1)
        ticked = alive.tick()
        assert (ticked.rescued, ticked.given_up) == ((bench.known(job_id),), ())
        lease = take(alive, "alive")
        assert lease.job.attempt == 2, "the lost run counts"
        alive.settle(lease, DONE, FINE)
        first, second = bench.log(job_id)
        assert (first["worker"], first["ending"], first["error"]["class"]) == ("dead", "worker_lost", "WorkerLost")
        assert (second["worker"], second["ending"]) == ("alive", "completed")

    def test_after_the_last_attempt_it_has_failed(self, bench: Bench) -> None:
        queue = bench.queue()
        job_id = put_one(queue, max_attempts=2, unique="k")
        for _ in range(2):
            take(queue, "dead")
            bench.clock.advance(LEASE)
            ticked = queue.tick()
        assert (ticked.rescued, ticked.given_up) == ((), (bench.known(job_id),))
        shown = bench.job(job_id)
        assert (shown["status"], shown["attempts"], shown["error"]["class"]) == ("failed", 2, "WorkerLost")
        assert "dead" in shown["error"]["message"]
        assert shown["finished_at"] is not None
        assert [attempt["ending"] for attempt in bench.log(job_id)] == ["worker_lost", "worker_lost"]
        assert put_one(queue, unique="k") != job_id

    def test_what_somebody_wanted_cancelled_does_not_come_back(self, bench: Bench) -> None:
        need(bench, Capability.CANCEL)
        queue = bench.queue()
        job_id = put_one(queue)
        take(queue)
        bench.cancel(job_id)
        bench.clock.advance(LEASE)
        assert queue.tick().rescued == ()
        assert bench.job(job_id)["status"] == "cancelled"

    def test_housekeeping_is_for_every_queue(self, bench: Bench) -> None:
        here, there = bench.queue("here"), bench.queue("there")
        job_id = put_one(there, queue="there")
        take(there)
        bench.clock.advance(LEASE)
        assert here.tick().rescued == (bench.known(job_id),)

    def test_many_at_once_rescue_each_job_once(self, bench: Bench) -> None:
        queues = [bench.queue() for _ in range(6)]
        ids = queues[0].put([job() for _ in range(60)])
        leases = queues[0].reserve(60, "dead")
        assert len(leases) == 60
        for lease in leases:
            queues[0].began(lease)
        bench.clock.advance(LEASE)
        ticked = at_once(*(queue.tick for queue in queues))
        assert sorted(job_id for each in ticked for job_id in each.rescued) == sorted(map(bench.known, ids))
        assert {len(bench.log(job_id)) for job_id in ids} == {1}

    def test_many_at_once_promote_each_job_once(self, bench: Bench) -> None:
        need(bench, Capability.DELAY)
        queues = [bench.queue() for _ in range(6)]
        queues[0].put([job(delay_ms=1000) for _ in range(60)])
        bench.clock.advance(1000)
        assert sum(each.promoted for each in at_once(*(queue.tick for queue in queues))) == 60
        assert len(queues[0].reserve(99, "w1")) == 60

    def test_one_round_is_bounded(self, bench: Bench) -> None:
        need(bench, Capability.DELAY)
        queue = bench.queue(retention_ms=DAY)
        queue.put([job() for _ in range(10)])
        for lease in queue.reserve(5, "w1"):
            queue.settle(lease, DONE if lease.token % 2 else LOST, FINE)
        bench.clock.advance(DAY)
        queue.reserve(5, "dead")
        queue.put([job(delay_ms=1) for _ in range(5)])
        bench.clock.advance(LEASE)
        for expected in (2, 2, 1, 0):
            ticked = queue.tick(limit=2)
            assert (ticked.promoted, len(ticked.rescued), ticked.pruned) == (expected, expected, expected)


class Pruning:
    def test_finished_jobs_go_after_their_retention(self, bench: Bench) -> None:
        queue = bench.queue(retention_ms=DAY)
        queue.put([job(), job(), job(), job(), job(delay_ms=9 * DAY)])
        one, two, three, running = queue.reserve(4, "w1")
        queue.settle(one, DONE, FINE)
        queue.settle(two, LOST, BROKEN)
        queue.settle(three, Retry(9 * DAY), BROKEN)
        bench.clock.advance(DAY - 1)
        queue.renew([running])
        assert queue.tick().pruned == 0
        bench.clock.advance(1)
        queue.renew([running])
        assert queue.tick().pruned == 2
        assert bench.job(three.job.id)["status"] == "delayed"
        assert queue.settle(running, DONE, FINE), "what is not finished stays, however old"

    def test_no_retention_keeps_them(self, bench: Bench) -> None:
        queue = bench.queue(retention_ms=None)
        job_id = put_one(queue)
        queue.settle(take(queue), DONE, FINE)
        bench.clock.advance(1000 * DAY)
        assert queue.tick().pruned == 0
        assert bench.job(job_id)["status"] == "completed"


class Busy:
    def test_ready_and_running_jobs_keep_it_busy(self, bench: Bench) -> None:
        queue = bench.queue("a", "b")
        assert not queue.busy()
        put_one(queue, queue="b")
        assert queue.busy()
        lease = take(queue)
        assert queue.busy()
        assert bench.queue("b").busy(), "whoever runs it"
        queue.settle(lease, DONE, FINE)
        assert not queue.busy()

    def test_delayed_jobs_and_coming_retries_do_not(self, bench: Bench) -> None:
        need(bench, Capability.DELAY)
        queue = bench.queue()
        queue.put([job(), job(delay_ms=1000)])
        queue.settle(take(queue), Retry(1000), BROKEN)
        assert not queue.busy()
        bench.clock.advance(1000)
        queue.tick()
        assert queue.busy()

    def test_other_queues_do_not(self, bench: Bench) -> None:
        queue = bench.queue("mail")
        bench.queue().put([job(), job(queue="Mail")])
        assert not queue.busy()

    def test_paused_queues_do_not(self, bench: Bench) -> None:
        need(bench, Capability.PAUSE)
        queue = bench.queue("a", "b")
        put_one(queue, queue="a")
        bench.pause("a")
        assert not queue.busy()
        put_one(queue, queue="b")
        assert queue.busy()


class Outages:
    """For queues that have a server, whose connections can break."""

    def test_a_lost_connection_is_an_error_once_and_then_made_anew(self, bench: Bench) -> None:
        queue = bench.queue()
        put_one(queue)
        lease = take(queue)
        bench.cut(queue)
        with pytest.raises(QueueUnreachable):
            queue.renew([lease])
        assert queue.renew([lease]).lost == frozenset()
        assert queue.settle(lease, DONE, FINE)

    @pytest.mark.parametrize("call", ["put", "reserve", "settle", "progress", "tick", "busy"])
    def test_whatever_was_asked_for_can_be_asked_again(self, bench: Bench, call: str) -> None:
        queue = bench.queue()
        first = put_one(queue)
        lease = take(queue)
        calls = {
            "put": partial(put_one, queue),
            "reserve": partial(queue.reserve, 1, "w1"),
            "settle": partial(queue.settle, lease, Release(), Outcome(Ending.INTERRUPTED)),
            "progress": partial(queue.progress, lease, Progress(1)),
            "tick": queue.tick,
            "busy": queue.busy,
        }
        bench.cut(queue)
        with pytest.raises(QueueUnreachable):
            calls[call]()
        calls[call]()
        assert bench.job(first)["status"] in ("queued", "running")

    def test_after_an_outage_the_living_get_their_heartbeat_in_first(self, bench: Bench) -> None:
        watcher, living, dead = bench.queue(), bench.queue(), bench.queue()
        watcher.put([job(), job()])
        held, lost = take(living, "living"), take(dead, "dead")
        bench.cut(watcher)
        bench.clock.advance(2 * LEASE)
        with pytest.raises(QueueUnreachable):
            watcher.tick()
        assert watcher.tick().rescued == (), "it has only just come back itself"
        assert living.renew([held]).lost == frozenset()
        bench.clock.advance(LEASE - 1)
        assert living.renew([held]).lost == frozenset()
        assert watcher.tick().rescued == ()
        bench.clock.advance(1)
        assert watcher.tick().rescued == (lost.job.id,)
        assert living.settle(held, DONE, FINE)
