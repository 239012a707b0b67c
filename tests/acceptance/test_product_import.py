"""The example that script/demo runs: every row of its file, a worker's run, and the server for --keep-open."""

from __future__ import annotations

import csv
import json
import shutil
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.need import ROOT
from tests.support.server import free_port
from tests.support.wait import wait_for

if TYPE_CHECKING:
    from tests.support.site import Site

EXAMPLE = ROOT / "examples/product-import"
BROKEN: dict[str, str] = json.loads((EXAMPLE / "broken-rows.json").read_text(encoding="utf-8"))
ROWS = 2000

IMPORT_ALL = """
$done = array( 'created' => 0, 'updated' => 0, 'failed' => array() );
foreach ( Product_Import\\File::open( %s )->rows() as $number => $cells ) {
	try {
		$result = product_import_row( array( 'import' => %s, 'number' => $number, 'cells' => $cells ) );
		++$done[ $result['action'] ];
	} catch ( Product_Import\\Invalid_Row $problem ) {
		$done['failed'][ $number ] = $problem->getMessage();
	}
}
echo wp_json_encode( $done );
"""


def with_example(site: Site) -> Site:
    target = site.path / "wp-content/plugins/product-import"
    shutil.copytree(EXAMPLE, target, ignore=shutil.ignore_patterns("*.py", "__*"))
    site.wp("plugin", "activate", "product-import")
    return site


def products(site: Site) -> int:
    return int(site.wp("post", "list", "--post_type=product", "--format=count").stdout)


def test_every_row_is_imported_or_refused_with_its_reason_and_never_twice(sqlite71: Site) -> None:
    with_example(sqlite71)
    for name, action in (("first", "created"), ("second", "updated")):
        code = IMPORT_ALL % (f"'{EXAMPLE / 'products.csv'}'", f"'{name}'")
        done = json.loads(sqlite71.eval_php(code))
        assert done["failed"] == BROKEN
        assert done[action] == ROWS - len(BROKEN)
    assert products(sqlite71) == ROWS - len(BROKEN)
    assert_text_is_as_in_the_file(sqlite71)


def assert_text_is_as_in_the_file(site: Site) -> None:
    """Quotes, backslashes, line ends, emoji and other scripts: what the file says is what the post says."""
    stored = {
        row["post_name"]: (row["post_title"], row["post_content"])
        for row in site.query("SELECT post_name, post_title, post_content FROM wp_posts WHERE post_type = 'product'")
    }
    with (EXAMPLE / "products.csv").open(newline="", encoding="utf-8", errors="replace") as file:
        rows = [row for number, row in enumerate(csv.DictReader(file), 1) if str(number) not in BROKEN]
    # Text that looks like a tag is WordPress's to make safe: not compared.
    wanted = {
        row["sku"].lower(): (row["name"], row["description"])
        for row in rows
        if not set("<>&") & set(f"{row['name']}{row['description']}")
    }
    assert len(wanted) > 280
    assert {sku: stored[sku] for sku in wanted} == wanted


def test_a_worker_imports_a_file(site: Site, tmp_path: Path) -> None:
    with_example(site)
    file = tmp_path / "small.csv"
    file.write_text(
        "sku,name,price,category,stock,weight_kg,description\n"
        "A-1,Kettle,20.00,Kitchen,3,1.10,\n"
        "A-2,,20.00,Kitchen,3,1.10,\n"
        "A-3,Rake,12.50,Garden,0,0.80,Ash.\n"
    )
    assert "3 jobs added" in site.wp("product-import", "enqueue", str(file), "--batch=spring").stdout
    worker = site.wpbg("listen", "--queue", "product-import", "--stop-when-empty")
    assert worker.returncode == 0, worker.stderr
    assert products(site) == 2
    rows = site.query(f"SELECT status, attempts, batch, callback, result, error FROM {site.jobs} ORDER BY id")
    assert [(row["status"], row["attempts"], row["batch"]) for row in rows] == [
        ("completed", 1, "spring"),
        ("failed", 1, "spring"),
        ("completed", 1, "spring"),
        ("completed", 1, None),
    ]
    # The last one is the worker's own: it tells WordPress that the batch is done.
    assert rows[3]["callback"].startswith("Background_Worker\\Batch_Events::")
    assert json.loads(rows[3]["result"])["failed"] == 1
    assert json.loads(rows[0]["result"])["action"] == "created"
    assert json.loads(rows[1]["error"])["message"] == "Row 2 (A-2): the name is missing"


@pytest.mark.parametrize(
    ("content", "complaint"),
    [(None, "is not a file that can be read"), ("name,sku\n", "must name these columns")],
)
def test_a_file_that_cannot_be_imported_adds_nothing(
    sqlite71: Site, tmp_path: Path, content: str | None, complaint: str
) -> None:
    with_example(sqlite71)
    file = tmp_path / "file.csv"
    if content is not None:
        file.write_text(content)
    done = sqlite71.wp("product-import", "enqueue", str(file), check=False)
    assert done.returncode == 1
    assert complaint in done.stderr
    assert sqlite71.query(f"SELECT id FROM {sqlite71.jobs}") == []


def test_the_site_can_be_opened_and_its_database_cannot(sqlite71: Site) -> None:
    port = free_port()
    home = f"http://127.0.0.1:{port}"
    with_example(sqlite71).eval_php(IMPORT_ALL % (f"'{EXAMPLE / 'products.csv'}'", "'once'"))
    for option in ("home", "siteurl"):
        sqlite71.wp("option", "update", option, home)
    sqlite71.wp("rewrite", "structure", "/%postname%/")
    php = sqlite71.wp_argv[0]
    sqlite71.start([php, "-S", f"127.0.0.1:{port}", "-t", str(sqlite71.path), str(EXAMPLE / "router.php")])
    wait_for(lambda: answer(f"{home}/wp-includes/css/dashicons.min.css")[0] == 200, what="the server answers")
    status, page = answer(f"{home}/products/")
    assert (status, "In stock:" in page) == (200, True)
    assert answer(f"{home}/product/kit-1001/")[0] == 200
    status, page = answer(f"{home}/wp-admin")  # redirected to its slash, then to the login
    assert (status, "user_login" in page) == (200, True)
    assert answer(f"{home}/nothing-of-this-name/")[0] == 404
    assert Path(sqlite71.database).is_file()
    assert answer(f"{home}/wp-content/database/.ht.sqlite")[0] == 403


def answer(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=30) as response:
            return response.status, response.read().decode(errors="replace")
    except urllib.error.HTTPError as error:
        with error:
            return error.code, ""
    except OSError:
        return 0, ""
