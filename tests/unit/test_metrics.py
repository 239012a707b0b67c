"""Metrics: what the events and the queue's answers become, the dashboard's names, addresses."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.support.need import ROOT
from wpbg.errors import QueueUnreachable, UsageError
from wpbg.events import EVENTS
from wpbg.job import Job, Lease, Outcome
from wpbg.lifetimes import REASONS, recycle_reason
from wpbg.metrics import Instruments, MeteredQueue, listen_address
from wpbg.metrics.reference import families
from wpbg.metrics.site_view import MOST, OTHERS, SiteView, summed_up

SUFFIXES = ("_total", "_bucket", "_count", "_sum", "_info")


def value(instruments: Instruments, name: str, **labels: str) -> float:
    return instruments.registry.get_sample_value(name, labels) or 0.0


@pytest.mark.parametrize("what", ["completed", "failed", "retry", "cancelled", "released"])
def test_runs_are_counted_by_queue_outcome_and_ending(what: str) -> None:
    instruments = Instruments()
    ending = {"retry": "timed_out", "released": "interrupted"}.get(what, what)
    instruments.notice(f"job.{what}", {"queue": "mail", "ending": ending, "runtime_ms": 1500})
    assert value(instruments, "wpbg_jobs_total", queue="mail", outcome=what) == 1
    assert value(instruments, "wpbg_runs_total", queue="mail", ending=ending) == 1
    ran = 0 if what == "released" else 1.5
    assert value(instruments, "wpbg_job_run_seconds_sum", queue="mail") == ran


def test_every_event_is_taken() -> None:
    """With the fields that it always has: a sink that raised would cost the slot that told it."""
    instruments = Instruments()
    for event in EVENTS:
        instruments.notice(event, {"lane": "beanstalkd", "mode": "fork"})
    assert value(instruments, "wpbg_broker_errors_total", broker="beanstalkd") == 1
    assert value(instruments, "wpbg_php_starts_total", mode="fork") == 1
    assert value(instruments, "wpbg_php_start_failures_total") == 1
    assert value(instruments, "wpbg_jobs_rescued_total") == 1
    assert value(instruments, "wpbg_jobs_given_up_total") == 1


class Answering:
    """A queue whose answers the test decides. (How long a real one takes is not asserted anywhere.)"""

    capabilities: frozenset[Any] = frozenset()

    def __init__(self, leases: list[Lease] | None) -> None:
        self.leases = leases

    def reserve(self, limit: int, worker: str) -> list[Lease]:
        if self.leases is None:
            raise QueueUnreachable("gone")
        return self.leases


def test_claims_are_timed_where_there_were_jobs_and_waits_where_they_are_known() -> None:
    instruments = Instruments()
    leases = [
        Lease(Job("1", "mail", b""), 1, 0, 0, waited_ms=2000),
        Lease(Job("2", "mail", b""), 1, 0, 0, waited_ms=None),
    ]
    assert MeteredQueue(Answering(leases), instruments).reserve(2, "w") == leases  # type: ignore[arg-type]
    MeteredQueue(Answering([]), instruments).reserve(2, "w")  # type: ignore[arg-type]
    assert value(instruments, "wpbg_claim_seconds_count") == 1
    assert value(instruments, "wpbg_job_wait_seconds_sum", queue="mail") == 2
    assert value(instruments, "wpbg_job_wait_seconds_count", queue="mail") == 1


def test_what_the_database_does_not_answer_is_counted_and_passed_on() -> None:
    instruments = Instruments()
    with pytest.raises(QueueUnreachable):
        MeteredQueue(Answering(None), instruments).reserve(1, "w")  # type: ignore[arg-type]
    assert value(instruments, "wpbg_database_errors_total", operation="claim") == 1


def test_addresses() -> None:
    assert listen_address("0.0.0.0:9100") == ("0.0.0.0", 9100)
    assert listen_address("[::1]:9100") == ("::1", 9100)
    assert listen_address("9100") == ("127.0.0.1", 9100)
    for wrong in ("", "host", ":9100", "host:", "host:99999", "host:-1", "host:٣"):
        with pytest.raises(UsageError, match="HOST:PORT"):
            listen_address(wrong)


@pytest.mark.parametrize(
    ("why", "reason"),
    [
        ("it has run 50 jobs", "max_jobs"),
        ("it has run for 3600 s", "max_time"),
        ("it holds 130 MB", "max_memory"),
        ("it holds 900 open files", "open_files"),
        ("the active plugins have changed", "plugins_changed"),
        ("/srv/site/wp-content/plugins/a/a.php has changed", "code_changed"),
        ("a job after the other crashed or hung", "job"),
        ("asked to", "asked"),
        ("a job in it timed out", "job"),
        ("it was killed by SIGKILL", "ended"),
    ],
)
def test_reasons_of_replacing_a_process(why: str, reason: str) -> None:
    assert recycle_reason(why) == reason


def test_phps_words_for_the_reasons_are_those_that_are_looked_for() -> None:
    """Each pattern matches something that the sources say, with `1` for what is filled in."""
    said = ""
    for file in [ROOT / "php-plugin/includes/class-recycling.php", ROOT / "wpbg/runners/persistent.py"]:
        said += re.sub(r"\{\$[^}]*\}|' \. .*? \. '", "1", file.read_text(encoding="utf-8"))
    for reason, words in REASONS.items():
        assert re.search(words.replace("^", "['\"]").replace("$", "['\"]"), said), reason


def test_the_dashboard_asks_for_metrics_that_there_are() -> None:
    dashboard = json.loads((ROOT / "docs/grafana-dashboard.json").read_text(encoding="utf-8"))
    known = {name for family in families() for name in (family.name, *(family.name + end for end in SUFFIXES))}
    asked = set(re.findall(r"\b(?:wpbg|process)_[a-z_]+", json.dumps(dashboard)))
    assert {name for name in asked if name.startswith("wpbg_")} > {"wpbg_jobs_total", "wpbg_job_wait_seconds_bucket"}
    assert asked - known == set()
    shown = {re.sub(r"_(total|bucket|count|sum)$", "", name) for name in asked}
    ours = {family.name for family in families() if family.name.startswith("wpbg_")}
    assert ours - shown == {"wpbg_worker"}, "every metric has its place on the dashboard"
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids))


def test_nothing_of_it_is_imported_for_help() -> None:
    code = (
        "import sys; sys.argv = ['wpbg', 'listen', '--help']\nfrom wpbg.cli import main\ntry: main()\nfinally: print("
    )
    code += "[name for name in sys.modules if name.startswith(('prometheus', 'http.server', 'wpbg.metrics'))])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_an_outcome_of_a_run_is_known_to_the_counter() -> None:
    """What `wpbg.recorder` calls the events of a settled run is what is counted."""
    from wpbg.job import Ending
    from wpbg.metrics.instruments import OUTCOMES
    from wpbg.recorder import sentence
    from wpbg.settle import decide

    for ending in Ending:
        for attempt in (1, 3):
            outcome = Outcome(ending)
            name, _ = sentence(decide(Job("1", "q", b"", attempt), outcome, lambda: 0.5), outcome)
            assert name.removeprefix("job.") in OUTCOMES


def queue(name: str, queued: int, oldest: int | None = None, paused: bool = False) -> dict[str, Any]:
    counts = {"queued": queued, "delayed": 1, "running": 0, "failed": 0}
    return {"queue": name, **counts, "oldest_queued_seconds": oldest, "paused": paused}


def test_a_queue_for_every_user_does_not_make_a_series_for_every_user() -> None:
    few = [queue(f"q{number}", number) for number in range(MOST)]
    assert summed_up(few, ["q0"]) == few
    many = [queue(OTHERS, 10**6), *(queue(f"q{number}", number, oldest=number) for number in range(3000))]
    kept = summed_up(many, ["q0", "q7"])
    assert len(kept) == MOST + 1
    assert {"q0", "q7", "q2999"} <= {row["queue"] for row in kept}, "ours, and the largest"
    assert len({row["queue"] for row in kept}) == len(kept), "no label comes twice"
    assert sum(row["queued"] for row in kept) == sum(row["queued"] for row in many)
    assert kept[-1]["queue"] == OTHERS
    assert kept[-1]["oldest_queued_seconds"] == 2901


class SlowLedger:
    """Its first answer comes at once, the next when it is let."""

    def __init__(self) -> None:
        self.may, self.asked = threading.Event(), 0

    def queues(self) -> list[dict[str, Any]]:
        self.asked += 1
        if self.asked > 1:
            self.may.wait(60)
        return [queue("mail", self.asked)]

    def close(self) -> None: ...


def test_counting_that_takes_long_is_no_outage_and_one_that_hangs_is(monkeypatch: pytest.MonkeyPatch) -> None:
    about = SimpleNamespace(mode="fork", name="w", queues=("mail",))
    pool = SimpleNamespace(options=about, slots=[], stopping=False, database_lost=False)
    ledger = SlowLedger()
    view = SiteView(cast(Any, pool), cast(Any, ledger))

    def told() -> tuple[float, list[float]]:
        found = {metric.name: [sample.value for sample in metric.samples] for metric in view.collect()}
        return found["wpbg_database_up"][0], found["wpbg_queue_jobs"][:1]

    monkeypatch.setattr("wpbg.metrics.site_view.PATIENCE", 0.01)
    monkeypatch.setattr("wpbg.metrics.site_view.KEPT", -1.0)
    while told() != (1, [1]):
        assert ledger.asked < 2
    told()
    assert told() == (1, [1]), "it is being asked; what it said last is told again"
    assert ledger.asked == 2, "once at a time"
    monkeypatch.setattr("wpbg.metrics.site_view.HANGS", -1.0)
    assert told() == (0, [])
    ledger.may.set()
    monkeypatch.setattr("wpbg.metrics.site_view.PATIENCE", 60.0)
    assert told()[0] == 1
