"""Everything side by side, in one run: see `script/bench --help`."""

from __future__ import annotations

import argparse
import dataclasses
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import ExitStack, redirect_stdout
from pathlib import Path
from types import ModuleType

import pytest

from benchmarks import claims, enqueue, latency, machine, others, startup, throughput, upkeep
from benchmarks.charts import drawn, titles
from benchmarks.figures import Figure
from benchmarks.ground import DurableMariaDB, Ground, WrongRun, worker_synchronous
from benchmarks.harness import RESULTS
from benchmarks.report import document
from benchmarks.scale import FULL, QUICK, Scale
from tests.support.mariadb import MariaDB
from tests.support.sites import Sites

PARTS: dict[str, ModuleType] = {
    "startup": startup,
    "throughput": throughput,
    "latency": latency,
    "enqueue": enqueue,
    "claims": claims,
    "upkeep": upkeep,
}

DESCRIPTION = """\
Measures wpbg on real servers of its own, everything in one run and interleaved, and shows each figure beside its goal.
A full run takes about a quarter of an hour; the machine should have nothing else to do.

parts: startup     the commands, beside WP-CLI's own boot
       throughput  jobs a second by lifetime, backend and slots; beside plain `wp eval` and the brokers' own clients
       latency     from add_async_job to the callback, on idle and loaded queues
       enqueue     add_async_job beside a bare $wpdb->insert, add_async_jobs with 100,000 jobs
       claims      taking jobs with 1,000, 100,000 and 1,000,000 waiting
       upkeep      CPU and memory of eight slots, idle and at work
       plugins     the plugins that --plugins names, with the same job"""

EPILOG = """\
examples:
  script/bench                                  all of it, as a table on standard output
  script/bench --save                           the same, kept with charts in benchmarks/results/
  script/bench --only throughput --rounds 5
  script/bench --quick                          a look at whether it works; its figures mean little
  script/bench --plugins ~/action-scheduler ~/wp-minions

others, with flags of their own: script/bench dashboard, script/bench memory"""


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="script/bench", description=DESCRIPTION, epilog=EPILOG)
    made.formatter_class = argparse.RawDescriptionHelpFormatter
    made.add_argument(
        "--only", nargs="+", choices=[*PARTS, "plugins"], metavar="PART", help="measure these parts, not all"
    )
    made.add_argument("--rounds", type=_at_least_one, metavar="N", help=f"rounds (default: {FULL.rounds})")
    made.add_argument("--quick", action="store_true", help="a minute instead of a quarter of an hour")
    made.add_argument(
        "--plugins", nargs="+", type=Path, default=[], metavar="DIR",
        help="folders of Action Scheduler, WP Minions or the older Async Background Worker, to be measured too",
    )  # fmt: skip
    made.add_argument("--save", action="store_true", help="write benchmarks/results/bench.md and its charts")
    return made


def _at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    try:
        wanted_parts(options)  # Before servers are started.
        with tempfile.TemporaryDirectory(prefix="wpbg-bench-") as name, ExitStack() as stack:
            # Sites show their workers' logs when they are closed. The table is all that is to be on standard output.
            stack.enter_context(redirect_stdout(stack.enter_context(Path(os.devnull).open("w"))))
            folder = Path(name)
            sites = Sites(folder / "sites")
            stack.callback(sites.close_all)
            server = DurableMariaDB(folder / "mariadb")
            stack.callback(server.stop)
            lines, charts, failures = run(options, sites, server, folder)
    except (WrongRun, AssertionError, others.NotKnown) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2 if isinstance(error, others.NotKnown) else 1
    except (pytest.skip.Exception, pytest.fail.Exception) as missing:
        print(f"bench: {missing}", file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        print("bench: stopped", file=sys.stderr)
        return 130
    print("\n".join(lines))
    if failures:
        print("\n".join(f"bench: {why}" for why in failures), file=sys.stderr)
        return 1
    if options.save:
        save(lines, charts)
    return 0


def run(
    options: argparse.Namespace, sites: Sites, server: MariaDB, folder: Path
) -> tuple[list[str], dict[str, str], list[str]]:
    """The lines of the table, the charts by file, and why parts are missing from both."""
    wanted, plugins = wanted_parts(options)
    scale = QUICK if options.quick else FULL
    if options.rounds:
        scale = dataclasses.replace(scale, rounds=options.rounds)
    load, began = machine.load(), time.monotonic()
    with ExitStack() as stack:
        ground = Ground(sites, server, folder, stack, random.Random())
        figures: list[Figure] = []
        failures: list[str] = []
        for name in [*PARTS, "plugins"]:
            if name not in wanted:
                continue
            try:
                if name == "plugins":
                    figures += others.measure(ground, scale, teller(name), plugins)
                else:
                    figures += PARTS[name].measure(ground, scale, teller(name))
            except Exception as error:  # What the others found is worth its minutes.
                if not isinstance(error, (WrongRun, AssertionError)):
                    traceback.print_exc()
                failures.append(f"{name} failed: {error}")
                teller(name)(f"failed: {error}")
        told = {name: ground.plot(name).requests.ask("database") for name in ("MariaDB", "SQLite")}
        told["SQLite"]["worker"] = worker_synchronous(ground.plot("SQLite").site)
        version = ground.plot("MariaDB").site.wp("core", "version").stdout.strip()
        described = [
            *machine.describe(folder, told, version),
            ("load average before", load),
        ]
        minutes = (time.monotonic() - began) / 60
        lines = document(figures, about(scale, options, ground, minutes), described, titles(figures))
        return lines, drawn(figures), failures


def wanted_parts(options: argparse.Namespace) -> tuple[list[str], list[others.Plugin]]:
    """The parts to be measured, and the plugins that were named. NotKnown for what cannot be measured."""
    plugins = others.recognized(options.plugins)
    wanted = options.only or [*PARTS, *(["plugins"] if plugins else [])]
    if "plugins" in wanted and not plugins:
        raise others.NotKnown("--only plugins measures what --plugins DIR names: name at least one folder.")
    return wanted, plugins


def about(scale: Scale, options: argparse.Namespace, ground: Ground, minutes: float) -> list[str]:
    """What a reader has to know of the method."""
    only = ["--only", *options.only] if options.only else []
    command = " ".join(["script/bench", *(["--quick"] if options.quick else []), *only])
    rounds = f"{scale.rounds} interleaved round{'s' if scale.rounds > 1 else ''}"
    text = f"""
`{command}`, {minutes:.0f} min. Figures are medians of {rounds}, or percentiles of samples; *spread* is the least
and the most of the rounds (of percentiles: of thirds of the samples), *of* how many of them there were. The job does
nothing; the recording of state, results and output, and all guarantees, are on. A rate is that of a worker which has
found its pace: what was recorded after the first outcomes, by the time since. Ratios are taken round by round.
{ground.checked:,} jobs were counted after they ran: none was lost, none ran twice."""
    quick = "\n\n**A quick look**: too few jobs and rounds for its figures to mean much." if options.quick else ""
    return (text + quick).strip().splitlines()


def teller(part: str) -> Callable[[str], None]:
    """Says on stderr how far it is."""
    return lambda what: print(f"{part}: {what}", file=sys.stderr, flush=True)


def save(lines: Sequence[str], charts: dict[str, str]) -> None:
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "bench.md").write_text("\n".join(lines) + "\n")
    for file, svg in charts.items():
        (RESULTS / file).write_text(svg)
    print(f"bench: written to {RESULTS.name}/bench.md, with {len(charts)} charts", file=sys.stderr)


if __name__ == "__main__":
    # What was started is ended, and its folder removed, also when it is told to end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(main())
