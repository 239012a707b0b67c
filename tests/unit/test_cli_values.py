"""Values of options: spans, times, JSON, and which ways of naming jobs go together."""

from __future__ import annotations

import io
from datetime import datetime

import click
import pytest

from wpbg.cli.desk import Span, one_way
from wpbg.cli.job_add import When, json_text, refuse
from wpbg.doctor.machine import version
from wpbg.errors import PluginNotReady, UsageError, WpbgError


@pytest.mark.parametrize(
    ("said", "seconds"),
    [("90", 90), ("0", 0), ("1.5", 1.5), ("15m", 900), ("15 min", 900), ("2h", 7200), ("7D", 604800), ("1w", 604800)],
)
def test_spans(said: str, seconds: float) -> None:
    assert Span().convert(said, None, None) == seconds


def test_a_negative_span_is_left_to_the_plugin_to_refuse() -> None:
    assert Span().convert("-5", None, None) == -5


@pytest.mark.parametrize("said", ["", "x", "5y", "1e9", "5m3", "m"])
def test_what_is_no_span(said: str) -> None:
    with pytest.raises(click.BadParameter, match="is no time span"):
        Span().convert(said, None, None)


def test_times() -> None:
    assert When().convert("1795384800", None, None) == 1795384800
    assert When().convert("2026-11-22T22:00Z", None, None) == 1795384800
    assert When().convert("2026-11-22T23:00+01:00", None, None) == 1795384800
    assert When().convert("2026-11-22T22:00", None, None) == datetime(2026, 11, 22, 22).timestamp()
    with pytest.raises(click.BadParameter, match="is no time"):
        When().convert("tomorrow", None, None)


def test_json_is_passed_on_as_it_was_written(monkeypatch: pytest.MonkeyPatch) -> None:
    assert json_text(None) == "null"
    assert json_text('{"n": 0.10, "big": 12345678901234567890}') == '{"n": 0.10, "big": 12345678901234567890}'
    monkeypatch.setattr("sys.stdin", io.StringIO("[1]\n"))
    assert json_text("-") == "[1]\n"


@pytest.mark.parametrize("said", ["", "{a}", "NaN", "[1", "[" * 100_000])
def test_what_is_no_json(said: str) -> None:
    with pytest.raises(UsageError, match="--data is no JSON"):
        json_text(said)


@pytest.mark.parametrize(
    ("told", "error", "message"),
    [
        ({"inactive": "http://x"}, PluginNotReady, "not active on http://x: run `wpbg install`"),
        ({"json": "Syntax error"}, UsageError, r"--data \(Syntax error\)"),
        ({"error": "max_attempts: no.", "field": "max_attempts"}, UsageError, r"^--max-attempts: no\.$"),
        ({"error": "function: no.", "field": "function"}, WpbgError, "^The job was not added: function: no"),
        ({"error": "disk full", "field": None}, WpbgError, "disk full"),
    ],
)
def test_why_a_job_was_not_added(told: dict[str, object], error: type[WpbgError], message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        refuse(told)
    assert type(caught.value) is error


def test_jobs_are_named_in_one_way() -> None:
    one_way(["1"], failed=False)
    one_way([], failed=True)
    with pytest.raises(UsageError, match=r"Give their ids or --failed\."):
        one_way([], failed=False)
    with pytest.raises(UsageError, match="ids, --batch or --queue: one of them"):
        one_way([], batch="a", queue="b")


@pytest.mark.parametrize(
    ("text", "numbers"), [("8.2.36-0+deb12u1", (8, 2, 36)), ("6.1", (6, 1)), ("7.2-RC1-999", (7, 2)), ("x", ())]
)
def test_versions(text: str, numbers: tuple[int, ...]) -> None:
    assert version(text) == numbers
