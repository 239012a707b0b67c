"""The ledger: what people look at, and the operations they have on jobs, queues and workers."""

from __future__ import annotations

from wpbg.ledger.book import Ledger
from wpbg.ledger.jobs import NoSuchJob, WrongState
from wpbg.ledger.text import printable

__all__ = ["Ledger", "NoSuchJob", "WrongState", "printable"]
