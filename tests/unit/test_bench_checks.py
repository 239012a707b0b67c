"""What a benchmark notices: jobs that are lost or run twice, other people's plugins, what processes take."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks.ground import WrongRun, complaint
from benchmarks.others import NotKnown, Runner, recognized
from benchmarks.processes import descendants, look

GOOD = {"jobs": 10, "each_one": 10, "least": 1, "most": 1}


def test_a_run_in_which_each_job_ran_once_is_a_good_one() -> None:
    assert complaint(10, 10, GOOD) is None


@pytest.mark.parametrize(
    ("there", "wrong"),
    [
        (9, {"jobs": 9, "each_one": 9}),  # lost
        (10, {"jobs": 9, "each_one": 9}),  # failed
        (11, {"jobs": 11}),  # twice in the table
        (10, {"each_one": 9}),  # one twice, another one never
        (10, {"most": 2}),  # tried again
        (0, {"jobs": 0, "each_one": 0, "least": None, "most": None}),
    ],
)
def test_a_run_that_lost_failed_or_repeated_a_job_is_none(there: int, wrong: dict[str, Any]) -> None:
    assert "lost, failed or run twice" in (complaint(10, there, {**GOOD, **wrong}) or "")


def noting(notes: Path, numbers: list[int]) -> Callable[[int], object]:
    return lambda jobs: notes.write_text(
        "".join(f"{number} {100 + place / 10}\n" for place, number in enumerate(numbers))
    )


@pytest.mark.parametrize("numbers", [[0, 1], [0, 1, 1], [0, 1, 2, 2], []])
def test_another_plugins_run_that_lost_or_repeated_a_job_is_none(tmp_path: Path, numbers: list[int]) -> None:
    runner = Runner("A plugin", SimpleNamespace(folder=tmp_path), "job")  # type: ignore[arg-type]
    runner.notes.write_text("0 1\n1 2\n2 3\n")  # Of the run before.
    with pytest.raises(WrongRun, match="A plugin: of 3 jobs"):
        runner.run(3, noting(runner.notes, numbers) if numbers else lambda jobs: None)


def test_another_plugins_rate_is_that_of_its_callbacks(tmp_path: Path) -> None:
    runner = Runner("A plugin", SimpleNamespace(folder=tmp_path), "job")  # type: ignore[arg-type]
    assert runner.run(3, noting(runner.notes, [1, 0, 2])) == pytest.approx(10)


def test_plugins_are_known_by_their_header(tmp_path: Path) -> None:
    (tmp_path / "readme.php").write_text("<?php // nothing\n")
    (tmp_path / "wp-minions.php").write_text("<?php\n/**\n * Plugin Name: WP Minions\n * Version: 4\n */\n")
    (plugin,) = recognized([tmp_path])
    assert (plugin.name, plugin.slug, plugin.file) == ("WP Minions", "wp-minions", "wp-minions.php")
    (tmp_path / "wp-minions.php").write_text("<?php\n/**\n * Plugin Name: WP Minions Two\n */\n")
    with pytest.raises(NotKnown, match="holds none of"):
        recognized([tmp_path])


def test_what_a_process_and_those_below_it_take() -> None:
    # The shell burns CPU in a child that ends, then waits: what the child took is the shell's children's.
    shell = subprocess.Popen(
        ["sh", "-c", "sh -c 'i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done'; echo done; sleep 300 & wait"],
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert shell.stdout is not None
    with shell, shell.stdout:
        assert shell.stdout.readline() == b"done\n"
        seen = look(shell.pid)
        assert shell.pid in descendants(os.getpid())
        assert seen.php_cpu > 0
        assert 0 < seen.pss <= seen.rss < 100
        os.killpg(shell.pid, 9)
        shell.wait()
        with pytest.raises(ProcessLookupError):
            look(shell.pid)
