<?php
/**
 * A process's connections.
 *
 * @package Background_Worker
 */

namespace Background_Worker;

/**
 * Lets go of the database and the object cache before a fork, and opens them anew after it.
 */
final class Connections {

	/**
	 * Closes what a child must not share with its parent.
	 */
	public static function let_go() {
		self::close_database();
		if ( wp_using_ext_object_cache() ) {
			wp_cache_close();
			unset( $GLOBALS['wp_object_cache'] ); // What it is connected with goes with it.
		}
		gc_collect_cycles();
	}

	/**
	 * Closes the connection to the database; a transaction in it is undone.
	 */
	public static function close_database() {
		global $wpdb;
		$wpdb->close();
		if ( ! empty( $wpdb->dbh ) ) {
			$wpdb->dbh = null; // A drop-in whose close() does nothing.
		}
		$wpdb->ready = false;
		$pdo         = $GLOBALS['@pdo'] ?? null; // Another name for the SQLite drop-in's connection.
		if ( $pdo instanceof \PDO ) {
			try {
				$pdo->exec( 'ROLLBACK' ); // A job may have kept it under a name of its own.
			} catch ( \Throwable $thrown ) {
				unset( $thrown ); // There was no transaction.
			}
		}
		unset( $pdo, $GLOBALS['@pdo'] );
	}

	/**
	 * Opens them anew.
	 *
	 * @return bool Whether the database answers.
	 */
	public static function open() {
		global $wpdb;
		if ( ! $wpdb->db_connect( false ) ) {
			return false;
		}
		self::refresh_cache();
		return true;
	}

	/**
	 * Forgets what the object cache remembers of earlier times in this process, and nothing else.
	 */
	public static function refresh_cache() {
		if ( ! wp_using_ext_object_cache() ) {
			wp_cache_flush();
		} elseif ( isset( $GLOBALS['wp_object_cache'] ) && function_exists( 'wp_cache_supports' ) && wp_cache_supports( 'flush_runtime' ) ) {
			wp_cache_flush_runtime();
		} else {
			wp_cache_init();
			wp_start_object_cache(); // Names the groups anew.
		}
	}
}
