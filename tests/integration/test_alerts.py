"""When jobs wait and no worker lives: Site Health, the admin bar, an e-mail for those who ask for it."""

from __future__ import annotations

import json
from typing import Any

from tests.support.site import Site

OLD = "UPDATE {jobs} SET available_at = 1000"
MAIL = (
    "add_filter( 'pre_wp_mail', function ( $n, $mail ) { echo json_encode( $mail ), PHP_EOL; return true; }, 10, 2 );"
)


def health(site: Site) -> dict[str, Any]:
    """Status by test, as Site Health has it for the administrator."""
    told = site.eval_php(
        "wp_set_current_user( 1 ); require_once ABSPATH . 'wp-admin/includes/admin.php';"
        "$tests = apply_filters( 'site_status_tests', array( 'direct' => array(), 'async' => array() ) )['direct'];"
        "foreach ( $tests as $name => $test ) { $found[ $name ] = call_user_func( $test['test'] ); }"
        "echo json_encode( $found );"
    )
    found: dict[str, Any] = json.loads(told)
    return {name.removeprefix("background_worker_"): result for name, result in found.items()}


def statuses(site: Site) -> dict[str, str]:
    return {name: result["status"] for name, result in health(site).items()}


def bar(site: Site) -> str:
    """The note in the admin bar, or nothing."""
    return site.eval_php(
        "wp_set_current_user( 1 ); delete_site_transient( 'background_worker_stuck' );"
        "require_once ABSPATH . WPINC . '/class-wp-admin-bar.php'; $bar = new WP_Admin_Bar();"
        "Background_Worker\\Alerts::note( $bar ); $node = $bar->get_node( 'background-worker' );"
        "echo $node ? $node->title : '';"
    )


def test_site_health_and_admin_bar(site: Site) -> None:
    assert statuses(site) == {"alive": "recommended", "piling": "good", "versions": "good"}
    site.enqueue("strtoupper", "a")
    assert statuses(site)["alive"] == "critical"
    assert bar(site) == ""
    site.query(OLD.format(jobs=site.jobs))
    assert "no worker is alive" in bar(site)
    site.query(f"INSERT INTO {site.table('bg_queues')} (queue, paused) VALUES ('default', 1)")
    assert bar(site) == ""
    site.query(f"DELETE FROM {site.table('bg_queues')}")
    worker = site.start_wpbg("listen", "--queue", "another")
    worker.wait_for_line("worker.started")
    site.wpbg("workers", "list", check=True)
    assert statuses(site) == {"alive": "good", "piling": "critical", "versions": "good"}
    assert "<code>wpbg listen --queue NAME</code>" in health(site)["piling"]["description"]
    assert bar(site) == ""
    worker.kill()
    worker.wait()
    site.query(f"UPDATE {site.table('bg_workers')} SET version = '0.0.1'")
    assert statuses(site)["versions"] == "recommended"


def test_an_email_is_sent_once_and_only_where_it_is_wanted(sqlite71: Site) -> None:
    site = sqlite71
    look = f"{MAIL} do_action( 'background_worker_alert' );"
    look += " echo (int) (bool) wp_next_scheduled( 'background_worker_alert' );"
    site.enqueue("strtoupper", "a")
    site.query(OLD.format(jobs=site.jobs))
    assert site.eval_php(look) == "0"
    site.configure(ABW_ALERT_EMAIL="ops@site.test")
    mail, scheduled = site.eval_php(look).split("\n")
    assert json.loads(mail)["to"] == "ops@site.test"
    assert "no worker is alive" in json.loads(mail)["message"]
    assert scheduled == "1"
    assert site.eval_php(look) == "1"
    site.query(f"DELETE FROM {site.jobs}")
    assert site.eval_php(look) == "1"
    site.enqueue("strtoupper", "a")
    site.query(OLD.format(jobs=site.jobs))
    assert '"to":"ops@site.test"' in site.eval_php(look)
    site.configure(ABW_ALERT_EMAIL=None)
    assert site.eval_php(look) == "0"
