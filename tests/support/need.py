"""What to do when a service that a test needs is not on this machine."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest

ROOT = Path(__file__).resolve().parents[2]
PARTS = ROOT / ".parts"
_SYSTEM_FOLDERS = "/usr/local/sbin:/usr/sbin:/sbin"
"""Where servers are installed; not on everybody's PATH."""


def missing(what: str) -> NoReturn:
    """Skip the test on a laptop, fail it under CI=true: there, nothing may be left out in silence."""
    if os.environ.get("CI", "").lower() in ("true", "1"):
        pytest.fail(what, pytrace=False)
    pytest.skip(what)


def require(program: str, package: str) -> str:
    """The full path of a program, or `missing` with the name of the Debian package it is in."""
    found = shutil.which(program, path=f"{os.environ.get('PATH', '')}:{_SYSTEM_FOLDERS}")
    if found is None:
        missing(f"{program} is not installed; script/bootstrap installs it (Debian package {package})")
    return found


def require_part(name: str) -> Path:
    """The path of something that script/bootstrap fetches into .parts/, or `missing`."""
    path = PARTS / name
    if not path.exists():
        missing(f".parts/{name} is not there; script/bootstrap fetches it")
    return path
