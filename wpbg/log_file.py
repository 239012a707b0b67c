"""The file of BACKGROUND_WORKER_LOG: lines are added whole, whatever happens to the file meanwhile."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from pathlib import Path

MODE = 0o640
"""Of a file that we make; the umask may take more away. Lines tell of jobs, so not everybody reads them."""

FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY
FLAGS |= os.O_NOFOLLOW  # Who may write to the folder must not choose the file that we write to.
FLAGS |= os.O_NONBLOCK  # A pipe without a reader must not hold a worker up.


class LogFile:
    """Appends to `path`, and follows it when it is rotated: moved away, deleted or truncated.

    The file is looked at before each line, so no signal is needed. Several processes may share one file: a line is
    one `write`, at the end. Used by one thread at a time.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd: int | None = None
        self._identity = (0, 0)
        self._torn = False

    def append(self, line: str) -> None:
        """Add a line. Raises `OSError` when it could not be written whole; the next call tries anew."""
        fd = self._file()
        data = (b"\n" if self._torn else b"") + line.encode("utf-8", "replace") + b"\n"
        while data:
            data = data[os.write(fd, data) :]
            self._torn = bool(data)  # A disk that fills up takes the beginning of a line.

    def close(self) -> None:
        if self._fd is not None:
            with contextlib.suppress(OSError):
                os.close(self._fd)
            self._fd = None

    def _file(self) -> int:
        """The open file, if `path` still is that one; else the one that is there now, or a new one."""
        if self._fd is not None and self._identity == self._there():
            return self._fd
        fd = os.open(self.path, FLAGS, MODE)
        found = os.fstat(fd)
        try:
            _check(found, self.path)
        except OSError:
            os.close(fd)
            raise
        self.close()
        self._fd, self._identity, self._torn = fd, (found.st_dev, found.st_ino), False
        return fd

    def _there(self) -> tuple[int, int] | None:
        try:
            found = self.path.lstat()
        except OSError:
            return None
        return found.st_dev, found.st_ino


def _check(found: os.stat_result, path: Path) -> None:
    """Raises `OSError` unless it is a file that nobody else has put in our way."""
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))
    if found.st_nlink > 1:
        raise OSError(errno.EMLINK, "it has another name as well (a hard link)", str(path))


def reason(error: OSError) -> str:
    """Why a file could not be written, for the one line that says so."""
    if error.errno == errno.ELOOP:
        return "it is a symbolic link, which is not followed: name the file itself"
    return error.strerror or str(error)
