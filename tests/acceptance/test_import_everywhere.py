"""The demo's import runs to its end in every lifetime and through every backend."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from tests.acceptance.brokers import Broker
from tests.acceptance.test_product_import import BROKEN, EXAMPLE, products, with_example
from tests.support.sites import Sites

BACKENDS = {"MariaDB": ("maria71", None), "SQLite": ("sqlite71", None)}
BACKENDS |= {"beanstalkd": ("maria71", "beanstalkd"), "gearman": ("sqlite71", "gearman")}
ROWS = {"restart": 70, "fork": 200, "loop": 200}


def beginning(rows: int, folder: Path) -> Path:
    """The first rows of the demo's file, its broken bytes as they are."""
    file = folder / "beginning.csv"
    with (
        (EXAMPLE / "products.csv").open(newline="", encoding="latin-1") as whole,
        file.open("w", newline="", encoding="latin-1") as part,
    ):
        for number, row in zip(range(rows + 1), csv.reader(whole), strict=False):
            assert number or "sku" in row
            csv.writer(part).writerow(row)
    return file


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("mode", ROWS)
def test_the_import_runs_to_its_end(sites: Sites, tmp_path: Path, mode: str, backend: str) -> None:
    kind, lane = BACKENDS[backend]
    rows = ROWS[mode]
    broken = {number: why for number, why in BROKEN.items() if int(number) <= rows}
    assert broken
    broker = Broker.of(lane, tmp_path / "broker") if lane else None
    site = with_example(sites.clone(kind))
    try:
        if broker:
            broker.serve(site)
        ids = site.wp("product-import", "enqueue", str(beginning(rows, tmp_path)), "--porcelain").stdout.split()
        assert len(set(ids)) == rows
        if broker:
            assert broker.waiting(site, "product-import") == rows, "they came by the broker"
        worker = site.wpbg(
            "listen", "--mode", mode, "--queue", "product-import", "--concurrency", "2", "--stop-when-empty",
            timeout=280,
        )  # fmt: skip
        assert worker.returncode == 0, worker.stderr
        assert products(site) == rows - len(broken)
        told = json.loads(site.wpbg("jobs", "list", "--limit", "1000", "--format", "json", check=True).stdout)
        found = [job for job in told if job["callback"] == "product_import_row"]  # One more tells of the batch's end.
        assert len(found) == rows
        assert sum(job["status"] == "completed" for job in found) == rows - len(broken)
        reasons = sorted(job["error"]["message"] for job in found if job["status"] == "failed")
        assert reasons == sorted(broken.values())
        assert {job["attempts"] for job in found} == {1}
    finally:
        sites.close(site)
        if broker:
            broker.server.stop()
