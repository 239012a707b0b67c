"""A network cable between the worker host and a server: a TCP relay that can be pulled out and put back."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading

CHUNK = 65536


class Cable:
    """Relays `port` of `host` to a server's. While it is pulled out nothing gets through and nothing is refused, as
    with a dead network; what was on its way arrives afterwards, unless `cut` broke the connections as well."""

    def __init__(self, target: tuple[str, int], host: str = "127.0.0.1") -> None:
        self._target, self.host = target, host
        self._listener = socket.create_server((host, 0))
        self.port: int = self._listener.getsockname()[1]
        self._connected = threading.Event()
        self._connected.set()
        self._pairs: set[tuple[socket.socket, socket.socket]] = set()
        self._closed = False
        threading.Thread(target=self._accept, daemon=True).start()

    def pull_out(self) -> None:
        self._connected.clear()

    def put_back(self) -> None:
        self._connected.set()

    def cut(self) -> None:
        """Every connection ends with a reset."""
        for pair in list(self._pairs):
            for end in pair:
                with contextlib.suppress(OSError):
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                    end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._closed = True
        self._connected.set()
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        while not self._closed:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._relay, args=(client,), daemon=True).start()

    def _relay(self, client: socket.socket) -> None:
        self._connected.wait()
        try:
            server = socket.create_connection(self._target, 10)
        except OSError:
            client.close()
            return
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        pair = (client, server)
        self._pairs.add(pair)
        try:
            self._copy(client, server)
        except OSError:
            pass
        finally:
            self._pairs.discard(pair)
            for end in pair:
                end.close()

    def _copy(self, client: socket.socket, server: socket.socket) -> None:
        other = {client: server, server: client}
        with selectors.DefaultSelector() as selector:
            for end in other:
                selector.register(end, selectors.EVENT_READ, end)
            while True:
                for key, _ in selector.select():
                    self._connected.wait()
                    said: socket.socket = key.data
                    data = said.recv(CHUNK)
                    if not data or not self._lets_pass(data, said is server):
                        return
                    other[said].sendall(data)

    def _lets_pass(self, data: bytes, answers: bool) -> bool:
        """Whether what was said by the client, or `answers` it, gets to the other side; else the connection ends."""
        return True
