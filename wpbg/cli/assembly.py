"""A worker put together from the flags and wp-config.php, and what tells others of it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from wpbg.control import Control
from wpbg.doorbell import Doorbell
from wpbg.lanes import in_front_of
from wpbg.ledger import Ledger
from wpbg.lifetimes import runner_maker
from wpbg.log import Log
from wpbg.log_file import LogFile
from wpbg.opcache import OpcacheFolder
from wpbg.pool import Pool, PoolOptions
from wpbg.queues.base import Queue, heartbeat
from wpbg.queues.database import DatabaseQueue
from wpbg.queues.settings import DatabaseSettings
from wpbg.runners.exchange import Lifetime
from wpbg.runners.persistent import Recycling
from wpbg.settings import WorkerSettings, debug, log_file, worker_settings
from wpbg.site import Site
from wpbg.systemd import Systemd

QueueFor: TypeAlias = Callable[[], Queue]


@dataclass(frozen=True)
class Flags:
    """What was said on the command line of a worker."""

    queues: tuple[str, ...] = ()
    concurrency: int = 1
    name: str | None = None
    skip_lock: bool = False
    max_jobs: int | None = None
    max_time: float | None = None
    min_time: float = 0.0
    max_memory: int | None = None
    stop_when_empty: bool = False
    grace: float = 60.0
    lease: float = 30.0
    log_format: str = "text"
    no_opcache: bool = False
    metrics: str | None = None


def open_log(site: Site, form: str, write: Callable[[str], None] | None = None) -> Log:
    """The log of a worker of this site: on stderr (or by `write`), and in the file of BACKGROUND_WORKER_LOG."""
    file = log_file(site)
    return Log(form, write=write, debug=debug(site), file=LogFile(file) if file else None)


@contextlib.contextmanager
def prepared(site: Site, mode: str, flags: Flags, log: Log) -> Iterator[Pool]:
    """A pool, and what tells others of it while it works: metrics, systemd."""
    with contextlib.ExitStack() as stack:
        if flags.metrics is None:
            pool = build(site, mode, flags, log)
        else:
            from wpbg.metrics import Instruments, MeteredQueue, MetricsServer

            instruments = Instruments()
            server = MetricsServer(flags.metrics, instruments, log)
            log.sinks.append(instruments.notice)
            pool = build(site, mode, flags, log, around=lambda queue: MeteredQueue(queue, instruments))
            stack.enter_context(server.serving(pool, Ledger(DatabaseSettings.from_mapping(site.database))))
        bell = Doorbell.hang(site.bell, pool.options.queues, pool.control.knock)
        if bell is not None:
            pool.control.turns = 1
            stack.callback(bell.close)
        systemd = Systemd.from_environment()
        if systemd is not None:
            stack.callback(systemd.close)
            systemd.follow(pool)
        yield pool


def build(
    site: Site,
    mode: str,
    flags: Flags,
    log: Log,
    once: bool = False,
    around: Callable[[Queue], Queue] = lambda queue: queue,
) -> Pool:
    """A pool for the site, put together from the flags and wp-config.php. `around` is put around each queue."""
    settings = worker_settings(
        site,
        queues=flags.queues,
        name=flags.name,
        mode=mode,
        concurrency=flags.concurrency,
        skip_lock=flags.skip_lock,
    )
    boot_failed: Callable[[int], None] = lambda code: None  # noqa: E731
    if not flags.no_opcache:
        cache = OpcacheFolder.for_site(site.path, tell=lambda why: log.event("opcache.off", why))
        wp = cache.used_by(site.wp, shared=Lifetime(mode) is Lifetime.FORK)
        site, boot_failed = replace(site, wp=wp), cache.boot_failed
    database = replace(DatabaseSettings.from_mapping(site.database), notice=heartbeat(flags.lease))
    limits: dict[str, Any] = {"max_jobs": flags.max_jobs, "max_time": flags.max_time, "max_memory": flags.max_memory}
    recycling = Recycling()
    if mode != "restart":  # There it is the PHP processes that wear out.
        recycling = Recycling(**{name: value or 0 for name, value in limits.items()})
        limits = {}
    options = PoolOptions(
        name=settings.name,
        queues=settings.queues,
        mode=settings.mode,
        concurrency=settings.concurrency,
        lease=flags.lease,
        grace=flags.grace,
        **limits,
        min_time=flags.min_time,
        stop_when_empty=flags.stop_when_empty,
        once=once,
    )
    queue_for = _queues(site, database, settings, flags.lease, log)
    return Pool(
        options,
        lambda: around(queue_for()),
        runner_maker(site, mode, settings.time_limit, recycling, log, boot_failed),
        Ledger(database),
        Control(idle_max=settings.idle_max, between=settings.between),
        log,
    )


def _queues(site: Site, database: DatabaseSettings, settings: WorkerSettings, lease: float, log: Log) -> QueueFor:
    lane = in_front_of(site, log)
    return lambda: lane(
        DatabaseQueue(
            database,
            settings.queues,
            lease_ms=round(lease * 1000),
            skip_lock=settings.skip_lock,
            retention_ms=settings.retention_ms,
        )
    )
