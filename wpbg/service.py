"""Configuration for supervisord and systemd: the files of `supervisor/`, filled in for a site."""

from __future__ import annotations

import math
import os
import pwd
import re
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from wpbg.errors import SiteError, UsageError
from wpbg.pool import LAST_WORDS
from wpbg.webuser import user_name

FILES = {"supervisord": "wpbg.conf", "systemd": "wpbg@.service"}

AFTER_GRACE = LAST_WORDS + 20
"""Seconds between the end of the grace and a kill: outcomes are recorded, processes end."""


@dataclass(frozen=True)
class Service:
    """What is to be run for a site. `grace` is in seconds; `metrics` a HOST:PORT for the first process."""

    name: str
    folder: Path
    user: int
    command: tuple[str, ...]
    processes: int = 1
    grace: float = 60.0
    metrics: tuple[str, int] | None = None
    made_by: tuple[str, ...] = ()
    """The command line that prints the file."""
    search: str = ""
    """A PATH, where the managers' own would not find the PHP that the site has been set up with."""

    @property
    def patience(self) -> int:
        """Seconds that a manager has to wait between TERM and KILL."""
        return math.ceil(self.grace + AFTER_GRACE)

    @property
    def first(self) -> int:
        """The number of the first process. With metrics it is its port, as each needs one of its own."""
        return self.metrics[1] if self.metrics else 1

    def argv(self, number: str) -> list[str]:
        """The command line; `number` is how the manager writes a process's number."""
        if self.metrics is None:
            return list(self.command)
        host = f"[{self.metrics[0]}]" if ":" in self.metrics[0] else self.metrics[0]
        return [*self.command, "--metrics", f"{host}:{number}"]


def bundled(kind: str) -> str:
    """The file to fill in: of this checkout, or inside an installed package. Raises `SiteError`."""
    here = Path(__file__).resolve().parent
    for folder in (here / "supervisor", here.parent / "supervisor"):
        if (folder / FILES[kind]).is_file():
            return (folder / FILES[kind]).read_text(encoding="utf-8")
    raise SiteError("This wpbg was installed without its service files: install it again.")


def service_name(url: str) -> str:
    """A name for the site's service, from its address: `wpbg-example.org`, `wpbg-example.org-blog`."""
    parts = urlsplit(url)
    words = re.sub(r"[^a-z0-9.]+", "-", f"{parts.hostname or ''}{parts.path}".lower()).strip("-.")
    return f"wpbg-{words}" if words else "wpbg"


def program() -> list[str]:
    """How this wpbg is called, with its full path."""
    called = shutil.which(sys.argv[0])
    if called and Path(called).name == "wpbg":
        return [os.path.abspath(called)]  # noqa: PTH100  # `absolute` keeps "..", `resolve` follows links.
    return [sys.executable, "-m", "wpbg"]


MANAGERS_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where systemd looks for programs, and Debian's supervisord as well."""


def search_path(php: str | None) -> str:
    """What PATH has to be for a service so that `php` is the one that it is here; empty where it is anyway."""
    theirs = shutil.which("php", path=MANAGERS_PATH)
    if php is None or (theirs and os.path.realpath(theirs) == os.path.realpath(php)):
        return ""
    return f"{Path(php).parent}:{MANAGERS_PATH}"


def render(kind: str, service: Service) -> str:
    """The whole file. Raises `UsageError` where something cannot be written into one."""
    for word in (*service.command, str(service.folder), service.name, service.search):
        if not word.isprintable():
            raise UsageError(f"{word!r} has characters that no configuration file can hold.")
    if set(service.search) & set('"\\'):
        raise UsageError(f"PHP is in {service.search.partition(':')[0]!r}, which no service's PATH can hold.")
    return _systemd(service) if kind == "systemd" else _supervisord(service)


def fill(text: str, values: Mapping[str, str]) -> str:
    """Replace the values of `key=value` lines. Every key has to be there."""
    lines, missing = [], set(values)
    for line in text.splitlines():
        key, equals, _ = line.partition("=")
        if equals and key in values:
            missing.discard(key)
            line = f"{key}={values[key]}"
        lines.append(line)
    assert not missing, missing
    return "\n".join(lines) + "\n"


def _first_lines(text: str, kind: str, service: Service, file: str) -> str:
    """With the command line that makes this very file. Root types it: nobody else may write there."""
    line = shlex.join(service.made_by or ("wpbg", "service", kind))
    if service.user and service.made_by:
        line = f"sudo -u {shlex.quote(user_name(service.user))} {line}"
    return re.sub(r"(?m)^([;#]   )wpbg service .*$", lambda found: f"{found[1]}{line} > {file}", text, count=1)


# -- supervisord ---------------------------------------------------------------------------------------------


def _supervisord(service: Service) -> str:
    name = user_name(service.user)
    if name.startswith("#"):
        raise UsageError(f"supervisord needs a user's name, and {name[1:]} has none here: say one with --user.")
    log = f"/var/log/supervisor/{service.name}_%(process_num)d.log"
    argv = service.argv("\0")
    path = f',PATH="{_plain(service.search)}"' if service.search else ""
    values = {
        "command": _plain(shlex.join(argv)).replace("\0", "%(process_num)d"),
        "numprocs": str(service.processes),
        "numprocs_start": str(service.first),
        "directory": _plain(str(service.folder)),
        "user": name,
        "environment": f'HOME="{_plain(home(service.user))}",USER="{name}"{path}',
        "stopwaitsecs": str(service.patience),
        "stdout_logfile": log,
    }
    text = fill(bundled("supervisord"), values).replace("[program:wpbg-site]", f"[program:{service.name}]")
    return _first_lines(text, "supervisord", service, f"/etc/supervisor/conf.d/{service.name}.conf")


def _plain(value: str) -> str:
    """A value for supervisord: `%` is its own, and ` ;` begins a comment even inside quotes."""
    if re.search(r"\s[;#]", value):
        raise UsageError(f"{value!r} cannot be written for supervisord: what follows ' ;' or ' #' is a comment there.")
    return value.replace("%", "%%")


def home(uid: int) -> str:
    """The user's home folder."""
    try:
        return pwd.getpwuid(uid).pw_dir
    except KeyError:
        return "/"


# -- systemd -------------------------------------------------------------------------------------------------


def _systemd(service: Service) -> str:
    argv = service.argv("\0")
    values = {
        "Description": f"Background jobs of the WordPress in {_percent(str(service.folder))} (%i)",
        "User": user_name(service.user).removeprefix("#"),
        "WorkingDirectory": _percent(str(service.folder)),
        "ExecStart": " ".join(_word(word) for word in argv).replace("\0", "%i"),
        "TimeoutStopSec": str(service.patience),
    }
    if service.search:
        values["WorkingDirectory"] += f'\nEnvironment="PATH={_percent(service.search)}"'
    text = fill(bundled("systemd"), values)
    text = _first_lines(text, "systemd", service, f"/etc/systemd/system/{service.name}@.service")
    last = service.first + service.processes - 1
    instances = str(service.first) if service.processes == 1 else f"{{{service.first}..{last}}}"
    return text.replace("wpbg-site@1", f"{service.name}@{instances}")


def _percent(value: str) -> str:
    return value.replace("%", "%%")


def _word(word: str) -> str:
    """A word of ExecStart: `$` and `%` are systemd's own."""
    word = _percent(word).replace("$", "$$")
    if re.fullmatch(r"[\w@%+=:,./\0$-]+", word, re.ASCII):
        return word
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'


def listen_words(
    *, path: Path, wp: Sequence[str], url: str | None, queues: Sequence[str], mode: str, concurrency: int, grace: float
) -> tuple[str, ...]:
    """The command line of the worker."""
    words = [*program(), "listen", "--path", str(path), "--wp", shlex.join(wp)]
    words += ["--url", url] if url else []
    for queue in queues:
        words += ["--queue", queue]
    return (*words, "--mode", mode, "--concurrency", str(concurrency), "--grace", f"{grace:g}")
