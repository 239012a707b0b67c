"""Worker hosts that share one broker and one database: names, leases and the workers' list are right across them.

Each worker runs in UTS and PID namespaces of its own: another host name, and the same process id as on the others.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

import pytest

from tests.acceptance.brokers import Broker
from tests.support.need import require
from tests.support.process import WorkerProcess
from tests.support.site import Site
from tests.support.sites import Sites
from tests.support.wait import wait_for

CALLBACKS = """
function record_run( $n ) {
    global $wpdb;
    usleep( 20000 );
    $wpdb->insert( $wpdb->prefix . 'ran', array( 'n' => $n, 'host' => gethostname() ) );
}
function hangs_once( $file ) {
    file_put_contents( $file, gethostname() . "\\n", FILE_APPEND );
    if ( 1 === background_job()->attempt ) { sleep( 300 ); }
    return gethostname();
}
"""
TABLE = "CREATE TABLE {$wpdb->prefix}ran ( id bigint NOT NULL AUTO_INCREMENT PRIMARY KEY, n bigint, host text )"
JOBS = 120


@pytest.fixture
def site(sites: Sites, broker: Broker) -> Iterator[Site]:
    made = sites.clone("maria71")
    made.mu_plugin("callbacks", CALLBACKS)
    made.eval_php(f'global $wpdb; $wpdb->query( "{TABLE}" );')
    broker.serve(made)
    yield made
    sites.close(made)


def on_host(site: Site, name: str) -> WorkerProcess:
    """A worker with two slots on a host of its own. It ends when it is killed, or with the site."""
    as_root = [] if os.geteuid() == 0 else ["--map-root-user"]
    apart = [require("unshare", "util-linux"), *as_root, "--uts", "--pid", "--fork", "--kill-child", "--mount-proc"]
    set_name = ["sh", "-c", 'hostname "$0" && exec "$@"', name]
    listen = site.wpbg_argv("listen", "--mode", "fork", "--concurrency", "2", "--lease", "3")
    return site.start([*apart, "--", *set_name, *listen])


def workers(site: Site) -> list[dict[str, Any]]:
    found = json.loads(site.wpbg("workers", "list", "--format", "json", check=True).stdout)
    return sorted(found, key=lambda worker: str(worker["name"]))


def test_hosts_are_told_apart_and_help_each_other_out(site: Site) -> None:
    hosts = {name: on_host(site, name) for name in ("web-1", "web-2")}
    wait_for(lambda: len(workers(site)) == 4, 60, "both hosts' slots are listed")
    found = workers(site)
    assert [worker["host"] for worker in found] == ["web-1", "web-1", "web-2", "web-2"]
    assert len({worker["pid"] for worker in found}) == 1, "the same id on both"
    pid = found[0]["pid"]
    names = [f"{host}-{pid}/{slot}" for host in ("web-1", "web-2") for slot in (1, 2)]
    assert [worker["name"] for worker in found] == names

    site.eval_php(
        f"add_async_jobs( ( function () {{ for ( $n = 0; $n < {JOBS}; $n++ ) {{"
        " yield array( 'function' => 'record_run', 'user_data' => $n ); } } )() );"
    )
    ran = f"SELECT n, host FROM {site.table('ran')}"
    wait_for(lambda: len(site.query(ran)) >= JOBS, 60, "all have run")
    rows = site.query(ran)
    assert sorted(row["n"] for row in rows) == list(range(JOBS)), "each once"
    assert {row["host"] for row in rows} == {"web-1", "web-2"}
    took = {row["worker"] for row in site.query(f"SELECT DISTINCT worker FROM {site.jobs}")}
    assert took <= set(names)
    wait_for(lambda: sum(worker["jobs_done"] for worker in workers(site)) == JOBS, 30, "the list counts them all")

    trace = site.folder / "trace"
    job = site.enqueue("hangs_once", str(trace))
    wait_for(trace.exists, 60, "one host runs it")
    (victim,) = trace.read_text().split()
    other = "web-2" if victim == "web-1" else "web-1"
    hosts[victim].kill()  # As a host that loses its power.

    def ended() -> dict[str, Any] | None:
        shown: dict[str, Any] = json.loads(site.wpbg("jobs", "get", job, "--format", "json", check=True).stdout)
        return shown if shown["status"] in ("completed", "failed") else None

    shown = wait_for(ended, 60, "the other host has done it")
    assert shown
    assert (shown["status"], shown["result"], shown["attempts"]) == ("completed", other, 2)
    assert shown["worker"].startswith(f"{other}-{pid}/")
    assert trace.read_text().split() == [victim, other]
    log = json.loads(site.wpbg("jobs", "log", job, "--format", "json", check=True).stdout)
    assert [attempt["ending"] for attempt in log] == ["worker_lost", "completed"]
    assert log[0]["worker"].startswith(f"{victim}-{pid}/")
