"""Which fast lane a site has, and what is known of jobs that are still in it."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from typing import Any

from wpbg.errors import QueueUnreachable, UsageError
from wpbg.ledger.views import Waiting
from wpbg.log import Log
from wpbg.queues.base import Queue
from wpbg.queues.database import DatabaseQueue
from wpbg.queues.envelope import BadEnvelope, Envelope, Seal
from wpbg.queues.lane import Lane, LaneQueue
from wpbg.queues.reach import Reach
from wpbg.site import Site

BACKENDS = ("database", "beanstalkd", "gearman")

OUTSIDE = re.compile(r"(?P<id>[0-9a-f]{32})-(?:b(?P<native>\d+)|g)")
"""An id of a job that went through a broker."""


def in_front_of(site: Site, log: Log | None = None) -> Callable[[DatabaseQueue], Queue]:
    """What puts the site's fast lane, if it has one, in front of the table's queue."""
    make = lane_maker(site, log)
    if make is None:
        return lambda table: table
    seal = seal_of(site)
    reach = Reach(log)
    return lambda table: LaneQueue(table, make(), seal, reach, log)


def seal_of(site: Site) -> Seal:
    """The key that the site signs its jobs with."""
    return Seal(bytes.fromhex((site.lane or {})["key"]))


def lane_maker(site: Site, log: Log | None = None) -> Callable[[], Lane] | None:
    """How a connection to the site's broker is made; None when it has none. Raises `UsageError`."""
    told = site.lane
    if told is None:
        return None  # A plugin that knows no brokers puts nothing into one.
    backend = str(told["backend"])
    if backend not in BACKENDS:
        raise UsageError(f"ABW_BACKEND is {backend!r} in wp-config.php: it is one of {', '.join(BACKENDS)}.")
    if backend == "database":
        return None
    if backend == "beanstalkd":
        from wpbg.queues.beanstalkd import BeanstalkdLane

        return lambda: BeanstalkdLane(told["beanstalkd"], told["salt"])
    from wpbg.queues.gearman import GearmanLane
    from wpbg.queues.gearman_servers import Servers

    queue = own_queue(site)
    servers = Servers(told["gearman"], log)
    return lambda: GearmanLane(servers, told["salt"], told["shared_function"], queue)


def own_queue(site: Site) -> str:
    """The queue of jobs that name none, and of those of WP Gears and WP Minions."""
    return str(site.constants.get("ABW_QUEUE_NAME") or "default")


def waiting_outside(site: Site) -> Callable[[str], Waiting | None]:
    """Asks the site's broker, if it has one, for a job that is not in the table yet; see `outside_of`."""
    make = lane_maker(site)
    return (lambda job_id: None) if make is None else outside_of(make, seal_of(site))


def waiting_in_broker(site: Site) -> Callable[[Sequence[str]], dict[str, int]]:
    """How many jobs of these queues, and of others that it tells of, wait in the site's broker.

    Raises `QueueUnreachable`.
    """
    make = lane_maker(site)
    own = own_queue(site)

    def count(queues: Sequence[str]) -> dict[str, int]:
        if make is None:
            return {}
        with contextlib.closing(make()) as lane:
            return lane.counts([*queues, own])

    return count


def discard_in_broker(site: Site) -> Callable[[str], int]:
    """Throws away the jobs of a queue that wait in the site's broker; how many. Raises `QueueUnreachable`."""
    make = lane_maker(site)

    def discard(queue: str) -> int:
        if make is None:
            return 0
        with contextlib.closing(make()) as lane:
            return lane.discard(queue)

    return discard


def outside_of(make: Callable[[], Lane], seal: Seal) -> Callable[[str], Waiting | None]:
    """What tells of a job that waits in a broker, by its id; None where there is none, or the broker is away."""

    def look(job_id: str) -> Waiting | None:
        found = OUTSIDE.fullmatch(job_id.strip())
        if found is None:
            return None
        with contextlib.closing(make()) as lane:
            if found["native"] is None:
                return Waiting(dict(_SPARSE, id=job_id)) if lane.knows(found["id"]) else None
            body = lane.peek(int(found["native"]))
        if body is None:
            return None
        try:
            envelope = seal.open(body)
        except BadEnvelope:
            return None
        if envelope.id != found["id"]:
            return None
        return Waiting(_view(job_id, envelope), body, lambda: _removed(make, int(found["native"])))

    def quietly(job_id: str) -> Waiting | None:
        with contextlib.suppress(QueueUnreachable):
            return look(job_id)
        return None

    return quietly


def _removed(make: Callable[[], Lane], native: int) -> bool:
    """Take a job that waits out of its broker; whether it was there."""
    with contextlib.closing(make()) as lane:
        return lane.remove(native)


_NOTHING = dict.fromkeys(("started_at", "finished_at", "runtime_ms", "worker", "result", "error", "progress"))

_SPARSE = {
    **dict.fromkeys(("queue", "callback", "max_attempts", "priority", "batch", "created_at", "available_at")),
    "status": "queued",
    "attempts": 0,
    **_NOTHING,
    "output": "",
}
"""All that Gearman tells of a job that waits in it: that it is there."""


def _view(job_id: str, envelope: Envelope) -> dict[str, Any]:
    """A job that waits in its broker, as `jobs get` shows it."""
    at = datetime.fromtimestamp(envelope.at_ms / 1000, tz=timezone.utc)
    created = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {
        "id": job_id,
        "queue": envelope.queue,
        "callback": envelope.callback or "",
        "status": "queued",
        "attempts": 0,
        "max_attempts": envelope.max_attempts,
        "priority": envelope.priority,
        "batch": envelope.batch,
        "created_at": created,
        "available_at": created,
        **_NOTHING,
        "output": "",
    }
