"""OPcache's file cache: a PHP process that boots WordPress takes the compiled code from a folder of ours; one that
forks holds it in memory that its children share.

PHP is told through its environment: `PHP_INI_SCAN_DIR` names a folder with one ini file more, so any `wp` gets it, be
it a phar, a package or somebody's shell script. The ini file lies in the same private folder (0700) as the entries:
a PHP that cannot see the one does not look for the other. That matters, for a PHP that is told of a cache folder it
cannot write to ends at once with exit code 254.

Whoever can write into the folder has their code run: see `wpbg.private` for what is refused.
"""

from __future__ import annotations

import errno
import hashlib
import os
import pwd
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from wpbg import private
from wpbg.errors import SiteError
from wpbg.opcache_entries import Entries
from wpbg.private import Exposed
from wpbg.wp import WpCli

INI = """\
; Written by wpbg, and written again when it is changed: OPcache's file cache for one site's background jobs.
opcache.enable_cli=1
opcache.file_cache='{entries}'
opcache.file_cache_only=1
opcache.file_cache_read_only=0
opcache.file_cache_consistency_checks=1
opcache.validate_timestamps=1
opcache.revalidate_freq=0
opcache.file_update_protection=2
; WP-CLI and many plugins read doc comments.
opcache.save_comments=1
; What a php.ini for the web may say, and what keeps the file cache from being written or a boot from being quick.
opcache.preload=
opcache.jit=off
opcache.jit_buffer_size=0
opcache.huge_code_pages=0
opcache.log_verbosity_level=1
"""
# The checksums of `file_cache_consistency_checks` are a tenth of a boot (9 of 93 ms). Without them a damaged entry
# is a segmentation fault.

SHARED_INI = """\
; Written by wpbg, and written again when it is changed: for a PHP process that forks a child for each job. The compiled
; code lies in memory that they share, and not in that of each: a fork copies less.
opcache.file_cache_only=0
opcache.memory_consumption=128
opcache.interned_strings_buffer=16
opcache.max_accelerated_files=20000
; To be emptied while it is in use, it would wait for the parent's end: what has no more room in it is not shared.
opcache.max_wasted_percentage=50
opcache.lockfile_path='{entries}'
opcache.protect_memory=0
; Where a link leads is looked at each time: a deploy may have switched it.
opcache.revalidate_path=1
"""
# A boot takes 25 ms more (an empty memory is filled first), a job in a child a fifth less: not for one job a boot.

INI_NAME = "wpbg-opcache.ini"
SHARED_INI_NAME = "wpbg-opcache-shared.ini"
SITE_NAME = "site"

UNUSED = 30 * 86400.0
"""Seconds until the folder of a site that no worker asked for is thrown away."""

UNUSED_GONE = 86400.0
"""The same where the site is not there any more."""

CRASHED = frozenset({-4, -6, -7, -8, -11, 132, 134, 135, 136, 139, 254})
"""Exit codes of a PHP that broke inside (SIGILL, ABRT, BUS, FPE, SEGV; through a shell 128 more) or was refused its
cache folder or its shared memory."""

REMEDY = "name another folder with WPBG_CACHE_DIR, or go without: --no-opcache"


@dataclass(frozen=True)
class Place:
    """Where the folder could be: `parent`/`name`. `named` is the variable that somebody set for it."""

    parent: Path
    name: str
    named: str = ""


class OpcacheFolder:
    """The file cache of one site, for this user.

    `for_site` makes it; before each boot call `drop_stale` and start PHP with `environment`. Where there is no cache
    these do nothing, and `tell` was given one line that says why. For any number of threads; other processes may use
    the same folder at the same time.
    """

    def __init__(self, site: str, place: Place | None, tell: Callable[[str], None]) -> None:
        self._site, self._place, self._tell = site, place, tell
        self._lock = threading.Lock()
        self._entries: Entries | None = None
        self._looked = self._used = float("-inf")
        self._told = ""
        self._crashes = 0
        self._shares, self._may_share = False, True

    @classmethod
    def for_site(
        cls,
        site: str | Path,
        env: Mapping[str, str] | None = None,
        tell: Callable[[str], None] = lambda _: None,
    ) -> OpcacheFolder:
        """The folder for the site at this path, in WPBG_CACHE_DIR, the user's cache folder or the one for temporary
        files. Raises `SiteError` if another user could write to it; where none can be made there is no cache.
        """
        why = "there is no folder for it"
        places = _places(os.environ if env is None else env)
        for place in places:
            cache = cls(str(site), place, tell)
            try:
                cache._prepare()
                _prune(cache._make())
            except Exposed as error:
                ours = place.parent / place.name in (error.path, *error.path.parents)
                if ours or place.named or place is places[-1]:
                    raise _refusal(error) from error
                why = str(error)
            except OSError as error:
                why = _reason(error, place)
            else:
                return cache
        tell(f"Jobs boot without OPcache's file cache, more slowly ({why}): {REMEDY}.")
        return cls(str(site), None, tell)

    @property
    def path(self) -> Path | None:
        """The folder, or None where there is no cache."""
        return Path(self._place.parent, *_names(self._place, self._site)) if self._place else None

    def environment(self, base: Mapping[str, str], *, shared: bool = False) -> dict[str, str]:
        """`base` and what makes PHP use the cache; only `base` while the cache cannot be used. `shared` is for a
        process that forks."""
        env = dict(base)
        with self._lock:
            inis = self._ready()
            self._shares = shared = shared and self._may_share
        if inis is None:
            return env
        scanned = env.get("PHP_INI_SCAN_DIR")
        # Not set: PHP's own folder, which an empty part of the list stands for. Set and empty: none.
        folders = [""] if scanned is None else scanned.split(":") if scanned else []
        ours = [str(ini) for ini in inis]
        others = [folder for folder in folders if folder not in ours]
        env["PHP_INI_SCAN_DIR"] = ":".join([*others, *(ours if shared else ours[:1])])
        return env

    def drop_stale(self) -> int:
        """Take out what was compiled from files that have changed since or are gone; how many entries that were.

        After it, a PHP that boots runs each file as it was when `drop_stale` was called, or newer.
        """
        asked = time.monotonic()
        with self._lock:
            if self._looked > asked or self._place is None:
                return 0  # Another slot has looked since.
            began = time.monotonic()
            if self._ready() is None or self._entries is None:
                return 0
            dropped = self._entries.drop_stale()
            self._looked = began
            return dropped

    def used_by(self, wp: WpCli, *, shared: bool = False) -> WpCli:
        """The same WP-CLI, but every PHP that it starts uses the cache, looked through before; with `shared`, from
        memory that it shares with those it forks."""
        known = {field.name: getattr(wp, field.name) for field in fields(WpCli)}
        return CachedWpCli(**known, cache=self, shared=shared)

    def boot_failed(self, exit_code: int) -> None:
        """A PHP ended before it was ready. If it crashed, its cache may be why: no code is shared in memory any more;
        where none was, the first time the entries are thrown away, the second time this worker goes on without the
        cache."""
        with self._lock:
            if exit_code not in CRASHED or self._place is None:
                return
            if self._shares:
                self._shares = self._may_share = False
                self._say(
                    f"PHP ended with exit code {exit_code} while it started, perhaps because it may not have 128 MB "
                    "more, in which the processes of jobs share compiled code: from now on they share none."
                )
                return
            self._crashes += 1
            if self._entries is not None:
                self._entries.clear()
            if self._crashes > 1:
                self._say(
                    f"PHP crashed twice while it started (exit code {exit_code}): from now on this worker's jobs boot "
                    "without OPcache's file cache, more slowly."
                )
                self._place = None

    def _ready(self) -> tuple[Path, Path] | None:
        """The folders with the ini files, or None, and why, as long as there cannot be a cache."""
        if self._place is None:
            return None
        try:
            inis = self._prepare()
        except Exposed as error:
            why = str(error)
        except OSError as error:
            why = _reason(error, self._place)
        else:
            self._told = ""
            return inis
        self._say(f"Jobs boot without OPcache's file cache, more slowly, until this is put right: {why}.")
        return None

    def _prepare(self) -> tuple[Path, Path]:
        """See that PHP will find everything as it must be; the folder with the ini file, and the one with what is said
        besides to a process that forks. Raises as `private.make`."""
        folder = self._make()
        ini, shared, entries = (private.make(folder, name) for name in ("ini", "shared", "entries"))
        for file, text in ((ini / INI_NAME, INI), (shared / SHARED_INI_NAME, SHARED_INI)):
            wanted = os.fsencode(text.format(entries=entries))
            if private.content(file) != wanted:
                private.write(file, wanted, beside=folder)
        if not os.access(entries, os.R_OK | os.W_OK | os.X_OK):
            raise OSError(errno.EROFS, "it cannot be written to", str(entries))
        self._mark_used(folder / SITE_NAME)
        if self._entries is None:
            self._entries = Entries(entries)
        return ini, shared

    def _make(self) -> Path:
        assert self._place is not None
        return private.make(self._place.parent, *_names(self._place, self._site))

    def _mark_used(self, file: Path) -> None:
        """Twice a day: say whose folder this is, and that it is in use."""
        now = time.time()
        if now - self._used > UNUSED_GONE / 2:
            if private.content(file) is None:
                private.write(file, os.fsencode(self._site))
            os.utime(file)
            self._used = now

    def _say(self, line: str) -> None:
        if line != self._told:
            self._told = line
            self._tell(line)


@dataclass(frozen=True)
class CachedWpCli(WpCli):
    """WP-CLI whose PHP uses the cache. Its environment is good for one start: ask for it before each."""

    cache: OpcacheFolder | None = None
    shared: bool = False

    def environment(self) -> dict[str, str]:
        env = super().environment()
        if self.cache is None:
            return env
        self.cache.drop_stale()
        return self.cache.environment(env, shared=self.shared)


def _places(env: Mapping[str, str]) -> list[Place]:
    """Where to try, in this order."""
    mine = f"wpbg-{os.geteuid()}"
    if env.get("WPBG_CACHE_DIR"):
        return [Place(Path(env["WPBG_CACHE_DIR"]).absolute(), mine, "WPBG_CACHE_DIR")]
    places = []
    cache, home = Path(env.get("XDG_CACHE_HOME", "")), _home(env)
    if cache.is_absolute():
        places.append(Place(cache, "wpbg", "XDG_CACHE_HOME"))
    elif home.is_absolute() and home.is_dir():
        places.append(Place(home / ".cache", "wpbg"))
    places.append(Place(Path(env.get("TMPDIR") or "/tmp").absolute(), mine))
    return places


def _home(env: Mapping[str, str]) -> Path:
    """The user's home, or a path that is not absolute."""
    if "HOME" in env:
        return Path(env["HOME"])
    try:
        return Path(pwd.getpwuid(os.geteuid()).pw_dir)
    except KeyError:
        return Path()


def _names(place: Place, site: str) -> tuple[str, str, str]:
    """The folders below `place.parent`. Raises `OSError` where PHP's settings cannot name it."""
    folder = os.fsencode(place.parent)
    if any(byte < 32 or byte in b":'" for byte in folder):
        raise OSError(errno.EINVAL, "PHP takes no colon, quote or line break in its name", os.fsdecode(folder))
    return place.name, "opcache", hashlib.sha256(os.fsencode(site)).hexdigest()[:16]


def _refusal(error: Exposed) -> SiteError:
    return SiteError(
        f"OPcache's file cache cannot be kept safely: {error}, who could have this worker run their code. "
        f"Put that right (owner, `chmod go-w`; if it is wpbg's own, remove it), {REMEDY}."
    )


def _reason(error: OSError, place: Place) -> str:
    return f"{error.filename or place.parent / place.name}: {error.strerror or error}"


def _prune(mine: Path) -> None:
    """Throw away the folders of sites that no worker has asked for in a long time."""
    for folder in mine.parent.iterdir():
        try:
            idle = time.time() - (folder / SITE_NAME).stat().st_mtime
            site = Path(os.fsdecode((folder / SITE_NAME).read_bytes()))
        except OSError:
            continue
        if folder != mine and idle > (UNUSED if site.is_dir() else UNUSED_GONE):
            shutil.rmtree(folder, ignore_errors=True)
