"""TLS to a MariaDB server, asked for with WordPress's MYSQL_CLIENT_FLAGS."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import pytest

from tests.support.mariadb import MariaDB
from tests.support.need import require
from wpbg.errors import QueueUnreachable
from wpbg.queues.mysql import MySQL
from wpbg.queues.settings import DatabaseSettings

CLIENT_SSL, DONT_VERIFY = 2048, 64


class SecureMariaDB(MariaDB):
    """A server with a certificate for localhost, and one user who may only come in through TLS."""

    def argv(self) -> list[str]:
        files = self.folder
        if not (files / "ca.pem").exists():
            make_certificates(files)
        tls = {"ca": files / "ca.pem", "cert": files / "server.pem", "key": files / "server.key"}
        return [*super().argv(), *(f"--ssl-{name}={file}" for name, file in tls.items())]

    def insist(self, on: str) -> None:
        """What the user's connections must have: SSL or NONE."""
        for host in ("127.0.0.1", "localhost"):
            self.execute(f"ALTER USER %s@'{host}' REQUIRE {on}", (self.user,))


def make_certificates(folder: Path) -> None:
    """A CA, a certificate of it for 127.0.0.1, and another CA that has nothing to do with it."""
    openssl = require("openssl", "openssl")

    def run(*args: str) -> None:
        subprocess.run([openssl, *args], cwd=folder, check=True, capture_output=True)

    for ca in ("ca", "other"):
        run("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{ca}.key", "-out", f"{ca}.pem", "-days", "2",
            "-subj", f"/CN={ca}")  # fmt: skip
    run("req", "-newkey", "rsa:2048", "-nodes", "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=db")
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1")
    run("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
        "-out", "server.pem", "-days", "2", "-extfile", "names")  # fmt: skip


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureMariaDB]:
    made = SecureMariaDB(tmp_path_factory.mktemp("tls") / "server")
    made.execute("CREATE DATABASE secure")
    made.insist("SSL")
    yield made
    made.stop()


@pytest.fixture
def settings(server: SecureMariaDB) -> DatabaseSettings:
    return DatabaseSettings(
        engine="mysql",
        prefix="wp_",
        host=f"127.0.0.1:{server.port}",
        user=server.user,
        password=server.password,
        name="secure",
        flags=CLIENT_SSL,
    )


def cipher(settings: DatabaseSettings) -> str:
    with closing(MySQL(settings)) as database:
        database.connect()
        return str(database._ask("SHOW SESSION STATUS LIKE 'Ssl_cipher'")[0]["Value"])


def test_the_flag_encrypts(settings: DatabaseSettings) -> None:
    assert cipher(settings)


def test_with_a_ca_the_server_is_checked(settings: DatabaseSettings, server: SecureMariaDB) -> None:
    assert cipher(replace(settings, ssl_ca=str(server.folder / "ca.pem")))
    other = replace(settings, ssl_ca=str(server.folder / "other.pem"))
    with pytest.raises(QueueUnreachable, match=r"TLS connection.*certificate verify failed.*MYSQL_SSL_CA"):
        cipher(other)
    assert cipher(replace(other, flags=CLIENT_SSL | DONT_VERIFY)), "unless the site says not to"


def test_by_socket_as_well(settings: DatabaseSettings, server: SecureMariaDB) -> None:
    assert cipher(replace(settings, host=f"localhost:{server.socket}"))


def test_the_cas_of_the_machine_are_not_read_for_a_server_that_is_not_checked(settings: DatabaseSettings) -> None:
    with patch("ssl.SSLContext.load_default_certs", side_effect=AssertionError("they are read")):
        assert cipher(replace(settings, flags=0)), "it has TLS, so it is used"


def test_a_broken_tls_that_nobody_asked_for_does_not_keep_us_out(
    settings: DatabaseSettings, server: SecureMariaDB
) -> None:
    """PHP would connect in the clear, as it does to servers whose TLS is older than Python accepts."""
    server.insist("NONE")
    try:
        with patch("ssl.SSLContext.wrap_socket", side_effect=ssl.SSLError("unsupported protocol")):
            assert cipher(replace(settings, flags=0)) == ""
            with pytest.raises(QueueUnreachable, match="unsupported protocol"):
                cipher(settings)
    finally:
        server.insist("SSL")
