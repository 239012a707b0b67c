"""One trial: jobs are added, faults happen, and at the end what was acknowledged is compared with what ran."""

from __future__ import annotations

import os
import random
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

from tests.chaos.bench import Bench
from tests.chaos.faults import Fault, plan
from tests.chaos.verdict import Happened, Leased, Result, Run, judge

STALLED = 60.0
"""Seconds without any progress, and without a fault, after which what is left is stuck."""
A_FAULT = 1.0
"""Seconds that a fault and the pause before it take, about: so long are jobs added."""
NOBODY = 30.0
"""Seconds that a fault waits for something that it can strike."""


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
        self.told.touch()
        enqueuer = threading.Thread(target=self._enqueue, daemon=True)
        watcher = threading.Thread(target=self._watch, daemon=True)
        enqueuer.start()
        self.bench.start_workers()
        watcher.start()
        for number, fault in enumerate(self.plan):
            # Faults come all the time that jobs run, however long these take.
            self._wait_until(lambda at=number: self._progress()[0] >= 0.8 * self.jobs * at / len(self.plan))
            time.sleep(self.chance.uniform(0.1, 0.7))
            self._strike(fault)
        enqueuer.join()
        self._wait_until(lambda: self._progress()[1] == 0 and self.acknowledged().keys() <= self._ran().keys())
        self._over = True
        watcher.join()
        return self._judge(time.monotonic() - began)

    def _strike(self, fault: Fault) -> None:
        """Let it happen; what nobody felt does not count, and is tried again for a while."""
        until = time.monotonic() + NOBODY
        while time.monotonic() < until:
            began, leased = time.monotonic(), self._leased()
            hit = fault.happen(self.bench, self.chance)
            ended = time.monotonic()
            if hit is not None:
                struck = {lease for lease in leased | self._leased() if lease.of(hit)}
                self.happened.append(Happened(fault, hit, began, ended, struck))
                return
            time.sleep(0.1)

    # -- the site ---------------------------------------------------------------------------------------------

    def _enqueue(self) -> None:
        """PHP that adds jobs, started again whenever the database was away at its start, until enough are taken."""
        pause = round(1e6 * A_FAULT * len(self.plan) / self.jobs)
        while (more := self.jobs - len(self.acknowledged())) > 0 and not self._over:
            tried = self.told.with_name(f"{self.told.name}.tried")
            number = len(tried.read_text().splitlines()) if tried.exists() else 0
            code = f"chaos_enqueue( {number}, {more}, '{self.told}', {pause} );"
            done = subprocess.run(
                [*self.bench.site.wp_argv, f"--path={self.bench.site.path}", "eval", code],
                env=self.bench.site.env,
                cwd=self.bench.site.elsewhere,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
            )
            self.bench.timeline.note(f"enqueuer: {done.returncode} {done.stdout[-500:]} {done.stderr[-500:]}")
            time.sleep(0.1)

    def _told(self) -> list[list[str]]:
        return [line.split(" ", 2) for line in self.told.read_text().splitlines()]

    def acknowledged(self) -> dict[int, str]:
        """The numbers of jobs that `add_async_job` returned an id for, and the id."""
        return {int(words[0]): words[1] for words in self._told() if words[1] != "-"}

    # -- what is seen -----------------------------------------------------------------------------------------

    def _leased(self) -> set[Leased]:
        """What is running now, as far as anybody can say."""
        rows = self.bench.rows(
            f"SELECT id, lease_token, worker, payload FROM {self.bench.site.jobs} WHERE status = 'running'"
        )
        return {Leased.seen(row) for row in rows or []}

    def _watch(self) -> None:
        """After each fault: when nothing any more is leased to whoever it struck."""
        while True:
            last = self._over
            open_ones = [fault for fault in list(self.happened) if fault.leased and fault.recovered is None]
            now = self.bench.rows(f"SELECT id, lease_token FROM {self.bench.site.jobs} WHERE status = 'running'")
            if now is not None:
                held = {(row["id"], row["lease_token"]) for row in now}
                for fault in open_ones:
                    if not any((lease.id, lease.token) in held for lease in fault.leased):
                        fault.recovered = max(0.0, time.monotonic() - fault.ended)
            if last:
                return
            time.sleep(0.1)

    def _unfinished(self) -> set[int] | None:
        """The numbers of jobs that the table knows and that have not ended."""
        rows = self.bench.rows(
            f"SELECT id, lease_token, worker, payload FROM {self.bench.site.jobs} "
            "WHERE status IN ('queued', 'delayed', 'running')"
        )
        return None if rows is None else {Leased.seen(row).n for row in rows}

    def _ran(self) -> dict[int, list[Run]]:
        runs: dict[int, list[Run]] = {}
        for row in (
            self.bench.rows(f"SELECT n, job, at, pid, ppid, worker FROM {self.bench.site.prefix}chaos_ran") or []
        ):
            run = Run(row["at"] / 1000, frozenset((row["pid"], row["ppid"])), str(row["worker"]), str(row["job"]))
            runs.setdefault(int(row["n"]), []).append(run)
        return runs

    def _ended(self) -> dict[str, str]:
        """How each job ended, by the id that its site was given; one that a broker took has the broker's number at the
        end of that, which the table does not know."""
        rows = self.bench.rows(f"SELECT id, external_id, status FROM {self.bench.site.jobs}") or []
        by_id = {_text(row[name]): row["status"] for row in rows for name in ("id", "external_id") if row[name]}
        return {job_id: by_id.get(job_id.split("-")[0], "gone") for job_id in self.acknowledged().values()}

    def _progress(self) -> tuple[int, int]:
        """How many runs were noted down, and how many jobs of the table have not ended; -1 while nobody can say."""
        rows = self.bench.rows(
            f"SELECT (SELECT COUNT(*) FROM {self.bench.site.prefix}chaos_ran) AS ran, (SELECT COUNT(*) FROM "
            f"{self.bench.site.jobs} WHERE status IN ('queued', 'delayed', 'running')) AS unfinished"
        )
        return (rows[0]["ran"], rows[0]["unfinished"]) if rows else (-1, -1)

    def _wait_until(self, done: Callable[[], bool]) -> None:
        """Until it is so, or nothing has happened for long."""
        last, since = (-1, -1), time.monotonic()
        while time.monotonic() - since < STALLED and not done():
            now = self._progress()
            if now != last:
                last, since = now, time.monotonic()
            time.sleep(0.25)

    def _judge(self, seconds: float) -> Result:
        result = self._compare(seconds)
        for told in self._told():
            if int(told[0]) in {*result.lost, *result.unrecorded, *result.stuck}:
                self.bench.timeline.note(f"acknowledged, and not done: {told}")
        if result.lost and self.bench.broker:
            self.bench.timeline.note(f"{self.bench.broker.name} holds: {self.bench.broker.holds()}")
        for fault in self.happened:
            whom = " ".join(f"{each}" for each in (fault.hit.worker, fault.hit.pid) if each) or "everybody"
            held = sorted((lease.n, lease.id, lease.worker) for lease in fault.leased)
            children = f" (and its children {sorted(fault.hit.children)})" if fault.hit.children else ""
            self.bench.timeline.note(f"fault: {fault.fault.name} of {whom}{children}, who held {held}", fault.began)
            self.bench.timeline.note(f"fault: {fault.fault.name} of {whom} is over", fault.ended)
        return result

    def _compare(self, seconds: float) -> Result:
        return judge(
            backend=self.bench.backend,
            lifetime=self.bench.lifetime,
            seed=self.seed,
            acknowledged=self.acknowledged(),
            refused=sum(words[1] == "-" for words in self._told()),
            ran=self._ran(),
            unfinished=self._unfinished() or set(),
            ended=self._ended(),
            happened=self.happened,
            seconds=seconds,
            timeline=self.bench.timeline,
        )


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def trial(folder: Path, backend: str, lifetime: str, jobs: int, faults: int, seed: int) -> Result:
    """Set up, run, take down."""
    bench = Bench(folder / f"{backend}-{lifetime}-{os.getpid()}", backend, lifetime)
    try:
        bench.set_up()
        return Trial(bench, jobs, faults, seed).run()
    finally:
        bench.close()
