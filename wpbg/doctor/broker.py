"""The broker in front of the table, where the site has one: whether it answers, and what it takes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import greenstalk

from wpbg.doctor.finding import Finding, wrong
from wpbg.lanes import BACKENDS
from wpbg.queues.address import connect
from wpbg.site import Site

PATIENCE = 3.0
"""Seconds a broker has to answer."""

SMALL = 65535
"""Bytes of a job that beanstalkd takes when nothing is said."""


def check_broker(site: Site) -> Iterator[Finding]:
    """Nothing where jobs go straight to the table."""
    told = site.lane or {"backend": "database"}
    backend = str(told["backend"])
    if backend not in BACKENDS:
        yield wrong(
            "Broker",
            f"ABW_BACKEND is {backend!r} in wp-config.php, so no worker starts: it is one of {', '.join(BACKENDS)}.",
            "wp config set ABW_BACKEND database",
            exit_code=2,
        )
    elif backend == "beanstalkd":
        yield _beanstalkd(str(told["beanstalkd"]))
    elif backend == "gearman":
        if "gearman" not in site.extensions:
            yield wrong(
                "Broker",
                "PHP's gearman extension is missing, so add_async_job() uses the table instead of Gearman.",
                "apt-get install php-gearman",
            )
        servers = list(told["gearman"])
        for server in servers:
            yield _gearman(str(server))


def _away(name: str, at: str, error: Exception, constant: str, package: str) -> Finding:
    why = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return wrong(
        "Broker",
        f"{name} at {at} cannot be reached ({why}); jobs take the way of the table meanwhile. Start it, or check "
        f"{constant} in wp-config.php.",
        f"systemctl start {package}",
        exit_code=4,
    )


def _beanstalkd(address: str) -> Finding:
    try:
        with contextlib.closing(connect(address, 11300, PATIENCE)) as connection:
            client = greenstalk.Client(connection)
            stats: Mapping[str, Any] = client.stats()
    except (OSError, greenstalk.Error, ValueError) as error:
        return _away("beanstalkd", address, error, "ABW_BEANSTALKD", "beanstalkd")
    about = f"beanstalkd {stats.get('version')} at {address} takes jobs of up to {int(stats['max-job-size']):,} bytes"
    if str(stats.get("draining")).lower() == "true":
        return wrong("Broker", f"{about}, but it is draining: it takes none now.", "systemctl restart beanstalkd")
    if not int(stats.get("binlog-current-index") or 0):
        return Finding(
            "Broker", f"{about}; jobs that wait in it are lost when it ends (start it with -b DIR)", info=True
        )
    return Finding("Broker", f"{about} and keeps them on disk")


def _gearman(server: str) -> Finding:
    try:
        with contextlib.closing(connect(server, 4730, PATIENCE)) as connection:
            connection.sendall(b"version\n")
            answer = connection.recv(256).decode("ascii", "replace").strip()
    except (OSError, ValueError) as error:
        return _away("Gearman", server, error, "$gearman_servers", "gearman-job-server")
    if not answer.startswith("OK"):
        return wrong(
            "Broker",
            f"What listens at {server} is not gearmand: check $gearman_servers in wp-config.php.",
            "ss -ltnp",
            exit_code=4,
        )
    return Finding(
        "Broker",
        f"gearmand {answer.removeprefix('OK').strip()} at {server}; without a persistent queue (-q) jobs that wait in "
        "it are lost when it ends",
        info=True,
    )
