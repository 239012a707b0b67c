"""What becomes of a job after each way a run can end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wpbg.job import Ending, Job, JobError, Outcome, Status
from wpbg.settle import MAX_BACKOFF, Finish, Release, Retry, backoff_seconds, decide

NO_JITTER = 0.5  # the middle: exactly the doubled base


def job(attempt: int = 1, max_attempts: int = 3, backoff: int = 30) -> Job:
    return Job("1", "default", b"", attempt=attempt, max_attempts=max_attempts, backoff=backoff)


def after(ending: Ending, **kwargs: int) -> object:
    return decide(job(**kwargs), Outcome(ending), lambda: NO_JITTER)


COUNTED = (Ending.FAILED, Ending.TIMED_OUT, Ending.PROCESS_DIED)


def test_completed_and_cancelled_end_the_job() -> None:
    assert after(Ending.COMPLETED) == Finish(Status.COMPLETED)
    assert after(Ending.CANCELLED) == Finish(Status.CANCELLED)


@pytest.mark.parametrize("ending", [Ending.INTERRUPTED, Ending.NOT_STARTED])
def test_what_is_not_the_jobs_fault_goes_back_even_on_the_last_attempt(ending: Ending) -> None:
    assert after(ending, attempt=3) == Release()


@pytest.mark.parametrize("ending", COUNTED)
def test_a_failure_is_tried_again_while_attempts_are_left(ending: Ending) -> None:
    assert after(ending, attempt=1) == Retry(30_000)
    assert after(ending, attempt=2) == Retry(60_000)
    assert after(ending, attempt=3) == Finish(Status.FAILED)


@pytest.mark.parametrize("ending", [*COUNTED, Ending.WORKER_LOST])
def test_a_row_with_more_attempts_than_allowed_fails(ending: Ending) -> None:
    assert after(ending, attempt=9, max_attempts=3) == Finish(Status.FAILED)


def test_a_forged_job_is_not_tried_again() -> None:
    forged = Outcome(Ending.FAILED, error=JobError("ForgedJob", "its signature does not fit"))
    assert decide(job(), forged, lambda: NO_JITTER) == Finish(Status.FAILED)


def test_a_lost_worker_costs_an_attempt_but_no_waiting() -> None:
    assert after(Ending.WORKER_LOST, attempt=1) == Retry(0)
    assert after(Ending.WORKER_LOST, attempt=3) == Finish(Status.FAILED)


@given(base=st.integers(0, 86400), attempt=st.integers(1, 1000), jitter=st.floats(0, 1, exclude_max=True))
def test_backoff_is_within_ten_percent_of_the_doubled_base_and_bounded(base: int, attempt: int, jitter: float) -> None:
    seconds = backoff_seconds(base, attempt, jitter)
    doubled = base * 2.0 ** min(attempt - 1, 30)
    assert 0 <= seconds <= MAX_BACKOFF
    assert seconds <= doubled * 1.1 + 1e-6
    assert seconds >= min(doubled * 0.9, MAX_BACKOFF) - 1e-6
