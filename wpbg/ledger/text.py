"""Text from jobs, made safe to show on a terminal."""

from __future__ import annotations

import re

_SEQUENCES = re.compile(
    r"\x1b(?:"
    r"\[[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor
    r"|[\]PX^_][^\x07\x1b\n]*(?:\x07|\x1b\\)"  # OSC (window title, links) and other strings, to their end
    r"|[ -/]*[0-~]"
    r")"
)
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")


def printable(text: str) -> str:
    """`text` without what commands a terminal: escape sequences, control characters but line feed and tab.

    Characters that reorder what is written around them (bidirectional overrides) go as well. A string
    sequence that is not ended on its line loses its beginning only: what follows is not hidden.
    """
    return _CONTROLS.sub("", _SEQUENCES.sub("", text.replace("\r\n", "\n")))
