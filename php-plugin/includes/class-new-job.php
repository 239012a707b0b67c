<?php
/**
 * A job on its way into the queue.
 *
 * @package Background_Worker
 */

namespace Background_Worker;

/**
 * A checked job, serialized, with the columns of its row.
 */
final class New_Job {

	const MAX_LABEL = 191;

	/**
	 * What serialize() wrote.
	 *
	 * @var string
	 */
	public $payload;

	/**
	 * The queue.
	 *
	 * @var string
	 */
	public $queue;

	/**
	 * The name people know it by.
	 *
	 * @var string
	 */
	public $callback;

	/**
	 * The blog it runs on.
	 *
	 * @var int
	 */
	public $blog_id;

	/**
	 * Its options.
	 *
	 * @var Job_Options
	 */
	public $options;

	/**
	 * The id it has on the broker, which may have it; null for a job that no broker has.
	 *
	 * @var string|null
	 */
	public $external_id = null;

	/**
	 * What WP Minions would put on the wire for it, beside the blog: the hook and its arguments. Null for a function.
	 *
	 * @var array|null
	 */
	public $task = null;

	/**
	 * A job that calls a function.
	 *
	 * @param mixed       $job     An object or array with `function` and `user_data`.
	 * @param string      $queue   The queue, checked.
	 * @param Job_Options $options Its options.
	 * @return self
	 * @throws Bad_Argument When it is refused.
	 */
	public static function calling( $job, $queue, Job_Options $options ) {
		if ( ! is_object( $job ) && ! is_array( $job ) || $job instanceof \Closure ) {
			throw new Bad_Argument( 'job', sprintf( 'an object or array with "function" and "user_data" is needed, not %s.', Bad_Argument::show( $job ) ) );
		}
		$function  = is_array( $job ) ? ( $job['function'] ?? null ) : ( $job->function ?? null );
		$user_data = is_array( $job ) ? ( $job['user_data'] ?? null ) : ( $job->user_data ?? null );
		if ( null === $function || '' === $function ) {
			throw new Bad_Argument( 'function', 'the job does not say which function to call.' );
		}
		Callback::check( $function );
		return new self( 'function', $function, $user_data, $queue, $options );
	}

	/**
	 * A job that fires a hook.
	 *
	 * @param mixed       $hook    Its name.
	 * @param mixed       $args    What its callbacks get.
	 * @param string      $queue   The queue, checked.
	 * @param Job_Options $options Its options.
	 * @return self
	 * @throws Bad_Argument When it is refused.
	 */
	public static function firing( $hook, $args, $queue, Job_Options $options ) {
		if ( ! is_string( $hook ) || '' === trim( $hook ) ) {
			throw new Bad_Argument( 'hook', sprintf( 'the name of a hook is needed, not %s.', Bad_Argument::show( $hook ) ) );
		}
		$job       = new self( 'hook', $hook, $args, $queue, $options );
		$job->task = array(
			'hook' => $hook,
			'args' => $args,
		);
		return $job;
	}

	/**
	 * Serializes it.
	 *
	 * @param string      $kind      `function` or `hook`.
	 * @param mixed       $callee    What to call or fire.
	 * @param mixed       $user_data Its argument.
	 * @param string      $queue     The queue.
	 * @param Job_Options $options   Its options.
	 */
	private function __construct( $kind, $callee, $user_data, $queue, Job_Options $options ) {
		// A plain object of our own, whatever class the caller's is of: the worker may not know that class.
		$job            = new \stdClass();
		$job->{$kind}   = $callee;
		$job->user_data = $user_data;
		$this->payload  = self::serialize( $job, $kind );
		$this->callback = self::label( $job );
		$this->queue    = $queue;
		$this->options  = $options;
		$this->blog_id  = get_current_blog_id();
	}

	/**
	 * The bytes of the row's unique_hash: the database lets one unfinished job have them.
	 *
	 * @return string|null
	 */
	public function unique_hash() {
		return null === $this->options->unique ? null : hash( 'sha256', $this->queue . "\0" . $this->options->unique );
	}

	/**
	 * Writes the payload.
	 *
	 * @param object $job  The job.
	 * @param string $kind Where its callee is.
	 * @return string
	 * @throws Bad_Argument When something in it cannot be serialized.
	 */
	private static function serialize( $job, $kind ) {
		// serialize() writes an open file as the number 0 and says nothing.
		foreach ( is_array( $job->user_data ) ? $job->user_data : array( $job->user_data ) as $value ) {
			if ( is_resource( $value ) ) {
				throw new Bad_Argument( 'user_data', 'a resource (an open file or connection) cannot be kept in a queue.' );
			}
		}
		try {
			return serialize( $job ); // phpcs:ignore WordPress.PHP.DiscouragedPHPFunctions -- The queue's format: callbacks get objects.
		} catch ( Halt $halt ) {
			throw $halt; // This code may run in a job, too, and the job's time limit may end it anywhere.
		} catch ( \Throwable $thrown ) {
			$field = self::can_serialize( $job->{$kind} ) ? 'user_data' : $kind;
			throw new Bad_Argument( $field, 'it cannot be serialized: ' . $thrown->getMessage(), $thrown );
		}
	}

	/**
	 * Whether a value can be serialized.
	 *
	 * @param mixed $value The value.
	 * @return bool
	 */
	private static function can_serialize( $value ) {
		try {
			serialize( $value ); // phpcs:ignore WordPress.PHP.DiscouragedPHPFunctions -- As above.
			return true;
		} catch ( Halt $halt ) {
			throw $halt;
		} catch ( \Throwable $thrown ) {
			return false;
		}
	}

	/**
	 * The name people know the job by, as the column takes it.
	 *
	 * @param object $job The job.
	 * @return string
	 */
	private static function label( $job ) {
		$label = ltrim( Callback::label( $job ), '\\' );
		if ( ! Job_Options::is_utf8( $label ) ) {
			$label = (string) preg_replace( '/[^\x20-\x7e]/', '?', $label );
		}
		return strlen( $label ) <= self::MAX_LABEL ? $label : mb_substr( $label, 0, self::MAX_LABEL );
	}
}
