<?php
/**
 * The names that a site's jobs have on a broker.
 *
 * @package Background_Worker
 */

namespace Background_Worker;

/**
 * Tubes and Gearman functions. They carry a salt, so that sites can share a server.
 */
final class Lane_Names {

	/**
	 * Bytes of a tube's name that beanstalkd takes.
	 */
	const MAX_TUBE = 200;

	/**
	 * What WP Gears and WP Minions call their function.
	 */
	const TASK = 'WP_Async_Task';

	/**
	 * The salt of our own names: WP_ASYNC_TASK_SALT, if there is one, and 12 hex digits that no other site has.
	 *
	 * The digits are there in any case: a copy of a site (staging) has a copy of its wp-config.php, too, and a worker of
	 * the one would take the jobs of the other, could not verify them, and set them aside.
	 *
	 * @return string
	 */
	public static function salt() {
		$chosen = defined( 'WP_ASYNC_TASK_SALT' ) ? (string) WP_ASYNC_TASK_SALT : '';
		$digits = substr( hash_hmac( 'sha256', 'background-worker-lane', Envelope::key() ), 0, 12 );
		return '' === $chosen ? $digits : "{$chosen}.{$digits}";
	}

	/**
	 * The tube of a queue: `salt.queue`. A byte that beanstalkd does not allow in a name is `$` and two hex digits; a
	 * name that is too long ends in its MD5. The worker's half is tube_name() in wpbg/queues/beanstalkd.py.
	 *
	 * @param string $queue The queue.
	 * @return string
	 */
	public static function tube( $queue ) {
		$name = (string) preg_replace_callback(
			'~[^A-Za-z0-9+/;._()-]~',
			static function ( $found ) {
				return sprintf( '$%02x', ord( $found[0] ) );
			},
			self::salt() . '.' . $queue
		);
		if ( '-' === $name[0] ) {
			$name = '$2d' . substr( $name, 1 ); // It may be anywhere but at the beginning.
		}
		return strlen( $name ) <= self::MAX_TUBE ? $name : substr( $name, 0, self::MAX_TUBE - 33 ) . '.' . md5( $name );
	}

	/**
	 * The queue of a tube, as far as its name tells: of one that was too long, the beginning.
	 *
	 * @param string $tube A tube.
	 * @return string|null Null when the tube is not this site's.
	 */
	public static function queue_of_tube( $tube ) {
		$prefix = self::tube( '' );
		if ( 0 !== strpos( $tube, $prefix ) ) {
			return null;
		}
		return (string) preg_replace_callback(
			'/\$([0-9a-f]{2})/',
			static function ( $found ) {
				return chr( hexdec( $found[1] ) );
			},
			substr( $tube, strlen( $prefix ) )
		);
	}

	/**
	 * The Gearman function of a queue: `salt:wpbg:queue`.
	 *
	 * @param string $queue The queue.
	 * @return string
	 */
	public static function gearman_function( $queue ) {
		return self::salt() . ':wpbg:' . $queue;
	}

	/**
	 * The Gearman function that is shared with WP Gears and WP Minions: `salt:WP_Async_Task`. Without a salt, theirs
	 * is `:WP_Async_Task`, which is shared with every site on the server: only where theirs is in use, which defines
	 * the constant, or is asked for.
	 *
	 * @return string|null
	 */
	public static function shared_function() {
		if ( defined( 'WP_ASYNC_TASK_SALT' ) ) {
			return WP_ASYNC_TASK_SALT . ':' . self::TASK;
		}
		return self::is_compatible() ? ':' . self::TASK : null;
	}

	/**
	 * Whether wp_async_task_add() writes what WP Minions' own runner can read.
	 *
	 * @return bool
	 */
	public static function is_compatible() {
		return defined( 'ABW_GEARMAN_COMPAT' ) && ABW_GEARMAN_COMPAT;
	}
}
