<?php
/**
 * What can be seen of the broker.
 *
 * @package Background_Worker
 */

namespace Background_Worker;

/**
 * Asks the site's broker how many jobs wait in it, at most now and then: a page that is polled must not wait for a dead
 * server each time. A server that does not answer is one that takes connections and says nothing, too.
 */
final class Broker_Check {

	const TRANSIENT = 'background_worker_broker';

	/**
	 * Seconds that an answer counts for, and that none does.
	 */
	const TTL        = 5;
	const TTL_SILENT = 15;

	/**
	 * Seconds to wait for the connection, and for each answer.
	 */
	const PATIENCE = 0.5;

	/**
	 * How many queues are asked for.
	 */
	const QUEUES = 200;

	/**
	 * Where it does not answer.
	 *
	 * @return string|null Its address; null when it does, or there is none.
	 */
	public static function unreachable() {
		$silent = self::look()['silent'];
		return '' === $silent ? null : $silent;
	}

	/**
	 * How many jobs wait in it: they are in no table yet.
	 *
	 * @return int[] By queue, of those in which any wait. None when it does not answer.
	 */
	public static function waiting() {
		return self::look()['waiting'];
	}

	/**
	 * Asks, or remembers.
	 *
	 * @return array `silent`, the addresses of servers none of which answers, and `waiting`.
	 */
	private static function look() {
		$nothing = array(
			'silent'  => '',
			'waiting' => array(),
		);
		$servers = self::servers();
		if ( ! $servers ) {
			return $nothing;
		}
		$about = md5( Lane::backend() . implode( ' ', $servers ) );
		$known = get_site_transient( self::TRANSIENT );
		if ( ! is_array( $known ) || ( $known['about'] ?? '' ) !== $about ) {
			$told  = self::ask_all( $servers );
			$known = null === $told ? array( 'silent' => preg_replace( '~tcp://~', '', implode( ', ', $servers ) ) ) : array( 'waiting' => $told );
			$known = array( 'about' => $about ) + $known + $nothing;
			set_site_transient( self::TRANSIENT, $known, null === $told ? self::TTL_SILENT : self::TTL );
		}
		return $known;
	}

	/**
	 * The site's servers.
	 *
	 * @return string[] Their addresses as PHP takes them. None when the site has no broker.
	 */
	private static function servers() {
		$facts = Lane::facts();
		$urls  = array();
		if ( 'gearman' === $facts['backend'] ) {
			foreach ( $facts['gearman'] as $server ) {
				$urls[] = Beanstalkd_Client::url( $server, Gearman_Lane::PORT );
			}
		}
		return 'beanstalkd' === $facts['backend'] ? array( Beanstalkd_Client::url( $facts['beanstalkd'] ) ) : $urls;
	}

	/**
	 * Asks each of them.
	 *
	 * @param string[] $servers Their addresses.
	 * @return int[]|null Jobs by queue; null when none answers.
	 */
	private static function ask_all( array $servers ) {
		$found = null;
		foreach ( $servers as $server ) {
			$is_gearman = 'gearman' === Lane::backend();
			$socket     = @stream_socket_client( $server, $errno, $error, self::PATIENCE ); // phpcs:ignore -- Asked for its answer.
			if ( ! $socket ) {
				continue;
			}
			stream_set_timeout( $socket, 0, (int) ( self::PATIENCE * 1000000 ) );
			$told = $is_gearman ? self::ask_gearmand( $socket ) : self::ask_beanstalkd( $socket );
			fclose( $socket ); // phpcs:ignore WordPress.WP.AlternativeFunctions -- A socket.
			foreach ( null === $told ? array() : $told as $queue => $jobs ) {
				$queue           = Job_View::text( $queue ); // Whoever can reach the server has a say in these names.
				$found[ $queue ] = ( $found[ $queue ] ?? 0 ) + $jobs;
			}
			$found = null === $told ? $found : (array) $found;
		}
		return null === $found ? null : array_filter( $found );
	}

	/**
	 * Asks beanstalkd.
	 *
	 * @param resource $socket The connection.
	 * @return int[]|null
	 */
	private static function ask_beanstalkd( $socket ) {
		fwrite( $socket, "list-tubes\r\n" ); // phpcs:ignore WordPress.WP.AlternativeFunctions -- A socket.
		$list = self::yaml( $socket );
		if ( null === $list ) {
			return null;
		}
		preg_match_all( '/^- (.+)$/m', $list, $lines );
		$queues = array_filter( array_combine( $lines[1], array_map( array( Lane_Names::class, 'queue_of_tube' ), $lines[1] ) ), 'is_string' );
		$found  = array();
		foreach ( array_slice( $queues, 0, self::QUEUES, true ) as $tube => $queue ) {
			fwrite( $socket, "stats-tube {$tube}\r\n" ); // phpcs:ignore WordPress.WP.AlternativeFunctions -- A socket.
			$about = self::yaml( $socket );
			if ( null === $about ) {
				return null;
			}
			$found[ $queue ] = preg_match( '/^current-jobs-ready: (\d+)/m', $about, $ready ) ? (int) $ready[1] : 0;
		}
		return $found;
	}

	/**
	 * An answer of beanstalkd's.
	 *
	 * @param resource $socket The connection.
	 * @return string|null Its text, empty for a tube that is gone; null when there is no answer in time.
	 */
	private static function yaml( $socket ) {
		$line = (string) fgets( $socket, 200 );
		if ( ! preg_match( '/^OK (\d{1,7})\r\n$/', $line, $found ) ) {
			return "NOT_FOUND\r\n" === $line ? '' : null;
		}
		$text = (string) stream_get_contents( $socket, $found[1] + 2 );
		return strlen( $text ) === $found[1] + 2 ? $text : null;
	}

	/**
	 * Asks gearmand.
	 *
	 * @param resource $socket The connection.
	 * @return int[]|null
	 */
	private static function ask_gearmand( $socket ) {
		fwrite( $socket, "status\n" ); // phpcs:ignore WordPress.WP.AlternativeFunctions -- A socket.
		$prefix = Lane_Names::gearman_function( '' );
		$found  = array();
		while ( true ) {
			$line = fgets( $socket );
			if ( false === $line ) {
				return null;
			}
			if ( ".\n" === $line ) {
				return $found;
			}
			list( $function, $jobs, $running ) = explode( "\t", trim( $line ) ) + array( '', 0, 0 );
			$queue = 0 === strpos( $function, $prefix ) ? (string) substr( $function, strlen( $prefix ) ) : null;
			if ( Lane_Names::shared_function() === $function ) {
				$queue = defined( 'ABW_QUEUE_NAME' ) ? (string) ABW_QUEUE_NAME : 'default';
			}
			if ( null !== $queue && ( isset( $found[ $queue ] ) || count( $found ) < self::QUEUES ) ) {
				$found[ $queue ] = ( $found[ $queue ] ?? 0 ) + max( 0, (int) $jobs - (int) $running );
			}
		}
	}
}
