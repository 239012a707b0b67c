"""Background jobs for WordPress: the worker, the queues and the command line."""

from __future__ import annotations

import time

__version__ = "0.1.0"

WALL_AHEAD = time.time() - time.monotonic()
"""Seconds that the wall clock was ahead of the monotonic one when this program began. What it differs by later,
somebody has moved it by."""
