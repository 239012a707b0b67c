"""The bell that the site's requests ring when they have added a job, so that an idle worker need not look for it.

A datagram socket in a folder that belongs to the worker's user, `FOLDER/NUMBER`; what is sent to it is a word that
only the site knows, and the name of the job's queue, if it is not for all. PHP's half is
`php-plugin/includes/class-doorbell.php`. Where it cannot be had, and on other machines, workers look for jobs now and
then, as they do anyway.
"""

from __future__ import annotations

import contextlib
import fcntl
import hmac
import os
import socket
import stat
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from wpbg import private

BELLS = 16
"""Workers of a site on one machine that can have one."""

TRIES = 3

LONGEST = 1024
"""Bytes of what is said. A queue's name has up to 191 characters."""

REST = 0.002
"""Seconds between two rings that are heard: thousands of jobs a second need no wake-up each."""


class Doorbell:
    """Calls `rung` for each ring at one of `queues`, or at all, in a thread of its own. `close` ends that and takes the
    socket away."""

    def __init__(self, listener: socket.socket, word: str, queues: Sequence[str], rung: Callable[[], None]) -> None:
        self._socket, self._word, self._rung = listener, word.encode(), rung
        self._queues = {b"", *(queue.encode() for queue in queues)}
        self.path = Path(listener.getsockname())
        self._closed = False
        found = self.path.lstat()
        self._identity = found.st_dev, found.st_ino
        self._thread = threading.Thread(target=self._listen, name="doorbell", daemon=True)
        self._thread.start()

    @classmethod
    def hang(cls, facts: Mapping[str, Any] | None, queues: Sequence[str], rung: Callable[[], None]) -> Doorbell | None:
        """A bell for the site that told `facts` (`folder`, `word`); None where it cannot be had."""
        if not facts:
            return None
        folder = Path(str(facts["folder"]))
        with contextlib.suppress(private.Exposed, OSError):  # What somebody else has put there is not used.
            for _ in range(TRIES):
                with contextlib.suppress(FileNotFoundError):  # The last worker has just taken the folder away.
                    _make(folder)
                    with _locked(folder):
                        found = next(filter(None, map(_bound, (folder / str(number) for number in range(BELLS)))), None)
                    return None if found is None else cls(found, str(facts["word"]), queues, rung)
        return None

    def _listen(self) -> None:
        while not self._closed:
            try:
                said = self._socket.recv(LONGEST)
            except OSError:
                return
            word, queue = said[: len(self._word)], said[len(self._word) :]
            if hmac.compare_digest(word, self._word) and queue in self._queues:
                self._rung()
            time.sleep(REST)  # Also after a wrong word: who sends many of them must not keep us busy.

    def close(self) -> None:
        """Nobody rings any more."""
        self._closed = True
        with contextlib.suppress(OSError, private.Exposed), _locked(self.path.parent):
            found = self.path.lstat()
            if (found.st_dev, found.st_ino) == self._identity:
                self.path.unlink()
            self.path.parent.rmdir()  # Unless others are in it.
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # Ends the waiting; `close` alone would not.
        self._thread.join(1)
        self._socket.close()


def _make(folder: Path) -> None:
    """The folder: nobody else puts anything into it or lists it, but PHP, as another user, gets through it."""
    private.check_way(folder.parent)
    with contextlib.suppress(FileExistsError):
        folder.mkdir(0o700)
    found = folder.lstat()
    if found.st_uid != os.geteuid() or not stat.S_ISDIR(found.st_mode) or found.st_mode & private.OTHERS_WRITE:
        raise private.Exposed(folder, "is not a folder of ours alone")
    folder.chmod(0o711)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One worker at a time takes, or gives back, a number."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _bound(path: Path) -> socket.socket | None:
    """A socket at `path`; None where a living worker has it. One that a killed worker left is replaced."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        if _is_heard(path):
            listener.close()
            return None
        path.unlink(missing_ok=True)
        listener.bind(str(path))
        path.chmod(0o666)
    except BaseException:
        listener.close()
        raise
    return listener


def _is_heard(path: Path) -> bool:
    """Whether somebody listens there."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        return True
