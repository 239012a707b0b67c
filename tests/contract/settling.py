"""The contract of `settle`: what becomes of a job, and what is kept of its runs."""

from __future__ import annotations

from dataclasses import replace

from tests.contract.bench import BROKEN, DONE, FINE, LOST, Bench, job, need, payload, payloads, put_one, take
from wpbg.job import Ending, JobError, Outcome, Progress, Status
from wpbg.queues.base import Capability
from wpbg.settle import Finish, Release, Retry

ERROR = {
    "class": "RuntimeException",
    "message": "no such product",
    "file": "/site/import.php",
    "line": 7,
    "trace": "#0 {main}",
}


class Settling:
    def test_a_completed_job_shows_what_came_of_it(self, bench: Bench) -> None:
        queue = bench.queue()
        job_id = put_one(queue)
        lease = take(queue)
        bench.clock.advance(250)
        said = replace(FINE, note="the callback called exit()", progress=Progress(5, 5, "all"), callback="import")
        assert queue.settle(lease, DONE, said)
        shown = bench.job(job_id)
        assert (shown["status"], shown["result"], shown["output"]) == ("completed", {"sum": 3}, "done\n")
        assert (shown["error"], shown["runtime_ms"], shown["callback"]) == (None, 12, "import")
        assert shown["progress"] == {"done": 5, "total": 5, "message": "all"}
        assert shown["started_at"] != shown["finished_at"] is not None
        (attempt,) = bench.log(job_id)
        assert (attempt["ending"], attempt["note"]) == ("completed", "the callback called exit()")

    def test_results_keep_their_characters_and_numbers(self, bench: Bench) -> None:
        queue = bench.queue()
        job_id = put_one(queue)
        text = '{"a":"ü🦄\\"\\\\\\u0000","big":123456789012345678901234567890,"tiny":0.1}'
        assert queue.settle(take(queue), DONE, replace(FINE, result=text))
        assert bench.job(job_id)["result"] == {"a": 'ü🦄"\\\0', "big": 123456789012345678901234567890, "tiny": 0.1}

    def test_output_is_bytes(self, bench: Bench) -> None:
        queue = bench.queue()
        job_id = put_one(queue)
        assert queue.settle(take(queue), DONE, replace(FINE, output=b"\0a\xffb'\\\n"))
        assert bench.job(job_id)["output"] == "\0a\ufffdb'\\\n"

    def test_a_failed_job_shows_why(self, bench: Bench) -> None:
        queue = bench.queue()
        job_id = put_one(queue, max_attempts=1)
        assert queue.settle(take(queue), LOST, BROKEN)
        shown = bench.job(job_id)
        assert (shown["status"], shown["error"], shown["output"]) == ("failed", ERROR, "row 4\n")
        (attempt,) = bench.log(job_id)
        assert (attempt["ending"], attempt["error"], attempt["attempt"]) == ("failed", ERROR, 1)
        assert queue.reserve(1, "w1") == []

    def test_a_run_that_left_no_message_still_shows_how_it_ended(self, bench: Bench) -> None:
        queue = bench.queue()
        job_id = put_one(queue)
        assert queue.settle(take(queue), LOST, Outcome(Ending.PROCESS_DIED))
        assert bench.job(job_id)["error"]["class"] == "ProcessDied"

    def test_what_text_columns_cannot_hold_does_not_keep_an_outcome_from_being_recorded(self, bench: Bench) -> None:
        queue = bench.queue()
        job_id = put_one(queue)
        odd = "\ud800 " + "🦄" * 400
        outcome = Outcome(Ending.FAILED, error=JobError(odd, odd, odd, 1, odd), note=odd, callback=odd)
        queue.progress(lease := take(queue), Progress(1, None, odd))
        assert queue.settle(lease, LOST, outcome)
        assert bench.job(job_id)["status"] == "failed"

    def test_a_retry_waits_and_counts(self, bench: Bench) -> None:
        need(bench, Capability.DELAY)
        queue = bench.queue()
        job_id = put_one(queue)
        assert queue.settle(take(queue, "w1"), Retry(30_000), BROKEN)
        shown = bench.job(job_id)
        assert (shown["status"], shown["attempts"], shown["error"]) == ("delayed", 1, ERROR)
        bench.clock.advance(29_999)
        queue.tick()
        assert queue.reserve(1, "w2") == []
        bench.clock.advance(1)
        queue.tick()
        lease = take(queue, "w2")
        assert (lease.job.id, lease.job.attempt) == (bench.known(job_id), 2)
        assert bench.job(job_id)["error"] is None, "that was the attempt before"
        assert queue.settle(lease, DONE, FINE)
        first, second = bench.log(job_id)
        assert (first["attempt"], first["worker"], first["ending"], first["error"]) == (1, "w1", "failed", ERROR)
        assert first["output"] == "row 4\n"
        assert (second["attempt"], second["worker"], second["ending"]) == (2, "w2", "completed")
        assert bench.job(job_id)["error"] is None

    def test_a_retry_without_delay_is_ready_at_once(self, bench: Bench) -> None:
        queue = bench.queue()
        put_one(queue)
        assert queue.settle(take(queue), Retry(0), BROKEN)
        assert take(queue).job.attempt == 2

    def test_every_attempt_that_did_not_end_it_well_is_kept(self, bench: Bench) -> None:
        queue = bench.queue()
        job_id = put_one(queue)
        endings = [Ending.FAILED, Ending.TIMED_OUT, Ending.PROCESS_DIED]
        for number, ending in enumerate(endings, 1):
            decision = Retry(0) if number < 3 else LOST
            assert queue.settle(take(queue), decision, replace(BROKEN, ending=ending, output=b"%d" % number))
            bench.clock.advance(1000)
        log = bench.log(job_id)
        assert [attempt["attempt"] for attempt in log] == [1, 2, 3]
        assert [attempt["ending"] for attempt in log] == [ending.value for ending in endings]
        assert [attempt["output"] for attempt in log] == ["1", "2", "3"]

    def test_a_released_job_is_as_if_it_had_not_begun(self, bench: Bench) -> None:
        queue = bench.queue()
        first = put_one(queue, payload=b"first")
        put_one(queue, payload=b"second")
        lease = take(queue)
        queue.progress(lease, Progress(1, 2))
        assert queue.settle(lease, Release(), Outcome(Ending.INTERRUPTED))
        shown = bench.job(first)
        assert (shown["status"], shown["attempts"]) == ("queued", 0)
        assert (shown["progress"], shown["error"], shown["started_at"]) == (None, None, None)
        assert bench.log(first) == []
        attempts = {payload(lease): lease.job.attempt for lease in queue.reserve(2, "w1")}
        assert attempts == {b"first": 1, b"second": 1}

    def test_a_released_job_has_its_old_place(self, bench: Bench) -> None:
        need(bench, Capability.ONE_ORDER)
        queue = bench.queue()
        queue.put([job(b"first"), job(b"second")])
        assert queue.settle(take(queue), Release(), Outcome(Ending.INTERRUPTED))
        assert payloads(queue.reserve(2, "w1")) == [b"first", b"second"]

    def test_a_cancelled_run_ends_the_job(self, bench: Bench) -> None:
        need(bench, Capability.CANCEL)
        queue = bench.queue()
        job_id = put_one(queue)
        lease = take(queue)
        bench.cancel(job_id)
        assert queue.settle(lease, Finish(Status.CANCELLED), Outcome(Ending.CANCELLED, output=b"so far"))
        shown = bench.job(job_id)
        assert (shown["status"], shown["output"], shown["error"]) == ("cancelled", "so far", None)

    def test_what_somebody_wants_cancelled_does_not_go_back_to_the_queue(self, bench: Bench) -> None:
        need(bench, Capability.CANCEL)
        queue = bench.queue()
        for decision in (Retry(0), Retry(1000), Release()):
            job_id = put_one(queue)
            lease = take(queue)
            bench.cancel(job_id)
            assert queue.settle(lease, decision, BROKEN)
            assert bench.job(job_id)["status"] == "cancelled"
        bench.clock.advance(1000)
        queue.tick()
        assert queue.reserve(1, "w1") == []

    def test_a_job_that_completed_before_it_could_be_cancelled_is_completed(self, bench: Bench) -> None:
        need(bench, Capability.CANCEL)
        queue = bench.queue()
        job_id = put_one(queue)
        lease = take(queue)
        bench.cancel(job_id)
        assert queue.settle(lease, DONE, FINE)
        assert bench.job(job_id)["status"] == "completed"

    def test_a_waiting_job_is_cancelled_at_once(self, bench: Bench) -> None:
        need(bench, Capability.CANCEL)
        queue = bench.queue()
        ready, later = queue.put([job(), job(delay_ms=1000)])
        bench.cancel(ready)
        bench.cancel(later)
        bench.clock.advance(1000)
        queue.tick()
        assert queue.reserve(2, "w1") == []
        assert {bench.job(ready)["status"], bench.job(later)["status"]} == {"cancelled"}
