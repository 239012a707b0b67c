<?php
/**
 * Statements, quietly.
 *
 * @package Background_Worker
 */

namespace Background_Worker;

/**
 * Runs SQL through $wpdb so that nothing is printed or logged when it fails, and says in one line why it did.
 */
final class Database {

	/**
	 * Finds what may need more than quotes around it: all but printable ASCII, and of that the percent sign, the quote
	 * and the backslash.
	 */
	const SPECIAL = '/[^\x20-\x24\x26\x28-\x5b\x5d-\x7e]/';

	/**
	 * Whether the site's database is the SQLite drop-in's.
	 *
	 * @return bool
	 */
	public static function is_sqlite() {
		return defined( 'DB_ENGINE' ) && 'sqlite' === DB_ENGINE;
	}

	/**
	 * Runs a statement.
	 *
	 * @param string $sql Complete, every value in it escaped.
	 * @return int|bool What $wpdb->query() returns.
	 * @throws Write_Failed When it fails.
	 */
	public static function run( $sql ) {
		global $wpdb;
		$suppressed = $wpdb->suppress_errors( true );
		try {
			$result = @$wpdb->query( $sql ); // phpcs:ignore -- Escaped by the caller. PHP warns on its own when a connection breaks.
			if ( false === $result ) {
				throw new Write_Failed( self::reason() );
			}
			return $result;
		} finally {
			$wpdb->suppress_errors( $suppressed );
		}
	}

	/**
	 * The rows a query finds.
	 *
	 * @param string $sql Complete, every value in it escaped.
	 * @return object[]
	 * @throws Write_Failed When it fails.
	 */
	public static function rows( $sql ) {
		global $wpdb;
		self::run( $sql );
		return $wpdb->last_result;
	}

	/**
	 * The first value a query finds.
	 *
	 * @param string $sql Complete, every value in it escaped.
	 * @return string|null
	 * @throws Write_Failed When it fails.
	 */
	public static function value( $sql ) {
		$rows = self::rows( $sql );
		$row  = $rows ? array_values( get_object_vars( $rows[0] ) ) : array( null );
		return $row[0];
	}

	/**
	 * A value as SQL.
	 *
	 * @param int|string|null $value Text is UTF-8.
	 * @return string
	 */
	public static function literal( $value ) {
		global $wpdb;
		if ( null === $value ) {
			return 'NULL';
		}
		if ( is_int( $value ) ) {
			return (string) $value;
		}
		if ( ! preg_match( self::SPECIAL, $value ) ) {
			return "'{$value}'";
		}
		return "'" . $wpdb->remove_placeholder_escape( esc_sql( $value ) ) . "'";
	}

	/**
	 * Bytes as SQL. Neither WordPress, which takes every query for text, nor SQLite, for which a quoted string is
	 * no blob, can alter them. (For a percent sign, WordPress puts 66 characters in between.)
	 *
	 * @param string $bytes Any bytes.
	 * @return string
	 */
	public static function bytes( $bytes ) {
		if ( ! self::is_sqlite() ) {
			if ( ! preg_match( self::SPECIAL, $bytes ) ) {
				return "'{$bytes}'";
			}
			if ( ! preg_match( '/[^\x20-\x24\x26-\x7e]/', $bytes ) ) {
				return self::literal( $bytes );
			}
		}
		return "x'" . bin2hex( $bytes ) . "'";
	}

	/**
	 * Now, in the clock of the database, in milliseconds since 1970, as SQL.
	 *
	 * @return string
	 */
	public static function now() {
		if ( self::is_sqlite() ) {
			return (string) (int) floor( microtime( true ) * 1000 );
		}
		// Not UNIX_TIMESTAMP( NOW(3) ): in the hour that autumn repeats, that is an hour off.
		return "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(3)) DIV 1000";
	}

	/**
	 * Why the last statement failed.
	 *
	 * @return string
	 */
	private static function reason() {
		global $wpdb;
		$said = (string) $wpdb->last_error;
		// The SQLite drop-in says it in HTML, after the whole statement.
		if ( preg_match( '~class="error_message"[^>]*>(.*?)</div>~s', $said, $found ) ) {
			$said = $found[1];
		}
		$said = self::one_line( $said );
		return '' === $said ? __( 'the database cannot be reached', 'background-worker' ) : $said;
	}

	/**
	 * What a database said, in one line of a bearable length.
	 *
	 * @param string $said Its words.
	 * @return string
	 */
	public static function one_line( $said ) {
		return mb_substr( trim( (string) preg_replace( '/\s+/', ' ', $said ) ), 0, 300 );
	}
}
