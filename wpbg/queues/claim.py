"""How a worker gets at jobs that many others want at the same moment."""

from __future__ import annotations

import random
from collections.abc import Sequence

from wpbg.job import Lease
from wpbg.queues.connection import Database
from wpbg.queues.records import Claim, Row

WIDEST = 64
"""How far from the head of a queue a guarded claim may look when it keeps losing."""
PATIENCE = 6
"""How often a guarded claim looks again after losing everything it had picked."""


class Claimer:
    """Claims ready jobs, queue by queue in their precedence.

    Two ways. Where rows that others hold can be stepped over (`SKIP LOCKED`; SQLite's single
    writer does as well) a claim reads and updates inside one transaction. Otherwise, or with
    `skip_lock`, it is compare and swap: look, then update each row if it still is as it looked.
    """

    def __init__(self, database: Database, queues: Sequence[str], *, skip_lock: bool, chance: random.Random) -> None:
        self._database = database
        self._queues = queues
        self._skip_lock = skip_lock
        self._chance = chance
        self._spread = 1
        self._idle = False

    def claim(self, limit: int, claim: Claim) -> list[Lease]:
        """Up to `limit` leases, best first."""
        way = self._locked if self._database.skip_locked and not self._skip_lock else self._guarded
        leases: list[Lease] = []
        for queue in self._queues:
            if len(leases) >= limit:
                break
            leases += way(queue, limit - len(leases), claim, not leases)
        self._idle = not leases
        return leases

    def _locked(self, queue: str, limit: int, claim: Claim, begins: bool) -> list[Lease]:
        database = self._database
        # SQLite has one write lock for the whole site: not taken just to find nothing. Elsewhere, a question alone is
        # a third of a transaction, and an idle worker asks all day.
        if (database.one_writer or self._idle) and not database.rows("claim_candidates", queue=queue, limit=1):
            return []

        def take() -> list[Lease]:
            rows = database.rows("claim_lock", queue=queue, limit=limit)
            if rows:
                ids = [row["id"] for row in rows]
                database.change_last("claim_locked", ids=ids, first=ids[0] if begins else 0, **claim.columns)
            return [claim.lease(row, before=True) for row in rows]

        return database.atomically(take)

    def _guarded(self, queue: str, limit: int, claim: Claim, begins: bool) -> list[Lease]:
        """In strict order while nobody is in the way; from a window that widens with every loss otherwise."""
        database = self._database
        leases: list[Lease] = []
        for _ in range(PATIENCE):
            wanted = limit - len(leases)
            seen = database.rows("claim_candidates", queue=queue, limit=max(wanted, self._spread))
            if not seen:
                break
            lost = 0
            for candidate in self._pick(seen, wanted):
                job_id, token = candidate["id"], int(candidate["lease_token"])
                first = job_id if begins and not leases else 0
                if database.change("claim_guarded", id=job_id, token=token, first=first, **claim.columns):
                    ours = database.rows("claimed", id=job_id, token=token + 1)
                    leases += [claim.lease(row, before=False) for row in ours]
                else:
                    lost += 1
            self._spread = min(WIDEST, self._spread * 2 + 2) if lost else max(1, self._spread // 2)
            if not lost or len(leases) >= limit:
                break
        return leases

    def _pick(self, seen: Sequence[Row], wanted: int) -> list[Row]:
        """Which candidates to try: the first ones, or any of the first priority's when others want them too."""
        if self._spread <= 1 or len(seen) <= wanted:
            return list(seen[:wanted])
        equals = [row for row in seen if row["priority"] == seen[0]["priority"]]
        if len(equals) < wanted:
            return list(seen[:wanted])
        chosen = self._chance.sample(equals, wanted)
        return sorted(chosen, key=lambda row: row["id"])
