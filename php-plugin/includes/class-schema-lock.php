<?php
/**
 * One process at a time.
 *
 * @package Background_Worker
 */

namespace Background_Worker;

/**
 * Keeps two processes from altering the tables at once. On SQLite it is a transaction as well.
 */
final class Schema_Lock {

	/**
	 * Seconds to wait for another process, and for its open transactions.
	 */
	const PATIENCE = 60;

	/**
	 * Does something while no other process does.
	 *
	 * @param callable $work What to do.
	 * @throws Write_Failed When the lock cannot be had, or what the work throws.
	 */
	public static function hold( callable $work ) {
		if ( Database::is_sqlite() ) {
			self::in_transaction( $work );
			return;
		}
		$name = Database::literal( 'background_worker_' . md5( DB_NAME . '.' . Schema::jobs() ) );
		$got  = Database::value( "SELECT GET_LOCK({$name}, " . self::PATIENCE . ')' );
		if ( '0' === $got ) {
			throw new Write_Failed( __( 'another process has been changing its tables for a minute and is still at it', 'background-worker' ) );
		}
		try {
			// Without it, an ALTER waits a day for somebody's forgotten transaction, and every query on the table with it.
			Database::run( 'SET SESSION lock_wait_timeout = ' . self::PATIENCE );
			$work();
		} finally {
			self::quietly( 'SET SESSION lock_wait_timeout = DEFAULT' );
			self::quietly( "SELECT RELEASE_LOCK({$name})" );
		}
	}

	/**
	 * Does something as one transaction.
	 *
	 * @param callable $work What to do.
	 * @throws \Throwable What the work throws, after the roll-back.
	 */
	public static function in_transaction( callable $work ) {
		Database::run( 'START TRANSACTION' );
		try {
			$work();
			Database::run( 'COMMIT' );
		} catch ( \Throwable $thrown ) {
			self::quietly( 'ROLLBACK' );
			throw $thrown;
		}
	}

	/**
	 * Runs a statement whose failure changes nothing any more.
	 *
	 * @param string $sql The statement.
	 */
	private static function quietly( $sql ) {
		try {
			Database::run( $sql );
		} catch ( Write_Failed $failed ) {
			return;
		}
	}
}
