"""The REST API: who may, and what jobs can hold without it doing anything."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.site import Site
from tests.support.sites import Sites
from tests.support.web import Visitor, Web

ROUTES = [
    ("GET", "/overview"),
    ("GET", "/jobs"),
    ("GET", "/jobs/1"),
    ("POST", "/jobs/1/retry"),
    ("POST", "/jobs/1/cancel"),
    ("POST", "/jobs/1/run-next"),
    ("DELETE", "/jobs/1"),
    ("POST", "/jobs/bulk"),
    ("GET", "/queues"),
    ("POST", "/queues/pause"),
    ("POST", "/queues/resume"),
    ("POST", "/queues/purge"),
    ("GET", "/batches"),
    ("GET", "/batch"),
    ("GET", "/statistics"),
    ("GET", "/log"),
]
BODIES: dict[str, Any] = {
    "/jobs/bulk": {"action": "delete", "ids": ["1"]},
    **{f"/queues/{action}": {"queue": "default"} for action in ("pause", "resume", "purge")},
}
QUERIES = {"/batch": {"batch": "b"}}


@pytest.fixture(scope="module", params=["sqlite71", "maria61"])
def open_site(request: pytest.FixtureRequest, sites: Sites) -> Iterator[tuple[Site, Web]]:
    site = sites.clone(request.param)
    site.eval_php(
        "foreach ( array( 'subscriber', 'editor' ) as $role ) {"
        " wp_insert_user( array( 'user_login' => $role, 'user_pass' => $role . '-password', 'role' => $role ) ); }"
    )
    yield site, Web(site)
    sites.close(site)


@pytest.fixture
def served(open_site: tuple[Site, Web]) -> Web:
    site, web = open_site
    site.query(f"DELETE FROM {site.jobs}")
    site.query(f"INSERT INTO {site.jobs} (id, queue, payload) VALUES (1, 'default', x'4e3b')")
    return web


@pytest.fixture
def admin(served: Web) -> Visitor:
    return served.log_in()


def site_rows(served: Web, table: str) -> list[dict[str, Any]]:
    return served.site.query(f"SELECT * FROM {served.site.table(table)}")


def registered(admin: Visitor) -> set[tuple[str, str]]:
    """Every route and method that the site says it has, without the index of the namespace."""
    told = admin.rest("GET", "").body["routes"]
    return {
        (method, route.removeprefix("/background-worker/v1"))
        for route, about in told.items()
        for endpoint in about["endpoints"]
        for method in endpoint["methods"]
        if route != "/background-worker/v1"
    }


def test_every_route_is_among_those_that_are_attacked(admin: Visitor) -> None:
    for method, pattern in registered(admin):
        fits = re.compile(pattern + r"\Z")
        assert [1 for named, route in ROUTES if named == method and fits.match(route)], (method, pattern)


@pytest.mark.parametrize("who", ["visitor", "subscriber", "editor", "no nonce", "wrong nonce"])
def test_nobody_else_may(served: Web, who: str) -> None:
    if who == "visitor":
        somebody = served.visitor()
    elif who in ("no nonce", "wrong nonce"):
        somebody = served.log_in()
        somebody.nonce = None if who == "no nonce" else "0123456789"
    else:
        somebody = served.log_in(who, f"{who}-password")
    for method, route in ROUTES:
        answer = somebody.rest(
            method, route, BODIES.get(route, {} if method == "POST" else None), **QUERIES.get(route, {})
        )
        assert answer.status == 403, (method, route, answer)
    row = served.site.job("1")
    assert (row["status"], row["cancel_requested"], row["priority"]) == ("queued", 0, 0)
    assert site_rows(served, "bg_queues") == []
    for user in ("subscriber", "editor"):
        if who == user:
            page = somebody.ask("GET", "/wp-admin/tools.php?page=background-jobs")
            assert page.status == 403
            assert "background-jobs" not in somebody.ask("GET", "/wp-admin/index.php").body


def test_actions_and_their_refusals(served: Web, admin: Visitor) -> None:
    site = served.site
    assert admin.rest("POST", "/jobs/1/run-next", {}).body == {"id": "1", "status": "queued"}
    assert admin.rest("POST", "/jobs/1/cancel", {}).body == {"id": "1", "status": "cancelled"}
    assert admin.rest("POST", "/jobs/1/cancel", {}).status == 409
    assert admin.rest("POST", "/jobs/1/retry", {}).body == {"id": "1", "status": "queued"}
    site.query(f"UPDATE {site.jobs} SET status = 'running' WHERE id = 1")
    assert admin.rest("POST", "/jobs/1/cancel", {}).body == {"id": "1", "status": "running"}
    assert admin.rest("POST", "/jobs/1/cancel", {}).body == {"id": "1", "status": "running"}
    assert site.job("1")["cancel_requested"] == 1
    for route in ("/jobs/1/retry", "/jobs/1/run-next"):
        assert admin.rest("POST", route, {}).status == 409
    assert admin.rest("DELETE", "/jobs/1").status == 409
    bulk = admin.rest("POST", "/jobs/bulk", {"action": "delete", "ids": ["1", "77"]}).body
    assert bulk["done"] == []
    assert [one["id"] for one in bulk["refused"]] == ["1", "77"]
    assert admin.rest("GET", "/jobs/77").status == 404


def test_a_retry_does_not_take_a_unique_key_from_another_job(served: Web, admin: Visitor) -> None:
    site = served.site
    first = site.enqueue("strtoupper", "a", unique="key")
    assert admin.rest("POST", f"/jobs/{first}/cancel", {}).status == 200
    second = site.enqueue("strtoupper", "a", unique="key")
    assert first != second
    refused = admin.rest("POST", f"/jobs/{first}/retry", {})
    assert refused.status == 409
    assert f"Job {second} " in refused.body["message"]
    assert site.job(first)["status"] == "cancelled"


@pytest.mark.parametrize("search", ["%", "_", "' OR 1=1 -- ", '"', "\\", "zzz"])
def test_a_search_is_text(served: Web, admin: Visitor, search: str) -> None:
    told = admin.rest("GET", "/jobs", search=search)
    assert told.status == 200
    assert told.body["jobs"] == []


def test_other_columns_sort_where_there_are_few(served: Web, admin: Visitor) -> None:
    site = served.site
    for queue in ("b", "c", "a"):
        site.enqueue("strtoupper", "x", queue)
    first = admin.rest("GET", "/jobs", orderby="queue", order="asc", per_page="2").body
    assert [job["queue"] for job in first["jobs"]] == ["a", "b"]
    second = admin.rest("GET", "/jobs", orderby="queue", order="asc", per_page="2", cursor=first["next"]).body
    assert [job["queue"] for job in second["jobs"]] == ["c", "default"]
    assert second["next"] is None
    assert admin.rest("GET", "/jobs", orderby="queue", search="x").status == 409
    rows = ", ".join(["('default', x'4e3b')"] * 1001)
    site.query(f"INSERT INTO {site.jobs} (queue, payload) VALUES {rows}")
    assert admin.rest("GET", "/jobs", orderby="queue").status == 409
    assert admin.rest("GET", "/jobs", status="failed", orderby="queue").status == 200


def test_a_search_goes_on_where_it_stopped(served: Web, admin: Visitor) -> None:
    """It looks through a bounded number of jobs at a time, and finds the one behind them."""
    site = served.site
    site.query(f"UPDATE {site.jobs} SET callback = 'needle'")
    rows = ", ".join(["('default', x'4e3b')"] * 1100)
    site.query(f"INSERT INTO {site.jobs} (queue, payload) VALUES {rows}")
    page = admin.rest("GET", "/jobs", search="needle", status="queued").body
    assert (page["jobs"], page["complete"]) == ([], False)
    page = admin.rest("GET", "/jobs", search="needle", status="queued", cursor=page["next"]).body
    assert ([job["id"] for job in page["jobs"]], page["complete"], page["next"]) == (["1"], True, None)


def test_pages_go_through_every_job_once(served: Web, admin: Visitor) -> None:
    """In each order, with each filter; also where many jobs have the same time, and priorities differ."""
    site = served.site
    site.query(f"DELETE FROM {site.jobs}")
    status = ("queued", "completed", "failed")
    rows = ", ".join(
        f"('{'ab'[n % 2]}', x'4e3b', '{status[n % 3]}', {n % 5 - 2}, {n // 7 * 1000 if n % 3 else 0}, 'batch', 'call')"
        for n in range(60)
    )
    site.query(f"INSERT INTO {site.jobs} (queue, payload, status, priority, due_at, batch, callback) VALUES {rows}")
    every: list[dict[str, str]] = [
        *({}, {"status": "failed"}, {"queue": "a"}, {"batch": "batch"}, {"search": "CALL"}),
        *({"status": "queued", "queue": "b"}, {"batch": "batch", "status": "completed"}),
        {"search": "call", "status": "failed"},
    ]
    for filters in every:
        where = " AND ".join(["1 = 1", *(f"{name} = '{value}'" for name, value in filters.items() if name != "search")])
        expected = {str(row["id"]) for row in site.query(f"SELECT id FROM {site.jobs} WHERE {where}")}
        assert expected
        for order in ("asc", "desc"):
            seen: list[str] = []
            cursor: dict[str, str] = {}
            while True:
                page = admin.rest("GET", "/jobs", order=order, per_page="7", **filters, **cursor).body
                seen += [job["id"] for job in page["jobs"]]
                if page["next"] is None:
                    break
                cursor = {"cursor": page["next"]}
            assert len(seen) == len(set(seen)), (filters, order)
            assert set(seen) == expected, (filters, order)


def test_bad_arguments_are_refused(admin: Visitor) -> None:
    for query in (
        {"status": "gone"},
        {"per_page": "1000"},
        {"cursor": "1 OR 1=1"},
        {"order": "up"},
        {"orderby": "id; DROP"},
    ):
        assert admin.rest("GET", "/jobs", **query).status == 400
    assert admin.rest("POST", "/jobs/bulk", {"action": "drop", "ids": ["1"]}).status == 400
    assert admin.rest("POST", "/jobs/bulk", {"action": "retry", "ids": ["1 OR 1=1"]}).status == 400
    assert admin.rest("GET", "/jobs/1%20OR%201=1").status == 404


def test_arguments_are_shown_without_making_objects(served: Web, admin: Visitor) -> None:
    site = served.site
    site.mu_plugin(
        "wakes",
        "class Wakes { private $secret = 's'; protected $kept = 1; public $open = array( 1.5, null, true );"
        " function __wakeup() { file_put_contents( ABSPATH . 'woken', '' ); } function __destruct() {} }",
    )
    job = site.eval_php(
        "echo add_async_job( (object) array( 'function' => 'strtoupper',"
        " 'user_data' => array( 'o' => new Wakes(), 'b' => \"\\xff\\0<script>\","
        " 'long' => str_repeat( 'x', 5000 ) ) ) );"
    )
    shown = admin.rest("GET", f"/jobs/{job}").body["arguments"]
    assert not (site.path / "woken").exists()
    items = {item["key"]: item["node"] for item in shown["items"]}
    assert items["o"]["class"] == "Wakes"
    assert [(item["key"], item.get("visibility")) for item in items["o"]["items"]] == [
        ("secret", "private"),
        ("kept", "protected"),
        ("open", None),
    ]
    assert items["b"]["hex"] == b"\xff\0<script>".hex()
    assert items["long"]["cut"]
    assert len(items["long"]["value"]) == 2000


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"garbage",
        b"a:99999999:{",
        b'O:8:"stdClass":1:{s:9:"user_data";' + b"a:1:{i:0;" * 3000,
        b's:9999999999:"x";',
        b"i:;",
    ],
)
def test_a_damaged_payload_is_shown_as_one(served: Web, admin: Visitor, payload: bytes) -> None:
    site = served.site
    site.query(f"UPDATE {site.jobs} SET payload = x'{payload.hex()}' WHERE id = 1")
    answer = admin.rest("GET", "/jobs/1")
    assert answer.status == 200
    assert '"cut": true' in json.dumps(answer.body["arguments"])


def test_all_that_is_kept_of_a_long_output_is_shown(served: Web, admin: Visitor) -> None:
    """A worker keeps its beginning and its end, with a note of what is not there between them."""
    site = served.site
    site.mu_plugin(
        "prints", "function prints( $lines ) { echo 'begun ', str_repeat( \"a line\\n\", $lines ), 'ended'; }"
    )
    job = site.enqueue("prints", 100_000)
    site.query(f"DELETE FROM {site.jobs} WHERE id <> {job}")
    site.wpbg("run", check=True)
    shown = admin.rest("GET", f"/jobs/{job}").body
    assert shown["output_cut"] is False
    assert shown["output"].startswith("begun a line\n")
    assert "bytes were not kept" in shown["output"]
    assert shown["output"].endswith("a line\nended")


def test_a_job_that_is_not_there_is_told_of_alike_by_every_route(served: Web, admin: Visitor) -> None:
    for method, route in (("GET", "/jobs/77"), ("DELETE", "/jobs/77"), ("POST", "/jobs/77/retry")):
        answer = admin.rest(method, route, {} if method == "POST" else None)
        assert answer.status == 404
        assert answer.body["message"].startswith("There is no job 77: it was never added")


def test_queues_are_paused_resumed_and_purged(served: Web, admin: Visitor) -> None:
    site = served.site
    kept = site.enqueue("strtoupper", "a", "Default")
    name = 'que"ue <b>'
    jobs = [site.enqueue("strtoupper", "a", name, delay=delay, batch="b") for delay in (0, 60)]
    assert admin.rest("POST", "/queues/pause", {"queue": name}).body["paused"] is True
    assert [(row["queue"], row["paused"]) for row in site_rows(served, "bg_queues")] == [(name, 1)]
    told = {queue["queue"]: queue for queue in admin.rest("GET", "/queues").body["queues"]}
    assert (told[name]["queued"]["number"], told[name]["delayed"]["number"], told[name]["paused"]) == (1, 1, True)
    assert admin.rest("POST", "/queues/resume", {"queue": name}).body["paused"] is False
    assert site_rows(served, "bg_queues")[0]["paused"] == 0
    assert admin.rest("POST", "/queues/purge", {"queue": name}).body["deleted"] == len(jobs)
    assert admin.rest("POST", "/queues/purge", {"queue": "default"}).body["deleted"] == 1
    assert [row["id"] for row in site_rows(served, "bg_jobs")] == [int(kept)]
    assert [row["is_open"] for row in site_rows(served, "bg_batches")] == [1]
    site.query(f"DELETE FROM {site.table('bg_queues')}")


def test_a_batch_is_counted_though_no_worker_has_seen_it(served: Web, admin: Visitor) -> None:
    site = served.site
    site.query(f"DELETE FROM {site.table('bg_batches')}")
    for number in range(3):
        site.enqueue("strtoupper", number, batch="<b>")
    (batch,) = admin.rest("GET", "/batches").body["batches"]
    assert (batch["batch"], batch["counts"]["queued"]["number"], batch["open"]) == ("<b>", 3, True)
    assert admin.rest("GET", "/batch", batch="<b>").body == batch
    assert admin.rest("GET", "/batch", batch="none").status == 404
    listed = admin.rest("GET", "/jobs", batch="<b>", per_page="2").body
    assert len(listed["jobs"]) == 2
    assert len(admin.rest("GET", "/jobs", batch="<b>", cursor=listed["next"]).body["jobs"]) == 1


def test_the_log_is_followed_from_its_end(served: Web, admin: Visitor, tmp_path: Path) -> None:
    site, log = served.site, tmp_path / "worker.log"

    def read(since: str | None = None) -> Any:
        answer = admin.rest("GET", "/log", **({"since": since} if since else {}))
        assert answer.status == 200
        return answer.body

    assert read()["available"] is False
    site.configure(BACKGROUND_WORKER_LOG=str(log))
    try:
        assert read()["available"] is False
        log.write_text("x" * 200_000 + "\n" + "first \x1b[31mred\x1b]0;title\x07 <script>\nhalf a li")
        told = read()
        assert told["lines"] == ["first red <script>"]
        with log.open("a") as more:
            more.write("ne\nand one\n")
        told = read(told["at"])
        assert (told["lines"], told["restarted"]) == (["half a line", "and one"], False)
        assert read(told["at"])["lines"] == []
        log.rename(tmp_path / "worker.log.1")
        log.write_text("another file\n")
        told = read(told["at"])
        assert (told["lines"], told["restarted"]) == (["another file"], True)
        log.write_text("cut\n")
        assert read(told["at"])["lines"] == ["cut"]
        with log.open("a") as more:
            more.write("line of text\n" * 100_000)
        told = read(told["at"])
        assert told["skipped"] > 1_000_000
        assert set(told["lines"]) == {"line of text"}
        log.write_text("z" * 100_000 + " the end\n")
        (line,) = read()["lines"]
        assert line.startswith("… zzz")
        assert line.endswith("zzz the end")
        log.unlink()
        log.mkdir()
        assert read()["available"] is False
    finally:
        site.configure(BACKGROUND_WORKER_LOG=None)
