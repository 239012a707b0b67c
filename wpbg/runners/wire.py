"""The bridge's frames: bytes in, messages out, and the other way round. No I/O.

From PHP (stdout), frames of at most 4096 bytes, so that the kernel writes each in one piece::

    marker 16 | type 1 | flags 1 (1 first, 2 last) | length 2 | crc32 4 | up to 4072 bytes

Everything outside of a frame is what the job printed. The marker is the PHP process's own, told in
`ready`; until then it is the nonce that we sent. To PHP (stdin): `length 4 | type 1 | body`, where the
body of a job is `length 4 | JSON | payload`. Numbers are big-endian. The other half of this module is
`php-plugin/includes/class-channel.php`.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections import deque
from dataclasses import dataclass
from typing import Any, TypeAlias

from wpbg.errors import ChannelBroken

PROTOCOL = 1
MARKER = 16
HEADER = struct.Struct(">cBHI")
FRAME = 4096
FIRST, LAST = 1, 2
MAX_MESSAGE = 4 * 1024 * 1024
"""Bytes of one message put together from its frames. The bridge sends none larger: results end at 1 MiB."""

READY, STARTED, PROGRESS, OUTPUT, OUTCOME, GONE = b"R", b"S", b"P", b"O", b"E", b"D"
NOT_HERE, LATE, BYE = b"N", b"L", b"B"
HELLO, JOB, END, QUIT = b"H", b"J", b"X", b"Q"
"""What the letters mean is told at `class-bridge.php`."""


@dataclass(frozen=True)
class Message:
    """One message of the bridge. `body` is what its JSON says."""

    type: bytes
    body: dict[str, Any]


@dataclass(frozen=True)
class Printed:
    """Bytes that the job printed, framed by the bridge or written past it."""

    data: bytes


Event: TypeAlias = "Message | Printed"


_ENCODE = json.JSONEncoder(separators=(",", ":")).encode
"""Made once: `json.dumps` makes one a call."""


def encode(kind: bytes, head: dict[str, Any], payload: bytes | None = None) -> bytes:
    """A message to PHP. Only a job has a payload."""
    text = _ENCODE(head).encode()
    body = text if payload is None else struct.pack(">I", len(text)) + text + payload
    return struct.pack(">I", len(body)) + kind + body


class FrameReader:
    """Takes bytes as they come and gives the events in them. Keeps at most one frame and one message.

    Raises `ChannelBroken` when a frame is damaged: the marker is there, the checksum is wrong. What came before it is
    given first; `check` raises then.
    """

    def __init__(self, marker: bytes) -> None:
        self.marker = marker
        self._buffer = bytearray()
        self._type = b""
        self._parts: list[bytes] | None = None
        self._size = 0
        self._broken: ChannelBroken | None = None

    def check(self) -> None:
        """Raises what is wrong with the bytes behind the last event."""
        if self._broken is not None:
            raise self._broken

    def use_marker(self, marker: bytes) -> None:
        """From here on frames begin with `marker` (16 bytes)."""
        if len(marker) != MARKER:
            raise ChannelBroken("The bridge sent a marker that is not 16 bytes long.")
        self.marker = marker

    def feed(self, data: bytes) -> list[Event]:
        """The events that are complete now."""
        self.check()
        self._buffer += data
        events: list[Event] = []
        try:
            self._take(events)
        except ChannelBroken as error:
            if not events:
                raise
            self._broken = error
        return events

    def _take(self, events: list[Event]) -> None:
        while self._buffer:
            at = self._buffer.find(self.marker)
            if at < 0:
                self._give_printed(events, len(self._buffer) - self._possible_marker())
                break
            self._give_printed(events, at)
            if not self._take_frame(events):
                break

    def finish(self) -> list[Event]:
        """The stream has ended: what is left is a part of a frame, or was printed."""
        self.check()
        events: list[Event] = []
        if not self._buffer.startswith(self.marker):
            self._give_printed(events, len(self._buffer))
        self._buffer.clear()
        return events

    def _give_printed(self, events: list[Event], length: int) -> None:
        if length > 0:
            events.append(Printed(bytes(self._buffer[:length])))
            del self._buffer[:length]

    def _possible_marker(self) -> int:
        """How many bytes at the end may be the beginning of a marker."""
        for length in range(min(MARKER - 1, len(self._buffer)), 0, -1):
            if self._buffer.endswith(self.marker[:length]):
                return length
        return 0

    def _take_frame(self, events: list[Event]) -> bool:
        """Takes the frame at the start of the buffer; False while it is not all there."""
        start = MARKER + HEADER.size
        if len(self._buffer) < start:
            return False
        kind, flags, length, checksum = HEADER.unpack_from(self._buffer, MARKER)
        if start + length > FRAME:
            raise ChannelBroken(f"The bridge sent a frame of {start + length} bytes; {FRAME} is the most.")
        if len(self._buffer) < start + length:
            return False
        piece = bytes(self._buffer[start : start + length])
        if zlib.crc32(self._buffer[MARKER : MARKER + 4] + piece) != checksum:
            raise ChannelBroken("A frame of the bridge was damaged: something else wrote into the middle of it.")
        del self._buffer[: start + length]
        self._take_piece(events, kind, flags, piece)
        return True

    def _take_piece(self, events: list[Event], kind: bytes, flags: int, piece: bytes) -> None:
        if kind == OUTPUT:
            events.append(Printed(piece))
            return
        if flags & FIRST:
            self._type, self._parts, self._size = kind, [], 0
        if self._parts is None or kind != self._type:
            raise ChannelBroken("The bridge sent the rest of a message without its beginning.")
        if piece:  # Any number of empty ones is nothing.
            self._parts.append(piece)
            self._size += len(piece)
        if self._size > MAX_MESSAGE:
            raise ChannelBroken(f"The bridge sent a message of more than {MAX_MESSAGE} bytes.")
        if flags & LAST:
            message = Message(kind, _parse(b"".join(self._parts)))
            self._parts = None
            if kind == READY:
                self.use_marker(_marker(message.body))
            events.append(message)


class Speech:
    """What comes over stderr, by the job that wrote it: where one follows another at once, PHP writes the marker there
    and the number of the job that it begins (4 bytes)."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._parts: deque[tuple[int, bytes]] = deque()
        self._number = 0

    def feed(self, data: bytes, marker: bytes, more: bool) -> None:
        """Bytes as they come; `more`: this may end in the middle of a marker, and the rest comes at once."""
        self._buffer += data
        while (at := self._buffer.find(marker)) >= 0 and len(self._buffer) >= at + MARKER + 4:
            self._keep(at)
            self._number = struct.unpack_from(">I", self._buffer, MARKER)[0]
            del self._buffer[: MARKER + 4]
        self._keep(max(0, len(self._buffer) - MARKER - 4) if more else len(self._buffer))

    def take(self, number: int) -> bytes:
        """What was said before the job with the next number began."""
        said = []
        while self._parts and self._parts[0][0] <= number:
            said.append(self._parts.popleft()[1])
        return b"".join(said)

    def _keep(self, length: int) -> None:
        if length:
            self._parts.append((self._number, bytes(self._buffer[:length])))
            del self._buffer[:length]


def _parse(text: bytes) -> dict[str, Any]:
    try:
        body = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ChannelBroken(f"The bridge sent a message that is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise ChannelBroken("The bridge sent a message that is not a JSON object.")
    return body


def _marker(ready: dict[str, Any]) -> bytes:
    try:
        return bytes.fromhex(str(ready.get("marker", "")))
    except ValueError as error:
        raise ChannelBroken("The bridge sent a marker that is not hexadecimal.") from error
