<?php
/**
 * A job's options.
 *
 * @package Background_Worker
 */

namespace Background_Worker;

/**
 * What add_async_job()'s options say, checked and complete.
 */
final class Job_Options {

	const PRIORITIES = array(
		'high'   => -10,
		'normal' => 0,
		'low'    => 10,
	);

	/**
	 * Every option with the value it has when nobody chose one.
	 */
	const DEFAULTS = array(
		'delay'        => null,
		'run_at'       => null,
		'priority'     => 'normal',
		'max_attempts' => 3,
		'backoff'      => 30,
		'timeout'      => null,
		'unique'       => null,
		'batch'        => null,
	);

	/**
	 * Seconds; a hundred years. Beyond it, somebody meant another unit.
	 */
	const MAX_DELAY = 3155760000;

	/**
	 * The last second of the year 9999.
	 */
	const MAX_RUN_AT = 253402300799;

	/**
	 * The columns that hold names have 191 characters, the most that every MySQL's index takes.
	 */
	const MAX_NAME = 191;

	/**
	 * Milliseconds from now, 0 when at once.
	 *
	 * @var int
	 */
	public $delay_ms;

	/**
	 * Milliseconds since 1970, or null.
	 *
	 * @var int|null
	 */
	public $run_at_ms;

	/**
	 * Lower runs first.
	 *
	 * @var int
	 */
	public $priority;

	/**
	 * Runs at most.
	 *
	 * @var int
	 */
	public $max_attempts;

	/**
	 * Seconds.
	 *
	 * @var int
	 */
	public $backoff;

	/**
	 * Seconds; null is ABW_TIMELIMIT, as the worker finds it.
	 *
	 * @var int|null
	 */
	public $timeout;

	/**
	 * The key.
	 *
	 * @var string|null
	 */
	public $unique;

	/**
	 * The name.
	 *
	 * @var string|null
	 */
	public $batch;

	/**
	 * What was given last, and what became of it: a request that adds many jobs gives the same again and again.
	 *
	 * @var array{0: array, 1: self}|null
	 */
	private static $last = null;

	/**
	 * The queue that was checked last.
	 *
	 * @var string|null
	 */
	private static $last_queue = null;

	/**
	 * The options that a caller gives, checked and complete.
	 *
	 * @param mixed  $given What the caller gave; null stands for an option that was not given.
	 * @param string $queue The queue, for the filter.
	 * @return self
	 * @throws Bad_Argument When one is refused.
	 */
	public static function of( $given, $queue ) {
		if ( has_filter( 'background_worker_job_options' ) ) {
			return new self( $given, $queue ); // It may answer otherwise each time.
		}
		if ( null === self::$last || self::$last[0] !== $given ) {
			self::$last = array( $given, new self( $given, $queue ) );
		}
		return clone self::$last[1];
	}

	/**
	 * Checks the options and fills in what they leave out.
	 *
	 * @param mixed  $given What the caller gave; null stands for an option that was not given.
	 * @param string $queue The queue, for the filter.
	 * @throws Bad_Argument When one is refused.
	 */
	private function __construct( $given, $queue ) {
		if ( ! is_array( $given ) ) {
			throw new Bad_Argument( 'options', sprintf( 'an array is needed, not %s.', Bad_Argument::show( $given ) ) );
		}
		/**
		 * Filters the options that a job has when its caller chooses none.
		 *
		 * @param array  $defaults By name.
		 * @param string $queue    The queue.
		 */
		$defaults = (array) apply_filters( 'background_worker_job_options', self::DEFAULTS, $queue );
		foreach ( array_keys( $given + $defaults ) as $name ) {
			self::check_name( $name );
		}
		$given    = array_filter( $given, array( __CLASS__, 'is_given' ) );
		$defaults = array_filter( $defaults, array( __CLASS__, 'is_given' ) );
		if ( isset( $given['delay'] ) || isset( $given['run_at'] ) ) {
			unset( $defaults['delay'], $defaults['run_at'] ); // The caller's choice of one replaces a default for the other.
		}
		$options = $given + $defaults + self::DEFAULTS;
		$this->read_time( $options['delay'], $options['run_at'] );
		$this->priority     = self::priority( $options['priority'] );
		$this->max_attempts = self::whole( 'max_attempts', $options['max_attempts'], 1, 1000 );
		$this->backoff      = self::whole( 'backoff', $options['backoff'], 0, DAY_IN_SECONDS );
		$this->timeout      = null === $options['timeout'] ? null : self::whole( 'timeout', $options['timeout'], 1, DAY_IN_SECONDS );
		$this->unique       = null === $options['unique'] ? null : self::name( 'unique', $options['unique'] );
		$this->batch        = null === $options['batch'] ? null : self::name( 'batch', $options['batch'] );
	}

	/**
	 * Checks a queue's name.
	 *
	 * @param mixed $queue The queue.
	 * @return string
	 * @throws Bad_Argument When it is refused.
	 */
	public static function queue( $queue ) {
		if ( null !== $queue && self::$last_queue === $queue ) {
			return $queue;
		}
		$queue = self::name( 'queue', $queue );
		if ( preg_match( '/[\x00-\x1f\x7f]/', $queue ) ) {
			throw new Bad_Argument( 'queue', 'a name without control characters is needed.' );
		}
		self::$last_queue = $queue;
		return $queue;
	}

	/**
	 * Whether the job has to wait for its time.
	 *
	 * @return bool
	 */
	public function is_later() {
		return $this->delay_ms > 0 || null !== $this->run_at_ms && $this->run_at_ms > microtime( true ) * 1000;
	}

	/**
	 * Whether an option was given a value.
	 *
	 * @param mixed $value Its value.
	 * @return bool
	 */
	private static function is_given( $value ) {
		return null !== $value;
	}

	/**
	 * Refuses an option that does not exist.
	 *
	 * @param int|string $name Its name.
	 * @throws Bad_Argument When it does not.
	 */
	private static function check_name( $name ) {
		if ( array_key_exists( $name, self::DEFAULTS ) ) {
			return;
		}
		$known = array_keys( self::DEFAULTS );
		throw new Bad_Argument(
			(string) $name,
			sprintf( 'there is no such option; did you mean %s? There are: %s.', self::nearest( (string) $name, $known ), implode( ', ', $known ) )
		);
	}

	/**
	 * When to run.
	 *
	 * @param mixed $delay  Seconds from now, or null.
	 * @param mixed $run_at Unix time, or null.
	 * @throws Bad_Argument When one is refused.
	 */
	private function read_time( $delay, $run_at ) {
		if ( null !== $delay && null !== $run_at ) {
			throw new Bad_Argument( 'run_at', 'it cannot be given together with delay: choose one.' );
		}
		$this->delay_ms  = null === $delay ? 0 : self::milliseconds( 'delay', $delay, self::MAX_DELAY, 'seconds from now' );
		$this->run_at_ms = null === $run_at ? null : self::milliseconds( 'run_at', $run_at, self::MAX_RUN_AT, 'a Unix time in seconds' );
	}

	/**
	 * A number of seconds.
	 *
	 * @param string $field Whose.
	 * @param mixed  $value The value.
	 * @param int    $most  The largest.
	 * @param string $unit  What it counts.
	 * @return int
	 * @throws Bad_Argument When it is refused.
	 */
	private static function milliseconds( $field, $value, $most, $unit ) {
		if ( ! is_numeric( $value ) || ! ( $value >= 0 && $value <= $most ) ) {
			throw new Bad_Argument( $field, sprintf( 'a number from 0 to %d is needed (%s), not %s.', $most, $unit, Bad_Argument::show( $value ) ) );
		}
		return (int) round( $value * 1000 );
	}

	/**
	 * The number of a priority.
	 *
	 * @param mixed $value A name or an int.
	 * @return int
	 * @throws Bad_Argument When it is neither.
	 */
	private static function priority( $value ) {
		if ( is_string( $value ) && isset( self::PRIORITIES[ strtolower( $value ) ] ) ) {
			return self::PRIORITIES[ strtolower( $value ) ];
		}
		if ( is_string( $value ) && ! is_numeric( $value ) ) {
			$names = array_keys( self::PRIORITIES );
			throw new Bad_Argument( 'priority', sprintf( '%s is none of %s, and not an int; did you mean %s?', Bad_Argument::show( $value ), implode( ', ', $names ), self::nearest( $value, $names ) ) );
		}
		return self::whole( 'priority', $value, -2147483648, 2147483647 );
	}

	/**
	 * A whole number.
	 *
	 * @param string $field Whose.
	 * @param mixed  $value The value.
	 * @param int    $least The smallest.
	 * @param int    $most  The largest.
	 * @return int
	 * @throws Bad_Argument When it is refused.
	 */
	private static function whole( $field, $value, $least, $most ) {
		if ( ! is_numeric( $value ) || floor( (float) $value ) !== (float) $value || $value < $least || $value > $most ) {
			throw new Bad_Argument( $field, sprintf( 'a whole number from %d to %d is needed, not %s.', $least, $most, Bad_Argument::show( $value ) ) );
		}
		return (int) $value;
	}

	/**
	 * A name.
	 *
	 * @param string $field Whose.
	 * @param mixed  $value The value.
	 * @return string
	 * @throws Bad_Argument When it is refused.
	 */
	private static function name( $field, $value ) {
		if ( ! is_string( $value ) || '' === trim( $value ) || ! self::is_utf8( $value ) || mb_strlen( $value ) > self::MAX_NAME ) {
			throw new Bad_Argument( $field, sprintf( 'a string of 1 to %d characters is needed, not %s.', self::MAX_NAME, Bad_Argument::show( $value ) ) );
		}
		return $value;
	}

	/**
	 * Whether bytes are text.
	 *
	 * @param string $value The bytes.
	 * @return bool
	 */
	public static function is_utf8( $value ) {
		return 1 === preg_match( '//u', $value );
	}

	/**
	 * The known name that a person most likely meant.
	 *
	 * @param string   $name  What was written.
	 * @param string[] $known What there is.
	 * @return string
	 */
	private static function nearest( $name, array $known ) {
		$best = $known[0];
		$far  = PHP_INT_MAX;
		foreach ( $known as $candidate ) {
			$distance = levenshtein( strtolower( substr( $name, 0, 200 ) ), $candidate );
			if ( $distance < $far ) {
				$far  = $distance;
				$best = $candidate;
			}
		}
		return $best;
	}
}
