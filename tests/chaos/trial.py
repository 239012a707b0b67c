"""One trial: jobs are added, faults happen, and at the end what was acknowledged is compared with what ran."""

from __future__ import annotations

import os
import random
import statistics
import subprocess
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.bench import Bench
from tests.chaos.faults import plan

STALLED = 60.0
"""Seconds without any progress, and without a fault, after which what is left is stuck."""
A_FAULT = 1.2
"""Seconds that a fault and the pause before it take, about: so long are jobs added."""
MARGIN = 2.0
"""Seconds before a fault in which a run counts as in flight when it happens: outcomes are settled in batches."""


@dataclass
class Happened:
    """A fault, as it was; times are seconds of the machine's monotonic clock."""

    name: str
    began: float
    ended: float
    running: dict[int, int] = field(default_factory=dict)
    recovered: float | None = None


@dataclass(frozen=True)
class Result:
    """What a trial found. `recovery` is in seconds, a figure for each fault that hit a running job."""

    backend: str
    lifetime: str
    seed: int
    jobs: int
    faults: Counter[str]
    lost: list[int]
    twice: int
    unexplained: list[int]
    stuck: int
    failed: int
    recovery: list[float]
    seconds: float
    log: list[str]

    @property
    def median_recovery(self) -> float:
        return statistics.median(self.recovery) if self.recovery else 0.0


class Trial:
    """`run` does all of it."""

    def __init__(self, bench: Bench, jobs: int, faults: int, seed: int) -> None:
        self.bench, self.jobs, self.seed = bench, jobs, seed
        self.chance = random.Random(seed)
        self.plan = plan(bench, faults, self.chance)
        self.happened: list[Happened] = []
        self.told = bench.folder / "acknowledged"
        self._over = False

    def run(self) -> Result:
        began = time.monotonic()
        enqueuer = threading.Thread(target=self._enqueue, daemon=True)
        watcher = threading.Thread(target=self._watch, daemon=True)
        enqueuer.start()
        self.bench.start_workers()
        watcher.start()
        for fault in self.plan:
            time.sleep(self.chance.uniform(0.1, 0.7))
            happened = Happened(fault.name, time.monotonic(), 0.0, self._running())
            fault.happen(self.bench, self.chance)
            happened.ended = time.monotonic()
            self.happened.append(happened)
        enqueuer.join()
        self._wait_until_done()
        self._over = True
        watcher.join()
        return self._judge(time.monotonic() - began)

    # -- the site ---------------------------------------------------------------------------------------------

    def _enqueue(self) -> None:
        """PHP that adds jobs, started again whenever the database was away at its start."""
        self.told.touch()
        pause = round(1e6 * A_FAULT * len(self.plan) / self.jobs)
        while (done := self._counted()) < self.jobs and not self._over:
            code = f"chaos_enqueue( {done}, {self.jobs}, '{self.told}', {pause} );"
            subprocess.run(
                [*self.bench.site.wp_argv, f"--path={self.bench.site.path}", "eval", code],
                env={**self.bench.site.env, "CHAOS_ENQUEUES": "1"},
                cwd=self.bench.site.elsewhere,
                stdin=subprocess.DEVNULL,
                capture_output=True,
            )
            time.sleep(0.1)

    def _counted(self) -> int:
        return len(self.told.read_text().splitlines())

    def acknowledged(self) -> set[int]:
        """The numbers of jobs that `add_async_job` returned an id for."""
        lines = [line.split() for line in self.told.read_text().splitlines()]
        return {int(words[0]) for words in lines if len(words) == 2 and words[1] != "-"}

    # -- what is seen -----------------------------------------------------------------------------------------

    def _running(self) -> dict[int, int]:
        rows = self.bench.rows(f"SELECT id, lease_token FROM {self.bench.site.jobs} WHERE status = 'running'")
        return {row["id"]: row["lease_token"] for row in rows or []}

    def _watch(self) -> None:
        """After each fault: when nothing any more is leased to whoever it hit."""
        while not self._over:
            open_ones = [fault for fault in list(self.happened) if fault.running and fault.recovered is None]
            if open_ones:
                now_running = self.bench.rows(
                    f"SELECT id, lease_token FROM {self.bench.site.jobs} WHERE status = 'running'"
                )
                if now_running is not None:
                    held = {(row["id"], row["lease_token"]) for row in now_running}
                    for fault in open_ones:
                        if not held & set(fault.running.items()):
                            fault.recovered = max(0.0, time.monotonic() - fault.ended)
            time.sleep(0.1)

    def _unfinished(self) -> int | None:
        rows = self.bench.rows(
            f"SELECT COUNT(*) AS n FROM {self.bench.site.jobs} WHERE status IN ('queued', 'delayed', 'running')"
        )
        return None if rows is None else int(rows[0]["n"])

    def _ran(self) -> dict[int, list[float]]:
        runs: dict[int, list[float]] = {}
        for row in self.bench.rows(f"SELECT n, at FROM {self.bench.site.prefix}chaos_ran") or []:
            runs.setdefault(int(row["n"]), []).append(row["at"] / 1000)
        return runs

    def _wait_until_done(self) -> None:
        last, since = (-1, -1), time.monotonic()
        while time.monotonic() - since < STALLED:
            ran, unfinished = len(self._ran()), self._unfinished()
            if unfinished == 0 and self.acknowledged() <= self._ran().keys():
                return
            if (ran, unfinished) != last:
                last, since = (ran, unfinished or 0), time.monotonic()
            time.sleep(0.25)

    def _judge(self, seconds: float) -> Result:
        ran, acknowledged = self._ran(), self.acknowledged()
        twice = {n: sorted(times) for n, times in ran.items() if len(times) > 1}
        failed = self.bench.rows(f"SELECT COUNT(*) AS n FROM {self.bench.site.jobs} WHERE status = 'failed'")
        stuck = self._unfinished() or 0
        missing = sorted(acknowledged - ran.keys())
        return Result(
            backend=self.bench.backend,
            lifetime=self.bench.lifetime,
            seed=self.seed,
            jobs=len(acknowledged),
            faults=Counter(fault.name for fault in self.happened),
            lost=missing if stuck == 0 else missing[: max(0, len(missing) - stuck)],
            twice=len(twice),
            unexplained=[n for n, times in twice.items() if not self._explained(times)],
            stuck=stuck,
            failed=int(failed[0]["n"]) if failed else -1,
            recovery=[fault.recovered for fault in self.happened if fault.recovered is not None],
            seconds=seconds,
            log=self.bench.log,
        )

    def _explained(self, times: list[float]) -> bool:
        """Whether each run but the last was in flight when a fault happened."""
        return all(
            any(fault.began - MARGIN <= at <= fault.ended + MARGIN for fault in self.happened) for at in times[:-1]
        )


def trial(folder: Path, backend: str, lifetime: str, jobs: int, faults: int, seed: int) -> Result:
    """Set up, run, take down."""
    bench = Bench(folder / f"{backend}-{lifetime}-{os.getpid()}", backend, lifetime)
    try:
        bench.set_up()
        return Trial(bench, jobs, faults, seed).run()
    finally:
        bench.close()
