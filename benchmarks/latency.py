"""From the request's call of `add_async_job` to the callback's first line, on idle and on loaded queues.

One lifetime after the other, with one worker on each backend's site: a job that is added wakes all workers of its site,
and others would be in the way. *Idle*: one of them is picked at random and gets one job from a booted WordPress; after
a random pause the next one does. So each waits for jobs most of the time, for moments of every length. *Loaded*: one
worker gets jobs for some seconds at half the rate that it manages, at random moments. Both ends are stamped by PHP with
`microtime`, on one machine.
"""

from __future__ import annotations

import contextlib
import json
import select
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from benchmarks import goals
from benchmarks.figures import Figure, steady_rate
from benchmarks.ground import Ground, Plot, WrongRun
from benchmarks.scale import LIFETIMES, Cell, Scale
from tests.support.process import WorkerProcess
from tests.support.sockets import socket_path
from tests.support.wait import wait_for

PART = "latency"
PAUSE = (0.02, 0.1)
"""Seconds between two jobs of the idle phase."""
PATIENCE = 60.0
"""Seconds after which a job is given up, and the run with it."""
WARM = {"loop": 3_000, "fork": 150, "restart": 6}
"""Jobs by which the rate of a worker is found, at full scale."""
LEAST_LOADED = 16


@dataclass
class Post:
    """A worker that is measured."""

    cell: Cell
    plot: Plot
    worker: WorkerProcess
    calls: dict[int, float] = field(default_factory=dict)
    """When each job was added, by number; seconds since 1970."""
    heard: dict[int, float] = field(default_factory=dict)
    """When each callback began."""
    took: list[float] = field(default_factory=list)
    """Seconds of the calls."""

    @property
    def waits(self) -> bool:
        return len(self.heard) == len(self.calls)

    def latencies(self) -> list[float]:
        """Milliseconds, in the order of the jobs."""
        return [(self.heard[number] - self.calls[number]) * 1000 for number in sorted(self.calls)]


class Bell:
    """Where callbacks say that they have begun. Numbers are unique among all posts."""

    def __init__(self, ground: Ground) -> None:
        self.path = str(socket_path(ground.folder, "bell"))
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.posts: dict[int, Post] = {}

    def listen(self, seconds: float) -> bool:
        """Wait for a word, at most so long. WrongRun when a job ran twice."""
        if not select.select([self.socket], [], [], max(0.0, seconds))[0]:
            return False
        number, at = self.socket.recv(100).split()
        post = self.posts[int(number)]
        if int(number) in post.heard:
            raise WrongRun(f"A job ran twice: {post.cell}.")
        post.heard[int(number)] = float(at)
        return True

    def wait(self, post: Post) -> None:
        """Until its job has begun."""
        deadline = time.monotonic() + PATIENCE
        while not post.waits:
            if not self.listen(deadline - time.monotonic()):
                raise WrongRun(f"A job was not run within {PATIENCE:g} s: {post.cell}.\n{post.worker.log}")


def measure(ground: Ground, scale: Scale, tell: Callable[[str], None]) -> list[Figure]:
    made: list[Figure] = []
    bell = Bell(ground)
    with contextlib.closing(bell.socket):
        for lifetime in LIFETIMES:
            cells = [cell for cell in scale.cells if cell.lifetime == lifetime]
            with posted(ground, cells) as posts:
                # A boot per job takes a core for a while: then nothing else happens meanwhile.
                idle(ground, scale, bell, posts, wait=lifetime == "restart")
                made += [figure for post in posts for figure in idle_figures(post, tell)]
                for post in ground.chance.sample(posts, len(posts)):
                    made += loaded(ground, scale, post, tell)
    return sorted(made, key=lambda figure: (figure.labels[2], ("loop", "fork", "restart").index(figure.labels[0])))


@contextlib.contextmanager
def posted(ground: Ground, cells: Sequence[Cell]) -> Iterator[list[Post]]:
    """The workers, each on a site of its own, with PHP booted."""
    posts = []
    for cell in cells:
        plot = ground.plot(cell.backend)
        plot.clear()
        worker = plot.site.start_wpbg("listen", "--queue", cell.lifetime, "--mode", cell.lifetime)
        posts.append(Post(cell, plot, worker))
    try:
        for post in posts:
            post.plot.add(1, post.cell.lifetime)
        for post in posts:
            _wait_for(post, 1)
        yield posts
    finally:
        for post in posts:
            post.worker.terminate()
        for post in posts:
            post.worker.wait(120)


def idle(ground: Ground, scale: Scale, bell: Bell, posts: list[Post], *, wait: bool) -> None:
    """Give each its jobs, in no order; with `wait`, none before the one before it has begun."""
    order = [post for post in posts for _ in range(scale.samples[post.cell.lifetime])]
    for post in ground.chance.sample(order, len(order)):
        bell.wait(post)
        number = len(bell.posts)
        bell.posts[number] = post
        before, after = post.plot.requests.ask("one", number, post.cell.lifetime, bell.path)
        post.calls[number] = before
        post.took.append(after - before)
        if wait:
            bell.wait(post)
        until = time.monotonic() + ground.chance.uniform(*PAUSE)
        while bell.listen(until - time.monotonic()):
            pass
    for post in posts:
        bell.wait(post)
        # The one that warmed it up, and those.
        _wait_for(post, 1 + len(post.calls))
        ground.check(post.plot.site, 1 + len(post.calls), post.cell.lifetime)


def idle_figures(post: Post, tell: Callable[[str], None]) -> list[Figure]:
    labels, samples = (post.cell.lifetime, post.cell.backend, "idle"), post.latencies()
    made = []
    for name, at in (("p50", 50.0), ("p99", 99.0)):
        goal = goals.IDLE_LATENCY[name] if post.cell.lifetime != "restart" else None
        made.append(Figure.percentile(PART, (*labels, name), "ms", samples, at, goal))
    tell(f"{', '.join(labels)}: p50 {made[0].value:.1f} ms, p99 {made[1].value:.1f} ms")
    call = [seconds * 1000 for seconds in post.took]
    return [*made, Figure.percentile(PART, (*labels, "of it the call, p50"), "ms", call, 50.0)]


def loaded(ground: Ground, scale: Scale, post: Post, tell: Callable[[str], None]) -> list[Figure]:
    """Half the rate that it manages, for some seconds."""
    lifetime, plot = post.cell.lifetime, post.plot
    rate = _own_rate(post, max(2, round(WARM[lifetime] * min(1.0, scale.load))))
    _forget(post)
    jobs = max(LEAST_LOADED if scale.load > 1 else 2, round(rate / 2 * scale.load))
    told = plot.requests.ask("steady", jobs, rate / 2, lifetime)
    _wait_for(post, jobs)
    ground.check(plot.site, jobs, lifetime)
    rows = plot.site.query(f"SELECT result FROM {plot.site.jobs} WHERE queue = %s", (lifetime,))
    began = dict(json.loads(row["result"]) for row in rows)
    samples = [(began[number] - call) * 1000 for number, call in enumerate(told["calls"])]
    labels = (lifetime, post.cell.backend, "loaded")
    made = [Figure.percentile(PART, (*labels, name), "ms", samples, at) for name, at in (("p50", 50.0), ("p99", 99.0))]
    reached = jobs / told["seconds"]
    tell(f"{', '.join(labels)}, {reached:,.0f} jobs/s: p50 {made[0].value:.1f} ms, p99 {made[1].value:.1f} ms")
    return [*made, Figure.of(PART, (*labels, "jobs added"), "jobs/s", [reached])]


def _own_rate(post: Post, jobs: int) -> float:
    """Jobs a second that the worker manages."""
    _forget(post)
    post.plot.add(jobs, post.cell.lifetime)
    _wait_for(post, jobs)
    site = post.plot.site
    told = site.query(
        "SELECT min(started_at) AS claimed, min(finished_at) AS first, max(finished_at) AS last"
        f" FROM {site.jobs} WHERE queue = %s",
        (post.cell.lifetime,),
    )[0]
    batch = site.query(
        f"SELECT count(*) AS jobs FROM {site.jobs} WHERE queue = %s AND finished_at = %s",
        (post.cell.lifetime, told["first"]),
    )[0]["jobs"]
    return steady_rate(jobs, batch, told["claimed"], told["first"], told["last"])


def _forget(post: Post) -> None:
    post.plot.site.query(f"DELETE FROM {post.plot.site.jobs} WHERE queue = %s", (post.cell.lifetime,))


def _wait_for(post: Post, jobs: int) -> None:
    """Until so many jobs of its queue are completed. The worker's log is what a failure shows."""
    site = post.plot.site
    count = f"SELECT count(*) AS jobs FROM {site.jobs} WHERE queue = %s AND status = 'completed'"

    def done() -> bool:
        time.sleep(0.1)  # To ask is work for the database, too.
        assert post.worker.returncode is None, f"{post.cell} has ended:\n{post.worker.log}"
        return bool(site.query(count, (post.cell.lifetime,))[0]["jobs"] >= jobs)

    wait_for(done, PATIENCE + jobs / 2, f"{jobs} jobs of {post.cell} are completed")
