"""Jobs that wait in a broker, in no table yet: the dashboard counts them, and alerts know of them."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.brokers import BACKENDS, Broker
from tests.integration.test_alerts import bar, statuses
from tests.support.site import Site
from tests.support.wait import wait_for
from tests.support.web import Visitor, Web

ODD = "mail, a/b $x"


@pytest.fixture(params=BACKENDS)
def broker(request: pytest.FixtureRequest, sqlite71: Site, tmp_path: Path) -> Iterator[Broker]:
    made = Broker.of(request.param, tmp_path)
    made.serve(sqlite71)
    yield made
    made.server.stop()


@pytest.fixture
def admin(broker: Broker, sqlite71: Site) -> Visitor:
    return Web(sqlite71).log_in()


def health(admin: Visitor) -> dict[str, Any]:
    told: dict[str, Any] = admin.rest("GET", "/overview").body["health"]
    return told


def codes(admin: Visitor) -> list[str]:
    return [problem["code"] for problem in health(admin)["problems"]]


def test_what_waits_in_the_broker_is_counted_and_alarms(broker: Broker, sqlite71: Site, admin: Visitor) -> None:
    site = sqlite71
    for number, queue in enumerate(("default", "default", ODD)):
        assert "-" in site.enqueue("strtoupper", number, queue), "it went to the broker"
    wait_for(lambda: health(admin)["waiting"]["number"] == 3, 30, "the jobs are seen")
    queues = {queue["queue"]: queue for queue in admin.rest("GET", "/queues").body["queues"]}
    assert [(queues[name]["queued"]["number"], queues[name]["in_broker"]) for name in ("default", ODD)] == [
        (2, 2),
        (1, 1),
    ]
    assert (health(admin)["status"], codes(admin)) == ("bad", ["no_worker"])
    assert statuses(site)["alive"] == "critical"
    assert bar(site) == "", "the first look: nobody knows yet since when they wait"
    site.eval_php("set_site_transient( Background_Worker\\Alerts::WAITS, time() - 200, 900 );")
    assert "no worker is alive" in bar(site)
    for queue in ("default", ODD):
        assert admin.rest("POST", "/queues/pause", {"queue": queue}).status == 200
    assert bar(site) == ""
    assert admin.rest("POST", "/queues/resume", {"queue": ODD}).status == 200
    site.start_wpbg("listen").wait_for_line("worker.started")
    wait_for(lambda: codes(admin) == ["unserved"], 30, "the worker is seen, and what it does not serve")
    assert f"“{ODD}”" in health(admin)["problems"][0]["message"]


def test_a_broker_that_is_away_or_hangs_is_told_of(broker: Broker, sqlite71: Site, admin: Visitor) -> None:
    site = sqlite71
    site.start_wpbg("listen").wait_for_line("worker.started")
    wait_for(lambda: codes(admin) == [], 30, "all is well")
    broker.server.send_signal(signal.SIGSTOP)  # It takes connections, and says nothing.
    try:
        wait_for(lambda: codes(admin) == ["broker"], 30, "the broker is told of")
        assert f"{broker.backend} does not answer at {broker.server.address}" in health(admin)["problems"][0]["message"]
    finally:
        broker.server.send_signal(signal.SIGCONT)
    wait_for(lambda: codes(admin) == [], 30, "all is well again")
    site.configure(ABW_BACKEND="rabbit")
    wait_for(lambda: codes(admin) == ["broker"], 30, "so is a name that is none")
    assert "“rabbit”: ABW_BACKEND is none of" in health(admin)["problems"][0]["message"]
