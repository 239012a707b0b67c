"""A process that speaks the bridge's protocol as PHP does in the loop lifetime: what it does is the job's payload."""

from __future__ import annotations

import json
import os
import select
import signal
import struct
import sys
import time
import zlib
from pathlib import Path

MARKER = os.urandom(16)
APART = 2
"""A blog that has other plugins."""
AHEAD = 12345.6
"""Seconds that this clock is ahead of the worker's."""


def clock() -> float:
    return time.monotonic() + AHEAD


class TermError(Exception):
    """The job was asked to stop."""


def terminated(*_: object) -> None:
    raise TermError


def receive() -> tuple[bytes, dict, bytes]:
    head = read(5)
    length, kind = struct.unpack(">I", head[:4])[0], head[4:]
    body = read(length)
    if kind != b"J":
        return kind, json.loads(body or b"{}"), b""
    size = struct.unpack(">I", body[:4])[0]
    return kind, json.loads(body[4 : 4 + size]), body[4 + size :]


def read(length: int) -> bytes:
    data = b""
    while len(data) < length:
        more = os.read(0, length - len(data))
        if not more:
            sys.exit()
        data += more
    return data


def send(kind: bytes, body: dict, marker: bytes = MARKER) -> None:
    piece = json.dumps(body).encode()
    head = kind + bytes([3]) + struct.pack(">H", len(piece))
    os.write(1, marker + head + struct.pack(">I", zlib.crc32(head + piece)) + piece)


def work(words: list[str]) -> None:
    if words[0] == "sleep":
        time.sleep(float(words[1]))
    elif words[0] == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    elif words[0] == "stderr":
        os.write(2, f"said {words[1]}\n".encode())


def main() -> None:
    begun = Path(sys.argv[1])
    _, hello, _ = receive()
    ready = {"protocol": 1, "marker": MARKER.hex(), "pid": os.getpid()}
    send(b"R", ready, bytes.fromhex(hello["nonce"]))
    while True:
        kind, head, payload = receive()
        if kind != b"J":
            return
        told = {"id": head["id"], "number": head["number"], "pid": os.getpid(), "clock": clock()}
        if head["blog_id"] == APART and sys.argv[2] != str(APART):
            send(b"N", told)
            continue
        words = payload.decode().split()
        if words[0] == "dawdle":  # It stood still between the two looks at the clock.
            send(b"S", told)
            time.sleep(float(words[1]))
        if "until" in head and clock() > head["until"]:
            send(b"L", told)
            continue
        if words[0] != "dawdle":
            send(b"S", told)
        waiting = bool(select.select([0], [], [], 0)[0])
        with begun.open("a") as file:
            file.write(f"{head['id']}\n")
        if "until" in head:
            os.write(2, MARKER + struct.pack(">I", head["number"]))
        signal.signal(signal.SIGTERM, terminated)
        try:
            work(words)
        except TermError:
            error = {"class": "Stopped", "message": "It was asked to stop."}
            send(b"E", {"id": head["id"], "status": "failed", "halt": "stopped", "error": error})
            continue
        finally:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        send(b"E", {"id": head["id"], "status": "completed", "result": json.dumps(waiting), "runtime_ms": 0})
        if words[0] == "nap":  # Between two jobs.
            time.sleep(float(words[1]))


if __name__ == "__main__":
    main()
