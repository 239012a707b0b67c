"""TLS to a database, as PHP's mysqlnd does it."""

from __future__ import annotations

import ssl

from pymysql.constants import CLIENT

from wpbg.errors import QueueError
from wpbg.queues.settings import DatabaseSettings

DONT_VERIFY = 64
"""MYSQLI_CLIENT_SSL_DONT_VERIFY_SERVER_CERT"""


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
