"""`--metrics HOST:PORT`: /metrics, /healthz and /readyz over HTTP."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client.exposition import choose_encoder

from wpbg.errors import UsageError
from wpbg.ledger import Ledger
from wpbg.log import Log
from wpbg.metrics.instruments import Instruments
from wpbg.metrics.site_view import SiteView
from wpbg.pool import STALLED, Pool

PATIENCE = 10.0
"""Seconds a client has to say what it wants."""

Answer = tuple[int, str, bytes]

TEXT = "text/plain; charset=utf-8"


def listen_address(text: str) -> tuple[str, int]:
    """`127.0.0.1:9100`, `[::1]:9100`, `9100` (this machine only). Raises `UsageError`."""
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]") if colon else "127.0.0.1"
    if not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise UsageError(f"--metrics {text!r} is no address: write HOST:PORT, such as 127.0.0.1:9100.")
    return host, int(port)


class MetricsServer:
    """Holds its port from the beginning on, so that a taken one is known before any job runs.

    Raises `UsageError` when it cannot have it.
    """

    def __init__(self, address: str, instruments: Instruments, log: Log) -> None:
        self._instruments, self._log = instruments, log
        host, port = listen_address(address)
        try:
            family, _, _, _, _ = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            self._server = _Server(family, (host, port))
        except OSError as error:
            raise UsageError(
                f"--metrics {address}: nobody can listen there ({error.strerror or error}). Choose another port; "
                "each worker process needs its own."
            ) from error
        self._pool: Pool | None = None

    @contextlib.contextmanager
    def serving(self, pool: Pool, ledger: Ledger) -> Iterator[None]:
        """Answer while the pool works."""
        view = SiteView(pool, ledger)
        self._instruments.registry.register(view)
        self._server.answer, self._pool = self._answer, pool
        thread = threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True)
        thread.start()
        host, port = self._server.server_address[:2]
        shown = f"[{host!s}]" if ":" in str(host) else str(host)
        self._log.event("metrics.listening", f"http://{shown}:{port}/metrics", address=f"{shown}:{port}")
        try:
            yield
        finally:
            self._server.shutdown()
            thread.join()
            self._server.server_close()
            view.close()

    def _answer(self, path: str, accept: str) -> Answer:
        if path == "/metrics":
            encode, content_type = choose_encoder(accept)
            return 200, content_type, encode(self._instruments.registry)
        assert self._pool is not None
        if path == "/healthz":
            silent = time.monotonic() - self._pool.turned_at
            wrong = "" if silent < STALLED else f"the worker has not looked around for {silent:.0f} s"
        elif path == "/readyz":
            wrong = self._pool.not_ready
        elif path == "/":
            return 200, TEXT, b"wpbg: /metrics /healthz /readyz\n"
        else:
            return 404, TEXT, b"There are /metrics, /healthz and /readyz.\n"
        return (503, TEXT, f"{wrong}\n".encode()) if wrong else (200, TEXT, b"ok\n")


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    answer: Callable[[str, str], Answer]

    def __init__(self, family: int, address: tuple[str, int]) -> None:
        self.address_family = family
        self.answer = lambda path, accept: (503, TEXT, b"starting\n")
        super().__init__(address, _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hung up is no event."""


class _Handler(BaseHTTPRequestHandler):
    timeout = PATIENCE
    server: _Server
    server_version, sys_version = "wpbg", ""

    def do_GET(self) -> None:
        code, content_type, body = self.server.answer(self.path.partition("?")[0], self.headers.get("Accept", ""))
        self.send_response(code)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_GET

    def log_message(self, format: str, *args: Any) -> None:
        """Scrapes are no events."""
