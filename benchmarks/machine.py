"""The machine, as far as figures depend on it. No names of hosts or folders."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

from tests.support.need import require


def describe(folder: Path, databases: dict[str, dict[str, Any]], wordpress: str) -> list[tuple[str, str]]:
    """What and its value. `folder` is on the disk that was measured on, `databases` what `Requests.database` told, and
    how a worker has SQLite wait for it."""
    told = [
        ("CPU", f"{_cpu()}, {os.cpu_count()} cores, {platform.machine()}"),
        ("memory", f"{_memory_gb():.0f} GB"),
        ("disk", _disk(folder)),
        ("kernel", f"{platform.system()} {platform.release()}"),
        ("Python", f"{platform.python_implementation()} {platform.python_version()}"),
        ("PHP", _first_line([require("php", "php-cli"), "-n", "-r", "echo PHP_VERSION;"])),
        ("WordPress", wordpress),
    ]
    maria, sqlite = databases.get("MariaDB"), databases.get("SQLite")
    if maria:
        flags = f"innodb_flush_log_at_trx_commit={maria['flush']}, innodb_doublewrite={maria['doublewrite']}"
        told.append(("MariaDB", f"{maria['version']}, {flags}, buffer pool {maria['buffer_mb']} MB"))
    if sqlite:
        names = {0: "OFF", 1: "NORMAL", 2: "FULL", 3: "EXTRA"}
        setting = f"synchronous={names[sqlite['synchronous']]} in WordPress, {names[sqlite['worker']]} in wpbg"
        told.append(("SQLite", f"{sqlite['version']} in PHP, journal_mode={sqlite['journal']}, {setting}"))
    for name, argv in (("beanstalkd", ["beanstalkd", "-v"]), ("gearmand", ["gearmand", "--version"])):
        version = re.search(r"\d+(\.\d+)+", _first_line(argv))
        told.append((name, f"{version[0] if version else 'unknown'}, in memory; the table behind it is MariaDB's"))
    return told


def load() -> str:
    """The load average of the last minute, and over how many cores it is spread."""
    return f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"


def _cpu() -> str:
    try:
        found = re.search(r"^(?:model name|Model|Hardware)\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.M)
    except OSError:
        found = None
    return found[1] if found else platform.processor() or "unknown"


def _memory_gb() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9


def _disk(folder: Path) -> str:
    """The file system's kind, and what kind of disk is below it."""
    told = _first_line(["findmnt", "-no", "FSTYPE,SOURCE", "-T", str(folder)]).split()
    if len(told) < 2:
        return "unknown"
    kind, source = told
    name = Path(source).name
    block = Path("/sys/class/block") / name
    disk = block.resolve().parent if (block / "partition").exists() else block
    try:
        turns = (disk / "queue/rotational").read_text().strip() == "1"
    except OSError:
        return kind
    what = "virtual disk" if name.startswith(("vd", "xvd")) else "hard disk" if turns else "solid state disk"
    return f"{kind} on a {what}"


def _first_line(argv: list[str]) -> str:
    """What a program says, on either stream; empty where there is none."""
    program = shutil.which(argv[0], path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin:/usr/local/sbin")
    if program is None:
        return ""
    done = subprocess.run([program, *argv[1:]], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    return next((line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()), "")
