"""Every fault is a PHP file of its own. In each lifetime it ends in its documented state, the next job finds the
process as if nothing had been, and the process lives on exactly where it may.

One worker runs them all, one after the other, with a probe after each.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.faults.ends import ENDS, End
from tests.support import php
from tests.support.site import Site
from tests.support.sites import Sites
from tests.support.wait import next_second

PHP = Path(__file__).parent / "php"
FAULTS = sorted(file.stem for file in PHP.glob("*.php"))
LIFETIMES = ("restart", "fork", "loop")

PROBE = """
function probe( $n ) {
    global $wpdb;
    echo 'probe ', $n;
    $error = set_error_handler( '__return_false' );
    restore_error_handler();
    $exception = set_exception_handler( '__return_false' );
    restore_exception_handler();
    update_option( 'probed', $n, false );
    return array(
        'user'      => get_current_user_id(),
        'blog'      => get_current_blog_id(),
        'memory'    => ini_get( 'memory_limit' ),
        'locale'    => determine_locale(),
        'c_locale'  => setlocale( LC_ALL, '0' ),
        'zone'      => date_default_timezone_get(),
        'folder'    => getcwd(),
        'umask'     => umask(),
        'handlers'  => array( is_object( $error ), is_object( $exception ) ),
        'buffers'   => ob_get_level(),
        'cached'    => wp_cache_get( 'left', 'faults' ),
        'post'      => array( isset( $_POST['left'] ), $_SERVER['REQUEST_METHOD'] ?? null, isset( $GLOBALS['post'] ) ),
        'database'  => $wpdb->get_var( 'SELECT 7' ),
        'uncommitted' => $wpdb->get_var(
            "SELECT option_value FROM {$wpdb->options} WHERE option_name = 'left_in_transaction'"
        ),
    );
}
"""


@dataclass
class Trial:
    """What came of all the faults in one lifetime."""

    site: Site
    lifetime: str
    faults: dict[str, dict[str, Any]] = field(default_factory=dict)
    probes: dict[str, dict[str, Any]] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)

    def process_lived(self, fault: str) -> bool:
        """Whether no process was replaced between the fault's start and its probe's."""
        names = [
            (event["event"], event.get("id"))
            for event in self.events
            if event["event"] in ("job.started", "php.recycled")
        ]
        start = names.index(("job.started", str(self.faults[fault]["id"])))
        end = names.index(("job.started", str(self.probes[fault]["id"])))
        return ("php.recycled", None) not in names[start:end]


@pytest.fixture(scope="module", params=LIFETIMES)
def trial(request: pytest.FixtureRequest, sites: Sites) -> Iterator[Trial]:
    site = sites.clone("maria71")
    site.configure(WP_MAX_MEMORY_LIMIT="128M", ABW_DEBUG=True)
    for fault in FAULTS:
        site.mu_plugin(fault, (PHP / f"{fault}.php").read_text())
    site.mu_plugin("probe", PROBE)
    trial = Trial(site, str(request.param))
    ids = _enqueue_all(site)
    next_second()  # No process is replaced for code that is as new as itself.
    done = site.wpbg("listen", "--mode", trial.lifetime, "--stop-when-empty", "--log-format", "json", timeout=280)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    trial.events = [json.loads(line) for line in done.stderr.splitlines()]
    for number, fault in enumerate(FAULTS):
        trial.faults[fault] = site.job(ids[2 * number])
        trial.probes[fault] = site.job(ids[2 * number + 1])
    yield trial
    for row in trial.faults.values():
        _end_children(row)
    sites.close(site)


def _enqueue_all(site: Site) -> list[str]:
    """Fault, probe, fault, probe …"""
    jobs = [(f"fault_{fault}", None, {"max_attempts": 1, "timeout": ENDS[fault].timeout}) for fault in FAULTS]
    added = site.eval_php(
        f"foreach ( {php.literal([[name, options] for name, _, options in jobs])} as $n => $pair ) {{"
        "echo add_async_job( (object) array( 'function' => $pair[0], 'user_data' => null ), 'default', $pair[1] ), ' ';"
        "echo add_async_job( (object) array( 'function' => 'probe', 'user_data' => $n ), 'default',"
        " array( 'max_attempts' => 1 ) ), ' '; }"
    )
    return added.split()


def test_every_fault_has_an_end() -> None:
    assert sorted(ENDS) == FAULTS


@pytest.mark.timeout(300)
@pytest.mark.parametrize("fault", FAULTS)
def test_fault(trial: Trial, fault: str) -> None:
    _assert_end(trial.faults[fault], ENDS[fault].in_lifetime(trial.lifetime))


@pytest.mark.parametrize("fault", FAULTS)
def test_the_next_job_is_right(trial: Trial, fault: str) -> None:
    row = trial.probes[fault]
    assert row["status"] == "completed", row["error"]
    assert _text(row["output"]) == f"probe {FAULTS.index(fault)}"
    found = json.loads(row["result"])
    assert found == {
        "user": 0,
        "blog": 1,
        "memory": "128M",
        "locale": "en_US",
        "c_locale": found["c_locale"],
        "zone": "UTC",
        "folder": str(trial.site.path),
        "umask": found["umask"],
        "handlers": [False, False],
        "buffers": found["buffers"],
        "cached": False,
        "post": [False, "GET", False],
        "database": "7",
        "uncommitted": None,
    }
    first = json.loads(trial.probes[FAULTS[0]]["result"])
    for same in ("c_locale", "umask", "buffers"):
        assert found[same] == first[same], same


@pytest.mark.parametrize("fault", FAULTS)
def test_the_process_lives_where_it_may(trial: Trial, fault: str) -> None:
    if trial.lifetime == "restart":
        assert not any(event["event"] == "php.recycled" for event in trial.events)
        return
    survives = trial.lifetime == "fork" or not ENDS[fault].ends_process
    assert trial.process_lived(fault) == survives


@pytest.mark.parametrize(("fault", "line"), [("throws_exception", 8), ("wp_dies", 7), ("sleeps_past_limit", 8)])
def test_errors_name_the_line_of_the_fault(trial: Trial, fault: str, line: int) -> None:
    # A signal is handled once the call it interrupted is over: on the next line.
    error = json.loads(trial.faults[fault]["error"])
    assert (Path(error["file"]).name, error["line"]) == (f"{fault}.php", line)


def _assert_end(row: dict[str, Any], end: End) -> None:
    assert row["status"] == end.status, (row["error"], _text(row["output"])[-500:])
    assert row["attempts"] == 1
    assert row["finished_at"]
    said = _text(row["output"])
    assert end.on_stderr in said
    assert end.says in said.replace(end.on_stderr, "", 1)
    assert end.note in (row["note"] or "")
    if end.error is None:
        assert row["error"] is None
    else:
        error = json.loads(row["error"])
        assert error["class"] == end.error[0]
        assert end.error[1] in error["message"]
    if end.result is not None:
        assert json.loads(row["result"]) == end.result
    elif end.status == "failed" or end.note:
        assert row["result"] is None
    assert len(_text(row["output"])) < 300_000


def _text(output: bytes | str | None) -> str:
    return output.decode("utf-8", "replace") if isinstance(output, bytes) else output or ""


def _end_children(row: dict[str, Any]) -> None:
    """A program that a job leaves behind is left alone; the test is its only friend."""
    result = json.loads(row["result"] or "null")
    if isinstance(result, dict) and "left" in result:
        with contextlib.suppress(ProcessLookupError):
            os.kill(result["left"], signal.SIGKILL)


@pytest.mark.parametrize("fault", ["leaves_child", "leaves_child_on_pipes"])
def test_a_program_left_behind_is_left_alone(trial: Trial, fault: str) -> None:
    os.kill(json.loads(trial.faults[fault]["result"])["left"], 0)
