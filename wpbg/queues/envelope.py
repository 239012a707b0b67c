"""The envelope a job travels in through a broker: what it says, and that it is ours.

::

    "wpbg1." | 64 hex digits | "." | PHP's serialize( array( 'v' => 1, 'id' => …, …, 'payload' => … ) )

The digits are an HMAC-SHA256, under a key that only the site knows, over `"wpbg1." | serialized`. Fields are
scalars: v, id (32 hex digits), queue, blog, callback, max_attempts, backoff (s), timeout (s or null), priority,
batch, at (ms since 1970), payload (bytes). The other half is `php-plugin/includes/class-envelope.php`.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import Any

import phpserialize

from wpbg.job import NewJob

PREFIX = b"wpbg1."
MAC = 64
BODY_LIMIT = 64 * 1024 * 1024
"""Bytes. A larger body is set aside unread."""


class BadEnvelope(Exception):
    """A body that is not executed. `kind` is the class of the error that people are shown."""

    kind = "DamagedJob"


class Forged(BadEnvelope):
    """The signature is not ours: another site's job, or somebody who has no business here."""

    kind = "ForgedJob"


@dataclass(frozen=True)
class Envelope:
    """An opened envelope. `body` is the whole of it, which PHP verifies once more before it reads the payload."""

    id: str
    queue: str
    body: bytes
    blog_id: int
    callback: str | None
    max_attempts: int
    backoff: int
    timeout: int | None
    priority: int
    batch: str | None
    at_ms: int


@dataclass(frozen=True)
class Seal:
    """The site's key. It is in no log, no argument and no environment."""

    key: bytes

    def __repr__(self) -> str:
        return "Seal(…)"

    def sign(self, fields: dict[str, Any]) -> bytes:
        """A body, as PHP makes it."""
        text: bytes = phpserialize.dumps(fields)
        return PREFIX + self._mac(text) + b"." + text

    def open(self, body: bytes) -> Envelope:
        """What is in a body. Raises `BadEnvelope`, `Forged`; nothing of an unsigned body is read."""
        if len(body) > BODY_LIMIT:
            raise BadEnvelope(f"It has {len(body)} bytes; {BODY_LIMIT} are the most.")
        start = len(PREFIX) + MAC + 1
        if not body.startswith(PREFIX) or body[start - 1 : start] != b".":
            raise Forged("It carries no signature of this site.")
        text = body[start:]
        if not hmac.compare_digest(self._mac(text), body[len(PREFIX) : start - 1]):
            raise Forged("Its signature is not this site's: it was changed on its way, or another site signed it.")
        try:
            return _plain(text, body) or _envelope(scalars(text), body)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError) as error:
            raise BadEnvelope(f"It is signed, but cannot be read ({type(error).__name__}: {error}).") from error

    def _mac(self, text: bytes) -> bytes:
        return hmac.new(self.key, PREFIX + text, hashlib.sha256).hexdigest().encode()


_PLAIN = re.compile(
    rb'a:12:\{s:1:"v";i:1;s:2:"id";s:32:"([0-9a-f]{32})";s:5:"queue";s:(\d+):"([^"]*)";s:4:"blog";i:(\d{1,18});'
    rb's:8:"callback";s:(\d+):"([^"]*)";s:12:"max_attempts";i:(-?\d{1,18});s:7:"backoff";i:(-?\d{1,18});'
    rb's:7:"timeout";(?:i:(-?\d{1,18})|N);s:8:"priority";i:(-?\d{1,18});s:5:"batch";(?:s:(\d+):"([^"]*)"|N);'
    rb's:2:"at";i:(\d{1,18});s:7:"payload";s:(\d+):"'
)
"""What both halves write, as long as no name has a quotation mark in it."""


def _plain(text: bytes, body: bytes) -> Envelope | None:
    """What `_envelope( scalars() )` makes of it, four times as fast; None where it is written otherwise."""
    found = _PLAIN.match(text)
    if found is None:
        return None
    identity, q_size, queue, blog, c_size, callback, most, backoff, timeout, priority, b_size, batch, at, size = (
        found.groups()
    )
    lengths = (
        int(q_size) == len(queue) and int(c_size) == len(callback) and (batch is None or int(b_size) == len(batch))
    )
    if not lengths or found.end() + int(size) + 3 != len(text) or not text.endswith(b'";}'):
        return None
    return Envelope(
        id=identity.decode(),
        queue=queue.decode(),
        body=body,
        blog_id=int(blog),
        callback=_text(callback),
        max_attempts=int(most),
        backoff=int(backoff),
        timeout=None if timeout is None else int(timeout),
        priority=int(priority),
        batch=_text(batch),
        at_ms=int(at),
    )


_SCALAR = re.compile(rb's:(\d+):"|i:(-?\d{1,20});|N;')


def scalars(text: bytes) -> dict[str, Any]:
    """A flat serialized array of names and scalars: bytes, int or None. Raises `ValueError` for any other.

    By hand, as each job of a broker is read by it: a reader of everything that PHP can write takes five times as long.
    """
    head = re.match(rb"a:(\d+):\{", text)
    if head is None:
        raise ValueError("no array")
    found: list[bytes | int | None] = []
    at, last = head.end(), len(text) - 1
    while at < last:
        scalar = _SCALAR.match(text, at)
        if scalar is None:
            raise ValueError(f"no scalar at byte {at}")
        at, size = scalar.end(), scalar[1]
        if size is None:
            found.append(None if scalar[2] is None else int(scalar[2]))
            continue
        end = at + int(size)
        if text[end : end + 2] != b'";':
            raise ValueError(f"no end of a string at byte {end}")
        found.append(text[at:end])
        at = end + 2
    if at != last or text[last:] != b"}" or len(found) != 2 * int(head[1]):
        raise ValueError("the array ends early")
    names = found[::2]
    if not all(isinstance(name, bytes) for name in names):
        raise ValueError("a key is no string")
    return {name.decode(): value for name, value in zip(names, found[1::2], strict=True) if isinstance(name, bytes)}


def _envelope(fields: dict[str, Any], body: bytes) -> Envelope:
    if fields["v"] != 1:
        raise ValueError(f"version {fields['v']}")
    identity = fields["id"].decode()
    if not re.fullmatch(r"[0-9a-f]{32}", identity):
        raise ValueError("id is not 32 hexadecimal digits")
    return Envelope(
        id=identity,
        queue=fields["queue"].decode(),
        body=body,
        blog_id=int(fields["blog"]),
        callback=_text(fields["callback"]),
        max_attempts=int(fields["max_attempts"]),
        backoff=int(fields["backoff"]),
        timeout=None if fields["timeout"] is None else int(fields["timeout"]),
        priority=int(fields["priority"]),
        batch=_text(fields["batch"]),
        at_ms=int(fields["at"]),
    )


def fields_of(job: NewJob, identity: str, at_ms: int) -> dict[str, Any]:
    """What the envelope of a job says, in its order."""
    return {
        "v": 1,
        "id": identity,
        "queue": job.queue,
        "blog": job.blog_id,
        "callback": job.callback or "",
        "max_attempts": job.max_attempts,
        "backoff": job.backoff,
        "timeout": job.timeout,
        "priority": job.priority,
        "batch": job.batch,
        "at": at_ms,
        "payload": job.payload,
    }


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("utf-8", "replace")
