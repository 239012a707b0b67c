<?php
/**
 * The tables of what is kept of jobs taken together.
 *
 * @package Background_Worker
 */

namespace Background_Worker;

/**
 * Statistics and batches: small tables that the workers fill beside their work, so that nobody has to count a
 * million rows to be shown a chart. Their size is bounded by how long they are kept, not by how many jobs there are.
 */
final class Kept_Tables {

	/**
	 * Per minute (for hours) and quarter of an hour (for days), and queue: what ended, and how long it had waited.
	 *
	 * @return string
	 */
	public static function statistics() {
		return $GLOBALS['wpdb']->base_prefix . 'bg_statistics';
	}

	/**
	 * Per hour and callback: how many runs took how long, in buckets of the square root of two.
	 *
	 * @return string
	 */
	public static function run_times() {
		return $GLOBALS['wpdb']->base_prefix . 'bg_run_times';
	}

	/**
	 * Batches as wholes.
	 *
	 * @return string
	 */
	public static function batches() {
		return $GLOBALS['wpdb']->base_prefix . 'bg_batches';
	}

	/**
	 * All of them: name => columns and indexes.
	 *
	 * @return array[]
	 */
	public static function all() {
		return array(
			self::statistics() => array(
				array(
					'span'           => 'int NOT NULL DEFAULT 60', // Seconds.
					'starts_at'      => 'bigint NOT NULL DEFAULT 0', // Seconds since 1970.
					'queue'          => Schema::NAME . ' NOT NULL',
					'completed'      => 'bigint NOT NULL DEFAULT 0',
					'failed'         => 'bigint NOT NULL DEFAULT 0',
					'retried'        => 'bigint NOT NULL DEFAULT 0',
					'waits'          => 'bigint NOT NULL DEFAULT 0',
					'waited_ms'      => 'bigint NOT NULL DEFAULT 0',
					'waited_most_ms' => 'bigint NOT NULL DEFAULT 0',
				),
				array( 'PRIMARY' => 'PRIMARY KEY  (span, starts_at, queue)' ),
			),
			self::run_times()  => array(
				array(
					'starts_at' => 'bigint NOT NULL DEFAULT 0',
					'callback'  => Schema::NAME . ' NOT NULL',
					'bucket'    => 'int NOT NULL DEFAULT 0',
					'runs'      => 'bigint NOT NULL DEFAULT 0',
				),
				array( 'PRIMARY' => 'PRIMARY KEY  (starts_at, callback, bucket)' ),
			),
			self::batches()    => array( self::batch_columns(), self::batch_indexes() ),
		);
	}

	/**
	 * The columns of the batches. Times are milliseconds since 1970; `rate` is finished jobs per 1,000 seconds.
	 *
	 * @return string[]
	 */
	private static function batch_columns() {
		$columns = array(
			'batch'      => Schema::NAME . ' NOT NULL',
			'is_open'    => 'tinyint NOT NULL DEFAULT 1',
			'first_at'   => 'bigint NOT NULL DEFAULT 0',
			'touched_at' => 'bigint NOT NULL DEFAULT 0',
			'closed_at'  => 'bigint NULL',
			'counted_at' => 'bigint NOT NULL DEFAULT 0',
			'cost_ms'    => 'bigint NOT NULL DEFAULT 0',
			'rate'       => 'bigint NOT NULL DEFAULT 0',
		);
		foreach ( array( 'queued', 'waiting_delayed', 'running', 'completed', 'failed', 'cancelled' ) as $status ) {
			$columns[ $status ] = 'bigint NOT NULL DEFAULT 0';
		}
		return $columns;
	}

	/**
	 * The indexes of the batches.
	 *
	 * @return string[]
	 */
	private static function batch_indexes() {
		return array(
			'PRIMARY' => 'PRIMARY KEY  (batch)',
			'touched' => 'KEY touched (touched_at)',
		);
	}
}
