"""What ends PHP processes when this one is killed: a worker that is gone cannot, and another will run its jobs."""

from __future__ import annotations

import contextlib
import subprocess
import threading

# Reads "+ GROUP" and "- GROUP". The kernel closes its stdin whatever became of us: then it kills who is left.
SCRIPT = """
left=' '
while read -r what group; do
	case $what in
		+) left="$left$group " ;;
		-) left="${left%%" $group "*} ${left#*" $group "}" ;;
	esac
done
for group in $left; do kill -s KILL -- "-$group"; done
"""


class Guard:
    """One small shell beside this process. Where it is killed as well, a PHP process that is left alone ends after its
    job, or at that job's time limit.

    `watch` and `release` are safe from every thread and never raise.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._shell: subprocess.Popen[bytes] | None = None
        self._groups: set[int] = set()

    def watch(self, group: int) -> None:
        """This process group is to end with us."""
        with self._lock:
            self._groups.add(group)
            if not self._say(f"+ {group}\n"):
                self._start()

    def release(self, group: int) -> None:
        """It has ended, or is about to."""
        with self._lock:
            if group in self._groups:
                self._groups.discard(group)
                self._say(f"- {group}\n")

    def _say(self, line: str) -> bool:
        if self._shell is None or self._shell.stdin is None:
            return False
        try:
            self._shell.stdin.write(line.encode())
        except OSError:
            return False
        return True

    def _start(self) -> None:
        if self._shell is not None:
            self._shell.kill()
            self._shell.wait()
            self._shell = None
        with contextlib.suppress(OSError):
            self._shell = subprocess.Popen(
                ["/bin/sh", "-c", SCRIPT, "wpbg-guard"],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                cwd="/",
                start_new_session=True,  # Ctrl-C is not meant for it.
            )
            self._say("".join(f"+ {group}\n" for group in sorted(self._groups)))


GUARD = Guard()
"""This process's."""
