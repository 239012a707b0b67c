"""DB_HOST in all of WordPress's forms."""

from __future__ import annotations

from pathlib import Path

import pytest

from wpbg.errors import UsageError
from wpbg.queues import settings as module
from wpbg.queues.settings import DatabaseSettings, Endpoint, default_socket, endpoint, parse_db_host


@pytest.mark.parametrize(
    ("db_host", "parsed"),
    [
        ("localhost", ("localhost", None, None)),
        ("db.example.com", ("db.example.com", None, None)),
        ("127.0.0.1:3307", ("127.0.0.1", 3307, None)),
        ("localhost:/run/my.sock", ("localhost", None, "/run/my.sock")),
        ("127.0.0.1:3307:/run/my.sock", ("127.0.0.1", 3307, "/run/my.sock")),
        (":/run/my.sock", ("", None, "/run/my.sock")),
        (":3307", ("", 3307, None)),
        ("", ("", None, None)),
        ("::1", ("::1", None, None)),
        ("[::1]", ("::1", None, None)),
        ("[::1]:3307", ("::1", 3307, None)),
        ("[2001:db8::7]:3307", ("2001:db8::7", 3307, None)),
        ("2001:db8::7", ("2001:db8::7", None, None)),
        ("::1:/run/my.sock", ("::1", None, "/run/my.sock")),
        ("db:0", ("db", None, None)),
        ("db:port", ("db", None, None)),
    ],
)
def test_the_forms(db_host: str, parsed: tuple[str, int | None, str | None]) -> None:
    assert parse_db_host(db_host) == parsed


def at(host: str, **said: object) -> Endpoint:
    return endpoint(DatabaseSettings(engine="mysql", prefix="wp_", host=host, **said))  # type: ignore[arg-type]


def test_localhost_is_a_socket_whatever_port_is_given() -> None:
    assert at("localhost:3307", socket="/php.sock") == Endpoint(socket="/php.sock")
    assert at(":3307", socket="/php.sock") == Endpoint(socket="/php.sock")
    assert at("LocalHost:/own.sock", socket="/php.sock") == Endpoint(socket="/own.sock")


def test_any_other_host_is_tcp_whatever_socket_is_given() -> None:
    assert at("127.0.0.1:/own.sock") == Endpoint("127.0.0.1", 3306)
    assert at("db:3307") == Endpoint("db", 3307)
    assert at("db", port=3310) == Endpoint("db", 3310)
    assert at("[::1]:3307") == Endpoint("::1", 3307)


def test_where_is_what_people_write() -> None:
    assert at("[::1]:3307").where == "[::1]:3307"
    assert at("db").where == "db:3306"
    assert at(":/own.sock").where == "/own.sock"


def test_the_default_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MYSQL_UNIX_PORT", raising=False)
    there = tmp_path / "there.sock"
    monkeypatch.setattr(module, "SOCKET_PLACES", ("/nowhere/a.sock", str(there)))
    assert default_socket("/php.sock") == "/php.sock"
    assert default_socket() == "/nowhere/a.sock", "the usual place, for the message"
    there.touch()
    assert default_socket() == str(there)
    monkeypatch.setenv("MYSQL_UNIX_PORT", str(there))
    assert default_socket() == str(there)


def test_settings_show_no_secrets() -> None:
    settings = DatabaseSettings(engine="mysql", prefix="wp_", password="hunter2", ssl_key="/secret.pem")
    assert "hunter2" not in repr(settings)
    assert "secret" not in repr(settings)


def test_settings_from_what_a_site_says() -> None:
    said = {"engine": "mysql", "prefix": "wp_", "host": "db", "ssl_ca": None, "file": None, "socket": "", "more": 1}
    settings = DatabaseSettings.from_mapping(said)
    assert (settings.host, settings.ssl_ca, settings.socket) == ("db", None, "")


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"engine": "oracle", "prefix": "wp_"}, "oracle"),
        ({"engine": "sqlite", "prefix": "wp_"}, "FQDB"),
        ({"engine": "mysql", "prefix": "wp`_"}, "prefix"),
    ],
)
def test_settings_that_cannot_be(said: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        DatabaseSettings(**said)  # type: ignore[arg-type]
