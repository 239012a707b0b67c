"""The figures to reach: a no-op job, durable settings, all records and guarantees on."""

from __future__ import annotations

from benchmarks.figures import Goal

LOOP = {
    "MariaDB": Goal(3_000, 10_000),
    "SQLite": Goal(3_000, 8_000),
    "beanstalkd": Goal(4_000, 10_000),
    "gearman": Goal(3_000, 6_000),
}
"""Jobs a second with one slot."""

TIMES_WP_EVAL = {
    ("restart", 1): Goal(2, 3),
    ("fork", 1): Goal(45, None),
    ("fork", 2): Goal(None, 100),
}
"""By lifetime and slots, on any backend: times the rate of a plain `wp eval` per job."""

IDLE_LATENCY = {"p50": Goal(10, 3, low=True), "p99": Goal(50, 15, low=True)}
"""Milliseconds from the request's call to the callback's first line, in loop and fork, on any backend."""

ENQUEUE = Goal(0.8, 0.95)
"""`add_async_job` against a bare `$wpdb->insert`, database."""

BULK = {"MariaDB": Goal(30_000, 80_000), "SQLite": Goal(20_000, 60_000)}
"""Jobs a second of `add_async_jobs` with the largest number."""

FLAT = Goal(1.25, 1.1, low=True)
"""Peak memory of the largest bulk, beyond the ids that it returns, against that of a tenth of it."""

CLAIM = Goal(0.8, 0.95)
"""The rate of claims with most jobs waiting against that with fewest."""

IDLE_CPU = Goal(1.0, 0.2, low=True)
"""Per cent of a core, eight idle slots: `wpbg` and its PHP together."""

IDLE_MEMORY = Goal(60, 40, low=True)
"""MB resident, eight idle slots, the `wpbg` process."""

STARTUP = Goal(250, 100, low=True)
"""Milliseconds: `wpbg --help`; `wpbg status` beyond WP-CLI's own boot."""
