"""Counters and histograms of one worker process, fed by its log's events and its queues."""

from __future__ import annotations

from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, PlatformCollector, ProcessCollector

FAST = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds: what a claim or a record of an outcome takes."""

SLOW = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0)
"""Seconds: what a job takes, and how long it waits."""

OUTCOMES = frozenset({"completed", "failed", "retry", "cancelled", "released"})
"""What may come of a run; the same as the events `job.*`."""


class Instruments:
    """`notice` is a sink of the log; the rest is observed by `MeteredQueue`. For any number of threads."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        self.jobs = Counter(
            "wpbg_jobs", "Runs of jobs by what came of them: completed, failed (no attempt left), retry, cancelled, "
            "released (given back uncounted).", ["queue", "outcome"], registry=registry,
        )  # fmt: skip
        self.endings = Counter(
            "wpbg_runs", "Runs of jobs by how they ended: completed, failed, timed_out, process_died, cancelled, "
            "interrupted, not_started.", ["queue", "ending"], registry=registry,
        )  # fmt: skip
        self.run_seconds = Histogram(
            "wpbg_job_run_seconds", "Time in the callback.", ["queue"], buckets=SLOW, registry=registry
        )
        self.wait_seconds = Histogram(
            "wpbg_job_wait_seconds",
            "From when a job may run until a worker takes it.",
            ["queue"],
            buckets=SLOW,
            registry=registry,
        )
        self.claim_seconds = Histogram(
            "wpbg_claim_seconds", "Taking jobs from the queue, where there were some.", buckets=FAST, registry=registry
        )
        self.settle_seconds = Histogram("wpbg_settle_seconds", "Recording outcomes.", buckets=FAST, registry=registry)
        self.rescued = Counter(
            "wpbg_jobs_rescued", "Jobs of lost workers that this one put back into the queue.", registry=registry
        )
        self.given_up = Counter(
            "wpbg_jobs_given_up", "Jobs whose worker was lost in their last attempt.", registry=registry
        )
        self.set_aside = Counter(
            "wpbg_jobs_set_aside",
            "Bodies from the broker that were damaged or not signed.",
            ["queue"],
            registry=registry,
        )
        self.php_starts = Counter("wpbg_php_starts", "PHP processes started.", ["mode"], registry=registry)
        self.php_start_failures = Counter(
            "wpbg_php_start_failures", "PHP processes that did not get ready.", registry=registry
        )
        self.php_recycles = Counter(
            "wpbg_php_recycles", "PHP processes replaced, by reason.", ["reason"], registry=registry
        )
        self.database_errors = Counter(
            "wpbg_database_errors", "Questions that the database did not answer.", ["operation"], registry=registry
        )
        self.broker_errors = Counter(
            "wpbg_broker_errors", "Questions that the broker did not answer.", ["broker"], registry=registry
        )

    def notice(self, event: str, fields: dict[str, Any]) -> None:
        """An event of the log. Never raises for one that it does not know."""
        kind, _, what = event.partition(".")
        if kind == "job" and what in OUTCOMES and "ending" in fields:
            queue = str(fields["queue"])
            self.jobs.labels(queue, what).inc()
            self.endings.labels(queue, str(fields["ending"])).inc()
            if fields["ending"] not in ("not_started", "interrupted"):
                self.run_seconds.labels(queue).observe(fields.get("runtime_ms", 0) / 1000)
        elif event == "job.failed":
            self.given_up.inc()
        elif event == "job.rescued":
            self.rescued.inc()
        elif event == "job.set_aside":
            self.set_aside.labels(str(fields.get("queue", ""))).inc()
        elif event == "php.started":
            self.php_starts.labels(str(fields["mode"])).inc()
        elif event == "php.not_started":
            self.php_start_failures.inc()
        elif event == "php.recycled":
            self.php_recycles.labels(str(fields.get("reason", "other"))).inc()
        elif event == "lane.error":
            self.broker_errors.labels(str(fields["lane"])).inc()
