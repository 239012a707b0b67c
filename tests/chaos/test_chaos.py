"""A short trial on each backend; `script/chaos` has the long ones."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.chaos.trial import trial


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("backend", "lifetime"),
    [("mariadb", "fork"), ("sqlite", "loop"), ("beanstalkd", "loop"), ("gearmand", "fork")],
)
def test_nothing_is_lost(backend: str, lifetime: str, tmp_path: Path) -> None:
    try:
        result = trial(tmp_path, backend, lifetime, jobs=150, faults=8, seed=7)
    finally:
        shutil.rmtree(tmp_path, ignore_errors=True)
    log = str(result.timeline)
    assert result.jobs == 150, log
    assert result.faults.total() == 8
    assert not result.bad, f"{result.bad}\n{log}"
