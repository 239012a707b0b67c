<?php
/**
 * Jobs into the table of a site on SQLite.
 *
 * @package Background_Worker
 */

namespace Background_Worker;

/**
 * Writes by a prepared statement, on the drop-in's own connection: in the caller's transaction, with the drop-in's
 * settings. What goes through $wpdb there is taken for MySQL's dialect and translated token by token, which takes
 * ten times as long as the writing.
 */
final class Sqlite_Writer {

	/**
	 * The drop-in's connection.
	 *
	 * @return \PDO|null Null where there is none, or it cannot be got at: $wpdb is the way then.
	 */
	public static function connection() {
		global $wpdb;
		try {
			$holder = $wpdb->dbh;
			if ( is_object( $holder ) && method_exists( $holder, 'get_connection' ) ) {
				$holder = $holder->get_connection();
			}
			$pdo = is_object( $holder ) && method_exists( $holder, 'get_pdo' ) ? $holder->get_pdo() : null;
			return $pdo instanceof \PDO && 'sqlite' === $pdo->getAttribute( \PDO::ATTR_DRIVER_NAME ) ? $pdo : null;
		} catch ( Halt $halt ) {
			throw $halt;
		} catch ( \Throwable $thrown ) {
			return null; // A drop-in that is made otherwise.
		}
	}

	/**
	 * Writes jobs: all or none.
	 *
	 * @param \PDO      $pdo        The connection.
	 * @param New_Job[] $jobs       One or more of one call.
	 * @param bool      $may_refuse Whether a job that a unique index refuses is no failure.
	 * @return string[] The ids of those that were written, in order.
	 * @throws Write_Failed When the database does not take them.
	 */
	public static function write( \PDO $pdo, array $jobs, $may_refuse ) {
		$shared  = Job_Row::shared( $jobs[0], (int) floor( microtime( true ) * 1000 ) );
		$columns = array_merge( array( 'payload' ), array_keys( Job_Row::named( $jobs[0] ) + $shared ) );
		$places  = rtrim( str_repeat( '?,', count( $columns ) ), ',' );
		$sql     = ( $may_refuse ? 'INSERT OR IGNORE' : 'INSERT' ) . ' INTO ' . Schema::jobs() . ' (' . implode( ', ', $columns ) . ") VALUES ({$places})";
		$sql     = (string) apply_filters( 'query', $sql ); // phpcs:ignore WordPress.NamingConventions -- WordPress's own, as for every statement.
		$began   = microtime( true );
		try {
			$statement = self::prepared( $pdo, $sql, count( $columns ), $shared );
			if ( 1 === count( $jobs ) ) {
				return self::insert( $pdo, $statement, $jobs );
			}
			return self::whole(
				$pdo,
				static function () use ( $pdo, $statement, $jobs ) {
					return self::insert( $pdo, $statement, $jobs );
				}
			);
		} catch ( \PDOException $refused ) {
			throw new Write_Failed( Database::one_line( $refused->getMessage() ) );
		} finally {
			self::note( $sql, $began );
		}
	}

	/**
	 * A statement with the values in it that all rows share, at its end.
	 *
	 * @param \PDO   $pdo    The connection.
	 * @param string $sql    The statement.
	 * @param int    $places How many values it takes.
	 * @param array  $shared Those.
	 * @return \PDOStatement
	 * @throws \PDOException When it cannot be prepared.
	 */
	private static function prepared( \PDO $pdo, $sql, $places, array $shared ) {
		// What a filter leaves nothing of is not run, as $wpdb has it; PHP 8 throws another error for it.
		if ( '' === trim( $sql ) ) {
			throw new \PDOException( 'a filter of the site took the statement away' );
		}
		$statement = $pdo->prepare( $sql );
		if ( ! $statement ) {
			throw new \PDOException( implode( ' ', $pdo->errorInfo() ) ); // A connection that does not throw by itself.
		}
		$place = $places - count( $shared );
		foreach ( $shared as $value ) {
			$statement->bindValue( ++$place, $value, is_int( $value ) ? \PDO::PARAM_INT : \PDO::PARAM_STR );
		}
		return $statement;
	}

	/**
	 * Runs it for each job.
	 *
	 * @param \PDO          $pdo       The connection.
	 * @param \PDOStatement $statement The statement.
	 * @param New_Job[]     $jobs      The jobs.
	 * @return string[] Their ids.
	 * @throws \PDOException When the database does not take one.
	 */
	private static function insert( \PDO $pdo, \PDOStatement $statement, array $jobs ) {
		$ids = array();
		foreach ( $jobs as $job ) {
			$place = 1;
			$statement->bindValue( $place, $job->payload, \PDO::PARAM_LOB );
			foreach ( Job_Row::named( $job ) as $value ) {
				$statement->bindValue( ++$place, $value, is_int( $value ) ? \PDO::PARAM_INT : \PDO::PARAM_STR );
			}
			if ( ! $statement->execute() ) {
				throw new \PDOException( implode( ' ', $statement->errorInfo() ) );
			}
			if ( $statement->rowCount() > 0 ) {
				$ids[] = (string) $pdo->lastInsertId();
			}
		}
		return $ids;
	}

	/**
	 * Does something whole or not at all, inside of the caller's transaction or outside of any.
	 *
	 * @param \PDO     $pdo The connection.
	 * @param callable $act What.
	 * @return mixed What it returned.
	 * @throws \Throwable What it threw.
	 */
	private static function whole( \PDO $pdo, callable $act ) {
		$pdo->exec( 'SAVEPOINT background_worker' );
		try {
			$done = $act();
			$pdo->exec( 'RELEASE background_worker' );
			return $done;
		} catch ( \Throwable $thrown ) {
			try {
				$pdo->exec( 'ROLLBACK TO background_worker' );
				$pdo->exec( 'RELEASE background_worker' );
			} catch ( \PDOException $gone ) {
				unset( $gone ); // A full disk ends the whole transaction by itself.
			}
			throw $thrown;
		}
	}

	/**
	 * Leaves a trace of the statement where those of $wpdb leave theirs.
	 *
	 * @param string $sql   The statement.
	 * @param float  $began Unix time.
	 */
	private static function note( $sql, $began ) {
		global $wpdb;
		++$wpdb->num_queries;
		if ( defined( 'SAVEQUERIES' ) && SAVEQUERIES ) {
			$wpdb->log_query( $sql, microtime( true ) - $began, $wpdb->get_caller(), $began, array() );
		}
	}
}
