"""Where a server's Unix socket can be."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from pathlib import Path

LONGEST = 100
"""Bytes. Linux takes 107 (unix(7)); MariaDB puts more beside it."""


def socket_path(folder: Path, name: str = "s.sock") -> Path:
    """The socket's path in `folder`, or in a short-named folder of its own where that is too long for a socket."""
    path = folder / name
    if len(str(path).encode()) <= LONGEST:
        return path
    short = Path(tempfile.mkdtemp(prefix="wpbg-"))
    atexit.register(shutil.rmtree, short, ignore_errors=True)
    return short / name
