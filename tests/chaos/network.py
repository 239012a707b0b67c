"""The network between the worker host and the servers: a namespace of its own, or relays on loopback."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import ExitStack

from tests.support.cable import Cable


class Network:
    """Workers reach the servers through it alone. Root gets a network namespace: while the cable is out, packets are
    gone, as on a dead link. Others get relays that hold everything back.
    """

    def __init__(self) -> None:
        self._cables: list[Cable] = []
        self._stack = ExitStack()
        self.name = f"chaos{os.getpid()}"
        self._link = f"ch{os.getpid()}"
        self.is_namespace = self._make_namespace()
        self.host = self._service if self.is_namespace else "127.0.0.1"

    @property
    def enter(self) -> list[str]:
        """What goes in front of a command that is to run on the worker host."""
        return ["nsenter", f"--net=/run/netns/{self.name}", "--"] if self.is_namespace else []

    def to(self, host: str, port: int) -> str:
        """The address at which a server is reached."""
        cable = Cable((host, port), self.host)
        self._cables.append(cable)
        self._stack.callback(cable.close)
        return f"{cable.host}:{cable.port}"

    def pull_out(self) -> None:
        if self.is_namespace:
            _ip("link", "set", self._link, "down")
        for cable in self._cables if not self.is_namespace else []:
            cable.pull_out()

    def put_back(self) -> None:
        if self.is_namespace:
            _ip("link", "set", self._link, "up")
        for cable in self._cables if not self.is_namespace else []:
            cable.put_back()

    def cut(self) -> None:
        """The servers' side of every connection is gone."""
        for cable in self._cables:
            cable.cut()

    def close(self) -> None:
        self._stack.close()

    def _make_namespace(self) -> bool:
        """A pair of virtual cards, one of them in the namespace; the servers' address is this machine's own."""
        if os.geteuid() != 0 or not shutil.which("ip") or not shutil.which("nsenter"):
            return False
        net = os.getpid() * 8 & 0xFFF8
        address = [f"10.254.{net >> 8}.{(net & 0xFF) + last}" for last in range(6)]
        self._service = address[5]
        inside = ("-n", self.name)
        steps = (
            (("netns", "add", self.name), ("netns", "del", self.name)),
            (("link", "add", self._link, "type", "veth", "peer", "name", "out", "netns", self.name), None),
            (("addr", "add", f"{self._service}/32", "dev", "lo"), ("addr", "del", f"{self._service}/32", "dev", "lo")),
            (("addr", "add", f"{address[1]}/30", "dev", self._link), None),
            (("link", "set", self._link, "up"), None),
            ((*inside, "addr", "add", f"{address[2]}/30", "dev", "out"), None),
            ((*inside, "link", "set", "lo", "up"), None),
            ((*inside, "link", "set", "out", "up"), None),
            ((*inside, "route", "add", f"{self._service}/32", "via", address[1]), None),
        )
        for do, undo in steps:
            if not _ip(*do):
                self._stack.close()
                return False
            if undo:
                self._stack.callback(_ip, *undo)
        return True


def _ip(*arguments: str) -> bool:
    return subprocess.run(["ip", *arguments], capture_output=True).returncode == 0
