"""A real systemd that a test starts for itself: process 1 of namespaces of its own, with units of the test's.

The machine's own systemd, if there is one, knows nothing of it. What it needs of the kernel (namespaces, a cgroup of
version 2) only root can have, and not in every container: elsewhere the test is skipped, on CI machines as well.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.need import require
from tests.support.process import WorkerProcess
from tests.support.wait import wait_for

PROGRAM = Path("/lib/systemd/systemd")

UNITS = "/etc/systemd/system"
"""Where an administrator's units are: inside, the test's folder is there."""

_TARGETS = ("basic", "sysinit", "shutdown", "umount", "multi-user", "network-online")

_PASSED = {"PATH", "HOME", "WP_CLI_ALLOW_ROOT", "WPBG_CACHE_DIR"}
"""Of the environment, what services get. (A unit may say otherwise.)"""

# Only what is private to the namespaces is changed: its mounts are nobody else's (`private`), the cgroup is its own.
_INSIDE = f"""set -eu
mount -t proc proc /proc
mount -o bind,ro /proc/sys /proc/sys
umount -R /sys/fs/cgroup 2>/dev/null || true
mount -t cgroup2 none /sys/fs/cgroup
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd
mount --rbind /etc /etc
mount -o remount,bind,ro /etc
mount --bind "$1" {UNITS}
shift
exec {PROGRAM} --system --unit=idle.target --log-target=console
"""


class Systemd:
    """Runs from `start()` to `stop()`; what is typed there, and its services, have the environment `env`."""

    def __init__(self, folder: Path, env: Mapping[str, str]) -> None:
        self.units = folder / "units"
        self.units.mkdir(parents=True)
        self._env = env
        self._cgroup: Path | None = None
        self._process: WorkerProcess | None = None
        self._pid = 0
        for name in _TARGETS:
            (self.units / f"{name}.target").write_text(f"[Unit]\nDescription={name}\nDefaultDependencies=no\n")
        # Nobody keeps a journal there.
        (self.units / "service.d").mkdir()
        self._said = folder / "services.log"
        (self.units / "service.d/log.conf").write_text(
            f"[Service]\nStandardOutput=append:{self._said}\nStandardError=append:{self._said}\n"
        )
        (self.units / "idle.target").write_text("[Unit]\nDescription=Nothing yet\nDefaultDependencies=no\n")

    def start(self) -> None:
        """Skips the test where this machine does not let it."""
        programs = [require(name, "util-linux") for name in ("setpriv", "unshare", "nsenter")]
        require("systemctl", "systemd")
        if os.geteuid() != 0 or not PROGRAM.exists() or not Path(UNITS).is_dir():
            pytest.skip("starting a systemd takes root")
        self._cgroup = _new_cgroup()
        if self._cgroup is None:
            pytest.skip("starting a systemd takes a cgroup of version 2 that can be written to")
        join = f'echo $$ >{self._cgroup}/cgroup.procs; exec "$@"'
        # unshare lets TERM pass: KILL when the test run ends, and then all that it has started.
        argv = ["/bin/sh", "-c", join, "sh", programs[0], "--pdeathsig", "KILL", "--", programs[1], "--pid", "--fork",
                "--mount", "--uts", "--ipc", "--cgroup", "--propagation", "private", "--kill-child=SIGKILL",
                "/bin/sh", "-c", _INSIDE, "sh", str(self.units)]  # fmt: skip
        env = {"PATH": os.environ["PATH"], "container": "wpbg-test", "SYSTEMD_UNIT_PATH": UNITS}
        self._process = WorkerProcess(argv, env, self.units)
        wait_for(self._is_up, 60, "systemd runs, or does not")
        if self._process.returncode is not None:
            pytest.skip(f"systemd cannot be started here: {self._process.log}")
        self.ctl(f"import-environment {' '.join(_PASSED & self._env.keys())}")

    def _is_up(self) -> bool:
        assert self._process is not None
        if self._process.returncode is not None:
            return True
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        with contextlib.suppress(OSError, IndexError):
            self._pid = int(children.read_text().split()[0])
            return self.run("systemctl is-system-running || true").stdout.strip() in ("running", "degraded")
        return False

    def run(self, script: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """What an administrator, root, types; the shell is bash."""
        return subprocess.run(
            ["nsenter", "-t", str(self._pid), "-a", f"--wdns={cwd or self.units}", "bash", "-c", script],
            env=dict(self._env), capture_output=True, text=True, timeout=200, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def ctl(self, words: str) -> str:
        """`systemctl WORDS`, which has to go well; what it printed."""
        done = self.run(f"systemctl --no-pager {words}")
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}\n{self.log}"
        return done.stdout.strip()

    @property
    def log(self) -> str:
        """What systemd and the services wrote."""
        said = self._said.read_text() if self._said.exists() else ""
        return f"{self._process.log if self._process else ''}\n{said}"

    def stop(self) -> None:
        if self._process is not None:
            self._process.stop()  # Process 1 of its namespace: all that it has started ends with it.
        if self._cgroup is not None:
            wait_for(lambda: _remove(self._cgroup), 30, "its cgroup is empty")  # type: ignore[arg-type]
        shutil.rmtree(self.units, ignore_errors=True)


def _new_cgroup() -> Path | None:
    """A cgroup of version 2 of our own; None where there can be none."""
    for mounted in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified"):
        made = Path(mounted) / f"wpbg-test-{os.getpid()}"
        if (Path(mounted) / "cgroup.procs").exists() and (Path(mounted) / "cgroup.controllers").exists():
            with contextlib.suppress(OSError):
                made.mkdir(exist_ok=True)
                return made
    return None


def _remove(cgroup: Path) -> bool:
    """Whether the cgroup and those in it are gone."""
    for folder in sorted(cgroup.rglob("*/"), reverse=True):
        with contextlib.suppress(OSError):
            folder.rmdir()
    try:
        cgroup.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True
