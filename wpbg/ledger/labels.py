"""What a job calls, read from its payload, for rows whose `callback` column is empty.

Only as far as the name: everything else in a payload is PHP's to read.
"""

from __future__ import annotations

import io
import re
from typing import Any

import phpserialize

_OBJECT = re.compile(rb'\AO:\d+:"[^"]*":(\d+):\{')
UNKNOWN = "(unknown)"


def callback_label(payload: bytes) -> str:
    """The function's name, `Class::method`, `Class->method` or the hook; `(unknown)` where it cannot be read.

    The beginning of a payload is enough. Never raises: a damaged payload must not keep a list from
    being shown.
    """
    found = _OBJECT.match(payload)
    if found is None:
        return UNKNOWN
    stream = io.BytesIO(payload[found.end() :])
    try:
        for _ in range(min(int(found[1]), 50)):
            key = _read(stream)
            value = _read(stream)
            if key in ("function", "hook"):
                return _name(value)
    except Exception:  # phpserialize has no error class of its own, and what it reads is anybody's.
        return UNKNOWN
    return UNKNOWN


def _read(stream: io.BytesIO) -> Any:
    return phpserialize.load(stream, decode_strings=True, errors="replace", object_hook=phpserialize.phpobject)


def _name(function: Any) -> str:
    """A callable as PHP people write it."""
    if isinstance(function, str):
        return function or UNKNOWN
    if isinstance(function, phpserialize.phpobject):
        return f"{function.__name__}->__invoke"
    if isinstance(function, dict) and set(function) == {0, 1} and isinstance(function[1], str):
        target, method = function[0], function[1]
        if isinstance(target, phpserialize.phpobject):
            return f"{target.__name__}->{method}"
        if isinstance(target, str):
            return f"{target}::{method}"
    return UNKNOWN
