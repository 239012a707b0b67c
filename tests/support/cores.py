"""WordPress's own files, handed on from a site that is gone to the next one in its place, and what wpbg compiled of
them.

Thousands of files need not be made, removed and compiled for each test, and they stay as they are, ctime included, as
those of a real site do: wpbg throws compiled code away when its source was touched. The first site in a place has
none yet.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

OWN = {"wp-content", "wp-config.php"}
"""What each site has of its own; nothing else of a WordPress is written to."""

State = dict[str, tuple[int, ...]]


class Cores:
    """Kept below `folder`, which has to be on the file system of the sites."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._states: dict[Path, State] = {}

    def put(self, template: Path, path: Path) -> None:
        """Make the folder `path` with everything of the WordPress in `template` but what is a site's own."""
        kept = self._kept(path)
        if kept.is_dir():
            kept.rename(path)
            if _compiled(kept).is_dir():
                cache = _cache(path)
                cache.parent.mkdir(parents=True)
                _compiled(kept).rename(cache)
            return
        shutil.copytree(template, path, symlinks=True, ignore=_left_out, copy_function=_copy)
        self._states[path] = _state(path)

    def keep(self, path: Path) -> None:
        """Take it back from a site whose processes have ended, unless a test changed it."""
        state = self._states.pop(path, None)
        if state is None or path.is_symlink() or not path.is_dir():
            return
        for name in OWN:
            _remove(path / name)
        if _state(path) == state:
            kept = self._kept(path)
            kept.parent.mkdir(exist_ok=True)
            path.rename(kept)
            self._states[path] = state
            shutil.rmtree(_compiled(kept), ignore_errors=True)
            if _as_wpbg_makes_it(_cache(path)):
                for system in _cache(path).glob("opcache/*/entries/*"):
                    _only_of(path, system)
                _cache(path).rename(_compiled(kept))

    def _kept(self, path: Path) -> Path:
        return self._folder / path.parent.name


def _cache(path: Path) -> Path:
    """Where wpbg keeps the compiled code of the site in `path`."""
    return path.parent / "home/.cache/wpbg"


def _compiled(kept: Path) -> Path:
    return kept.with_name(f"{kept.name}.compiled")


def _as_wpbg_makes_it(cache: Path) -> bool:
    """Whether there is one, and no test did something to its folders."""
    inside = [item for item in cache.glob("opcache/*/*") if item.name != "site"]
    folders = [cache, *cache.glob("opcache"), *cache.glob("opcache/*"), *inside]
    return all(
        folder.is_dir()
        and not folder.is_symlink()
        and folder.stat().st_mode & 0o7777 == 0o700
        and folder.stat().st_uid == os.geteuid()
        for folder in folders
    )


def _only_of(path: Path, system: Path) -> None:
    """Throw away what was compiled from other files than WordPress's and WP-CLI's own."""
    if "phar:" in system.name:
        return
    place = Path(f"{system}{path}")
    if not place.is_dir():
        _remove(system)
        return
    for own in ("wp-content", "wp-config.php.bin"):
        _remove(place / own)
    while place != system:
        for other in place.parent.iterdir():
            if other != place:
                _remove(other)
        place = place.parent


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _left_out(folder: str, names: list[str]) -> set[str]:
    return OWN & set(names) if "wp-config.php" in names else set()


def _copy(source: str, target: str) -> None:
    """PHP knows a file that gets a link more for a changed one; the others may be links."""
    if source.endswith(".php"):
        shutil.copy2(source, target)
    else:
        os.link(source, target)


def _state(path: Path) -> State:
    """What changes when a folder or a PHP file does."""
    state: State = {}
    for folder, _, files in os.walk(path):
        found = Path(folder).stat()
        if folder == str(path):  # It is moved, and held the site's own files.
            state["."] = (found.st_mode, found.st_uid, found.st_gid, len(files))
        else:
            state[folder] = (found.st_mtime_ns, found.st_ctime_ns)
        for name in files:
            if name.endswith(".php"):
                file = os.lstat(f"{folder}/{name}")
                state[f"{folder}/{name}"] = (file.st_ino, file.st_ctime_ns)
    return state
