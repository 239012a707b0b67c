<?php
/**
 * A booted WordPress that does what PHP requests do, one command a line on stdin, one line of answer on stdout.
 *
 *     wp eval-file requests.php
 *
 * A command is a JSON object: `do` names one of the functions below, `with` holds its arguments.
 *
 * @package Background_Worker
 */

/**
 * Commands of the benchmarks.
 */
final class Bench_Requests {

	/**
	 * Adds no-op jobs in bulk.
	 *
	 * @param int    $jobs  How many.
	 * @param string $queue Their queue.
	 * @return array Seconds, how many distinct ids came back, and bytes: the peak beyond what was held before, that
	 *               peak without the ids.
	 */
	public static function bulk( $jobs, $queue ) {
		$source = static function () use ( $jobs ) {
			for ( $number = 0; $number < $jobs; $number++ ) {
				yield (object) array(
					'function'  => 'bench_noop',
					'user_data' => $number,
				);
			}
		};
		gc_collect_cycles();
		$held  = memory_get_usage();
		$began = microtime( true );
		$ids   = self::good( add_async_jobs( $source(), $queue ) );
		$took  = microtime( true ) - $began;
		$peak  = memory_get_peak_usage() - $held;
		$many  = count( array_unique( $ids ) );
		$with  = memory_get_usage();
		unset( $ids );
		return array(
			'seconds'  => $took,
			'ids'      => $many,
			'peak'     => $peak,
			'peak_own' => $peak - ( $with - memory_get_usage() ),
		);
	}

	/**
	 * Adds one job that says when it is called.
	 *
	 * @param int    $number Which one it is.
	 * @param string $queue  Its queue.
	 * @param string $bell   Where it says so.
	 * @return float[] Seconds since 1970 before and after the call.
	 */
	public static function one( $number, $queue, $bell ) {
		$job    = self::stamp( $number, $bell );
		$before = microtime( true );
		self::good( add_async_job( $job, $queue ) );
		return array( $before, microtime( true ) );
	}

	/**
	 * Adds such jobs at a steady rate, as visitors come: at random, and not all at once after a pause.
	 *
	 * @param int    $jobs  How many.
	 * @param float  $rate  Jobs a second on average; fewer where one process cannot add so many.
	 * @param string $queue Their queue.
	 * @return array Seconds since 1970 before each call, by number, and `seconds` for all.
	 */
	public static function steady( $jobs, $rate, $queue ) {
		$calls = array();
		$began = microtime( true );
		$next  = $began;
		for ( $number = 0; $number < $jobs; $number++ ) {
			$next += -log( ( mt_rand() + 1 ) / ( mt_getrandmax() + 1 ) ) / $rate;
			$wait  = $next - microtime( true );
			if ( $wait > 0 ) {
				usleep( (int) ( $wait * 1000000 ) );
			}
			$job     = self::stamp( $number, null );
			$calls[] = microtime( true );
			self::good( add_async_job( $job, $queue ) );
		}
		return array(
			'calls'   => $calls,
			'seconds' => microtime( true ) - $began,
		);
	}

	/**
	 * Adds jobs one by one, and writes rows of the same size with a bare insert of its columns and of two, in turn.
	 *
	 * @param int    $jobs  How many of each.
	 * @param string $queue Their queue.
	 * @return float[] Seconds for all of each: `job`, `columns`, `bare`.
	 */
	public static function single( $jobs, $queue ) {
		global $wpdb;
		$table = $wpdb->base_prefix . 'bg_jobs';
		$job   = (object) array(
			'function'  => 'bench_noop',
			'user_data' => str_repeat( 'x', 200 ),
		);
		$bytes = serialize( $job );
		$full  = array(
			'queue'        => 'bare',
			'payload'      => $bytes,
			'status'       => 'queued',
			'priority'     => 0,
			'max_attempts' => 3,
			'backoff'      => 30,
			'timeout'      => null,
			'available_at' => (int) ( microtime( true ) * 1000 ),
			'due_at'       => 0,
			'blog_id'      => 1,
			'batch'        => null,
			'callback'     => 'bench_noop',
			'unique_key'   => null,
			'unique_hash'  => null,
			'external_id'  => null,
		);
		// What the label of the callback takes in the other rows is in the payload here.
		$short = array(
			'queue'   => 'bare',
			'payload' => $bytes . 'bench_noop',
		);
		$ways  = array(
			'job'     => static function () use ( $job, $queue ) {
				return self::good( add_async_job( $job, $queue ) );
			},
			'columns' => static function () use ( $wpdb, $table, $full ) {
				return $wpdb->insert( $table, $full );
			},
			'bare'    => static function () use ( $wpdb, $table, $short ) {
				return $wpdb->insert( $table, $short );
			},
		);
		$took  = array_fill_keys( array_keys( $ways ), 0.0 );
		$names = array_keys( $ways );
		for ( $number = 0; $number < $jobs; $number++ ) {
			$names[] = array_shift( $names );
			foreach ( $names as $name ) {
				$began = microtime( true );
				$done  = $ways[ $name ]();
				$ended = microtime( true );
				if ( ! $done ) {
					throw new RuntimeException( "{$name}: {$wpdb->last_error}" );
				}
				$took[ $name ] += $ended - $began;
			}
		}
		return $took;
	}

	/**
	 * The name under which a queue's jobs are in a broker.
	 *
	 * @param string $kind  `tube` or `gearman_function`.
	 * @param string $queue The queue.
	 * @return string
	 */
	public static function lane( $kind, $queue ) {
		return call_user_func( array( 'Background_Worker\Lane_Names', $kind ), $queue );
	}

	/**
	 * What the database keeps to, as this connection sees it.
	 *
	 * @return array Its version, and how it waits for the disk.
	 */
	public static function database() {
		global $wpdb;
		if ( defined( 'DB_ENGINE' ) && 'sqlite' === DB_ENGINE ) {
			$pdo  = $GLOBALS['@pdo'];
			$read = static function ( $what ) use ( $pdo ) {
				return $pdo->query( $what )->fetchColumn();
			};
			return array(
				'version'     => $read( 'SELECT sqlite_version()' ),
				'journal'     => $read( 'PRAGMA journal_mode' ),
				'synchronous' => (int) $read( 'PRAGMA synchronous' ),
			);
		}
		return array(
			'version'     => $wpdb->get_var( 'SELECT VERSION()' ),
			'flush'       => (int) $wpdb->get_var( 'SELECT @@innodb_flush_log_at_trx_commit' ),
			'doublewrite' => (int) $wpdb->get_var( 'SELECT @@innodb_doublewrite' ),
			'buffer_mb'   => (int) $wpdb->get_var( 'SELECT @@innodb_buffer_pool_size DIV 1048576' ),
		);
	}

	/**
	 * A job that says when it is called.
	 *
	 * @param int         $number Which one.
	 * @param string|null $bell   Where it says so.
	 * @return object
	 */
	private static function stamp( $number, $bell ) {
		return (object) array(
			'function'  => 'bench_stamp',
			'user_data' => array(
				'number' => $number,
				'bell'   => $bell,
			),
		);
	}

	/**
	 * No answer that is an error.
	 *
	 * @param mixed $answer What was answered.
	 * @return mixed The same.
	 * @throws RuntimeException When it is an error.
	 */
	private static function good( $answer ) {
		if ( is_wp_error( $answer ) ) {
			throw new RuntimeException( $answer->get_error_message() );
		}
		return $answer;
	}
}

fwrite( STDOUT, "\nBENCH {}\n" );
while ( true ) {
	$bench_line = fgets( STDIN );
	if ( false === $bench_line ) {
		break;
	}
	$bench_command = json_decode( $bench_line, true );
	try {
		$bench_answer = call_user_func_array( array( 'Bench_Requests', $bench_command['do'] ), $bench_command['with'] );
	} catch ( Throwable $bench_thrown ) {
		$bench_answer = array( 'failed' => get_class( $bench_thrown ) . ': ' . $bench_thrown->getMessage() );
	}
	fwrite( STDOUT, "\nBENCH " . json_encode( $bench_answer, JSON_PRESERVE_ZERO_FRACTION ) . "\n" );
}
