"""Addresses of brokers as wp-config.php says them; what is none is told, and never breaks a worker."""

from __future__ import annotations

import pytest

from wpbg.errors import QueueUnreachable
from wpbg.queues.address import BadAddress, parse
from wpbg.queues.beanstalkd import BeanstalkdLane
from wpbg.queues.gearman import GearmanLane

TYPOS = (
    "127.0.0.1:abc",
    "127.0.0.1:99999",
    "127.0.0.1:0",
    "tcp://127.0.0.1:11300",
    "::1",
    "::1:11300",
    "[::1",
    "127.0.0.1 11300",
    "127.0.0.1:11300/",
)
NO_HOSTS = ("a..b:1", "x" * 80, "no-such-host.invalid")


@pytest.mark.parametrize(
    ("address", "target"),
    [
        ("10.0.0.5:4731", ("10.0.0.5", 4731)),
        (" 10.0.0.5 ", ("10.0.0.5", 4730)),
        ("[::1]:4731", ("::1", 4731)),
        ("[::1]", ("::1", 4730)),
        (":4731", ("127.0.0.1", 4731)),
        ("", ("127.0.0.1", 4730)),
        ("unix:/run/b.sock", "/run/b.sock"),
        ("unix:///run/b.sock", "/run/b.sock"),
    ],
)
def test_addresses(address: str, target: object) -> None:
    assert parse(address, 4730) == target


@pytest.mark.parametrize("address", TYPOS)
def test_what_is_no_address_is_told(address: str) -> None:
    with pytest.raises(BadAddress, match=r"no address: write host:port|no port between"):
        parse(address, 4730)


@pytest.mark.parametrize("address", TYPOS + NO_HOSTS)
def test_a_lane_with_a_bad_address_is_one_that_cannot_be_reached(address: str) -> None:
    for lane in (BeanstalkdLane(address, "salt"), GearmanLane([address], "salt")):
        asked = (
            lambda lane=lane: lane.take(["default"], 1),
            lambda lane=lane: lane.waiting(["default"]),
            lambda lane=lane: lane.counts(["default"]),
            lambda lane=lane: lane.discard("default"),
        )
        for ask in asked:
            with pytest.raises(QueueUnreachable, match=r"cannot be reached .*wp-config\.php"):
                ask()  # type: ignore[no-untyped-call]
    with pytest.raises(QueueUnreachable):
        GearmanLane([address], "salt").knows("0" * 32)
