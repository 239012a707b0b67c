"""Folders that nobody but this user can have put anything into: what lies there may be run."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import tempfile
from pathlib import Path

OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


class Exposed(Exception):
    """Another user could put something of their own where `path` is, or has."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"{path} {why}")
        self.path, self.why = path, why


def make(parent: Path, *names: str) -> Path:
    """The folder `parent`/`names`, made where it is missing; ours alone (0700) from the first name on.

    Everything on the way to it, symlinks too, belongs to this user or to root, and where others may write,
    the sticky bit keeps them from replacing what is not theirs. Raises `Exposed`, or `OSError` where the
    folder cannot be made.
    """
    check_way(parent)
    _make_parents(parent)
    check_way(parent)
    folder = parent
    for name in names:
        folder = folder / name
        _make_own(folder)
    return folder


def check_way(path: Path) -> None:
    """Raises `Exposed` if another user could decide what `path` is. What is not there yet is no danger."""
    trusted = {0, os.geteuid(), Path("/").stat().st_uid}  # In a user namespace, "/" may belong to nobody we know.
    here, links = Path("/"), 0
    ahead = list(reversed(path.absolute().parts[1:]))
    while ahead:
        name = ahead.pop()
        if name == "..":
            here = here.parent
            continue
        here = here / name
        try:
            found = here.lstat()
        except FileNotFoundError:
            return
        if found.st_uid not in trusted:
            raise Exposed(here, f"belongs to another user (uid {found.st_uid})")
        if stat.S_ISLNK(found.st_mode):
            links += 1
            if links > 40:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
            target = here.readlink()
            ahead += reversed(target.parts[1:] if target.is_absolute() else target.parts)
            here = Path("/") if target.is_absolute() else here.parent
        elif not stat.S_ISDIR(found.st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(here))
        elif found.st_mode & OTHERS_WRITE and not found.st_mode & stat.S_ISVTX:
            raise Exposed(here, f"can be written by other users (mode {stat.S_IMODE(found.st_mode):o})")


def content(file: Path) -> bytes | None:
    """What is in a file; None where there is none."""
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return None


def write(file: Path, data: bytes, beside: Path | None = None) -> None:
    """Write a file whole or not at all. Until it is whole it lies in `beside` (else in its own folder)."""
    fd, name = tempfile.mkstemp(prefix=".", dir=beside or file.parent)
    try:
        with os.fdopen(fd, "wb") as new:
            new.write(data)
        Path(name).replace(file)
    except OSError:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise


def _make_parents(folder: Path) -> None:
    """`mkdir -p`, each of them for us alone whatever the umask is."""
    for parent in (*reversed(folder.parents), folder):
        if not parent.exists():
            parent.mkdir(0o700, exist_ok=True)


def _make_own(folder: Path) -> None:
    """Make a folder of ours, or see that the one that is there is."""
    with contextlib.suppress(FileExistsError):
        folder.mkdir(0o700)
    found = folder.lstat()
    if found.st_uid != os.geteuid():
        raise Exposed(folder, f"belongs to another user (uid {found.st_uid})")
    if not stat.S_ISDIR(found.st_mode):
        raise Exposed(folder, "is not a folder")
    if found.st_mode & OTHERS_WRITE:
        raise Exposed(folder, f"can be written by other users (mode {stat.S_IMODE(found.st_mode):o})")
    if found.st_mode & 0o077:
        folder.chmod(0o700)
