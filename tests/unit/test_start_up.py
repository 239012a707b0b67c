"""What a command has imported and started before the site answers: nobody should wait for what is not needed yet."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from wpbg import wp
from wpbg.wp import WpCli

HEAVY = {"hashlib", "hmac", "pymysql", "rich", "sqlite3", "ssl", "wpbg.job", "wpbg.lanes", "wpbg.ledger.book"}
"""Modules that cost milliseconds, and what imports them."""


def _imported(code: str) -> set[str]:
    """The modules of a fresh Python after this code."""
    told = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport json, sys\nprint('\\n' + json.dumps(list(sys.modules)))"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(json.loads(told.stdout.splitlines()[-1]))


def test_help_imports_no_more_than_click() -> None:
    help_ = "import contextlib\nfrom wpbg import cli\nwith contextlib.suppress(SystemExit): cli.cli(['--help'], 'wpbg')"
    found = _imported(help_)
    assert not found & (HEAVY | {"subprocess"})
    ours = {name for name in found if name.startswith("wpbg.")}
    assert ours == {"wpbg.cli", "wpbg.cli.lazy", "wpbg.errors"}


@pytest.mark.parametrize("command", ["status", "queues", "workers", "jobs"])
def test_before_the_site_is_asked_nothing_is_imported_for_its_answer(command: str) -> None:
    assert not _imported(f"import wpbg.cli, wpbg.cli.{command}") & HEAVY


def test_what_the_answer_is_used_with_is_imported_before_it_comes() -> None:
    """Else all of it would be imported when everything waits for it."""
    found = _imported("from wpbg.cli.desk import _load; _load()")
    assert HEAVY - {"rich"} <= found
    after = _imported(
        "from wpbg.cli import status, desk; desk._load(); from wpbg.queues.connection import open_database"
    )
    assert {name for name in after - found if name.startswith("wpbg.queues")} == set()


def test_python_works_while_wp_cli_boots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here WP-CLI answers only after something has been done meanwhile."""
    monkeypatch.setattr(wp, "BOOT_TIMEOUT", 60.0)
    done = tmp_path / "done"
    waits = ("sh", "-c", f'until [ -e "{done}" ]; do sleep 0.01; done; cat; echo " and $1"', "wp")
    finished = WpCli(waits, tmp_path).run("eval", stdin=b"asked", meanwhile=done.touch)
    assert (finished.returncode, finished.stdout) == (0, b"asked and eval\n")


def test_what_goes_wrong_meanwhile_leaves_no_wp_cli_behind(tmp_path: Path) -> None:
    def fails() -> None:
        raise KeyboardInterrupt

    pid = tmp_path / "pid"
    waits = ("sh", "-c", f'echo $$ > "{pid}.new"; mv "{pid}.new" "{pid}"; exec sleep 600', "wp")

    def fails_when_it_runs() -> None:
        while not pid.exists():
            pass
        fails()

    with pytest.raises(KeyboardInterrupt):
        WpCli(waits, tmp_path).run("eval", meanwhile=fails_when_it_runs)
    assert not Path(f"/proc/{pid.read_text().strip()}").exists()
