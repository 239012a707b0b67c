"""What a worker's own log says it has done and is doing."""

from __future__ import annotations

import pytest

from wpbg.cli.score import Score


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def score(clock: Clock) -> Score:
    return Score(clock)


def run(score: Score, job_id: str, ending: str | None = None, slot: str = "w", callback: str | None = "send") -> None:
    fields = {"id": job_id, "slot": slot} | ({"callback": callback} if callback else {})
    score.notice("job.started", fields)
    if ending:
        score.notice(f"job.{ending}", fields)


def test_endings_are_counted_by_what_they_mean(score: Score) -> None:
    for ending in ("completed", "completed", "failed", "retry", "cancelled", "released", "lease_lost"):
        run(score, "1", ending)
    assert score.words(waiting=False) == "2 done, 1 failed, 1 cancelled, 1 to be retried; waiting for jobs"
    assert score.ended == 5


def test_a_job_given_up_for_a_lost_worker_is_not_ours(score: Score) -> None:
    score.notice("job.failed", {"id": "9"})
    assert score.ended == 0


def test_what_runs_now(score: Score, clock: Clock) -> None:
    run(score, "1", slot="w/1")
    run(score, "2", slot="w/2", callback=None)
    clock.now += 4
    score.learn(7, {"1": {"done": 120, "total": 300, "message": "row\x1b[2J 120"}, "2": None})
    assert score.words(waiting=True) == "0 done, 5 waiting; send 4.0 s (120 of 300: row 120), job 2 4.0 s"
    assert score.running_ids() == ["1", "2"]
    score.notice("worker.stopping", {})
    assert "; stopping after send 4.0 s" in score.words(waiting=True)


def test_an_ending_that_is_told_late_does_not_end_the_next_job(score: Score) -> None:
    run(score, "1")
    run(score, "2")
    score.notice("job.completed", {"id": "1", "slot": "w"})
    assert score.words(waiting=False) == "1 done; send <1 ms"
    score.notice("job.completed", {"id": "2", "slot": "w"})
    assert score.words(waiting=False) == "2 done; waiting for jobs"


def test_what_is_left_is_counted_on_between_two_answers(score: Score) -> None:
    assert score.left is score.waiting is score.total is None
    score.learn(10, {})
    run(score, "1", "completed")
    run(score, "2")
    assert (score.left, score.waiting, score.total) == (9, 8, 10)
    score.learn(3, {})
    assert (score.left, score.waiting, score.total) == (3, 2, 4)
    score.learn(0, {})
    assert (score.left, score.waiting, score.total) == (1, 0, 2)


def test_time_left_follows_the_speed_of_the_last_minute(score: Score, clock: Clock) -> None:
    score.learn(100, {})
    assert score.seconds_left() is None
    for job in range(10):
        clock.now += 1
        run(score, str(job), "completed")
        score.seconds_left()
    assert score.seconds_left() == pytest.approx(90)
    for job in range(10, 22):
        clock.now += 10
        run(score, str(job), "completed")
        score.seconds_left()
    assert score.seconds_left() == pytest.approx(78 * 10)
