<?php
/**
 * The bridge between the worker and WordPress.
 *
 * @package Background_Worker
 */

namespace Background_Worker;

/**
 * Serves the worker from inside a booted WordPress: says `ready`, runs the jobs it is sent, says how each ended.
 *
 * The worker starts it through WP-CLI. An outcome is explicit: a job is through when this class said so.
 * Messages (one letter on the wire): R ready, S started, P progress, O output, E outcome, B bye; from the
 * worker H hello, J job, Q quit.
 */
final class Bridge {

	const PROTOCOL = 1;

	/**
	 * Seconds between a time limit's exception and the end of a process that ignores it.
	 */
	const KILL_AFTER = 3;

	/**
	 * The wire.
	 *
	 * @var Channel
	 */
	private $channel;

	/**
	 * The job that runs, as the worker sent it, or null between jobs.
	 *
	 * @var array|null
	 */
	private $job = null;

	/**
	 * When the callback was called.
	 *
	 * @var float
	 */
	private $started_at = 0.0;

	/**
	 * Memory that is given back when there is none left, so that the failure can still be told.
	 *
	 * @var string|null
	 */
	private $reserve = null;

	/**
	 * Talks to the worker until it hangs up.
	 */
	public static function serve() {
		( new self() )->run();
	}

	/**
	 * Ends this process at once, past every handler.
	 *
	 * @param int $code Exit code where a signal cannot be sent.
	 */
	public static function leave( $code ) {
		if ( function_exists( 'posix_kill' ) ) {
			posix_kill( getmypid(), 9 );
		}
		exit( (int) $code );
	}

	/**
	 * Greets the worker and serves it.
	 */
	private function run() {
		$this->channel = new Channel();
		$hello         = $this->channel->greet(
			array(
				'protocol'  => self::PROTOCOL,
				'pid'       => getmypid(),
				'php'       => PHP_VERSION,
				'wordpress' => get_bloginfo( 'version' ),
				'plugin'    => BACKGROUND_WORKER_VERSION,
			)
		);
		if ( null === $hello ) {
			return;
		}
		$this->channel->hide_stdin();
		register_shutdown_function( array( $this, 'on_shutdown' ) );
		foreach ( array( 'wp_die_handler', 'wp_die_ajax_handler', 'wp_die_json_handler', 'wp_die_jsonp_handler', 'wp_die_xmlrpc_handler', 'wp_die_xml_handler' ) as $filter ) {
			add_filter( $filter, array( $this, 'wp_die_handler' ), PHP_INT_MAX );
		}
		if ( function_exists( 'pcntl_async_signals' ) ) {
			pcntl_async_signals( true );
		}
		$this->serve_jobs( 'restart' === $hello['lifetime'] );
	}

	/**
	 * Runs what it is sent, one job after the other.
	 *
	 * @param bool $only_one Whether this process is for one job.
	 */
	private function serve_jobs( $only_one ) {
		do {
			$message = $this->channel->receive();
			if ( null === $message || 'J' !== $message['type'] ) {
				break;
			}
			$this->run_job( $message['head'], $message['payload'] );
		} while ( ! $only_one );
		$this->channel->send( 'B', array( 'why' => $only_one ? 'one job' : 'asked to' ) );
	}

	/**
	 * Runs one job and says how it ended.
	 *
	 * @param array  $head    What the worker says of it.
	 * @param string $payload What was serialized.
	 */
	private function run_job( array $head, $payload ) {
		$this->prepare( $head );
		$level = ob_get_level();
		ob_start( array( $this, 'on_output' ), 1 ); // Passed on as it comes: a process that is killed has told all it printed.
		$this->arm( (int) ( $head['timeout'] ?? 0 ) );
		$outcome = Job_Runner::run( $payload, (int) ( $head['blog_id'] ?? 0 ) );
		if ( ! $this->channel->is_mine() ) {
			// A child that the callback forked came back here. Its parent tells the outcome.
			self::leave( 0 );
		}
		$this->disarm();
		while ( ob_get_level() > $level ) {
			if ( ! @ob_end_flush() ) { // phpcs:ignore WordPress.PHP.NoSilencedErrors -- A buffer that cannot be ended is left.
				break;
			}
		}
		$this->settle( $outcome );
	}

	/**
	 * Puts the process into the state a job may expect.
	 *
	 * @param array $head What the worker says of the job.
	 */
	private function prepare( array $head ) {
		error_clear_last();
		$this->reserve    = str_repeat( 'x', 262144 );
		$this->job        = $head;
		$this->started_at = microtime( true );
		if ( defined( 'WP_MAX_MEMORY_LIMIT' ) ) {
			@ini_set( 'memory_limit', (string) WP_MAX_MEMORY_LIMIT ); // phpcs:ignore -- Lowers it, too: wp_raise_memory_limit() does not.
		}
		$this->channel->send(
			'S',
			array(
				'id'  => $head['id'],
				'pid' => getmypid(),
			)
		);
		Current_Job::begin( $head, $this->channel );
	}

	/**
	 * Tells the outcome.
	 *
	 * @param array $outcome What Job_Runner said, or what the end of the process shows.
	 */
	private function settle( array $outcome ) {
		Current_Job::end();
		$outcome['id']         = $this->job['id'];
		$outcome['callback']   = Job_Runner::current_label();
		$outcome['runtime_ms'] = (int) round( ( microtime( true ) - $this->started_at ) * 1000 );
		$outcome['memory']     = memory_get_peak_usage( true );
		$this->job             = null;
		$this->channel->send( 'E', $outcome );
	}

	/**
	 * Takes what the job prints.
	 *
	 * @param string $bytes What was printed.
	 * @return string Nothing is left for stdout, except in a child that the callback forked.
	 */
	public function on_output( $bytes ) {
		if ( ! $this->channel->is_mine() ) {
			return $bytes;
		}
		if ( '' !== $bytes ) {
			$this->channel->send_bytes( 'O', $bytes );
		}
		return '';
	}

	/**
	 * Starts the clock of the time limit: first an exception, then the end of the process.
	 *
	 * The worker keeps its own clock; this one is sooner and leaves a trace of where the time went. Without the
	 * pcntl extension only the worker's is there.
	 *
	 * @param int $timeout Seconds; 0 is no limit.
	 */
	private function arm( $timeout ) {
		if ( ! function_exists( 'pcntl_signal' ) ) {
			return;
		}
		$halt = function ( Halt $halt ) {
			$this->channel->when_quiet(
				function () use ( $halt ) {
					// Whoever catches this and goes on: the next alarm ends the process wherever it is.
					pcntl_signal( SIGALRM, SIG_DFL );
					pcntl_alarm( self::KILL_AFTER );
					throw $halt;
				}
			);
		};
		pcntl_signal(
			SIGTERM,
			function () use ( $halt ) {
				$halt( new Stopped( 'The job was asked to stop.' ) );
			}
		);
		if ( $timeout > 0 ) {
			pcntl_signal(
				SIGALRM,
				function () use ( $halt, $timeout ) {
					$halt( new Time_Limit_Exceeded( sprintf( 'The job ran longer than its time limit of %d s.', $timeout ) ) );
				}
			);
			pcntl_alarm( $timeout );
		}
	}

	/**
	 * Stops the clock.
	 */
	private function disarm() {
		if ( function_exists( 'pcntl_signal' ) ) {
			pcntl_alarm( 0 );
			pcntl_signal( SIGALRM, SIG_DFL );
			pcntl_signal( SIGTERM, SIG_DFL );
		}
	}

	/**
	 * Answers WordPress's question who handles wp_die().
	 *
	 * @return callable
	 */
	public function wp_die_handler() {
		return static function ( $message = '' ) {
			if ( $message instanceof \WP_Error ) {
				$message = $message->get_error_message();
			}
			$text = trim( wp_strip_all_tags( is_scalar( $message ) ? (string) $message : '' ) );
			throw new Wp_Die_Called( '' === $text ? 'wp_die() was called without a message.' : $text );
		};
	}

	/**
	 * The process ends in the middle of a job: exit() or a fatal error. The last word is ours, after every
	 * shutdown function that the job registered.
	 */
	public function on_shutdown() {
		if ( null !== $this->job && $this->channel->is_mine() ) {
			register_shutdown_function( array( $this, 'last_word' ) );
		}
	}

	/**
	 * Tells the outcome of a job that ended its process.
	 */
	public function last_word() {
		$fatal         = error_get_last();
		$this->reserve = null;
		@ini_set( 'memory_limit', '-1' ); // phpcs:ignore -- The job is over; only its story is to be told.
		if ( null === $this->job || ! $this->channel->is_mine() ) {
			return;
		}
		$this->disarm();
		while ( ob_get_level() > 0 ) {
			if ( ! @ob_end_flush() ) { // phpcs:ignore WordPress.PHP.NoSilencedErrors -- As above.
				break;
			}
		}
		$deadly = E_ERROR | E_PARSE | E_CORE_ERROR | E_COMPILE_ERROR | E_USER_ERROR | E_RECOVERABLE_ERROR;
		if ( null === $fatal || ! ( $fatal['type'] & $deadly ) ) {
			$this->settle( array( 'status' => 'exited' ) );
			return;
		}
		$text = explode( "\nStack trace:\n", $fatal['message'], 2 );
		$this->settle(
			array(
				'status' => 'failed',
				'error'  => array(
					'class'   => false !== strpos( $fatal['message'], 'Allowed memory size' ) ? 'OutOfMemory' : 'FatalError',
					'message' => $text[0],
					'file'    => $fatal['file'],
					'line'    => $fatal['line'],
					'trace'   => $text[1] ?? '',
				),
			)
		);
	}
}
