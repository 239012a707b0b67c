<?php
/**
 * How many jobs there are.
 *
 * @package Background_Worker
 */

namespace Background_Worker;

/**
 * Counts that cost the same however many jobs there are: up to a bound, from an index.
 */
final class Counts {

	/**
	 * Counting ends there; then a count is "10,000 and more".
	 */
	const MOST = 10000;

	/**
	 * The same for each status of each of many queues.
	 */
	const MOST_OF_QUEUE = array(
		'queued'  => 5000,
		'delayed' => 1000,
		'running' => 1000,
		'failed'  => 1000,
	);

	/**
	 * How many queues are told apart.
	 */
	const QUEUES = 200;

	/**
	 * Jobs by status.
	 *
	 * @return array[] Status => a count, see self::of().
	 */
	public static function by_status() {
		$found = array();
		foreach ( Job_View::STATUSES as $status ) {
			$found[] = self::bounded( "FORCE INDEX (due) WHERE status = '{$status}'", self::MOST ) . " AS `{$status}`";
		}
		$row = Database::rows( 'SELECT ' . implode( ', ', $found ) )[0];
		return array_map( array( self::class, 'of' ), (array) $row );
	}

	/**
	 * How many jobs ended with a status since then.
	 *
	 * @param string $status The status.
	 * @param string $since  Milliseconds since 1970, as SQL.
	 * @return array A count.
	 */
	public static function ended_since( $status, $since ) {
		$status = Database::literal( $status );
		return self::of( Database::value( 'SELECT ' . self::bounded( "FORCE INDEX (due) WHERE status = {$status} AND due_at >= {$since}", self::MOST ) . ' AS jobs' ) );
	}

	/**
	 * Queues, with what waits and runs in each.
	 *
	 * @return array[] Queue => `queued`, `delayed`, `running`, `failed` (counts), `in_broker` (how many of the queued
	 *                 are there), `oldest_queued_seconds`, `paused`.
	 */
	public static function by_queue() {
		$queues = array();
		foreach ( Database::rows( 'SELECT queue, paused FROM ' . Schema::queues() . ' LIMIT ' . self::QUEUES ) as $row ) {
			$queues[ $row->queue ] = (bool) $row->paused;
		}
		$outside = Broker_Check::waiting();
		foreach ( array_merge( self::names(), array_map( 'strval', array_keys( $outside ) ) ) as $name ) {
			$queues += array( $name => false );
		}
		ksort( $queues, SORT_STRING );
		$found = array();
		foreach ( $queues as $queue => $paused ) {
			$found[ $queue ] = self::queue( (string) $queue ) + array(
				'in_broker' => $outside[ $queue ] ?? 0,
				'paused'    => $paused,
			);
			$found[ $queue ]['queued']['number'] += $found[ $queue ]['in_broker'];
		}
		return $found;
	}

	/**
	 * A count as it is told.
	 *
	 * @param int|string $number The number, one more than the bound for "more".
	 * @param int        $most   The bound.
	 * @return array `number`, and `more` when there are more.
	 */
	public static function of( $number, $most = self::MOST ) {
		return array(
			'number' => min( (int) $number, $most ),
			'more'   => (int) $number > $most,
		);
	}

	/**
	 * A count up to a bound, as SQL.
	 *
	 * @param string $which What comes behind the table's name.
	 * @param int    $most  The bound.
	 * @return string
	 */
	public static function bounded( $which, $most ) {
		return '(SELECT COUNT(*) FROM (SELECT 1 AS one FROM ' . Schema::jobs() . " {$which} LIMIT " . ( $most + 1 ) . ') AS bounded)';
	}

	/**
	 * The names of the queues that have jobs. The index is jumped through, a query a name.
	 *
	 * @return string[]
	 */
	private static function names() {
		$names = array();
		foreach ( Job_View::STATUSES as $status ) {
			$after = '';
			while ( count( $names ) < self::QUEUES ) {
				$next = Database::value( 'SELECT MIN(queue) AS queue FROM ' . Schema::jobs() . " WHERE status = '{$status}' AND queue > " . Database::literal( $after ) );
				if ( null === $next ) {
					break;
				}
				$names[ $next ] = $next;
				$after          = $next;
			}
		}
		return array_map( 'strval', $names );
	}

	/**
	 * What is in a queue.
	 *
	 * @param string $queue Its name.
	 * @return array
	 */
	private static function queue( $queue ) {
		$name  = Database::literal( $queue );
		$found = array();
		foreach ( self::MOST_OF_QUEUE as $status => $most ) {
			$found[] = self::bounded( "FORCE INDEX (claim) WHERE status = '{$status}' AND queue = {$name}", $most ) . " AS `{$status}`";
		}
		$row = (array) Database::rows( 'SELECT ' . implode( ', ', $found ) )[0];
		$counts = array();
		foreach ( $row as $status => $number ) {
			$counts[ $status ] = self::of( $number, self::MOST_OF_QUEUE[ $status ] );
		}
		return $counts + array( 'oldest_queued_seconds' => (int) $row['queued'] ? self::oldest( $name ) : null );
	}

	/**
	 * How long the oldest of a queue waits, in seconds: of the first hundred of its turn.
	 *
	 * @param string $name The queue, as SQL.
	 * @return int
	 */
	private static function oldest( $name ) {
		$since = Database::value( 'SELECT MIN(since) AS since FROM (SELECT CASE WHEN available_at > 0 THEN available_at ELSE ' . Job_View::created() . ' * 1000 END AS since FROM ' . Schema::jobs() . " FORCE INDEX (claim) WHERE status = 'queued' AND queue = {$name} ORDER BY priority, id LIMIT 100) AS first_hundred" );
		return null === $since ? 0 : max( 0, intdiv( self::now_ms() - (int) $since, 1000 ) );
	}

	/**
	 * Now, in the clock of the database.
	 *
	 * @return int Milliseconds since 1970.
	 */
	public static function now_ms() {
		return (int) Database::value( 'SELECT ' . Database::now() . ' AS now' );
	}
}
