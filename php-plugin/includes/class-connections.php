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
	 * What the object cache knew of groups when it was let go.
	 *
	 * @var array[]
	 */
	private static $groups = array();

	/**
	 * Closes what a child must not share with its parent.
	 */
	public static function let_go() {
		self::close_database();
		if ( wp_using_ext_object_cache() ) {
			self::note_groups();
			wp_cache_close();
			unset( $GLOBALS['wp_object_cache'] ); // What it is connected with goes with it.
		}
		gc_collect_cycles();
	}

	/**
	 * The connections that this process still holds: kept by PHP for several requests, or in a place that nobody but
	 * their owner knows. A job that is ended in the middle of an answer would leave the rest of it to the next one.
	 *
	 * Source: proc(5). Where there is no /proc, none are seen.
	 *
	 * @param int[] $but Inodes that do not count: the worker's pipes, which may be sockets.
	 * @return string[] What each leads to.
	 */
	public static function held( array $but ) {
		$held = array();
		foreach ( (array) @scandir( '/proc/self/fd' ) as $descriptor ) { // phpcs:ignore WordPress.PHP.NoSilencedErrors -- As said.
			$link = (string) @readlink( "/proc/self/fd/$descriptor" ); // phpcs:ignore WordPress.PHP.NoSilencedErrors -- One of them was the folder itself.
			if ( 1 === preg_match( '/^socket:\[(\d+)\]$/', $link, $inode ) && ! in_array( (int) $inode[1], $but, true ) ) {
				$held[ $inode[1] ] = self::leads_to( $inode[1] );
			}
		}
		return array_values( array_filter( $held ) );
	}

	/**
	 * What a socket is connected with.
	 *
	 * @param string $inode The socket's.
	 * @return string|null Null for one that has no answers to be crossed: datagrams, listening sockets.
	 */
	private static function leads_to( $inode ) {
		foreach ( array( 'tcp', 'tcp6' ) as $family ) {
			$table = (string) @file_get_contents( "/proc/net/$family" ); // phpcs:ignore -- As above.
			if ( 1 === preg_match( '/^ *\d+: [0-9A-F]+:[0-9A-F]+ [0-9A-F]+:([0-9A-F]+) 0[1-9B] .*? ' . $inode . ' /m', $table, $row ) ) {
				return 'TCP port ' . hexdec( $row[1] );
			}
		}
		$table = (string) @file_get_contents( '/proc/net/unix' ); // phpcs:ignore -- As above.
		return 1 === preg_match( '/^[0-9a-f]+: [0-9A-F]+ [0-9A-F]+ [0-9A-F]+ 0001 03 +' . $inode . '\b/m', $table ) ? 'a UNIX socket' : null;
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
	 *
	 * @param bool $anew Connect a persistent one anew: its server may have hung up.
	 */
	public static function refresh_cache( $anew = false ) {
		if ( ! wp_using_ext_object_cache() ) {
			wp_cache_flush();
		} elseif ( ! $anew && isset( $GLOBALS['wp_object_cache'] ) && function_exists( 'wp_cache_supports' ) && wp_cache_supports( 'flush_runtime' ) ) {
			wp_cache_flush_runtime();
		} else {
			self::note_groups();
			wp_cache_init();
			wp_start_object_cache(); // Names WordPress's groups.
			self::name_groups();
		}
	}

	/**
	 * Remembers which groups plugins have named to the object cache, of all blogs or not to be kept: they do that
	 * once, while WordPress boots.
	 */
	private static function note_groups() {
		foreach ( self::group_lists() as $name => $groups ) {
			self::$groups[ $name ] = $groups;
		}
	}

	/**
	 * Names them to a new one.
	 */
	private static function name_groups() {
		$lists = self::group_lists();
		$named = array();
		foreach ( array_intersect_key( self::$groups, $lists ) as $name => $groups ) {
			$named[ $name ] = isset( $groups[0] ) ? array_values( array_unique( array_merge( $lists[ $name ], $groups ), SORT_REGULAR ) ) : $lists[ $name ] + $groups;
		}
		if ( $named ) {
			$put = function () use ( $named ) {
				foreach ( $named as $name => $groups ) {
					$this->$name = $groups;
				}
			};
			$put->call( $GLOBALS['wp_object_cache'] );
		}
	}

	/**
	 * The object cache's lists of groups. There is no function that asks for them; each known drop-in has them in
	 * properties whose names end so, as WordPress's own.
	 *
	 * @return array[] By the property's name.
	 */
	private static function group_lists() {
		if ( ! is_object( $GLOBALS['wp_object_cache'] ?? null ) ) {
			return array();
		}
		$ask   = function () {
			return get_object_vars( $this );
		};
		$lists = array();
		foreach ( $ask->call( $GLOBALS['wp_object_cache'] ) as $name => $value ) {
			if ( is_array( $value ) && preg_match( '/groups$/i', $name ) ) {
				$lists[ $name ] = $value;
			}
		}
		return $lists;
	}
}
