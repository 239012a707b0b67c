"""What may be tried again, and what ends a worker."""

from __future__ import annotations

import pymysql
import pytest

from wpbg.errors import QueueError, QueueUnreachable
from wpbg.queues.connection import Contention, Waited
from wpbg.queues.mysql_errors import translated
from wpbg.queues.settings import DatabaseSettings

SETTINGS = DatabaseSettings(engine="mysql", prefix="wp_", name="wp")


LOST = QueueUnreachable


@pytest.mark.parametrize(
    ("args", "kind"),
    [
        ((1213, "Deadlock found when trying to get lock"), Contention),
        ((1020, "Record has changed since last read in table 'wp_bg_jobs'"), Contention),
        ((1205, "Lock wait timeout exceeded"), Waited),
        ((2013, "Lost connection to MySQL server during query"), LOST),
        ((1969, "Query execution was interrupted (max_statement_time exceeded)"), LOST),
        ((1047, "WSREP has not yet prepared node for application use"), LOST),
        ((9001, "Max connect timeout reached while reaching hostgroup 0"), LOST),
        (("Packet sequence number wrong - got 1 expected 2",), LOST),
        ((1071, "Specified key was too long"), QueueError),
        ((1105, "Unknown error"), QueueError),
    ],
)
def test_errors_are_told_apart(args: tuple[object, ...], kind: type[Exception]) -> None:
    assert type(translated(pymysql.err.InternalError(*args), SETTINGS)) is kind
