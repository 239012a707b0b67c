<?php
/**
 * What a job travels in through a broker.
 *
 * @package Background_Worker
 */

namespace Background_Worker;

/**
 * A job as a broker carries it: what the table would have in its columns, and the signature of the site.
 *
 *     "wpbg1." . 64 hex digits . "." . serialize( array( fields ) )
 *
 * The digits are hash_hmac( 'sha256', "wpbg1." . serialized, key ), the fields are scalars in this order:
 *
 *     v             int          1
 *     id            string       32 hex digits, random: the job's external_id in the table, and the reason why a job
 *                                that a broker delivers twice runs once
 *     queue         string
 *     blog          int          the blog that enqueued it
 *     callback      string       the name people know it by
 *     max_attempts  int
 *     backoff       int          seconds
 *     timeout       int or null  seconds
 *     priority      int          the lower the sooner
 *     batch         string or null
 *     at            int          when it was enqueued, milliseconds since 1970
 *     payload       string       what serialize() made of the job
 *
 * The worker checks the signature before it writes the job into the table, and so does the bridge before it reads
 * the payload. The worker's half is wpbg/queues/envelope.py.
 */
final class Envelope {

	const PREFIX = 'wpbg1.';
	const MAC    = 64;

	/**
	 * The key, once it was made.
	 *
	 * @var string|null
	 */
	private static $key = null;

	/**
	 * A new id.
	 *
	 * @return string 32 hex digits.
	 */
	public static function id() {
		return bin2hex( random_bytes( 16 ) );
	}

	/**
	 * The signed body of a job.
	 *
	 * @param New_Job $job The job.
	 * @param string  $id  Its id.
	 * @return string
	 */
	public static function seal( New_Job $job, $id ) {
		$fields = array(
			'v'            => 1,
			'id'           => $id,
			'queue'        => $job->queue,
			'blog'         => (int) $job->blog_id,
			'callback'     => $job->callback,
			'max_attempts' => $job->options->max_attempts,
			'backoff'      => $job->options->backoff,
			'timeout'      => $job->options->timeout,
			'priority'     => $job->options->priority,
			'batch'        => $job->options->batch,
			'at'           => (int) floor( microtime( true ) * 1000 ),
			'payload'      => $job->payload,
		);
		$text   = serialize( $fields ); // phpcs:ignore WordPress.PHP.DiscouragedPHPFunctions -- The format, of scalars only.
		return self::PREFIX . self::sign( self::PREFIX . $text ) . '.' . $text;
	}

	/**
	 * The payload of a job that the worker sent, once it is certain that the site wrote it.
	 *
	 * A row's payload is trusted: who can write to the table can write to the site. A job that came through a broker
	 * proves itself: its payload is the whole signed body (serialize() writes nothing that begins like it), or the
	 * worker sends with it `payload_mac`, hash_hmac( 'sha256', external_id . "\0" . payload, key ).
	 *
	 * @param array  $head    What the worker says of the job: `external_id`, `payload_mac`.
	 * @param string $payload What it sent as payload.
	 * @return string What serialize() made of the job.
	 * @throws Forged_Job When the site did not write it.
	 */
	public static function payload_of( array $head, $payload ) {
		$id  = $head['external_id'] ?? null;
		$mac = $head['payload_mac'] ?? null;
		if ( null !== $mac && ! ( is_string( $mac ) && is_string( $id ) && hash_equals( self::sign( $id . "\0" . $payload ), $mac ) ) ) {
			throw new Forged_Job( 'The payload is not what came through the queue server under this id: its signature does not fit.' );
		}
		if ( 0 !== strpos( $payload, self::PREFIX ) ) {
			return $payload;
		}
		$fields = self::open( $payload );
		if ( null !== $id && $fields['id'] !== $id ) {
			throw new Forged_Job( 'The signed body is that of another job.' );
		}
		return $fields['payload'];
	}

	/**
	 * Reads a body whose signature is the site's.
	 *
	 * @param string $body The body.
	 * @return array The fields.
	 * @throws Forged_Job When it is not, or the body is no envelope.
	 */
	private static function open( $body ) {
		$start = strlen( self::PREFIX );
		$text  = (string) substr( $body, $start + self::MAC + 1 );
		$mac   = (string) substr( $body, $start, self::MAC );
		if ( '.' !== substr( $body, $start + self::MAC, 1 ) || ! hash_equals( self::sign( self::PREFIX . $text ), $mac ) ) {
			throw new Forged_Job( 'The signature of the job is not this site\'s: it was changed on its way, or another site signed it.' );
		}
		$fields = @unserialize( $text, array( 'allowed_classes' => false ) ); // phpcs:ignore -- Signed, and scalars only.
		if ( ! is_array( $fields ) || ! is_string( $fields['id'] ?? null ) || ! is_string( $fields['payload'] ?? null ) ) {
			throw new Forged_Job( 'The body of the job is signed, but is no envelope.' );
		}
		return $fields;
	}

	/**
	 * A signature.
	 *
	 * @param string $bytes What is signed.
	 * @return string 64 hex digits.
	 */
	private static function sign( $bytes ) {
		return hash_hmac( 'sha256', $bytes, self::key() );
	}

	/**
	 * The site's key, 32 bytes. It changes with the site's keys and salts and with its address.
	 *
	 * Sites that share their salts (a copied wp-config.php) differ in address or table prefix. The address is the one
	 * in the database: what a constant or a filter makes of it may depend on the visitor's host name.
	 *
	 * @return string
	 * @throws Lane_Failed When the database does not tell the address: any other key would make forgeries of all jobs.
	 */
	public static function key() {
		if ( null === self::$key ) {
			$address = self::address();
			if ( '' === $address ) {
				throw new Lane_Failed( 'the site\'s address cannot be read from the database, and the signature of jobs depends on it' );
			}
			$secret    = hash_hmac( 'sha256', 'background-worker-envelope', wp_salt( 'auth' ) . wp_salt( 'secure_auth' ), true );
			self::$key = hash_hmac( 'sha256', $GLOBALS['wpdb']->base_prefix . "\0" . $address, $secret, true );
		}
		return self::$key;
	}

	/**
	 * The key in hex digits, for the worker.
	 *
	 * @return string
	 */
	public static function key_hex() {
		return bin2hex( self::key() );
	}

	/**
	 * Host and path of the site or network, without the scheme: a change to https is no other site.
	 *
	 * @return string Empty when the database does not tell it.
	 */
	private static function address() {
		if ( is_multisite() ) {
			$network = get_network( get_current_network_id() );
			return $network ? strtolower( $network->domain . $network->path ) : '';
		}
		$url = (string) ( wp_load_alloptions()['siteurl'] ?? '' );
		return strtolower( rtrim( (string) preg_replace( '~^[a-z]+://~i', '', $url ), '/' ) );
	}
}
