<?php
/**
 * Jobs into the table.
 *
 * @package Background_Worker
 */

namespace Background_Worker;

/**
 * Writes jobs to the database queue. It never opens a transaction: it may be called inside the caller's.
 */
final class Job_Writer {

	/**
	 * MySQL ends the younger of two statements that wait for each other; nothing of it was written, so it may run again.
	 */
	const TRIES = 5;

	/**
	 * Statements of up to this many bytes fit everywhere without asking.
	 */
	const ALWAYS_FITS = 1000000;

	/**
	 * What a row takes beside its texts: numbers, and twice the expression for now.
	 */
	const ROW_BYTES = 320;

	/**
	 * How far back a row may be that the same statement wrote before: others add rows while WordPress connects anew.
	 */
	const TWINS_WITHIN = 50000;

	/**
	 * The lease tokens that a job has had by the time that somebody looks for its twin.
	 */
	const TAKEN_MEANWHILE = 1000;

	/**
	 * How much of a statement a job is.
	 *
	 * @param New_Job $job The job.
	 * @return int Bytes, as long as nothing has to be escaped.
	 */
	public static function size( New_Job $job ) {
		return self::ROW_BYTES + strlen( $job->payload ) + strlen( $job->callback ) + strlen( $job->queue ) + strlen( (string) $job->options->batch );
	}

	/**
	 * Writes jobs in one statement: all or none.
	 *
	 * @param New_Job[] $jobs One or more, without unique keys.
	 * @return string[] Their ids, in order.
	 * @throws Write_Failed When the database does not take them.
	 */
	public static function insert( array $jobs ) {
		$ids = self::write( $jobs, false );
		if ( ! $ids ) {
			throw new Write_Failed( __( 'the database did not tell the id of the job', 'background-worker' ) );
		}
		return $ids;
	}

	/**
	 * Writes a job with a unique key, unless an unfinished one of its key and queue exists.
	 *
	 * The index decides, not the look beforehand: of two processes that add the same job at once, one writes nothing
	 * and then finds the other's. With IGNORE, that is no failed statement; the SQLite drop-in answers those by
	 * rolling back all that the caller's transaction has done so far.
	 *
	 * @param New_Job $job The job.
	 * @return array{0: string, 1: bool} Its id or the other's, and whether it was written.
	 * @throws Write_Failed When the database does not take it.
	 */
	public static function insert_unique( New_Job $job ) {
		$found = self::find_unfinished( $job, '' );
		for ( $try = 1; null === $found && $try <= self::TRIES; $try++ ) {
			$ids = self::write( array( $job ), true );
			if ( $ids ) {
				return array( $ids[0], true );
			}
			// Inside a transaction of the caller's, a plain SELECT shows the table as it was when that began.
			$found = self::find_unfinished( $job, Database::is_sqlite() ? '' : ' LOCK IN SHARE MODE' );
		}
		if ( null === $found ) {
			throw new Write_Failed( __( 'jobs of the same unique key came and went faster than this one could be written', 'background-worker' ) );
		}
		return array( $found, false );
	}

	/**
	 * Writes jobs that a broker may have as well, unless a worker has written them already.
	 *
	 * @param New_Job[] $jobs One or more, with external ids and without unique keys.
	 * @return string[] Their ids, in order.
	 * @throws Write_Failed When the database does not take them.
	 */
	public static function insert_uncertain( array $jobs ) {
		self::write( $jobs, true );
		$known = array_column( $jobs, 'external_id' );
		// Inside a transaction of the caller's, a plain SELECT does not see what a worker has written since.
		$lock = Database::is_sqlite() ? '' : ' LOCK IN SHARE MODE';
		$list = implode( ',', array_map( array( Database::class, 'literal' ), $known ) );
		$ids  = array_column( Database::rows( 'SELECT id, external_id FROM ' . Schema::jobs() . " WHERE external_id IN ({$list}){$lock}" ), 'id', 'external_id' );
		if ( array_diff_key( array_flip( $known ), $ids ) ) {
			throw new Write_Failed( __( 'the database did not keep the job', 'background-worker' ) );
		}
		return array_map(
			static function ( $id ) use ( $ids ) {
				return (string) $ids[ $id ];
			},
			$known
		);
	}

	/**
	 * Writes jobs of one call: they share their queue and options.
	 *
	 * @param New_Job[] $jobs       The jobs. Either all have external ids or none has.
	 * @param bool      $may_refuse Whether a job that a unique index refuses is no failure.
	 * @return string[] Their ids, in order; none when the index refused the only one.
	 * @throws Write_Failed When the database does not take them.
	 */
	private static function write( array $jobs, $may_refuse ) {
		global $wpdb;
		$sqlite = Database::is_sqlite() ? Sqlite_Writer::connection() : null;
		if ( null !== $sqlite ) {
			return Sqlite_Writer::write( $sqlite, $jobs, $may_refuse );
		}
		$mark = random_int( 1, min( PHP_INT_MAX, 2 ** 48 ) ); // No other row has it, or one of the thousand after it.
		$sql  = self::statement( $jobs, $may_refuse ? 'INSERT IGNORE' : 'INSERT', $mark );
		self::check_size( $sql );
		$connection = self::connection();
		for ( $try = 1; ; $try++ ) {
			try {
				$written = Database::run( $sql );
				$ids     = $written ? self::ids( (int) $wpdb->insert_id, count( $jobs ) ) : array();
				return $ids && self::connection() !== $connection ? self::written_once( $ids, $mark ) : $ids;
			} catch ( Write_Failed $failed ) {
				if ( $try >= self::TRIES || false === stripos( $failed->getMessage(), 'deadlock' ) ) {
					throw $failed;
				}
			}
		}
	}

	/**
	 * What $wpdb is connected by.
	 *
	 * @return object|null
	 */
	private static function connection() {
		global $wpdb;
		return isset( $wpdb->dbh ) && is_object( $wpdb->dbh ) ? $wpdb->dbh : null;
	}

	/**
	 * Takes back what was written twice. When the server went away, WordPress connects anew and says the statement
	 * again; the server may have carried it out and gone before it could answer. (This is not asked of the unique
	 * index of external ids: it would cost every job a random place in it.)
	 *
	 * @param string[] $ids  What the statement wrote at last.
	 * @param int      $mark The first lease token of these rows, and of no others.
	 * @return string[] The ids of the rows that are left, in order.
	 */
	private static function written_once( array $ids, $mark ) {
		$jobs  = Schema::jobs();
		$first = (int) $ids[0];
		$list  = implode( ',', array_map( 'intval', $ids ) );
		$range = 'BETWEEN ' . max( 1, $first - self::TWINS_WITHIN ) . ' AND ' . ( $first - 1 );
		$marks = "BETWEEN {$mark} AND " . ( $mark + self::TAKEN_MEANWHILE );
		try {
			$twins = array_column( Database::rows( "SELECT id FROM {$jobs} WHERE id {$range} AND lease_token {$marks} ORDER BY id" ), 'id' );
			if ( count( $twins ) !== count( $ids ) ) {
				return $ids;
			}
			// Not what a worker has taken by now: it runs, and both are told of by their ids.
			Database::run( "DELETE FROM {$jobs} WHERE id IN ({$list}) AND status IN ('queued', 'delayed') AND lease_token = {$mark}" );
			$left = array_flip( array_column( Database::rows( "SELECT id FROM {$jobs} WHERE id IN ({$list})" ), 'id' ) );
		} catch ( Write_Failed $failed ) {
			return $ids; // The server went away once more. The jobs are written, perhaps twice.
		}
		foreach ( $ids as $number => $id ) {
			$ids[ $number ] = isset( $left[ $id ] ) ? $id : (string) $twins[ $number ];
		}
		return $ids;
	}

	/**
	 * The unfinished job of the same key and queue.
	 *
	 * @param New_Job $job  The job.
	 * @param string  $lock How to read.
	 * @return string|null Its id.
	 * @throws Write_Failed When the table cannot be read.
	 */
	private static function find_unfinished( New_Job $job, $lock ) {
		$hash = Database::literal( $job->unique_hash() );
		return Database::value( 'SELECT id FROM ' . Schema::jobs() . " WHERE unique_hash = {$hash}{$lock}" );
	}

	/**
	 * The statement that writes jobs.
	 *
	 * @param New_Job[] $jobs The jobs.
	 * @param string    $verb INSERT, or INSERT IGNORE.
	 * @param int       $mark Their first lease token.
	 * @return string
	 */
	private static function statement( array $jobs, $verb, $mark ) {
		$shared = Job_Row::shared( $jobs[0], Database::now() );
		$rest   = '';
		foreach ( $shared as $column => $value ) {
			$rest .= ',' . ( 'available_at' === $column || 'due_at' === $column ? $value : Database::literal( $value ) );
		}
		$rest .= ",{$mark})";
		$rows  = array();
		foreach ( $jobs as $job ) {
			$row = '(' . Database::bytes( $job->payload );
			foreach ( Job_Row::named( $job ) as $value ) {
				$row .= ',' . Database::literal( $value );
			}
			$rows[] = $row . $rest;
		}
		$columns = implode( ', ', array_keys( Job_Row::named( $jobs[0] ) + $shared ) );
		return "{$verb} INTO " . Schema::jobs() . " (payload, {$columns}, lease_token) VALUES " . implode( ',', $rows );
	}

	/**
	 * Refuses a statement that the server would hang up on.
	 *
	 * @param string $sql The statement.
	 * @throws Write_Failed When it is too long.
	 */
	private static function check_size( $sql ) {
		if ( strlen( $sql ) <= self::ALWAYS_FITS || Database::is_sqlite() ) {
			return;
		}
		$most = (int) Database::value( 'SELECT @@max_allowed_packet' );
		if ( $most > 0 && strlen( $sql ) >= $most ) {
			throw new Write_Failed(
				sprintf(
					/* translators: 1: bytes needed, 2: bytes allowed */
					__( 'the job takes %1$d bytes as SQL, and the database server takes at most %2$d (max_allowed_packet): keep the data elsewhere and put its name into the job', 'background-worker' ),
					strlen( $sql ),
					$most
				)
			);
		}
	}

	/**
	 * The ids of the rows that one statement wrote.
	 *
	 * MySQL tells the first one, SQLite the last one; those between are as far apart as the server says.
	 *
	 * @param int $told  What the database told.
	 * @param int $count How many rows.
	 * @return string[] None when it told none.
	 */
	private static function ids( $told, $count ) {
		if ( $told < 1 ) {
			return array();
		}
		$step  = 1;
		$first = $told;
		if ( $count > 1 && Database::is_sqlite() ) {
			$first = $told - $count + 1;
		} elseif ( $count > 1 ) {
			// From the table just written to: where reads go to replicas, this one goes to the server that knows.
			$step = max( 1, (int) Database::value( 'SELECT @@auto_increment_increment FROM ' . Schema::jobs() . ' LIMIT 1' ) );
		}
		return array_map( 'strval', range( $first, $first + ( $count - 1 ) * $step, $step ) );
	}
}
