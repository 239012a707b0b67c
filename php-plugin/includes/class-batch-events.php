<?php
/**
 * Batches that are done.
 *
 * @package Background_Worker
 */

namespace Background_Worker;

/**
 * Tells plugins that a batch is done. The worker notices it and puts a job for this into the queue, once for each
 * time that a batch gets done.
 */
final class Batch_Events {

	/**
	 * Fires the actions. What a job of the worker's own calls.
	 *
	 * @param array $data `batch`, a name, and `counts`, jobs by status and `total`.
	 * @return array The counts.
	 */
	public static function tell( $data ) {
		$batch  = (string) $data['batch'];
		$counts = array_map( 'intval', (array) $data['counts'] );
		/**
		 * Fires when no job of a batch waits or runs any more.
		 *
		 * @param string $batch  The batch.
		 * @param int[]  $counts Jobs by status (`completed`, `failed`, `cancelled`, …) and `total`.
		 */
		do_action( 'background_batch_completed', $batch, $counts );
		if ( $counts['failed'] > 0 ) {
			/**
			 * Fires after `background_batch_completed` when jobs of the batch have failed.
			 *
			 * @param string $batch  The batch.
			 * @param int[]  $counts As above.
			 */
			do_action( 'background_batch_failed', $batch, $counts );
		}
		return $counts;
	}

	/**
	 * Marks a batch as one that may be done: its last waiting job was cancelled or deleted by hand.
	 *
	 * @param string|null $batch The batch.
	 * @throws Write_Failed When the database refuses.
	 */
	public static function touch( $batch ) {
		if ( null === $batch || '' === $batch ) {
			return;
		}
		$table = Kept_Tables::batches();
		$name  = Database::literal( $batch );
		$now   = Database::now();
		Database::run( "INSERT INTO {$table} (batch, is_open, first_at, touched_at) VALUES ({$name}, 1, {$now}, {$now}) ON DUPLICATE KEY UPDATE is_open = 1, touched_at = {$now}" );
	}
}
