"""What a trial has shown: which jobs are lost, which ran twice and why, and how long it took until all went on."""

from __future__ import annotations

import re
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.chaos.bench import LEASE
from tests.chaos.faults import Fault, Hit
from tests.chaos.timeline import Timeline

MARGIN = 0.3
"""Seconds around a fault: what was claimed between our look at the leases and the fault is not in what we saw."""


@dataclass(frozen=True)
class Leased:
    """A job that is being worked on: its number, its row, and who has it."""

    n: int
    id: int
    token: int
    worker: str

    @classmethod
    def seen(cls, row: Mapping[str, Any]) -> Leased:
        payload = row["payload"] if isinstance(row["payload"], bytes) else str(row["payload"]).encode()
        number = re.search(rb's:9:"user_data";i:(\d+);', payload)
        worker = row["worker"].decode() if isinstance(row["worker"], bytes) else str(row["worker"] or "")
        return cls(int(number[1]) if number else -1, int(row["id"]), int(row["lease_token"]), worker)

    def of(self, hit: Hit) -> bool:
        """Whether it was with one of those who were struck. A worker's slots are called NAME/1, NAME/2."""
        return hit.worker is None or self.worker.split("/")[0] == hit.worker


@dataclass(frozen=True)
class Run:
    """That a job was run: when (seconds of the monotonic clock), by which process and its parent, of which worker; its
    id."""

    at: float
    pids: frozenset[int]
    worker: str
    job: str

    def of(self, hit: Hit) -> bool:
        return (hit.worker is None or hit.worker == self.worker) and (hit.pid is None or bool(hit.pids & self.pids))


@dataclass
class Happened:
    """A fault, as it was; times are seconds of the machine's monotonic clock."""

    fault: Fault
    hit: Hit
    began: float
    ended: float
    leased: set[Leased]
    """What those who were struck had in their hands."""
    recovered: float | None = None
    """Seconds from its end until none of that is leased as it was."""

    def explains(self, n: int, run: Run) -> bool:
        """Whether this run, after which the job ran again, was in flight when it happened, with one it struck."""
        if not self.fault.repeats or not run.of(self.hit):
            return False
        return any(lease.n == n for lease in self.leased) or self.began - MARGIN <= run.at <= self.ended + MARGIN


@dataclass(frozen=True)
class Result:
    """What a trial found. `recovery` is in seconds, a figure for each fault that struck a running job."""

    backend: str
    lifetime: str
    seed: int
    jobs: int
    refused: int
    faults: Counter[str]
    lost: list[int]
    twice: Counter[str]
    unexplained: list[int]
    stuck: list[int]
    unrecorded: list[int]
    unrecovered: int
    recovery: list[float]
    seconds: float
    timeline: Timeline

    @property
    def median_recovery(self) -> float:
        return statistics.median(self.recovery) if self.recovery else 0.0

    @property
    def bad(self) -> str:
        """The defects that it shows, in words; empty if there are none."""
        found = {
            "lost": self.lost,
            "stuck": self.stuck,
            "run twice without a fault": self.unexplained,
            "not recorded as completed": self.unrecorded,
            "faults from which it did not recover": self.unrecovered,
            f"slow to recover (median {self.median_recovery:.1f} s)": self.median_recovery > LEASE + 2,
        }
        return "; ".join(f"{what}: {which}" for what, which in found.items() if which)


def judge(
    *,
    backend: str,
    lifetime: str,
    seed: int,
    acknowledged: Mapping[int, str],
    refused: int,
    ran: Mapping[int, Sequence[Run]],
    unfinished: set[int],
    ended: Mapping[str, str],
    happened: Sequence[Happened],
    seconds: float,
    timeline: Timeline,
) -> Result:
    """Compare what the site was told with what ran, and what ran twice with what happened."""
    twice: Counter[str] = Counter()
    unexplained = []
    for n, runs in ran.items():
        # One of them is the one that counted; whom a fault struck may well have run it last.
        reasons = [reason(n, run, happened) for run in sorted(runs, key=lambda run: run.at)]
        found = [why for why in reasons if why]
        twice.update(found[: len(runs) - 1])
        if len(found) < len(runs) - 1:
            unexplained.append(n)
            for run in runs:
                timeline.note(f"unexplained: job {n} ran here, as one of {len(runs)}: {run}", run.at)
    return Result(
        backend=backend,
        lifetime=lifetime,
        seed=seed,
        jobs=len(acknowledged),
        refused=refused,
        faults=Counter(each.fault.name for each in happened),
        lost=sorted(acknowledged.keys() - ran.keys() - unfinished),
        twice=twice,
        unexplained=sorted(unexplained),
        stuck=sorted(unfinished),
        unrecorded=sorted(
            n for n, job_id in acknowledged.items() if n not in unfinished and ended.get(job_id) != "completed"
        ),
        unrecovered=sum(bool(each.leased) and each.recovered is None for each in happened),
        recovery=[each.recovered for each in happened if each.recovered is not None],
        seconds=seconds,
        timeline=timeline,
    )


def reason(n: int, run: Run, happened: Sequence[Happened]) -> str | None:
    """The name of the fault after which the job had to run again."""
    return next((each.fault.name for each in happened if each.explains(n, run)), None)
