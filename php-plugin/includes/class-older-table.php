<?php
/**
 * The older plugin's table.
 *
 * @package Background_Worker
 */

namespace Background_Worker;

/**
 * Brings the table of the older Async Background Worker up to ours; its jobs stay in it and still run.
 *
 * Its payload is text, its attempts count to 3 and then nobody looks at the row again. On a network, every blog has
 * a table of its own; we have one.
 */
final class Older_Table {

	/**
	 * Runs that the older plugin gave a job.
	 */
	const ITS_ATTEMPTS = 3;

	/**
	 * Whether the table of the jobs is still the older plugin's.
	 *
	 * @return bool
	 */
	public static function is_there() {
		$type = Live_Table::columns( Schema::jobs() )['payload'] ?? 'longblob';
		return 'longblob' !== strtolower( $type );
	}

	/**
	 * The statements that make its columns ours. What is missing besides is added after that.
	 *
	 * @param string[] $columns Ours, name => definition.
	 * @return string[]
	 */
	public static function next_steps( array $columns ) {
		$table  = Schema::jobs();
		$common = array();
		foreach ( array( 'queue', 'attempts' ) as $name ) {
			$common[] = "MODIFY COLUMN {$name} {$columns[ $name ]}";
		}
		if ( Database::is_sqlite() ) {
			// There, a text cannot become a blob where it is. All this is in one transaction.
			return array(
				"ALTER TABLE {$table} ADD COLUMN payload_bytes longblob NULL",
				"UPDATE {$table} SET payload_bytes = CAST(payload AS BINARY)",
				"ALTER TABLE {$table} DROP COLUMN payload",
				"ALTER TABLE {$table} CHANGE COLUMN payload_bytes payload {$columns['payload']}, " . implode( ', ', $common ),
			);
		}
		$common[] = "MODIFY COLUMN payload {$columns['payload']}";
		$common[] = 'ENGINE=InnoDB';
		$steps    = array( "ALTER TABLE {$table} " . implode( ', ', $common ) );
		if ( self::is_recoded( $table ) ) {
			array_unshift( $steps, "ALTER TABLE {$table} MODIFY COLUMN payload longtext CHARACTER SET utf8mb4 NOT NULL" );
		}
		return $steps;
	}

	/**
	 * Gives the older plugin's rows what our columns mean. Once done, there is nothing to do for it any more.
	 *
	 * @throws Write_Failed When the database refuses.
	 */
	public static function settle() {
		$table = Schema::jobs();
		$now   = Database::now();
		$error = wp_json_encode(
			array(
				'class'   => 'AttemptsUsedUp',
				'message' => 'The older Async Background Worker plugin had tried this job ' . self::ITS_ATTEMPTS . ' times and kept no reason. To run it again: wpbg jobs retry',
				'file'    => '',
				'line'    => 0,
				'trace'   => '',
			)
		);
		// Our own workers count a lease with each attempt, so a row without one is not theirs.
		Database::run(
			"UPDATE {$table} SET status = 'failed', error = " . Database::literal( $error ) . ", finished_at = {$now}, due_at = {$now}" .
			" WHERE status = 'queued' AND lease_token = 0 AND attempts >= " . self::ITS_ATTEMPTS
		);
		if ( is_multisite() ) {
			Database::run( "UPDATE {$table} SET blog_id = " . get_main_site_id() . ' WHERE blog_id = 0' );
		}
	}

	/**
	 * Moves the jobs of the current blog's own table into the network's, and removes that table.
	 *
	 * @throws Write_Failed When the database refuses; nothing has moved then.
	 */
	public static function adopt() {
		global $wpdb;
		$its_table = $wpdb->prefix . 'bg_jobs';
		if ( is_multisite() && Schema::jobs() !== $its_table && Live_Table::columns( $its_table ) ) {
			Schema_Lock::hold(
				static function () use ( $its_table ) {
					if ( Database::is_sqlite() ) {
						self::move( $its_table );
					} else {
						Database::run( "ALTER TABLE {$its_table} ENGINE=InnoDB" );
						Schema_Lock::in_transaction(
							static function () use ( $its_table ) {
								self::move( $its_table );
							}
						);
					}
					Database::run( "DROP TABLE IF EXISTS {$its_table}" );
					self::settle();
				}
			);
		}
		if ( is_multisite() ) {
			update_option( Schema::OPTION, Schema::VERSION, false );
		}
	}

	/**
	 * Moves the rows.
	 *
	 * @param string $its_table From where.
	 * @throws Write_Failed When the database refuses.
	 */
	private static function move( $its_table ) {
		$payload = self::is_recoded( $its_table ) ? 'CONVERT(payload USING utf8mb4)' : 'payload';
		$blog    = get_current_blog_id();
		Database::run(
			'INSERT INTO ' . Schema::jobs() . ' (queue, payload, attempts, blog_id)' .
			" SELECT LEFT(queue, 191), CAST({$payload} AS BINARY), attempts, {$blog} FROM {$its_table} ORDER BY id"
		);
		Database::run( "DELETE FROM {$its_table}" );
	}

	/**
	 * Whether the server had changed the payload's bytes when it stored them: an old site's table may be latin1 while
	 * WordPress talks UTF-8, and serialize() counts bytes.
	 *
	 * @param string $table The table.
	 * @return bool
	 * @throws Write_Failed When the database does not tell.
	 */
	private static function is_recoded( $table ) {
		global $wpdb;
		if ( Database::is_sqlite() || 0 !== strpos( (string) $wpdb->charset, 'utf8' ) ) {
			return false;
		}
		$columns   = Database::rows( "SHOW FULL COLUMNS FROM {$table} LIKE 'payload'" );
		$collation = $columns ? (string) $columns[0]->Collation : ''; // phpcs:ignore WordPress.NamingConventions.ValidVariableName -- MySQL's name.
		return '' !== $collation && 0 !== strpos( $collation, 'utf8' );
	}
}
