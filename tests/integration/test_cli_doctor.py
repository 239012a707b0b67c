"""`wpbg doctor` on sites that are well, and on ones that are not: what it says and what to type next."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import shutil
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.process import WorkerProcess
from tests.support.site import Site
from tests.support.sites import Sites
from tests.support.wait import wait_for

ALL = [
    *("wpbg", "WordPress folder", "WP-CLI", "PHP", "PHP extensions", "WordPress", "PHP database driver", "Plugin"),
    *("Older plugin", "Tables", "User", "Limits", "WP-Cron", "OPcache", "Service", "Database", "Clock", "Workers"),
    *("Dead workers", "Past due", "Failed jobs"),
]
FIRST = ["wpbg", "WordPress folder", "WP-CLI"]

CALLBACKS = "function fails() { throw new Exception( 'no' ); }"


def examine(site: Site, *args: str, env: dict[str, str] | None = None) -> tuple[int, dict[str, dict[str, Any]]]:
    """Exit code, and the findings by their check; a check that failed in place of one that passed."""
    done = site.wpbg("doctor", "--format", "json", *args, env=env)
    findings: dict[str, dict[str, Any]] = {}
    for finding in json.loads(done.stdout):
        assert list(finding) == ["check", "status", "detail", "next"]
        if findings.get(finding["check"], {}).get("status") != "failed":
            findings[finding["check"]] = finding
    assert done.stderr == ""
    return done.returncode, findings


def failures(findings: dict[str, dict[str, Any]]) -> dict[str, str]:
    return {name: finding["detail"] for name, finding in findings.items() if finding["status"] == "failed"}


@pytest.fixture
def worker(shared_site: Site) -> Iterator[WorkerProcess]:
    """A worker that has shown itself."""
    process = shared_site.start_wpbg("listen", "--name", "w1")
    seen = f"SELECT id FROM {shared_site.table('bg_workers')}"
    wait_for(lambda: shared_site.query(seen), 60, "a worker's row")
    yield process
    process.terminate()
    assert process.wait() == 0


def test_a_site_that_is_well(shared_site: Site, worker: WorkerProcess) -> None:
    code, findings = examine(shared_site)
    assert list(findings) == ALL
    assert failures(findings) == {}
    assert code == 0
    assert findings["WP-Cron"]["status"] == "info"
    assert "1 worker alive, serving default" in findings["Workers"]["detail"]
    assert findings["Limits"]["detail"].startswith("memory 256M (WP_MAX_MEMORY_LIMIT), 300 s a job")
    wanted = "SQLite" if shared_site.engine == "sqlite" else "MariaDB"
    assert wanted in findings["Database"]["detail"]

    plain = shared_site.wpbg("doctor", check=True).stdout.splitlines()
    assert [line.split(":")[0] for line in plain] == [
        f"{'INFO' if name in ('WP-Cron', 'Service') else 'OK  '}  {name}" for name in ALL
    ]
    rows = list(csv.DictReader(io.StringIO(shared_site.wpbg("doctor", "--format", "csv", check=True).stdout)))
    assert [row["check"] for row in rows] == ALL


def test_work_that_is_not_done(shared_site: Site) -> None:
    shared_site.mu_plugin("cli", CALLBACKS)
    shared_site.enqueue("fails", max_attempts=1)
    shared_site.wpbg("listen", "--stop-when-empty", check=True)
    late = shared_site.enqueue("fails", queue="it's late")
    shared_site.enqueue("fails", queue="paused")
    shared_site.query(
        f"UPDATE {shared_site.jobs} SET available_at = available_at - 600000 WHERE id >= %s", (int(late),)
    )
    shared_site.wpbg("queues", "pause", "paused", check=True)
    code, findings = examine(shared_site)
    assert code == 1
    assert list(failures(findings)) == ["Workers", "Past due", "Failed jobs"]
    assert findings["Workers"]["next"] == f"wpbg listen --path {shared_site.path}"
    assert (
        findings["Past due"]["detail"] == "Queue it's late: 1 ready, one of them for 10 min, and no worker serves it."
    )
    assert findings["Past due"]["next"].startswith("""wpbg listen --queue 'it'"'"'s late' --path """)
    assert findings["Paused"]["detail"].endswith(": paused")
    assert findings["Failed jobs"]["next"].startswith("wpbg jobs list --status failed")
    plain = shared_site.wpbg("doctor")
    assert plain.returncode == 1
    assert "FAIL  Workers: No worker is running: no job will be done.\n      next: wpbg listen --path " in plain.stdout
    shared_site.query(f"DELETE FROM {shared_site.jobs}")
    shared_site.query(f"DELETE FROM {shared_site.table('bg_queues')}")


def test_a_worker_that_was_killed(shared_site: Site, worker: WorkerProcess) -> None:
    workers = shared_site.table("bg_workers")
    shared_site.query(
        f"INSERT INTO {workers} (id, name, host, pid, queues, heartbeat_at) VALUES (%s, %s, %s, %s, %s, %s)",
        ("gone:1:0", "gone", "elsewhere", 1, '["mail"]', round(time.time() * 1000) - 40_000),
    )
    code, findings = examine(shared_site)
    assert code == 1
    assert "gone (elsewhere:1) for 4" in failures(findings)["Dead workers"]
    shared_site.query(f"DELETE FROM {workers} WHERE id = %s", ("gone:1:0",))


def test_tables_that_lack_something(site: Site) -> None:
    site.eval_php(f"global $wpdb; $wpdb->query( 'ALTER TABLE {site.jobs} DROP COLUMN note' );")
    site.eval_php(f"global $wpdb; $wpdb->query( 'ALTER TABLE {site.jobs} DROP INDEX claim' );")
    code, findings = examine(site)
    assert code == 1
    assert failures(findings)["Tables"] == f"Missing: {site.jobs}.note, index claim of {site.jobs}."
    assert findings["Tables"]["next"] == f"wpbg install --path {site.path}"
    site.wpbg("install", check=True)
    assert "Tables" not in failures(examine(site)[1])
    site.eval_php(f"global $wpdb; $wpdb->query( 'DROP TABLE {site.table('bg_workers')}' );")
    code, findings = examine(site)
    assert code == 3
    assert "Missing: wp_bg_workers" in failures(findings)["Tables"]


def test_the_plugin_is_not_active_or_another(sqlite71: Site) -> None:
    main = sqlite71.path / "wp-content/plugins/background-worker/background-worker.php"
    main.write_text(main.read_text().replace("'BACKGROUND_WORKER_VERSION', '", "'BACKGROUND_WORKER_VERSION', '9"))
    code, findings = examine(sqlite71)
    assert code == 1
    assert "has version 9" in failures(findings)["Plugin"]
    assert findings["Plugin"]["next"].startswith("wpbg install")

    sqlite71.wp("plugin", "deactivate", "background-worker")
    code, findings = examine(sqlite71)
    assert code == 3
    assert list(failures(findings)) == ["Plugin"]
    assert findings["Database"]["status"] == "ok"


def test_limits_of_wp_config(sqlite71: Site) -> None:
    sqlite71.configure(WP_MAX_MEMORY_LIMIT="96M", ABW_TIMELIMIT=0)
    assert (
        examine(sqlite71)[1]["Limits"]["detail"] == "memory 96M (WP_MAX_MEMORY_LIMIT), no limit a job (ABW_TIMELIMIT)"
    )
    sqlite71.configure(ABW_TIMELIMIT="soon")
    code, findings = examine(sqlite71)
    assert code >= 1
    assert "ABW_TIMELIMIT is 'soon'" in failures(findings)["Limits"]


def test_no_wordpress_no_wp_cli_no_php(sqlite71: Site) -> None:
    code, findings = examine(sqlite71, "--wp", "no-such-program")
    assert (code, list(findings)) == (3, FIRST)
    assert "'no-such-program' is not a program" in failures(findings)["WP-CLI"]

    wp = sqlite71.bin / "wp-without-php"
    wp.write_text("#!/usr/bin/env php-is-not-here\n")
    wp.chmod(0o755)
    code, findings = examine(sqlite71, "--wp", str(wp))
    assert (code, list(findings)) == (3, FIRST)
    assert "PHP" in failures(findings)["WP-CLI"]

    (sqlite71.path / "wp-load.php").unlink()
    code, findings = examine(sqlite71)
    assert (code, list(findings)) == (3, FIRST[:2])
    assert "There is no WordPress in" in failures(findings)["WordPress folder"]


def test_a_site_that_does_not_start(sqlite71: Site) -> None:
    sqlite71.mu_plugin("broken", "<?php this is no php")
    code, findings = examine(sqlite71)
    assert code == 3
    assert list(findings) == [*FIRST, "PHP", "PHP extensions", "WordPress"]
    assert "broken.php" in failures(findings)["WordPress"]


def test_a_database_that_is_down(maria71: Site) -> None:
    with contextlib.closing(socket.socket()) as closed:
        closed.bind(("127.0.0.1", 0))  # Bound and not listening: nobody else gets it either.
        maria71.configure(DB_HOST=f"127.0.0.1:{closed.getsockname()[1]}")
        code, findings = examine(maria71)
    assert code == 4
    assert list(findings) == [*FIRST, "PHP", "PHP extensions", "Database"]
    assert "cannot be reached" in failures(findings)["Database"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can run as somebody else")
def test_jobs_that_would_run_as_root(sites: Sites) -> None:
    site = sites.clone("sqlite71")
    # The files of WordPress itself are shared with other sites: this one gets its own.
    core = site.path / "wp-load.php"
    own = shutil.copy(core, core.with_suffix(".own"))
    own.replace(core)
    os.chown(core, 65534, 65534)
    code, findings = examine(site)
    assert code == 1
    assert failures(findings)["User"].startswith("Jobs would run as root, but the site's files belong to nobody")
    assert findings["User"]["next"].startswith("sudo -u nobody wpbg doctor --path ")
    sites.close(site)


def test_the_older_plugin_is_noticed(sqlite71: Site) -> None:
    """It is switched off by ours at the next start; a must-use copy cannot be."""
    sqlite71.mu_plugin("async-background-worker", "function async_background_worker_install_db() {}")
    code, findings = examine(sqlite71)
    assert code == 1
    assert findings["Older plugin"]["next"].startswith("wp plugin deactivate async-background-worker")
