"""What this machine has for the site's workers: a compiled cache, a log file, somebody who starts them again."""

from __future__ import annotations

import os
import re
import shlex
import stat
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from wpbg.doctor.finding import Finding, failed, wrong
from wpbg.errors import SiteError
from wpbg.opcache import OpcacheFolder
from wpbg.private import Exposed
from wpbg.settings import STREAMS, log_file
from wpbg.site import Site
from wpbg.webuser import user_name, web_user

ENTRIES = (
    "/etc/supervisor/conf.d/*.conf",
    "/etc/supervisor/supervisord.conf",
    "/etc/supervisord.d/*.ini",
    "/etc/supervisord.d/*.conf",
    "/etc/supervisord.conf",
    "/etc/systemd/system/*.service",
    "/etc/systemd/user/*.service",
)
"""Where those who start workers are told to."""

USERS = Path("/etc/systemd/user")
"""Its services are run by the users themselves."""

WORKS = re.compile(r"\bwpbg\b|background-worker|wp-gears-runner\.php")
"""What an entry runs that works on a site's jobs."""

DEFAULT_GRACE = 60.0


def check_host(site: Site) -> Iterator[Finding]:
    """OPcache, the log, and who starts the workers."""
    yield _opcache(site)
    yield from _log(site)
    yield from check_entries(site.wp.cwd, ENTRIES)


def _opcache(site: Site) -> Finding:
    if "zend opcache" not in site.extensions:
        return Finding(
            "OPcache", "PHP's OPcache extension is missing: jobs boot without it, two to three times slower", info=True
        )
    said: list[str] = []
    try:
        folder = OpcacheFolder.for_site(site.path, tell=said.append)
    except SiteError as error:
        mend, exposed = "", error.__cause__
        if isinstance(exposed, Exposed):
            mend = f"{'chmod go-w' if 'can be written' in exposed.why else 'ls -ld'} {shlex.quote(str(exposed.path))}"
        return replace(failed("OPcache", error), next=mend)
    if folder.path is None:
        return wrong("OPcache", said[-1] if said else "There is no folder for the compiled code.", "df -h ~")
    return Finding("OPcache", f"Compiled code is kept in {folder.path}")


def _log(site: Site) -> Iterator[Finding]:
    """Whether events could be written to BACKGROUND_WORKER_LOG."""
    value = site.constants.get("BACKGROUND_WORKER_LOG")
    if value in (None, False, "") or (isinstance(value, str) and value in STREAMS):
        return
    file = log_file(site)
    if file is None:
        yield wrong(
            "Log",
            f"BACKGROUND_WORKER_LOG is {value!r} in wp-config.php, which names no file.",
            "wp config delete BACKGROUND_WORKER_LOG",
        )
        return
    why, mend = _not_writable(file, user_name(web_user(site.wp.cwd)))
    if why:
        yield wrong("Log", f"BACKGROUND_WORKER_LOG, {file}, cannot be written: {why}.", mend)
    elif site.wp.cwd in file.parents or Path(site.path) in file.parents:
        yield Finding("Log", f"{file}: inside the site, where the web server may show it to anybody", info=True)
    else:
        yield Finding("Log", str(file))


def _not_writable(file: Path, user: str) -> tuple[str, str]:
    """Why a worker with our rights could not add to it, and what mends that; empty where it could. Makes nothing."""
    name, owner, sudo = shlex.quote(str(file)), shlex.quote(user), "sudo " if os.geteuid() else ""
    try:
        mode = file.lstat().st_mode
    except FileNotFoundError:
        if not file.parent.is_dir():
            folder = shlex.quote(str(file.parent))
            return f"there is no folder {file.parent}", f"{sudo}install -d -o {owner} -m 0750 {folder}"
        if os.access(file.parent, os.W_OK | os.X_OK):
            return "", ""
        return "its folder belongs to somebody else", f"{sudo}install -o {owner} -m 0640 /dev/null {name}"
    except OSError as error:
        return error.strerror or str(error), f"ls -la {shlex.quote(str(file.parent))}"
    if stat.S_ISLNK(mode):
        target = shlex.quote(os.path.realpath(file))
        return "it is a symbolic link, and those are not followed", f"wp config set BACKGROUND_WORKER_LOG {target}"
    if not stat.S_ISREG(mode):
        return "it is no regular file", f"wp config set BACKGROUND_WORKER_LOG {name}.log"
    if os.access(file, os.W_OK):
        return "", ""
    return "it belongs to somebody else", f"{sudo}chown {owner} {name}"


# -- who starts the workers ----------------------------------------------------------------------------------


def check_entries(folder: Path, places: Sequence[str]) -> Iterator[Finding]:
    """The entries of supervisord and systemd for the site in `folder`, and whether they let jobs finish."""
    found = False
    for file in [file for place in places for file in sorted(Path("/").glob(place.lstrip("/")))]:
        for text in entries_for(folder, file):
            found = True
            systemd = file.suffix == ".service"
            complaint = _systemd_entry(text) if systemd else _supervisor_entry(text)
            if not complaint and USERS not in file.parents:
                complaint = _user_of_entry(text, folder, "User" if systemd else "user")
            if complaint:
                manager = "systemd" if systemd else "supervisord"
                yield wrong("Service", f"{file}: {complaint}", f"wpbg service {manager}")
            else:
                yield Finding("Service", str(file))
    if not found:
        yield Finding(
            "Service",
            "No entry of supervisord or systemd on this machine mentions this site: who starts the workers again? "
            "(`wpbg service systemd` prints one.)",
            info=True,
        )


def entries_for(folder: Path, file: Path) -> list[str]:
    """The sections of a file that run workers of the site; of a systemd unit, its whole text."""
    try:
        text = file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    lines = [line for line in text.splitlines() if not line.lstrip().startswith((";", "#"))]
    text = "\n".join(lines)
    sections = [text] if file.suffix == ".service" else re.split(r"(?m)^(?=\[)", text)
    return [section for section in sections if WORKS.search(section) and _names(section, folder)]


def _names(text: str, folder: Path) -> bool:
    """Whether an entry names the site's folder, as it is or as the managers' files have to write it."""
    # Quotes and backslashes aside, on both sides: `'a'"'"'b'` and `"a\"b"` are the same words then.
    plain = text.replace("%%", "%").replace("$$", "$")
    for written, without in ((text, ""), (plain, ""), (plain, "\"'\\")):
        bare = written.translate({ord(char): None for char in without})
        for name in {str(folder), os.path.realpath(folder)}:
            wanted = name.translate({ord(char): None for char in without})
            if re.search(rf"{re.escape(wanted)}/?(?:wp-gears-runner\.php)?(?=[\s\"';&|)]|$)", bare):
                return True
    return False


def _value(text: str, key: str) -> str | None:
    found = re.findall(rf"(?m)^\s*{key}\s*=\s*(.*?)\s*(?:\s;.*)?$", text)
    return found[-1] if found else None


def _grace(text: str) -> float:
    """What the entry's worker is told, or does by itself."""
    found = re.search(r"--grace[= ](\d+(?:\.\d+)?)", text)
    return float(found[1]) if found else DEFAULT_GRACE


def _supervisor_entry(text: str) -> str:
    """What ends jobs in the middle; empty where nothing does."""
    waits, grace = _value(text, "stopwaitsecs") or "10", _grace(text)
    if waits.isdigit() and int(waits) <= grace:
        default = "" if _value(text, "stopwaitsecs") else " (the default)"
        return (
            f"stopwaitsecs is {waits}{default}, and the worker's --grace {grace:g}: supervisord kills jobs that would "
            f"have finished. Set stopwaitsecs={grace + 30:g}."
        )
    signal = (_value(text, "stopsignal") or "TERM").upper().removeprefix("SIG")
    if signal not in ("TERM", "INT"):
        return f"stopsignal is {signal}, which does not let jobs finish. Set stopsignal=TERM."
    if (_value(text, "stopasgroup") or "false").lower() in ("true", "1", "yes", "on"):
        return "stopasgroup sends the signal to more than the worker. Set stopasgroup=false."
    return ""


def _user_of_entry(text: str, folder: Path, key: str) -> str:
    """What is wrong with an entry that has root run somebody else's site: the worker refuses that, and never starts."""
    uid = web_user(folder) if (folder / "wp-load.php").exists() else 0
    if uid == 0 or "--allow-root" in text or (_value(text, key) or "root") not in ("root", "0"):
        return ""
    name = user_name(uid).removeprefix("#")
    return (
        f"there is no {key}={name} in it, so root would run the site's code, which belongs to {name}: the worker "
        f"refuses that. Set {key}={name}."
    )


def _systemd_entry(text: str) -> str:
    mode = _value(text, "KillMode") or "control-group"
    if mode not in ("mixed", "process"):
        return f"KillMode is {mode}: systemd ends the PHP processes in the middle of their jobs. Set KillMode=mixed."
    waits, grace = seconds(_value(text, "TimeoutStopSec") or "90"), _grace(text)
    if waits is not None and waits <= grace:
        return (
            f"TimeoutStopSec is {waits:g}, and the worker's --grace {grace:g}: systemd kills jobs that would have "
            f"finished. Set TimeoutStopSec={grace + 30:g}."
        )
    return ""


def seconds(text: str) -> float | None:
    """A time span of systemd's; None for `infinity` and what is not understood."""
    units = {"": 1.0, "s": 1.0, "sec": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0, "ms": 0.001}
    parts = re.findall(r"(\d+(?:\.\d+)?)\s*([a-z]*)", text)
    if not parts or any(unit not in units for _, unit in parts):
        return None
    return sum(float(number) * units[unit] for number, unit in parts)
