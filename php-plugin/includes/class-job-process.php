<?php
/**
 * A process while it runs a job.
 *
 * @package Background_Worker
 */

namespace Background_Worker;

/**
 * Runs one job at a time in this process and says how it ended, even when that ends the process.
 */
final class Job_Process {

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
	 * Whether this process ends without freeing what it holds, which takes longer than many a job.
	 *
	 * @var bool
	 */
	private $leaves_at_once = false;

	/**
	 * Prepares this process for jobs.
	 *
	 * @param Channel $channel The wire.
	 */
	public function __construct( Channel $channel ) {
		$this->channel = $channel;
		register_shutdown_function( array( $this, 'on_shutdown' ) );
		foreach ( array( 'wp_die_handler', 'wp_die_ajax_handler', 'wp_die_json_handler', 'wp_die_jsonp_handler', 'wp_die_xmlrpc_handler', 'wp_die_xml_handler' ) as $filter ) {
			add_filter( $filter, array( $this, 'wp_die_handler' ), PHP_INT_MAX );
		}
	}

	/**
	 * Its end is quick, once the shutdown functions have run: for a process that has told its only outcome.
	 */
	public function leave_at_once() {
		$this->leaves_at_once = true;
	}

	/**
	 * Runs one job and says how it ended.
	 *
	 * @param array  $head    What the worker says of it.
	 * @param string $payload What was serialized.
	 * @return bool Whether it completed.
	 */
	public function run( array $head, $payload ) {
		$this->prepare( $head );
		if ( self::is_late( $head ) ) { // Between the first look at the clock and `S` this process may have stood still.
			$this->leave_alone( $head );
			return true;
		}
		if ( isset( $head['until'] ) ) {
			$this->channel->divide_errors( $head['number'] );
		}
		Current_Job::begin( $head, $this->channel );
		$level = ob_get_level();
		ob_start( array( $this, 'on_output' ), 1 ); // Passed on as it comes: a process that is killed has told all it printed.
		$this->arm( (int) ( $head['timeout'] ?? 0 ) );
		$outcome = Job_Runner::run( $payload, $head );
		if ( ! $this->channel->is_mine() ) {
			// A child that the callback forked came back here. Its parent tells the outcome.
			Bridge::leave( 0 );
		}
		$this->disarm();
		try {
			$this->end_buffers( $level );
		} catch ( \Throwable $thrown ) {
			$outcome = Job_Runner::failed( $thrown ); // A buffer that the job left open was the job's as well.
			$this->end_buffers( $level );
		}
		$this->settle( $outcome );
		return 'completed' === $outcome['status'];
	}

	/**
	 * Puts the process into the state a job may expect.
	 *
	 * @param array $head What the worker says of the job.
	 */
	private function prepare( array $head ) {
		error_clear_last();
		if ( null === $this->reserve ) {
			$this->reserve = str_repeat( 'x', 262144 );
		}
		$this->job        = $head;
		$this->started_at = Clock::now();
		if ( defined( 'WP_MAX_MEMORY_LIMIT' ) ) {
			@ini_set( 'memory_limit', (string) WP_MAX_MEMORY_LIMIT ); // phpcs:ignore -- Lowers it, too: wp_raise_memory_limit() does not.
		}
		$this->channel->send(
			'S',
			array(
				'id'     => $head['id'],
				'number' => $head['number'] ?? null,
				'pid'    => getmypid(),
				'clock'  => Clock::now(),
			)
		);
	}

	/**
	 * Whether a job that was sent before its turn may not be begun any more: the worker has given it to others by now.
	 *
	 * @param array $head What the worker says of it; `until`, in seconds of `Clock`, where it was sent ahead.
	 * @return bool
	 */
	public static function is_late( array $head ) {
		return isset( $head['until'] ) && Clock::now() > $head['until'];
	}

	/**
	 * Says that a job is not run here.
	 *
	 * @param array $head What the worker says of it.
	 */
	public function leave_alone( array $head ) {
		$this->job = null;
		$this->channel->send(
			'L',
			array(
				'id'     => $head['id'],
				'number' => $head['number'],
			)
		);
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
		$outcome['runtime_ms'] = (int) round( ( Clock::now() - $this->started_at ) * 1000 );
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
	 * Ends output buffers down to a level; one that cannot be ended is left.
	 *
	 * @param int $level How many stay.
	 */
	private function end_buffers( $level ) {
		while ( ob_get_level() > $level ) {
			if ( ! @ob_end_flush() ) { // phpcs:ignore WordPress.PHP.NoSilencedErrors -- The answer says it.
				return;
			}
		}
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
		if ( ! self::hears_signals() ) {
			return;
		}
		pcntl_async_signals( true ); // An earlier job may have meddled with these.
		if ( function_exists( 'pcntl_sigprocmask' ) ) {
			pcntl_sigprocmask( SIG_SETMASK, array() );
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
		if ( self::hears_signals() ) {
			pcntl_alarm( 0 );
			pcntl_signal( SIGALRM, SIG_DFL );
			pcntl_signal( SIGTERM, SIG_DFL );
		}
	}

	/**
	 * Whether this PHP has the pcntl extension and its functions are not switched off.
	 *
	 * @return bool
	 */
	private static function hears_signals() {
		return function_exists( 'pcntl_signal' ) && function_exists( 'pcntl_alarm' ) && function_exists( 'pcntl_async_signals' );
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
	 * The process ends: the last word is ours, after every shutdown function that a job registered.
	 */
	public function on_shutdown() {
		if ( $this->channel->is_mine() && ( null !== $this->job || $this->leaves_at_once ) ) {
			register_shutdown_function( array( $this, 'last_word' ) );
		}
	}

	/**
	 * Tells the outcome of a job that ended its process by exit() or a fatal error.
	 */
	public function last_word() {
		if ( null === $this->job ) {
			Bridge::leave( 0 );
		}
		$fatal         = error_get_last();
		$this->reserve = null;
		@ini_set( 'memory_limit', '-1' ); // phpcs:ignore -- The job is over; only its story is to be told.
		$this->disarm();
		$this->end_buffers( 0 );
		$deadly = E_ERROR | E_PARSE | E_CORE_ERROR | E_COMPILE_ERROR | E_USER_ERROR | E_RECOVERABLE_ERROR;
		if ( null === $fatal || ! ( $fatal['type'] & $deadly ) ) {
			$this->settle( array( 'status' => 'exited' ) ); // With which code, the worker sees.
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
