"""Where a broker's server is, as wp-config.php says it, and a connection to it."""

from __future__ import annotations

import re
import socket

HIGHEST_PORT = 65535


class BadAddress(ValueError):
    """Text that names no server; the message says what would."""


def parse(address: str, default_port: int) -> tuple[str, int] | str:
    """`host`, `host:port`, `[::1]:port`: host and port; `unix:/path`: the path. Raises `BadAddress`."""
    text = address.strip()
    if text.startswith("unix:"):
        return re.sub("^//", "", text.removeprefix("unix:"))
    found = re.fullmatch(r"(?:\[(?P<six>[^\]]*)\]|(?P<host>[^:\[\]/\s]*))(?::(?P<port>\d{1,9}))?", text)
    if found is None:
        raise BadAddress(f"{address!r} is no address: write host:port or [::1]:port")
    port = int(found["port"] or default_port)
    if not 1 <= port <= HIGHEST_PORT:
        raise BadAddress(f"{address!r} has no port between 1 and {HIGHEST_PORT}")
    return found["six"] or found["host"] or "127.0.0.1", port


def notice_loss(connection: socket.socket, seconds: float) -> None:
    """Have the kernel ask after so many seconds (at least 1) of silence whether there is still somebody at the other
    end, and give up when nobody has answered for four times as long: also while an answer is waited for.

    A server, a router or a network that is gone says nothing of it, and who waits for an answer sends nothing that
    could be refused. A server that only takes its time is there: its kernel answers. See tcp(7).
    """
    if connection.family not in (socket.AF_INET, socket.AF_INET6):
        return
    every = max(1, round(seconds))
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    options = {
        "TCP_KEEPIDLE": every,
        "TCP_KEEPALIVE": every,  # The same on macOS.
        "TCP_KEEPINTVL": every,
        "TCP_KEEPCNT": 3,
        "TCP_USER_TIMEOUT": 4000 * every,  # Of what was sent. Linux.
    }
    for name, value in options.items():
        if (option := getattr(socket, name, None)) is not None:
            connection.setsockopt(socket.IPPROTO_TCP, option, value)


def connect(address: str, default_port: int, timeout: float) -> socket.socket:
    """A connection; `timeout` (s) is for it and for each answer later on. Raises `OSError`, `ValueError`."""
    target = parse(address, default_port)
    if isinstance(target, tuple):
        connection = socket.create_connection(target, timeout)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(timeout)
    try:
        connection.connect(target)
    except BaseException:
        connection.close()
        raise
    return connection
