"""Python values as PHP source."""

from __future__ import annotations

import base64
import json
from typing import Any


def literal(value: Any) -> str:
    """A PHP expression for a str, bytes, bool, number, None, list or dict."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return json.dumps(value)
    if isinstance(value, str):
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
    if isinstance(value, bytes):
        return f"base64_decode( '{base64.b64encode(value).decode()}' )"
    if isinstance(value, dict):
        return "array( " + ", ".join(f"{literal(k)} => {literal(v)}" for k, v in value.items()) + " )"
    if isinstance(value, (list, tuple)):
        return "array( " + ", ".join(literal(item) for item in value) + " )"
    raise TypeError(f"no PHP literal for {type(value).__name__}")
