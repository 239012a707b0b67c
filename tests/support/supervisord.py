"""A real supervisord with configuration of a test's own, spoken to by supervisorctl."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.support.need import require
from tests.support.process import WorkerProcess
from tests.support.sockets import socket_path
from tests.support.wait import wait_for

_MAIN = """[unix_http_server]
file={socket}
[supervisord]
nodaemon=true
user={user}
logfile={folder}/supervisord.log
pidfile={folder}/pid
childlogdir={folder}
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix://{socket}
[include]
files={folder}/conf.d/*.conf
"""


class Supervisord:
    """One supervisord below `folder`. Programs' logs that would go to /var/log/supervisor go to `folder`."""

    def __init__(self, folder: Path, env: Mapping[str, str], user: str) -> None:
        self.folder = folder
        self.env = {**env, "WPBG_CACHE_DIR": str(folder / "cache")}
        (folder / "conf.d").mkdir(parents=True)
        (folder / "cache").mkdir(mode=0o700)
        self._main = folder / "main.conf"
        self._main.write_text(_MAIN.format(folder=folder, socket=socket_path(folder, "sock"), user=user))
        self._process: WorkerProcess | None = None

    def add(self, name: str, config: str) -> None:
        """A file of programs, as it would lie in conf.d."""
        file = self.folder / "conf.d" / f"{name}.conf"
        file.write_text(config.replace("/var/log/supervisor", str(self.folder)))

    def start(self) -> None:
        argv = [require("supervisord", "supervisor"), "-n", "-c", str(self._main)]
        self._process = WorkerProcess(argv, self.env, self.folder)
        wait_for(lambda: self.ctl("pid", check=False).stdout.strip().isdigit(), 60, "supervisord answers")

    def ctl(self, *args: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """`supervisorctl ARGS`, to its end."""
        argv = [require("supervisorctl", "supervisor"), "-c", str(self._main), *args]
        done = subprocess.run(argv, env=self.env, capture_output=True, text=True, timeout=200)
        if check:
            assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}\n{self.logs()}"
        return done

    def states(self) -> dict[str, tuple[str, int]]:
        """State and pid (0 where none) of every process, by its full name."""
        found = {}
        for line in self.ctl("status", check=False).stdout.splitlines():
            name, state, *rest = line.split()
            found[name] = (state, int(rest[1].rstrip(",")) if state == "RUNNING" else 0)
        return found

    def wait_until_all_run(self, number: int) -> dict[str, int]:
        """The pids by name, once `number` processes are RUNNING."""

        def all_run() -> dict[str, int] | None:
            states = self.states()
            assert "FATAL" not in str(states), f"{states}\n{self.logs()}"
            running = {name: pid for name, (state, pid) in states.items() if state == "RUNNING"}
            return running if len(running) == number == len(states) else None

        return wait_for(all_run, 90, f"{number} processes run") or {}

    def logs(self) -> str:
        """What supervisord and its programs wrote."""
        return "\n".join(f"== {file.name}\n{file.read_text()}" for file in sorted(self.folder.glob("*.log")))

    def stop(self) -> None:
        """End it and what it runs."""
        if self._process is not None:
            self.ctl("shutdown", check=False)
            self._process.terminate()
            try:
                self._process.wait(60)
            finally:
                self._process.stop()
            print(self.logs())
