"""A queue with a broker in front of it keeps the contract: both brokers, both engines; skips by capability only."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.contract.bench import job
from tests.contract.lanes import LaneBench
from tests.contract.test_database_queue import QueueContract
from tests.support.beanstalkd import Beanstalkd
from tests.support.gearmand import Gearmand
from tests.support.site import Site
from wpbg.queues.beanstalkd import BeanstalkdLane
from wpbg.queues.gearman import GearmanLane
from wpbg.queues.lane import Lane
from wpbg.queues.reach import AWAY, Reach

SALTS = itertools.count(1)
"""A new one for each test: it finds an empty broker."""


@pytest.fixture
def on_beanstalkd(beanstalkd: Beanstalkd) -> Callable[[], BeanstalkdLane]:
    salt = f"salt{next(SALTS)}"
    return lambda: BeanstalkdLane(beanstalkd.address, salt)


@pytest.fixture
def on_gearman(gearmand: Gearmand) -> Callable[[], GearmanLane]:
    salt = f"salt{next(SALTS)}"
    return lambda: GearmanLane([gearmand.address], salt, None, "default")


class TestBeanstalkdBeforeMariaDB(QueueContract):
    @pytest.fixture
    def bench(self, mariadb_site: Site, on_beanstalkd: Callable[[], BeanstalkdLane]) -> Iterator[LaneBench]:
        with ExitStack() as stack:
            yield LaneBench(mariadb_site, stack, on_beanstalkd)


class TestBeanstalkdBeforeSQLite(QueueContract):
    @pytest.fixture
    def bench(self, sqlite_site: Site, on_beanstalkd: Callable[[], BeanstalkdLane]) -> Iterator[LaneBench]:
        with ExitStack() as stack:
            yield LaneBench(sqlite_site, stack, on_beanstalkd)


class TestGearmanBeforeMariaDB(QueueContract):
    @pytest.fixture
    def bench(self, mariadb_site: Site, on_gearman: Callable[[], GearmanLane]) -> Iterator[LaneBench]:
        with ExitStack() as stack:
            yield LaneBench(mariadb_site, stack, on_gearman)


class TestGearmanBeforeSQLite(QueueContract):
    @pytest.fixture
    def bench(self, sqlite_site: Site, on_gearman: Callable[[], GearmanLane]) -> Iterator[LaneBench]:
        with ExitStack() as stack:
            yield LaneBench(sqlite_site, stack, on_gearman)


@pytest.mark.parametrize("lane", ["on_beanstalkd", "on_gearman"])
def test_what_is_on_its_way_in_is_told(lane: str, mariadb_site: Site, request: pytest.FixtureRequest) -> None:
    """Of paused queues as well; of the table nothing is."""
    with ExitStack() as stack:
        bench = LaneBench(mariadb_site, stack, request.getfixturevalue(lane))
        queue = bench.queue()
        assert not queue.incoming()
        queue.table.put([job()])
        assert not queue.incoming()
        queue.put([job()])
        bench.pause("default")
        assert queue.incoming()
        bench.resume("default")
        while len(queue.reserve(5, "w1")) == 0:
            pass
        queue.reserve(5, "w1")
        assert not queue.incoming()


@pytest.mark.parametrize("backend", ["beanstalkd", "gearmand"])
def test_a_broker_that_was_started_again_is_back_for_every_slot(
    backend: str, mariadb_site: Site, tmp_path: Path
) -> None:
    """Also for those whose connections were open when it ended, and were not used since."""
    server = Beanstalkd() if backend == "beanstalkd" else Gearmand(tmp_path)
    server.start()
    now = [1000.0]

    def lane() -> Lane:
        if backend == "beanstalkd":
            return BeanstalkdLane(server.address, "salt")
        return GearmanLane([server.address], "salt", None, "default")

    try:
        with ExitStack() as stack:
            bench = LaneBench(mariadb_site, stack, lane)
            bench.reach = Reach(clock=lambda: now[0])
            slots = [bench.queue() for _ in range(3)]
            for slot in slots:
                assert slot.reserve(1, "worker") + slot.reserve(1, "worker") == []
            server.kill()
            for _ in range(2):
                assert slots[0].reserve(1, "worker") == []
            assert bench.reach.away
            server.start()
            now[0] += AWAY
            for slot in (slots[2], slots[0]):
                assert not bench.reach.away
                slots[1].put([job()])
                assert len(slot.reserve(1, "worker") + slot.reserve(1, "worker")) == 1
            assert bench.reach.losses == 1
    finally:
        server.stop()


def test_what_one_connection_was_handed_is_not_deleted_by_the_next(beanstalkd: Beanstalkd) -> None:
    """The server was started anew in between: the number is that of a job which nobody has taken."""
    lane = BeanstalkdLane(beanstalkd.address, f"salt{next(SALTS)}")
    assert lane.put("default", b"theirs", 0, "") is not None
    taken = lane.take(["default"], 1)
    lane.close()
    assert lane.counts(["default"]) == {"default": 1}
    lane.acknowledge(taken)
    assert lane.counts(["default"]) == {"default": 1}
    again = lane.take(["default"], 1)
    lane.acknowledge(again)
    assert lane.counts(["default"]) == {}
    lane.close()
