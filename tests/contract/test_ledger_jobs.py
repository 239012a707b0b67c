"""The ledger on both databases: jobs, what operators can do to them, and what they are told when they cannot."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.contract.bench import BROKEN, DONE, FINE, LOST, DatabaseBench, at_once, job, put_one, take
from wpbg.job import Ending, Outcome, Progress, Status
from wpbg.ledger import NoSuchJob, WrongState
from wpbg.queues.database import DatabaseQueue
from wpbg.settle import Retry

KEYS = [
    *("id", "queue", "callback", "status", "attempts", "max_attempts", "priority", "batch", "created_at"),
    *("available_at", "started_at", "finished_at", "runtime_ms", "worker", "result", "error", "output", "progress"),
]
PAYLOAD = b'O:8:"stdClass":2:{s:8:"function";s:6:"strlen";s:9:"user_data";s:1:"x";}'


def failed(bench: DatabaseBench, **columns: object) -> str:
    """A job that has failed for good."""
    queue = bench.queue(str(columns.get("queue", "default")))
    job_id = put_one(queue, **columns)
    assert queue.settle(take(queue), LOST, BROKEN)
    return job_id


class TestJobs:
    def test_a_job_has_exactly_the_keys_that_scripts_read(self, either: DatabaseBench) -> None:
        queue = either.queue()
        job_id = put_one(queue, payload=PAYLOAD, batch="b", priority=5)
        shown = either.ledger.get_job(job_id)
        assert list(shown) == KEYS
        assert (shown["callback"], shown["output"]) == ("strlen", "")
        for key in ("started_at", "finished_at", "runtime_ms", "worker", "result", "error", "progress"):
            assert shown[key] is None
        assert shown["available_at"] == "2027-01-15T08:00:00.000Z"
        queue.settle(take(queue), LOST, replace(BROKEN, progress=Progress(1, 2, "x")))
        shown = either.ledger.get_job(job_id)
        assert list(shown) == KEYS
        assert set(shown["error"]) == {"class", "message", "file", "line", "trace"}

    def test_a_job_that_will_run_again_has_not_finished(self, either: DatabaseBench) -> None:
        queue = either.queue()
        job_id = put_one(queue)
        queue.settle(take(queue), Retry(5000), BROKEN)
        shown = either.ledger.get_job(job_id)
        assert shown["finished_at"] is None
        assert shown["available_at"] == "2027-01-15T08:00:05.000Z"
        (attempt,) = either.ledger.job_log(job_id)
        assert attempt["finished_at"] == "2027-01-15T08:00:00.000Z"

    def test_lists_are_newest_first_and_filtered(self, either: DatabaseBench) -> None:
        queue = either.queue("a", "b")
        ids = queue.put(
            [
                job(PAYLOAD, "a", batch="x", callback="one"),
                job(PAYLOAD, "b", callback="two"),
                job(PAYLOAD, "a", delay_ms=1),
            ]
        )
        queue.settle(take(queue), DONE, FINE)

        def found(**wanted: str | int) -> list[str]:
            return [each["id"] for each in either.ledger.list_jobs(**wanted)]  # type: ignore[arg-type]

        assert found() == ids[::-1]
        assert found(limit=2) == ids[:0:-1]
        assert found(before=ids[2], limit=1) == [ids[1]]
        assert found(status="completed") == [ids[0]]
        assert found(status="delayed", queue="a") == [ids[2]]
        assert found(queue="a") == [ids[2], ids[0]]
        assert found(callback="two") == [ids[1]]
        assert found(batch="x") == [ids[0]]
        assert found(queue="nothing") == []

    def test_lists_leave_out_what_is_large(self, either: DatabaseBench) -> None:
        failed(either, payload=PAYLOAD)
        (shown,) = either.ledger.list_jobs()
        assert [key for key in KEYS if key not in shown] == ["output"]
        assert "trace" not in shown["error"]
        assert shown["callback"] == "strlen"

    @pytest.mark.parametrize("job_id", ["999999", "0", "-1", "x", "", "1; DROP TABLE x", "٣", "9" * 40])
    def test_what_is_no_job_is_said_so(self, either: DatabaseBench, job_id: str) -> None:
        ledger = either.ledger
        operations = (ledger.get_job, ledger.job_log, ledger.retry, ledger.cancel, ledger.delete)
        for operation in operations:
            with pytest.raises(NoSuchJob, match="There is no job"):
                operation(job_id)  # type: ignore[operator]

    def test_the_log_of_a_job_that_runs(self, either: DatabaseBench) -> None:
        queue = either.queue()
        job_id = put_one(queue)
        assert either.ledger.job_log(job_id) == []
        take(queue, "w7")
        (attempt,) = either.ledger.job_log(job_id)
        assert (attempt["attempt"], attempt["worker"], attempt["ending"]) == (1, "w7", "running")
        assert (attempt["finished_at"], attempt["error"], attempt["output"]) == (None, None, "")


class TestRetry:
    def test_a_failed_job_starts_over(self, either: DatabaseBench) -> None:
        queue = either.queue()
        job_id = failed(either, max_attempts=1)
        either.clock.advance(5000)
        either.ledger.retry(job_id)
        shown = either.ledger.get_job(job_id)
        assert (shown["status"], shown["attempts"], shown["error"], shown["output"]) == ("queued", 0, None, "")
        assert shown["available_at"] == "2027-01-15T08:00:05.000Z"
        lease = take(queue, "w2")
        assert lease.job.attempt == 1, "it has all its attempts again"
        queue.settle(lease, DONE, FINE)
        assert [attempt["ending"] for attempt in either.ledger.job_log(job_id)] == ["failed", "completed"]

    def test_so_does_a_cancelled_one(self, either: DatabaseBench) -> None:
        queue = either.queue()
        job_id = put_one(queue)
        take(queue)
        either.ledger.cancel(job_id)
        either.clock.advance(60_000)
        queue.tick()
        either.ledger.retry(job_id)
        lease = take(queue)
        assert queue.renew([lease]).cancel == frozenset(), "the wish is forgotten"

    @pytest.mark.parametrize("status", ["queued", "delayed", "running", "completed"])
    def test_other_jobs_are_not_retried(self, either: DatabaseBench, status: str) -> None:
        queue = either.queue()
        job_id = in_state(queue, status)
        with pytest.raises(WrongState, match=f"Job {job_id} is {status}"):
            either.ledger.retry(job_id)
        assert either.ledger.get_job(job_id)["status"] == status

    def test_a_late_worker_cannot_settle_what_was_retried(self, either: DatabaseBench) -> None:
        queue = either.queue()
        job_id = put_one(queue, max_attempts=1)
        late = take(queue)
        either.clock.advance(60_000)
        queue.tick()
        either.ledger.retry(job_id)
        assert not queue.settle(late, DONE, FINE)
        take(queue)
        assert not queue.settle(late, DONE, FINE)

    def test_a_unique_key_that_another_job_has(self, either: DatabaseBench) -> None:
        queue = either.queue()
        job_id = failed(either, unique="order-7")
        other = put_one(queue, unique="order-7")
        with pytest.raises(WrongState, match=rf"job {other} has the same unique key 'order-7'.*cancel it"):
            either.ledger.retry(job_id)
        either.ledger.cancel(other)
        either.ledger.retry(job_id)
        assert put_one(queue, unique="order-7") == job_id, "it has its key again"

    def test_all_failed_ones_at_once(self, either: DatabaseBench, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("wpbg.ledger.jobs.CHUNK", 2)
        ids = [failed(either, queue=name) for name in ("a", "b", "a", "a", "a")]
        free, taken = failed(either, queue="a", unique="free"), failed(either, queue="a", unique="taken")
        holder = put_one(either.queue("a"), queue="a", unique="taken")
        retried = either.ledger.retry_failed("a")
        assert sorted(retried.ids, key=int) == [ids[0], ids[2], ids[3], ids[4], free]
        assert len(retried.refused) == 1
        assert f"Job {taken} cannot run again now: job {holder}" in retried.refused[0]
        assert either.ledger.retry_failed().ids == (ids[1],)
        assert either.ledger.retry_failed("a").ids == ()

    def test_one_that_fails_again_meanwhile_is_not_taken_up_twice(
        self, either: DatabaseBench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("wpbg.ledger.jobs.CHUNK", 1)
        queue, database = either.queue(), either.ledger.database
        ids = [failed(either), failed(either)]
        either.clock.advance(1000)
        change = database.change

        def and_fail_again(name: str, /, **params: object) -> int:
            changed = change(name, **params)
            either.clock.advance(1)
            queue.settle(take(queue), LOST, BROKEN)
            return changed

        monkeypatch.setattr(database, "change", and_fail_again)
        assert sorted(either.ledger.retry_failed().ids) == ids


def in_state(queue: DatabaseQueue, status: str) -> str:
    """A job that got into this state in the usual way."""
    job_id = put_one(queue, delay_ms=1000 if status == "delayed" else 0)
    endings = {"completed": DONE, "failed": LOST}
    if status in ("running", *endings):
        lease = take(queue)
        if status in endings:
            queue.settle(lease, endings[status], Outcome(Ending.COMPLETED))
    return job_id


class TestCancelAndDelete:
    def test_waiting_jobs_are_cancelled_and_running_ones_asked(self, either: DatabaseBench) -> None:
        queue = either.queue()
        running = in_state(queue, "running")
        for status in ("queued", "delayed"):
            assert either.ledger.cancel(in_state(queue, status)) is Status.CANCELLED
        assert either.ledger.cancel(running) is Status.RUNNING
        assert either.ledger.cancel(running) is Status.RUNNING, "asking twice does no harm"
        assert either.ledger.get_job(running)["status"] == "running"

    @pytest.mark.parametrize("status", ["completed", "failed"])
    def test_finished_jobs_are_not_cancelled(self, either: DatabaseBench, status: str) -> None:
        job_id = in_state(either.queue(), status)
        with pytest.raises(WrongState, match=f"Job {job_id} is {status}"):
            either.ledger.cancel(job_id)

    def test_a_running_job_is_not_deleted(self, either: DatabaseBench) -> None:
        queue = either.queue()
        running = in_state(queue, "running")
        with pytest.raises(WrongState, match="is running: cancel it first"):
            either.ledger.delete(running)
        assert either.ledger.get_job(running)

    @pytest.mark.parametrize("status", ["queued", "delayed", "completed", "failed"])
    def test_any_other_is(self, either: DatabaseBench, status: str) -> None:
        job_id = in_state(either.queue(), status)
        either.ledger.delete(job_id)
        with pytest.raises(NoSuchJob):
            either.ledger.get_job(job_id)

    def test_cancelling_races_with_claiming(self, either: DatabaseBench) -> None:
        """Whoever comes first: the job never runs and is cancelled at once, or its worker is told."""
        queue = either.queue()
        for _ in range(20):
            job_id = put_one(queue)
            answer, leases = at_once(lambda job_id=job_id: either.ledger.cancel(job_id), lambda: queue.reserve(1, "w"))  # type: ignore[misc]
            if answer is Status.CANCELLED:
                assert leases == []
            else:
                assert queue.renew(leases).cancel == set(leases)  # type: ignore[arg-type]
