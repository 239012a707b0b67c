"""What a message or a line of a log quotes may come from anybody: it does not command the terminal."""

from __future__ import annotations

import pytest

from wpbg.cli import fail
from wpbg.cli.job_log import show_attempt

EVIL = "\x1b[2J\x1b]0;owned\x07\x9b31m\u202eend\x00"


def test_an_errors_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        fail(f'The job was not added: function: "no{EVIL}"\r\n cannot be called.', 1)
    assert capsys.readouterr().err == 'wpbg: The job was not added: function: "no31mend" cannot be called.\n'


def test_an_attempt(capsys: pytest.CaptureFixture[str]) -> None:
    names = ("attempt", "worker", "started_at", "finished_at", "runtime_ms", "error", "output", "note")
    show_attempt(
        {**dict.fromkeys(names), "attempt": 1, "ending": EVIL, "worker": EVIL, "note": EVIL, "output": EVIL}, 0
    )
    said = capsys.readouterr().out
    assert "end" in said
    assert not set(said) & set("\x1b\x07\x9b\u202e\x00")
