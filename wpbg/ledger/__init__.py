"""The ledger: what people look at, and the operations they have on jobs, queues and workers.

A name is imported when it is first asked for: who wants text made safe needs no database.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wpbg.ledger.book import Ledger
    from wpbg.ledger.jobs import NoSuchJob, WrongState
    from wpbg.ledger.text import printable

__all__ = ["Ledger", "NoSuchJob", "WrongState", "printable"]

_HOMES = {"Ledger": "book", "NoSuchJob": "jobs", "WrongState": "jobs", "printable": "text"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
