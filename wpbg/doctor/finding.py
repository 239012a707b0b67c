"""What a check found."""

from __future__ import annotations

from dataclasses import dataclass

from wpbg.doctor.remedy import remedy
from wpbg.errors import WpbgError


@dataclass(frozen=True)
class Finding:
    """What a check found. `next` is a command to type; `exit_code` is 0 where nothing is wrong.

    `info` is something worth knowing that is neither right nor wrong.
    """

    check: str
    said: str
    next: str = ""
    exit_code: int = 0
    info: bool = False

    @property
    def status(self) -> str:
        """`ok`, `failed` or `info`."""
        return "failed" if self.exit_code else "info" if self.info else "ok"


def wrong(check: str, said: str, next: str = "", exit_code: int = 1) -> Finding:
    """Something that has to be mended."""
    return Finding(check, said, next, exit_code)


def failed(check: str, error: WpbgError) -> Finding:
    """A check that ended with an error; its message says what to do."""
    return Finding(check, error.message, remedy(error), error.exit_code)
