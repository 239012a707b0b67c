"""One PHP process behind its pipes: started in a group of its own, spoken to without ever blocking."""

from __future__ import annotations

import contextlib
import os
import select
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from wpbg.errors import NotStarted
from wpbg.runners.ahead import Ahead
from wpbg.runners.base import Kept
from wpbg.runners.guard import GUARD
from wpbg.runners.wire import STARTED, Event, FrameReader, Message, Printed, Speech

CHUNK = 65536
FULL = 1024 * 1024
"""Bytes that are in a pipe at most."""
DYING = 1.0
"""Seconds that a process which was killed may take to be gone."""
TICK = 0.05
"""Seconds between looks at whether the process lives, where the system has no pidfd."""


class PhpProcess:
    """A started process. `poll` gives what it said; `ended` is true once it is gone and all it said is read.

    What it writes to stderr counts as printed. Raises `NotStarted` when the program cannot be started. `guarded` is one
    that does not listen while it works, and so would not notice that this process was killed.
    """

    def __init__(
        self, argv: Sequence[str], cwd: Path, env: Mapping[str, str], nonce: bytes, guarded: bool = False
    ) -> None:
        try:
            self._popen = subprocess.Popen(
                argv,
                cwd=cwd,
                env=env,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                start_new_session=True,
            )
        except OSError as error:
            raise NotStarted(f"{argv[0]} could not be started: {error.strerror or error}.") from error
        assert self._popen.stdin and self._popen.stdout and self._popen.stderr
        self.pid = self._popen.pid
        self.inside = 0
        """What PHP says its number is; through `docker exec` it is not one of this machine."""
        if guarded:
            GUARD.watch(self.pid)
        self.ahead = Ahead()
        self.killed = False
        """Whether it was ended by us."""
        self._reader = FrameReader(nonce)
        self._unread: list[Event] = []
        self.turn = 0
        """The number of the job whose turn it is."""
        self._speech = Speech()
        self._outgoing = bytearray()
        self._stdin: BinaryIO | None = self._popen.stdin  # type: ignore[assignment]
        self._stdout, self._stderr = self._popen.stdout.fileno(), self._popen.stderr.fileno()
        self._selector = selectors.DefaultSelector()
        for fd in (self._stdin.fileno(), self._stdout, self._stderr):  # type: ignore[union-attr]
            os.set_blocking(fd, False)
        self._open = {self._stdout, self._stderr}
        for fd in self._open:
            self._selector.register(fd, selectors.EVENT_READ)
        self._woken, self._waker = os.pipe()
        os.set_blocking(self._waker, False)
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._pidfd = _pidfd_open(self.pid)
        if self._pidfd is not None:
            self._selector.register(self._pidfd, selectors.EVENT_READ)
        self.errors = Kept(2048, 6144)
        """What came over stderr, for the message when the process does not live to say more."""

    def wake(self) -> None:
        """Make `poll` return. The one thing, besides signals, that another thread may do."""
        with contextlib.suppress(OSError):
            os.write(self._waker, b".")

    def send(self, data: bytes) -> None:
        """Queue bytes for its stdin; `poll` writes them as it takes them."""
        if self._stdin is None or not data:
            return
        if self._outgoing:
            self._outgoing += data
            return
        with contextlib.suppress(OSError):  # That nobody reads any more, `poll` finds out.
            data = data[os.write(self._stdin.fileno(), data[:CHUNK]) :]
        if data:
            self._outgoing += data
            self._selector.register(self._stdin, selectors.EVENT_WRITE)

    def hang_up(self) -> None:
        """Close its stdin: no more is to come."""
        if self._stdin is None:
            return
        if self._outgoing:
            self._selector.unregister(self._stdin)
            self._outgoing.clear()
        with contextlib.suppress(OSError):
            self._stdin.close()
        self._stdin = None

    def poll(self, until: float) -> list[Event]:
        """Waits until it says something or ends, at the latest until `until` (in `time.monotonic`).

        Raises `ChannelBroken` when what it said is not the bridge's.
        """
        if self._unread:
            return self._taken()
        self._reader.check()
        events: list[Event] = []
        gone = self.gone
        wait = 0.0 if gone else max(0.0, until - time.monotonic())
        if self._pidfd is None:
            wait = min(wait, TICK)
        ready = self._selector.select(wait)
        if len(ready) > 1:  # What came over stderr was said before what came over stdout, or belongs to nobody.
            ready.sort(key=lambda found: found[0].fd != self._stderr)
        for key, _ in ready:
            fd = key.fd
            if self._stdin is not None and key.fileobj is self._stdin:
                self._write()
            elif fd in self._open:
                self._read(fd, events)
            elif fd == self._woken:
                os.read(self._woken, 64)
            elif fd == self._pidfd:
                _ = self.exit_code
        return events

    @property
    def exit_code(self) -> int | None:
        """Its exit code, negative for a signal, or None while it runs."""
        code = self._popen.poll()
        if code is not None and self._pidfd is not None:
            self._selector.unregister(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = None
        return code

    @property
    def gone(self) -> bool:
        """Whether it is known to have ended: `poll` notices that, `exit_code` does at once and asks the system."""
        return self._popen.returncode is not None or (self._pidfd is None and self.exit_code is not None)

    def drain(self) -> list[Event]:
        """After its end: what is left in the pipes. A child that it left behind may hold them open for ever."""
        events = [*self.poll_errors(), *self._taken()]
        for fd in list(self._open):
            while fd in self._open and self._read(fd, events):
                pass
        events += self._reader.finish()
        return events

    def catch_up(self) -> list[Event]:
        """All that it had said when this was called, without waiting."""
        events = [*self.poll_errors(), *self._taken()]
        read = 0
        while self._stdout in self._open and read <= FULL and (more := self._read(self._stdout, events)):
            read += more
        return events

    def is_direct(self) -> bool:
        """Whether PHP writes into the pipe that we read: no wrapper stands between, which could hold something back."""
        with contextlib.suppress(OSError):
            theirs, ours = Path(f"/proc/{self.inside}/fd/1").stat(), os.fstat(self._stdout)
            return (theirs.st_dev, theirs.st_ino) == (ours.st_dev, ours.st_ino)
        return False

    def put_back(self, events: Sequence[Event]) -> None:
        """What was read and is for the next job: `poll` and `drain` give it again."""
        self._unread = [*events, *self._unread]

    def unread_starts(self) -> set[int]:
        """The numbers of the jobs that were begun by what was put back."""
        messages = (event for event in self._unread if isinstance(event, Message) and event.type == STARTED)
        return {int(message.body.get("number", 0)) for message in messages}

    def _speech_ends(self, fd: int, events: list[Event]) -> None:
        """Nothing more comes over stderr at once: what looked like the beginning of a marker was none."""
        if fd == self._stderr:
            self._speech.feed(b"", self._reader.marker, more=False)
            events += self._printed(self.turn)

    def _printed(self, turn: int) -> list[Event]:
        """What came over stderr up to this job."""
        said = self._speech.take(turn)
        if said:
            self.errors.add(said)
        return [Printed(said)] if said else []

    def _taken(self) -> list[Event]:
        taken, self._unread = self._unread, []
        return taken

    def poll_errors(self) -> list[Event]:
        """What has come over stderr so far: what is there belongs to what was said before, on stdout."""
        events = self._printed(self.turn)
        while self._stderr in self._open and self._read(self._stderr, events):
            pass
        return events

    def signal_group(self, number: int) -> None:
        """Signal the process and everything it started, as far as it stayed in the group."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def kill_child(self, pid: int) -> None:
        """End a child's group, and wait for a moment until it is gone: its job may be begun again right after. Only if
        `pid` is a process of ours: through a wrapper it may be anybody's number."""
        with contextlib.suppress(OSError):
            if pid > 1 and os.getsid(pid) == self.pid:
                ending = _pidfd_open(pid)
                os.killpg(pid, signal.SIGKILL)
                if ending is not None:
                    waiting = select.poll()
                    waiting.register(ending, select.POLLIN)
                    waiting.poll(DYING * 1000)
                    os.close(ending)

    def kill(self) -> None:
        """End all of it now."""
        self.killed = True
        self.signal_group(signal.SIGKILL)

    def kill_inside(self) -> None:
        """End the PHP process where a wrapper died and left it; nothing else that was started in it."""
        with contextlib.suppress(OSError):
            if self.inside > 1 and self.inside != self.pid and os.getsid(self.inside) == self.pid:
                os.kill(self.inside, signal.SIGKILL)

    def close(self) -> None:
        """Wait for the end (it has ended, or is being killed) and let go of everything."""
        self.hang_up()
        GUARD.release(self.pid)
        self._popen.wait()
        _ = self.exit_code
        self._selector.close()
        os.close(self._woken)
        os.close(self._waker)
        for pipe in (self._popen.stdout, self._popen.stderr):
            if pipe:
                pipe.close()

    def _write(self) -> None:
        assert self._stdin is not None
        try:
            written = os.write(self._stdin.fileno(), self._outgoing[:CHUNK])
        except BlockingIOError:
            return
        except OSError:  # It closed its end; why, its exit will say.
            self.hang_up()
            return
        del self._outgoing[:written]
        if not self._outgoing:
            self._selector.unregister(self._stdin)

    def _read(self, fd: int, events: list[Event]) -> int:
        try:
            data = os.read(fd, CHUNK)
        except BlockingIOError:
            self._speech_ends(fd, events)
            return 0
        except OSError:
            data = b""
        if not data:
            self._open.discard(fd)
            self._selector.unregister(fd)
            self._speech_ends(fd, events)
            return 0
        if fd == self._stderr:
            self._speech.feed(data, self._reader.marker, more=len(data) == CHUNK)
            events += self._printed(self.turn)
        else:
            events += self._reader.feed(data)
        return len(data)


def _pidfd_open(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return None
