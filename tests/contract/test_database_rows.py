"""The table as others leave it to us: rows by hand, by the older plugin, by the plugin's own PHP."""

from __future__ import annotations

import json

import pytest

from tests.contract.bench import BROKEN, DONE, FINE, LOST, DatabaseBench, job, put_one, take
from wpbg.ledger.views import iso
from wpbg.settle import Retry


def insert(bench: DatabaseBench, **columns: object) -> str:
    """A row written by hand; its id."""
    jobs, names = bench.site.jobs, ", ".join(columns)
    marks = ", ".join("%s" for _ in columns)
    bench.site.query(f"INSERT INTO {jobs} ({names}) VALUES ({marks})", tuple(columns.values()))
    return str(bench.site.query(f"SELECT MAX(id) AS id FROM {jobs}")[0]["id"])


def test_a_row_with_only_queue_payload_and_attempts_runs(either: DatabaseBench) -> None:
    queue = either.queue("old")
    job_id = insert(either, queue="old", payload=b'O:8:"stdClass":0:{}', attempts=0)
    assert queue.busy()
    got = take(queue).job
    assert (got.id, got.payload, got.attempt) == (job_id, b'O:8:"stdClass":0:{}', 1)
    assert (got.max_attempts, got.backoff, got.timeout, got.priority, got.blog_id) == (3, 30, None, 0, 0)
    assert (got.batch, got.callback) == (None, None)
    shown = either.job(job_id)
    assert shown["available_at"] == shown["created_at"]


@pytest.mark.parametrize("attempts", [3, 9])
def test_a_row_without_attempts_left_may_run_once(either: DatabaseBench, attempts: int) -> None:
    queue = either.queue()
    insert(either, queue="default", payload=b"x", attempts=attempts)
    lease = take(queue)
    assert lease.job.attempt == attempts + 1 > lease.job.max_attempts


def test_a_running_row_without_a_lease_is_rescued(either: DatabaseBench) -> None:
    queue = either.queue()
    either.clock.advance(60_000)
    job_id = insert(either, queue="default", payload=b"x", attempts=1, status="running", started_at=1)
    assert queue.tick().rescued == (job_id,)
    assert "unknown worker" in either.log(job_id)[-1]["error"]["message"]


def test_history_that_is_no_list_of_ours_is_replaced(either: DatabaseBench) -> None:
    queue = either.queue()
    for history in ("", "[]"):
        job_id = insert(either, queue="default", payload=b"x", attempts=0, history=history)
        queue.settle(take(queue), LOST, BROKEN)
        assert [attempt["ending"] for attempt in either.log(job_id)] == ["failed"]


def test_history_does_not_grow_without_end(either: DatabaseBench) -> None:
    queue = either.queue()
    long = json.dumps([{"attempt": 1, "ending": "failed", "output": "x" * 1_000_000}])
    job_id = insert(either, queue="default", payload=b"x", attempts=7, history=long)
    queue.settle(take(queue), Retry(0), BROKEN)
    row = either.site.job(job_id)
    assert [entry["attempt"] for entry in json.loads(row["history"])] == [8]


def test_json_columns_are_ascii_whatever_was_said(either: DatabaseBench) -> None:
    queue = either.queue()
    job_id = put_one(queue)
    queue.settle(take(queue), Retry(0), BROKEN)
    queue.settle(take(queue), DONE, FINE)
    row = either.site.job(job_id)
    assert row["result"].isascii()
    assert row["history"].isascii()


def test_a_job_of_the_plugin_and_its_unique_key(either: DatabaseBench) -> None:
    queue = either.queue("shop")
    data = {"name": "Käse 🧀\0", "price": 1.5}
    php = either.site.enqueue("strlen", data, "shop", unique="order-7 ☂", batch="b", priority="high", timeout=9)
    assert put_one(queue, queue="shop", unique="order-7 ☂") == php
    got = take(queue).job
    assert (got.id, got.callback, got.batch, got.priority, got.timeout) == (php, "strlen", "b", -10, 9)
    assert got.payload.startswith(b'O:8:"stdClass":2:')
    assert "Käse 🧀\0".encode() in got.payload
    assert either.site.enqueue("strlen", None, "shop", unique="order-7 ☂") == php


def test_times_are_utc_whatever_the_server_thinks(maria: DatabaseBench) -> None:
    server = maria.site.server
    assert server is not None
    before = server.execute("SELECT @@GLOBAL.time_zone AS zone, UNIX_TIMESTAMP() * 1000 AS now")[0]
    server.execute("SET GLOBAL time_zone = '+05:30'")
    try:
        queue = maria.queue(clock=None)
        job_id = put_one(queue)
        assert abs(queue.now_ms() - int(before["now"])) < 60_000
        (row,) = server.execute(
            f"SELECT UNIX_TIMESTAMP(created_datetime) * 1000 AS ms FROM {maria.site.jobs} WHERE id = %s",
            (int(job_id),),
            maria.site.database,
        )
        assert maria.job(job_id)["created_at"] == iso(int(row["ms"]))
    finally:
        server.execute("SET GLOBAL time_zone = %s", (before["zone"],))


def test_many_jobs_in_one_call(either: DatabaseBench) -> None:
    queue = either.queue()
    assert len(set(queue.put(job(b"%d" % number) for number in range(1000)))) == 1000
