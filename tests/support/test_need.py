"""A missing service skips a test on a laptop and fails it under CI=true."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.need import require, require_part

NEEDS_NOTHING_REAL = """
from tests.support.need import require

def test_that_needs_a_server():
    require("no-such-server", "no-such-package")
"""


@pytest.mark.parametrize(("ci", "outcome", "code"), [("true", "1 failed", 1), ("", "1 skipped", 0)])
def test_missing_program_decides_the_test_run(tmp_path: Path, ci: str, outcome: str, code: int) -> None:
    (tmp_path / "test_it.py").write_text(NEEDS_NOTHING_REAL)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-ra", "-c", os.devnull, "--rootdir", tmp_path, tmp_path],
        env={**os.environ, "CI": ci},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert outcome in done.stdout
    assert "no-such-server is not installed" in done.stdout
    assert "no-such-package" in done.stdout
    assert done.returncode == code


def test_missing_part_names_the_script_that_fetches_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match=r"\.parts/no-such-part.*script/bootstrap"):
        require_part("no-such-part")


def test_a_program_outside_path_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    program = tmp_path / "server"
    program.touch(mode=0o755)
    assert require("server", "a-package") == str(program)
    # A system folder that is on no ordinary user's PATH: every Linux has it there.
    assert Path(require("ldconfig", "libc-bin")).name == "ldconfig"
