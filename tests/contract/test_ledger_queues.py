"""The ledger on both databases: queues, batches and workers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.contract.bench import BROKEN, DONE, FINE, LOST, DatabaseBench, job, put_one, take
from wpbg.board import WorkerRow
from wpbg.errors import QueueUnreachable
from wpbg.job import Status
from wpbg.ledger import WrongState
from wpbg.ledger.book import FORGOTTEN_MS
from wpbg.ledger.views import SILENT_MS


class TestQueues:
    def test_counts_and_the_oldest(self, either: DatabaseBench) -> None:
        queue = either.queue("a", "b", "c")
        queue.put([job(queue="a"), job(queue="a", delay_ms=90_000), job(queue="c"), job(queue="c", priority=9)])
        in_progress = take(either.queue("c"))
        either.clock.advance(42_000)
        put_one(queue, queue="a")
        queue_b = either.queue("b")
        put_one(queue_b, queue="b")
        queue_b.settle(take(queue_b), LOST, BROKEN)
        either.ledger.pause("d")
        assert in_progress
        none = {"queued": 0, "delayed": 0, "running": 0, "failed": 0, "oldest_queued_seconds": None, "paused": False}
        assert either.ledger.queues() == [
            {**none, "queue": "a", "queued": 2, "delayed": 1, "oldest_queued_seconds": 42},
            {**none, "queue": "b", "failed": 1},
            {**none, "queue": "c", "queued": 1, "running": 1, "oldest_queued_seconds": 42},
            {**none, "queue": "d", "paused": True},
        ]

    def test_a_queue_whose_jobs_are_done_is_still_one(self, either: DatabaseBench) -> None:
        queue = either.queue()
        put_one(queue)
        queue.settle(take(queue), DONE, FINE)
        assert [each["queue"] for each in either.ledger.queues()] == ["default"]

    def test_a_job_that_was_delayed_waits_since_its_time_came(self, either: DatabaseBench) -> None:
        queue = either.queue()
        put_one(queue, delay_ms=60_000)
        either.clock.advance(50_000)
        put_one(queue)
        either.clock.advance(20_000)
        queue.tick()
        (shown,) = either.ledger.queues()
        assert (shown["queued"], shown["oldest_queued_seconds"]) == (2, 20)

    def test_pausing_and_resuming(self, either: DatabaseBench) -> None:
        ledger = either.ledger
        assert not ledger.resume("a")
        ledger.pause("a")
        ledger.pause("a")
        assert ledger.queues()[0]["paused"]
        assert ledger.resume("a")
        assert not ledger.resume("a")
        assert not ledger.queues()[0]["paused"]

    def test_purging_takes_what_waits_and_nothing_else(
        self, either: DatabaseBench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("wpbg.ledger.jobs.CHUNK", 2)
        queue = either.queue("a", "b")
        queue.put([job(queue="a") for _ in range(4)])
        queue.settle(take(queue), LOST, BROKEN)
        take(queue)
        queue.put([job(queue="a") for _ in range(3)] + [job(queue="a", delay_ms=1), job(queue="b")])
        assert either.ledger.purge("a") == 6
        left = {each["queue"]: each for each in either.ledger.queues()}
        assert (left["a"]["queued"], left["a"]["running"], left["a"]["failed"], left["b"]["queued"]) == (0, 1, 1, 1)
        assert either.ledger.purge("a", [Status.FAILED]) == 1
        with pytest.raises(WrongState, match="Running jobs"):
            either.ledger.purge("a", [Status.RUNNING])


class TestBatches:
    def test_counts(self, either: DatabaseBench) -> None:
        queue = either.queue()
        queue.put([job(batch="old"), job(batch="new"), job(batch="new"), job()])
        queue.settle(take(queue), DONE, FINE)
        empty = dict.fromkeys((status.value for status in Status), 0)
        assert either.ledger.batches() == [
            {"batch": "new", "total": 2, **empty, "queued": 2},
            {"batch": "old", "total": 1, **empty, "completed": 1},
        ]
        assert [each["batch"] for each in either.ledger.batches("old")] == ["old"]


class TestWorkers:
    ROW = WorkerRow("w1", "büro", 4711, 0, "restart", ("a", "ü"), "running", "17", 3, 64 * 2**20, "0.1.0")

    def test_they_are_shown_while_they_live(self, either: DatabaseBench) -> None:
        ledger = either.ledger
        ledger.show_workers([self.ROW, replace(self.ROW, slot=1, name="w1/2", state="idle", job_id=None)])
        either.clock.advance(5000)
        ledger.show_workers([replace(self.ROW, jobs_done=4)])
        first, second = ledger.workers()
        assert first == {
            "name": "w1",
            "host": "büro",
            "pid": 4711,
            "mode": "restart",
            "queues": ["a", "ü"],
            "state": "running",
            "job": "17",
            "started_at": "2027-01-15T08:00:00.000Z",
            "heartbeat_at": "2027-01-15T08:00:05.000Z",
            "jobs_done": 4,
            "memory_mb": 64.0,
        }
        assert (second["name"], second["state"], second["job"]) == ("w1/2", "idle", None)
        ledger.hide_workers([self.ROW])
        assert [each["name"] for each in ledger.workers()] == ["w1/2"]

    def test_silent_ones_are_lost_and_then_forgotten(self, either: DatabaseBench) -> None:
        ledger = either.ledger
        ledger.show_workers([self.ROW])
        either.clock.advance(SILENT_MS + 1)
        alive = replace(self.ROW, pid=4712, name="alive")
        ledger.show_workers([alive])
        assert [(each["name"], each["state"]) for each in ledger.workers()] == [("w1", "lost"), ("alive", "running")]
        either.clock.advance(FORGOTTEN_MS)
        ledger.show_workers([alive])
        assert [each["name"] for each in ledger.workers()] == ["alive"]


def test_everything_works_again_after_the_connection_was_lost(maria: DatabaseBench) -> None:
    calls: list[Callable[[], object]] = [maria.ledger.workers, maria.ledger.queues, maria.ledger.list_jobs]
    for call in calls:
        call()
        maria.cut_database(maria.ledger.database)
        with pytest.raises(QueueUnreachable, match="cannot be reached"):
            call()
        assert call() == []
