"""The workloads of WP Gears and WP Minions: JSON, unsigned, and able to fire a hook with plain data. No I/O."""

from __future__ import annotations

import json
import math
from typing import Any

import phpserialize

from wpbg.queues.envelope import BadEnvelope, Envelope


def from_minions(workload: bytes, queue: str, identity: str) -> Envelope:
    """A job of such a workload. Raises `BadEnvelope`.

    It carries no signature, so nothing of it is ever unserialized: what PHP reads is made here, of JSON.
    """
    try:
        told = json.loads(workload, parse_constant=_refuse)
        hook, blog = told["hook"], told.get("blog_id") or 0
        if isinstance(blog, str) and blog.isascii() and blog.isdigit():
            blog = int(blog)
        if not isinstance(hook, str) or not hook or not isinstance(blog, int):
            raise TypeError("hook or blog_id")
        job = phpserialize.phpobject("stdClass", {"hook": hook, "user_data": _plain(told.get("args"))})
        body: bytes = phpserialize.dumps(job, object_hook=lambda item: item)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError) as error:
        raise BadEnvelope(f"It is no workload of WP Gears or WP Minions ({type(error).__name__}: {error}).") from error
    return Envelope(
        id=identity,
        queue=queue,
        body=body,
        blog_id=blog,
        callback=hook,
        max_attempts=3,
        backoff=30,
        timeout=None,
        priority=0,
        batch=None,
        at_ms=0,
    )


def _refuse(word: str) -> Any:
    """NaN and Infinity, which are no JSON."""
    raise ValueError(f"{word} is no JSON")


def _plain(value: Any) -> Any:
    """JSON as json_decode( …, true ) gives it: numbers beyond PHP's integers become floats."""
    if isinstance(value, dict):
        return {_key(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, int) and not isinstance(value, bool) and not -(2**63) <= value < 2**63:
        return float(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("a number is beyond what a float holds")
    return value


def _key(key: str) -> str | int:
    """PHP turns keys that look like integers into integers."""
    looks = key.removeprefix("-").isascii() and key.removeprefix("-").isdigit() and str(int(key)) == key
    return int(key) if looks and -(2**63) <= int(key) < 2**63 else key
