<?php
/**
 * What people do to queues.
 *
 * @package Background_Worker
 */

namespace Background_Worker;

/**
 * Pause, resume, purge.
 */
final class Queue_Desk {

	/**
	 * Jobs that one statement deletes, and how many one request does at most.
	 */
	const CHUNK = 500;
	const MOST  = 10000;

	/**
	 * No job of the queue is begun until it is resumed; running ones finish. Repeatable.
	 *
	 * @param string $queue Its name.
	 * @throws Write_Failed When the database refuses.
	 */
	public static function pause( $queue ) {
		$name = Database::literal( $queue );
		$now  = Database::now();
		Database::run( 'INSERT INTO ' . Schema::queues() . " (queue, paused, paused_at) VALUES ({$name}, 1, {$now}) ON DUPLICATE KEY UPDATE paused = 1, paused_at = {$now}" );
	}

	/**
	 * Undoes it. Repeatable.
	 *
	 * @param string $queue Its name.
	 * @throws Write_Failed When the database refuses.
	 */
	public static function resume( $queue ) {
		Database::run( 'UPDATE ' . Schema::queues() . ' SET paused = 0, paused_at = NULL WHERE queue = ' . Database::literal( $queue ) );
	}

	/**
	 * Deletes jobs that wait in the queue, as many as one request may.
	 *
	 * @param string $queue Its name.
	 * @return array `deleted`, and whether there are `more`.
	 * @throws Write_Failed When the database refuses.
	 */
	public static function purge( $queue ) {
		$jobs    = Schema::jobs();
		$name    = Database::literal( $queue );
		$deleted = 0;
		$batches = array();
		foreach ( array( 'queued', 'delayed' ) as $status ) {
			do {
				$ids  = array();
				$rows = Database::rows( "SELECT id, queue, batch FROM {$jobs} FORCE INDEX (claim) WHERE status = '{$status}' AND queue = {$name} ORDER BY priority, id LIMIT " . self::CHUNK );
				foreach ( $rows as $row ) {
					if ( $row->queue === $queue ) { // For SQLite, a is A.
						$ids[]                           = (int) $row->id;
						$batches[ (string) $row->batch ] = true;
					}
				}
				if ( ! $ids ) {
					break;
				}
				sort( $ids );
				$deleted += (int) Database::run( "DELETE FROM {$jobs} WHERE id IN (" . implode( ',', $ids ) . ") AND status = '{$status}'" );
			} while ( count( $rows ) === self::CHUNK && $deleted < self::MOST );
		}
		foreach ( array_keys( $batches ) as $batch ) {
			Batch_Events::touch( (string) $batch );
		}
		return array(
			'deleted' => $deleted,
			'more'    => $deleted >= self::MOST,
		);
	}
}
