"""A lane of a few lines, made as docs/adding-a-backend.md says: bodies are files, a folder is the broker."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.contract.lanes import LaneBench
from tests.contract.test_database_queue import QueueContract
from tests.support.need import ROOT
from tests.support.site import Site
from wpbg.errors import QueueUnreachable
from wpbg.queues.base import Capability
from wpbg.queues.envelope import Envelope, Seal
from wpbg.queues.lane import Lane, Taken

NUMBERS = itertools.count(time.time_ns())


class FolderLane:
    """`FOLDER/QUEUE/PRIORITY-NUMBER`, the queue in hex; a body that is taken has `.taken` behind it until it is
    acknowledged, or its connection ends."""

    name = "folder"
    lacks = frozenset({Capability.ONE_ORDER})

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._taken: set[Path] = set()

    def _queue(self, queue: str) -> Path:
        try:
            there = self._folder / queue.encode().hex()
            there.mkdir(exist_ok=True)
        except OSError as error:
            raise QueueUnreachable(f"The folder {self._folder} is not there ({error.strerror}): make it.") from error
        return there

    def _ready(self, queue: str) -> list[Path]:
        return sorted(file for file in self._queue(queue).iterdir() if not file.suffix)

    def take(self, queues: Sequence[str], limit: int) -> list[Taken]:
        taken = []
        for queue in queues:
            for file in self._ready(queue)[: limit - len(taken)]:
                try:
                    held = file.rename(file.with_suffix(".taken"))
                except FileNotFoundError:
                    continue  # Another worker has it.
                self._taken.add(held)
                taken.append(Taken(held.read_bytes(), queue, held))
        return taken

    def acknowledge(self, taken: Sequence[Taken]) -> None:
        for item in taken:
            assert isinstance(item.handle, Path)
            item.handle.unlink(missing_ok=True)
            self._taken.discard(item.handle)

    def open(self, taken: Taken, seal: Seal) -> Envelope:
        return seal.open(taken.body)

    def put(self, queue: str, body: bytes, priority: int, unique: str) -> str | None:
        number = next(NUMBERS)
        hidden = self._queue(queue) / f"{number}.written"
        hidden.write_bytes(body)
        hidden.rename(self._queue(queue) / f"{priority + 2**31:010}-{number}")
        return f"b{number}"

    def _at(self, native: int) -> list[Path]:
        return list(self._folder.glob(f"*/*-{native}"))

    def peek(self, native: int) -> bytes | None:
        return next((file.read_bytes() for file in self._at(native)), None)

    def remove(self, native: int) -> bool:
        found = self._at(native)
        for file in found:
            file.unlink()
        return bool(found)

    def knows(self, unique: str) -> bool:
        return False

    def waiting(self, queues: Sequence[str]) -> int:
        return sum(len(self._ready(queue)) for queue in queues)

    def counts(self, known: Sequence[str]) -> dict[str, int]:
        names = {*known, *(bytes.fromhex(folder.name).decode() for folder in self._folder.iterdir())}
        counts = {
            name: len([file for file in self._queue(name).iterdir() if file.suffix != ".written"]) for name in names
        }
        return {name: count for name, count in counts.items() if count}

    def discard(self, queue: str) -> int:
        found = self._ready(queue)
        for file in found:
            file.unlink()
        return len(found)

    def close(self) -> None:
        for held in self._taken:
            if held.exists():
                held.rename(held.with_suffix(""))
        self._taken.clear()


class TestFolderBeforeSQLite(QueueContract):
    @pytest.fixture
    def bench(self, sqlite_site: Site, tmp_path: Path) -> Iterator[LaneBench]:
        make: Callable[[], Lane] = lambda: FolderLane(tmp_path)  # noqa: E731
        with ExitStack() as stack:
            yield LaneBench(sqlite_site, stack, make)


def test_the_page_tells_of_everything_that_a_lane_has_to_do() -> None:
    page = (ROOT / "docs/adding-a-backend.md").read_text(encoding="utf-8")
    wanted = {name for name in (*vars(Lane), *Lane.__annotations__) if not name.startswith("_")}
    assert {name for name in wanted if f"`{name}" not in page} == set()
    for half in ("class-fast-lane.php", "class-lane-failed.php"):
        assert (ROOT / "php-plugin/includes" / half).exists()
