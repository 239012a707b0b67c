"""What script/demo does, once script/bootstrap has been there. Everything it makes is below .demo/."""

from __future__ import annotations

import argparse
import contextlib
import csv
import json
import os
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PARTS = ROOT / ".parts"
DEMO = ROOT / ".demo"
SITE = DEMO / "site"
BIN = DEMO / "bin"
QUEUE = "product-import"
ADMIN = "admin"

# No mail, no updates, no calls to the outside: a demo is to show the same thing on every machine.
EXTRA_PHP = """
define( 'DISABLE_WP_CRON', true );
define( 'AUTOMATIC_UPDATER_DISABLED', true );
define( 'WP_HTTP_BLOCK_EXTERNAL', true );
"""

console = Console(highlight=False, soft_wrap=True)


class DemoFailed(Exception):
    """One line that says what is wrong."""


def main() -> int:
    options = parse_options()
    port = free_port(options.port)
    url = f"http://127.0.0.1:{port}"
    password = secrets.token_urlsafe(9)
    console.print("\n[bold]A WordPress imports 2,000 products in the background[/]\n")
    with step("WordPress on SQLite in .demo/site"):
        build_site(url, password)
    with step("the Background Worker plugin: [cyan]wpbg install[/]"):
        run("wpbg", "install")
    with step("the example plugin: [cyan]wp plugin activate product-import[/]"):
        shutil.copytree(HERE, SITE / "wp-content/plugins/product-import", ignore=shutil.ignore_patterns("*.py", "__*"))
        run("wp", "plugin", "activate", "product-import")
        run("wp", "rewrite", "structure", "/%postname%/")
    with step("one job per row of products.csv: [cyan]wp product-import enqueue[/]"):
        jobs = len(run("wp", "product-import", "enqueue", "--porcelain").split())
    work(jobs, options.concurrency)
    right = show_outcome()
    if options.keep_open:
        serve(port, url, password)
    else:
        console.print("Open the site:  [cyan]script/demo --keep-open[/]")
        console.print("Look around:    [cyan].demo/bin/wpbg status[/]   [cyan].demo/bin/wpbg jobs list[/]\n")
    return 0 if right else 1


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="script/demo", add_help=False, usage="see script/demo --help")
    parser.add_argument("--keep-open", action="store_true")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--concurrency", type=int, default=os.cpu_count() or 1)
    return parser.parse_args()


def free_port(first: int) -> int:
    """The first port from there on that nobody listens on."""
    for port in range(first, min(first + 100, 65536)):
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port
    raise DemoFailed(f"no free port from {first} on: name another with --port.")


@contextlib.contextmanager
def step(what: str) -> Iterator[None]:
    """Says what is going on, then that it is done and how long it took."""
    began = time.monotonic()
    with console.status(what) if console.is_terminal else contextlib.nullcontext():
        yield
    console.print(f"  [green]✓[/] {what}  [dim]{time.monotonic() - began:.1f} s[/]")


def environment() -> dict[str, str]:
    """For `wp` and `wpbg` on the demo's site: no other site's settings, no home of anybody's."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("WP_CLI_", "WPBG_"))}
    return {**kept, "PATH": f"{BIN}:{kept.get('PATH', '')}", "WPBG_PATH": str(SITE)}


def run(program: str, *args: str) -> str:
    """Run `wp` or `wpbg` on the site; what it printed. Raises `DemoFailed` with what it complained of."""
    done = subprocess.run(
        [BIN / program, *args], env=environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    if done.returncode != 0:
        said = " ".join((done.stderr or done.stdout).split())[-500:] or "it said nothing"
        raise DemoFailed(f"`{program} {shlex.join(args)}` ended with exit code {done.returncode}: {said}")
    return done.stdout


# --- the site -------------------------------------------------------------------------------------


def build_site(url: str, password: str) -> None:
    if DEMO.exists():
        shutil.rmtree(DEMO)
    shutil.copytree(PARTS / "wordpress", SITE)
    content = SITE / "wp-content"
    drop_in = content / "plugins/sqlite-database-integration"
    shutil.copytree(PARTS / "sqlite-database-integration", drop_in)
    shutil.copy(drop_in / "db.copy", content / "db.php")
    write_programs()
    # WordPress wants to hear of a database server, even where the drop-in takes its place.
    settings = ["--dbname=unused", "--dbuser=unused", "--skip-check", f"--extra-php={EXTRA_PHP}"]
    run("wp", "config", "create", *settings)
    about = [f"--url={url}", "--title=Background Worker demo", f"--admin_user={ADMIN}"]
    about += [f"--admin_password={password}", "--admin_email=admin@example.com", "--skip-email"]
    run("wp", "core", "install", *about)


def write_programs() -> None:
    """.demo/bin/wp and .demo/bin/wpbg: the two programs, set to the demo's site."""
    BIN.mkdir(parents=True)
    root = "export WP_CLI_ALLOW_ROOT=1\n" if os.geteuid() == 0 else ""
    settings = f"{root}export WP_CLI_DISABLE_AUTO_CHECK_UPDATE=1\nexport WP_CLI_CACHE_DIR={quoted(DEMO / 'cache')}\n"
    wp = f'cd {quoted(SITE)}\nexec php {quoted(PARTS / "wp-cli.phar")} "$@"\n'
    wpbg = f"export PATH={quoted(BIN)}:$PATH WPBG_PATH={quoted(SITE)}\n"
    wpbg += f'exec {quoted(Path(sys.executable).with_name("wpbg"))} "$@"\n'
    for name, text in (("wp", wp), ("wpbg", wpbg)):
        (BIN / name).write_text(f"#!/bin/sh\n{settings}{text}")
        (BIN / name).chmod(0o755)


def quoted(path: Path) -> str:
    return shlex.quote(str(path))


# --- the work -------------------------------------------------------------------------------------


def work(jobs: int, concurrency: int) -> None:
    """`wpbg listen` until the queue is empty; its log, one JSON object a line, drives the bar."""
    argv = ["listen", "--mode", "fork", "--queue", QUEUE, "--concurrency", str(concurrency), "--stop-when-empty"]
    console.print(f"\n[cyan]$ wpbg {shlex.join(argv)}[/]")
    began = time.monotonic()
    counts: Counter[str] = Counter()
    last_words = ""
    log = DEMO / "listen.log"
    with log.open("w") as kept, listening(argv) as listen, Bar(jobs) as bar:
        assert listen.stderr is not None
        for line in listen.stderr:
            kept.write(line)
            last_words = line.strip()
            event = event_of(line)
            if event in ("job.completed", "job.failed"):
                counts[event] += 1
                bar.show(counts)
    if listen.returncode != 0:
        raise DemoFailed(f"wpbg listen ended with exit code {listen.returncode}: {last_words}")
    seconds = time.monotonic() - began
    console.print(f"  {sum(counts.values())} jobs in {seconds:.0f} s, {concurrency} at a time. Log: .demo/listen.log\n")


@contextlib.contextmanager
def listening(argv: list[str]) -> Iterator[subprocess.Popen[str]]:
    """The worker; when we are stopped, it is told once and may finish the jobs that it has begun."""
    with subprocess.Popen(
        [BIN / "wpbg", *argv, "--log-format", "json"],
        env=environment(),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C reaches us only
    ) as listen:
        try:
            yield listen
        except KeyboardInterrupt:
            listen.terminate()
            raise


def event_of(line: str) -> str:
    try:
        event: str = json.loads(line)["event"]
    except (ValueError, KeyError, TypeError):
        return ""
    return event


class Bar:
    """How far the jobs are: a live bar on a terminal, a line now and then in a pipe."""

    EVERY = 250

    def __init__(self, jobs: int) -> None:
        self.jobs = jobs
        self.progress = Progress(
            TextColumn("  importing"),
            BarColumn(40),
            MofNCompleteColumn(),
            TextColumn("[red]{task.fields[failed]}"),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self.task = self.progress.add_task("importing", total=jobs, failed="")

    def __enter__(self) -> Bar:
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()

    def show(self, counts: Counter[str]) -> None:
        done = sum(counts.values())
        failed = f"{counts['job.failed']} failed"
        self.progress.update(self.task, completed=done, failed=failed if counts["job.failed"] else "")
        if not console.is_terminal and (done % self.EVERY == 0 or done == self.jobs):
            console.print(f"  {done} of {self.jobs} jobs done, {failed}")


# --- what came of it ------------------------------------------------------------------------------


def show_outcome() -> bool:
    """Shows products and failed rows as the site and `wpbg` tell them; whether both are what the file says."""
    with (HERE / "products.csv").open(newline="", encoding="utf-8", errors="replace") as file:
        rows = sum(1 for row in csv.reader(file) if row) - 1
    broken: dict[str, str] = json.loads((HERE / "broken-rows.json").read_text(encoding="utf-8"))
    products = int(run("wp", "post", "list", "--post_type=product", "--format=count"))
    failed: list[dict[str, Any]] = json.loads(
        run("wpbg", "jobs", "list", "--queue", QUEUE, "--status", "failed", "--limit", "1000", "--format", "json")
    )
    failed.sort(key=lambda job: int(job["id"]))
    console.print("[bold]What the site has now[/]\n")
    console.print(f"  {products} products   [dim]wp post list --post_type=product --format=count[/]")
    console.print(f"  {len(failed)} failed rows   [dim]wpbg jobs list --status failed[/]\n")
    for job in failed:
        console.print(f"  job {job['id']:>4}   [red]{escape(reason(job))}[/]")
    console.print()
    wrong = []
    if products != rows - len(broken):
        wrong.append(f"{products} products instead of {rows - len(broken)}")
    if sorted(map(reason, failed)) != sorted(broken.values()):
        wrong.append("the failed rows are not those of examples/product-import/broken-rows.json")
    if wrong:
        console.print(f"[bold red]Not as it should be:[/] {'; '.join(wrong)}.\n")
    else:
        console.print(f"[green]All {rows} rows are accounted for.[/]\n")
    return not wrong


def reason(job: dict[str, Any]) -> str:
    return str((job.get("error") or {}).get("message", "no reason given"))


def serve(port: int, url: str, password: str) -> None:
    """PHP's own server until Ctrl-C or TERM."""
    with (DEMO / "server.log").open("w") as log:
        server = subprocess.Popen(
            ["php", "-S", f"127.0.0.1:{port}", "-t", SITE, HERE / "router.php"],
            env={**environment(), "PHP_CLI_SERVER_WORKERS": "4"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # it has children of its own: they are ended together
        )
    try:
        console.print(f"The site:    [cyan]{url}/products/[/]")
        console.print(f"Dashboard:   [cyan]{url}/wp-admin/[/]   user [bold]{ADMIN}[/], password [bold]{password}[/]")
        console.print("Ctrl-C ends it.\n")
        code = server.wait()
        raise DemoFailed(f"PHP's server ended with exit code {code}: see .demo/server.log.")
    except KeyboardInterrupt:
        console.print("\nClosed. The site stays in .demo/site.")
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGTERM)
        server.wait()


def stop(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, stop)
    try:
        sys.exit(main())
    except DemoFailed as failure:
        console.print(f"\n[bold red]demo:[/] {escape(str(failure))}")
        sys.exit(1)
    except KeyboardInterrupt:
        console.print("\nStopped.")
        sys.exit(130)
