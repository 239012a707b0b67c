"""TLS to a database, as PHP's mysqlnd does it."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

from pymysql.connections import Connection
from pymysql.constants import CLIENT

from wpbg.errors import QueueError
from wpbg.queues.settings import DatabaseSettings

DONT_VERIFY = 64
"""MYSQLI_CLIENT_SSL_DONT_VERIFY_SERVER_CERT"""

if TYPE_CHECKING:
    _Connection = Connection[Any]
else:
    _Connection = Connection


class QuickConnection(_Connection):
    """A connection that does not wait for the CAs of this machine to be read where no server is checked by them.

    Where TLS is not asked for, PyMySQL (1.2) makes itself ready for it all the same, for a server that has it: 10 to
    20 ms of CPU for every connection.
    """

    def _create_ssl_ctx(self, sslp: Any) -> ssl.SSLContext:
        if sslp:
            made: ssl.SSLContext = super()._create_ssl_ctx(sslp)  # type: ignore[misc]
            return made
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context


def tls_context(settings: DatabaseSettings) -> ssl.SSLContext | None:
    """MYSQLI_CLIENT_SSL encrypts; who the server is, is checked once there is a CA. None: TLS is not asked for."""
    if not (settings.flags & CLIENT.SSL or settings.ssl_ca or settings.ssl_cert):
        return None
    try:
        context = ssl.create_default_context(cafile=settings.ssl_ca)
        # Python 3.13 asks more of a CA than OpenSSL, PHP and the certificates that servers make for themselves.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if not settings.ssl_ca or settings.flags & DONT_VERIFY:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if settings.ssl_cert:
            context.load_cert_chain(settings.ssl_cert, settings.ssl_key)
    except OSError as error:
        raise QueueError(
            f"The TLS files of the database connection cannot be read ({error}): check MYSQL_SSL_CA, MYSQL_SSL_CERT "
            "and MYSQL_SSL_KEY in wp-config.php."
        ) from error
    return context
