"""Waiting: what is shown of it, and how it ends."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from wpbg.cli import job_wait
from wpbg.cli.job_wait import Standing, wait_for
from wpbg.errors import QueueUnreachable, WpbgError


@pytest.fixture(autouse=True)
def instant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_wait.time, "sleep", lambda seconds: None)


def looks(*standings: Standing | Exception) -> Iterator[Standing]:
    for standing in standings:
        if isinstance(standing, Exception):
            raise standing
        yield standing


def test_words() -> None:
    assert Standing(3).words() == "0 of 3 done"
    some = Standing(3000, completed=1000, failed=1, cancelled=2, lost=3, running=4, now=" (5 of 9)")
    assert some.words() == "1,006 of 3,000 done: 1 failed, 2 cancelled, 3 deleted, 4 running (5 of 9)"
    assert some.summary() == (
        "3,000 jobs: 1,000 completed, 1 failed, 2 cancelled, 3 deleted meanwhile, 1,994 not finished."
    )
    assert Standing(0).summary() == "0 jobs: nothing to wait for."
    assert Standing(1, completed=1).summary() == "1 job: 1 completed."


def test_a_line_per_change_and_a_summary(capsys: pytest.CaptureFixture[str]) -> None:
    seen = looks(Standing(2), Standing(2), Standing(2, running=1), Standing(2, completed=1), Standing(2, completed=2))
    wait_for(lambda: next(seen), None)
    assert capsys.readouterr().out.splitlines() == [
        "0 of 2 done",
        "0 of 2 done: 1 running",
        "1 of 2 done",
        "2 jobs: 2 completed.",
    ]


@pytest.mark.parametrize("end", [Standing(1, failed=1), Standing(1, cancelled=1), Standing(1, lost=1)])
def test_anything_but_completed_ends_with_1(end: Standing) -> None:
    with pytest.raises(SystemExit) as ended:
        wait_for(lambda: end, None)
    assert ended.value.code == 1


def test_time_is_up(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(WpbgError, match=r"within 0 s \(--timeout\)"):
        wait_for(lambda: Standing(2, completed=1), 0)
    assert "1 not finished" in capsys.readouterr().out


def test_an_outage_is_said_once_and_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    answers: list[Standing | Exception] = [Standing(1), QueueUnreachable("Gone."), QueueUnreachable("Gone.")]
    answers.append(Standing(1, completed=1))

    def look() -> Standing:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    wait_for(look, None)
    assert capsys.readouterr().err == "wpbg: Gone. Still waiting.\n"


def test_an_outage_at_the_first_look_is_an_error() -> None:
    seen = looks(QueueUnreachable("Gone."))
    with pytest.raises(QueueUnreachable):
        wait_for(lambda: next(seen), None)
