"""Many jobs in one process, each leaving something behind: the process is replaced before it hurts, no job is lost."""

from __future__ import annotations

import json
import os
import shlex
from collections import Counter

import pytest

from tests.lifetimes.at_work import jobs, lines, put
from tests.support.site import Site
from tests.support.wait import next_second

JOBS = int(os.environ.get("WPBG_TEST_LEAK_JOBS", "1500"))
LIMIT = 96 << 20


@pytest.mark.timeout(1800)
def test_what_jobs_leave_behind_is_got_rid_of_with_the_process(maria71: Site) -> None:
    jobs(maria71, "leaves_much")
    next_second()  # No process is replaced for code that is as new as itself.
    trace = maria71.folder / "trace"
    ids = put(maria71, "leaves_much", ({"n": n, "trace": str(trace)} for n in range(JOBS)))
    done = maria71.wpbg(
        "listen", "--mode", "loop", "--stop-when-empty", "--max-memory", "96M", "--log-format", "json", timeout=1700
    )
    assert done.returncode == 0, done.stderr

    rows = maria71.query(f"SELECT status, attempts, result, note FROM {maria71.jobs}")
    assert Counter((row["status"], row["attempts"]) for row in rows) == {("completed", 1): len(ids)}
    assert Counter(lines(trace)) == {str(n): 1 for n in range(JOBS)}

    events = [json.loads(line) for line in done.stderr.splitlines()]
    replaced = [event["message"] for event in events if event["event"] == "php.recycled"]
    assert len(replaced) >= JOBS // 1000
    assert all("holds" in why for why in replaced), Counter(replaced)
    most = max(json.loads(row["result"])["memory"] for row in rows)
    assert most < LIMIT + (4 << 20), "a process got the next job although it held more than it may"
    processes = {json.loads(row["result"])["pid"] for row in rows}
    assert len(processes) <= len(replaced) + 1
    print(f"{JOBS} jobs in {len(processes)} processes, at most {most >> 20} MB")


def test_files_that_jobs_leave_open_do_not_run_out(sqlite71: Site) -> None:
    """The system gives a process a number of open files, 1,024 as a rule; here 128."""
    jobs(sqlite71, "leaves_file")
    wp = sqlite71.bin / "wp-with-few-files"
    wp.write_text(f'#!/bin/sh\nulimit -n 128\nexec {shlex.join(sqlite71.wp_argv)} "$@"\n')
    wp.chmod(0o755)
    put(sqlite71, "leaves_file", [str(sqlite71.folder)] * 300)
    done = sqlite71.wpbg("listen", "--mode", "loop", "--stop-when-empty", "--wp", str(wp))
    assert done.returncode == 0, done.stderr
    found = sqlite71.query(f"SELECT status, count(*) AS n FROM {sqlite71.jobs} GROUP BY status")
    assert found == [{"status": "completed", "n": 300}], done.stderr[-2000:]
    assert "open files" in done.stderr
