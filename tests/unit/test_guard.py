"""The shell that ends what a killed worker has left behind."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from tests.support.wait import wait_for

OWNER = """
import os, signal, subprocess, sys
from wpbg.runners.guard import Guard

guard = Guard()
groups = [subprocess.Popen(["sleep", "60"], start_new_session=True, stdout=-3, stderr=-3) for _ in range(3)]
for sleep in groups[:2]:
    guard.watch(sleep.pid)
if sys.argv[1] == "guard killed":
    os.kill(guard._shell.pid, signal.SIGKILL)
    guard._shell.wait()
guard.watch(groups[2].pid)
guard.release(groups[1].pid)
guard.release(12345678)
print(*[sleep.pid for sleep in groups], flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def check(case: str) -> None:
    owner = subprocess.run([sys.executable, "-c", OWNER, case], capture_output=True, text=True, timeout=60)
    assert owner.returncode == -signal.SIGKILL, owner.stderr
    first, released, last = map(int, owner.stdout.split())
    wait_for(lambda: ended(first) and ended(last), 20, "what was watched has ended")
    assert not ended(released)
    subprocess.run(["kill", str(released)], check=True)


def test_it_ends_what_was_not_released() -> None:
    check("guard alive")


def test_it_is_started_again_when_it_was_killed() -> None:
    check("guard killed")
