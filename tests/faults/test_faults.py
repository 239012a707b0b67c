"""Every fault is a PHP file of its own; each ends in its documented state, and the next job is right."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.site import Site
from tests.support.sites import Sites

PHP = Path(__file__).parent / "php"
FAULTS = sorted(file.stem for file in PHP.glob("*.php"))
LIFETIMES = ("restart",)


@dataclass(frozen=True)
class End:
    """What is left of a fault. `error` is (class, part of the message); `says` is a part of the output."""

    status: str
    error: tuple[str, str] | None = None
    says: str = ""
    result: Any = None
    note: str = ""
    timeout: int = 60


LIMIT = "Background_Worker\\Time_Limit_Exceeded"

ENDS = {
    "throws_exception": End("failed", ("Exception", "The warehouse does not answer."), "before it fails"),
    "throws_type_error": End("failed", ("TypeError", "must be of type string, array given")),
    "exhausts_memory": End("failed", ("OutOfMemory", "Allowed memory size of 134217728 bytes exhausted")),
    "calls_undefined_function": End("failed", ("Error", "undefined function this_function_does_not_exist()")),
    "exits_0": End("completed", says="leaving", note="The callback called exit() with code 0."),
    "exits_3": End("failed", ("Exit", "exit code 3"), "leaving"),
    "dies_with_text": End("completed", says="x", note="The callback called exit() with code 0."),
    "wp_dies": End("failed", ("wp_die", "You are not allowed to do this.")),
    "sends_json": End("completed", says='{"success":true,"data":{"sent":true}}', note="called exit()"),
    "sleeps_past_limit": End("failed", (LIMIT, "longer than its time limit of 1 s"), timeout=1),
    "computes_past_limit": End("failed", (LIMIT, "longer than its time limit of 1 s"), timeout=1),
    "ignores_time_limit": End(
        "failed", ("TimeLimitExceeded", "its processes were killed"), f"{LIMIT} ignored", timeout=1
    ),
    "prints_20_mb": End("completed", says="the beginning\nyyy", result="printed"),
    "writes_to_stdout": End("completed", says="one\ntwo\nthree\n", result="written"),
    "closes_stdout": End("completed", says="still heard", result={"in_file": ""}),
    "closes_stderr": End("completed", result="closed"),
    "leaves_child": End("completed"),
    "leaves_child_on_pipes": End("completed"),
    "forks": End("completed", result="parent"),
    "fork_exits": End("completed", result=7),
    "segfaults": End("failed", ("ProcessDied", "signal 11 (SIGSEGV)"), "going down"),
    "killed_from_outside": End("failed", ("ProcessDied", "signal 9 (SIGKILL)")),
    "reads_stdin": End("completed", result={"read": "", "child": ""}),
    "unblocks_stdout": End("completed", says="zzz", result="unblocked"),
    "ends_output_buffers": End("completed", says="past the buffers", result="ended"),
    "leaves_buffer_open": End("completed", says="in an open buffer", result="open"),
    "sets_error_handler": End("completed", result="set"),
    "prints_at_shutdown": End("completed", says="printed at shutdown", result="registered"),
    "fails_at_shutdown": End("completed", says="another_function_that_does_not_exist", result="done before"),
    "returns_unserializable": End(
        "completed", result={"fine": 1, "handle": None, "number": 0, "text": "\ufffd"}, note="as JSON in full"
    ),
    "returns_too_much": End("completed", result=None, note="at most 1048576 are kept"),
    "prints_escapes": End("failed", ("Exception", "\x1b[31mred\x1b[0m \ufffd"), "\x1b[2J"),
}


@pytest.fixture(scope="module", params=LIFETIMES)
def lifetime(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def broken_site(sites: Sites) -> Iterator[Site]:
    """A site whose callbacks are all the faults, with a memory limit that is soon reached."""
    site = sites.clone("sqlite71")
    site.configure(WP_MAX_MEMORY_LIMIT="128M")
    for fault in FAULTS:
        site.mu_plugin(fault, (PHP / f"{fault}.php").read_text())
    site.mu_plugin("fine", "function fine( $n ) { echo 'fine ', $n; return $n * 2; }")
    yield site
    sites.close(site)


def test_every_fault_has_an_end() -> None:
    assert FAULTS == sorted(ENDS)


@pytest.mark.parametrize("fault", FAULTS)
def test_fault(broken_site: Site, lifetime: str, fault: str) -> None:
    end = ENDS[fault]
    first = broken_site.enqueue(f"fault_{fault}", max_attempts=1, timeout=end.timeout)
    second = broken_site.enqueue("fine", 21)

    done = broken_site.wpbg("listen", "--mode", lifetime, "--stop-when-empty")
    try:
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr
        _assert_end(broken_site.job(first), end)
        after = broken_site.job(second)
        assert (after["status"], after["result"], _text(after["output"])) == ("completed", "42", "fine 21")
    finally:
        _end_children(broken_site.job(first))


def _assert_end(row: dict[str, Any], end: End) -> None:
    assert row["status"] == end.status, (row["error"], _text(row["output"])[-500:])
    assert row["attempts"] == 1
    assert row["finished_at"]
    assert end.says in _text(row["output"])
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
        os.kill(result["left"], 0)  # It does live on.
        with contextlib.suppress(ProcessLookupError):
            os.kill(result["left"], signal.SIGKILL)


def test_errors_name_the_line_of_the_fault(broken_site: Site, lifetime: str) -> None:
    # A signal is handled once the call it interrupted is over: on the next line.
    for fault, line in (("throws_exception", 8), ("wp_dies", 7), ("sleeps_past_limit", 8)):
        job = broken_site.enqueue(f"fault_{fault}", max_attempts=1, timeout=1)
        broken_site.wpbg("listen", "--mode", lifetime, "--stop-when-empty", check=True)
        error = json.loads(broken_site.job(job)["error"])
        assert (Path(error["file"]).name, error["line"]) == (f"{fault}.php", line)
