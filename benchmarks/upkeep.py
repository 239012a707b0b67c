"""What slots take of the machine: while they have nothing to do, and while they work."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from itertools import pairwise

from benchmarks import goals
from benchmarks.figures import Figure
from benchmarks.ground import Ground
from benchmarks.processes import Look, look
from benchmarks.scale import Cell, Scale
from tests.support.process import WorkerProcess
from tests.support.wait import wait_for

PART = "CPU and memory"
WINDOWS = 4
"""Parts of the idle time, whose spread is told."""
CALM = 0.1
"""Of a core: who takes more is still starting."""
LOAD = {"loop": 2, "fork": 1, "restart": 2}
"""How many times a round's jobs the loaded workers get, by lifetime."""


def measure(ground: Ground, scale: Scale, tell: Callable[[str], None]) -> list[Figure]:
    return idle(ground, scale, tell) + loaded(ground, scale, tell)


def cells(scale: Scale) -> list[Cell]:
    """Loop everywhere, the others on MariaDB; with a few rounds only, loop on MariaDB."""
    wanted = [each for each in scale.cells if each.lifetime == "loop" or each.backend == "MariaDB"]
    return wanted if scale.warms_up else [Cell("loop", "MariaDB")]


def idle(ground: Ground, scale: Scale, tell: Callable[[str], None]) -> list[Figure]:
    """All workers at once, so that a minute is a minute for all of them; CPU time is counted for each."""
    workers: dict[Cell, WorkerProcess] = {}
    slots = scale.idle_slots
    with ExitStack() as stack:
        for cell in cells(scale):
            plot = ground.plot(cell.backend)
            plot.clear()
            worker = plot.site.start_wpbg(
                "listen", "--queue", f"idle-{cell.lifetime}", "--mode", cell.lifetime, "--concurrency", str(slots)
            )
            stack.callback(worker.wait, 60)
            stack.callback(worker.terminate)
            workers[cell] = worker
        for cell, worker in workers.items():
            wait_for(lambda cell=cell, pid=worker.pid: _is_calm(cell, pid, slots), 120, f"{cell} has booted")  # type: ignore[misc]
        looks: dict[Cell, list[tuple[float, Look]]] = defaultdict(list)
        for number in range(WINDOWS + 1):
            if number:
                time.sleep(scale.idle / WINDOWS)
            for cell, worker in workers.items():
                looks[cell].append((time.monotonic(), look(worker.pid)))
    made = []
    for cell, seen in looks.items():
        some = idle_figures(f"{slots} idle slots", cell, seen)
        tell(f"{slots} idle slots, {cell.lifetime}, {cell.backend}: {some[0].value:.2f} % of a core")
        made += some
    return made


def _is_calm(cell: Cell, pid: int, slots: int) -> bool:
    """Whether all its PHP is there, and neither that nor itself has had much to do for a second."""
    before = look(pid)
    time.sleep(1)
    now = look(pid)
    ready = cell.lifetime == "restart" or before.php >= slots
    return ready and now.cpu + now.php_cpu - before.cpu - before.php_cpu < CALM


def idle_figures(who: str, cell: Cell, seen: list[tuple[float, Look]]) -> list[Figure]:
    """Per cent of a core from look to look, and MB at each."""
    labels = (who, cell.lifetime, cell.backend)
    per_cent: dict[str, list[float]] = defaultdict(list)
    for (before, one), (after, two) in pairwise(seen):
        share = 100 / (after - before)
        per_cent["wpbg"].append((two.cpu - one.cpu) * share)
        per_cent["PHP"].append((two.php_cpu - one.php_cpu) * share)
        per_cent["both"].append((two.cpu - one.cpu + two.php_cpu - one.php_cpu) * share)
    # The clock ticks a hundred times a second: the whole time tells more than a median of its parts.
    whole = {what: sum(parts) / len(parts) for what, parts in per_cent.items()}
    memory = {
        "wpbg, resident": [each.rss for _, each in seen],
        "wpbg, its share (PSS)": [each.pss for _, each in seen],
        "PHP, its share (PSS)": [each.php_pss for _, each in seen],
    }
    made = [
        Figure(
            PART, (*labels, f"CPU of {what}"), "% of a core", whole[what], min(parts), max(parts), len(parts),
            goals.IDLE_CPU if what == "both" else None,
        )
        for what, parts in sorted(per_cent.items(), key=lambda item: item[0] != "both")
    ]  # fmt: skip
    for what, values in memory.items():
        goal = goals.IDLE_MEMORY if what == "wpbg, resident" else None
        made.append(Figure.of(PART, (*labels, f"memory of {what}"), "MB", values, goal))
    return made


def loaded(ground: Ground, scale: Scale, tell: Callable[[str], None]) -> list[Figure]:
    """CPU time per job and peak memory, looked at ten times a second while the jobs are worked through."""
    made = []
    for lifetime in sorted({cell.lifetime for cell in cells(scale)}):
        plot = ground.plot("MariaDB")
        plot.clear()
        jobs = scale.jobs[lifetime] * LOAD[lifetime]
        plot.add(jobs)
        flags = ("--mode", lifetime, "--concurrency", str(scale.idle_slots), "--stop-when-empty")
        worker = plot.site.start_wpbg("listen", *flags)
        seen: list[Look] = []
        began = time.monotonic()
        while worker.returncode is None:
            try:
                seen.append(look(worker.pid))
            except ProcessLookupError:
                break
            time.sleep(0.1)
        took = time.monotonic() - began
        assert worker.wait(60) == 0, worker.log
        ground.check(plot.site, jobs)
        labels = (f"{scale.idle_slots} busy slots", lifetime, "MariaDB")
        cpu, php = max(each.cpu for each in seen), max(each.php_cpu for each in seen)
        tell(f"{', '.join(labels)}: {cpu + php:.1f} s of CPU in {took:.1f} s")
        for name, unit, value in (
            ("CPU per job, wpbg", "ms", cpu * 1000 / jobs),
            ("CPU per job, PHP", "ms", php * 1000 / jobs),
            ("peak memory of wpbg, resident", "MB", max(each.rss for each in seen)),
            ("peak memory of PHP, its share (PSS)", "MB", max(each.php_pss for each in seen)),
        ):
            made.append(Figure.of(PART, (*labels, name), unit, [value]))
    return made
