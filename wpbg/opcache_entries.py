"""The entries of an OPcache file cache, and which of them PHP must not use any more.

PHP takes an entry whose source has the modification time, in whole seconds, that it had when it was compiled.
That misses an edit that keeps this second: a second one right after the first, `cp -p`, `rsync -t`, `tar`,
a build that gives every file the same date, a folder replaced by `mv`. So before a boot each source is compared with
what was known of it, to the nanosecond and with its ctime, which no program can set.

What is known is kept in the entry itself, which PHP never asks for its date: once an entry was seen to be
younger than its source, it gets a modification time of 1982-2001 that is a checksum of the source's times and size.
"""

# Plain strings for paths: a thousand of them before every job, and Path takes three times as long.
# ruff: noqa: PTH106, PTH108, PTH116, PTH118, PTH120, PTH208

from __future__ import annotations

import contextlib
import os
import re
import shutil
import stat
import time
import zlib
from dataclasses import dataclass
from pathlib import Path

Signature = tuple[int, int, int]
"""A source's mtime and ctime (ns) and its size."""

PROTECTION = 2 * 10**9
"""ns. An entry written sooner than this after its source changed may have been compiled before the change."""

RACY = 10**9
"""ns. A folder changed so recently may change again without a new time."""

UNUSED = 30 * 86400 * 10**9
"""ns. A PHP version's entries to which nothing was added for so long are thrown away: it is gone, or boots
slowly once a month."""

STAMPS = range(400_000_000, 1_000_000_000)
"""Seconds since 1970 that say what the source was; no entry was really written then."""

SYSTEM = re.compile(r"([0-9a-f]{32})(phar:)?")
"""How PHP names the folder of a version and build of itself. Sources in a phar are at `ID` + `phar://…`."""

ALWAYS_LOADED = "/wp-settings.php"


class Entry:
    """One `.bin` file. `source` is the file whose change matters (the phar, for what is in one) or None: not here."""

    __slots__ = ("path", "seen", "source")

    def __init__(self, path: str, source: str | None) -> None:
        self.path, self.source = path, source
        self.seen: Signature | None = None


@dataclass
class Listing:
    """What a folder of the cache held when its modification time was `changed`."""

    changed: int
    folders: list[str]
    entries: list[Entry]


class Entries:
    """Looks at the entries below `root`; remembers the last look, so that the next costs little more than a `stat` a
    source. Not for several threads at once; other processes may look at the same time."""

    def __init__(self, root: Path) -> None:
        self._root = str(root)
        self._listings: dict[str, Listing] = {}

    def drop_stale(self) -> int:
        """Remove every entry that was not compiled from its source as it is now; how many there were."""
        systems = [name for name in self._list(self._root, time.time_ns()).folders if SYSTEM.fullmatch(name)]
        dropped, seen_systems, gone = 0, set(), []
        for name in systems:
            stale, missing, shared = self._look(name)
            dropped += sum(_remove(entry) for entry in stale)
            gone.append((name[:32], missing))
            if shared:
                seen_systems.add(name[:32])
        # A PHP in a container may see other files than we do: what is missing here is not missing there.
        for system, missing in gone:
            if system in seen_systems:
                dropped += sum(_remove(entry) for entry in missing)
        return dropped

    def clear(self) -> None:
        """Remove all of them."""
        self._listings.clear()
        with contextlib.suppress(OSError):
            for name in os.listdir(self._root):
                shutil.rmtree(os.path.join(self._root, name), ignore_errors=True)

    def _look(self, system: str) -> tuple[list[Entry], list[Entry], bool]:
        """Entries that are stale, those whose source is not here, and whether this PHP's WordPress is here."""
        now = time.time_ns()
        top = f"{self._root}/{system}"
        stale: list[Entry] = []
        missing: list[Entry] = []
        shared, newest, folders = False, 0, [top]
        phars: dict[str, Signature | None] = {}
        while folders:
            folder = folders.pop()
            listing = self._list(folder, now)
            newest = max(newest, listing.changed)
            folders += [f"{folder}/{name}" for name in listing.folders]
            for entry in listing.entries:
                if len(system) == 32:
                    signature = _signature(entry.source)
                elif entry.source in phars:
                    signature = phars[entry.source]
                else:
                    signature = phars[entry.source or ""] = _signature(entry.source)
                if signature is None:
                    missing.append(entry)
                    continue
                if entry.source is not None and entry.source.endswith(ALWAYS_LOADED):
                    shared = True
                if signature != entry.seen and not _confirm(entry, signature):
                    stale.append(entry)
        if newest and now - newest > UNUSED:
            shutil.rmtree(top, ignore_errors=True)
            return [], [], shared
        return stale, missing, shared

    def _list(self, folder: str, now: int) -> Listing:
        """The folder's listing, read again only if the folder changed."""
        try:
            changed = os.stat(folder).st_mtime_ns
            known = self._listings.get(folder)
            if known is not None and known.changed == changed:
                return known
            listing = self._read(folder, changed)
        except OSError:
            self._listings.pop(folder, None)
            return Listing(0, [], [])
        if abs(now - changed) < RACY:
            self._listings.pop(folder, None)
        else:
            self._listings[folder] = listing
            if not listing.folders and not listing.entries and folder != self._root:
                with contextlib.suppress(OSError):
                    os.rmdir(folder)
        return listing

    def _read(self, folder: str, changed: int) -> Listing:
        inside = folder[len(self._root) + 1 :]
        in_phar = inside[32:37] == "phar:"
        place = inside[37:] if in_phar else inside[32:]
        phar = _phar_at(place) if in_phar else None
        listing = Listing(changed, [], [])
        with os.scandir(folder) as found:
            for item in found:
                if item.is_dir(follow_symlinks=False):
                    listing.folders.append(item.name)
                elif item.name.endswith(".bin") and inside:
                    source = phar if in_phar else f"{place}/{item.name[:-4]}"
                    listing.entries.append(Entry(item.path, source))
        return listing


def _signature(source: str | None) -> Signature | None:
    """What the source is now; None if it is not here."""
    if source is None:
        return None
    try:
        found = os.stat(source)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size


def _confirm(entry: Entry, signature: Signature) -> bool:
    """Whether the entry was compiled from the source as it is now; then that is noted."""
    try:
        found = os.lstat(entry.path)
    except OSError:
        return True  # Gone meanwhile.
    stamp = STAMPS[zlib.crc32(b"%d %d %d" % signature) % len(STAMPS)]
    if stat.S_ISREG(found.st_mode) and int(found.st_mtime) in STAMPS:
        fresh = int(found.st_mtime) == stamp
    else:
        fresh = max(signature[0], signature[1]) + PROTECTION <= found.st_mtime_ns
        if fresh:
            with contextlib.suppress(OSError):
                os.utime(entry.path, (found.st_atime, stamp), follow_symlinks=False)
    if fresh:
        entry.seen = signature
    return fresh


def _remove(entry: Entry) -> bool:
    entry.seen = None
    try:
        os.unlink(entry.path)
    except OSError:
        return False
    return True


def _phar_at(place: str) -> str | None:
    """The phar on the way to something in it."""
    at = place
    while len(at) > 1:
        try:
            if stat.S_ISREG(os.stat(at).st_mode):
                return at
        except OSError:
            pass
        at = os.path.dirname(at)
    return None
