"""The plugins whose folders are given, with the same job, beside wpbg in the same rounds.

The job notes down when it was called. A rate is that of these calls, from the first to the last: what starting a
program takes counts where each job has one of its own, and only there. Every job has to be noted down once.
"""

from __future__ import annotations

import re
import shutil
import stat
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.figures import Figure
from benchmarks.ground import PHP, Ground, WrongRun
from benchmarks.scale import Scale
from tests.support import php
from tests.support.site import Site
from tests.support.wait import wait_for

PART = "plugins"
ENQUEUE = "enqueue one by one"
NAMES = {
    "Action Scheduler": "action-scheduler",
    "WP Minions": "wp-minions",
    "Async Background Worker": "async-background-worker",
}
"""What a plugin's header calls it, and the folder that it lives in."""
LEFT_OUT = shutil.ignore_patterns(".git", ".github", "node_modules", "tests", "system-tests", "vendor-bin")


class NotKnown(Exception):
    """A folder that holds none of the plugins that can be measured."""


@dataclass(frozen=True)
class Plugin:
    name: str
    slug: str
    folder: Path
    file: str
    """Its main file, below the folder."""


@dataclass
class Runner:
    """A site with one plugin. `ways` run so many jobs that are in its queue, each in its own way; `kind` adds them."""

    name: str
    site: Site
    kind: str
    ways: dict[str, tuple[int, Callable[[int], object]]] = field(default_factory=dict)
    forget: Callable[[], object] = lambda: None

    @property
    def notes(self) -> Path:
        return self.site.folder / "notes"

    def enqueue(self, jobs: int) -> float:
        """Jobs added a second, one at a time."""
        told = self.site.wp("eval-file", str(PHP / "others.php"), self.kind, str(jobs)).stdout
        return jobs / float(told.rpartition("BENCH ")[2])

    def run(self, jobs: int, work: Callable[[int], object]) -> float:
        """Jobs run a second. WrongRun unless each ran once."""
        self.notes.unlink(missing_ok=True)
        work(jobs)
        noted = [line.split() for line in self.notes.read_text().splitlines()] if self.notes.exists() else []
        if sorted(int(number) for number, _ in noted) != list(range(jobs)):
            raise WrongRun(f"{self.name}: of {jobs} jobs {len(noted)} runs were noted down: lost or run twice.")
        times = [float(at) for _, at in noted]
        return (jobs - 1) / max(1e-6, max(times) - min(times))


def recognized(folders: Sequence[Path]) -> list[Plugin]:
    """What the folders hold, by the header of a PHP file in them. NotKnown for anything else."""
    found = []
    for folder in folders:
        if not folder.is_dir():
            raise NotKnown(f"--plugins: there is no folder {folder}.")
        for file in sorted(folder.glob("*.php")):
            header = re.search(r"Plugin Name:\s*(.+)", file.read_text(errors="replace")[:8192])
            if header and header[1].strip() in NAMES:
                name = header[1].strip()
                found.append(Plugin(name, NAMES[name], folder.resolve(), file.name))
                break
        else:
            raise NotKnown(f"--plugins: {folder} holds none of {', '.join(NAMES)}: give the folder of its main file.")
    return found


def measure(ground: Ground, scale: Scale, tell: Callable[[str], None], plugins: Sequence[Plugin]) -> list[Figure]:
    runners = [ours(ground, scale), *(theirs(ground, scale, plugin) for plugin in plugins)]
    found: dict[tuple[str, str], list[float]] = defaultdict(list)

    def one(runner: Runner, way: str) -> None:
        jobs, work = runner.ways[way]
        runner.forget()
        added = runner.enqueue(jobs)
        rate = runner.run(jobs, work)
        # A dozen jobs tell nothing of adding.
        if jobs == max(many for many, _ in runner.ways.values()):
            found[runner.name, ENQUEUE].append(added)
        found[runner.name, way].append(rate)
        tell(f"{runner.name}, {way}: {rate:,.1f} jobs/s")

    for _ in range(scale.rounds):
        ground.shuffled(
            [lambda runner=runner, way=way: one(runner, way) for runner in runners for way in runner.ways]  # type: ignore[misc]
        )
    return [
        Figure.of(PART, (runner.name, what), "jobs/s", found[runner.name, what])
        for runner in runners
        for what in (ENQUEUE, *runner.ways)
    ]


def ours(ground: Ground, scale: Scale) -> Runner:
    site = prepared(ground)
    runner = Runner("wpbg", site, "job")

    def listen(mode: str) -> Callable[[int], object]:
        flags = ("--mode", mode, "--stop-when-empty")
        return lambda jobs: site.wpbg("listen", *flags, check=True, timeout=900)

    jobs = {"restart": scale.jobs["restart"], "fork": scale.jobs["fork"], "loop": many(scale)}
    runner.ways = {mode: (number, listen(mode)) for mode, number in jobs.items()}
    runner.forget = lambda: site.query(f"TRUNCATE TABLE {site.jobs}")
    return runner


def theirs(ground: Ground, scale: Scale, plugin: Plugin) -> Runner:
    """A site with that plugin instead of ours."""
    site = prepared(ground)
    site.wp("plugin", "deactivate", "background-worker")
    shutil.copytree(plugin.folder, site.path / "wp-content/plugins" / plugin.slug, ignore=LEFT_OUT)
    if plugin.slug == "action-scheduler":
        return action_scheduler(site, plugin, scale)
    if plugin.slug == "wp-minions":
        return wp_minions(ground, site, plugin, scale)
    return older(site, plugin, scale)


def prepared(ground: Ground) -> Site:
    site = ground.clone("maria71")
    site.mu_plugin("bench-others", (PHP / "others.php").read_text())
    site.configure(BENCH_NOTES=str(site.folder / "notes"))
    return site


def many(scale: Scale) -> int:
    """Jobs for who runs them quickly."""
    return scale.jobs["loop"] // 10


def action_scheduler(site: Site, plugin: Plugin, scale: Scale) -> Runner:
    site.wp("plugin", "activate", plugin.slug)
    runner = Runner(plugin.name, site, plugin.slug)
    runner.ways = {"wp action-scheduler run": (many(scale), lambda jobs: site.wp("action-scheduler", "run"))}

    def forget() -> None:
        for table in ("actions", "claims", "logs"):
            site.query(f"TRUNCATE TABLE {site.table(f'actionscheduler_{table}')}")

    runner.forget = forget
    return runner


def wp_minions(ground: Ground, site: Site, plugin: Plugin, scale: Scale) -> Runner:
    """In front of the gearmand of our own measurements. Its runner is started again after each process, as by a
    supervisor."""
    broker = ground.plot("gearman").broker
    assert broker
    site.mu_plugin("servers", f"$GLOBALS['gearman_servers'] = {php.literal([broker.server.address])};")
    site.configure(WP_MINIONS_BACKEND="gearman", WP_ASYNC_TASK_SALT="bench-minions")
    site.wp("plugin", "activate", plugin.slug)
    program = site.path / "wp-minions-runner.php"
    program.symlink_to(site.path / "wp-content/plugins" / plugin.slug / program.name)
    runner = Runner(plugin.name, site, plugin.slug)

    def work(jobs: int, each: int) -> None:
        site.configure(WP_MINIONS_JOBS_PER_WORKER=each)
        for _ in range(0, jobs, each):
            # It ends with what its last job returned, which is no success for a job that returns nothing.
            site.start([site.wp_argv[0], str(program)]).wait(300)

    runner.ways = {
        "its runner, a job a process": (scale.jobs["restart"], lambda jobs: work(jobs, 1)),
        "its runner, all jobs in one process": (many(scale), lambda jobs: work(jobs, jobs)),
    }
    return runner


def older(site: Site, plugin: Plugin, scale: Scale) -> Runner:
    """With its own table. It starts its processes by the path of WP-CLI, in the site's folder."""
    site.query(f"DROP TABLE {site.jobs}")
    site.wp("option", "delete", "ABW_DB_VERSION")
    site.wp("plugin", "activate", plugin.slug)
    wp = Path(shutil.copy(site.phar, site.bin / "wp-cli.phar"))
    wp.chmod(wp.stat().st_mode | stat.S_IXUSR)
    runner = Runner(plugin.name, site, "job")

    def work(jobs: int, mode: str) -> None:
        runner.notes.touch()
        worker = site.start([site.wp_argv[0], str(wp), f"--path={site.path}", "background-worker", mode], cwd=site.path)
        try:
            wait_for(lambda: runner.notes.read_text().count("\n") >= jobs, 60 + jobs, f"{mode} runs {jobs} jobs")
        finally:
            worker.stop()

    runner.ways = {
        "listen": (scale.jobs["restart"], lambda jobs: work(jobs, "listen")),
        "listen-loop": (scale.jobs["fork"], lambda jobs: work(jobs, "listen-loop")),
    }
    runner.forget = lambda: site.query(f"TRUNCATE TABLE {site.jobs}")
    return runner
