"""The fixtures that every test may use: a MariaDB server and real WordPress sites.

`sqlite71`, `maria71`, `maria61`, `multisite` are fresh sites for one test. `site` is each of the
first three in turn, `shared_site` the same but one site for all tests of a module (cheaper; leave
it usable). `sites.clone(kind)` makes more of them. `private_mariadb` is a server that a test may
stop and kill: `sites.clone("maria71", server=private_mariadb)`. `beanstalkd` and `gearmand` are a server
for the tests of a module.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from tests.support.beanstalkd import Beanstalkd
from tests.support.gearmand import Gearmand
from tests.support.mariadb import MariaDB
from tests.support.site import Site
from tests.support.sites import Sites

ONE_OF_EACH = ("sqlite71", "maria71", "maria61")


@pytest.fixture(scope="session")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sites]:
    made = Sites(tmp_path_factory.mktemp("sites"), cached=True)
    yield made
    made.close_all()


@pytest.fixture(scope="session")
def mariadb(sites: Sites) -> MariaDB:
    return sites.mariadb


@pytest.fixture
def private_mariadb(sites: Sites, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDB]:
    server = MariaDB(tmp_path_factory.mktemp("mariadb") / "server", durable=True)  # What was committed outlives a kill.
    yield server
    server.start()
    sites.close_on(server)
    server.stop()
    shutil.rmtree(server.folder, ignore_errors=True)


@pytest.fixture(scope="module")
def beanstalkd() -> Iterator[Beanstalkd]:
    server = Beanstalkd()
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def gearmand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gearmand]:
    server = Gearmand(tmp_path_factory.mktemp("gearmand"))
    server.start()
    yield server
    server.stop()


def _clone(sites: Sites, kind: str) -> Iterator[Site]:
    site = sites.clone(kind)
    yield site
    sites.close(site)


@pytest.fixture(params=ONE_OF_EACH)
def site(request: pytest.FixtureRequest, sites: Sites) -> Iterator[Site]:
    yield from _clone(sites, request.param)


@pytest.fixture(scope="module", params=ONE_OF_EACH)
def shared_site(request: pytest.FixtureRequest, sites: Sites) -> Iterator[Site]:
    yield from _clone(sites, request.param)


@pytest.fixture
def sqlite71(sites: Sites) -> Iterator[Site]:
    yield from _clone(sites, "sqlite71")


@pytest.fixture
def maria71(sites: Sites) -> Iterator[Site]:
    yield from _clone(sites, "maria71")


@pytest.fixture
def maria61(sites: Sites) -> Iterator[Site]:
    yield from _clone(sites, "maria61")


@pytest.fixture
def multisite(sites: Sites) -> Iterator[Site]:
    yield from _clone(sites, "multisite")
