"""Which database a site uses, and how `DB_HOST` says where it is."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from wpbg.errors import UsageError

SOCKET_PLACES = (
    "/run/mysqld/mysqld.sock",
    "/var/run/mysqld/mysqld.sock",
    "/var/lib/mysql/mysql.sock",
    "/tmp/mysql.sock",
    "/var/mysql/mysql.sock",
    "/opt/bitnami/mariadb/tmp/mysql.sock",
    "/opt/homebrew/var/mysql/mysql.sock",
    "/Applications/MAMP/tmp/mysql/mysql.sock",
)
"""Where servers put their socket, when PHP's `mysqli.default_socket` does not say."""

DEFAULT_PORT = 3306


@dataclass(frozen=True)
class DatabaseSettings:
    """The site's database, as wp-config.php and PHP's configuration tell of it.

    `host` is DB_HOST as it stands, `flags` is MYSQL_CLIENT_FLAGS, `socket` and `port` are PHP's
    `mysqli.default_socket` and `mysqli.default_port`, `prefix` is `$wpdb->base_prefix`. `file` is
    the SQLite drop-in's FQDB. After `notice` seconds without a word from the server, the kernel asks whether it is
    still there (see `address.notice_loss`). Raises `UsageError` when what is needed is missing.
    """

    engine: str
    prefix: str
    host: str = ""
    user: str = ""
    password: str = field(default="", repr=False)
    name: str = ""
    charset: str = ""
    flags: int = 0
    ssl_ca: str | None = None
    ssl_cert: str | None = None
    ssl_key: str | None = field(default=None, repr=False)
    socket: str = ""
    port: int = 0
    file: str | None = None
    notice: float = 5.0

    def __post_init__(self) -> None:
        if self.engine not in ("mysql", "sqlite"):
            raise UsageError(f"Unknown database engine {self.engine!r}: it is 'mysql' or 'sqlite'.")
        if self.engine == "sqlite" and not self.file:
            raise UsageError("The site says it is on SQLite but not in which file (constant FQDB).")
        # The prefix becomes part of the statements' text; WordPress allows no other characters either.
        if not re.fullmatch(r"[A-Za-z0-9_$]*", self.prefix):
            raise UsageError(f"The table prefix {self.prefix!r} has characters that WordPress does not allow.")

    @classmethod
    def from_mapping(cls, said: Mapping[str, Any]) -> DatabaseSettings:
        """From what the site said; keys that are no settings are left aside, None means the default."""
        known = {item.name for item in fields(cls)}
        return cls(**{key: value for key, value in said.items() if key in known and value is not None})

    @property
    def where(self) -> str:
        """How people are told which database is meant."""
        if self.engine == "sqlite":
            return str(self.file)
        return f"{self.name!r} on {endpoint(self).where}"

    def table(self, name: str) -> str:
        return f"{self.prefix}{name}"


@dataclass(frozen=True)
class Endpoint:
    """Where a MySQL server listens: a Unix socket, or a host and port."""

    host: str = "localhost"
    port: int = DEFAULT_PORT
    socket: str | None = None

    @property
    def where(self) -> str:
        if self.socket:
            return self.socket
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_db_host(db_host: str) -> tuple[str, int | None, str | None]:
    """`DB_HOST` → host, port, socket, by the rules of `wpdb::parse_db_host()`."""
    host, socket = db_host, None
    at = host.find(":/")
    if at >= 0:
        host, socket = host[:at], host[at + 1 :]
    if host.count(":") > 1:
        found = re.match(r"\[?(?P<host>[0-9a-fA-F:]+)(?:\]:(?P<port>\d+))?", host)
    else:
        found = re.match(r"(?P<host>[^:/]*)(?::(?P<port>\d+))?", host)
    if found is None:
        return db_host, None, None  # WordPress then hands it to PHP as it is.
    port = int(found["port"]) if found["port"] else None
    return found["host"], port or None, socket


def endpoint(settings: DatabaseSettings) -> Endpoint:
    """Where PHP's mysqlnd would connect to.

    For it, `localhost` (or nothing) is the Unix socket, whatever port is given; any other host is
    TCP, whatever socket is given.
    """
    host, port, socket = parse_db_host(settings.host)
    if host.lower() in ("", "localhost"):
        return Endpoint(socket=socket or default_socket(settings.socket))
    return Endpoint(host=host, port=port or settings.port or DEFAULT_PORT)


def default_socket(configured: str = "") -> str:
    """The socket that `localhost` stands for: PHP's, else the first that exists, else the usual place."""
    if configured:
        return configured
    for place in (os.environ.get("MYSQL_UNIX_PORT", ""), *SOCKET_PLACES):
        if place and Path(place).exists():
            return place
    return SOCKET_PLACES[0]
