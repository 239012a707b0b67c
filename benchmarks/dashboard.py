"""How long the dashboard's routes and page take with 1,000 rows, and with a million finished and 200,000 waiting ones.

    script/bench dashboard [--finished 1000000] [--waiting 200000] [--engine maria71|sqlite71] [--rounds 15] [--save]

Each route is asked in turn by one client, over HTTP from PHP's own server with OPcache, once on the small table and
once on the large one, on the same machine in one run. Medians; the last column has to be 3 at most.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

from benchmarks.filling import insert
from benchmarks.harness import MACHINE, flags, folder_of_sites, show
from tests.support.site import Site
from tests.support.web import Visitor, Web

LIMIT = 3.0
DAY_MS = 86_400_000


def main() -> None:
    parser = flags(__doc__, "dashboard-ENGINE")
    parser.add_argument("--finished", type=int, default=1_000_000)
    parser.add_argument("--waiting", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    with folder_of_sites() as (_, sites):
        asked = []
        for finished, waiting in ((800, 200), (options.finished, options.waiting)):
            site = sites.clone(options.engine)
            fill(site, finished, waiting)
            asked.append(questions(site, Web(site).log_in()))
        small, large = measure(asked, options.rounds)
        report(small, large, options)


def fill(site: Site, finished: int, waiting: int) -> None:
    """Rows of eight queues and twenty batches, spread over a week, as PHP would have written them."""
    site.query(f"DELETE FROM {site.jobs}")
    payload = (
        b'O:8:"stdClass":2:{s:8:"function";s:4:"noop";s:9:"user_data";a:2:{s:3:"row";i:1;s:4:"name";s:5:"value";}}'
    )
    now = round(time.time() * 1000)
    done = "CASE n % 50 WHEN 0 THEN 'failed' WHEN 1 THEN 'cancelled' ELSE 'completed' END"
    wait = "CASE n % 20 WHEN 0 THEN 'delayed' ELSE 'queued' END"
    text = "'queue-' || (n % 8), 'batch-' || (n % 20), 'callback_' || (n % 40)"
    if site.server:
        text = "CONCAT('queue-', n % 8), CONCAT('batch-', n % 20), CONCAT('callback_', n % 40)"
    columns = "queue, batch, callback, payload, status, attempts, available_at, due_at, started_at, finished_at"
    columns += ", runtime_ms, error"
    ended = f"{now} - CAST(n AS SIGNED) * {7 * DAY_MS} / {max(1, finished)}"
    ended = f"CAST({ended} AS SIGNED)" if site.server else ended.replace("SIGNED", "INTEGER")
    error = '{"class":"RuntimeException","message":"no","file":"a.php","line":1,"trace":"#0"}'
    error = f"CASE n % 50 WHEN 0 THEN '{error}' END"
    insert(
        site, columns, finished,
        f"{text}, x'{payload.hex()}', {done}, 1, {ended} - 5000, {ended}, {ended} - 100, {ended}, n % 900, {error}",
    )  # fmt: skip
    due = f"CASE n % 20 WHEN 0 THEN {now} + {DAY_MS} + n ELSE 0 END"
    insert(site, columns, waiting, f"{text}, x'{payload.hex()}', {wait}, 0, {now} - n, {due}, NULL, NULL, NULL, NULL")
    if site.server:
        site.query(f"ANALYZE TABLE {site.jobs}")


def questions(site: Site, admin: Visitor) -> dict[str, Callable[[], Any]]:
    """Everything that the dashboard asks for, by what it is."""

    def route(path: str, **query: Any) -> Callable[[], Any]:
        def ask() -> Any:
            answer = admin.rest("GET", path, **query)
            assert answer.status == 200, answer
            return answer.body

        return ask

    middle = site.query(f"SELECT id FROM {site.jobs} WHERE status = 'completed' ORDER BY id LIMIT 1 OFFSET 300")[0][
        "id"
    ]
    second = route("/jobs", status="completed")()["next"]
    queued = site.query(f"SELECT MIN(id) AS first, MAX(id) AS last FROM {site.jobs} WHERE status = 'queued'")[0]
    waiting = (queued["first"] + queued["last"]) // 2
    failed = site.query(f"SELECT id FROM {site.jobs} WHERE status = 'failed' LIMIT 1")[0]["id"]
    asked: dict[str, Callable[[], Any]] = {
        "page": lambda: admin.ask("GET", "/wp-admin/tools.php?page=background-jobs"),
        "overview": route("/overview"),
        "statistics, hour": route("/statistics", range="hour"),
        "statistics, day": route("/statistics", range="day"),
        "jobs, all": route("/jobs"),
        "jobs, oldest first": route("/jobs", order="asc"),
        "jobs, second page": route("/jobs", status="completed", cursor=second),
        "jobs of a batch": route("/jobs", batch="batch-7"),
        "failed jobs of a batch": route("/jobs", batch="batch-0", status="failed"),
        "jobs of a queue": route("/jobs", queue="queue-3"),
        "failed jobs of a queue": route("/jobs", queue="queue-3", status="failed"),
        "search that finds": route("/jobs", search="callback_7"),
        "search that finds nothing": route("/jobs", search="nothing like it"),
        "search of the queued that finds nothing": route("/jobs", search="nothing like it", status="queued"),
        "queued jobs, a page of the middle": route("/jobs", status="queued", cursor=f"0-{waiting}"),
        "search for an id": route("/jobs", search=str(middle)),
        "one job": route(f"/jobs/{failed}"),
        "batches": route("/batches"),
        "one batch": route("/batch", batch="batch-3"),
        "queues": route("/queues"),
        "log": route("/log"),
    }
    for status in ("queued", "delayed", "running", "completed", "failed", "cancelled"):
        asked[f"jobs, {status}"] = route("/jobs", status=status)
    return asked


def measure(sites: list[dict[str, Callable[[], Any]]], rounds: int) -> list[dict[str, float]]:
    """Medians in ms, for each site. Interleaved, so that a busy moment of the machine hits all of them."""
    found: list[dict[str, list[float]]] = [{name: [] for name in asked} for asked in sites]
    for number in range(rounds + 1):
        for name in sites[0]:
            for asked, figures in zip(sites, found, strict=True):
                began = time.monotonic()
                asked[name]()
                if number:  # The first round warms up.
                    figures[name].append((time.monotonic() - began) * 1000)
    return [{name: statistics.median(each) for name, each in figures.items()} for figures in found]


def report(small: dict[str, float], large: dict[str, float], options: argparse.Namespace) -> None:
    worst = max(large[name] / small[name] for name in small)
    lines = [
        f"The dashboard's requests, {options.engine}, medians of {options.rounds} in ms;",
        f"{MACHINE}.",
        "",
        f"| request | 1,000 rows | {options.finished:,} finished, {options.waiting:,} waiting | times |",
        "|---|---|---|---|",
        *(f"| {name} | {small[name]:.0f} | {large[name]:.0f} | {large[name] / small[name]:.1f}× |" for name in small),
        "",
        f"At most {worst:.1f} times as long; {LIMIT:g} is allowed.",
    ]
    show(lines, f"dashboard-{options.engine}" if options.save else None)
    sys.exit(0 if worst <= LIMIT else 1)


if __name__ == "__main__":
    main()
