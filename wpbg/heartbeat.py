"""Keeping the leases of a worker's slots, and minding what became of them. In the pool's own thread."""

from __future__ import annotations

from collections.abc import Sequence

from wpbg.job import Lease
from wpbg.log import Log
from wpbg.queues.base import Queue
from wpbg.runners.base import Stop
from wpbg.worker import Slot


def renew_leases(queue: Queue, slots: Sequence[Slot], log: Log) -> None:
    """Renew every lease of the slots; runs that were lost or cancelled are stopped. Raises `QueueUnreachable`."""
    held = {slot: slot.leases() for slot in slots}
    leases = [lease for of_slot in held.values() for lease in of_slot]
    if not leases:
        return
    renewal = queue.renew(leases)
    for slot, of_slot in held.items():
        for lease in of_slot:
            if lease in renewal.lost:
                _lost(slot, lease, log)
            elif lease in renewal.cancel:
                slot.drop_held(lease)
                slot.stop_job(Stop.CANCEL, lease)


def _lost(slot: Slot, lease: Lease, log: Log) -> None:
    """Somebody else has the job by now: two must not run it."""
    slot.drop_held(lease)
    if slot.running is not lease:
        return
    log.event(
        "lease.lost",
        "Another worker has this job by now; this run is stopped.",
        id=lease.job.id,
        slot=slot.name,
    )
    slot.stop_job(Stop.NOW, lease)
