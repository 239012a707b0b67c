"""How long the commands take to start, beside WP-CLI's own boot."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from subprocess import run
from typing import Any

from benchmarks import goals
from benchmarks.figures import Figure
from benchmarks.ground import Ground
from benchmarks.scale import Scale

PART = "start-up"


def measure(ground: Ground, scale: Scale, tell: Callable[[str], None]) -> list[Figure]:
    site = ground.plot("MariaDB").site
    at: dict[str, Any] = {"env": site.env, "cwd": site.elsewhere}
    commands: dict[str, Callable[[], object]] = {
        "wpbg --help": lambda: run([str(site.wpbg_bin), "--help"], **at, capture_output=True, check=True),
        "wpbg status": lambda: site.wpbg("status", check=True),
        "wpbg jobs list": lambda: site.wpbg("jobs", "list", check=True),
        "wp eval ''": lambda: site.wp("eval", ""),
    }
    found: dict[str, list[float]] = defaultdict(list)

    def one(name: str) -> None:
        began = time.monotonic()
        commands[name]()
        found[name].append((time.monotonic() - began) * 1000)

    for number in range(0 if scale.warms_up else 1, scale.starts + 1):
        ground.shuffled([lambda name=name: one(name) for name in commands])  # type: ignore[misc]
        if not number:  # The first start reads everything from the disk.
            found.clear()
    made = []
    for name in commands:
        goal = goals.STARTUP if name == "wpbg --help" else None
        made.append(Figure.of(PART, (name,), "ms", found[name], goal))
        tell(f"{name}: {made[-1].value:.0f} ms")
    beyond = [one - other for one, other in zip(found["wpbg status"], found["wp eval ''"], strict=True)]
    made.append(Figure.of(PART, ("wpbg status", "beyond wp eval ''"), "ms", beyond, goals.STARTUP))
    return made
