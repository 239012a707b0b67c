"""Several Gearman servers: one that is down costs the others nothing, and none of them starves another."""

from __future__ import annotations

import json
from itertools import islice

import pytest

from wpbg.errors import QueueUnreachable
from wpbg.log import Log
from wpbg.queues.gearman_servers import Servers
from wpbg.queues.reach import AWAY


class Net:
    """Servers that are up or down, and how often each was asked."""

    def __init__(self, *names: str) -> None:
        self.lines: list[str] = []
        self.now = 0.0
        self.servers = Servers(names, Log("json", write=self.lines.append), clock=lambda: self.now)
        self.down: set[str] = set()
        self.asked: list[str] = []

    def ask(self, name: str) -> str:
        self.asked.append(name)
        if name in self.down:
            raise QueueUnreachable(f"gearmand at {name} cannot be reached.")
        return name

    def round(self) -> list[str]:
        self.asked.clear()
        return list(self.servers.each(self.ask))

    def said(self) -> list[tuple[str, str]]:
        told = [json.loads(line) for line in self.lines]
        return [(line["event"], line["server"]) for line in told]


def test_another_one_comes_first_each_time() -> None:
    net = Net("a", "b", "c")
    firsts = [next(net.servers.each(net.ask)) for _ in range(6)]
    assert firsts == ["a", "b", "c", "a", "b", "c"]
    assert list(islice(net.servers.each(net.ask), 2)) == ["a", "b"]


def test_one_that_is_down_is_left_alone_and_said_once() -> None:
    net = Net("a", "b")
    net.down = {"b"}
    assert net.round() == ["a"]
    assert net.asked == ["a", "b"]
    for _ in range(10):
        assert net.round() == ["a"]
        assert net.asked == ["a"], "not asked again: each time would cost the time limit of a connection"
    net.now += AWAY
    assert net.round() == ["a"]
    assert sorted(net.asked) == ["a", "b"]
    net.down = set()
    net.now += 2 * AWAY
    assert sorted(net.round()) == ["a", "b"]
    assert net.said() == [("lane.server_lost", "b"), ("lane.server_back", "b")]


def test_when_all_are_down_who_asks_is_told_each_time() -> None:
    net = Net("a", "b")
    net.down = {"a", "b"}
    for _ in range(3):
        with pytest.raises(QueueUnreachable):
            net.round()
        assert sorted(net.asked) == ["a", "b"], "when to ask at all is the lane's to know"


def test_a_single_one_is_its_lanes_to_speak_of() -> None:
    net = Net("a", "a")
    net.down = {"a"}
    with pytest.raises(QueueUnreachable):
        net.round()
    assert net.asked == ["a"]
    assert net.lines == []
