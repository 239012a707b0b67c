"""Keeping the leases of a worker's slots, and minding what became of them.

In a thread of its own, with a connection of its own: whatever the pool's thread waits for (a broker that is slow to say
how much waits in it, a round of housekeeping on a busy server), the leases of living jobs must not run out meanwhile.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from wpbg.errors import QueueUnreachable
from wpbg.job import Lease
from wpbg.log import Log
from wpbg.queues.base import Queue
from wpbg.runners.base import Stop
from wpbg.worker import Slot

AGAIN = 1.0
"""Seconds at most until leases that could not be renewed are tried again."""

LATE = 1.5
"""Heartbeats after which somebody else should renew the leases: half a lease, at least, is left."""

HELD = 0.25
"""Seconds at most until those are that somebody held: whoever else wants the row is waiting for it as well."""


class Heartbeat:
    """Renews the leases of `slots` every `seconds`, from `start` to `stop`. It connects when there is the first one.
    `failed` is told of what is not just a server out of reach; even then it goes on trying, for the jobs that still
    run: nobody else may have them."""

    def __init__(
        self, queue: Queue, slots: Sequence[Slot], log: Log, seconds: float, failed: Callable[[BaseException], None]
    ) -> None:
        self._queue, self._slots, self._log, self._seconds, self._failed = queue, slots, log, seconds, failed
        self._done_at = time.monotonic()
        self._why = ""
        self._said = False
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """Wait for its end, at most so long."""
        self._stopped.set()
        self._thread.join(seconds)

    @property
    def late(self) -> bool:
        """Whether the leases should have been renewed by now: this thread cannot connect, or waits for an answer."""
        return time.monotonic() - self._done_at > LATE * self._seconds

    def stand_in(self, queue: Queue) -> None:
        """A beat on another connection, from another thread. Raises `QueueUnreachable`."""
        self._renew(queue)

    def warn(self) -> None:
        """Say so, once, when the leases will soon run out."""
        if self._said or time.monotonic() - self._done_at < 2 * self._seconds:
            return
        jobs = sum(slot.running is not None for slot in self._slots)
        if jobs:
            self._said = True
            why = f"{self._why} " if self._why else ""
            message = f"{why}When the leases of {jobs} running job(s) run out, other workers may take them."
            self._log.event("lease.not_renewed", message)

    def _renew(self, queue: Queue) -> bool:
        """Whether nothing has to be tried again soon."""
        all_renewed = renew_leases(queue, self._slots, self._log)
        if all_renewed:
            self._done_at = time.monotonic()
            if self._said:
                self._log.event("lease.renewed_again", "")
            self._said, self._why = False, ""
        return all_renewed

    def _beat(self) -> None:
        wait = self._seconds
        try:
            while not self._stopped.wait(wait):
                began = time.monotonic()
                try:
                    all_renewed = self._renew(self._queue)
                    next_beat = max(0.0, began + self._seconds - time.monotonic())
                    wait = next_beat if all_renewed else min(next_beat, HELD)
                except QueueUnreachable as error:
                    self._why = error.message
                    wait = min(self._seconds, AGAIN)
                except Exception as error:
                    self._failed(error)
                    wait = min(self._seconds, AGAIN)
        finally:
            self._queue.close()


def renew_leases(queue: Queue, slots: Sequence[Slot], log: Log) -> bool:
    """Renew every lease of the slots; runs that were lost or cancelled are stopped. Whether none has to be tried again
    soon. Raises `QueueUnreachable`."""
    held = {slot: slot.leases() for slot in slots}
    leases = [lease for of_slot in held.values() for lease in of_slot]
    if not leases:
        return True
    renewal = queue.renew(leases)
    for slot, of_slot in held.items():
        for lease in of_slot:
            if lease in renewal.lost:
                _lost(slot, lease, log)
            elif lease in renewal.cancel:
                slot.drop_held(lease)
                slot.stop_job(Stop.CANCEL, lease)
    return not renewal.again


def _lost(slot: Slot, lease: Lease, log: Log) -> None:
    """Somebody else has the job by now: two must not run it."""
    slot.drop_held(lease)
    if slot.running is not lease or slot.lost is lease:
        return
    slot.lost = lease
    log.event(
        "lease.lost",
        "Another worker has this job by now; this run is stopped.",
        id=lease.job.id,
        slot=slot.name,
    )
    slot.stop_job(Stop.NOW, lease)
