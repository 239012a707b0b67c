"""How many jobs are claimed at once."""

from __future__ import annotations

import pytest

from wpbg.window import WORTH, Window


def settled(each: float, most: int = 128) -> int:
    """The size that a window comes to with jobs of so many seconds."""
    window = Window(most)
    for _ in range(20):
        window.learn(window.size, window.size * each)
    return window.size


@pytest.mark.parametrize(("each", "size"), [(0.0, 128), (0.003, 128), (0.004, 64), (0.02, 16), (0.05, 1), (1.0, 1)])
def test_it_grows_as_long_as_a_batch_is_soon_over(each: float, size: int) -> None:
    assert settled(each) == size
    assert size * each <= WORTH or size == 1


def test_it_halves_when_jobs_get_slower_and_forgets_all_after_long_ones() -> None:
    window = Window(64)
    for _ in range(6):
        window.learn(window.size, 0.01)
    assert window.size == 64
    window.learn(64, 64 * 0.05)
    assert window.size == 32
    window.learn(3, 1.0)
    assert window.size == 1


def test_it_halves_when_a_batch_is_not_over_soon_any_more() -> None:
    window = Window(128)
    for _ in range(8):
        window.learn(window.size, 0.01)
    assert window.size == 128
    sizes = []
    for _ in range(4):
        window.learn(33, 33 * 0.015)  # The rest went back.
        sizes.append(window.size)
    assert sizes == [64, 32, 16, 16]


def test_it_says_when_it_will_not_grow() -> None:
    window, seen = Window(128), []
    for _ in range(7):
        seen.append((window.size, window.grown))
        window.learn(window.size, window.size * 0.005)
    assert seen == [(1, False), (2, False), (4, False), (8, False), (16, False), (32, False), (64, True)]
    assert Window(1).grown


def test_a_batch_that_was_not_full_says_nothing_of_more() -> None:
    window = Window(64)
    window.learn(1, 0.001)
    window.learn(1, 0.001)
    window.learn(0, 9.0)
    assert window.size == 2


def test_one_at_a_time_stays_one_at_a_time() -> None:
    assert settled(0.0, most=1) == 1
