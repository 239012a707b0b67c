"""What a MySQL server, or the way to it, says is wrong, in our words."""

from __future__ import annotations

import ssl

import pymysql

from wpbg.errors import QueueError, QueueUnreachable
from wpbg.queues.connection import Contention, Duplicate, TooLarge, Waited, tables_missing, tables_old
from wpbg.queues.settings import DatabaseSettings, endpoint

DUPLICATE_KEY, DEADLOCK, LOCK_WAIT, NO_TLS = 1062, 1213, 1205, 2026
NO_TABLE, NO_COLUMN, NO_INDEX, PACKET_TOO_LARGE = 1146, 1054, 1176, 1153
CHANGED_MEANWHILE = (1020, 1412)
"""A row, in MariaDB 11.6, where a snapshot is not written past (innodb_snapshot_isolation); a table, by ALTER."""
TIED_TO_A_GROUP = 9006
"""ProxySQL, once a session was set to something that it does not know: such a session goes to one group of servers."""
# Waiting may help: lost or refused connections, a server that starts, stops, is read-only (1290, 1836), cannot write
# (3, 1026, 1030) or has no memory left (1037, 1038, 1041, 1206), a statement or connection that somebody ended (1317,
# 1927, 1969, 3024), a node that a cluster is without (1047, 1180), a proxy that has no server (9001).
LOST = {2002, 2003, 2006, 2013, 2014, 2055, 0, 1040, 1042, 1043, 1053, 1077, 1079, 1080, 1152, 1158, 1159, 1160, 1161}
LOST |= {3, 1026, 1030, 1037, 1038, 1041, 1047, 1180, 1184, 1203, 1206, 1226, 1290, 1297, 1317, 1836, 1927, 1969}
LOST |= {3024, 3032, 3169, 4031}
LOST |= {9001, TIED_TO_A_GROUP}
NO_ROOM = {1021, 1114}


def translated(error: Exception, settings: DatabaseSettings) -> Exception:
    """A driver's error: `Contention` is tried again, `QueueUnreachable` ends the connection, the rest is for people."""
    code = error.args[0] if error.args and isinstance(error.args[0], int) else None
    said = str(error.args[1] if len(error.args) > 1 else error)
    where = settings.where
    if code in (DEADLOCK, LOCK_WAIT, *CHANGED_MEANWHILE):
        kind = Waited if code == LOCK_WAIT else Contention
        return kind(f"The database {where} was too busy with others' locks ({said}): it is tried again.")
    if code == DUPLICATE_KEY:
        return Duplicate(said)
    if code == NO_TABLE:
        return tables_missing(settings)
    if code in (NO_COLUMN, NO_INDEX):
        return tables_old(settings, said)
    if code == NO_TLS:
        return no_tls(endpoint(settings).where)
    if isinstance(tls_failure(error), ssl.SSLError):
        return QueueUnreachable(
            f"The TLS connection to the database {where} could not be made ({said}): check MYSQL_SSL_CA in "
            "wp-config.php against the server's certificate."
        )
    if code == PACKET_TOO_LARGE:
        return TooLarge(f"The database {where} does not take that much in one piece: {said}.")
    if code == 1045 or code == 1698:
        return QueueUnreachable(
            f"The database {where} refuses the user {settings.user!r} ({said}): check DB_USER and DB_PASSWORD "
            "in wp-config.php, and from which hosts that user may connect."
        )
    if code in (1044, 1142, 1143, 1227):
        return QueueUnreachable(f"The database user may not do this ({said}): grant it, or check DB_USER.")
    if code == 1049:
        return QueueUnreachable(f"There is no database {where} ({said}): check DB_NAME in wp-config.php.")
    if code in NO_ROOM:
        return QueueUnreachable(f"The database {where} has no room left ({said}): free some; it is tried again.")
    # A closed or broken connection is an InterfaceError of PyMySQL, without any code worth reading; one whose messages
    # do not follow each other, an InternalError without any.
    broken = isinstance(error, pymysql.err.InterfaceError)
    broken = broken or (code is None and isinstance(error, pymysql.err.InternalError))
    if code in LOST or broken:
        return QueueUnreachable(
            f"The database {where} cannot be reached ({said}): start the server, or check DB_HOST in wp-config.php."
        )
    return QueueError(f"The database refused a statement ({code}): {said}.")


def tls_failure(error: BaseException) -> BaseException | None:
    """What PyMySQL's error was raised for."""
    return getattr(error, "original_exception", None) or error.__cause__


def no_tls(where: str) -> QueueUnreachable:
    return QueueUnreachable(
        f"The database server at {where} gives no TLS, which MYSQL_CLIENT_FLAGS asks for: switch it on in the server, "
        "or take MYSQLI_CLIENT_SSL out of wp-config.php."
    )
