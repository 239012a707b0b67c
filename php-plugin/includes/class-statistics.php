<?php
/**
 * What was done lately.
 *
 * @package Background_Worker
 */

namespace Background_Worker;

/**
 * Reads the statistics that the workers keep: rates and waiting times of the last hour or day, run times by callback.
 */
final class Statistics {

	/**
	 * How far back, in what steps. Seconds.
	 */
	const RANGES = array(
		'hour' => array( 3600, 60 ),
		'day'  => array( 86400, 900 ),
	);

	/**
	 * How many callbacks are told of: those with the most runs.
	 */
	const CALLBACKS = 20;

	/**
	 * A series of points without gaps.
	 *
	 * @param string      $range hour or day.
	 * @param string|null $queue One queue; null for all.
	 * @return array `step` (s), `points` of `at`, `completed`, `failed`, `retried`, `waited_ms` (mean),
	 *               `waited_most_ms`; and their sums.
	 */
	public static function series( $range, $queue = null ) {
		list( $seconds, $step ) = self::RANGES[ $range ];
		$last  = intdiv( intdiv( Counts::now_ms(), 1000 ), $step ) * $step;
		$first = $last - $seconds + $step;
		$found = array();
		$one   = null === $queue ? '' : ' AND queue = ' . Database::literal( $queue );
		$sql   = 'SELECT starts_at, SUM(completed) AS completed, SUM(failed) AS failed, SUM(retried) AS retried, SUM(waits) AS waits, SUM(waited_ms) AS waited_ms, MAX(waited_most_ms) AS waited_most_ms FROM ' . Kept_Tables::statistics() . " WHERE span = {$step} AND starts_at >= {$first} AND starts_at <= {$last}{$one} GROUP BY starts_at";
		foreach ( Database::rows( $sql ) as $row ) {
			$found[ (int) $row->starts_at ] = $row;
		}
		$points = array();
		for ( $at = $first; $at <= $last; $at += $step ) {
			$points[] = self::point( $at, $found[ $at ] ?? null );
		}
		return array(
			'step'      => $step,
			'points'    => $points,
			'completed' => array_sum( array_column( $points, 'completed' ) ),
			'failed'    => array_sum( array_column( $points, 'failed' ) ),
			'retried'   => array_sum( array_column( $points, 'retried' ) ),
		);
	}

	/**
	 * How long runs of each callback took in the last day.
	 *
	 * @return array[] `callback`, `runs`, `p50_ms`, `p95_ms`: those with the most runs first.
	 */
	public static function run_times() {
		$since  = intdiv( Counts::now_ms(), 1000 ) - DAY_IN_SECONDS;
		$counts = array();
		foreach ( Database::rows( 'SELECT callback, bucket, SUM(runs) AS runs FROM ' . Kept_Tables::run_times() . " WHERE starts_at >= {$since} GROUP BY callback, bucket" ) as $row ) {
			$counts[ $row->callback ][ (int) $row->bucket ] = (int) $row->runs;
		}
		$found = array();
		foreach ( $counts as $callback => $buckets ) {
			ksort( $buckets );
			$found[] = array(
				'callback' => Job_View::text( $callback ),
				'runs'     => array_sum( $buckets ),
				'p50_ms'   => self::quantile( $buckets, 0.5 ),
				'p95_ms'   => self::quantile( $buckets, 0.95 ),
			);
		}
		usort(
			$found,
			static function ( $one, $other ) {
				return $other['runs'] - $one['runs'];
			}
		);
		return array_slice( $found, 0, self::CALLBACKS );
	}

	/**
	 * A point.
	 *
	 * @param int         $at  Seconds since 1970.
	 * @param object|null $row Its sums.
	 * @return array
	 */
	private static function point( $at, $row ) {
		$waits = $row ? (int) $row->waits : 0;
		return array(
			'at'             => Job_View::iso( $at * 1000 ),
			'completed'      => $row ? (int) $row->completed : 0,
			'failed'         => $row ? (int) $row->failed : 0,
			'retried'        => $row ? (int) $row->retried : 0,
			'waited_ms'      => $waits ? (int) round( $row->waited_ms / $waits ) : null,
			'waited_most_ms' => $waits ? (int) $row->waited_most_ms : null,
		);
	}

	/**
	 * The run time below which a share of the runs lie: the middle of its bucket, so right to a fifth.
	 *
	 * @param int[] $buckets Runs by bucket, in order; bucket b begins at 2^(b/2) ms.
	 * @param float $share   The share.
	 * @return int Milliseconds.
	 */
	private static function quantile( array $buckets, $share ) {
		$wanted = $share * array_sum( $buckets );
		$bucket = 0;
		foreach ( $buckets as $bucket => $runs ) {
			$wanted -= $runs;
			if ( $wanted <= 0 ) {
				break;
			}
		}
		return (int) max( 1, round( pow( 2, ( $bucket + 0.5 ) / 2 ) ) );
	}
}
