"""The fixtures themselves: sites are real, of the version they say, and do not see each other."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.mariadb import MariaDB
from tests.support.need import ROOT, require, require_part
from tests.support.process import kill_marked
from tests.support.site import MARK, Site
from tests.support.sites import KINDS, Sites
from tests.support.wait import next_second, wait_for

SLEEPER = "import time; print('up', flush=True); time.sleep(600)"


def test_site_is_the_wordpress_and_engine_that_it_says(site: Site) -> None:
    version, engine, active = site.eval_php(
        "echo get_bloginfo( 'version' ), ' ', defined( 'DB_ENGINE' ) ? DB_ENGINE : 'mysql', ' ',"
        "is_plugin_active( 'background-worker/background-worker.php' );"
    ).split()
    source = require_part(KINDS[site.name].wordpress) / "wp-includes/version.php"
    assert f"$wp_version = '{version}';" in source.read_text()
    assert engine == ("sqlite" if site.engine == "sqlite" else "mysql")
    assert active == "1"


def test_enqueue_writes_the_row_that_query_and_job_read(site: Site) -> None:
    job = site.enqueue("strlen", {"text": "it's"}, queue="mail", priority="high")
    assert site.query(f"SELECT queue, status FROM {site.jobs} WHERE id = %s", (int(job),)) == [
        {"queue": "mail", "status": "queued"}
    ]
    assert b"it's" in site.job(job)["payload"]


@pytest.mark.parametrize("kind", ["sqlite71", "maria71"])
def test_clones_share_nothing(sites: Sites, kind: str) -> None:
    one, other = sites.clone(kind), sites.clone(kind)
    one.mu_plugin("mine", "update_option( 'mine', 1 );")
    one.eval_php("")
    assert one.eval_php("echo get_option( 'mine', 'none' );") == "1"
    assert other.eval_php("echo get_option( 'mine', 'none' );") == "none"
    sites.close(one)
    sites.close(other)
    assert not one.folder.exists()


@pytest.mark.parametrize("changed", ["edited", "edited in place", "added", "removed", "mode"])
def test_what_a_test_did_to_wordpress_is_gone_with_its_site(sites: Sites, changed: str) -> None:
    site = sites.clone("sqlite71")
    file = site.path / "wp-includes/version.php"
    before, paths = file.read_text(), len(list(site.path.rglob("*")))
    if changed in ("edited", "removed"):
        file.unlink()
    if changed in ("edited", "edited in place"):
        file.write_text(before + "\n")
    if changed == "added":
        (site.path / "wp-admin/more.php").touch()
    if changed == "mode":
        file.chmod(0o600)
    sites.close(site)
    again = sites.clone("sqlite71")
    assert again.path == site.path
    assert file.read_text() == before
    assert len(list(again.path.rglob("*"))) == paths
    assert file.stat().st_mode & 0o777 == 0o644
    sites.close(again)


def test_wordpress_and_what_wpbg_compiled_of_it_are_handed_on(sites: Sites) -> None:
    """And nothing that was a site's own."""
    site = sites.clone("sqlite71")
    file = site.path / "wp-includes/version.php"
    untouched = file.stat().st_ctime_ns
    site.mu_plugin("mine", "function mine() { return 1; }")
    site.enqueue("mine")
    next_second()
    site.wpbg("run", check=True)
    sites.close(site)
    again = sites.clone("sqlite71")
    assert again.path == site.path
    assert file.stat().st_ctime_ns == untouched
    compiled = list((again.folder / "home/.cache/wpbg/opcache").rglob("*.bin"))
    assert any(file.name == "version.php.bin" for file in compiled)
    assert not [file for file in compiled if "/wp-content/" in str(file) or file.name == "wp-config.php.bin"]
    assert not (again.path / "wp-content/mu-plugins").exists()
    assert again.query(f"SELECT id FROM {again.jobs}") == []
    sites.close(again)


def test_multisite_is_a_network_of_three(multisite: Site) -> None:
    printed = multisite.eval_php("echo implode( ' ', get_sites( array( 'fields' => 'ids' ) ) );")
    assert printed.split() == ["1", "2", "3"]
    second = multisite.eval_php("echo get_current_blog_id();", url="http://site.test/two/")
    assert second == "2"


def test_processes_end_with_the_site(sites: Sites) -> None:
    site = sites.clone("sqlite71")
    worker = site.start([sys.executable, "-c", SLEEPER])
    worker.wait_for_line("up")
    sites.close(site)
    assert worker.returncode is not None


def test_orphans_are_found_by_their_mark(sites: Sites) -> None:
    """What a killed worker leaves behind in a session of its own is ended as well."""
    site = sites.clone("sqlite71")
    code = (
        "import subprocess, sys; child = subprocess.Popen([sys.executable, '-c', sys.argv[1]],"
        " start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL); print(child.pid, flush=True)"
    )
    worker = site.start([sys.executable, "-c", code, SLEEPER])
    assert worker.wait() == 0
    orphan = int(worker.stdout_lines[0])
    assert kill_marked(MARK, str(site.path)) == [orphan]
    wait_for(lambda: not _alive(orphan))
    sites.close(site)


def test_nothing_outlives_a_test_run_that_is_killed(tmp_path: Path) -> None:
    """Its teardown does not run then."""
    require("setpriv", "util-linux")
    code = (
        "import os, pathlib, sys, time; from tests.support.process import WorkerProcess;"
        " worker = WorkerProcess([sys.executable, '-c', sys.argv[1]], os.environ, pathlib.Path(sys.argv[2]));"
        " worker.wait_for_line('up'); print(worker.pid, flush=True); time.sleep(600)"
    )
    argv = [sys.executable, "-c", code, SLEEPER, str(tmp_path)]
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True) as test_run:
        assert test_run.stdout is not None
        worker = int(test_run.stdout.readline())
        assert _alive(worker)
        test_run.kill()
    wait_for(lambda: not _alive(worker))


def test_private_server_can_be_killed_and_comes_back(sites: Sites, private_mariadb: MariaDB) -> None:
    site = sites.clone("maria71", server=private_mariadb)
    site.eval_php("update_option( 'kept', 'yes' );")
    private_mariadb.stop()
    assert site.wp("option", "get", "kept", check=False).returncode != 0
    private_mariadb.start()
    private_mariadb.kill()
    private_mariadb.start()
    assert site.eval_php("echo get_option( 'kept' );") == "yes"


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
