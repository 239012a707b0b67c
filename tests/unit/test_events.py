"""The names of events: those in the code are those that are listed, and no others."""

from __future__ import annotations

import re

from tests.support.need import ROOT
from wpbg.events import EVENTS
from wpbg.job import Status

NAME = re.compile(r'"((?:worker|job|lease|queue|lane|php|opcache|metrics|log|batch|statistics)\.[a-z_]+)"')


def in_the_code() -> set[str]:
    found = set()
    for file in (ROOT / "wpbg").rglob("*.py"):
        if file.name != "events.py":
            found |= set(NAME.findall(file.read_text(encoding="utf-8")))
    return found | {f"job.{status.value}" for status in Status if status.finished}


def test_every_event_of_the_code_is_listed_and_every_listed_one_is_in_the_code() -> None:
    assert in_the_code() == set(EVENTS)


def test_names_and_meanings_are_for_people() -> None:
    for name, meaning in EVENTS.items():
        assert re.fullmatch(r"[a-z]+\.[a-z_]+", name)
        assert meaning.endswith(".")
