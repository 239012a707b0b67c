<?php
/**
 * Waking the workers of this machine.
 *
 * @package Background_Worker
 */

namespace Background_Worker;

/**
 * Tells idle workers on this machine that a job was added, so that it does not wait until they look by themselves.
 *
 * Each has a datagram socket in a folder of its user's, by numbers. Ringing never waits and never fails a request:
 * where there is no worker, or none that can be reached from here, nothing happens. The worker's half is
 * wpbg/doorbell.py.
 */
final class Doorbell {

	/**
	 * Workers of a site that can be rung on one machine.
	 */
	const BELLS = 16;

	/**
	 * Bytes of the folder's path. A socket's takes 107, with its number.
	 */
	const LONGEST = 100;

	/**
	 * What facts() tells, by the prefix of the tables: it stays as it is for a request.
	 *
	 * @var array[]
	 */
	private static $facts = array();

	/**
	 * Has jobs that are added ring.
	 */
	public static function watch() {
		add_action( 'background_worker_job_added', array( __CLASS__, 'ring_for_job' ), 1000, 3 );
		add_action( 'background_worker_jobs_added', array( __CLASS__, 'ring_for_jobs' ), 1000, 2 );
	}

	/**
	 * A job was added.
	 *
	 * @param string $id    Its id.
	 * @param object $job   The job.
	 * @param string $queue Its queue.
	 */
	public static function ring_for_job( $id, $job = null, $queue = '' ) {
		self::ring( $queue );
	}

	/**
	 * Jobs were added.
	 *
	 * @param string[] $ids   Their ids.
	 * @param string   $queue Their queue.
	 */
	public static function ring_for_jobs( $ids, $queue = '' ) {
		self::ring( $queue );
	}

	/**
	 * Where the sockets are, and what opens them: who does not know it can knock, but is not heard.
	 *
	 * @return array{folder: string, word: string}|null Null where a socket's path would be too long.
	 */
	public static function facts() {
		$prefix = $GLOBALS['wpdb']->base_prefix;
		if ( ! isset( self::$facts[ $prefix ] ) ) {
			self::$facts[ $prefix ] = self::work_out( $prefix );
		}
		return self::$facts[ $prefix ] ? self::$facts[ $prefix ] : null;
	}

	/**
	 * The same from the site's keys.
	 *
	 * @param string $prefix The prefix of the tables.
	 * @return string[] None where a socket's path would be too long.
	 */
	private static function work_out( $prefix ) {
		$site   = wp_salt( 'auth' ) . wp_salt( 'secure_auth' ) . "\0" . DB_NAME . "\0" . $prefix;
		$secret = hash_hmac( 'sha256', 'background-worker-doorbell', $site );
		$folder = rtrim( sys_get_temp_dir(), '/' ) . '/wpbg-' . substr( $secret, 0, 16 );
		return strlen( $folder ) > self::LONGEST ? array() : array(
			'folder' => $folder,
			'word'   => substr( $secret, 16, 32 ),
		);
	}

	/**
	 * Rings at the workers of a queue.
	 *
	 * @param string $queue Its name; empty for the workers of any.
	 */
	public static function ring( $queue = '' ) {
		try {
			$bell = self::facts();
			if ( null === $bell || ! self::is_trusted( $bell['folder'] ) ) {
				return;
			}
			for ( $number = 0; $number < self::BELLS; $number++ ) {
				self::send( "{$bell['folder']}/{$number}", $bell['word'] . $queue );
			}
		} catch ( \Throwable $thrown ) { // phpcs:ignore Generic.CodeAnalysis.EmptyStatement.DetectedCatch -- An error handler made an exception of a warning. The job is added; a worker finds it by itself.
			unset( $thrown );
		}
	}

	/**
	 * Says the word to one worker, if there is one.
	 *
	 * @param string $path Its socket.
	 * @param string $word The word.
	 */
	private static function send( $path, $word ) {
		// phpcs:disable WordPress.PHP.NoSilencedErrors, WordPress.WP.AlternativeFunctions -- A worker may end at any moment, and a socket is no file.
		if ( ! file_exists( $path ) || 'socket' !== @filetype( $path ) ) {
			return;
		}
		$socket = @stream_socket_client( "udg://{$path}", $code, $message, 0 );
		if ( $socket ) {
			stream_set_blocking( $socket, false ); // One that is full has been rung often enough.
			@fwrite( $socket, $word );
			fclose( $socket );
		}
		// phpcs:enable
	}

	/**
	 * Whether a folder is one of the site's own users, and nobody else can put anything into it.
	 *
	 * @param string $folder Its path.
	 * @return bool
	 */
	private static function is_trusted( $folder ) {
		$found = file_exists( $folder ) ? @lstat( $folder ) : false; // phpcs:ignore WordPress.PHP.NoSilencedErrors -- It may go at any moment.
		if ( ! $found || 0040000 !== ( $found['mode'] & 0170000 ) || ( $found['mode'] & 0022 ) ) {
			return false;
		}
		$ours = array( 0, (int) fileowner( ABSPATH . 'wp-load.php' ), (int) fileowner( __FILE__ ) );
		if ( function_exists( 'posix_geteuid' ) ) {
			$ours[] = posix_geteuid();
		}
		return in_array( $found['uid'], $ours, true );
	}
}
