"""The bench for a broker in front of the tables: jobs come in as the plugin hands them in, signed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, closing
from typing import Any

from tests.contract.bench import DatabaseBench
from tests.support.site import Site
from wpbg.lanes import outside_of
from wpbg.ledger import Ledger
from wpbg.queues.envelope import Seal
from wpbg.queues.lane import Lane, LaneQueue
from wpbg.queues.reach import Reach

SEAL = Seal(bytes(range(32)))


class LaneBench(DatabaseBench):
    """A queue with a real broker in front of it. `lane_for` makes a connection to the broker."""

    def __init__(self, site: Site, stack: ExitStack, lane_for: Callable[[], Lane]) -> None:
        super().__init__(site, stack)
        self._lane_for, self.reach = lane_for, Reach()
        self.capabilities = self.queue().capabilities
        outside = outside_of(lane_for, SEAL)
        self.ledger = stack.enter_context(closing(Ledger(self.settings, clock=self.clock, outside=outside)))

    def queue(self, *names: str, **options: Any) -> LaneQueue:
        queue = LaneQueue(self.table(*names, **options), self._lane_for(), SEAL, self.reach)
        return self._stack.enter_context(closing(queue))

    def known(self, job_id: str) -> str:
        identity, outside, _ = job_id.partition("-")
        if not outside:
            return job_id
        rows = self.site.query(f"SELECT id FROM {self.site.jobs} WHERE external_id = %s", (identity,))
        assert rows, f"no worker has written job {job_id} yet"
        return str(rows[0]["id"])
