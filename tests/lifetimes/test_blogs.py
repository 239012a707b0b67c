"""A network: each job on its own blog, in every lifetime, whatever the job before did."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.lifetimes.at_work import LIFETIMES, PERSISTENT, AtWork, at_work, jobs, put
from tests.support.mariadb import MariaDB
from tests.support.site import Site
from tests.support.sites import Sites
from tests.support.wait import next_second, wait_for

ONLY = """<?php
/* Plugin Name: %(name)s */
function %(function)s() { return array( '%(name)s', get_current_blog_id() ); }
"""

MEDDLERS = ("leaves_switched", "sets_prefix", "restores_too_often")


@pytest.fixture(scope="module")
def network(sites: Sites) -> Iterator[Site]:
    site = sites.clone("multisite")
    jobs(site, "blogs")
    next_second()
    yield site
    sites.close(site)


def own_plugin(site: Site, name: str) -> None:
    folder = site.path / "wp-content/plugins" / name
    folder.mkdir()
    facts = {"name": name, "function": name.replace("-", "_")}
    (folder / f"{name}.php").write_text(ONLY % facts)


def url(site: Site, blog: int) -> str:
    (found,) = site.query("SELECT domain, path FROM wp_blogs WHERE blog_id = %s", (blog,))
    return f"http://{found['domain']}{found['path']}"


@pytest.mark.parametrize("lifetime", LIFETIMES)
def test_jobs_of_three_blogs_interleaved(network: Site, lifetime: str) -> None:
    homes = {blog: url(network, blog).rstrip("/") for blog in (1, 2, 3)}
    count = 9 if lifetime == "restart" else 60
    with at_work(network, lifetime) as work:
        ids = []
        for n in range(count):
            ids += put(network, "where", [n], blog_id=n % 3 + 1)
            if n % 4 == 0:
                ids += put(network, MEDDLERS[n % 3], [n], blog_id=n % 2 + 1)
        work.end_of(ids[-1])
        rows = network.query(f"SELECT * FROM {network.jobs} WHERE id >= %s ORDER BY id", (int(ids[0]),))
        assert {row["status"] for row in rows} == {"completed"}
        for row in rows:
            if b'"where"' in row["payload"]:
                blog, found = row["blog_id"], json.loads(row["result"])
                prefix = "wp_" if blog == 1 else f"wp_{blog}_"
                assert found[:4] == [blog, prefix, homes[blog], blog]
                assert found[4].split()[0] == str(blog)
        assert not work.replaced(), "one process has served them all"
        for blog in (1, 2, 3):
            prefix = "wp_" if blog == 1 else f"wp_{blog}_"
            (option,) = network.query(f"SELECT option_value FROM {prefix}options WHERE option_name = 'where'")
            assert option["option_value"].split()[0] == str(blog)


def only(work: AtWork, function: str, blog: int) -> object:
    row = work.run(function, None, blog_id=blog)
    return json.loads(row["result"] or "null") if row["status"] == "completed" else json.loads(row["error"])["message"]


@pytest.mark.parametrize("lifetime", PERSISTENT)
def test_a_blog_with_plugins_of_its_own(sites: Sites, lifetime: str) -> None:
    """It gets a process of its own, in which they are loaded; as soon as it has them, and as long."""
    network = sites.clone("multisite")
    jobs(network, "blogs")
    own_plugin(network, "only-two")
    own_plugin(network, "only-three")
    network.wp("plugin", "activate", "only-two", f"--url={url(network, 2)}")
    with at_work(network, lifetime) as work:
        assert only(work, "only_two", 2) == ["only-two", 2]
        assert work.result("where", 1, blog_id=3)[0] == 3
        assert work.result("where", 1, blog_id=1)[0] == 1
        assert only(work, "only_two", 2) == ["only-two", 2]
        if lifetime == "loop":
            apart, main = work.result("process", blog_id=2), work.result("process", blog_id=1)
            assert apart != main == work.result("process", blog_id=3)

        network.wp("plugin", "activate", "only-three", f"--url={url(network, 3)}")
        wait_for(lambda: only(work, "only_three", 3) == ["only-three", 3], 20, "blog 3's plugin is there")
        network.wp("plugin", "deactivate", "only-two", f"--url={url(network, 2)}")
        wait_for(lambda: "cannot be called" in str(only(work, "only_two", 2)), 20, "blog 2's plugin is gone")
    rows = network.query(f"SELECT attempts FROM {network.jobs} WHERE status = 'completed'")
    assert {row["attempts"] for row in rows} == {1}
    sites.close(network)


@pytest.mark.parametrize("lifetime", LIFETIMES)
def test_a_blog_is_deleted_while_jobs_wait(sites: Sites, lifetime: str) -> None:
    """Its jobs fail and say why; those of other blogs are not held up."""
    network = sites.clone("multisite")
    jobs(network, "blogs")
    own_plugin(network, "only-two")
    network.wp("plugin", "activate", "only-two", f"--url={url(network, 2)}")
    with at_work(network, lifetime) as work:
        assert only(work, "only_two", 2) == ["only-two", 2]
        assert work.result("where", 1, blog_id=3)[0] == 3
        network.wp("site", "delete", "2", "--yes")
        network.wp("site", "delete", "3", "--yes")
        gone = [*put(network, "only_two", [None], blog_id=2), *put(network, "where", [1], blog_id=3)]
        here = put(network, "where", [2], blog_id=1)
        assert work.end_of(here[0])["status"] == "completed"
        for blog, job in zip((2, 3), gone, strict=True):
            row = work.end_of(job)
            assert (row["status"], row["attempts"]) == ("failed", 1)
            assert f"blog {blog} of the network, which does not exist any more" in row["error"]
    sites.close(network)


def test_the_database_is_away_when_a_blog_is_looked_up(sites: Sites, private_mariadb: MariaDB) -> None:
    """Restart mode asks WP-CLI for the blog's address when the first of its jobs comes."""
    network = sites.clone("multisite", server=private_mariadb)
    jobs(network, "blogs")
    wp = network.bin / "wp-with-stop"
    go, asked = network.folder / "go", network.folder / "asked"
    wp.write_text(
        f'#!/bin/sh\ncase "$*" in *get_site_url*) touch {asked}; while [ ! -e {go} ]; do sleep 0.05; done;; esac\n'
        f'exec {network.wp_bin} "$@"\n'
    )
    wp.chmod(0o755)
    with at_work(network, "restart", "--wp", str(wp), "--lease", "60") as work:
        (job,) = put(network, "where", [1], blog_id=2)
        wait_for(asked.exists, what="the blog is looked up")
        private_mariadb.stop()
        go.touch()
        work.wait_for_event("job.unsettled")
        private_mariadb.start()
        row = work.end_of(job)
        assert (row["status"], row["attempts"]) == ("completed", 1), row["error"]


@pytest.mark.parametrize("lifetime", PERSISTENT)
def test_the_language_and_the_links_of_a_blog(sites: Sites, lifetime: str) -> None:
    """Another blog's, and back: as in a process that was booted for each."""
    network = sites.clone("multisite")
    jobs(network, "blogs")
    network.query(
        "UPDATE wp_2_options SET option_value = '/%year%/%postname%/' WHERE option_name = 'permalink_structure'"
    )
    network.query("DELETE FROM wp_2_options WHERE option_name = 'WPLANG'")
    network.query("INSERT INTO wp_2_options (option_name, option_value) VALUES ('WPLANG', 'de_DE')")
    with at_work(network, lifetime) as work:
        home = work.result("speaks", blog_id=1)
        assert home[0] == home[1] == "en_US"
        for _ in range(2):
            assert work.result("speaks", blog_id=2)[:3] == ["de_DE", "de_DE", "/%year%/%postname%/"]
            assert work.result("speaks", blog_id=1) == home
    sites.close(network)
