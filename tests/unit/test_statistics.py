"""What a worker counts, and the payload that tells WordPress of a batch's end."""

from __future__ import annotations

import subprocess

import pytest

from tests.support import php
from tests.support.need import require
from wpbg.job import Ending, Job, Lease, Outcome, Status
from wpbg.ledger.kept import TELLER, php_job, rate
from wpbg.queues.base import Loss, Settlement
from wpbg.settle import Decision, Finish, Release, Retry
from wpbg.statistics import LARGEST_BUCKET, OTHERS, QUEUES, Statistics, bucket_of


def settled(decision: Decision, queue: str = "q", waited_ms: int | None = 5, **job: str) -> Settlement:
    lease = Lease(Job("1", queue, b"", **job), 1, 0, 0, waited_ms=waited_ms)
    return Settlement(lease, decision, Outcome(Ending.COMPLETED, runtime_ms=100))


def test_what_ended_is_counted_by_queue() -> None:
    statistics = Statistics()
    done = Finish(Status.COMPLETED)
    for item in (settled(done), settled(done, waited_ms=9), settled(Finish(Status.FAILED)), settled(Retry(1))):
        statistics.note([item])
    statistics.note([settled(Release())])
    statistics.note([settled(done, waited_ms=None, batch="b", callback="f")])
    taken = statistics.take()
    sums = taken.queues["q"]
    assert (sums.completed, sums.failed, sums.retried) == (3, 1, 1)
    assert (sums.waits, sums.waited_ms, sums.waited_most_ms) == (4, 24, 9)
    assert taken.runs == {("(unknown)", bucket_of(100)): 4, ("f", bucket_of(100)): 1}
    assert set(taken.batches) == {"b"}
    assert not statistics.take().queues
    statistics.note([settled(done)])
    statistics.put_back(taken)
    assert statistics.take().queues["q"].completed == 4


def test_names_are_bounded() -> None:
    statistics = Statistics()
    for number in range(QUEUES + 10):
        statistics.note([settled(Finish(Status.COMPLETED), queue=str(number))])
    queues = statistics.take().queues
    assert len(queues) == QUEUES + 1
    assert queues[OTHERS].completed == 10


@pytest.mark.parametrize(
    ("ms", "bucket"), [(0, 0), (1, 0), (2, 2), (3, 3), (100, 13), (1024, 20), (10**12, LARGEST_BUCKET)]
)
def test_buckets_are_half_powers_of_two(ms: int, bucket: int) -> None:
    assert bucket_of(ms) == bucket


def test_the_payload_is_what_php_would_write() -> None:
    data = {"batch": "Grüße '\"", "counts": {"failed": 2, "total": 5}}
    fields = f"'function' => {php.literal(TELLER)}, 'user_data' => {php.literal(data)}"
    code = f"echo serialize( (object) array( {fields} ) );"
    told = subprocess.run([require("php", "php-cli"), "-r", code], capture_output=True, check=True).stdout
    assert php_job(TELLER, data) == told


def test_a_rate_is_smoothed_and_never_negative() -> None:
    row = {"first_at": 0, "counted_at": 0, "rate": 0, "completed": 0, "failed": 0, "cancelled": 0}
    assert rate(row, {"completed": 20, "failed": 0, "cancelled": 0}, 10_000) == 2000
    row.update(counted_at=10_000, rate=2000, completed=20)
    assert rate(row, {"completed": 60, "failed": 0, "cancelled": 0}, 20_000) == 2600
    assert rate(row, {"completed": 0, "failed": 0, "cancelled": 0}, 20_000) == 1400


def test_jobs_of_lost_workers_are_counted() -> None:
    statistics = Statistics()
    statistics.lost([Loss("q", "b", failed=True), Loss("q", None, failed=False)])
    taken = statistics.take()
    assert taken.queues["q"].failed == 1
    assert set(taken.batches) == {"b"}
