<?php
/**
 * A connection to beanstalkd.
 *
 * @package Background_Worker
 */

namespace Background_Worker;

/**
 * Puts jobs into beanstalkd's tubes, many at once: all are written, then all answers are read.
 */
final class Beanstalkd_Client {

	/**
	 * Seconds for the connection, and for each answer. Together, less than a visitor notices.
	 */
	const CONNECT = 0.1;
	const SILENCE = 0.12;

	/**
	 * Seconds until the server delivers a job again that a worker took and did not acknowledge.
	 */
	const TTR = 60;

	const PORT = 11300;

	/**
	 * As the site's configuration says it.
	 *
	 * @var string
	 */
	private $address;

	/**
	 * The connection.
	 *
	 * @var resource|null
	 */
	private $stream = null;

	/**
	 * The process that opened it.
	 *
	 * @var int
	 */
	private $pid = 0;

	/**
	 * The tube in use on it.
	 *
	 * @var string
	 */
	private $tube = 'default';

	/**
	 * Knows where the server is. Connects when there is something to put.
	 *
	 * @param string $address `host:port`, `[::1]:port` or `unix:/path`.
	 */
	public function __construct( $address ) {
		$this->address = $address;
	}

	/**
	 * Puts jobs into a tube.
	 *
	 * @param string  $tube    The tube.
	 * @param array[] $jobs    Each a priority, 0 to 4294967295, and a body.
	 * @param array[] $answers Gets the server's answers, by the jobs' places, each its words.
	 * @param int     $sent    Gets the number of jobs that the server may have.
	 * @throws Lane_Failed When it cannot be reached or does not answer.
	 */
	public function put( $tube, array $jobs, array &$answers, &$sent ) {
		$sent      = 0;
		$is_pooled = $this->has_stream();
		try {
			try {
				$this->converse( $tube, $jobs, $answers, $sent );
			} catch ( Lane_Failed $failed ) {
				if ( ! $is_pooled || $this->has_stream() || $answers ) {
					throw $failed;
				}
				// The server had closed the connection of an earlier call. Jobs that it has nevertheless got come twice
				// and run once: their ids are the same.
				$this->converse( $tube, $jobs, $answers, $sent );
			}
			$jobs = null;
		} finally {
			if ( null !== $jobs ) {
				$this->close(); // Who knows what is still under way on it.
			}
		}
	}

	/**
	 * Whether there is a connection of this process's. A child that was forked leaves its parent's alone.
	 *
	 * @return bool
	 */
	private function has_stream() {
		return null !== $this->stream && getmypid() === $this->pid;
	}

	/**
	 * Hangs up.
	 */
	private function close() {
		if ( null !== $this->stream ) {
			fclose( $this->stream ); // phpcs:ignore WordPress.WP.AlternativeFunctions -- A socket.
			$this->stream = null;
		}
	}

	/**
	 * Connects.
	 *
	 * @throws Lane_Failed When nobody answers.
	 */
	private function connect() {
		$this->close();
		$context      = stream_context_create( array( 'socket' => array( 'tcp_nodelay' => true ) ) );
		$stream       = @stream_socket_client( self::url( $this->address ), $code, $why, self::CONNECT, STREAM_CLIENT_CONNECT, $context ); // phpcs:ignore WordPress.PHP.NoSilencedErrors -- It says why.
		$this->stream = $stream ? $stream : null;
		$this->pid    = getmypid();
		$this->tube   = 'default';
		if ( ! $stream ) {
			throw new Lane_Failed( sprintf( 'beanstalkd at %s cannot be reached (%s)', $this->address, trim( (string) $why ) ) );
		}
		stream_set_blocking( $stream, false );
	}

	/**
	 * The address as PHP takes it.
	 *
	 * @param string $address As it was configured.
	 * @param int    $port    Where it says none.
	 * @return string
	 */
	public static function url( $address, $port = self::PORT ) {
		$address = trim( $address );
		if ( 0 === strpos( $address, 'unix:' ) ) {
			return 'unix://' . substr( $address, 5 );
		}
		if ( preg_match( '/^\[.*\]$|^[^:]*$/', $address ) ) {
			$address .= ':' . $port;
		}
		return 'tcp://' . ( ':' === $address[0] ? '127.0.0.1' : '' ) . $address;
	}

	/**
	 * Writes all that is to be said while it reads the answers.
	 *
	 * @param string  $tube    The tube.
	 * @param array[] $jobs    The jobs.
	 * @param array[] $answers Gets the answers.
	 * @param int     $sent    Gets the number of jobs that went out.
	 * @throws Lane_Failed When the conversation breaks.
	 */
	private function converse( $tube, array $jobs, array &$answers, &$sent ) {
		if ( ! $this->has_stream() ) {
			$this->connect();
		}
		$bytes   = $tube === $this->tube ? '' : "use {$tube}\r\n";
		$is_used = '' === $bytes;
		$ends    = array();
		foreach ( $jobs as list( $priority, $body ) ) {
			$bytes .= "put {$priority} 0 " . self::TTR . ' ' . strlen( $body ) . "\r\n{$body}\r\n";
			$ends[] = strlen( $bytes );
		}
		$heard    = '';
		$at       = 0;
		$deadline = Clock::now() + self::SILENCE;
		while ( count( $answers ) < count( $jobs ) ) {
			list( $can_read, $can_write ) = $this->wait( $at < strlen( $bytes ), $deadline );
			if ( $can_write ) {
				$at += $this->write( substr( $bytes, $at, 65536 ) );
				while ( $sent < count( $ends ) && $ends[ $sent ] <= $at ) {
					++$sent;
				}
			}
			if ( ! $can_read ) {
				continue;
			}
			$heard .= $this->read();
			while ( false !== ( $end = strpos( $heard, "\r\n" ) ) ) { // phpcs:ignore Generic.CodeAnalysis.AssignmentInCondition, WordPress.CodeAnalysis.AssignmentInCondition -- Line by line.
				$words = explode( ' ', substr( $heard, 0, $end ) );
				$heard = (string) substr( $heard, $end + 2 );
				if ( ! $is_used ) {
					$is_used    = $this->is_using( $words );
					$this->tube = $tube;
					continue;
				}
				$answers[] = $words;
				$deadline  = Clock::now() + self::SILENCE;
			}
		}
	}

	/**
	 * Checks the answer to `use`.
	 *
	 * @param string[] $words The answer.
	 * @return bool True.
	 * @throws Lane_Failed When it is another.
	 */
	private function is_using( array $words ) {
		if ( 'USING' !== $words[0] ) {
			throw new Lane_Failed( sprintf( 'beanstalkd at %s does not take the name of the tube (%s)', $this->address, $words[0] ) );
		}
		return true;
	}

	/**
	 * Waits until there is something to read, or room to write.
	 *
	 * @param bool  $writes   Whether there is something to write.
	 * @param float $deadline Until when.
	 * @return bool[] Whether it can be read, and written.
	 * @throws Lane_Failed When neither comes in time.
	 */
	private function wait( $writes, $deadline ) {
		$read   = array( $this->stream );
		$write  = $writes ? $read : null;
		$except = null;
		$left   = (int) ceil( 1000000 * ( $deadline - Clock::now() ) );
		$ready  = $left > 0 ? @stream_select( $read, $write, $except, 0, $left ) : 0; // phpcs:ignore WordPress.PHP.NoSilencedErrors -- False is a signal; look again.
		if ( 0 === $ready ) {
			throw new Lane_Failed( sprintf( 'beanstalkd at %s does not answer', $this->address ) );
		}
		return false === $ready ? array( false, false ) : array( (bool) $read, (bool) $write );
	}

	/**
	 * Writes what there is room for.
	 *
	 * @param string $bytes The bytes.
	 * @return int How many went out.
	 * @throws Lane_Failed When the server hung up.
	 */
	private function write( $bytes ) {
		$written = @fwrite( $this->stream, $bytes ); // phpcs:ignore -- A socket; the answer says it.
		if ( false === $written ) {
			$this->hung_up();
		}
		return $written;
	}

	/**
	 * Reads what is there.
	 *
	 * @return string
	 * @throws Lane_Failed When the server hung up.
	 */
	private function read() {
		$bytes = @fread( $this->stream, 65536 ); // phpcs:ignore -- A socket; the answer says it.
		if ( ( false === $bytes || '' === $bytes ) && feof( $this->stream ) ) {
			$this->hung_up();
		}
		return (string) $bytes;
	}

	/**
	 * The end of a connection that the server closed.
	 *
	 * @throws Lane_Failed Always.
	 */
	private function hung_up() {
		$this->close();
		throw new Lane_Failed( sprintf( 'beanstalkd at %s closed the connection', $this->address ) );
	}
}
