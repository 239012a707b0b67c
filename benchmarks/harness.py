"""What the benchmarks share: their flags, sites to measure on, no-op jobs, and the table as text and file."""

from __future__ import annotations

import argparse
import contextlib
import platform
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.support.site import Site
from tests.support.sites import Sites

RESULTS = Path(__file__).resolve().parent / "results"
MACHINE = f"Python {platform.python_version()}, {platform.machine()}, {platform.system()} {platform.release()}"


def flags(doc: str | None, name: str) -> argparse.ArgumentParser:
    """The flags that every benchmark has: --engine, --save."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", choices=["maria71", "sqlite71"], default="maria71")
    parser.add_argument("--save", action="store_true", help=f"write the table to benchmarks/results/{name}.md")
    return parser


@contextlib.contextmanager
def folder_of_sites() -> Iterator[tuple[Path, Sites]]:
    """A folder, and sites in it, that are gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="wpbg-bench-") as name, contextlib.ExitStack() as stack:
        sites = Sites(Path(name) / "sites")
        stack.callback(sites.close_all)
        yield Path(name), sites


def durable_site(sites: Sites, engine: str) -> Site:
    """A site with a callback that does nothing, on a database that waits for the disk."""
    site = sites.clone(engine)
    site.mu_plugin("noop", "function noop( $n ) { return $n; }")
    if site.server:
        site.server.execute("SET GLOBAL innodb_flush_log_at_trx_commit = 1")
    return site


def add_noops(site: Site, jobs: int) -> float:
    """Seconds that `add_async_jobs()` takes for `jobs` of them."""
    told = site.eval_php(
        f"$began = microtime( true ); $ids = add_async_jobs( ( function () {{ for ( $n = 0; $n < {jobs}; $n++ ) {{"
        " yield (object) array( 'function' => 'noop', 'user_data' => $n ); } } )() );"
        " echo count( array_unique( $ids ) ), ' ', microtime( true ) - $began;"
    )
    added, seconds = told.split()
    assert added == str(jobs), told
    return float(seconds)


def show(lines: Sequence[str], save_as: str | None) -> None:
    """Print the table, and keep it as benchmarks/results/NAME.md."""
    print("\n".join(lines))
    if save_as is not None:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{save_as}.md").write_text("\n".join(lines) + "\n")
