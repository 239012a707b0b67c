"""A job that a blog of the network enqueues runs on that blog."""

from __future__ import annotations

import json

from tests.support.site import Site


def test_each_job_runs_on_its_blog(multisite: Site) -> None:
    multisite.mu_plugin(
        "blog",
        "function which_blog( $n ) { return array( $n, get_current_blog_id(), get_bloginfo( 'url' ),"
        " $GLOBALS['wpdb']->prefix ); }",
    )
    blogs = json.loads(
        multisite.eval_php("echo json_encode( array_map( 'get_site_url', get_sites( array( 'fields' => 'ids' ) ) ) );")
    )
    assert len(blogs) == 3
    jobs = [(n, multisite.enqueue("which_blog", n, url=blogs[n % 3])) for n in range(6)]
    multisite.wpbg("listen", "--stop-when-empty", check=True)
    for n, job in jobs:
        row = multisite.job(job)
        assert row["status"] == "completed", row["error"]
        blog = n % 3 + 1
        prefix = "wp_" if blog == 1 else f"wp_{blog}_"
        assert json.loads(row["result"]) == [n, blog, blogs[n % 3], prefix]
        assert row["blog_id"] == blog


def test_a_plugin_that_only_one_blog_has_is_there_for_its_jobs(multisite: Site) -> None:
    """The process boots the job's blog; switching to it later would not load its plugins."""
    folder = multisite.path / "wp-content/plugins/only-here"
    folder.mkdir()
    code = "<?php\n/* Plugin Name: Only here */\nfunction only_here() { return 'here'; }\n"
    (folder / "only-here.php").write_text(code)
    url = multisite.eval_php("echo get_site_url( 2 );")
    multisite.wp("plugin", "activate", "only-here", f"--url={url}")
    job = multisite.enqueue("only_here", url=url)
    multisite.wpbg("run", check=True)
    assert json.loads(multisite.job(job)["result"]) == "here"


def test_a_job_of_a_deleted_blog_fails_and_says_so(multisite: Site) -> None:
    multisite.mu_plugin("blog", "function which_blog() { return get_current_blog_id(); }")
    job = multisite.enqueue("which_blog", url=multisite.eval_php("echo get_site_url( 3 );"), max_attempts=1)
    multisite.wp("site", "delete", "3", "--yes")
    assert multisite.wpbg("run").returncode == 1
    row = multisite.job(job)
    assert row["status"] == "failed"
    assert "3" in json.loads(row["error"])["message"]
