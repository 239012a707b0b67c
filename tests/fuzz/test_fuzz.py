"""A short round of what `script/fuzz` does for long, and what it found."""

from __future__ import annotations

from pathlib import Path

from tests.fuzz import envelopes, frames
from tests.fuzz.frames import frame
from wpbg.runners.wire import FIRST, FrameReader

CORPUS = Path(__file__).parent / "corpus"


def test_frames() -> None:
    assert frames.try_corpus(CORPUS) > 0
    assert sum(frames.try_stream(seed) for seed in range(400)) > 3000


def test_envelopes() -> None:
    assert envelopes.try_corpus(CORPUS) > 0
    for seed in range(1500):
        envelopes.try_envelope(seed)
        envelopes.try_payload(seed)


def test_empty_pieces_of_a_message_without_end_take_no_memory() -> None:
    reader = FrameReader(frames.MARK)
    reader.feed(frame(b"P", FIRST, b"{"))
    for _ in range(1000):
        reader.feed(frame(b"P", 0, b""))
    assert reader._parts == [b"{"]


def test_a_length_that_is_a_lie_takes_no_memory() -> None:
    for text in (b's:99999999999:"' * 50, b"a:1000000000:{" * 50, b"i:" + b"9" * 100_000 + b";"):
        assert envelopes.memory_of(text) < 2_000_000
