"""CPU time and memory of a worker and of the PHP below it, as Linux tells them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Look:
    """One look at a worker: seconds of CPU so far, MB now; the `wpbg` process and all processes below it apart."""

    cpu: float
    rss: float
    pss: float
    php_cpu: float
    php_rss: float
    php_pss: float
    php: int
    """How many processes are below it."""


def look(pid: int) -> Look:
    """ProcessLookupError once it has ended."""
    own = _cpu(pid)
    if own is None:
        raise ProcessLookupError(pid)
    rss, pss = _memory(pid)
    below = descendants(pid)
    # What ended processes took is with the one that waited for them.
    php_cpu = own[1]
    php_rss = php_pss = 0.0
    for child in below:
        php_cpu += sum(_cpu(child) or (0.0, 0.0))
        more = _memory(child)
        php_rss, php_pss = php_rss + more[0], php_pss + more[1]
    return Look(own[0], rss, pss, php_cpu, php_rss, php_pss, len(below))


def descendants(pid: int) -> list[int]:
    """The pids of all processes below one; those that end meanwhile may be missing."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        fields = _stat(int(folder.name))
        if fields:
            children.setdefault(int(fields[1]), []).append(int(folder.name))
    found, left = [], [pid]
    while left:
        some = children.get(left.pop(), [])
        found += some
        left += some
    return found


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat from the state on; the name before them may hold anything."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(") ")[2].split()
    except OSError:
        return None


def _cpu(pid: int) -> tuple[float, float] | None:
    """Seconds of its own, and of its children that have ended."""
    fields = _stat(pid)
    if not fields or fields[0] == "Z":
        return None
    user, system, gone_user, gone_system = (int(each) for each in fields[11:15])
    return (user + system) / TICKS, (gone_user + gone_system) / TICKS


def _memory(pid: int) -> tuple[float, float]:
    """Resident and proportional, in MB (of a million bytes); zeros once it has ended."""
    found = {}
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
            name, value, *_ = line.split()
            found[name] = int(value) * 1024 / 1e6
    except (OSError, ValueError):
        return 0.0, 0.0
    return found.get("Rss:", 0.0), found.get("Pss:", 0.0)
