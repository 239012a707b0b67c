"""OPcache's file cache for the code that no test changes: WordPress itself and WP-CLI.

WP-CLI boots WordPress in 90 instead of 225 ms of CPU with it, and the tests call it thousands of times.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

CHANGED_BY_TESTS = ("wp-content", "wp-config.php", ".wp-cli", "release-")
"""What a path holds whose code is always compiled anew, whatever its modification time says."""

WORKER = "DOING_BG_WORKER"
"""What is on the command line of every PHP in which `wpbg` runs jobs."""


def flags(folder: Path) -> list[str]:
    """What makes a PHP use a cache in `folder`; both engines of one PHP may share it."""
    entries, blacklist = folder / "entries", folder / "blacklist"
    entries.mkdir(parents=True)
    blacklist.write_text("".join(f"/**/{name}\n" for name in CHANGED_BY_TESTS))
    settings = {
        "enable_cli": 1,
        "file_cache": entries,
        "file_cache_only": 1,
        "revalidate_freq": 0,  # Each file is looked at each time.
        "blacklist_filename": blacklist,
    }
    return [word for name, value in settings.items() for word in ("-d", f"opcache.{name}={value}")]


def script(argv: Sequence[str], flags: Sequence[str]) -> str:
    """A `wp` for wpbg. Where wpbg runs jobs, and where the test or wpbg itself says how PHP is to be set up, nothing
    is added."""
    plain = f'exec {shlex.join(argv)} "$@"\n'
    if not flags:
        return f"#!/bin/sh\n{plain}"
    return (
        "#!/bin/sh\n"
        'case "${PHP_INI_SCAN_DIR+set} $*" in\n'
        f"set* | *{WORKER}*) {plain} ;;\n"
        "esac\n"
        f'exec {shlex.join([argv[0], *flags, *argv[1:]])} "$@"\n'
    )
