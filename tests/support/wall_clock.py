"""A wall clock that can be set: programs that are started with `env` go by it. Needs libfaketime."""

from __future__ import annotations

from pathlib import Path

from tests.support.need import missing

_PLACES = ("/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu")


def library() -> Path | None:
    """libfaketime, where it is installed."""
    files = (Path(place) / "faketime/libfaketime.so.1" for place in _PLACES)
    return next((file for file in files if file.exists()), None)


_CUSTOM = """import os, threading, time
time.sleep = lambda seconds: threading.Event().wait(seconds) and None
os.environ.pop("FAKETIME_SHARED", None)
"""
# libfaketime 0.9.10 gets an absolute clock_nanosleep() wrong, which is what Python's sleep is: it fails with EINVAL.
# And it has a process and its children take one semaphore whenever they ask for the time: a child that is killed or
# frozen in that moment would stop all of them. Without the variable, each has its own.


class WallClock:
    """`set` moves it for whatever runs with it, at once: also the times of files, as that sees them, but not what is
    monotonic. When all is over, `sweep`."""

    def __init__(self, folder: Path) -> None:
        found = library()
        if found is None:
            missing("libfaketime is not installed; script/bootstrap installs it (Debian package libfaketime)")
        folder.mkdir()
        (folder / "sitecustomize.py").write_text(_CUSTOM)
        self._file = folder / "clock"
        self.env = {
            "LD_PRELOAD": str(found),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
            "PYTHONPATH": str(folder),
        }
        self.set(0)

    def set(self, seconds: int) -> None:
        """So many seconds ahead of the machine's, or behind it."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{seconds:+d}\n")
        new.replace(self._file)

    @staticmethod
    def sweep() -> None:
        """Removes what libfaketime left in shared memory for processes that were killed."""
        for file in Path("/dev/shm").glob("*faketime_s[eh]m_*"):
            if not Path("/proc", file.name.rpartition("_")[2]).exists():
                file.unlink(missing_ok=True)
