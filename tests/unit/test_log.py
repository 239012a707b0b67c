"""The worker's log: lines that parse, whatever is in them, and a file that is followed when it is rotated."""

from __future__ import annotations

import io
import json
import os
import resource
import signal
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wpbg.log import LONGEST, Log, one_line, printed_lines
from wpbg.log_file import LogFile

HOSTILE = "\x1b[2J\x1b]0;title\x07\r\nfake line\x9b31m\u202e\x7f"


def told(form: str, message: str = "", **fields: object) -> str:
    stream = io.StringIO()
    Log(form, stream=stream).event("job.failed", message, **fields)
    return stream.getvalue()


@pytest.mark.parametrize("form", ["text", "json"])
def test_nothing_in_a_line_can_break_it_or_the_terminal(form: str) -> None:
    line = told(form, HOSTILE, callback=HOSTILE, queue='a "b" = c')
    assert line.count("\n") == 1
    assert line.endswith("\n")
    assert line[:-1].isprintable()


@given(st.text(), st.text())
def test_any_text_is_one_printable_line(message: str, name: str) -> None:
    for form in ("text", "json"):
        line = told(form, message, callback=name)
        assert line[:-1].isprintable()
    loaded = json.loads(told("json", message, callback=name))
    assert loaded["callback"] == name
    assert loaded.get("message", "") == message


def test_text_names_the_event_the_facts_and_the_consequence() -> None:
    line = told("text", "Exception: no. Runs again in 31 s.", id="7", queue="two words", worker=None)
    assert line[20:] == ' job.failed id=7 queue="two words": Exception: no. Runs again in 31 s.\n'


def test_long_messages_are_cut_in_text() -> None:
    assert len(told("text", "x" * 10_000)) < LONGEST + 100


def test_output_for_the_log() -> None:
    lines = list(printed_lines(b"one\r\n\x1b[31mtwo\x1b[0m\n\n\xff\n" + b"more\n" * 500))
    assert lines[:2] == ["one", one_line("\x1b[31mtwo\x1b[0m")]
    assert all(line.isprintable() for line in lines)
    assert lines[-1] == "… 303 more lines: see `wpbg jobs log`."
    assert len(lines) == 201


# --- the file -----------------------------------------------------------------------------------------------


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "worker.log"


def with_file(path: Path) -> tuple[Log, io.StringIO]:
    stream = io.StringIO()
    return Log(stream=stream, file=LogFile(path)), stream


def test_the_file_gets_every_line_and_is_not_for_everybody(path: Path) -> None:
    before = os.umask(0)
    try:
        log, stream = with_file(path)
        log.event("job.completed", id="1")
        log.event("job.completed", id="2")
    finally:
        os.umask(before)
    assert path.read_text() == stream.getvalue()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_file_that_is_there_is_added_to(path: Path) -> None:
    path.write_text("older\n")
    with_file(path)[0].event("job.completed")
    assert path.read_text().startswith("older\n2")


@pytest.mark.parametrize("how", ["moved", "deleted", "replaced", "truncated"])
def test_a_rotated_file_is_followed(path: Path, how: str) -> None:
    log, _ = with_file(path)
    log.event("job.completed", id="before")
    if how == "moved":
        path.rename(path.with_suffix(".1"))
    elif how == "deleted":
        path.unlink()
    elif how == "replaced":
        path.with_suffix(".new").touch(0o600)
        path.rename(path.with_suffix(".1"))
        path.with_suffix(".new").rename(path)
    else:
        os.truncate(path, 0)
    log.event("job.completed", id="after")
    assert [line.split("id=")[1] for line in path.read_text().splitlines()] == ["after"]
    assert "\0" not in path.read_text()
    if how in ("moved", "replaced"):
        assert "id=before" in path.with_suffix(".1").read_text()


def test_rotation_in_the_middle_of_work_loses_no_line(path: Path) -> None:
    log, _ = with_file(path)
    done, rotated = threading.Event(), threading.Semaphore(0)

    def write(slot: int) -> None:
        for number in range(500):
            log.event("job.completed", id=f"{slot}-{number}")
            if slot == 0 and number % 100 == 0:
                rotated.acquire()  # However the threads take turns, some of it happens in between.

    def rotate() -> None:
        number = 0
        while not done.is_set():
            if path.exists():
                number += 1
                path.rename(path.with_suffix(f".{number}"))
                rotated.release()

    rotating = threading.Thread(target=rotate)
    rotating.start()
    writers = [threading.Thread(target=write, args=(slot,)) for slot in range(4)]
    for thread in writers:
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    rotating.join()
    files = list(path.parent.glob("worker.*"))
    ids = [line.split("id=")[1] for file in files for line in file.read_text().splitlines()]
    assert len(files) > 2
    assert sorted(ids) == sorted(f"{slot}-{number}" for slot in range(4) for number in range(500))


@pytest.mark.parametrize("kind", ["symlink", "dangling symlink", "hard link", "folder", "pipe", "no folder"])
def test_what_is_no_file_of_its_own_is_refused_once_and_in_one_line(path: Path, kind: str) -> None:
    target = path.with_suffix(".target")
    if kind in ("symlink", "hard link"):
        target.write_text("precious\n")
    if kind.endswith("symlink"):
        path.symlink_to(target)
    elif kind == "hard link":
        path.hardlink_to(target)
    elif kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path = path / "worker.log"
    log, stream = with_file(path)
    for number in range(3):
        log.event("job.completed", id=number)
    lines = stream.getvalue().splitlines()
    assert [line.split()[1] for line in lines].count("log.lost") == 1
    assert len(lines) == 4
    assert str(path) in lines[1]
    assert target.read_text() == "precious\n" if kind in ("symlink", "hard link") else not target.exists()


def test_it_goes_on_when_the_file_can_be_written_again(path: Path) -> None:
    path.mkdir()
    log, stream = with_file(path)
    log.event("job.completed", id="1")
    log.event("job.completed", id="2")
    path.rmdir()
    log.event("job.completed", id="3")
    assert "log.back" in stream.getvalue()
    kept = path.read_text().splitlines()
    assert kept[0].endswith("id=3")
    assert kept[1].endswith("It is written again; 2 line(s) are missing.")


@pytest.fixture
def small_disk() -> Iterator[int]:
    """Files end at 100 bytes for this process: a write past them is cut short, then refused."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    yield 100
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_costs_lines_and_nothing_else(path: Path, small_disk: int) -> None:
    log, stream = with_file(path)
    for number in range(5):
        log.event("job.completed", id=number)
    assert path.stat().st_size == small_disk
    said = [line.split()[1] for line in stream.getvalue().splitlines()]
    assert said.count("log.lost") == 1
    assert said.count("job.completed") == 5
    soft = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, soft))
    log.event("job.completed", id="later")
    kept = path.read_text().splitlines()
    assert kept[-2].endswith("job.completed id=later")
    assert "log.back" in kept[-1]


def test_a_real_full_device_is_survived() -> None:
    """/dev/full is no regular file, so it is refused like any other device: one warning, the stream goes on."""
    log, stream = with_file(Path("/dev/full"))
    log.event("job.completed")
    log.event("job.completed")
    assert stream.getvalue().count("log.lost") == 1
