<?php
/**
 * What a job may have changed in its process.
 *
 * @package Background_Worker
 */

namespace Background_Worker;

/**
 * Remembers the state of a process before its first job and puts it back after each.
 *
 * Put back: output buffers (by Job_Process), error and exception handlers, current user, blog, locale, time zone,
 * superglobals, the main post, PHP settings that jobs use to change, working folder; the runtime object cache is
 * flushed; a transaction left open is rolled back and a lost database connection opened again. Not put back:
 * constants, classes, functions, hooks and static variables. A job that needs those apart belongs into fork or restart.
 */
final class Process_State {

	/**
	 * PHP settings that are put back.
	 */
	const SETTINGS = array( 'memory_limit', 'max_execution_time', 'error_reporting', 'display_errors', 'error_log', 'log_errors', 'default_charset', 'precision', 'serialize_precision', 'user_agent', 'default_socket_timeout', 'mbstring.substitute_character' );

	const SUPERGLOBALS = array( '_GET', '_POST', '_REQUEST', '_COOKIE', '_FILES', '_SERVER', 'post', 'wp_query', 'pagenow' );

	/**
	 * The values, by kind.
	 *
	 * @var array
	 */
	private $kept = array();

	/**
	 * Remembers.
	 */
	public function __construct() {
		global $wpdb;
		$this->kept = array(
			'user'      => get_current_user_id(),
			'blog'      => get_current_blog_id(),
			'zone'      => date_default_timezone_get(),
			'locale'    => setlocale( LC_ALL, '0' ),
			'folder'    => getcwd(),
			'umask'     => umask(),
			'encoding'  => function_exists( 'mb_internal_encoding' ) ? mb_internal_encoding() : null,
			'error'     => self::error_handler(),
			'exception' => self::exception_handler(),
			'suppress'  => $wpdb->suppress_errors,
			'show'      => $wpdb->show_errors,
		);
		foreach ( self::SETTINGS as $name ) {
			$this->kept['ini'][ $name ] = ini_get( $name );
		}
		foreach ( self::SUPERGLOBALS as $name ) {
			$this->kept['globals'][ $name ] = $GLOBALS[ $name ] ?? null;
		}
	}

	/**
	 * Puts it back.
	 *
	 * @return bool False when that cannot be done.
	 */
	public function restore() {
		$this->restore_handlers();
		$this->restore_php();
		$this->restore_database();
		$this->restore_wordpress();
		Connections::refresh_cache();
		return is_resource( STDOUT ) && is_resource( STDERR );
	}

	/**
	 * Takes down the handlers that were put on top of ours.
	 */
	private function restore_handlers() {
		for ( $tries = 0; $tries < 100 && self::error_handler() !== $this->kept['error']; $tries++ ) {
			restore_error_handler();
		}
		for ( $tries = 0; $tries < 100 && self::exception_handler() !== $this->kept['exception']; $tries++ ) {
			restore_exception_handler();
		}
	}

	/**
	 * Puts PHP's own settings back.
	 */
	private function restore_php() {
		foreach ( $this->kept['ini'] as $name => $value ) {
			if ( ini_get( $name ) !== $value ) {
				@ini_set( $name, (string) $value ); // phpcs:ignore -- What cannot be set was not changed either.
			}
		}
		foreach ( $this->kept['globals'] as $name => $value ) {
			$GLOBALS[ $name ] = $value;
		}
		if ( date_default_timezone_get() !== $this->kept['zone'] ) {
			date_default_timezone_set( $this->kept['zone'] ); // phpcs:ignore WordPress.DateTime -- Back to what it was.
		}
		if ( setlocale( LC_ALL, '0' ) !== $this->kept['locale'] ) {
			setlocale( LC_ALL, $this->kept['locale'] );
		}
		if ( null !== $this->kept['encoding'] && mb_internal_encoding() !== $this->kept['encoding'] ) {
			mb_internal_encoding( $this->kept['encoding'] );
		}
		umask( $this->kept['umask'] );
		if ( getcwd() !== $this->kept['folder'] ) {
			chdir( $this->kept['folder'] );
		}
	}

	/**
	 * A usable connection without a transaction of the last job's.
	 */
	private function restore_database() {
		global $wpdb;
		$wpdb->suppress_errors( true );
		$fine = $wpdb->ready && $this->rolled_back();
		if ( ! $fine ) {
			$wpdb->close();
			$wpdb->db_connect( false );
		}
		$wpdb->flush();
		$wpdb->queries         = array();
		$wpdb->suppress_errors = $this->kept['suppress'];
		$wpdb->show_errors     = $this->kept['show'];
	}

	/**
	 * Ends a transaction that was left open, and finds out whether the connection is alive.
	 *
	 * @return bool
	 */
	private function rolled_back() {
		global $wpdb;
		if ( isset( $wpdb->dbh ) && $wpdb->dbh instanceof \mysqli ) {
			try {
				return @mysqli_query( $wpdb->dbh, 'ROLLBACK' ); // phpcs:ignore -- $wpdb would try again and again, and sleep.
			} catch ( \Throwable $thrown ) {
				return false;
			}
		}
		$pdo = $GLOBALS['@pdo'] ?? null;
		if ( $pdo instanceof \PDO && $pdo->inTransaction() ) {
			return false; // The SQLite drop-in counts transactions itself: a new connection begins at none.
		}
		return true;
	}

	/**
	 * Puts user, blog and locale back.
	 */
	private function restore_wordpress() {
		while ( function_exists( 'is_locale_switched' ) && is_locale_switched() ) {
			if ( false === restore_current_locale() ) {
				break;
			}
		}
		if ( is_multisite() && ( get_current_blog_id() !== $this->kept['blog'] || ! empty( $GLOBALS['_wp_switched_stack'] ) ) ) {
			switch_to_blog( $this->kept['blog'] );
			$GLOBALS['_wp_switched_stack'] = array();
			$GLOBALS['switched']           = false;
		}
		if ( get_current_user_id() !== $this->kept['user'] ) {
			wp_set_current_user( $this->kept['user'] );
		}
	}

	/**
	 * The error handler that is in force.
	 *
	 * @return callable|null
	 */
	private static function error_handler() {
		$handler = set_error_handler( '__return_false' ); // phpcs:ignore -- Only to ask.
		restore_error_handler();
		return $handler;
	}

	/**
	 * The exception handler that is in force.
	 *
	 * @return callable|null
	 */
	private static function exception_handler() {
		$handler = set_exception_handler( '__return_false' );
		restore_exception_handler();
		return $handler;
	}
}
