"""Short jobs in a loop, which PHP has before their turn: what becomes of them when the one before them misbehaves."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path

from tests.lifetimes.at_work import AtWork, at_work, jobs, lines, put
from tests.support.site import Site
from tests.support.wait import wait_for


def ended(site: Site, ids: Sequence[str]) -> list[dict[str, object]]:
    """Their rows, once all have ended."""
    chosen = f"id BETWEEN {ids[0]} AND {ids[-1]}"
    wait_for(
        lambda: (
            site.query(f"SELECT count(*) AS n FROM {site.jobs} WHERE {chosen} AND finished_at IS NOT NULL")[0]["n"]
            == len(ids)
        ),
        60,
        "all to have ended",
    )
    return site.query(f"SELECT * FROM {site.jobs} WHERE {chosen} ORDER BY id")


def test_what_they_say_over_stderr_is_theirs(site: Site) -> None:
    jobs(site, "ahead")
    with at_work(site, "loop") as work:
        work.wait_until_warm()
        rows = ended(site, put(site, "says_to_stderr", range(300)))
    for n, row in enumerate(rows):
        assert (row["status"], json.loads(str(row["result"]))) == ("completed", n)
        said = row["output"].decode() if isinstance(row["output"], bytes) else str(row["output"] or "")
        words = [line for line in said.splitlines() if line.strip()]
        assert [line.split("] ")[-1] for line in words] == ([f"job {n}", f"and {n}"] if n % 3 else [])


def test_nobody_waits_behind_a_long_one(site: Site, tmp_path: Path) -> None:
    """Those that PHP had already are done by the other slot long before it ends."""
    jobs(site, "ahead")
    with at_work(site, "loop", "--concurrency", "2") as work:
        work.wait_until_warm()
        done, began = tmp_path / "done", tmp_path / "began"
        data = [[n, str(done)] for n in range(200)]
        first = put(site, "notes", data[:100])
        (long,) = put(site, "stays", [[6, str(began)]])
        last = put(site, "notes", data[100:])
        rows = ended(site, [*first, long, *last])
    assert {(row["status"], row["attempts"]) for row in rows} == {("completed", 1)}
    assert sorted(map(int, lines(done))) == list(range(200)), "each once"
    late = [row["id"] for row in rows[101:] if row["finished_at"] > rows[100]["finished_at"]]
    assert late == []


def test_one_that_kills_its_process_costs_no_other(site: Site, tmp_path: Path) -> None:
    jobs(site, "ahead")
    done = tmp_path / "done"
    with at_work(site, "loop") as work:
        work.wait_until_warm()
        first = put(site, "notes", [[n, str(done)] for n in range(100)])
        deadly = put(site, "kills_itself", [None, None])
        last = put(site, "notes", [[n, str(done)] for n in range(100, 200)])
        rows = ended(site, [*first, *deadly, *last])
    assert [row["status"] for row in rows] == ["completed"] * 100 + ["failed"] * 2 + ["completed"] * 100
    assert {row["attempts"] for row in rows} == {1}
    assert sorted(map(int, lines(done))) == list(range(200)), "each once"


def test_php_that_stands_still_runs_none_that_others_have_by_then(site: Site, tmp_path: Path) -> None:
    """It is stopped in the middle of many; what it had is done by the other slot, and not once more by it."""
    jobs(site, "ahead")
    done, began = tmp_path / "done", tmp_path / "began"
    with at_work(site, "loop", "--concurrency", "2") as work:
        work.wait_until_warm()
        first = put(site, "notes", [[n, str(done)] for n in range(300)])
        (long,) = put(site, "stays", [[0.5, str(began)]])
        last = put(site, "notes", [[n, str(done)] for n in range(300, 600)])
        pid = int(wait_for(lambda: lines(began), 60, "the slow one to begin")[0])
        os.kill(pid, signal.SIGSTOP)
        try:
            wait_for(lambda: len(lines(done)) == 600, 60, "the others to be done")
            time.sleep(0.5)  # For nothing to happen.
        finally:
            os.kill(pid, signal.SIGCONT)
        rows = ended(site, [*first, long, *last])
    assert {(row["status"], row["attempts"]) for row in rows} == {("completed", 1)}
    assert sorted(map(int, lines(done))) == list(range(600)), "each once"


def test_a_stop_leaves_what_has_not_begun_uncounted(site: Site, tmp_path: Path) -> None:
    jobs(site, "ahead")
    done = tmp_path / "done"
    work = AtWork(site, "loop")
    try:
        work.wait_until_warm()
        ids = put(site, "notes", [[n, str(done)] for n in range(3000)])
        wait_for(lambda: len(lines(done)) > 50, 60, "it to be at work")
        work.stop()
    finally:
        work.worker.stop()
    by_status = site.query(
        f"SELECT status, attempts, count(*) AS n FROM {site.jobs} WHERE id BETWEEN {ids[0]} AND {ids[-1]}"
        " GROUP BY status, attempts ORDER BY status"
    )
    assert [(row["status"], row["attempts"]) for row in by_status] == [("completed", 1), ("queued", 0)]
    assert by_status[0]["n"] == len(lines(done))
