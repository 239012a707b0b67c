<?php
/**
 * What people do to jobs.
 *
 * @package Background_Worker
 */

namespace Background_Worker;

/**
 * Retry, cancel, run next, delete: each one statement that is guarded by the state it was decided on, as the worker's
 * are. A worker that settles the job at the same moment wins or loses as a whole; then the job is looked at again.
 */
final class Job_Desk {

	/**
	 * How often a job is looked at again when it changed while it was being operated on.
	 */
	const LOOKS = 5;

	/**
	 * What a run leaves in a row, taken out: the same columns as the worker's `retry_job`.
	 */
	const BLANK = 'started_at = NULL, finished_at = NULL, runtime_ms = NULL, worker = NULL, result = NULL, error = NULL, output = NULL, note = NULL, progress_done = NULL, progress_total = NULL, progress_message = NULL';

	/**
	 * The number of a job's row.
	 *
	 * @param string $id What add_async_job() returned.
	 * @return int
	 * @throws No_Such_Job When there is none.
	 */
	public static function number( $id ) {
		if ( preg_match( '/^[0-9]{1,18}$/', $id ) ) {
			return (int) $id;
		}
		if ( preg_match( '/^([0-9a-f]{32})-[bg]/', $id, $found ) ) {
			$number = Database::value( 'SELECT id FROM ' . Schema::jobs() . ' WHERE external_id = ' . Database::literal( $found[1] ) );
			if ( null !== $number ) {
				return (int) $number;
			}
		}
		throw self::missing( $id );
	}

	/**
	 * Starts a failed or cancelled job over: at once, with all its attempts, its history kept.
	 *
	 * @param string $id The job.
	 * @throws No_Such_Job When there is none.
	 * @throws Wrong_State When it is in another state, or an unfinished job has its unique key.
	 */
	public static function retry( $id ) {
		for ( $look = 0; $look < self::LOOKS; $look++ ) {
			$job = self::state( $id );
			if ( 'failed' !== $job->status && 'cancelled' !== $job->status ) {
				throw new Wrong_State( self::refusal( 'retry', $job->status ) );
			}
			if ( $job->hollow ) {
				if ( Database::run( 'DELETE FROM ' . Schema::jobs() . ' WHERE id = ' . (int) $job->id . " AND status = 'cancelled' AND LENGTH(payload) = 0" ) ) {
					return; // Without its row, it is run from the broker.
				}
				continue;
			}
			$hash = null === $job->unique_key ? null : hash( 'sha256', $job->queue . "\0" . $job->unique_key );
			self::check_key( $hash );
			$sql = 'UPDATE ' . Schema::jobs() . " SET status = 'queued', due_at = 0, available_at = " . Database::now() .
				', attempts = 0, cancel_requested = 0, unique_hash = ' . Database::literal( $hash ) . ', ' . self::BLANK .
				' WHERE id = ' . (int) $job->id . ' AND status = ' . Database::literal( $job->status ) .
				' AND lease_token = ' . (int) $job->lease_token;
			try {
				if ( Database::run( $sql ) ) {
					return;
				}
			} catch ( Write_Failed $failed ) {
				self::check_key( $hash ); // Another job may have taken the key in between: then this says so.
				throw $failed;
			}
		}
		throw self::unsettled();
	}

	/**
	 * Cancels a job.
	 *
	 * @param string $id The job.
	 * @return string `cancelled`: it will not run. `running`: its worker has been asked to stop it.
	 * @throws No_Such_Job When there is none.
	 * @throws Wrong_State When it is finished.
	 */
	public static function cancel( $id ) {
		$jobs = Schema::jobs();
		for ( $look = 0; $look < self::LOOKS; $look++ ) {
			$job = self::state( $id );
			if ( in_array( $job->status, Job_View::FINISHED, true ) ) {
				throw new Wrong_State( self::refusal( 'cancel', $job->status ) );
			}
			$now = Database::now();
			$row = (int) $job->id;
			if ( Database::run( "UPDATE {$jobs} SET status = 'cancelled', due_at = {$now}, finished_at = {$now}, unique_hash = NULL WHERE id = {$row} AND status IN ('queued', 'delayed')" ) ) {
				Batch_Events::touch( $job->batch );
				return 'cancelled';
			}
			// MySQL counts changed rows only: one that was asked before is found by the look.
			if ( Database::run( "UPDATE {$jobs} SET cancel_requested = 1 WHERE id = {$row} AND status = 'running'" ) || ( 'running' === $job->status && $job->cancel_requested ) ) {
				return 'running';
			}
		}
		throw self::unsettled();
	}

	/**
	 * Puts a waiting job in front of all others of its queue.
	 *
	 * @param string $id The job.
	 * @throws No_Such_Job When there is none.
	 * @throws Wrong_State When it does not wait.
	 */
	public static function run_next( $id ) {
		$jobs = Schema::jobs();
		for ( $look = 0; $look < self::LOOKS; $look++ ) {
			$job = self::state( $id );
			if ( 'queued' !== $job->status && 'delayed' !== $job->status ) {
				throw new Wrong_State( self::refusal( 'run_next', $job->status ) );
			}
			$queue = Database::literal( $job->queue );
			$row   = (int) $job->id;
			$first = Database::rows( "SELECT id, priority FROM {$jobs} FORCE INDEX (claim) WHERE status = 'queued' AND queue = {$queue} ORDER BY priority, id LIMIT 1" );
			if ( $first && (int) $first[0]->id === $row ) {
				return;
			}
			$priority = max( -2147483648, min( (int) $job->priority, $first ? (int) $first[0]->priority - 1 : (int) $job->priority ) );
			$now      = Database::now();
			if ( Database::run( "UPDATE {$jobs} SET priority = {$priority}, available_at = CASE WHEN status = 'delayed' THEN {$now} ELSE available_at END, status = 'queued', due_at = 0 WHERE id = {$row} AND status IN ('queued', 'delayed') AND lease_token = " . (int) $job->lease_token ) ) {
				return;
			}
		}
		throw self::unsettled();
	}

	/**
	 * Deletes a job and all that is known of it.
	 *
	 * @param string $id The job.
	 * @throws No_Such_Job When there is none.
	 * @throws Wrong_State While it runs.
	 */
	public static function delete( $id ) {
		for ( $look = 0; $look < self::LOOKS; $look++ ) {
			$job = self::state( $id );
			if ( 'running' === $job->status ) {
				throw new Wrong_State( self::refusal( 'delete', 'running' ) );
			}
			if ( $job->hollow ) {
				throw new Wrong_State( __( 'The job is cancelled, but still in the broker, where only this row keeps it from running: delete it once a worker has come across it.', 'background-worker' ) );
			}
			if ( Database::run( 'DELETE FROM ' . Schema::jobs() . ' WHERE id = ' . (int) $job->id . " AND status <> 'running' AND NOT (status = 'cancelled' AND LENGTH(payload) = 0)" ) ) {
				Batch_Events::touch( in_array( $job->status, Job_View::FINISHED, true ) ? null : $job->batch );
				return;
			}
		}
		throw self::unsettled();
	}

	/**
	 * Where a job stands. `hollow`: it was cancelled while it waited in a broker that does not show its jobs.
	 *
	 * @param string $id The job.
	 * @return object
	 * @throws No_Such_Job When there is none.
	 */
	private static function state( $id ) {
		$rows = Database::rows( 'SELECT id, queue, status, priority, batch, unique_key, lease_token, cancel_requested, CASE WHEN status = \'cancelled\' AND LENGTH(payload) = 0 AND external_id IS NOT NULL THEN 1 ELSE 0 END AS hollow FROM ' . Schema::jobs() . ' WHERE id = ' . self::number( $id ) );
		if ( ! $rows ) {
			throw self::missing( $id );
		}
		return $rows[0];
	}

	/**
	 * Makes sure that no unfinished job has a unique key.
	 *
	 * @param string|null $hash What the index holds.
	 * @throws Wrong_State When one has.
	 */
	private static function check_key( $hash ) {
		$holder = null === $hash ? null : Database::value( 'SELECT id FROM ' . Schema::jobs() . ' WHERE unique_hash = ' . Database::literal( $hash ) );
		if ( null !== $holder ) {
			/* translators: %s: a job's number */
			throw new Wrong_State( sprintf( __( 'Job %s has the same unique key and is not finished: wait for it, or cancel it first.', 'background-worker' ), $holder ) );
		}
	}

	/**
	 * Why something cannot be done.
	 *
	 * @param string $action What.
	 * @param string $status The job's.
	 * @return string
	 */
	private static function refusal( $action, $status ) {
		if ( 'running' === $status ) {
			return 'run_next' === $action
				? __( 'The job is running already.', 'background-worker' )
				: __( 'The job is running: cancel it first, or wait for its end.', 'background-worker' );
		}
		if ( 'retry' === $action ) {
			return 'completed' === $status
				? __( 'The job is completed: only failed and cancelled jobs are run again.', 'background-worker' )
				: __( 'The job is waiting and will run by itself.', 'background-worker' );
		}
		return __( 'The job is finished: there is nothing to do.', 'background-worker' );
	}

	/**
	 * The error for a job that is not there.
	 *
	 * @param string $id Its id.
	 * @return No_Such_Job
	 */
	public static function missing( $id ) {
		/* translators: %s: a job's id */
		return new No_Such_Job( sprintf( __( 'There is no job %s: it was never added, it still waits in its broker, or it has been deleted since.', 'background-worker' ), $id ) );
	}

	/**
	 * The error for a job that keeps changing.
	 *
	 * @return Wrong_State
	 */
	private static function unsettled() {
		return new Wrong_State( __( 'The job kept changing its state meanwhile: look at it and try again.', 'background-worker' ) );
	}
}
