"""Frames: whatever the pieces they come in and whatever is printed around them."""

from __future__ import annotations

import itertools
import json
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wpbg.errors import ChannelBroken
from wpbg.runners import wire
from wpbg.runners.wire import FIRST, FRAME, HEADER, LAST, MARKER, MAX_MESSAGE, FrameReader, Message, Printed

MARK = b"\x00\x00\x00marker-16-byt"
ROOM = FRAME - MARKER - HEADER.size


def frame(kind: bytes, flags: int, piece: bytes, mark: bytes = MARK) -> bytes:
    """One frame, written as class-channel.php does."""
    head = kind + bytes([flags]) + struct.pack(">H", len(piece))
    return mark + head + struct.pack(">I", zlib.crc32(head + piece)) + piece


def message(kind: bytes, body: bytes, mark: bytes = MARK) -> bytes:
    pieces = [body[at : at + ROOM] for at in range(0, len(body), ROOM)] or [b""]
    last = len(pieces) - 1
    return b"".join(
        frame(kind, (FIRST if at == 0 else 0) | (LAST if at == last else 0), piece, mark)
        for at, piece in enumerate(pieces)
    )


def read(data: bytes, cuts: list[int] | None = None) -> tuple[bytes, list[Message]]:
    """All that was printed, and the messages; `data` is fed in pieces cut at `cuts`."""
    reader = FrameReader(MARK)
    events = []
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts or []), len(data)]
    for start, end in itertools.pairwise(edges):
        events += reader.feed(data[start:end])
    events += reader.finish()
    printed = b"".join(event.data for event in events if isinstance(event, Printed))
    return printed, [event for event in events if isinstance(event, Message)]


@given(
    parts=st.lists(
        st.one_of(
            st.tuples(st.just("print"), st.binary(max_size=300)),
            st.tuples(st.just("frame"), st.dictionaries(st.text(max_size=5), st.text(max_size=6000), max_size=3)),
            st.tuples(st.just("output"), st.binary(min_size=1, max_size=300)),
        ),
        max_size=8,
    ),
    cuts=st.lists(st.integers(0, 30000), max_size=12),
)
def test_every_message_and_every_printed_byte_arrives_in_order(parts: list, cuts: list[int]) -> None:
    data, printed, bodies = b"", b"", []
    for kind, value in parts:
        if kind == "frame":
            data += message(wire.PROGRESS, json.dumps(value).encode())
            bodies.append(value)
        elif kind == "output":
            data += message(wire.OUTPUT, value)
            printed += value
        else:
            value = value.replace(MARK, b"")
            data += value
            printed += value
    # Closed with a byte that begins no marker, so that nothing is held back.
    printed_now, messages = read(data + b"#", cuts)
    printed += b"#"
    assert printed_now == printed
    assert [item.body for item in messages] == bodies


def test_the_beginning_of_a_marker_is_printed_when_nothing_follows() -> None:
    reader = FrameReader(MARK)
    assert reader.feed(b"text" + MARK[:7]) == [Printed(b"text")]
    assert reader.feed(b"!") == [Printed(MARK[:7] + b"!")]
    assert reader.feed(MARK[:5]) == []
    assert reader.finish() == [Printed(MARK[:5])]


def test_ready_names_the_marker_of_all_later_frames() -> None:
    theirs = bytes(range(16))
    reader = FrameReader(MARK)
    ready = json.dumps({"marker": theirs.hex()}).encode()
    events = reader.feed(message(wire.READY, ready) + message(wire.BYE, b"{}", theirs))
    assert [event.type for event in events if isinstance(event, Message)] == [wire.READY, wire.BYE]
    assert reader.feed(message(wire.BYE, b"{}", MARK) + b"x" * 16)  # the nonce means nothing any more
    assert all(isinstance(event, Printed) for event in reader.feed(MARK))


@pytest.mark.parametrize("at", range(MARKER, MARKER + HEADER.size + 4))
def test_a_flipped_bit_is_a_broken_channel_not_a_message(at: int) -> None:
    data = bytearray(message(wire.OUTCOME, b'{"a":1}'))
    data[at] ^= 0x40
    reader = FrameReader(MARK)
    with pytest.raises(ChannelBroken):
        # A damaged length may ask for more bytes than came: what follows fills it up.
        reader.feed(bytes(data) + b"\xff" * FRAME)


def test_a_frame_longer_than_the_kernel_writes_in_one_piece_is_refused_by_its_length() -> None:
    head = wire.OUTCOME + bytes([FIRST | LAST]) + struct.pack(">H", ROOM + 1)
    with pytest.raises(ChannelBroken, match="4096"):
        FrameReader(MARK).feed(MARK + head + b"\0\0\0\0")


@pytest.mark.parametrize(
    "data",
    [
        frame(wire.OUTCOME, LAST, b"{}"),
        frame(wire.OUTCOME, FIRST, b"{") + frame(wire.PROGRESS, LAST, b"}"),
        message(wire.OUTCOME, b"not json"),
        message(wire.OUTCOME, b"[1]"),
        message(wire.OUTCOME, b"[" * 100_000),
        message(wire.READY, b'{"marker":"zz"}'),
        message(wire.READY, b'{"marker":"00"}'),
        message(wire.READY, b"{}"),
    ],
)
def test_what_no_bridge_sends_is_a_broken_channel(data: bytes) -> None:
    with pytest.raises(ChannelBroken):
        FrameReader(MARK).feed(data)


def test_a_message_without_end_is_given_up_at_its_limit() -> None:
    reader = FrameReader(MARK)
    reader.feed(frame(wire.OUTCOME, FIRST, b" " * ROOM))
    with pytest.raises(ChannelBroken, match="more than"):
        for _ in range(MAX_MESSAGE // ROOM + 2):
            reader.feed(frame(wire.OUTCOME, 0, b" " * ROOM))


def test_a_message_cut_off_by_a_new_one_is_forgotten() -> None:
    _, messages = read(frame(wire.PROGRESS, FIRST, b'{"done":') + message(wire.OUTCOME, b'{"ok":true}'))
    assert [item.body for item in messages] == [{"ok": True}]


def test_a_frame_that_its_process_did_not_finish_is_not_printed() -> None:
    printed, messages = read(b"before" + message(wire.OUTCOME, b'{"a":1}')[:-3])
    assert (printed, messages) == (b"before", [])


def test_a_job_is_length_type_length_json_payload() -> None:
    data = wire.encode(wire.JOB, {"id": "7"}, b"\x00payload\xff")
    (length,) = struct.unpack(">I", data[:4])
    assert length == len(data) - 5
    assert data[4:5] == b"J"
    (size,) = struct.unpack(">I", data[5:9])
    assert json.loads(data[9 : 9 + size]) == {"id": "7"}
    assert data[9 + size :] == b"\x00payload\xff"
