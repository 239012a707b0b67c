"""The plugin's tables: made on activation, kept through updates, taken over from the older plugin, removed at last."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.integration.enqueuing import CALLBACKS, JOB, answer
from tests.support.site import Site

PLUGIN = "background-worker"

OLDER_TABLE = """
CREATE TABLE $its_table (
    id bigint(20) unsigned NOT NULL AUTO_INCREMENT,
    queue varchar(255) NOT NULL,
    payload longtext NOT NULL,
    attempts tinyint(4) unsigned NOT NULL,
    created_datetime timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_datetime timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP,
    PRIMARY KEY  (id)
) DEFAULT CHARACTER SET utf8mb4
"""

OLDER_ROWS = f"""
global $wpdb;
$its_table = $wpdb->prefix . 'bg_jobs';
$wpdb->query( "DROP TABLE IF EXISTS $its_table" );
$wpdb->query( "{OLDER_TABLE}" );
foreach ( array( 'fresh ü😀' => 0, 'tried once' => 1, 'given up' => 3 ) as $data => $attempts ) {{
    $job = new stdClass();
    $job->function = 'a_callback';
    $job->user_data = array( 'data' => $data );
    $wpdb->insert( $its_table, array( 'queue' => 'default', 'payload' => serialize( $job ), 'attempts' => $attempts ) );
}}
update_option( 'ABW_DB_VERSION', 17, 'no' );
"""

OLDER_PLUGIN = """<?php
/* Plugin Name: Async Background Worker */
function async_background_worker_install_db() {}
if ( ! defined( 'WP_CLI' ) ) { return; }
function add_async_job( $job, $queue = 'default' ) { return 'the older one'; }
"""


def _as_the_older_plugin_left_it(site: Site) -> None:
    site.mu_plugin("callbacks", CALLBACKS)
    site.wp("plugin", "deactivate", PLUGIN)
    site.eval_php(OLDER_ROWS + "$wpdb->query( 'DROP TABLE wp_bg_workers' ); $wpdb->query( 'DROP TABLE wp_bg_queues' );")


def _tables(site: Site) -> set[str]:
    found = json.loads(site.eval_php("global $wpdb; echo wp_json_encode( $wpdb->get_col( 'SHOW TABLES' ) );"))
    return {name for name in found if "bg_" in name}


def _columns(site: Site, table: str = "wp_bg_jobs") -> dict[str, str]:
    rows = f"$wpdb->get_results( 'SHOW COLUMNS FROM {table}' )"
    code = f"global $wpdb; echo wp_json_encode( array_column( {rows}, 'Type', 'Field' ) );"
    columns: dict[str, str] = json.loads(site.eval_php(code))
    return columns


def _indexes(site: Site) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    code = "global $wpdb; echo wp_json_encode( $wpdb->get_results( 'SHOW INDEX FROM wp_bg_jobs' ) );"
    for row in json.loads(site.eval_php(code)):
        found.setdefault(row["Key_name"], []).append(row["Column_name"])
    return found


def _rows(site: Site) -> list[dict[str, Any]]:
    return site.query(f"SELECT * FROM {site.jobs} ORDER BY id")


def test_a_row_written_by_hand_has_all_it_needs(site: Site) -> None:
    site.query("INSERT INTO wp_bg_jobs (queue, payload, attempts) VALUES (%s, %s, 0)", ("default", b"x"))
    (row,) = _rows(site)
    assert (row["status"], row["priority"], row["max_attempts"], row["backoff"]) == ("queued", 0, 3, 30)
    assert (row["available_at"], row["due_at"], row["lease_token"], row["blog_id"]) == (0, 0, 0, 0)
    assert row["created_datetime"]


def test_the_older_plugin_s_table_is_taken_over_in_place(site: Site) -> None:
    wanted, indexes = _columns(site), _indexes(site)
    _as_the_older_plugin_left_it(site)
    site.wp("plugin", "activate", PLUGIN)
    assert _columns(site) == wanted
    assert _indexes(site) == indexes
    fresh, tried, given_up = _rows(site)
    assert [row["status"] for row in (fresh, tried, given_up)] == ["queued", "queued", "failed"]
    assert [row["attempts"] for row in (fresh, tried, given_up)] == [0, 1, 3]
    assert "fresh ü😀".encode() in bytes(fresh["payload"])
    assert "3 times" in json.loads(given_up["error"])["message"]
    assert given_up["finished_at"] == given_up["due_at"] > 0
    assert site.wpbg("listen", "--stop-when-empty").returncode == 0
    assert [row["status"] for row in _rows(site)] == ["completed", "completed", "failed"]


def test_taking_over_twice_changes_nothing(maria71: Site) -> None:
    _as_the_older_plugin_left_it(maria71)
    maria71.wp("plugin", "activate", PLUGIN)
    before = _rows(maria71)
    maria71.eval_php("Background_Worker\\Schema::install(); Background_Worker\\Schema::install();")
    assert _rows(maria71) == before


def test_an_old_table_in_another_charset_keeps_its_payloads_readable(maria71: Site) -> None:
    _as_the_older_plugin_left_it(maria71)
    maria71.query("DELETE FROM wp_bg_jobs WHERE attempts = 0")  # its emoji has no place in latin1
    maria71.query("UPDATE wp_bg_jobs SET payload = REPLACE(payload, '10:\"tried once', '10:\"tried ünc')")
    maria71.query("ALTER TABLE wp_bg_jobs CONVERT TO CHARACTER SET latin1")
    maria71.query("ALTER TABLE wp_bg_jobs ENGINE=MyISAM")
    maria71.wp("plugin", "activate", PLUGIN)
    assert "tried ünc".encode() in bytes(_rows(maria71)[0]["payload"])
    (status,) = maria71.query("SHOW TABLE STATUS LIKE 'wp_bg_jobs'")
    assert status["Engine"] == "InnoDB"


def test_processes_that_upgrade_at_once_all_succeed(site: Site) -> None:
    _as_the_older_plugin_left_it(site)
    start, script = site.folder / "start", site.folder / "upgrade.php"
    script.write_text(
        "<?php require_once WP_PLUGIN_DIR . '/background-worker/background-worker.php';"
        'echo "ready\\n"; flush();'
        f"while ( ! file_exists( '{start}' ) ) {{ usleep( 1000 ); clearstatcache(); }}"
        f"$id = add_async_job( {JOB} ); echo is_wp_error( $id ) ? $id->get_error_message() : 'added', \"\\n\";"
    )
    argv = [*site.wp_argv, f"--path={site.path}", "eval-file", str(script)]
    racers = [site.start(argv) for _ in range(3)]
    for racer in racers:
        racer.wait_for_line("ready")
    start.touch()
    assert [(racer.wait(), racer.stdout_lines[-1]) for racer in racers] == [(0, "added")] * 3
    assert [row["status"] for row in _rows(site)] == ["queued", "queued", "failed", *["queued"] * 3]


def _as_an_earlier_version_left_it(site: Site) -> None:
    site.mu_plugin("callbacks", CALLBACKS)
    site.eval_php(
        "global $wpdb; $wpdb->query( 'ALTER TABLE wp_bg_jobs DROP COLUMN callback' );"
        "$wpdb->query( 'DROP TABLE wp_bg_queues' ); update_site_option( 'ABW_DB_VERSION', 18 );"
    )


def test_an_update_of_the_files_is_enough_for_the_next_command(site: Site) -> None:
    _as_an_earlier_version_left_it(site)
    site.eval_php("")
    assert "callback" in _columns(site)
    assert "wp_bg_queues" in _tables(site)


def test_an_update_of_the_files_is_enough_for_the_next_visitor(site: Site) -> None:
    """No activation, no wp-admin, no WP-CLI: the first job that a page adds brings the tables up."""
    _as_an_earlier_version_left_it(site)
    page = site.folder / "page.php"
    page.write_text(
        "<?php $_SERVER['HTTP_HOST'] = 'site.test'; $_SERVER['REQUEST_URI'] = '/';"
        f"require '{site.path}/wp-load.php'; echo 'added ', add_async_job( {JOB} );"
    )
    php = site.start([site.wp_argv[0], str(page)])
    assert php.wait() == 0
    (row,) = _rows(site)
    assert php.stdout_lines == [f"added {row['id']}"]
    assert row["callback"] == "a_callback"


def test_the_older_plugin_is_deactivated_with_a_word(site: Site) -> None:
    _as_the_older_plugin_left_it(site)
    folder = site.path / "wp-content/plugins/async-background-worker"
    folder.mkdir()
    (folder / "async-background-worker.php").write_text(OLDER_PLUGIN)
    site.wp("plugin", "activate", "async-background-worker")
    done = site.wp("plugin", "activate", PLUGIN)
    assert "Async Background Worker, which has been deactivated" in done.stderr
    active = site.wp("plugin", "list", "--status=active", "--field=name").stdout.split()
    assert (PLUGIN in active, "async-background-worker" in active) == (True, False)
    assert answer(site, f"$answer = add_async_job( {JOB} )").isdigit()


def test_a_database_that_refuses_stops_the_activation(site: Site) -> None:
    site.wp("plugin", "deactivate", PLUGIN)
    site.eval_php("global $wpdb; $wpdb->query( 'DROP TABLE wp_bg_jobs' ); delete_site_option( 'ABW_DB_VERSION' );")
    site.mu_plugin(
        "refuse",
        "add_filter( 'query', function ( $sql ) {"
        "return 0 === strpos( $sql, 'CREATE TABLE IF NOT EXISTS wp_bg' ) ? 'CREATE NONSENSE' : $sql; } );",
    )
    done = site.wp("plugin", "activate", PLUGIN, check=False)
    assert done.returncode == 1
    assert "Error: Background Worker could not create or upgrade its tables" in done.stderr
    assert PLUGIN not in site.wp("plugin", "list", "--status=active", "--field=name").stdout.split()


def test_deactivation_keeps_everything_and_uninstalling_removes_it(site: Site) -> None:
    site.mu_plugin("callbacks", CALLBACKS)
    job = site.enqueue("a_callback")
    site.wp("plugin", "deactivate", PLUGIN)
    assert site.job(job)["status"] == "queued"
    site.wp("plugin", "activate", PLUGIN)
    assert site.job(job)["status"] == "queued"
    site.wp("plugin", "deactivate", PLUGIN)
    site.wp("plugin", "uninstall", PLUGIN, "--skip-delete")
    assert _tables(site) == set()
    left = site.query("SELECT option_name FROM wp_options WHERE option_name LIKE %s", ("%ABW%",))
    assert left == []
    site.wp("plugin", "activate", PLUGIN)
    assert site.enqueue("a_callback") == "1"


def test_on_a_network_each_blog_s_old_table_moves_into_the_one(multisite: Site) -> None:
    second = f"{multisite.url}/two/"
    multisite.wp("plugin", "deactivate", PLUGIN, "--network")
    multisite.eval_php(OLDER_ROWS + "delete_site_option( 'ABW_DB_VERSION' );")
    multisite.eval_php(OLDER_ROWS, url=second)
    assert "wp_2_bg_jobs" in _tables(multisite)
    multisite.wp("plugin", "activate", PLUGIN, "--network")
    assert _tables(multisite) == {
        *("wp_bg_jobs", "wp_bg_workers", "wp_bg_queues", "wp_bg_statistics", "wp_bg_run_times", "wp_bg_batches")
    }
    rows = _rows(multisite)
    assert [(row["blog_id"], row["attempts"], row["status"]) for row in rows] == [
        (blog, attempts, status)
        for blog in (1, 2)
        for attempts, status in ((0, "queued"), (1, "queued"), (3, "failed"))
    ]
    assert "fresh ü😀".encode() in bytes(rows[3]["payload"])


def test_on_a_network_uninstalling_leaves_nothing_on_any_blog(multisite: Site) -> None:
    multisite.eval_php("update_option( 'ABW_DB_VERSION', 20 );", url=f"{multisite.url}/two/")
    multisite.wp("plugin", "deactivate", PLUGIN, "--network")
    multisite.wp("plugin", "uninstall", PLUGIN, "--skip-delete")
    assert _tables(multisite) == set()
    for table, column in (("wp_options", "option_name"), ("wp_2_options", "option_name"), ("wp_sitemeta", "meta_key")):
        assert multisite.query(f"SELECT * FROM {table} WHERE {column} = 'ABW_DB_VERSION'") == []


@pytest.mark.parametrize("blog", [1, 2])
def test_activated_on_one_blog_only_it_serves_that_blog(multisite: Site, blog: int) -> None:
    url = multisite.eval_php(f"echo get_site_url( {blog} );")
    multisite.mu_plugin("callbacks", CALLBACKS)
    multisite.wp("plugin", "deactivate", PLUGIN, "--network")
    multisite.wp("plugin", "activate", PLUGIN, f"--url={url}")
    assert multisite.job(multisite.enqueue("a_callback", url=url))["blog_id"] == blog
    assert (
        multisite.eval_php(
            "echo function_exists( 'add_async_job' ) ? 'there' : 'not there';", url=f"{multisite.url}/three/"
        )
        == "not there"
    )
