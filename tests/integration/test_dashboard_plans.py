"""What the dashboard asks the database: each statement reads along an index, however many jobs there are."""

from __future__ import annotations

import json
import re
from typing import Any

from tests.support.site import Site

WAITING = 100_000

MOST_COUNTED = 50_000
"""What one statement reads that counts to a bound, far below the number of jobs."""

MOST_LISTED = 12_000
"""And one of a page of jobs: a search looks at 5,000 at a time, first along the index and then into the rows."""

ASK = r"""
wp_set_current_user( 1 );
global $wpdb;
$GLOBALS['asked'] = array();
$from = '';
add_filter( 'query', function ( $sql ) use ( &$from ) {
	if ( $from && preg_match( '/^\s*(SELECT|UPDATE|DELETE)\b.*_bg_(jobs|batches)\b/s', $sql ) ) {
		$GLOBALS['asked'][ $sql ] = $from;
	}
	return $sql;
} );
foreach ( %s as list( $method, $route, $given ) ) {
	$from    = "$method $route " . json_encode( $given );
	$request = new WP_REST_Request( $method, "/background-worker/v1$route" );
	foreach ( $given as $name => $value ) {
		$request->set_param( $name, $value );
	}
	$answer = rest_do_request( $request );
	if ( 200 !== $answer->get_status() ) {
		echo $from, json_encode( $answer->get_data() );
	}
}
$from = 'the admin bar';
Background_Worker\Alerts::stuck();
$from = 'Site Health';
Background_Worker\Site_Health::piling();
$from = '';
"""

ON_SQLITE = r"""
$pdo   = $wpdb->dbh->get_connection()->get_pdo();
$plans = array();
foreach ( $GLOBALS['asked'] as $sql => $who ) {
	Background_Worker\Database::run( $sql );
	foreach ( $wpdb->dbh->get_last_sqlite_queries() as $sent ) {
		if ( preg_match( '/^\s*(SELECT|UPDATE|DELETE)\b/', $sent['sql'] ) ) {
			$asked = $pdo->prepare( "EXPLAIN QUERY PLAN {$sent['sql']}" );
			$asked->execute( $sent['params'] );
			$plans[] = array( $who, $sent['sql'], $asked->fetchAll( PDO::FETCH_ASSOC ), 0 );
		}
	}
}
echo json_encode( $plans, JSON_INVALID_UTF8_SUBSTITUTE );
"""

ON_MARIADB = r"""
$read  = function () use ( $wpdb ) {
	return array_sum( array_column( $wpdb->get_results( "SHOW SESSION STATUS LIKE 'Handler_read%'" ), 'Value' ) );
};
$none  = -$read() + $read(); // What asking reads itself.
$plans = array();
foreach ( $GLOBALS['asked'] as $sql => $who ) {
	$plan   = $wpdb->get_results( "EXPLAIN $sql" );
	$before = $read();
	$wpdb->query( $sql );
	$plans[] = array( $who, $sql, $plan, $read() - $before - $none );
}
echo json_encode( $plans, JSON_INVALID_UTF8_SUBSTITUTE );
"""

QUESTIONS: list[tuple[str, str, dict[str, Any]]] = [
    ("GET", "/overview", {}),
    ("GET", "/queues", {}),
    ("GET", "/batches", {}),
    ("GET", "/batches", {"before": 2_000_000_000_000}),
    ("GET", "/batch", {"batch": "batch-3"}),
    ("GET", "/batch", {"batch": "unseen"}),
    ("GET", "/jobs", {}),
    ("GET", "/jobs", {"order": "asc", "cursor": "0-500"}),
    ("GET", "/jobs", {"status": "queued"}),
    ("GET", "/jobs", {"status": "queued", "cursor": "0-90000"}),
    ("GET", "/jobs", {"status": "queued", "cursor": "0-90000", "order": "asc", "search": "nothing has this"}),
    ("GET", "/jobs", {"status": "completed", "cursor": "1600-700"}),
    ("GET", "/jobs", {"status": "failed", "orderby": "runtime_ms"}),
    ("GET", "/jobs", {"status": "queued", "queue": "mail"}),
    ("GET", "/jobs", {"status": "queued", "queue": "mail", "cursor": "0-500", "order": "asc"}),
    ("GET", "/jobs", {"queue": "nowhere"}),
    ("GET", "/jobs", {"batch": "batch-3"}),
    ("GET", "/jobs", {"batch": "batch-3", "status": "queued", "cursor": "0-90000"}),
    ("GET", "/jobs", {"search": "nothing has this"}),
    ("GET", "/jobs", {"search": "nothing has this", "status": "queued"}),
    ("GET", "/jobs", {"search": "17"}),
    ("GET", "/jobs/17", {}),
    ("POST", "/jobs/17/run-next", {}),
    ("POST", "/jobs/17/cancel", {}),
    ("POST", "/jobs/17/retry", {}),
    ("POST", "/jobs/bulk", {"action": "cancel", "ids": ["17", "18"]}),
    ("DELETE", "/jobs/17", {}),
    ("POST", "/queues/purge", {"queue": "small"}),
]


def fill(site: Site) -> None:
    """Many waiting and finished jobs in two queues and three priorities, a thousand batches, one of them unseen."""
    jobs, batches = site.jobs, site.table("bg_batches")
    site.query(f"DELETE FROM {jobs}")
    columns = "queue, payload, status, priority, due_at, available_at, batch, callback"
    site.query(f"INSERT INTO {jobs} ({columns}) VALUES ('default', x'4e3b', 'queued', 0, 0, 1, NULL, 'one')")
    site.query(f"INSERT INTO {jobs} ({columns}) VALUES ('mail', x'4e3b', 'queued', -10, 0, 1, 'batch-3', 'two')")
    for doubling in range(16):
        doubled = f"queue, payload, 'queued', {doubling % 3 * 10 - 10}, 0, 1, batch, callback"
        site.query(f"INSERT INTO {jobs} ({columns}) SELECT {doubled} FROM {jobs}")
    copied = "queue, payload, '{}', priority, 1000 + id, 1, batch, callback"
    for status, most in (("completed", 60_000), ("delayed", 500), ("failed", 500), ("cancelled", 500), ("running", 9)):
        site.query(f"INSERT INTO {jobs} ({columns}) SELECT {copied.format(status)} FROM {jobs} WHERE id <= {most}")
    site.query(f"INSERT INTO {jobs} ({columns}) VALUES ('small', x'4e3b', 'queued', 0, 0, 1, 'unseen', 'three')")
    concat = f"CONCAT('batch-', id), 1000 + id FROM {jobs}" if site.server else f"'batch-' || id, 1000 + id FROM {jobs}"
    site.query(f"INSERT INTO {batches} (batch, touched_at) SELECT {concat} WHERE id <= 1000")
    (count,) = site.query(f"SELECT COUNT(*) AS jobs FROM {jobs} WHERE status = 'queued'")
    assert count["jobs"] > WAITING
    if site.server:
        site.query(f"ANALYZE TABLE {jobs}, {batches}")


def php(value: Any) -> str:
    """A value as PHP, by way of JSON."""
    return f"json_decode( '{json.dumps(value)}', true )"


def plans(site: Site) -> list[tuple[str, str, list[dict[str, Any]], int]]:
    """Who asked, the statement, its plan, and how many index entries and rows it read (MariaDB)."""
    told = site.eval_php(ASK % php(QUESTIONS) + (ON_MARIADB if site.server else ON_SQLITE))
    found: list[tuple[str, str, list[dict[str, Any]], int]] = json.loads(told)
    return found


def test_every_question_of_the_dashboard_is_answered_from_an_index(maria71: Site) -> None:
    site = maria71
    fill(site)
    found = plans(site)
    assert len(found) > 50
    for who, sql, steps, read in found:
        for step in steps:
            if not re.search("bg_jobs|bg_batches|^j$", str(step["table"])):
                continue  # What was read from there, or the few rows of another table.
            assert step["key"], (who, sql, step)
            few = "orderby" in who  # Sorted by what no index is for: 1,000 jobs at most.
            assert few or not re.search("filesort|temporary", str(step["Extra"])), (who, sql, step)
        is_page = re.match(r"GET /jobs \{", who)
        assert read <= (MOST_LISTED if is_page else MOST_COUNTED), (who, sql, read)


def test_so_it_is_on_sqlite(sqlite71: Site) -> None:
    site = sqlite71
    fill(site)
    found = plans(site)
    assert len(found) > 50
    for who, sql, steps, _ in found:
        for step in steps:
            said = str(step["detail"])
            along_ids = re.search(r"ORDER BY `?id`? (ASC|DESC) LIMIT", sql) and "TEMP B-TREE" not in str(steps)
            if re.match(r"SCAN `?\w*_bg_(jobs|batches)\b(?!.* INDEX)", said):
                assert along_ids, (who, sql, steps)
            assert "orderby" in who or "TEMP B-TREE" not in said, (who, sql, steps)
