"""One site of each engine for all tests of a module; the tables are emptied for each test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.contract.bench import DatabaseBench
from tests.support.site import Site
from tests.support.sites import Sites


@pytest.fixture(scope="module")
def sqlite_site(sites: Sites) -> Iterator[Site]:
    site = sites.clone("sqlite71")
    yield site
    sites.close(site)


@pytest.fixture(scope="module")
def mariadb_site(sites: Sites) -> Iterator[Site]:
    site = sites.clone("maria71")
    yield site
    sites.close(site)


@pytest.fixture
def maria(mariadb_site: Site) -> Iterator[DatabaseBench]:
    """The database queue on MariaDB."""
    with ExitStack() as stack:
        yield DatabaseBench(mariadb_site, stack)


@pytest.fixture
def sqlite(sqlite_site: Site) -> Iterator[DatabaseBench]:
    """The database queue on the SQLite drop-in's file."""
    with ExitStack() as stack:
        yield DatabaseBench(sqlite_site, stack)


@pytest.fixture(params=["maria", "sqlite"])
def either(request: pytest.FixtureRequest) -> DatabaseBench:
    """Both, one after the other."""
    bench: DatabaseBench = request.getfixturevalue(request.param)
    return bench
