"""Labels read from payloads, and text made safe for a terminal."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as some

from wpbg.ledger import printable
from wpbg.ledger.labels import UNKNOWN, callback_label
from wpbg.ledger.views import attempts, error_view, iso, readable


def payload(function: bytes, key: bytes = b"function", rest: bytes = b's:9:"user_data";N;}') -> bytes:
    return b'O:8:"stdClass":2:{s:%d:"%s";%s%s' % (len(key), key, function, rest)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (payload(b's:6:"strlen";'), "strlen"),
        (payload(b's:16:"App\\Jobs::import";'), "App\\Jobs::import"),
        (payload(b's:7:"my_hook";', b"hook"), "my_hook"),
        (payload(b'a:2:{i:0;s:3:"Foo";i:1;s:3:"bar";}'), "Foo::bar"),
        (payload(b'a:2:{i:0;O:7:"App\\Foo":1:{s:6:"\0*\0key";i:1;}i:1;s:3:"bar";}'), "App\\Foo->bar"),
        (payload(b'O:3:"Foo":0:{}'), "Foo->__invoke"),
        (payload(b's:6:"strlen";', rest=b's:9:"user_data";s:100000:"cut of'), "strlen"),
        (b'O:8:"stdClass":2:{s:9:"user_data";i:1;s:8:"function";s:1:"f";}', "f"),
        (payload(b's:4:"\xff\xfe\xfd\xfc";'), "\ufffd" * 4),
        (payload(b"i:5;"), UNKNOWN),
        (payload(b'a:1:{i:0;s:1:"f";}'), UNKNOWN),
        (payload(b's:99:"cut'), UNKNOWN),
        (b'O:8:"stdClass":0:{}', UNKNOWN),
        (b'a:1:{s:8:"function";s:1:"f";}', UNKNOWN),
        (b"", UNKNOWN),
        (b"\0\xff", UNKNOWN),
    ],
)
def test_what_a_job_calls(data: bytes, said: str) -> None:
    assert callback_label(data) == said


@given(some.binary())
def test_no_payload_keeps_a_list_from_being_shown(noise: bytes) -> None:
    assert isinstance(callback_label(noise), str)
    assert isinstance(callback_label(b'O:8:"stdClass":2:{s:8:"function";' + noise), str)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain\ttext\n", "plain\ttext\n"),
        ("Käse 🧀 日本", "Käse 🧀 日本"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;owned\x07title", "title"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("a\x1b[2J\x1b[Hb", "ab"),
        ("line\r\nnext", "line\nnext"),
        ("hidden\rshown", "hiddenshown"),
        ("a\x9b31mb", "a31mb"),
        ("a\x00\x07\x08b", "ab"),
        ("abc\u202egnp.exe", "abcgnp.exe"),
    ],
)
def test_printable(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(some.text())
def test_nothing_printable_commands_a_terminal(text: str) -> None:
    shown = printable(text)
    assert not [char for char in shown if ord(char) < 32 and char not in "\n\t"]
    assert printable(shown) == shown


def test_times_are_iso_in_utc() -> None:
    assert iso(1_800_000_000_123) == "2027-01-15T08:00:00.123Z"
    assert iso(0) == "1970-01-01T00:00:00.000Z"
    assert iso(None) is None
    assert iso(10**30) is None


def test_output_is_text() -> None:
    assert readable(b"a\xffb") == "a\ufffdb"
    assert readable(None) == ""


@pytest.mark.parametrize(
    ("column", "message"), [('{"message":"m"}', "m"), ('"text"', "text"), ("not json", "not json")]
)
def test_an_error_that_somebody_else_wrote_is_still_shown(column: str, message: str) -> None:
    error = error_view(column)
    assert error is not None
    assert error["message"] == message
    assert set(error) == {"class", "message", "file", "line", "trace"}


def test_a_history_that_somebody_else_wrote_keeps_nothing_from_being_shown() -> None:
    row = {"started_at": None}
    for history in (None, "", "not json", "{}", '["x", 5]'):
        assert attempts({**row, "history": history}) == []
    (attempt,) = attempts({**row, "history": json.dumps([{"ending": "failed"}])})
    assert attempt["ending"] == "failed"
