<?php
/**
 * The row of a job.
 *
 * @package Background_Worker
 */

namespace Background_Worker;

/**
 * Which columns a new job's row gets, and their values. Columns that stay null are left out: of what nobody asked
 * for, no database has to read anything.
 */
final class Job_Row {

	/**
	 * What the jobs of one call have each for themselves, beside the payload.
	 *
	 * @param New_Job $job The job.
	 * @return array Column => value.
	 */
	public static function named( New_Job $job ) {
		$named = array(
			'callback' => $job->callback,
			'blog_id'  => $job->blog_id,
		);
		if ( null !== $job->external_id ) {
			$named['external_id'] = $job->external_id;
		}
		return $named;
	}

	/**
	 * What they have in common.
	 *
	 * @param New_Job    $job One of them.
	 * @param int|string $now Milliseconds since 1970; as SQL where the database has to say them.
	 * @return array Column => value. `available_at` and `due_at` are numbers, or SQL.
	 */
	public static function shared( New_Job $job, $now ) {
		$options = $job->options;
		$shared  = array(
			'queue'        => $job->queue,
			'status'       => 'queued',
			'priority'     => $options->priority,
			'max_attempts' => $options->max_attempts,
			'backoff'      => $options->backoff,
			'available_at' => $now,
			'due_at'       => 0,
		);
		if ( $options->is_later() ) {
			$at     = $options->delay_ms > 0 ? self::after( $now, $options->delay_ms ) : $options->run_at_ms;
			$shared = array(
				'status'       => 'delayed',
				'available_at' => $at,
				'due_at'       => $at,
			) + $shared;
		}
		if ( null !== $options->timeout ) {
			$shared['timeout'] = $options->timeout;
		}
		if ( null !== $options->batch ) {
			$shared['batch'] = $options->batch;
		}
		if ( null !== $options->unique ) {
			$shared['unique_key']  = $options->unique;
			$shared['unique_hash'] = $job->unique_hash();
		}
		return $shared;
	}

	/**
	 * A later time.
	 *
	 * @param int|string $now Milliseconds, or SQL.
	 * @param int        $ms  How much later.
	 * @return int|string
	 */
	private static function after( $now, $ms ) {
		return is_int( $now ) ? $now + $ms : "({$now}) + {$ms}";
	}
}
