<?php
/**
 * The wire between the bridge and the worker.
 *
 * @package Background_Worker
 */

namespace Background_Worker;

/**
 * Messages over stdin and stdout, in a way that nothing a callback prints, closes or forks can corrupt.
 *
 * To the worker (stdout), frames that are written whole, each at most PIPE_BUF (4096 bytes), so that the
 * kernel never splits one, whoever else writes to the same pipe:
 *
 *     marker 16 | type 1 | flags 1 (1 first, 2 last) | length 2 | crc32 4 | up to 4072 bytes
 *
 * Numbers are big-endian; the checksum covers type, flags, length and bytes. Everything outside of a frame is
 * what the job printed. The marker is random for each process and is told to the worker in `ready`, the one
 * frame that carries the worker's own nonce in its place.
 *
 * From the worker (stdin): `length 4 | type 1 | body`. The body of a job is `length 4 | JSON | payload`.
 */
final class Channel {

	const FRAME  = 4096;
	const HEADER = 24;
	const FIRST  = 1;
	const LAST   = 2;

	/**
	 * Bytes of one message from the worker. A larger length is a broken channel, not a large job.
	 */
	const MAX_MESSAGE = 1073741824;

	/**
	 * Our own copy of stdin: a callback may close STDIN.
	 *
	 * @var resource
	 */
	private $in;

	/**
	 * Our own copy of stdout: a callback may close STDOUT.
	 *
	 * @var resource
	 */
	private $out;

	/**
	 * Our own copy of stderr.
	 *
	 * @var resource
	 */
	private $err;

	/**
	 * Sixteen bytes that open each frame.
	 *
	 * @var string
	 */
	private $marker;

	/**
	 * The process that may speak. A child that a callback forked may not.
	 *
	 * @var int
	 */
	private $pid;

	/**
	 * Whether a message is being written; a signal handler must not throw then.
	 *
	 * @var bool
	 */
	private $busy = false;

	/**
	 * What to do once the message is out.
	 *
	 * @var callable|null
	 */
	private $deferred = null;

	/**
	 * Takes over stdin and stdout of this process.
	 */
	public function __construct() {
		$this->in     = fopen( 'php://stdin', 'rb' );
		$this->out    = fopen( 'php://stdout', 'wb' );
		$this->marker = random_bytes( 16 );
		$this->pid    = getmypid();
		stream_set_write_buffer( $this->out, 0 );
	}

	/**
	 * Divides what is written to stderr: from here on, by this job. The worker does not read it between two jobs that
	 * follow each other at once.
	 *
	 * @param int $number The worker's number of the job.
	 */
	public function divide_errors( $number ) {
		if ( null === $this->err ) {
			$this->err = fopen( 'php://stderr', 'wb' );
			stream_set_write_buffer( $this->err, 0 );
		}
		try {
			@fwrite( $this->err, $this->marker . pack( 'N', $number ) ); // phpcs:ignore -- A callback may have closed it; then nothing is written there either.
		} catch ( \Throwable $thrown ) {
			unset( $thrown ); // A callback's error handler made an exception of it.
		}
	}

	/**
	 * Puts /dev/null where stdin was, for jobs and the programs they start: the frames there are not theirs to read.
	 *
	 * The lowest free descriptor is the one that was just closed.
	 */
	public function hide_stdin() {
		static $null = null;
		if ( null === $null && defined( 'STDIN' ) && is_resource( STDIN ) ) {
			fclose( STDIN );
			$null = fopen( '/dev/null', 'rb' );
		}
	}

	/**
	 * Waits for the worker's first message and answers with `ready`.
	 *
	 * @param array $facts What `ready` says.
	 * @return array|null What the worker said of itself; null when it is gone.
	 */
	public function greet( array $facts ) {
		$hello = $this->receive();
		if ( null === $hello || 'H' !== $hello['type'] || 32 !== strlen( $hello['head']['nonce'] ?? '' ) ) {
			return null;
		}
		$marker          = $this->marker;
		$this->marker    = (string) hex2bin( $hello['head']['nonce'] );
		$facts['marker'] = bin2hex( $marker );
		$this->send( 'R', $facts );
		$this->marker = $marker;
		return $hello['head'];
	}

	/**
	 * The next message of the worker.
	 *
	 * @return array{type: string, head: array, payload: string}|null Null when the worker is gone.
	 */
	public function receive() {
		$start = $this->read( 5 );
		if ( null === $start ) {
			return null;
		}
		$length = unpack( 'N', $start )[1];
		$type   = $start[4];
		if ( $length > self::MAX_MESSAGE ) {
			return null;
		}
		$body = $this->read( $length );
		if ( null === $body ) {
			return null;
		}
		$json = $body;
		$rest = '';
		if ( 'J' === $type ) {
			$size = unpack( 'N', $body )[1];
			$json = substr( $body, 4, $size );
			$rest = substr( $body, 4 + $size );
		}
		$head = '' === $json ? array() : json_decode( $json, true );
		return is_array( $head ) ? array(
			'type'    => $type,
			'head'    => $head,
			'payload' => (string) $rest,
		) : null;
	}

	/**
	 * Whether the worker has said something, or is gone.
	 *
	 * @return bool
	 */
	public function has_news() {
		$read   = array( $this->in );
		$write  = null;
		$except = null;
		return 0 < (int) stream_select( $read, $write, $except, 0 );
	}

	/**
	 * Sends a message whose body is JSON.
	 *
	 * @param string $type One letter.
	 * @param array  $body What to say.
	 */
	public function send( $type, array $body ) {
		$json = json_encode( $body, JSON_INVALID_UTF8_SUBSTITUTE | JSON_PARTIAL_OUTPUT_ON_ERROR | JSON_PRESERVE_ZERO_FRACTION ); // phpcs:ignore WordPress.WP.AlternativeFunctions -- wp_json_encode() changes what it is given.
		$this->send_bytes( $type, (string) $json );
	}

	/**
	 * Sends a message of bytes, in as many frames as it takes.
	 *
	 * @param string $type  One letter.
	 * @param string $bytes The body.
	 */
	public function send_bytes( $type, $bytes ) {
		if ( ! $this->is_mine() ) {
			return;
		}
		$this->busy = true;
		$room       = self::FRAME - self::HEADER;
		$total      = strlen( $bytes );
		$at         = 0;
		do {
			$piece = substr( $bytes, $at, $room );
			$flags = ( 0 === $at ? self::FIRST : 0 ) | ( $at + $room >= $total ? self::LAST : 0 );
			$head  = $type . chr( $flags ) . pack( 'n', strlen( $piece ) );
			$this->write( $this->marker . $head . pack( 'N', crc32( $head . $piece ) ) . $piece );
			$at += $room;
		} while ( $at < $total );
		$this->busy = false;
		if ( null !== $this->deferred ) {
			$then           = $this->deferred;
			$this->deferred = null;
			$then();
		}
	}

	/**
	 * Runs something now or, when a message is half written, right after it.
	 *
	 * @param callable $then May throw.
	 */
	public function when_quiet( callable $then ) {
		if ( $this->busy ) {
			$this->deferred = $then;
			return;
		}
		$then();
	}

	/**
	 * Whether this process, and not a child that a callback forked, owns the channel.
	 *
	 * @return bool
	 */
	public function is_mine() {
		return getmypid() === $this->pid;
	}

	/**
	 * After a deliberate fork: from now on, this process speaks. What the worker says is still its parent's to hear.
	 */
	public function adopt() {
		$this->pid = getmypid();
		fclose( $this->in );
	}

	/**
	 * What identifies the two ends of the wire in this process.
	 *
	 * @return int[] Inodes.
	 */
	public function inodes() {
		return array( fstat( $this->in )['ino'], fstat( $this->out )['ino'], fstat( STDERR )['ino'] );
	}

	/**
	 * Exactly so many bytes of the worker's, or null at the end.
	 *
	 * @param int $length How many.
	 * @return string|null
	 */
	private function read( $length ) {
		$bytes = '';
		while ( strlen( $bytes ) < $length ) {
			$more = fread( $this->in, $length - strlen( $bytes ) );
			if ( false === $more || '' === $more ) {
				if ( feof( $this->in ) || false === $more ) {
					return null;
				}
				continue; // A signal.
			}
			$bytes .= $more;
		}
		return $bytes;
	}

	/**
	 * Writes one frame whole. When nobody reads any more, this process has no work left: the worker is gone.
	 *
	 * @param string $frame At most PIPE_BUF bytes.
	 */
	private function write( $frame ) {
		while ( true ) {
			try {
				$written = @fwrite( $this->out, $frame ); // phpcs:ignore WordPress.PHP.NoSilencedErrors -- The answer says it.
			} catch ( \Throwable $thrown ) {
				$written = false; // A callback's error handler made an exception of it.
			}
			if ( false === $written ) {
				Bridge::leave( 1 ); // Nobody reads any more.
			}
			if ( strlen( $frame ) === $written ) {
				return;
			}
			$frame = substr( $frame, $written );
			if ( 0 === $written ) {
				// A callback made the pipe non-blocking, for us as well, and it is full.
				stream_set_blocking( $this->out, true );
			}
		}
	}
}
