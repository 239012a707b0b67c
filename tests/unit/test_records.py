"""What a row keeps of a run."""

from __future__ import annotations

import hashlib
import json

from hypothesis import given
from hypothesis import strategies as some

from wpbg.job import Ending, JobError, NewJob, Outcome
from wpbg.queues.records import ascii_json, error_json, history_entry, label, new_row, unique_hash, why

json_values = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats(allow_nan=False, allow_infinity=False) | some.text(),
    lambda inner: some.lists(inner) | some.dictionaries(some.text(), inner),
)


@given(json_values)
def test_json_in_ascii_is_the_same_value(value: object) -> None:
    for text in (json.dumps(value), json.dumps(value, ensure_ascii=False)):
        assert ascii_json(text).isascii()
        assert json.loads(ascii_json(text)) == json.loads(text)


def test_numbers_keep_their_spelling() -> None:
    assert ascii_json('{"ü":1.10,"n":12345678901234567890}') == '{"\\u00fc":1.10,"n":12345678901234567890}'


@given(some.text())
def test_a_label_fits_its_column(text: str) -> None:
    kept = label(text)
    assert kept is not None
    assert len(kept) <= 191
    kept.encode()


def test_no_label_stays_none() -> None:
    assert label(None) is None


def test_a_unique_hash_is_of_queue_and_key() -> None:
    assert unique_hash("mail", "k") == hashlib.sha256(b"mail\0k").hexdigest()
    assert unique_hash("mail", None) is None


def test_a_delayed_job_is_due_and_a_ready_one_is_not() -> None:
    ready, later = new_row(NewJob("q", b"x"), 1000), new_row(NewJob("q", b"x", delay_ms=500), 1000)
    assert (ready["status"], ready["due_at"], ready["available_at"]) == ("queued", 0, 1000)
    assert (later["status"], later["due_at"], later["available_at"]) == ("delayed", 1500, 1500)


def test_a_run_that_left_no_message_gets_one() -> None:
    error = why(Outcome(Ending.PROCESS_DIED))
    assert error is not None
    assert error.class_name == "ProcessDied"
    for fine in (Ending.COMPLETED, Ending.CANCELLED, Ending.INTERRUPTED, Ending.NOT_STARTED):
        assert why(Outcome(fine)) is None
        assert error_json(Outcome(fine)) is None


def test_history_keeps_the_end_of_long_output_and_the_beginning_of_long_traces() -> None:
    error = JobError("E", "m" * 100_000, "f", 1, "#0 " + "t" * 100_000)
    outcome = Outcome(Ending.FAILED, error=error, output=b"x" * 100_000 + b"\xff the reason")
    entry = history_entry(2, "w", 10, 20, outcome)
    assert len(entry) < 16_000
    told = json.loads(entry)
    assert told["output"].endswith("\ufffd the reason")
    assert told["error"]["trace"].startswith("#0 ttt")
    assert (told["attempt"], told["worker"], told["started_at"], told["finished_at"]) == (2, "w", 10, 20)
    assert told["ending"] == "failed"


def test_an_entry_has_neither_more_nor_less_for_a_run_without_error() -> None:
    told = json.loads(history_entry(1, None, None, 20, Outcome(Ending.CANCELLED)))
    assert told["error"] is None
    assert told["output"] == ""
