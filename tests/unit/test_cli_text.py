"""Text for people: nothing in it acts on a terminal, times and numbers are in words."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as some

from wpbg.cli.text import ago, cell, clean, clean_text, count, duration, moment, since_epoch, width

TURNERS = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;owned\x07title", "title"),
        ("\x1b]0;never ended\nnext", "0;never ended\nnext"),
        ("10 %\r20 %\rdone\r\n", "10 %\n20 %\ndone\n"),
        ("\x9b31mC1", "31mC1"),
        (f"a{TURNERS}b", "ab"),
        ("beep\x07\x08\x00\x7f", "beep"),
        ("tab\tkept\n", "tab\tkept\n"),
        ("separators\u2028are\u2029ends", "separators\nare\nends"),
        ("half \ud83d of a pair", "half ? of a pair"),
        ("Grüße 日本 👩‍👧", "Grüße 日本 👩‍👧"),
    ],
)
def test_what_acts_on_a_terminal_is_taken_out(said: str, shown: str) -> None:
    assert clean_text(said) == shown


@given(some.text(some.characters(codec=None)))
def test_whatever_a_job_says_is_harmless(said: str) -> None:
    for char in clean_text(said):
        assert char in "\n\t" or unicodedata.category(char) not in ("Cc", "Cs", "Zl", "Zp"), repr(char)
        assert char not in TURNERS
    assert "\n" not in clean(said)
    assert clean_text(clean_text(said)) == clean_text(said)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, ""),
        (True, "yes"),
        (0, "0"),
        (["a", "b\nc"], "a, b c"),
        ({"done": 1}, '{"done": 1}'),
        ("two\nlines", "two lines"),
    ],
)
def test_a_cell_is_one_line(value: object, shown: str) -> None:
    assert cell(value) == shown


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "<1 ms"),
        (0.08, "80 ms"),
        (0.999, "999 ms"),
        (0.9996, "1.0 s"),
        (1.44, "1.4 s"),
        (9.96, "10 s"),
        (119.4, "119 s"),
        (119.6, "2 min"),
        (7169, "119 min"),
        (7171, "2 h"),
        (47.4 * 3600, "47 h"),
        (47.6 * 3600, "2 d"),
        (1e9, "11574 d"),
    ],
)
def test_durations_in_the_unit_that_fits(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_times_for_people() -> None:
    now = since_epoch("2026-11-22T22:00:00.000Z")
    assert now == 1795384800000
    assert ago("2026-11-22T21:57:00.000Z", now) == "3 min ago"
    assert ago("2026-11-22T22:00:30.000Z", now) == "in 30 s"
    assert ago("2026-11-22T22:00:00.400Z", now) == "now"
    assert ago(None, now) == moment(None, now) == ""
    assert moment("2026-11-22T21:57:00.000Z", now) == "2026-11-22 21:57:00 UTC (3 min ago)"


def test_numbers_of_things() -> None:
    assert [count(1, "job"), count(2, "job"), count(12000, "job")] == ["1 job", "2 jobs", "12,000 jobs"]
    assert count(2, "batch", "batches") == "2 batches"


def test_width_is_in_columns_of_a_terminal() -> None:
    assert width("abc") == 3
    assert width("日本") == 4
    assert width("e\u0301") == 1
