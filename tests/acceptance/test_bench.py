"""`script/bench` from one end to the other, as short as it gets: every row is there, with a figure that can be true."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks.__main__ import main, parser, run
from tests.support.sites import Sites

ROWS = """
wpbg --help
wpbg status
wpbg jobs list
wp eval ''
wpbg status, beyond wp eval ''
loop, MariaDB, 1 slot
loop, beanstalkd, 1 slot
loop, gearman, 1 slot
fork, MariaDB, 1 slot
restart, SQLite, 1 slot
wp eval, one after the other
bare client, beanstalkd, put
bare client, beanstalkd, take and finish
bare client, gearman, put
bare client, gearman, take and finish
fork, MariaDB, 1 slot, against wp eval
restart, SQLite, 1 slot, against wp eval
MariaDB, add_async_job
MariaDB, bare insert, 2 columns
MariaDB, bare insert, all columns
MariaDB, add_async_job against a bare insert, 2 columns
MariaDB, add_async_job against a bare insert, all columns
SQLite, add_async_job
SQLite, bare insert, 2 columns
SQLite, bare insert, all columns
SQLite, add_async_job against a bare insert, 2 columns
SQLite, add_async_job against a bare insert, all columns
beanstalkd, add_async_job
beanstalkd, bare insert, 2 columns
gearman, add_async_job
gearman, bare insert, 2 columns
""".strip().splitlines()
ROWS += [
    f"{lifetime}, {backend}, {row}"
    for lifetime, backend in (
        ("loop", "MariaDB"), ("loop", "beanstalkd"), ("loop", "gearman"), ("fork", "MariaDB"), ("restart", "SQLite")
    )
    for row in (
        "idle, p50", "idle, p99", "idle, of it the call, p50", "loaded, p50", "loaded, p99", "loaded, jobs added"
    )
]  # fmt: skip
for database in ("MariaDB", "SQLite"):
    for jobs in ("200", "1,000"):
        ROWS += [
            f"{database}, add_async_jobs, {jobs}{what}"
            for what in ("", ", peak memory with the ids", ", peak memory without them")
        ]
    ROWS.append(f"{database}, that memory, 1,000 against 200")
    for how in ("one at a time", "20 at once"):
        ROWS += [f"{database}, {how}, {what}" for what in ("300 waiting", "1,000 waiting", "1,000 waiting against 300")]
ROWS += [f"2 idle slots, loop, MariaDB, CPU of {who}" for who in ("both", "wpbg", "PHP")]
ROWS += [
    f"2 idle slots, loop, MariaDB, memory of {what}"
    for what in ("wpbg, resident", "wpbg, its share (PSS)", "PHP, its share (PSS)")
]
ROWS += [
    f"2 busy slots, loop, MariaDB, {what}"
    for what in (
        "CPU per job, wpbg", "CPU per job, PHP", "peak memory of wpbg, resident", "peak memory of PHP, its share (PSS)"
    )
]  # fmt: skip

MAY_BE_NOTHING = re.compile(r"CPU of|beyond")
"""An idle process may take no tick of the clock in a second; the difference of two starts may be anything."""


def test_a_quick_run_shows_every_figure(sites: Sites, tmp_path: Path) -> None:
    lines, charts, failures = run(parser().parse_args(["--quick"]), sites, sites.mariadb, tmp_path)
    assert not failures
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[lines.index("## Start-up") :]]
    figures = {cells[0]: cells[1] for cells in rows if len(cells) == 7 and cells[0] != "what" and "---" not in cells[0]}
    assert sorted(figures) == sorted(ROWS)
    for name, figure in figures.items():
        number = re.fullmatch(r"(-?[\d,.]+)(×| [\w% /]+)", figure)
        assert number, (name, figure)
        value = float(number[1].replace(",", ""))
        assert value > 0 or MAY_BE_NOTHING.search(name), (name, figure)
        assert not (number[2] == " MB" and value > 10_000), (name, figure)
    text = "\n".join(lines)
    assert re.search(r"[1-9][\d,]+ jobs were counted after they ran: none was lost, none ran twice\.", text)
    assert "A quick look" in text
    for what in ("CPU", "disk", "kernel", "Python", "PHP", "WordPress", "MariaDB", "SQLite", "beanstalkd", "gearmand"):
        assert re.search(rf"^\| {what} \| \S", text, re.M), what
    assert "unknown" not in text
    assert str(tmp_path) not in text
    assert set(charts) == {f"bench-{part}.svg" for part in ("throughput", "latency", "enqueue", "claim")}


def test_a_folder_that_holds_no_known_plugin_is_refused_before_anything_is_started(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--plugins", str(tmp_path)]) == 2
    assert "holds none of Action Scheduler, WP Minions, Async Background Worker" in capsys.readouterr().err
    assert main(["--plugins", str(tmp_path / "nowhere")]) == 2
    assert "there is no folder" in capsys.readouterr().err
    assert main(["--only", "plugins"]) == 2
    assert "name at least one folder" in capsys.readouterr().err
