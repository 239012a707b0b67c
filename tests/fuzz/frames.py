"""Streams that no bridge would send, for the reader of its frames.

Whatever comes: an event or `ChannelBroken`, no other exception; no more memory than a frame and a message; and what
was framed whole, with nothing damaged before it, arrives.
"""

from __future__ import annotations

import json
import random
import struct
import zlib
from pathlib import Path

from wpbg.errors import ChannelBroken
from wpbg.runners.wire import FIRST, FRAME, HEADER, LAST, MARKER, MAX_MESSAGE, Event, FrameReader, Message, Printed

MARK = b"\x00\x01marker-16-byte"
ROOM = FRAME - MARKER - HEADER.size
KINDS = b"RSPOEDNB"
HELD = FRAME + MAX_MESSAGE
"""Bytes that a reader may keep."""


def frame(kind: bytes, flags: int, piece: bytes, mark: bytes = MARK) -> bytes:
    """One frame, written as class-channel.php does."""
    head = kind + bytes([flags]) + struct.pack(">H", len(piece))
    return mark + head + struct.pack(">I", zlib.crc32(head + piece)) + piece


def message(kind: bytes, body: bytes) -> bytes:
    """A message in as many frames as it takes."""
    pieces = [body[at : at + ROOM] for at in range(0, len(body), ROOM)] or [b""]
    last = len(pieces) - 1
    flags = [(FIRST if at == 0 else 0) | (LAST if at == last else 0) for at in range(len(pieces))]
    return b"".join(frame(kind, flag, piece) for flag, piece in zip(flags, pieces, strict=True))


def some_json(chance: random.Random, depth: int = 0) -> object:
    pick = chance.randrange(9 if depth < 3 else 6)
    if pick == 6:
        return [some_json(chance, depth + 1) for _ in range(chance.randrange(4))]
    if pick > 6:
        names = ("id", "pid", "code", "done", "total", "status", "result", "error", "why", "x")
        return {chance.choice(names): some_json(chance, depth + 1) for _ in range(chance.randrange(5))}
    return (None, True, chance.randint(-(2**70), 2**70), chance.random() * 1e300, "…\x00\x1b[2J", "7")[pick]


def piece(chance: random.Random) -> tuple[bytes, int]:
    """Something for the stream, and how many frames it is."""
    pick = chance.randrange(10)
    kind = bytes([chance.choice(KINDS.replace(b"R", b""))])
    if pick < 4:
        return message(kind, json.dumps({"a": some_json(chance)}).encode()), 1
    if pick == 4:
        size = chance.choice([0, 1, ROOM - 1, ROOM, ROOM + 1, 3 * ROOM])
        return message(b"O", chance.randbytes(size)), 1 + size // ROOM
    if pick == 5:
        return frame(kind, chance.randrange(256), chance.randbytes(chance.randrange(40))), 1
    if pick == 6:
        head = kind + bytes([chance.randrange(4)]) + struct.pack(">H", chance.choice([0, 4072, 4073, 65535]))
        return MARK + head + chance.randbytes(4 + chance.randrange(64)), 1
    if pick == 7:
        return MARK[: chance.randrange(17)] + chance.randbytes(chance.randrange(6)), 1
    if pick == 8:
        return message(kind, chance.randbytes(chance.randrange(60))), 1
    return chance.randbytes(chance.randrange(200)), 0


def damaged(data: bytes, chance: random.Random) -> bytes:
    """Cut off, spliced, written over, or as it is."""
    pick = chance.randrange(6)
    at = chance.randrange(len(data) + 1)
    if pick == 0:
        return data[:at]
    if pick == 1:
        return data[:at] + data[chance.randrange(len(data) + 1) :]
    if pick == 2 and data:
        changed = bytearray(data)
        changed[at % len(data)] ^= 1 << chance.randrange(8)
        return bytes(changed)
    if pick == 3:
        return data[:at] + MARK + data[at:]
    return data


def read(data: bytes, chance: random.Random) -> tuple[list[Event], str | None]:
    """What a reader makes of it in pieces of any size, and why it gave up."""
    reader, events, at = FrameReader(MARK), [], 0
    try:
        while at < len(data):
            step = chance.choice([1, 2, 15, 16, 17, 100, 4096, 65536])
            events += reader.feed(data[at : at + step])
            held = len(reader._buffer) + sum(map(len, reader._parts or []))
            assert held <= HELD, f"{held} bytes are held"
            assert len(reader._parts or []) <= MAX_MESSAGE, "empty pieces pile up"
            at += step
        events += reader.finish()
    except ChannelBroken as error:
        return events, error.message
    return events, None


def try_stream(seed: int) -> int:
    """One stream; how many frames were in it."""
    chance = random.Random(seed)
    pieces = [piece(chance) for _ in range(chance.randrange(1, 30))]
    frames = sum(count for _, count in pieces)
    whole = b"".join(data for data, _ in pieces)
    events, broken = read(damaged(whole, chance), chance)
    for event in events:
        assert isinstance(event, Message | Printed)
        assert not isinstance(event, Message) or isinstance(event.body, dict)
    good = b"".join(message(b"P", json.dumps({"n": n}).encode()) for n in range(3))
    noise = bytes(byte for byte in chance.randbytes(300) if byte != MARK[0])
    events, broken = read(noise + good + noise, chance)
    assert broken is None
    assert [event.body["n"] for event in events if isinstance(event, Message)] == [0, 1, 2]
    assert b"".join(event.data for event in events if isinstance(event, Printed)) == noise * 2
    return frames + 3


def try_corpus(folder: Path) -> int:
    """Streams that once were worth keeping."""
    files = sorted(folder.glob("*.frames"))
    for file in files:
        for seed in range(5):
            read(file.read_bytes(), random.Random(seed))
    return len(files)
