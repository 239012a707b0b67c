<?php
/**
 * Whether the broker answers.
 *
 * @package Background_Worker
 */

namespace Background_Worker;

/**
 * Knocks at the site's broker, at most now and then: a page that is polled must not wait for a dead server each time.
 */
final class Broker_Check {

	const TRANSIENT = 'background_worker_broker';

	/**
	 * Seconds that an answer counts for.
	 */
	const TTL = 15;

	/**
	 * Seconds to wait for one.
	 */
	const PATIENCE = 0.5;

	/**
	 * Where it does not answer.
	 *
	 * @return string|null Its address; null when it does, or there is none.
	 */
	public static function unreachable() {
		if ( 'database' === Lane::backend() ) {
			return null;
		}
		$known = get_site_transient( self::TRANSIENT );
		if ( ! is_string( $known ) ) {
			$known = self::knock();
			set_site_transient( self::TRANSIENT, $known, self::TTL );
		}
		return '' === $known ? null : $known;
	}

	/**
	 * Asks each of its servers.
	 *
	 * @return string Those that do not answer; empty when one does.
	 */
	private static function knock() {
		$facts      = Lane::facts();
		$is_gearman = 'gearman' === $facts['backend'];
		$silent     = array();
		foreach ( $is_gearman ? $facts['gearman'] : array( $facts['beanstalkd'] ) as $server ) {
			$address = Beanstalkd_Client::url( $server, $is_gearman ? Gearman_Lane::PORT : Beanstalkd_Client::PORT );
			$socket  = @stream_socket_client( $address, $errno, $error, self::PATIENCE ); // phpcs:ignore -- Asked for its answer.
			if ( $socket ) {
				fclose( $socket ); // phpcs:ignore WordPress.WP.AlternativeFunctions -- A socket.
				return '';
			}
			$silent[] = (string) preg_replace( '~^tcp://~', '', $address );
		}
		return implode( ', ', $silent );
	}
}
