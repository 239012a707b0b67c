from __future__ import annotations

from wpbg.worker import start_pause


def test_php_that_does_not_start_is_asked_for_less_and_less_often() -> None:
    assert [start_pause(failures) for failures in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert start_pause(100_000) == 60, "after months"
