"""Brokers, PHP's side: what is handed in, what goes to the table instead, and what the bridge refuses to read."""

from __future__ import annotations

from tests.integration.enqueuing import CALLBACKS, JOB, answer
from tests.support.site import Site


def test_a_site_of_version_20_gets_the_column_of_outside_ids(site: Site) -> None:
    site.mu_plugin("callbacks", CALLBACKS)
    job = site.enqueue("a_callback")
    site.eval_php(
        "global $wpdb; $wpdb->query( 'ALTER TABLE wp_bg_jobs DROP INDEX external_id' );"
        "$wpdb->query( 'ALTER TABLE wp_bg_jobs DROP COLUMN external_id' ); update_site_option( 'ABW_DB_VERSION', 20 );"
    )
    assert "external_id" not in site.job(job)
    told = answer(
        site,
        f"""$one = add_async_job( {JOB} ); $two = add_async_job( {JOB} );
        $set = "UPDATE $table SET external_id = 'an id from outside' WHERE id = ";
        $wpdb->query( $set . $one ); $wpdb->suppress_errors(); $again = $wpdb->query( $set . $two );
        $answer = array( $again, Background_Worker\\Schema::missing(), (int) get_site_option( 'ABW_DB_VERSION' ) )""",
    )
    assert told == [False, [], 21]
    assert (site.job(job)["status"], site.job(job)["external_id"]) == ("queued", None)
