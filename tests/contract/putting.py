"""The contract of `put` and `reserve`: what goes in comes out, once, in order."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import partial
from itertools import chain

import pytest

from tests.contract.bench import DONE, FINE, LEASE, Bench, at_once, job, need, payload, payloads, put_one, take
from wpbg.job import Ending, NewJob, Outcome
from wpbg.queues.base import Capability, Queue
from wpbg.settle import Retry

ANY_BYTES = {
    "every byte": bytes(range(256)),
    "nothing but NUL": b"\0",
    "quotes and backslashes": b"'\"\\'';--\\0%s%%(a)s:id{jobs}\n\r\x1a",
    "not UTF-8": b"\xff\xfe\xc3\x28\xf0\x9f",
    "emoji": "🦄".encode(),
    "64 KiB": random.Random(1).randbytes(65536),
    "5 MB": random.Random(2).randbytes(5_000_000),
}


class Putting:
    @pytest.mark.parametrize("what", ANY_BYTES)
    def test_payload_bytes_come_back_as_they_were(self, bench: Bench, what: str) -> None:
        queue = bench.queue()
        put_one(queue, payload=ANY_BYTES[what])
        assert payload(take(queue)) == ANY_BYTES[what]

    def test_many_small_payloads_come_back_as_they_were(self, bench: Bench) -> None:
        queue, chance = bench.queue(), random.Random(3)
        sent = [chance.randbytes(chance.randrange(1, 40)) for _ in range(300)]
        queue.put([job(each) for each in sent])
        assert payloads(queue.reserve(300, "w1")) == sent

    def test_a_job_comes_out_as_it_was_put(self, bench: Bench) -> None:
        queue = bench.queue("mail")
        new = NewJob(
            "mail", b"p", max_attempts=7, backoff=11, timeout=90, batch="Spring ☀", blog_id=3, callback="Shop::mail"
        )
        (job_id,) = queue.put([new])
        lease = take(queue)
        got = lease.job
        assert (got.id, got.queue, payload(lease), got.attempt) == (bench.known(job_id), "mail", b"p", 1)
        assert (got.max_attempts, got.backoff, got.timeout, got.blog_id) == (7, 11, 90, 3)
        assert (got.batch, got.callback) == ("Spring ☀", "Shop::mail")

    def test_a_waiting_job_is_shown(self, bench: Bench) -> None:
        need(bench, Capability.SHOWN_WAITING)
        queue = bench.queue("mail")
        (job_id,) = queue.put([NewJob("mail", b"p", max_attempts=7, batch="Spring ☀", callback="Shop::mail")])
        shown = bench.job(job_id)
        assert (shown["id"], shown["status"], shown["attempts"]) == (job_id, "queued", 0)
        assert (shown["queue"], shown["batch"], shown["callback"]) == ("mail", "Spring ☀", "Shop::mail")
        assert (shown["max_attempts"], shown["worker"], shown["started_at"]) == (7, None, None)

    def test_ids_come_in_the_order_of_the_jobs(self, bench: Bench) -> None:
        queue = bench.queue("a", "b")
        ids = queue.put([job(b"1", "b"), job(b"2", "a"), job(b"3", "b")])
        assert len(set(ids)) == 3
        found = {lease.job.id: payload(lease) for lease in queue.reserve(9, "w1")}
        assert [found[bench.known(job_id)] for job_id in ids] == [b"1", b"2", b"3"]

    def test_nothing_is_put_when_the_jobs_break_off(self, bench: Bench) -> None:
        def some() -> Iterator[NewJob]:
            yield job(b"1")
            raise RuntimeError("the file ended early")

        queue = bench.queue()
        with pytest.raises(RuntimeError, match="ended early"):
            queue.put(some())
        assert queue.reserve(1, "w1") == []

    def test_putting_nothing_is_fine(self, bench: Bench) -> None:
        assert bench.queue().put([]) == []

    def test_an_empty_queue_gives_nothing(self, bench: Bench) -> None:
        assert bench.queue().reserve(5, "w1") == []


class Reserving:
    def test_older_jobs_come_first(self, bench: Bench) -> None:
        queue = bench.queue()
        queue.put([job(b"%d" % number) for number in range(5)])
        assert payloads(queue.reserve(2, "w1")) == [b"0", b"1"]
        assert [payload(take(queue)) for _ in range(3)] == [b"2", b"3", b"4"]

    def test_lower_priority_numbers_come_first(self, bench: Bench) -> None:
        need(bench, Capability.PRIORITY_NUMBERS)
        queue = bench.queue()
        queue.put([job(b"normal"), job(b"low", priority=10), job(b"high", priority=-10), job(b"higher", priority=-11)])
        assert payloads(queue.reserve(9, "w1")) == [b"higher", b"high", b"normal", b"low"]

    def test_queues_come_in_their_precedence_before_priority_and_age(self, bench: Bench) -> None:
        queue = bench.queue("first", "second", "third")
        queue.put([job(b"3", "third"), job(b"2", "second", priority=-10), job(b"1", "first", priority=10)])
        assert payloads(queue.reserve(9, "w1")) == [b"1", b"2", b"3"]
        queue.put([job(b"3", "third"), job(b"1", "first")])
        assert payloads(queue.reserve(1, "w1")) == [b"1"]

    def test_other_queues_are_left_alone(self, bench: Bench) -> None:
        queue = bench.queue("mail")
        queue.put([job(b"no", "default"), job(b"no", "Mail"), job(b"no", "mail2")])
        assert queue.reserve(9, "w1") == []
        put_one(queue, payload=b"yes", queue="mail")
        assert payloads(queue.reserve(9, "w1")) == [b"yes"]

    def test_a_limit_is_kept_across_queues(self, bench: Bench) -> None:
        queue = bench.queue("a", "b")
        queue.put([job(b"%d" % number, "ab"[number % 2]) for number in range(6)])
        assert len(queue.reserve(4, "w1")) == 4
        assert len(queue.reserve(4, "w1")) == 2

    def test_what_is_leased_is_not_leased_again(self, bench: Bench) -> None:
        one, two = bench.queue(), bench.queue()
        put_one(one)
        assert take(one)
        assert one.reserve(1, "w1") == []
        assert two.reserve(1, "w2") == []

    def test_a_lease_says_for_how_long_and_for_whom(self, bench: Bench) -> None:
        queue = bench.queue()
        job_id = put_one(queue)
        lease = take(queue, "host-1/2")
        assert (lease.reserved_ms, lease.until_ms) == (bench.clock.now, bench.clock.now + LEASE)
        assert lease.worker == "host-1/2"
        shown = bench.job(job_id)
        assert (shown["status"], shown["worker"], shown["attempts"]) == ("running", "host-1/2", 1)

    def test_delayed_jobs_wait_for_their_time(self, bench: Bench) -> None:
        need(bench, Capability.DELAY)
        queue = bench.queue()
        job_id = put_one(queue, delay_ms=5000)
        bench.clock.advance(4999)
        queue.tick()
        assert queue.reserve(1, "w1") == []
        assert bench.job(job_id)["status"] == "delayed"
        bench.clock.advance(1)
        assert queue.tick().promoted == 1
        assert take(queue).job.id == bench.known(job_id)

    def test_a_job_whose_time_has_come_takes_the_place_of_its_age(self, bench: Bench) -> None:
        need(bench, Capability.DELAY, Capability.ONE_ORDER)
        queue = bench.queue()
        queue.put([job(b"older", delay_ms=1000), job(b"newer")])
        bench.clock.advance(1000)
        queue.tick()
        assert payloads(queue.reserve(2, "w1")) == [b"older", b"newer"]

    def test_jobs_of_paused_queues_are_left_alone(self, bench: Bench) -> None:
        need(bench, Capability.PAUSE)
        queue = bench.queue("a", "b")
        queue.put([job(b"1", "a"), job(b"2", "b")])
        bench.pause("a")
        assert payloads(queue.reserve(9, "w1")) == [b"2"]
        bench.resume("a")
        assert payloads(queue.reserve(9, "w1")) == [b"1"]

    def test_pausing_lets_running_jobs_finish(self, bench: Bench) -> None:
        need(bench, Capability.PAUSE)
        queue = bench.queue()
        put_one(queue)
        lease = take(queue)
        bench.pause("default")
        assert queue.renew([lease]).lost == frozenset()
        assert queue.settle(lease, DONE, FINE)

    def test_many_workers_get_every_job_exactly_once(self, bench: Bench) -> None:
        ids = bench.queue().put([job(b"%d" % number) for number in range(240)])

        def drain(queue: Queue, worker: str) -> list[str]:
            done = []
            while leases := queue.reserve(3, worker):
                for lease in leases:
                    assert queue.settle(lease, DONE, FINE)
                    done.append(lease.job.id)
            return done

        queues = [bench.queue() for _ in range(8)]
        taken = at_once(*(partial(drain, queue, f"w{number}") for number, queue in enumerate(queues)))
        assert sorted(chain.from_iterable(taken)) == sorted(map(bench.known, ids))
        assert {bench.job(job_id)["attempts"] for job_id in ids} == {1}


class Unique:
    def test_an_unfinished_job_of_the_key_is_returned_in_place_of_a_second_one(self, bench: Bench) -> None:
        need(bench, Capability.UNIQUE)
        queue = bench.queue()
        first, again, other = queue.put([job(b"1", unique="k"), job(b"2", unique="k"), job(b"3", unique="K")])
        assert first == again != other
        assert put_one(queue, unique="k") == first
        assert payloads(queue.reserve(9, "w1")) == [b"1", b"3"]
        assert put_one(queue, unique="k") == first, "it runs, it is not finished"

    def test_each_queue_has_its_own_keys(self, bench: Bench) -> None:
        need(bench, Capability.UNIQUE)
        one, two = bench.queue().put([job(queue="a", unique="k"), job(queue="b", unique="k")])
        assert one != two

    def test_a_finished_job_gives_its_key_back(self, bench: Bench) -> None:
        need(bench, Capability.UNIQUE)
        queue = bench.queue()
        first = put_one(queue, unique="k")
        assert queue.settle(take(queue), DONE, FINE)
        assert put_one(queue, unique="k") != first

    def test_a_job_that_will_run_again_keeps_its_key(self, bench: Bench) -> None:
        need(bench, Capability.UNIQUE, Capability.DELAY)
        queue = bench.queue()
        first = put_one(queue, unique="k")
        assert queue.settle(take(queue), Retry(1000), Outcome(Ending.FAILED))
        assert put_one(queue, unique="k") == first

    def test_a_cancelled_job_gives_its_key_back(self, bench: Bench) -> None:
        need(bench, Capability.UNIQUE, Capability.CANCEL)
        queue = bench.queue()
        first = put_one(queue, unique="k")
        bench.cancel(first)
        assert put_one(queue, unique="k") != first

    def test_many_at_once_make_one_job(self, bench: Bench) -> None:
        need(bench, Capability.UNIQUE)
        queues = [bench.queue() for _ in range(8)]
        ids = at_once(*(partial(put_one, queue, unique="k") for queue in queues))
        assert len(set(ids)) == 1
        assert len(queues[0].reserve(9, "w1")) == 1
