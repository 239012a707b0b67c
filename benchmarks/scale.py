"""How much is measured: all of it in a quarter of an hour, or a quick look. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

BACKENDS = ("MariaDB", "SQLite", "beanstalkd", "gearman")
LIFETIMES = ("restart", "fork", "loop")


@dataclass(frozen=True)
class Cell:
    """One lifetime on one backend."""

    lifetime: str
    backend: str


ALL_CELLS = tuple(Cell(lifetime, backend) for lifetime in LIFETIMES for backend in BACKENDS)
SOME_CELLS = tuple(
    Cell(*each.split())
    for each in ("restart SQLite", "fork MariaDB", "loop MariaDB", "loop beanstalkd", "loop gearman")
)
"""Each lifetime and each backend at least once."""


@dataclass(frozen=True)
class Scale:
    """Numbers of rounds, jobs, samples and rows; seconds."""

    rounds: int
    cells: tuple[Cell, ...]
    slots: tuple[int, ...]
    jobs: Mapping[str, int]
    """Of a round, by lifetime."""
    evals: int
    """Plain `wp eval` of a round."""
    bare: int
    """Jobs of a round of a broker's own client."""
    samples: Mapping[str, int]
    """Jobs on an idle queue, by lifetime."""
    load: float
    """Seconds of a loaded queue."""
    singles: int
    bulk: tuple[int, ...]
    waiting: tuple[int, ...]
    claims: int
    """Claims of a round and size, one at a time; a fifth as many in batches."""
    idle_slots: int
    idle: float
    """Seconds of as many idle slots."""
    starts: int

    @property
    def warms_up(self) -> bool:
        """Whether a round that does not count comes first."""
        return self.rounds > 1

    def jobs_for(self, lifetime: str, slots: int) -> int:
        """More slots get more jobs, so that each finds its pace; loop has enough."""
        return self.jobs[lifetime] * (1 if lifetime == "loop" else min(2, slots))


FULL = Scale(
    rounds=3,
    cells=ALL_CELLS,
    slots=(1, 2, 4),
    jobs={"restart": 12, "fork": 400, "loop": 15_000},
    evals=6,
    bare=10_000,
    samples={"restart": 30, "fork": 300, "loop": 300},
    load=4.0,
    singles=300,
    bulk=(10_000, 100_000),
    waiting=(1_000, 100_000, 1_000_000),
    claims=100,
    idle_slots=8,
    idle=60.0,
    starts=15,
)

QUICK = Scale(
    rounds=1,
    cells=SOME_CELLS,
    slots=(1,),
    jobs={"restart": 2, "fork": 40, "loop": 600},
    evals=1,
    bare=500,
    samples={"restart": 2, "fork": 4, "loop": 4},
    load=0.2,
    singles=20,
    bulk=(200, 1_000),
    waiting=(300, 1_000),
    claims=10,
    idle_slots=2,
    idle=1.0,
    starts=1,
)
