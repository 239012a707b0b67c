"""Whose files a site's are: the user that jobs should run as."""

from __future__ import annotations

import os
import pwd
import shlex
import sys
from pathlib import Path

from wpbg.errors import SiteError

PLACES = ("wp-content/uploads", "wp-content", "wp-load.php")
"""Where the web server's PHP writes, most telling first."""


def web_user(folder: Path) -> int:
    """The uid that the site's files belong to: of what PHP writes, where that is not root; else root (0).

    Where nothing can be seen on this machine (WordPress lives in a container), our own.
    """
    seen = False
    for place in PLACES:
        try:
            uid = (folder / place).stat().st_uid
        except OSError:
            continue
        seen = True
        if uid != 0:
            return uid
    return 0 if seen else os.geteuid()


def user_name(uid: int) -> str:
    """The user's name, or `#1000` (which sudo takes) where there is none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"#{uid}"


def refuse_root(folder: Path) -> None:
    """Raises `SiteError` for root on a site of somebody else's: its PHP would run with all rights, and leave files
    behind that the site cannot change."""
    if os.geteuid() != 0:
        return
    uid = web_user(folder)
    if uid == 0:
        return
    raise RootRefused(folder, user_name(uid))


class RootRefused(SiteError):
    """Root was about to run somebody else's code. `again` is how it is run as that user."""

    def __init__(self, folder: Path, name: str) -> None:
        self.again = shlex.join(["sudo", "-u", name, "wpbg", *sys.argv[1:]])
        super().__init__(
            f"You are root, and the site in {folder} belongs to {name}: its code would run with all rights, and what "
            f"jobs write would be root's. Run `{self.again}`, or add --allow-root if you mean it."
        )
