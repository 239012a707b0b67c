"""What is kept of what a run prints."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from wpbg.runners.base import Kept


@given(pieces=st.lists(st.binary(max_size=70), max_size=30))
def test_beginning_and_end_are_kept_and_the_gap_is_told(pieces: list[bytes]) -> None:
    kept = Kept(head=50, tail=100)
    for piece in pieces:
        kept.add(piece)
    whole = b"".join(pieces)
    value = kept.value()
    if len(whole) <= 150:
        assert value == whole
        return
    gap = f"\n… {len(whole) - 150:,} bytes were not kept …\n".encode()
    assert value == whole[:50] + gap + whole[-100:]


def test_memory_is_bounded() -> None:
    kept = Kept(head=1000, tail=1000)
    for _ in range(1000):
        kept.add(b"x" * 10_000)
    assert len(kept._tail) <= 12_000
    assert len(kept.value()) < 2100


def test_the_telling_line_is_the_last_error_else_the_last_line() -> None:
    kept = Kept()
    kept.add(b"one\nPHP Fatal error:  Uncaught X\n  thrown in y\n\n")
    assert kept.telling_line() == "PHP Fatal error:  Uncaught X"
    plain = Kept()
    plain.add(b"a\nlast words\n \n")
    assert plain.telling_line() == "last words"
    assert Kept().telling_line() == ""
