<?php
/**
 * From the public functions to the queue.
 *
 * @package Background_Worker
 */

namespace Background_Worker;

/**
 * Checks what the public functions are given, writes it, and turns every refusal into a WP_Error.
 */
final class Enqueuer {

	/**
	 * Jobs and bytes that one statement of add_async_jobs() carries at most. Where all has to be escaped the bytes are
	 * twice as many, and still fit everywhere (Job_Writer::ALWAYS_FITS).
	 */
	const CHUNK_JOBS  = 1000;
	const CHUNK_BYTES = 480000;

	/**
	 * Adds one job.
	 *
	 * @param mixed $job     The job.
	 * @param mixed $queue   The queue.
	 * @param mixed $options Its options.
	 * @return string|\WP_Error Its id.
	 */
	public static function add( $job, $queue, $options ) {
		return self::add_one(
			$queue,
			$options,
			static function ( $queue, Job_Options $options ) use ( $job ) {
				return New_Job::calling( $job, $queue, $options );
			}
		);
	}

	/**
	 * Adds a job that fires a hook.
	 *
	 * @param mixed $hook     The hook.
	 * @param mixed $args     What its callbacks get.
	 * @param mixed $priority Its priority.
	 * @return bool
	 */
	public static function add_hook( $hook, $args, $priority ) {
		$id = self::add_one(
			ABW_QUEUE_NAME,
			array( 'priority' => $priority ),
			static function ( $queue, Job_Options $options ) use ( $hook, $args ) {
				return New_Job::firing( $hook, $args, $queue, $options );
			}
		);
		return ! is_wp_error( $id );
	}

	/**
	 * Adds jobs in chunks, as they come.
	 *
	 * @param mixed $jobs    The jobs.
	 * @param mixed $queue   The queue.
	 * @param mixed $options Their options.
	 * @return string[]|\WP_Error Their ids.
	 */
	public static function add_many( $jobs, $queue, $options ) {
		$ids = array();
		try {
			if ( ! is_iterable( $jobs ) ) {
				throw new Bad_Argument( 'jobs', sprintf( 'an array, a generator or another iterable is needed, not %s.', Bad_Argument::show( $jobs ) ) );
			}
			$queue   = Job_Options::queue( $queue );
			$options = Job_Options::of( $options, $queue );
			self::ensure_tables();
			$chunk = array();
			$bytes = 0;
			$stop  = null;
			foreach ( self::each( $jobs, $queue, $options, $stop ) as $job ) {
				$size = Job_Writer::size( $job );
				if ( $chunk && ( count( $chunk ) >= self::CHUNK_JOBS || $bytes + $size > self::CHUNK_BYTES ) ) {
					self::write( $chunk, $ids );
					$chunk = array();
					$bytes = 0;
				}
				$chunk[] = $job;
				$bytes  += $size;
			}
			self::write( $chunk, $ids );
			if ( null !== $stop ) {
				throw $stop;
			}
			return $ids;
		} catch ( \Exception $thrown ) {
			$place = array(
				'index' => count( $ids ),
				'ids'   => $ids,
			);
			return self::refuse( $thrown, $queue, $place );
		}
	}

	/**
	 * The jobs of an iterable, checked; ends at the first bad one.
	 *
	 * @param iterable        $jobs    The jobs.
	 * @param string          $queue   The queue.
	 * @param Job_Options     $options Their options.
	 * @param \Exception|null  $stop    Set to why it ended early, so that what came before can still be written.
	 * @return \Generator<New_Job>
	 */
	private static function each( $jobs, $queue, Job_Options $options, &$stop ) {
		try {
			foreach ( $jobs as $job ) {
				yield New_Job::calling( $job, $queue, $options );
			}
		} catch ( \Exception $thrown ) {
			$stop = $thrown; // A refused job, or what the caller's own generator threw.
		}
	}

	/**
	 * Writes a chunk.
	 *
	 * @param New_Job[] $chunk The jobs.
	 * @param string[]  $ids   Theirs are added.
	 * @throws Write_Failed When the database does not take them.
	 */
	private static function write( array $chunk, array &$ids ) {
		if ( ! $chunk ) {
			return;
		}
		$before = count( $ids );
		$unique = null !== $chunk[0]->options->unique;
		$new    = array();
		try {
			if ( ! $unique ) {
				Intake::add( $chunk, $ids );
			} else {
				foreach ( $chunk as $job ) {
					list( $id, $is_new ) = Job_Writer::insert_unique( $job );
					$ids[]               = $id;
					if ( $is_new ) {
						$new[] = $id;
					}
				}
			}
		} finally {
			// Also of a chunk that failed in the middle.
			$written = $unique ? $new : array_slice( $ids, $before );
			if ( $written ) {
				/**
				 * Fires when add_async_jobs() has written a chunk of its jobs.
				 *
				 * @param string[] $written Their ids.
				 * @param string   $queue   Their queue.
				 */
				do_action( 'background_worker_jobs_added', $written, $chunk[0]->queue );
			}
		}
	}

	/**
	 * Adds one job.
	 *
	 * @param mixed    $queue   The queue.
	 * @param mixed    $options Its options.
	 * @param callable $make    Makes the job of the two.
	 * @return string|\WP_Error Its id.
	 */
	private static function add_one( $queue, $options, callable $make ) {
		try {
			$queue  = Job_Options::queue( $queue );
			$job    = $make( $queue, Job_Options::of( $options, $queue ) );
			$is_new = true;
			self::ensure_tables();
			if ( null === $job->options->unique ) {
				$ids = array();
				Intake::add( array( $job ), $ids );
				list( $id ) = $ids;
			} else {
				list( $id, $is_new ) = Job_Writer::insert_unique( $job );
			}
		} catch ( \Exception $thrown ) {
			return self::refuse( $thrown, $queue, array() );
		}
		if ( $is_new ) {
			/**
			 * Fires when a job has been added; not where a unique key found another.
			 *
			 * @param string  $id    Its id.
			 * @param New_Job $job   The job: payload, callback, blog_id, options.
			 * @param string  $queue Its queue.
			 */
			do_action( 'background_worker_job_added', $id, $job, $queue );
		}
		return $id;
	}

	/**
	 * Brings the tables up to date after an update of the plugin.
	 *
	 * @throws Write_Failed When that fails, and the job could go nowhere else.
	 */
	private static function ensure_tables() {
		try {
			Schema::ensure();
		} catch ( Write_Failed $failed ) {
			if ( 'database' === Lane::backend() ) {
				throw $failed;
			}
			// The broker may take the job; where it does not, the table says itself what is wrong.
		}
	}

	/**
	 * A refusal as WordPress says it.
	 *
	 * @param \Exception $thrown Why.
	 * @param mixed      $queue  The queue.
	 * @param array      $data   What more to say.
	 * @return \WP_Error
	 */
	private static function refuse( \Exception $thrown, $queue, array $data ) {
		if ( $thrown instanceof Bad_Argument ) {
			$error = new \WP_Error( 'background_worker_bad_argument', $thrown->getMessage(), array( 'field' => $thrown->field ) + $data );
		} elseif ( $thrown instanceof Write_Failed ) {
			Schema::forget(); // Somebody may have put an older database back.
			/* translators: %s: what the database said */
			$error = new \WP_Error( 'background_worker_not_written', sprintf( __( 'The job could not be written to the database: %s', 'background-worker' ), $thrown->getMessage() ), $data );
		} else {
			$error = new \WP_Error( 'background_worker_not_added', get_class( $thrown ) . ': ' . $thrown->getMessage(), array( 'exception' => $thrown ) + $data );
		}
		/**
		 * Fires when a job could not be added.
		 *
		 * @param \WP_Error $error Why.
		 * @param mixed     $queue The queue it was for.
		 */
		do_action( 'background_worker_add_failed', $error, $queue );
		return $error;
	}
}
