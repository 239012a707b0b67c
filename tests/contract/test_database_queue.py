"""The database queue keeps the contract: both engines, both ways of claiming."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.contract.bench import DatabaseBench
from tests.contract.holding import Holding
from tests.contract.housekeeping import Busy, Outages, Pruning, Rescuing
from tests.contract.leasing import Leasing
from tests.contract.putting import Putting, Reserving, Unique
from tests.contract.settling import Settling
from tests.support.site import Site


class QueueContract(Putting, Reserving, Unique, Leasing, Holding, Settling, Rescuing, Pruning, Busy):
    """Everything that `wpbg.queues.base` promises."""


class TestMariaDB(QueueContract, Outages):
    @pytest.fixture
    def bench(self, maria: DatabaseBench) -> DatabaseBench:
        return maria


class TestMariaDBWithSkipLock(QueueContract, Outages):
    @pytest.fixture
    def bench(self, mariadb_site: Site) -> Iterator[DatabaseBench]:
        with ExitStack() as stack:
            yield DatabaseBench(mariadb_site, stack, skip_lock=True)


class TestSQLite(QueueContract):
    @pytest.fixture
    def bench(self, sqlite: DatabaseBench) -> DatabaseBench:
        return sqlite


class TestSQLiteWithSkipLock(QueueContract):
    @pytest.fixture
    def bench(self, sqlite_site: Site) -> Iterator[DatabaseBench]:
        with ExitStack() as stack:
            yield DatabaseBench(sqlite_site, stack, skip_lock=True)
