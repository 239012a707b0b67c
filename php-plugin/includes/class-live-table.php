<?php
/**
 * A table as it is.
 *
 * @package Background_Worker
 */

namespace Background_Worker;

/**
 * What the database has, and how it becomes what Schema wants.
 */
final class Live_Table {

	/**
	 * How often to look again before giving up.
	 */
	const LOOKS = 6;

	/**
	 * A table's columns: name => type.
	 *
	 * @param string $table The table.
	 * @return string[] None when there is no such table.
	 * @throws Write_Failed When the database does not tell.
	 */
	public static function columns( $table ) {
		global $wpdb;
		// Asked first, because the SQLite drop-in rolls back the whole transaction when a statement fails.
		if ( ! Database::rows( 'SHOW TABLES LIKE ' . Database::literal( $wpdb->esc_like( $table ) ) ) ) {
			return array();
		}
		return array_column( Database::rows( "SHOW COLUMNS FROM {$table}" ), 'Type', 'Field' );
	}

	/**
	 * Makes one table what it should be.
	 *
	 * @param string   $table   The table.
	 * @param string[] $columns Name => definition.
	 * @param string[] $indexes Name => definition.
	 * @throws Write_Failed When it cannot be.
	 */
	public static function converge( $table, array $columns, array $indexes ) {
		$failed = null;
		for ( $look = 1; $look <= self::LOOKS; $look++ ) {
			$steps = self::next_steps( $table, $columns, $indexes );
			if ( ! $steps ) {
				return;
			}
			try {
				array_map( array( Database::class, 'run' ), $steps );
			} catch ( Write_Failed $failed ) {
				if ( Database::is_sqlite() ) {
					throw $failed; // There, the lock keeps every other process out, and the transaction is gone.
				}
				continue; // Another process may have done just this.
			}
		}
		throw $failed ? $failed : new Write_Failed( "{$table} still lacks columns after it was altered" );
	}

	/**
	 * What brings a table nearer to what it should be.
	 *
	 * @param string   $table   The table.
	 * @param string[] $columns Name => definition.
	 * @param string[] $indexes Name => definition.
	 * @return string[] Statements; none when it is.
	 */
	private static function next_steps( $table, array $columns, array $indexes ) {
		$there = self::columns( $table );
		if ( ! $there ) {
			$lines = array();
			foreach ( $columns as $name => $definition ) {
				$lines[] = "{$name} {$definition}";
			}
			$lines = implode( ",\n", array_merge( $lines, array_values( $indexes ) ) );
			return array( "CREATE TABLE IF NOT EXISTS {$table} (\n{$lines}\n) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4" );
		}
		if ( Schema::jobs() === $table && Older_Table::is_there() ) {
			return Older_Table::next_steps( $columns );
		}
		$changes = array();
		foreach ( array_diff_key( $columns, $there ) as $name => $definition ) {
			$changes[] = "ADD COLUMN {$name} {$definition}";
		}
		foreach ( array_diff_key( $indexes, self::indexes( $table ) ) as $definition ) {
			$changes[] = "ADD {$definition}";
		}
		return $changes ? array( "ALTER TABLE {$table} " . implode( ', ', $changes ) ) : array();
	}

	/**
	 * A table's indexes.
	 *
	 * @param string $table The table.
	 * @return int[] Name => anything.
	 * @throws Write_Failed When the database does not tell.
	 */
	public static function indexes( $table ) {
		return array_flip( array_unique( array_column( Database::rows( "SHOW INDEX FROM {$table}" ), 'Key_name' ) ) );
	}
}
