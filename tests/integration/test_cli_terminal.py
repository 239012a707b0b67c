"""The commands on a terminal: tables in colour that fit, bars, the live line, Ctrl-C, a closed window."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.support.site import Site
from tests.support.terminal import Terminal
from tests.support.wait import wait_for

CALLBACKS = """
function a_callback_with_a_rather_long_name_that_does_not_fit() { echo "\\x1b[2J"; }
function fails() { throw new Exception( "\\x1b]0;owned\\x07 no" . str_repeat( ' more', 40 ) ); }
function waits_for_file( $file ) {
    background_job_progress( 1, 2, 'half' );
    while ( ! file_exists( $file ) ) { usleep( 20000 ); }
}
"""

Run = Callable[..., Terminal]


@pytest.fixture
def site(sqlite71: Site) -> Site:
    sqlite71.mu_plugin("cli", CALLBACKS)
    return sqlite71


@pytest.fixture
def run(site: Site) -> Iterator[Run]:
    opened: list[Terminal] = []

    def start(*args: str, columns: int = 80, **env: str) -> Terminal:
        ours = {name: value for name, value in site.env.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
        ours |= {"TERM": "xterm-256color", **env}
        terminal = Terminal(site.wpbg_argv(*args), ours, site.elsewhere, columns=columns)
        opened.append(terminal)
        return terminal

    yield start
    for terminal in opened:
        terminal.close()


@pytest.mark.parametrize("columns", [80, 120])
def test_tables_fit_and_are_coloured(site: Site, run: Run, columns: int) -> None:
    site.enqueue("a_callback_with_a_rather_long_name_that_does_not_fit", queue="a-queue-with-a-long-name-as-well")
    site.enqueue("fails", max_attempts=1)
    site.wpbg("listen", "--stop-when-empty", check=True)
    terminal = run("jobs", "list", columns=columns)
    assert terminal.wait() == 0
    assert "\x1b[1;31mfailed" in terminal.raw
    assert "…" in terminal.text
    assert "owned" not in terminal.raw
    assert max(map(len, terminal.text.splitlines())) <= columns
    for args in (["status"], ["queues", "list"], ["doctor"], ["jobs", "log", "2"]):
        terminal = run(*args, columns=columns)
        assert terminal.wait() in (0, 1)
        assert "\x1b[" in terminal.raw


@pytest.mark.parametrize("env", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_without_colours_nothing_is_drawn(site: Site, run: Run, env: dict[str, str]) -> None:
    site.enqueue("fails", queue="a-queue")
    terminal = run("jobs", "list", **env)
    assert terminal.wait() == 0
    assert "a-queue" in terminal.text
    assert "\x1b" not in terminal.raw
    assert "─" not in terminal.raw


def test_listen_shows_how_far_it_is(site: Site, run: Run) -> None:
    flag = site.folder / "go"
    site.enqueue("fails", max_attempts=1)
    site.enqueue("waits_for_file", str(flag))
    site.enqueue("a_callback_with_a_rather_long_name_that_does_not_fit")
    terminal = run("listen", "--stop-when-empty", columns=120)
    terminal.wait_for("1 failed; waits_for_file")
    terminal.wait_for("(1 of 2: half)")
    terminal.wait_for("1/3 ")
    assert "━" in terminal.text
    flag.touch()
    assert terminal.wait() == 0
    assert "job.completed" in terminal.text
    assert "Nothing is left to do." in terminal.text
    assert terminal.raw.endswith("\x1b[2K"), "the live line is gone in the end"


def test_listen_until_ctrl_c(site: Site, run: Run) -> None:
    terminal = run("listen")
    terminal.wait_for("0 done, 0 waiting; waiting for jobs")
    terminal.press("\x03")
    assert terminal.wait() == 0
    assert "Asked to by SIGINT" in terminal.text
    assert "Traceback" not in terminal.text


def test_no_live_line_where_there_is_no_terminal(site: Site) -> None:
    site.enqueue("fails", max_attempts=1)
    done = site.wpbg("listen", "--stop-when-empty", check=True)
    assert done.stdout == ""
    assert "waiting" not in done.stderr
    assert all(line[:4].isdigit() for line in done.stderr.splitlines())


def test_a_closed_window_does_not_break_the_work(site: Site, run: Run) -> None:
    flag = site.folder / "go"
    job = site.enqueue("waits_for_file", str(flag))
    terminal = run("listen", "--stop-when-empty")
    terminal.wait_for("; waits_for_file")
    terminal.hang_up()
    flag.touch()
    assert site.wait_for_status(job, "completed", "failed")["status"] == "completed"
    wait_for(lambda: terminal.popen.poll() is not None, 60, "the worker ends when nothing is left")
    assert terminal.popen.returncode == 0


def test_wait_draws_a_bar_and_can_be_interrupted(site: Site, run: Run) -> None:
    flag = site.folder / "go"
    job = site.enqueue("waits_for_file", str(flag))
    bar = run("jobs", "wait", job)
    bar.wait_for("0/1")
    assert "━" in bar.text
    impatient = run("jobs", "wait", job)
    impatient.wait_for("0/1")
    impatient.press("\x03")
    assert impatient.wait() == 130
    assert impatient.text.rstrip().endswith("wpbg: Stopped.")
    assert "Traceback" not in impatient.text
    flag.touch()
    site.wpbg("listen", "--stop-when-empty", check=True)
    assert bar.wait() == 0
    assert bar.text.rstrip().endswith("1 job: 1 completed.")


def test_many_jobs_are_deleted_after_a_question_only(site: Site, run: Run) -> None:
    job = site.enqueue("fails", max_attempts=1)
    site.wpbg("listen", "--stop-when-empty", check=True)
    for keys, code in (("n\n", 1), ("\x03", 130)):
        terminal = run("jobs", "delete", "--status", "failed")
        terminal.wait_for("Delete 1 failed job? [y/N]")
        terminal.press(keys)
        assert terminal.wait() == code
        assert site.job(job)["status"] == "failed"
    terminal = run("jobs", "delete", "--status", "failed")
    terminal.wait_for("[y/N]")
    terminal.press("y\n")
    assert terminal.wait() == 0
    assert "1 failed job deleted." in terminal.text
    assert site.query(f"SELECT id FROM {site.jobs}") == []


def test_status_is_redrawn_until_ctrl_c(site: Site, run: Run) -> None:
    terminal = run("status", "--watch")
    terminal.wait_for("No queue has had a job yet.")
    site.enqueue("fails", queue="fresh")
    terminal.wait_for("fresh")
    terminal.press("\x03")
    assert terminal.wait() == 0
    assert "Traceback" not in terminal.text
