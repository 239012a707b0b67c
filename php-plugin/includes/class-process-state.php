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
 * flushed; a transaction left open is rolled back; a database connection that was lost, or in which a job changed
 * more than tables by $wpdb->query() (variables, locks, the database in use), is opened anew. Not put back: constants,
 * classes, functions, hooks, static and environment variables, and what was done to the connection past $wpdb->query().
 * A job that needs those apart belongs into fork or restart.
 */
final class Process_State {

	/**
	 * PHP settings that are put back.
	 */
	const SETTINGS = array( 'memory_limit', 'max_execution_time', 'error_reporting', 'display_errors', 'error_log', 'log_errors', 'default_charset', 'precision', 'serialize_precision', 'user_agent', 'default_socket_timeout', 'mbstring.substitute_character', 'pcre.backtrack_limit', 'pcre.recursion_limit', 'include_path' );

	const SUPERGLOBALS = array( '_GET', '_POST', '_REQUEST', '_COOKIE', '_FILES', '_SERVER', 'post', 'wp_query', 'pagenow', 'locale' );

	/**
	 * Seconds without a job after which the connection to the database is looked at.
	 */
	const IDLE = 1.0;

	/**
	 * SQL that leaves something behind in its session.
	 */
	const OF_SESSION = '~^(?:[\s(]|/\*.*?\*/)*(?:set|use|lock|do|prepare|create\s+(?:or\s+replace\s+)?temporary)\b|\bget_lock\s*\(|:=~is';

	/**
	 * Whether such SQL was run since the connection was opened.
	 *
	 * @var bool
	 */
	private $session_changed = false;

	/**
	 * When the connection to the database was seen to be fine.
	 *
	 * @var float
	 */
	private $connected_at = 0.0;

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
			'prefix'    => $wpdb->base_prefix,
			'options'   => $wpdb->options,
			'zone'      => date_default_timezone_get(),
			'locale'    => setlocale( LC_ALL, '0' ),
			'folder'    => getcwd(),
			'buffers'   => ob_get_level(),
			'libxml'    => function_exists( 'libxml_use_internal_errors' ) && libxml_use_internal_errors(),
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
		add_filter( 'query', array( $this, 'on_query' ), PHP_INT_MAX );
		foreach ( self::SUPERGLOBALS as $name ) {
			$this->kept['globals'][ $name ] = $GLOBALS[ $name ] ?? null;
		}
	}

	/**
	 * Sees each statement that goes through $wpdb.
	 *
	 * @param string $sql The statement.
	 * @return string
	 */
	public function on_query( $sql ) {
		$this->session_changed = $this->session_changed || preg_match( self::OF_SESSION, (string) $sql );
		return $sql;
	}

	/**
	 * Puts it back.
	 *
	 * @param bool $failed Whether the job failed; it may have done so because the object cache's server hung up.
	 * @return string|null Why that cannot be done.
	 */
	public function restore( $failed ) {
		$this->restore_handlers();
		$this->restore_php();
		$this->restore_database();
		$this->restore_wordpress();
		try {
			Connections::refresh_cache( $failed );
		} catch ( \Throwable $thrown ) {
			return 'the object cache cannot be emptied: ' . $thrown->getMessage();
		}
		if ( ob_get_level() > $this->kept['buffers'] ) {
			return 'a job left an output buffer that cannot be closed';
		}
		return is_resource( STDOUT ) && is_resource( STDERR ) ? null : 'a job closed a standard stream';
	}

	/**
	 * Before a job: a server may have hung up on a process that had nothing to do, or may not have been there when
	 * the last job ended.
	 *
	 * @return string|null Why no job can run.
	 */
	public function reconnect() {
		global $wpdb;
		if ( ! $wpdb->ready || Clock::now() - $this->connected_at > self::IDLE ) {
			$this->restore_database();
		}
		return $wpdb->ready ? null : 'the site\'s database cannot be reached';
	}

	/**
	 * Takes down the handlers that were put on top of ours.
	 */
	private function restore_handlers() {
		for ( $tries = 0; $tries < 1000 && ! in_array( self::error_handler(), array( null, $this->kept['error'] ), true ); $tries++ ) {
			restore_error_handler();
		}
		if ( self::error_handler() !== $this->kept['error'] ) {
			set_error_handler( $this->kept['error'] ); // phpcs:ignore -- The job took it down.
		}
		for ( $tries = 0; $tries < 1000 && ! in_array( self::exception_handler(), array( null, $this->kept['exception'] ), true ); $tries++ ) {
			restore_exception_handler();
		}
		if ( self::exception_handler() !== $this->kept['exception'] ) {
			set_exception_handler( $this->kept['exception'] );
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
		if ( function_exists( 'pcntl_signal' ) ) {
			pcntl_signal( SIGCHLD, SIG_DFL );
		}
		if ( function_exists( 'libxml_use_internal_errors' ) ) {
			libxml_use_internal_errors( $this->kept['libxml'] );
		}
		mt_srand( random_int( 0, PHP_INT_MAX ) ); // A job that wanted its own row of numbers.
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
		if ( $this->session_changed || ! $wpdb->ready || ! self::rolled_back() ) {
			Connections::close_database();
			$wpdb->db_connect( false );
			$this->session_changed = false;
		}
		$wpdb->flush();
		$wpdb->queries         = array();
		$wpdb->suppress_errors = $this->kept['suppress'];
		$wpdb->show_errors     = $this->kept['show'];
		$this->connected_at    = Clock::now();
	}

	/**
	 * Ends a transaction that was left open, and finds out whether the connection is alive.
	 *
	 * @return bool False when a new connection is needed.
	 */
	private static function rolled_back() {
		global $wpdb;
		try {
			if ( isset( $wpdb->dbh ) && $wpdb->dbh instanceof \mysqli ) {
				return @mysqli_query( $wpdb->dbh, 'ROLLBACK' ); // phpcs:ignore -- $wpdb would try again and again, and sleep.
			}
			$pdo = $GLOBALS['@pdo'] ?? null;
			if ( $pdo instanceof \PDO ) {
				// SQLite refuses this where a transaction is open. PDO does not know of one that was begun in SQL.
				$pdo->exec( 'BEGIN' );
				$pdo->exec( 'ROLLBACK' );
			}
			return true;
		} catch ( \Throwable $thrown ) {
			return false; // The SQLite drop-in keeps count of transactions: a new connection begins at none.
		}
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
		if ( $GLOBALS['wpdb']->base_prefix !== $this->kept['prefix'] ) {
			$GLOBALS['wpdb']->set_prefix( $this->kept['prefix'] );
		}
		wp_suspend_cache_addition( false );
		wp_suspend_cache_invalidation( false );
		if ( wp_defer_term_counting() ) {
			wp_defer_term_counting( false );
		}
		if ( wp_defer_comment_counting() ) {
			wp_defer_comment_counting( false );
		}
		if ( is_multisite() && ( get_current_blog_id() !== $this->kept['blog'] || ! empty( $GLOBALS['_wp_switched_stack'] ) ) ) {
			switch_to_blog( $this->kept['blog'] );
			$GLOBALS['_wp_switched_stack'] = array();
			$GLOBALS['switched']           = false;
			if ( isset( $GLOBALS['wp_rewrite'] ) ) {
				$GLOBALS['wp_rewrite']->init();
			}
		}
		if ( $GLOBALS['wpdb']->options !== $this->kept['options'] ) {
			$GLOBALS['wpdb']->set_prefix( $this->kept['prefix'] );
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
